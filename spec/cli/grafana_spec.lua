-- docs/grafana and docs/operations/runbook.md against what runs: alerts by promtool, panels by a real Prometheus that scrapes a real run and its
-- worker, the runbook's commands by a shell.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
local function busy(x)
  local stop = os.clock() + 0.0005
  while os.clock() < stop do end
  return x
end
return mg.plan {
  checks = mg.checks { generate = function(g) return g:int(1, 9) end,
    properties = { mg.property { "same", check = function(out, x) return out == x end, hard = false } },
    implementations = { v1 = busy, v2 = busy } },
  baseline = "v1", candidate = "v2", cases = 10000000,
}]]

-- Told by brokers of partitions alone; that they have these names is seen in the source.
local KAFKA <const> = {
  metamorphic_queue_consumer_lag_messages = true, metamorphic_queue_partition_lag_messages = true, metamorphic_queue_partition_leader = true,
}

local function read(name) return support.read(support.root .. "/" .. name) end
local RULES <const> = read "docs/grafana/alerting-rules.yml"
local RUNBOOK <const> = read "docs/operations/runbook.md"
local DASHBOARD <const> = assert(core.json_decode(read "docs/grafana/mguard-dashboard.json"))

local function alerts()
  local list = {}
  for name in RULES:gmatch "alert: (%w+)" do list[#list + 1] = name end
  return list
end

-- { title = , expr = } of every query of the dashboard.
local function queries()
  local list = {}
  for _, panel in ipairs(DASHBOARD.panels) do
    for _, target in ipairs(panel.targets or {}) do list[#list + 1] = { title = panel.title, expr = target.expr } end
  end
  return list
end

describe("alerting rules", function()
  it("fire when they should and not before, by promtool", function()
    local got = support.shell(support.root .. "/tests/grafana", "promtool test rules alerting-rules.test.yml")
    assert.are.equal(0, got.code, got.out .. got.err)
  end)

  it("are all tested, and stand in the runbook", function()
    local tests, known = read "tests/grafana/alerting-rules.test.yml", {}
    assert.is_true(#alerts() >= 20)
    for _, name in ipairs(alerts()) do
      known[name] = true
      local fires = ('alertname="%s",alertstate="firing"'):format(name)
      assert.is_truthy(tests:find(fires, 1, true), name .. " never fires in the tests")
      assert.is_truthy(RULES:find("docs/operations/runbook.md#" .. name:lower() .. "\n", 1, true), name .. " has no link to its section")
      assert.is_truthy(RUNBOOK:find("\n## " .. name .. "\n", 1, true), name .. " has no section in the runbook")
    end
    for name in RUNBOOK:gmatch "%]%(#(%w+)%)" do
      assert.is_truthy(RUNBOOK:lower():find("\n## " .. name .. "\n", 1, true), "the runbook links to " .. name)
    end
    for _, asked in ipairs { "NoActiveWorkers", "QueueBackendDown", "QueueBacklog", "HighRequeueRate", "SlowCompletion", "DeadLetters",
      "WorkerFlapping", "JournalBehind", "HighTimeoutRate", "LostMessages" } do
      assert.is_true(known[asked], asked)
    end
  end)
end)

describe("a real Prometheus", function()
  local dir, ports, redis, log, pids
  setup(function()
    dir = support.folder()
    support.write(dir, "plan.lua", PLAN)
    redis = servers.redis(dir)
    redis.cli "config set maxmemory 1gb"
    support.write(dir, "queue.json", ('{"backend":"redis","connection":{"host":"127.0.0.1","port":%s}}'):format(redis.port))
    ports = { run = servers.port(), worker = servers.port(), prometheus = servers.port() }
    support.write(dir, "prometheus.yml", ([[
global: { scrape_interval: 500ms, evaluation_interval: 1s }
rule_files: ["%s/docs/grafana/alerting-rules.yml"]
scrape_configs:
  - job_name: mguard
    static_configs: [{ targets: ["127.0.0.1:%s", "127.0.0.1:%s"] }]
]]):format(support.root, ports.run, ports.worker))
    local worker = "%s worker --script plan.lua --queue-config queue.json --executors 1 --metrics-port %s"
    local run = "%s run plan.lua --quiet --drain-timeout 0 --queue-config queue.json --metrics-port %s --log-file run.log"
    local prometheus = "prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:%s --log.level=warn"
    pids = { servers.start(dir, run:format(support.program, ports.run), "run"),
      servers.start(dir, worker:format(support.program, ports.worker), "worker"),
      servers.start(dir, prometheus:format(ports.prometheus), "prometheus") }
    log = servers.wait("the run's first answers", function()
      local file = io.open(dir .. "/run.log")
      local text = file and file:read("a")
      if file then file:close() end
      return text and text:find('"queue_completed"', 1, true) and text
    end, 60)
  end)
  teardown(function()
    for _, pid in ipairs(pids) do servers.stop(pid, "INT") end -- while there is a broker to say goodbye to
    servers.stop_all()
    support.clean()
  end)

  -- The answer's data; NULL where it does not answer (yet).
  local function ask(path, query)
    local line = ("curl -s -m 10 http://127.0.0.1:%s/api/v1/%s"):format(ports.prometheus, path)
    if query then line = line .. " --data-urlencode " .. support.quote("query=" .. query) end
    local answer = core.json_decode(support.shell(dir, line).out)
    assert.is_true(type(answer) ~= "table" or answer.status == "success", query)
    return type(answer) == "table" and answer.data or nil
  end

  it("has what every panel of the dashboard asks for", function()
    for _, q in ipairs(queries()) do
      local expr = q.expr:gsub("%$__rate_interval", "4s"):gsub("%$instance", ".*")
      local kafka = KAFKA[expr:match "metamorphic_[a-z_]+"]
      servers.wait(q.title .. ": " .. expr, function()
        local data = ask("query", expr)
        return data and (kafka or #data.result > 0)
      end, 60)
    end
  end)

  it("knows every metric that rules, dashboard and runbook name", function()
    local exposed = {}
    for _, name in ipairs(ask("label/__name__/values")) do exposed[name] = true end
    local source = read "engine/cli/monitor_broker.c"
    local names = RULES .. RUNBOOK:gsub("%^metamorphic_", "") -- patterns of grep are no names
    for _, q in ipairs(queries()) do names = names .. q.expr .. "\n" end
    local count = 0
    for name in names:gmatch "metamorphic_[a-z_]+" do
      local told = exposed[name] or (KAFKA[name] and source:find('"' .. name .. '"', 1, true))
      assert.is_truthy(told or exposed[name .. "_bucket"], name .. " is not exposed")
      count = count + 1
    end
    assert.is_true(count > 80)
    for name in pairs(KAFKA) do assert.is_nil(exposed[name], name) end
  end)

  it("evaluates every rule", function()
    local rules = servers.wait("the rules", function()
      local list, data = {}, ask("rules")
      for _, group in ipairs(data and data.groups or {}) do
        for _, rule in ipairs(group.rules) do
          if rule.health == "unknown" then return nil end
          list[#list + 1] = rule
        end
      end
      return #list > 0 and list
    end)
    assert.are.equal(#alerts(), #rules)
    for _, rule in ipairs(rules) do
      assert.are.equal("ok", rule.health, rule.name .. ": " .. tostring(rule.lastError))
      assert.are_not.equal("firing", rule.state, rule.name)
    end
  end)

  it("stands beside a runbook whose commands run", function()
    local run, ran = log:match '"run_id":"([^"]+)"', 0
    local tools = { mguard = true, curl = true, jq = true, ["redis-cli"] = true, df = true }
    local lines = {}
    for block in RUNBOOK:gmatch "```sh norun\n(.-)```" do
      for line in block:gmatch "[^\n]+" do
        if tools[line:match "^%S+"] and not lines[line] then lines[#lines + 1], lines[line] = line, true end
      end
    end
    for _, line in ipairs(lines) do
      local command = line:gsub("^mguard", support.quote(support.program)):gsub(":9101", ":" .. ports.run):gsub(":9102", ":" .. ports.worker)
        :gsub("6390", redis.port):gsub("%-%-wait 600", "--wait 0")
      -- A worker serves until it is told to stop; commands that show nothing where nothing is wrong end with 1, doctor's warnings too.
      if line:find "^mguard worker" then command = "timeout --preserve-status 2 " .. command end
      local got = support.shell(dir, ("RUN=%s; %s"):format(run, command))
      local fine = got.code == 0 or (got.code == 1 and (line:find "doctor" or line:find "grep")) or (got.code == 5 and line:find "drain")
        or (got.code == 4 and got.err:find "there is no such dead letter")
      assert.is_truthy(fine, ("%s ended with %d:\n%s%s"):format(line, got.code, got.out, got.err))
      if line:find "^curl.-grep" and not line:find "status=" then assert.is_truthy(got.out:find "metamorphic_", line) end
      ran = ran + 1
    end
    assert.is_true(ran >= 25, ran)
  end)
end)
