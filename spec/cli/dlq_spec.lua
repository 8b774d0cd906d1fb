-- `mguard dlq` on a real redis-server, with messages that workers could not read and tasks that were given up.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
return mg.plan {
  checks = mg.checks { properties = { mg.property { "same", check = function(out, x) return out == x end } },
    implementations = { v = function(x) return x end } },
  baseline = "v", candidate = "v", cases = mg.jsonl "cases.jsonl", seed = 7, queue = { backend = "redis" },
}]]

-- Takes a waiting task off the queue and puts it among the dead letters, as a worker that gives it up does. Gives run and task.
local BURY <const> = [[
local p = redis.call("KEYS", "*:pending:*")[1]
if not p then return "" end
local base, run = p:match("^(.*:)pending:(.*)$")
local id = redis.call("LPOP", p)
local record = redis.call("HGET", base .. "tasks:" .. run, id)
redis.call("HDEL", base .. "tasks:" .. run, id)
redis.call("HSET", base .. "dead:" .. run, id, record)
redis.call("HSET", base .. "why:" .. run, id, "a test\27[31m\r gave it up")
redis.call("ZADD", base .. "dead-order:" .. run, 1, id)
return run .. " " .. id:match(":(.*)$")
]]

-- Puts a message that is none on the queue of a run.
local GARBAGE <const> = [[
local p = redis.call("KEYS", "*:pending:*")[1]
local base, run = p:match("^(.*:)pending:(.*)$")
redis.call("HSET", base .. "tasks:" .. run, "1:9.99", "1|\1\1no frame")
redis.call("LPUSH", p, "1:9.99")
return run
]]

describe("mguard dlq", function()
  local dir, redis, queue
  setup(function()
    dir = support.folder()
    redis = servers.redis(dir)
    queue = "--queue-config " .. servers.queue(redis, ',"batch_size":5')
    support.write(dir, "plan.lua", PLAN)
    local lines = {}
    for i = 1, 40 do lines[i] = ('["tell-tale %d"]'):format(i) end
    support.write(dir, "cases.jsonl", table.concat(lines, "\n") .. "\n")
  end)
  teardown(function()
    servers.stop_all()
    support.clean()
  end)

  local function eval(text)
    local file = support.write(dir, "script.lua", text)
    return redis.cli("--eval " .. file)
  end

  local function dlq(arguments) return support.mguard(dir, ("dlq %s %s"):format(arguments, queue)) end
  local function letters(arguments)
    local got = dlq("list --json " .. (arguments or ""))
    assert.are.equal(0, got.code, got.err)
    return core.json_decode(got.out).dead_letters
  end
  local function says(got, code, ...)
    assert.are.equal(code, got.code, got.out .. got.err)
    for _, part in ipairs { ... } do assert.is_truthy((got.out .. got.err):find(part, 1, true), got.out .. got.err) end
  end

  it("says that there are none", function()
    says(dlq "list", 0, "no dead letters")
    says(dlq "redrive", 4, "--run", "no dead letters")
    says(dlq "show", 4, "no such dead letter")
  end)

  it("lists, shows and redrives a task into its run, which then counts every case", function()
    local run = servers.start(dir, ("%s run plan.lua --quiet --report-json r.json %s"):format(support.program, queue), "run.log")
    local id = servers.wait("a waiting task", function() return eval(BURY):match("^(%S+) ") end)
    local list = letters()
    assert.are.equal(1, #list)
    local task = list[1].task
    assert.are.same({ id, 1, "a test?[31m? gave it up" }, { list[1].run, list[1].attempts, list[1].reason })
    assert.is_true(list[1].cases >= 1 and list[1].first_case >= 0 and list[1].first_case < 40)

    local text = dlq "list"
    says(text, 0, id, task, "a test?[31m? gave it up")
    assert.is_nil(text.out:find("tell-tale", 1, true), "the list shows a payload")
    text = dlq("show " .. task)
    says(text, 0, id, task, "seed         7", "candidate    v", ('"tell-tale %d"'):format(list[1].first_case + 1),
      ("mguard replay PLAN --seed 7 --case %d"):format(list[1].first_case))
    assert.is_nil(text.out:find("\27", 1, true))
    local shown = core.json_decode(dlq("show --json " .. task).out).dead_letters[1]
    assert.are.same({ 7, "v", "v" }, { shown.seed, shown.baseline, shown.candidate })
    assert.are.same({ list[1].cases, list[1].first_case }, { #shown.inputs, shown.inputs[1].case })

    says(dlq("redrive " .. task), 4, "--run", id .. " (1)")
    says(dlq("redrive --run 20200101-000000-0000 " .. task), 4, "has ended or never was")
    says(dlq("redrive --run " .. id .. " 1.777"), 4, "0 dead letters", "1 of the tasks named")
    assert.are.equal(1, #letters("--run " .. id))
    says(dlq("redrive --run " .. id .. " " .. task), 0, "1 dead letter of run " .. id .. " back on the queue")
    assert.are.equal(0, #letters())

    local worker = servers.start(dir, ("%s worker --script plan.lua --executors 1 %s"):format(support.program, queue), "worker.log")
    servers.wait("the end of the run", function() return not servers.alive(run) end, 60)
    local report = core.json_decode(support.read(dir .. "/r.json"))
    assert.are.equal(40, report.outcomes.candidate.pass)
    servers.stop(worker)
  end)

  it("keeps what no worker can read, refuses it to a run that has ended, and purges it", function()
    local run = servers.start(dir, ("%s run plan.lua --quiet %s"):format(support.program, queue), "run2.log")
    local id = servers.wait("a queue", function()
      local name = eval(GARBAGE)
      return name:match("^%d+%-%d+%-%x+$")
    end)
    local worker = servers.start(dir, ("%s worker --script plan.lua --executors 1 %s"):format(support.program, queue), "worker2.log")
    servers.wait("the end of the run", function() return not servers.alive(run) end, 60)
    local list = letters("--run " .. id)
    assert.are.same({ 1, id, "9.99" }, { #list, list[1] and list[1].run, list[1] and list[1].task })
    assert.is_truthy(list[1].unreadable)
    assert.is_nil(list[1].cases)
    assert.is_true(#list[1].reason > 10, list[1].reason)
    says(dlq "list", 0, "unreadable", list[1].reason)
    says(dlq("show --run " .. id .. " 9.99"), 0, "10 bytes", "begins with  01016e6f206672616d65")
    says(dlq("redrive --run " .. id), 4, "has ended", "purge")
    says(dlq("purge 9.99"), 4, "--run", id)
    says(dlq("purge --run " .. id .. " 9.99 1.1"), 4, "1 dead letter", "1 of the tasks named")
    says(dlq "list", 0, "no dead letters")
    servers.stop(worker)
  end)

  it("has the one case that kills its worker each time, which its run gave up", function()
    support.write(dir, "poison.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g.case end,
          properties = { mg.property { "same", check = function(out, x) return out == x end } },
          implementations = { v = function(x) return x end, poison = function(x)
            if x == 17 then
              os.execute "sleep 1" -- so that a beat has named it
              os.execute("kill -KILL $(ps -o ppid= -p $PPID)") -- the worker
              while true do end
            end
            return x
          end } },
        baseline = "v", candidate = "poison", cases = 40, limits = { case_timeout_ms = 60000 },
      }]])
    local own = "--queue-config " .. servers.queue(redis,
      ',"batch_size":8,"heartbeat_timeout":1,"lease_seconds":5,"max_requeue_attempts":1,"queue_name":"poison"')
    local run = servers.start(dir, ("%s run poison.lua --quiet --report-json poison.json %s"):format(support.program, own), "poison.log")
    local worker, deaths = nil, -1
    servers.wait("the end of the run", function()
      if worker == nil or not servers.alive(worker) then
        worker, deaths = servers.start(dir, ("%s worker --script poison.lua --executors 1 %s"):format(support.program, own), "poisoned"), deaths + 1
      end
      return not servers.alive(run)
    end, 120)
    servers.stop(worker)
    assert.is_true(deaths >= 2 and deaths < 20, deaths)
    local list = core.json_decode(support.mguard(dir, "dlq list --json " .. own).out).dead_letters
    assert.are.equal(1, #list, core.json_encode(list))
    assert.are.same({ 17, 1, "its worker vanished" }, { list[1].first_case, list[1].cases, list[1].reason })
    local report = core.json_decode(support.read(dir .. "/poison.json"))
    assert.are.equal(39, report.outcomes.candidate.pass)
    assert.are.equal(1, report.outcomes.candidate.crash)
    assert.are.same({ list[1].run, "1" }, { report.run, tostring(support.mguard(dir, "queue depth " .. own).out:match("dead +(%d+)")) })
  end)

  it("purges all of a run without a word", function()
    local run = servers.start(dir, ("%s run plan.lua --quiet %s"):format(support.program, queue), "run3.log")
    local id = servers.wait("two dead letters", function()
      eval(BURY)
      local list = letters()
      return #list == 2 and list[1].run
    end)
    says(dlq("purge --json --run " .. id), 0, '"purged": 2')
    assert.are.equal(0, #letters())
    servers.stop(run, "INT")
  end)

  for name, row in pairs {
    ["the memory backend"] = { "dlq list", 4, "no other process" },
    ["an unknown action"] = { "dlq lst", 4, '"lst" is none of list, show, redrive, purge' },
    ["no action"] = { "dlq", 4, "list|show|redrive|purge" },
    ["a run that is none"] = { "dlq list --run ../x --backend redis", 4, "--run" },
    ["a broker that is not there"] = { [[dlq list --queue-config '{"backend":"redis","connection":{"port":1}}']], 5, "connection refused" },
  } do
    it("says what is wrong with " .. name, function()
      local got = support.mguard(dir, row[1])
      says(got, row[2], row[3])
      assert.are.equal(1, select(2, got.err:gsub("\n", "")), got.err)
    end)
  end
end)
