-- `mguard status` and `mguard queue` on a real redis-server.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
return mg.plan {
  checks = mg.checks { generate = function(g) return g:int(1, 100) end,
    properties = { mg.property { "same", check = function(out, x) return out == x end } },
    implementations = { v = function(x)
      local stop = os.clock() + 0.002
      while os.clock() < stop do end
      return x
    end } },
  baseline = "v", candidate = "v", cases = %d, queue = { backend = "redis" },
}]]

describe("mguard status", function()
  local dir, redis, queue
  setup(function()
    dir = support.folder()
    redis = servers.redis(dir)
    queue = "--queue-config " .. servers.queue(redis, ',"lease_seconds":10,"heartbeat_timeout":3,"heartbeat_interval":0.3')
    support.write(dir, "plan.lua", PLAN:format(100000))
  end)
  teardown(function()
    servers.stop_all()
    support.clean()
  end)

  local function status(arguments)
    local got = support.mguard(dir, "status --json " .. queue .. " " .. (arguments or ""))
    assert.are.equal(0, got.code, got.err)
    return assert(core.json_decode(got.out))
  end

  it("shows an empty queue as empty", function()
    local s = status "--watch 0"
    assert.are.same({ "redis", "mguard_tasks", 0, 0, 0, 0, 0, 0 },
      { s.backend, s.queue, s.pending, s.in_flight, s.dead, s.results, #s.runs, #s.workers })
    local text = support.mguard(dir, "status --watch 0 " .. queue)
    assert.is_truthy(text.out:find("no worker was heard", 1, true), text.out)
  end)

  it("follows a run from waiting tasks over live workers to the end", function()
    local run = servers.start(dir, ("%s run plan.lua --quiet --drain-timeout 20 %s"):format(support.program, queue), "run.log")
    local s = servers.wait("waiting tasks", function()
      local now = status "--watch 0"
      return now.pending > 0 and now
    end)
    assert.are.equal(1, #s.runs)
    local id = s.runs[1].run
    assert.are.same({ "open", s.pending, 0 }, { s.runs[1].state, s.runs[1].pending, s.runs[1].in_flight })
    assert.is_true(s.oldest_seconds >= 0)

    local workers = {}
    for i = 1, 2 do
      workers[i] = servers.start(dir, ("%s worker --script plan.lua --executors 1 --name w%d %s"):format(support.program, i, queue), "worker" .. i)
    end
    s = servers.wait("two live workers with tasks", function()
      local now = status "--watch 3"
      return #now.workers == 2 and now.in_flight > 0 and #now.workers[1].tasks > 0 and #now.workers[2].tasks > 0 and now
    end)
    table.sort(s.workers, function(a, b) return a.name < b.name end)
    for i, w in ipairs(s.workers) do
      assert.are.same({ "w" .. i, "live", 1, 1 }, { w.name, w.state, w.executors, w.executors_up })
      assert.is_true(w.beats > 0 and w.last_beat_seconds < 3)
      assert.are.equal(id, w.tasks[1].run)
    end
    local text = support.mguard(dir, ("status plan.lua --run %s %s"):format(id, queue))
    assert.are.equal(0, text.code, text.err)
    for _, part in ipairs { id, "w1", "w2", "live", "1/1" } do assert.is_truthy(text.out:find(part, 1, true), text.out) end

    servers.stop(workers[2], "KILL")
    local depth = support.mguard(dir, "queue depth --json --run " .. id .. " " .. queue)
    assert.are.equal(id, core.json_decode(depth.out).run)

    servers.stop(run, "INT")
    s = servers.wait("the end of the run", function()
      local now = status "--watch 0"
      return #now.runs == 0 and now
    end)
    assert.are.same({ 0, 0 }, { s.pending, s.in_flight })
    servers.stop(workers[1])
    servers.wait("the worker's leave", function()
      local now = status "--watch 0"
      for _, w in ipairs(now.workers) do
        if w.name == "w1" and w.state == "left" then return now end
      end
    end)
    local one = status("--watch 0 --run " .. id)
    assert.are.same({ id, "interrupted" }, { one.runs[1].run, one.runs[1].state })
  end)

  it("tells a silent worker from a live one", function()
    local pid = servers.start(dir, ("%s worker --script plan.lua --executors 1 --name sleeper %s"):format(support.program, queue), "sleeper")
    local function sleeper(watch)
      for _, w in ipairs(status("--watch " .. watch).workers) do
        if w.name == "sleeper" then return w end
      end
    end
    servers.wait("its beats", function()
      local w = sleeper(2)
      return w and w.state == "live"
    end)
    servers.signal(pid, "STOP")
    local w = sleeper(1)
    servers.signal(pid, "CONT")
    assert.are.equal("quiet", w.state)
    assert.are.equal(core.null, w.last_beat_seconds)
    servers.stop(pid)
  end)

  it("purges what a run that was killed left", function()
    local run = servers.start(dir, ("%s run plan.lua --quiet %s"):format(support.program, queue), "killed.log")
    local id = servers.wait("its tasks", function()
      local now = status "--watch 0"
      return now.pending > 0 and now.runs[1].run
    end)
    servers.stop(run, "KILL")
    local got = support.mguard(dir, "queue purge " .. queue)
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("--run", 1, true), got.err)
    local before = status("--watch 0 --run " .. id).pending
    assert.is_true(before > 0)
    got = support.mguard(dir, ("queue purge --json --run %s %s"):format(id, queue))
    assert.are.same({ 0, before }, { got.code, core.json_decode(got.out).removed })
    assert.are.equal(0, status("--watch 0").pending)
  end)

  it("counts beats it cannot read", function()
    local key = redis.cli("KEYS '*:beats'"):match("%S+")
    assert.is_truthy(key)
    redis.cli(("HSET %s garbage nonsense"):format(support.quote(key)))
    redis.cli(("ZADD %s 99999999999999 garbage"):format(support.quote((key:gsub(":beats$", ":beat-ends")))))
    assert.is_true(status("--watch 0").unreadable_beats >= 1)
    redis.cli(("HDEL %s garbage"):format(support.quote(key)))
  end)

  for name, row in pairs {
    ["no queue at all"] = { "status", 4, "no other process" },
    ["the memory backend"] = { "status --backend memory", 4, "no other process" },
    ["a backend that does not exist"] = { "status --backend pigeon", 4, "pigeon" },
    ["a broker that is not there"] = { [[status --queue-config '{"backend":"redis","connection":{"port":1}}']], 5, "connection refused" },
    ["a plan that is not there"] = { "status nowhere.lua", 4, "nowhere.lua" },
    ["an unknown key"] = { [[status --queue-config '{"backend":"redis","leese_seconds":1}']], 4, "lease_seconds" },
    ["a wrong number"] = { "status --watch long", 4, "--watch" },
    ["an unknown action"] = { "queue empty", 4, "empty" },
  } do
    it("says what is wrong with " .. name, function()
      local got = support.mguard(dir, row[1])
      assert.are.equal(row[2], got.code, got.out .. got.err)
      assert.is_truthy(got.err:find(row[3], 1, true), got.err)
      assert.are.equal(1, select(2, got.err:gsub("\n", "")), got.err)
    end)
  end
end)
