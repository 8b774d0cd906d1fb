-- --metrics-port of `mguard run` and `mguard worker`: real runs are scraped, promtool judges the text, probes tell live from ready.
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
local function busy(seconds)
  local stop = os.clock() + seconds
  while os.clock() < stop do end
end
return mg.plan {
  checks = mg.checks { generate = function(g) return g.case, g:int(1, 9) end,
    properties = { mg.property { "same", check = function(out, _, x) return out == x end, hard = false } },
    implementations = {
      v1 = function(_, x) busy(0.002) return x end,
      v2 = function(case, x)
        if case == 3 then busy(60) end
        if case == 5 then os.exit(9) end
        if case == 30000 then busy(1.5) end
        return case == 4 and 0 or x
      end,
    } },
  baseline = "v1", candidate = "v2", cases = 100000, limits = { case_timeout_ms = 2500 },
}]]

-- As the design names them.
local NAMES <const> = {
  metamorphic_queue_pending_tasks = "gauge", metamorphic_queue_backlog_cases = "gauge", metamorphic_queue_oldest_task_seconds = "gauge",
  metamorphic_queue_inflight_cases = "gauge", metamorphic_queue_active_workers = "gauge", metamorphic_queue_cases_dispatched_total = "counter",
  metamorphic_queue_cases_completed_total = "counter", metamorphic_queue_cases_requeued_total = "counter",
  metamorphic_queue_worker_heartbeats_total = "counter", metamorphic_queue_timeout_failures_total = "counter",
  metamorphic_queue_serialization_errors_total = "counter", metamorphic_cases_total = "counter",
  metamorphic_case_duration_seconds = "histogram", metamorphic_queue_task_duration_seconds = "histogram",
  metamorphic_queue_dead_letters_total = "counter", metamorphic_queue_idled_workers = "gauge",
  metamorphic_queue_workers_lost_total = "counter", metamorphic_queue_journal_lag_seconds = "gauge",
  metamorphic_queue_journal_waiting_records = "gauge",
}
-- Of the link to the broker, the same from both sides.
local BROKER_NAMES <const> = {
  metamorphic_queue_broker_connected = "gauge", metamorphic_queue_broker_reconnects_total = "counter",
  metamorphic_queue_broker_throttled_total = "counter", metamorphic_queue_publish_duration_seconds = "histogram",
  metamorphic_queue_fetch_duration_seconds = "histogram", metamorphic_queue_messages_published_total = "counter",
  metamorphic_queue_messages_fetched_total = "counter", metamorphic_queue_payload_bytes_total = "counter",
  metamorphic_queue_lease_extensions_total = "counter",
}
local WORKER_NAMES <const> = {
  metamorphic_worker_cases_completed_total = "counter", metamorphic_worker_executor_restarts_total = "counter",
  metamorphic_worker_heartbeats_total = "counter",
  metamorphic_worker_quarantined = "gauge", metamorphic_worker_task_duration_seconds = "histogram",
}

describe("metrics", function()
  local dir
  before_each(function()
    dir = support.folder()
    support.write(dir, "plan.lua", PLAN)
  end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  -- Starts mguard with a port of its own choice, which its log names.
  local function start(arguments, name, environment)
    local line = ("%s %s %s --metrics-port 0 --log-file %s.log"):format(environment or "", support.program, arguments, name)
    local pid = servers.start(dir, "env " .. line, name .. ".out")
    local port = servers.wait_in("its port", dir .. "/" .. name .. ".log", '"event":"metrics_listening".-"port":(%d+)')
    return { pid = pid, port = port }
  end

  local function get(from, path, more)
    local got = support.shell(dir, ("curl -s -m 10 -o page.txt -w '%%{http_code}' %s http://127.0.0.1:%s%s"):format(more or "", from.port, path))
    return tonumber(got.out), support.read(dir .. "/page.txt")
  end

  -- The page as a map of series and values, after promtool has passed it.
  local function scrape(from)
    local status, text = get(from, "/metrics")
    assert.are.equal(200, status, text)
    local check = support.shell(dir, "promtool check metrics < page.txt")
    assert.are.same({ 0, "" }, { check.code, check.out .. check.err }, text)
    local values = {}
    for series, value in text:gmatch("\n(metamorphic_[^ ]+) ([^\n]+)") do values[series] = assert(tonumber(value), series) end
    return values, text
  end

  local function has(names, text)
    for name, kind in pairs(names) do
      assert.is_truthy(text:find(("\n# TYPE %s %s\n"):format(name, kind), 1, true), name .. " is missing:\n" .. text)
      assert.is_truthy(text:find(("\n# HELP %s %%w"):format(name)), name .. " has no help")
    end
  end

  it("of a run on one machine have the names of the design and add up", function()
    local run = start("run plan.lua --quiet --workers 1 --drain-timeout 0", "run")
    local before = servers.wait("cases that were counted", function()
      local values, text = scrape(run)
      if (values.metamorphic_queue_cases_completed_total or 0) < 300 or values.metamorphic_queue_worker_heartbeats_total == 0 then return nil end
      has(NAMES, text)
      has(BROKER_NAMES, text)
      has(WORKER_NAMES, text) -- of the worker inside
      return values
    end)
    local p = "metamorphic_queue_"
    assert.are.equal(100000, before[p .. "cases_completed_total"] + before[p .. "inflight_cases"] + before[p .. "backlog_cases"])
    assert.are.equal(1, before[p .. "active_workers"])
    assert.are.equal(1, before[p .. 'broker_connected{backend="memory"}'])
    assert.is_true(before[p .. 'messages_published_total{backend="memory"}'] >= 1)
    assert.is_true(before[p .. "cases_dispatched_total"] >= before[p .. "cases_completed_total"])
    assert.is_true(before[p .. "pending_tasks"] >= 1)
    assert.are.equal(1, before[p .. "timeout_failures_total"])
    assert.are.equal(1, before['metamorphic_cases_total{role="candidate",status="timeout"}'])
    assert.are.equal(1, before['metamorphic_cases_total{role="candidate",status="crash"}'])
    assert.are.equal(1, before['metamorphic_cases_total{role="candidate",status="fail"}'])
    for _, role in ipairs { "baseline", "candidate" } do
      local sum = 0
      for _, status in ipairs { "pass", "fail", "error", "timeout", "crash", "discard", "lost", "unrun" } do
        sum = sum + before[('metamorphic_cases_total{role="%s",status="%s"}'):format(role, status)]
      end
      assert.are.equal(before[p .. "cases_completed_total"], sum)
    end
    assert.is_true(before['metamorphic_case_duration_seconds_bucket{le="+Inf"}'] > 0)
    assert.are.equal(before["metamorphic_case_duration_seconds_count"], before['metamorphic_case_duration_seconds_bucket{le="+Inf"}'])
    local later = servers.wait("more of them", function()
      local values = scrape(run)
      return values[p .. "cases_completed_total"] > before[p .. "cases_completed_total"] and values
    end)
    for series, value in pairs(before) do
      if series:find("_total", 1, true) then assert.is_true(later[series] >= value, series .. " fell") end
    end
    assert.are.same({ 200, "ok\n" }, { get(run, "/healthz") })
    assert.are.same({ 200, "ready\n" }, { get(run, "/readyz") })
    servers.stop(run.pid, "INT")
  end)

  it("of coordinator and worker follow a broker that goes and comes back", function()
    local redis = servers.redis(dir)
    local queue = "--queue-config " .. servers.queue(redis, ',"heartbeat_timeout":3,"heartbeat_interval":0.3,"lease_seconds":10')
    local run = start("run plan.lua --quiet --drain-timeout 1 " .. queue, "run")
    servers.wait("the coordinator's connection", function() return get(run, "/readyz") == 200 end)
    servers.wait("waiting tasks", function()
      local v = scrape(run)
      return v.metamorphic_queue_oldest_task_seconds > 0 and v.metamorphic_queue_active_workers == 0 and v.metamorphic_queue_inflight_cases == 0
        and v.metamorphic_queue_backlog_cases == 100000
    end)
    local worker = start("worker --script plan.lua --executors 1 --name only " .. queue, "worker")
    local values, text
    servers.wait("work, crash and all", function()
      values, text = scrape(worker)
      return (values.metamorphic_worker_cases_completed_total or 0) > 100
    end, 40)
    has(WORKER_NAMES, text)
    has(BROKER_NAMES, text)
    local p, label = "metamorphic_queue_", '{backend="redis"}'
    assert.is_true(values[p .. "fetch_duration_seconds_count" .. label] > 0 and values[p .. "publish_duration_seconds_count" .. label] > 0)
    assert.is_true(values[p .. "messages_published_total" .. label] >= values.metamorphic_worker_tasks_completed_total - 2)
    assert.is_true(values[p .. 'payload_bytes_total{backend="redis",direction="received",form="framed"}'] > 0)
    assert.are.equal(1, values['metamorphic_worker_info{worker_id="only"}'])
    assert.is_true(values.metamorphic_worker_executor_restarts_total >= 1)
    assert.is_true(values.metamorphic_worker_heartbeats_total >= 1)
    assert.are.equal(0, values.metamorphic_worker_quarantined)
    servers.wait("the coordinator's view of it", function()
      local v = scrape(run)
      return v.metamorphic_queue_active_workers == 1 and v.metamorphic_queue_inflight_cases > 0
    end)
    servers.wait("a commit of the journal", function() return scrape(run)[p .. "journal_commit_seconds"] > 0 end)
    local node = ('{backend="redis",node="127.0.0.1:%s"}'):format(redis.port)
    servers.wait("what the broker tells of itself", function()
      local v = scrape(run)
      return (v[p .. "broker_memory_bytes" .. node] or 0) > 100000 and v[p .. "broker_memory_limit_bytes" .. node] == 0
        and v[p .. "broker_leased_tasks" .. label] > 0 and v[p .. "broker_dead_letters" .. label] == 0
    end)
    assert.are.same({ 200, 200 }, { (get(worker, "/readyz")), (get(worker, "/healthz")) })

    servers.stop(redis.pid)
    servers.wait("the loss of the broker", function() return scrape(run)[p .. "broker_connected" .. label] == 0 end)
    for _, side in ipairs { run, worker } do
      servers.wait("a side that is not ready", function()
        local status, why = get(side, "/readyz")
        return status == 503 and why == "no connection to the broker\n"
      end)
      assert.are.equal(200, (get(side, "/healthz")))
    end
    redis = servers.redis(dir, redis.port)
    for _, side in ipairs { run, worker } do
      servers.wait("a side that is ready again", function() return get(side, "/readyz") == 200 end)
    end
    for _, side in ipairs { run, worker } do
      servers.wait("the count of reconnections", function() return scrape(side)[p .. "broker_reconnects_total" .. label] >= 1 end)
    end

    -- A worker that drains is alive, but takes nothing more.
    support.write(dir, "long.lua", (PLAN:gsub("case == 30000", "case > 5")))
    servers.stop(run.pid, "INT")
    servers.stop(worker.pid)
    worker = start("worker --script long.lua --executors 1 " .. queue, "long-worker")
    run = start("run long.lua --quiet --drain-timeout 1 " .. queue, "long-run")
    servers.wait("a task", function() return (scrape(worker).metamorphic_worker_held_tasks or 0) > 0 end)
    servers.signal(worker.pid, "TERM")
    servers.wait("a worker that says it stops", function()
      local status, why = get(worker, "/readyz")
      return status == 503 and why == "stopping\n"
    end)
    assert.are.equal(200, (get(worker, "/healthz")))
    servers.stop(run.pid, "INT")
    servers.signal(worker.pid, "TERM")
    assert.are.equal("PONG", redis.cli "PING")
  end)

  it("want the token where there is one", function()
    local run = start("run plan.lua --quiet --workers 1 --drain-timeout 0", "open")
    assert.are.equal(200, (get(run, "/metrics")))
    servers.stop(run.pid, "INT")
    local guarded = start("run plan.lua --quiet --workers 1 --drain-timeout 0", "guarded", "MGUARD_METRICS_TOKEN=sesame")
    assert.are.equal(401, (get(guarded, "/metrics")))
    assert.are.equal(401, (get(guarded, "/metrics", "-H 'Authorization: Bearer open'")))
    assert.are.equal(200, (get(guarded, "/metrics", "-H 'Authorization: Bearer sesame'")))
    assert.are.equal(200, (get(guarded, "/healthz")))
    assert.is_nil(support.read(dir .. "/guarded.log"):find("sesame", 1, true))
    servers.stop(guarded.pid, "INT")
  end)

  it("come over TLS alone where there is a certificate", function()
    local made = support.shell(dir, [[for who in it other; do
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$who -addext subjectAltName=IP:127.0.0.1 \
        -keyout $who.key -out $who.crt || exit 1
    done; head -c 5 it.key > half.key]])
    assert.are.equal(0, made.code, made.err)
    local command = "run plan.lua --quiet --workers 1 --drain-timeout 0 --metrics-cert it.crt --metrics-key it.key"
    local run = start(command, "tls", "MGUARD_METRICS_TOKEN=sesame")
    local function code_of(more, scheme)
      local line = "curl -s -m 10 -o page.txt -w '%%{http_code}' %s %s://127.0.0.1:%s/metrics"
      return support.shell(dir, line:format(more, scheme or "https", run.port))
    end
    assert.are.equal("200", code_of("--cacert it.crt -H 'Authorization: Bearer sesame'").out)
    assert.are.equal("401", code_of("--cacert it.crt").out)
    assert.are.equal(60, code_of("--cacert other.crt").code) -- not the one that was given
    assert.are_not.equal("200", code_of("-H 'Authorization: Bearer sesame'", "http").out)
    servers.stop(run.pid, "INT")
    for arguments, parts in pairs {
      ["--metrics-cert it.crt"] = { "--metrics-cert is given without --metrics-key" },
      ["--metrics-key it.key"] = { "--metrics-key is given without --metrics-cert" },
      ["--metrics-cert it.crt --metrics-key other.key"] = { "other.key", "not the key", "it.crt" },
      ["--metrics-cert it.key --metrics-key it.key"] = { "--metrics-cert", "it.key", "no certificate" },
      ["--metrics-cert it.crt --metrics-key half.key"] = { "--metrics-key", "half.key", "no private key" },
      ["--metrics-cert none.crt --metrics-key it.key"] = { "none.crt", "No such file" },
    } do
      local got = support.mguard(dir, "run plan.lua --metrics-port 0 " .. arguments)
      assert.are.equal(4, got.code, got.out .. got.err)
      for _, part in ipairs(parts) do assert.is_truthy(got.err:find(part, 1, true), got.err) end
    end
  end)

  it("are refused with one clear message where they cannot be given", function()
    local taken = start("run plan.lua --quiet --workers 1 --drain-timeout 0", "taken")
    for arguments, parts in pairs {
      ["--metrics-port " .. taken.port] = { "127.0.0.1", taken.port, "in use" },
      ["--metrics-port many"] = { "--metrics-port", "65535", "many" },
      ["--metrics-port 70000"] = { "--metrics-port", "70000" },
      ["--metrics-host 127.0.0.1"] = { "--metrics-port" },
      ["--metrics-port 0 --metrics-host no-such-host.invalid"] = { "no-such-host.invalid" },
    } do
      for _, command in ipairs { "run plan.lua", "worker --script plan.lua --backend redis" } do
        local got = support.mguard(dir, command .. " " .. arguments)
        assert.are.equal(4, got.code, got.out .. got.err)
        for _, part in ipairs(parts) do assert.is_truthy(got.err:find(part, 1, true), got.err) end
        assert.are.equal(1, select(2, got.err:gsub("\n", "")), got.err)
      end
    end
    servers.stop(taken.pid, "INT")
  end)

  it("change nothing about the result", function()
    local without = support.run(dir, support.root .. "/examples/top_k/plan.lua", "--quiet --cases 2000")
    local with = support.run(dir, support.root .. "/examples/top_k/plan.lua", "--quiet --cases 2000 --metrics-port 0")
    assert.are.same({ without.code, without.report.outcome_digest }, { with.code, with.report.outcome_digest })
  end)
end)
