-- The JSON log of real runs: one object a line, the events of docs/operations/logging.md with their fields, no payload.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
return mg.plan {
  name = "logged",
  checks = mg.checks { properties = { mg.property { "same", check = function(out, x) return out == x end } },
    implementations = { v = function(x)
      local stop = os.clock() + 0.01
      while os.clock() < stop do end
      return x
    end } },
  baseline = "v", candidate = "v", cases = mg.jsonl "cases.jsonl", queue = { backend = "redis" },
}]]

describe("the JSON log", function()
  local dir
  before_each(function()
    dir = support.folder()
    support.write(dir, "plan.lua", PLAN)
    local lines = {}
    for i = 1, 120 do lines[i] = ('["tell-tale %d"]'):format(i) end
    support.write(dir, "cases.jsonl", table.concat(lines, "\n") .. "\n")
  end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  -- Events by name, in order; every line must be an object of its own.
  local function read(name)
    local by, file = {}, io.open(dir .. "/" .. name)
    if not file then return by end
    local text <close> = file
    for line in text:lines() do
      local o = assert(core.json_decode(line), line)
      assert.is_truthy(o.time:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", line)
      by[o.event] = by[o.event] or {}
      table.insert(by[o.event], o)
    end
    return by
  end

  it("tells a run with a lost worker from beginning to end", function()
    local redis = servers.redis(dir)
    local queue = "--queue-config " .. servers.queue(redis, ',"batch_size":5,"heartbeat_timeout":1,"lease_seconds":5')
    local function worker(name)
      local line = "%s worker --script plan.lua --executors 1 --name %s --log-file %s.log %s"
      return servers.start(dir, line:format(support.program, name, name, queue), name)
    end
    local first = worker "first"
    local run = servers.start(dir, ("%s run plan.lua --quiet --log-file run.log %s"):format(support.program, queue), "run")
    servers.wait("answers", function() return #(read "run.log".queue_completed or {}) >= 3 end)
    servers.stop(first, "KILL")
    servers.wait("its loss", function() return read "run.log".worker_lost end)
    local second = worker "second"
    servers.wait("the end of the run", function() return not servers.alive(run) end, 60)
    servers.stop(second)

    local log = read "run.log"
    local id = log.run_eval_start[1].run_id
    for _, list in pairs(log) do
      for _, o in ipairs(list) do assert.are.equal(id, o.run_id) end
    end
    local start, over = log.run_eval_start[1], log.run_eval_complete[1]
    assert.are.same({ "logged", 120, "redis", "mguard_tasks", "v", "v" },
      { start.plan, start.cases, start.backend, start.queue_name, start.baseline, start.candidate })
    assert.are.same({ 120, 120, false, core.null }, { over.cases, over.counted, over.interrupted, over.failed })
    assert.is_true(over.duration_ms > 1000)

    local dispatched, cases = {}, 0
    for _, o in ipairs(log.queue_dispatched) do
      assert.are.equal("mguard_tasks", o.queue_name)
      dispatched[o.task_id] = true
    end
    for _, o in ipairs(log.queue_completed) do
      assert.is_true(dispatched[o.task_id])
      assert.is_true(o.duration >= 0 and math.abs(o.duration * 1000 - o.duration_ms) < 1)
      assert.is_truthy(o.worker_id == "first" or o.worker_id == "second")
      cases = cases + o.cases
    end
    assert.is_true(cases >= 120)

    assert.are.equal("first", log.heartbeat_timeout[1].worker_id)
    assert.is_truthy(log.heartbeat_timeout[1].last_heartbeat:find "^%d+%-%d%d%-%d%dT")
    assert.is_true(log.heartbeat_timeout[1].silent_seconds >= 1)
    assert.are.equal("first", log.worker_lost[1].worker_id)
    local again = log.queue_requeued[1]
    assert.is_true(dispatched[again.task_id] and again.attempt_count >= 1 and #again.reason > 5)
    assert.are.equal(over.requeued_tasks, #log.queue_requeued)
    assert.are.same({ "first", "second" }, { log.worker_joined[1].worker_id, log.worker_joined[2].worker_id })
    assert.are.equal("second", read "second.log".worker_ready[1].worker_id)
    for _, name in ipairs { "run.log", "first.log", "second.log" } do
      assert.is_nil(support.read(dir .. "/" .. name):find("tell-tale", 1, true), name .. " shows a payload")
    end
  end)

  it("goes to standard output where no file is named, and is opened anew on SIGHUP", function()
    local got = support.mguard(dir, "run plan.lua --backend memory --quiet --log-json --workers 1")
    assert.are.equal(2, got.code, got.err) -- too few cases for a verdict
    support.write(dir, "stdout.log", got.out)
    assert.are.equal(1, #read "stdout.log".run_eval_complete)

    local run = servers.start(dir, ("%s run plan.lua --backend memory --quiet --workers 1 --log-file it.log"):format(support.program), "it")
    servers.wait("the log", function() return read "it.log".queue_completed end)
    assert.is_true(os.rename(dir .. "/it.log", dir .. "/old.log"))
    servers.signal(run, "HUP")
    servers.wait("the end of the run", function() return not servers.alive(run) end, 60)
    assert.are.equal(1, #read "it.log".run_eval_complete)
    assert.are.equal(1, #read "old.log".run_eval_start)
  end)
end)
