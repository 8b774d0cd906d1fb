-- What users of the earlier system watch and read, in one real run over Redis that loses a worker, meets a time-out and a message that nobody
-- can read: each metric with a value that tells, each expression as a real Prometheus answers it, each event with its fields.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local CHECKS <const> = [[
local mg = require "mguard"
return mg.checks { generate = function(g) return g.case end,
  properties = { mg.property { "same", check = function(out, x) return out == x end, hard = false } } }
]]
local OLD <const> = [[
return function(x)
  local stop = os.clock() + 0.003
  while os.clock() < stop do end
  return x
end
]]
local NEW <const> = "return function(x) while x == 3 do end return x end\n"

local p <const> = "metamorphic_queue_"
-- Name, kind, and what must be true of it once the run has seen it all.
local METRICS <const> = {
  { "pending_tasks", "gauge", function(v) return v >= 1 end },
  { "inflight_cases", "gauge", function(v) return v >= 1 end },
  { "active_workers", "gauge", function(v) return v == 1 end },
  { "cases_dispatched_total", "counter", function(v, all) return v >= all[p .. "cases_completed_total"] end },
  { "cases_completed_total", "counter", function(v) return v >= 20 end },
  { "cases_requeued_total", "counter", function(v) return v >= 1 end },
  { "worker_heartbeats_total", "counter", function(v) return v >= 3 end },
  { "timeout_failures_total", "counter", function(v) return v >= 1 end },
  { "serialization_errors_total", "counter", function(v) return v >= 1 end },
}
local EXPRESSIONS <const> = {
  "metamorphic_queue_pending_tasks", "metamorphic_queue_inflight_cases", "metamorphic_queue_active_workers",
  "rate(metamorphic_queue_cases_dispatched_total[5m])", "rate(metamorphic_queue_cases_completed_total[5m])",
  "rate(metamorphic_queue_cases_requeued_total[5m])", "metamorphic_queue_worker_heartbeats_total",
  "rate(metamorphic_queue_timeout_failures_total[5m])", "rate(metamorphic_queue_serialization_errors_total[5m])",
}
local EVENTS <const> = {
  queue_dispatched = { task_id = "string", queue_name = "string" },
  queue_completed = { task_id = "string", duration = "number" },
  queue_requeued = { task_id = "string", reason = "string", attempt_count = "number" },
  heartbeat_timeout = { worker_id = "string", last_heartbeat = "string" },
}

describe("what operators of the earlier system know", function()
  local dir, run, second, redis, port, prometheus
  local function log()
    local by = {}
    for line in support.read(dir .. "/run.out"):gmatch "([^\n]+)\n" do
      local o = assert(core.json_decode(line), line)
      by[o.event] = by[o.event] or o
    end
    return by
  end

  local function scrape()
    local text, values = support.shell(dir, ("curl -s -m 10 http://127.0.0.1:%s/metrics"):format(port)).out, {}
    for series, value in text:gmatch "\n(metamorphic_[^ ]+) ([^\n]+)" do values[series] = tonumber(value) end
    return values, text
  end

  setup(function()
    dir = support.folder()
    support.write(dir, "checks.lua", CHECKS)
    support.write(dir, "old.lua", OLD)
    support.write(dir, "new.lua", NEW)
    redis = servers.redis(dir)
    prometheus = servers.port()
    local queue = servers.queue(redis, ',"batch_size":5,"heartbeat_timeout":3,"heartbeat_interval":0.3,"lease_seconds":10')
    local roles = "--task ./checks.lua --baseline old.lua --candidate new.lua"
    local evaluate = "%s evaluate %s --n 1000000 --timeout-s 0.5 --dispatcher queue --queue-config %s --log-json --metrics-port 0 --drain-timeout 0"
    run = servers.start(dir, evaluate:format(support.program, roles, queue), "run.out")
    port = servers.wait("the port of its metrics", function()
      local e = log().metrics_listening
      return e and ("%d"):format(e.port)
    end)
    support.write(dir, "prometheus.yml", ([[
global: { scrape_interval: 500ms }
scrape_configs: [{ job_name: mguard, static_configs: [{ targets: ["127.0.0.1:%s"] }] }]
]]):format(port))
    servers.start(dir, ("prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:%s --log.level=warn")
      :format(prometheus), "prometheus")
    local worker = "%s worker %s --backend redis --queue-config %s --log-json --executors 1 --name %s"
    local first = servers.start(dir, worker:format(support.program, roles, queue, "first"), "first.out")
    servers.wait("work of the first", function() return log().queue_completed end)
    local beats = servers.wait("the place of the beats", function() return redis.cli("KEYS '*:beats'"):match "%S+:beats" end)
    redis.cli(("HSET %s garbage nonsense"):format(support.quote(beats)))
    redis.cli(("ZADD %s 99999999999999 garbage"):format(support.quote((beats:gsub(":beats$", ":beat-ends")))))
    servers.stop(first, "KILL")
    second = servers.start(dir, worker:format(support.program, roles, queue, "second"), "second.out")
  end)
  teardown(function()
    servers.stop(run, "INT") -- while there is a broker to say goodbye to
    servers.stop(second)
    servers.stop_all()
    support.clean()
  end)

  for _, m in ipairs(METRICS) do
    local name = p .. m[1]
    it("is measured: " .. name, function()
      local values, text
      local ok = pcall(servers.wait, name, function()
        values, text = scrape()
        return values[name] and m[3](values[name], values)
      end)
      assert.is_true(ok, name .. " is " .. tostring(values[name]))
      assert.is_truthy(text:find(("\n# TYPE %s %s\n"):format(name, m[2]), 1, true), name .. " is no " .. m[2])
    end)
  end

  for _, expr in ipairs(EXPRESSIONS) do
    it("is answered by Prometheus: " .. expr, function()
      local line = "curl -s -m 10 http://127.0.0.1:%s/api/v1/query --data-urlencode %s"
      servers.wait(expr, function()
        local got = core.json_decode(support.shell(dir, line:format(prometheus, support.quote("query=" .. expr))).out)
        return type(got) == "table" and got.status == "success" and #got.data.result == 1
      end)
    end)
  end

  for event, fields in pairs(EVENTS) do
    it("is logged: " .. event, function()
      local o = servers.wait(event, function() return log()[event] end)
      for field, kind in pairs(fields) do assert.are.equal(kind, type(o[field]), field) end
    end)
  end

  it("names who was lost, when it was heard, and which queue", function()
    local events = log()
    assert.are.equal("first", events.heartbeat_timeout.worker_id)
    assert.is_truthy(events.heartbeat_timeout.last_heartbeat:find "^%d+%-%d%d%-%d%dT")
    assert.are.equal("mguard_tasks", events.queue_dispatched.queue_name)
    assert.is_true(events.queue_requeued.attempt_count >= 1 and #events.queue_requeued.reason > 5)
    assert.is_truthy(support.read(dir .. "/second.out"):find('"event":"worker_ready"', 1, true)) -- workers log the same way
  end)
end)
