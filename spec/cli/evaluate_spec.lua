-- `mguard evaluate`, and what `mguard run` and `mguard worker` take from the command line: files as implementations, goals.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local OLD <const> = [[
return function(list, k)
  table.sort(list, function(a, b) return a > b end)
  return table.move(list, 1, math.min(k, #list), 1, {})
end
]]
local NEW <const> = [[
import heapq
def solve(entries, k):
    return heapq.nlargest(k, entries)
]]
local WRONG <const> = "return function(list, k) return table.move(list, 1, math.min(k, #list), 1, {}) end\n"

describe("mguard evaluate", function()
  local dir
  before_each(function()
    dir = support.folder()
    support.write(dir, "old.lua", OLD)
    support.write(dir, "new.py", NEW)
    support.write(dir, "wrong.lua", WRONG)
  end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  it("compares two files by a built-in task", function()
    local got = support.mguard(dir, "evaluate --task top_k --baseline old.lua --candidate new.py --n 600 --seed 3 --report-dir reports")
    assert.equal(0, got.code, got.err)
    local name = got.err:match "\nreport: (reports/report%-%d+%-%d+%.json)\n"
    local report = core.json_decode(support.read(dir .. "/" .. name))
    assert.equal(600, report.cases)
    assert.equal(3, report.seed)
    assert.same({ "old.lua", "new.py", "task:top_k" }, { report.baseline, report.candidate, report.script })
  end)

  it("wants a pass rate of the candidate's own, too", function()
    support.write(dir, "soft.lua", [[
local mg = require "mguard"
return mg.checks {
  name = "soft",
  generate = function(g) return g:int(1, 100) end,
  properties = { mg.property { "small", hard = false, check = function(out) return out <= 80 end } },
  implementations = { same = function(v) return v end },
}
]])
    local function verdict(rate)
      local got = support.mguard(dir, "evaluate --task soft.lua --baseline same --candidate same --n 2000 --min-delta -0.05 --min-pass-rate " .. rate)
      return got.code, got.out:match "Reasons\n  %- ([^\n]+)"
    end
    assert.equal(0, (verdict "0.7"))
    local code, reason = verdict "0.9"
    assert.equal(1, code)
    assert.matches("^candidate passes [78]", reason)
    local got = support.mguard(dir, "evaluate --task soft.lua --baseline same --candidate same --min-pass-rate 1")
    assert.equal(4, got.code)
    assert.matches("%-%-min%-pass%-rate", got.err)
    got = support.mguard(dir, "run soft.lua --candidate same --cases 2000 --min-pass-rate 0.7")
    assert.equal(0, got.code, got.out .. got.err)
  end)

  it("rejects a wrong one, and its replay line shows why", function()
    local got = support.mguard(dir, "evaluate --task top_k --baseline old.lua --candidate wrong.lua --n 300")
    assert.equal(1, got.code, got.err)
    local line = got.out:match "replay +mguard (replay [^\n]+)"
    assert.truthy(line:find("--candidate wrong.lua", 1, true), line)
    local again = support.mguard(dir, line)
    assert.equal(1, again.code, again.err)
    assert.truthy(again.out:find("\ncandidate wrong.lua: fail\n", 1, true), again.out)
  end)

  it("tells files of one name apart", function()
    support.shell(dir, "mkdir a && cp wrong.lua a/old.lua")
    for _, roles in ipairs { { "old.lua", "a/old.lua", 1 }, { "a/old.lua", "old.lua", 0 } } do
      local got = support.mguard(dir, ("evaluate --task top_k --baseline %s --candidate %s --n 1000"):format(roles[1], roles[2]))
      assert.equal(roles[3], got.code, got.out .. got.err)
      assert.truthy(got.out:find("candidate old.lua against old.lua", 1, true), got.out)
    end
  end)

  it("replays from its report", function()
    support.mguard(dir, "evaluate --task top_k --baseline old.lua --candidate wrong.lua --n 300 --quiet --report-dir r")
    local again = support.mguard(dir, "replay r/*.json --case 0")
    again = again.code ~= 4 and again or support.shell(dir, support.quote(support.program) .. " replay $(ls r/*.json) --case 0")
    assert.truthy(again.out:find("\nbaseline old.lua: pass\n", 1, true), again.out .. again.err)
  end)

  it("takes the goal from --min-delta or --policy", function()
    local function goal(flags)
      support.mguard(dir, "evaluate --task top_k --baseline old.lua --candidate old.lua --n 50 --quiet --report-dir r " .. flags)
      local report = core.json_decode(support.shell(dir, "cat r/*.json; rm r/*.json").out)
      return report.goal.kind, report.goal.margin, report.goal.alpha, report.difference.method, report.candidate
    end
    assert.same({ "superiority", 0.02, 0.05, "tango", "old.lua" }, { goal "--min-delta 0.02" })
    assert.same({ "noninferiority", 0.03, 0.05, "tango", "old.lua" }, { goal "--min-delta -0.03" })
    assert.same({ "equivalence", 0.1, 0.01, "bayes", "old.lua" },
      { goal "--policy equivalence:margin=0.1 --alpha 0.01 --ci-method bayes" })
  end)

  it("knows every option of mguard run, if by another name", function()
    local other = { cases = "n", goal = "policy", interval = "ci-method", workers = "parallel", ["memory-mb"] = "mem-mb",
      ["timeout-ms"] = "timeout-s", ["report-json"] = "report-dir", backend = "dispatcher" }
    local mine, count = support.mguard(dir, "evaluate --help").out, 0
    for option in support.mguard(dir, "run --help").out:gmatch "\n  %-%-([%l-]+)" do
      count = count + 1
      local name = other[option] or option
      assert.truthy(option == "resume" or mine:find("\n  --" .. name .. " ", 1, true), "evaluate has no --" .. name)
    end
    assert.is_true(count > 30, count)
  end)

  it("hands on what a run tells others, and where it is watched", function()
    local to = servers.collector(dir, "collect")
    local got = support.mguard(dir, ("evaluate --task top_k --baseline old.lua --candidate wrong.lua --n 300 --quiet --metrics-port 0 "
      .. "--metrics-host 127.0.0.1 --live-port 0 --live-host 127.0.0.1 --otlp-endpoint %s --trace-share 1 --webhook %s/hook "
      .. "--webhook-format slack --outcomes cases.csv --fail-fast --drain-timeout 5 --state-dir runs --log-file run.log"):format(to.url, to.url))
    assert.equal(1, got.code, got.err)
    local log, posts = support.read(dir .. "/run.log"), support.shell(dir, "cat kept-collect/*").out
    for _, event in ipairs { "metrics_listening", "live_listening" } do assert.truthy(log:find('"event":"' .. event .. '"', 1, true), log) end
    assert.truthy(posts:find("resourceSpans", 1, true), posts)
    assert.truthy(posts:find('"blocks"', 1, true) or posts:find('"text"', 1, true), posts)
    assert.truthy(support.shell(dir, "ls kept-collect; grep -l '^POST /hook 200' kept-collect/*").out:find "%.headers", posts)
    assert.truthy(support.read(dir .. "/cases.csv"):find "^case,role,outcome")
    got = support.mguard(dir, "evaluate --task top_k --baseline old.lua --candidate new.py --metrics-host 127.0.0.1")
    assert.equal(4, got.code)
    assert.truthy(got.err:find("give --metrics-port too", 1, true), got.err)
  end)

  it("says what is wrong", function()
    local base = "evaluate --task top_k --baseline old.lua --candidate new.py "
    for flags, message in pairs {
      ["--policy better"] = "%-%-goal: must be a goal as .*, got \"better\"\nmguard evaluate: that was mguard run .*%-%-goal better .*task:top_k\n$",
      ["--policy absolute:0.9"] = "%-%-goal: absolute judges one implementation alone",
      ["--policy superiority:2"] = "%-%-goal: .*margin must be a number",
      ["--min-delta 0.1 --policy superiority"] = "both say the goal",
      ["--n 0"] = "^mguard evaluate: %-%-n must be a number from 1 to",
      ["--dispatcher queue"] = "%-%-dispatcher queue needs %-%-queue%-config",
      ["--dispatcher cloud"] = "%-%-dispatcher must be local or queue, got cloud",
      ["--candidate missing.lua"] = "cannot read the implementation: .*missing%.lua: No such file",
      ["--candidate thing.rb"] = "%-%-candidate: candidate \"thing%.rb\" is no implementation and no %.lua or %.py file",
      ["--task tpo_k"] = "there is no built%-in task \"tpo_k\"; built in: top_k",
    } do
      local got = support.mguard(dir, base .. flags)
      assert.equal(4, got.code, flags)
      assert.matches(message, got.err, nil, false, flags)
    end
    assert.matches("%-%-task is missing", support.mguard(dir, "evaluate").err)
  end)

  it("prints a worker's command that serves the run", function()
    local redis = servers.redis(dir)
    local queue = servers.queue(redis)
    local run = "evaluate --task top_k --baseline old.lua --candidate new.py --n 600 --dispatcher queue --queue-config " .. queue
    local started = servers.start(dir, support.quote(support.program) .. " " .. run, dir .. "/run.log")
    local line = servers.wait("the worker's command", function() return support.read(dir .. "/run.log.err"):match "\n  mguard (worker [^\n]+)\n" end)
    local worker = servers.start(dir, support.quote(support.program) .. " " .. line, dir .. "/worker.log")
    servers.wait("the end of the run", function() return not servers.alive(started) end, 60)
    local out = support.read(dir .. "/run.log")
    assert.truthy(out:find("ADOPT", 1, true), out .. support.read(dir .. "/run.log.err") .. support.read(dir .. "/worker.log.err"))
    servers.stop(worker)
  end)
end)

describe("mguard run with checks and flags alone", function()
  it("makes the plan of them", function()
    local checks = support.root .. "/examples/top_k/checks.lua"
    local got = support.mguard(".", "run " .. checks .. " --candidate v2 --cases 500 --goal absolute:0.9")
    assert.equal(0, got.code, got.err)
    got = support.mguard(".", "run " .. checks)
    assert.equal(4, got.code)
    assert.truthy(got.err:find("--candidate", 1, true), got.err)
  end)
end)
