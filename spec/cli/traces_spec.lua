-- --otlp-endpoint and the OTEL_ variables: real runs send to a real HTTP receiver, whose bodies are held against OTLP's structure.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
return mg.plan {
  checks = mg.checks { generate = function(g) return g:int(1, 9) end,
    properties = { mg.property { "same", check = function(out, x) return out == x end } },
    implementations = {
      v1 = function(x) return x end,
      v2 = function(x)
        local stop = os.clock() + 0.01
        while os.clock() < stop do end
        return x
      end,
    } },
  baseline = "v1", candidate = "v2", cases = 200, goal = mg.goal.noninferiority(0.3), batching = function() return 5 end,
}]]

describe("traces", function()
  local dir
  before_each(function()
    dir = support.folder()
    support.write(dir, "plan.lua", PLAN)
  end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  local function collector(mode) return servers.collector(dir, mode) end

  local function read(from)
    local got = support.shell(dir, ("python3 %s/tests/collector/otlp_check.py %s"):format(support.root, from.folder))
    assert.are.equal(0, got.code, got.err)
    local told = core.json_decode(got.out)
    assert.are.same({}, told.faults)
    return told
  end

  local function run(environment, arguments)
    return support.shell(dir, ("env %s %s run plan.lua --quiet --log-file run.log %s"):format(environment, support.program, arguments or ""))
  end

  it("link a run, its tasks, and what two workers did with them", function()
    local redis, to = servers.redis(dir), collector "collect"
    local queue = "--queue-config " .. servers.queue(redis)
    local workers = {}
    for _, name in ipairs { "one", "two" } do
      workers[#workers + 1] = servers.start(dir, ("%s worker --script plan.lua --executors 1 --name %s --log-file %s.log --otlp-endpoint %s/ %s")
        :format(support.program, name, name, to.url, queue), name .. ".out")
      servers.wait("worker " .. name, function()
        local file <close> = io.open(dir .. "/" .. name .. ".log")
        return file and file:read("a"):find('"event":"worker_ready"', 1, true)
      end)
    end
    local got = run("OTEL_RESOURCE_ATTRIBUTES=deployment.environment=test%20bench,team=a OTEL_EXPORTER_OTLP_HEADERS='x-key=se%63ret, x-other = 2 '",
      queue .. " --otlp-endpoint " .. to.url)
    assert.are.equal(0, got.code, got.err)
    for _, pid in ipairs(workers) do servers.stop(pid) end

    local told = read(to)
    assert.are.same({}, told.orphans)
    assert.are.same({}, told.errors)
    assert.are.equal(1, #told.traces)
    assert.are.equal(1, told.names.run)
    assert.are.equal("adopt", told.runs[1].verdict)
    assert.are_not.equal("string", type(told.runs[1].parent))
    assert.are.equal("test bench", told.runs[1].resource["deployment.environment"])
    assert.are.equal("mguard", told.runs[1].resource["service.name"])
    assert.is_true(told.sides.worker.one > 0 and told.sides.worker.two > 0)
    assert.is_true(told.names.task >= 41) -- 200 cases by fives, and the sample that is run twice
    for _, spans in ipairs(told.tasks) do
      assert.are.equal(1, spans.task)
      for _, name in ipairs { "publish", "wait", "execute", "settle" } do assert.is_true((spans[name] or 0) >= 1, name) end
    end
    local headers = table.concat(told.headers, "\n") .. "\n"
    assert.is_truthy(headers:find("x-key: secret\n", 1, true))
    assert.is_truthy(headers:find("x-other: 2\n", 1, true))
  end)

  it("follow the variables of OpenTelemetry", function()
    local to = collector "collect"
    local endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=" .. to.url .. " "
    local parent = "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
    for _, off in ipairs { "OTEL_SDK_DISABLED=true",
      "OTEL_TRACES_EXPORTER=none", "OTEL_TRACES_SAMPLER=always_off", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
      parent .. "00" } do
      assert.are.equal(0, run(endpoint .. off, "--cases 20").code)
      assert.are.equal(0, support.shell(dir, "ls " .. to.folder .. " | wc -l").out + 0, off)
    end
    assert.is_truthy(support.read(dir .. "/run.log"):find('"event":"trace_setting_ignored"', 1, true))
    assert.are.equal(0, run(endpoint .. "OTEL_SERVICE_NAME=mine " .. parent .. "01", "--cases 20 --trace-share 0").code)
    local told = read(to)
    assert.are.same({ run = 1 }, told.names)
    assert.are.equal("0af7651916cd43dd8448eb211c80319c", told.traces[1])
    local traced = 0
    for line in support.read(dir .. "/run.log"):gmatch "[^\n]+" do
      local o = assert(core.json_decode(line), line)
      if o.trace_id then
        assert.are.equal(told.traces[1], o.trace_id)
        traced = traced + (o.event == "run_eval_start" and 1 or 0) + (o.event == "run_eval_complete" and 1 or 0)
      end
    end
    assert.are.equal(2, traced) -- of this run alone
    assert.are.equal("b7ad6b7169203331", told.runs[1].parent)
    assert.are.equal("mine", told.runs[1].resource["service.name"])
  end)

  it("cost a run nothing but its spans where the collector is dead, slow or unwilling", function()
    local plain = support.run(dir, "plan.lua", "--quiet --cases 20")
    local nobody, slow, unwilling = "http://127.0.0.1:" .. servers.port(), collector "slow 120", collector "refuse"
    for _, url in ipairs { nobody, slow.url, unwilling.url } do
      local begun = os.time()
      local got = support.run(dir, "plan.lua", "--quiet --cases 20 --log-file lost.log --otlp-endpoint " .. url, 100)
      assert.are.same({ plain.code, plain.report.outcome_digest }, { got.code, got.report.outcome_digest })
      assert.is_true(os.time() - begun < 60, "the run waited for its collector") -- the slow one takes two minutes
      local log = support.read(dir .. "/lost.log")
      assert.is_truthy(log:find('"event":"traces_lost"', 1, true), log)
      os.remove(dir .. "/lost.log")
    end
  end)

  it("are refused with one clear message where they cannot be had", function()
    for arguments, parts in pairs {
      ["--otlp-endpoint nonsense:"] = { "nonsense", "http://" },
      ["--otlp-endpoint ftp://127.0.0.1"] = { "ftp://127.0.0.1", "http://" },
      ["--trace-share 0.5"] = { "--otlp-endpoint" },
      ["--trace-share 2 --otlp-endpoint http://127.0.0.1:1"] = { "--trace-share", "0 to 1", "2" },
    } do
      local got = support.mguard(dir, "run plan.lua " .. arguments)
      assert.are.equal(4, got.code, arguments .. got.err)
      for _, part in ipairs(parts) do assert.is_truthy(got.err:find(part, 1, true), got.err) end
      assert.are.equal(1, select(2, got.err:gsub("\n", "")), got.err)
    end
    local got = run "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_EXPORTER_OTLP_TIMEOUT=soon"
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("OTEL_EXPORTER_OTLP_TIMEOUT", 1, true))
  end)
end)
