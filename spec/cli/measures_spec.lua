-- Metrics, times, groups and clusters of real runs: what decides, what alerts, and that measuring changes no outcome.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

-- Roles crash, hang, raise and fail in turn; which side goes first must not matter to any of it.
local BAD <const> = [[
local mg = require "mguard"
local function odd(case)
  if case % 97 == 11 then os.exit(3) end
  if case == 50 then while true do end end
  if case % 10 == 3 then error "no" end
end
return mg.plan {
  checks = mg.checks {
    generate = function(g) g:label("third", g.case % 3 == 0) if g.case % 50 == 7 then g:discard() end return g.case end,
    properties = { mg.property { "whole", check = function(out) return out % 1 == 0 end, hard = false } },
    relations = { mg.relation { "again", transform = function(_, n) return n end, hard = false } },
    implementations = {
      v1 = function(n) odd(n) return n end,
      v2 = function(n) odd(n + 20) return n % 7 == 1 and n + 0.5 or n end,
    },
  },
  baseline = "v1", candidate = "v2", cases = 200, seed = 1, limits = { case_timeout_ms = 2500 }, MORE
}
]]

local METRICS <const> = [[
local mg = require "mguard"
return mg.checks {
  generate = function(g) return g:int(1, 1000), g:choice { "de", "en", "fr" } end,
  group = function(_, language) return language end,
  cluster = CLUSTER,
  properties = { mg.property { "good", check = function(out) return out.good end, hard = false } },
  metrics = {
    mg.metric { "length", value = function(out, n) out.n = nil return n + out.extra end, better = "lower" },
    mg.metric { "score", value = function(out) return out.score end, better = "higher", kind = "ratio" },
    mg.metric { "tail", value = function(out) return out.score end, better = "higher", kind = "quantile", quantile = 0.9 },
    mg.metric { "sometimes", value = function(out, n) if n % 4 == 0 then return n end if n % 4 == 1 then error "none" end end },
  },
  implementations = {
    v1 = function(n, language) return { n = n, extra = 0, score = n, good = n % 50 ~= 0 } end,
    v2 = function(n, language)
      return { n = n, extra = n % 2, score = n * 0.95, good = n % 50 ~= 0 and not (language == "fr" and n % 5 == 0) }
    end,
    same = function(n, language) return { n = n, extra = 0, score = n, good = n % 50 ~= 0 } end,
  },
}
]]

local function plan(more, cases)
  return ([[
local mg = require "mguard"
return mg.plan { checks = "checks.lua", baseline = "v1", candidate = "same", cases = %d, seed = 5, %s }
]]):format(cases or 3000, more or "")
end

describe("measuring", function()
  local dir
  setup(function()
    dir = support.folder()
    support.write(dir, "plain.lua", (BAD:gsub("MORE", "")))
    support.write(dir, "timed.lua", (BAD:gsub("MORE", 'measure = { "latency" }')))
    support.write(dir, "checks.lua", (METRICS:gsub("CLUSTER", "nil")))
  end)
  teardown(support.clean)

  local function run(text, arguments, limit)
    support.write(dir, "plan.lua", text)
    return support.run(dir, "plan.lua", arguments or "--quiet", limit)
  end
  local function metric(report, name)
    for _, m in ipairs(report.metrics) do
      if m.name == name then return m end
    end
  end

  it("changes no outcome, whichever side goes first", function()
    local plain = support.run(dir, "plain.lua", "--quiet", 120)
    assert.is_true(plain.report.outcomes.candidate.crash > 0 and plain.report.outcomes.candidate.timeout > 0, plain.err)
    assert.is_true(plain.report.outcomes.baseline.crash > 0 and plain.report.outcomes.baseline.timeout > 0)
    assert.are.same({}, plain.report.metrics)
    for _, workers in ipairs { 1, 2 } do
      local timed = support.run(dir, "timed.lua", "--quiet --workers " .. workers, 120)
      assert.are.same(plain.report.outcomes, timed.report.outcomes)
      assert.are.same(plain.report.clauses, timed.report.clauses)
      assert.are.same(plain.report.labels, timed.report.labels)
      assert.are.equal(plain.report.outcome_digest, timed.report.outcome_digest)
      local latency = metric(timed.report, "latency")
      assert.is_true(latency.n > 100 and latency.missing > 0)
      assert.is_true(latency.baseline.least > 0 and latency.candidate.p95 > 0)
    end
  end)

  it("lets the candidate go first on every other case", function()
    support.write(dir, "order.lua", ([[
      local mg = require "mguard"
      local function note(side) return function(n) local f = io.open(%q, "a") f:write(side, n, "\n") f:close() return n end end
      return mg.plan { checks = mg.checks { generate = function(g) return g.case end,
        implementations = { v1 = note "b", v2 = note "c" } }, baseline = "v1", candidate = "v2", cases = 6, workers = 1, MORE }
    ]]):format(dir .. "/order.txt"))
    local text = support.read(dir .. "/order.lua")
    for more, wanted in pairs { [""] = "b0c0b1c1b2c2b3c3", ['measure = { "latency" }'] = "b0c0c1b1b2c2c3b3" } do
      os.remove(dir .. "/order.txt")
      support.write(dir, "order.lua", (text:gsub("MORE", more)))
      local got = support.run(dir, "order.lua", "--quiet")
      assert.is_truthy(got.report, got.err)
      assert.are.equal(wanted, support.read(dir .. "/order.txt"):gsub("\n", ""):sub(1, 16))
    end
  end)

  it("gives the same numbers for any number of workers and size of tasks", function()
    local wanted
    for _, arguments in ipairs { "--workers 1", "--workers 2",
      [[--workers 2 --queue-config '{"batch_size": 37}']], [[--queue-config '{"batch_size": 1500}']] } do
      local got = run(plan('candidate = "v2"', 3000):gsub('candidate = "same", ', ""), "--quiet " .. arguments)
      assert.is_truthy(got.report, got.err)
      local seen = { got.report.metrics, got.report.groups, got.report.fairness, got.report.relative_risk }
      wanted = wanted or seen
      assert.are.same(wanted, seen, arguments)
    end
    local length, score, sometimes = wanted[1][1], wanted[1][2], wanted[1][4]
    assert.are.equal("student", length.method)
    assert.is_true(math.abs(length.estimate - 0.5) < 0.05 and length.low < 0.5 and length.high > 0.45)
    assert.is_true(math.abs(score.estimate - 0.95) < 1e-9 and score.method == "signed-rank")
    assert.is_true(math.abs(wanted[1][3].estimate - 0.95) < 1e-9 and wanted[1][3].method == "bootstrap")
    assert.is_true(sometimes.missing > 2000 and sometimes.n + sometimes.missing == 3000)
    assert.are.equal(3, #wanted[2])
    assert.are.equal("fr", wanted[3].worst)
  end)

  it("gives the same numbers from workers over a broker, and from the journal", function()
    local config = servers.queue(servers.redis(dir))
    finally(servers.stop_all)
    -- the plan's own metric and clusters: workers that have the checks alone could not know them
    local text = plan([[metrics = { mg.metric { "own", value = function(out, n) return n / 3 end, kind = "quantile" } },
      cluster = function(n) return n % 40 end, measure = { "latency" }, goal = mg.goal.noninferiority(0.2)]], 2000):gsub('"same"', '"v2"')
    local function numbers(report)
      local list = {}
      for _, m in ipairs(report.metrics) do list[#list + 1] = m.name ~= "latency" and m or { m.n, m.missing, m.used } end
      return { list, report.groups, report.fairness, report.difference, report.clusters, report.outcome_digest }
    end
    local wanted = run(text)
    assert.are.equal(0, wanted.code, wanted.err)
    assert.are.equal("robust", wanted.report.difference.method)
    for i = 1, 2 do
      local line = ("%s worker --script plan.lua --executors 1 --backend redis --queue-config %s"):format(support.quote(support.program), config)
      servers.start(dir, line, dir .. "/worker" .. i .. ".log")
    end
    local got = run(text, "--quiet --state-dir st --backend redis --queue-config " .. config, 120)
    assert.is_truthy(got.report, got.err)
    assert.are.same(numbers(wanted.report), numbers(got.report))
    local told = support.mguard(dir, "report latest --state-dir st --json")
    assert.are.equal(0, told.code, told.err)
    assert.are.same(numbers(wanted.report), numbers(assert(core.json_decode(told.out))))
  end)

  it("adopts only where the pass rate and every endpoint hold", function()
    local got = run(plan "endpoints = { length = 0.1, score = 0.01 }")
    assert.are.equal(0, got.code, got.err .. core.show(got.report.reasons))
    assert.matches("an adopt needs the pass rate and 2 endpoints together: all hold$", got.report.reasons[4])
    -- the pass rate holds, one endpoint does not
    local worse = "function(n, l) return { n = n, extra = 0, score = 0.9 * n, good = n %% 50 ~= 0 } end"
    got = run((plan "endpoints = { length = 0.1, score = 0.01 }":gsub('"same"', worse)))
    assert.are.equal(1, got.code)
    assert.matches("^score: the ratio, candidate to baseline, is 0.9 .*lies on the wrong side of the limit of 0.99$", got.report.reasons[1])
    assert.matches("together: score decides$", got.report.reasons[#got.report.reasons])
    assert.are.equal("no", metric(got.report, "score").holds)
    -- open: the margin lies inside the interval
    local longer = "function(n, l) return { n = n, extra = n %% 2, score = n, good = n %% 50 ~= 0 } end"
    got = run((plan "endpoints = { length = 0.48 }":gsub('"same"', longer)))
    assert.are.equal(2, got.code)
    assert.matches("^length: .*contains the limit of %+0.48; at this spread %d+ pairs would decide$", got.report.reasons[1])
  end)

  it("alerts where an interval crosses the limit, and leaves the verdict", function()
    local watched = plan "monitors = { length = 0.3, score = 0.06, fairness = 0.05 }, goal = mg.goal.noninferiority(0.2)"
    local got = run((watched:gsub('"same"', '"v2"')), "--log-file " .. dir .. "/log.jsonl")
    assert.are.equal(0, got.code, got.out)
    assert.are.equal(2, #got.report.alerts)
    assert.matches("^length: .* lies wholly beyond the limit of %+0.3$", got.report.alerts[1])
    assert.matches("^fairness: candidate passes .* of group fr; .* lies wholly beyond the limit of 5 %%$", got.report.alerts[2])
    assert.is_true(metric(got.report, "length").alert)
    assert.is_false(metric(got.report, "score").alert)
    assert.matches("Alerts\n  - length", got.out, 1, true)
    local _, logged = support.read(dir .. "/log.jsonl"):gsub('"event":"monitor_alert"', "")
    assert.are.equal(2, logged)
  end)

  it("says where a monitor has nothing to compare", function()
    for group, says in pairs {
      ["function(n) return n % 90 end"] = "fairness is not judged: there are more than 64 groups",
      ["function() return 'all' end"] = "fairness is not judged: all cases are of one group",
      ["function() end"] = "fairness is not judged: no case is of a group",
      ["nil, metrics = { mg.metric { 'none', value = function() end } }, monitors = { none = 1 }"] = "none: no pair has a value on both sides, so it "
        .. "cannot be judged (3000 have no value on a side); mguard check says what is wrong with it",
    } do
      local got = run(plan(("monitors = { fairness = 0.05 }, group = %s, goal = mg.goal.noninferiority(0.2)"):format(group)))
      assert.are.equal(0, got.code, got.err)
      assert.are.equal(says, got.report.reasons[#got.report.reasons])
      assert.are.same({}, got.report.alerts)
    end
  end)

  it("measures times and memory of children too", function()
    local got = run([[
      local mg = require "mguard"
      return mg.plan { checks = mg.checks { generate = function(g) return g:int(1, 9) end,
        implementations = { v1 = function(n) return n end, v2 = mg.exec { "python3", "-uc",
          "import sys, json\nfor line in sys.stdin: print(json.dumps({'result': json.loads(line)[0]}), flush=True)" } } },
        baseline = "v1", candidate = "v2", cases = 40,
        limits = { case_timeout_ms = 20000 }, measure = { "latency_p95", "latency", "cpu", "memory" }, goal = mg.goal.noninferiority(0.5) }
    ]], "--quiet", 120)
    assert.are.equal(0, got.code, got.err)
    for _, name in ipairs { "latency", "latency_p95", "cpu", "memory" } do
      local m = metric(got.report, name)
      assert.are.equal(40, m.n + m.missing, name)
      assert.is_true(m.n >= 38 and m.candidate.p50 > 0 and m.baseline.p50 > 0, name)
    end
    assert.is_true(metric(got.report, "latency").estimate > 1) -- a process and two pipes against a function
    assert.is_true(metric(got.report, "memory").estimate > 1)
  end)

  it("judges by clusters where cases come in clusters", function()
    support.write(dir, "checks.lua", (METRICS:gsub("CLUSTER", "function(n) return n %% 30 end")))
    local robust = run((plan "goal = mg.goal.noninferiority(0.2)":gsub('"same"', '"v2"')))
    assert.are.equal("robust", robust.report.difference.method, robust.err)
    assert.are.equal(30, robust.report.clusters.count)
    assert.is_true(robust.report.clusters.design_effect > 1.5) -- a fifth of the clusters has all the failures
    assert.are.equal(core.null, robust.report.relative_risk)
    local resampled = run((plan 'goal = mg.goal.noninferiority(0.2), interval = "cluster-bootstrap"':gsub('"same"', '"v2"')))
    assert.are.equal("cluster-bootstrap", resampled.report.difference.method)
    local again = run((plan 'goal = mg.goal.noninferiority(0.2), interval = "cluster-bootstrap"':gsub('"same"', '"v2"')), "--quiet --workers 1")
    assert.are.same(resampled.report.difference, again.report.difference)
    support.write(dir, "checks.lua", (METRICS:gsub("CLUSTER", "nil")))
    local plain = run((plan "goal = mg.goal.noninferiority(0.2)":gsub('"same"', '"v2"')))
    local function width(r) return r.report.difference.high - r.report.difference.low end
    assert.is_true(width(robust) > 1.3 * width(plain))
    assert.is_true(width(resampled) > 1.3 * width(plain))
    assert.are.equal("tang", plain.report.relative_risk.method)
    -- where no case differs clusters count, not cases: 30 of 100 cannot clear 1 %, though 3,000 cases of their own would
    local clean = run(plan "cluster = function(n) return n % 30 end")
    assert.are.equal(2, clean.code, clean.err)
    assert.is_true(clean.report.difference.low < -0.1 and clean.report.difference.high > 0.1)
    local n = tonumber((clean.report.reasons[1]:match "at these rates ([%d,]+) pairs would decide$":gsub(",", "")))
    assert.is_true(n > 35000 and n < 50000, clean.report.reasons[1])
    local many = ("cluster = function(n) return n %% %d end"):format(n // 100) -- as many clusters more, of a hundred cases each
    assert.are.equal(0, run(plan(many, n)).code)
    assert.are.equal(2, run(plan(many:gsub("return n", "return 2 * (n // 2)"), n)).code)
    assert.are.equal(0, run(plan "cluster = function(n) return n end").code) -- clusters of three: nearly single cases
    -- one cluster says nothing; few are said to be few
    local one = run((plan "cluster = function() return 'all' end":gsub('"same"', '"v2"')))
    assert.are.equal(3, one.code)
    assert.matches("all cases are of one cluster", one.report.reasons[1], 1, true)
    local few = run((plan "cluster = function(n) return n % 8 end, goal = mg.goal.noninferiority(0.5)":gsub('"same"', '"v2"')))
    assert.matches("only 8 clusters: intervals from fewer than 20 are rough", table.concat(few.report.reasons, "\n"), 1, true)
  end)

  it("names clusters and groups without the script's __tostring, and 2.0 is 2", function()
    support.write(dir, "named.lua", [[
      local mg = require "mguard"
      return mg.plan { checks = mg.checks { generate = function(g) return g:int(0, 9) end,
          cluster = function(n) getmetatable("").__tostring = function() error "mine" end return "c" .. n % 3 end,
          group = function(n) return n < 5 and 2.0 or n < 8 and 2 or n + 0.5 end,
          properties = { mg.property { "same", check = function(out, n) return out == n end } } },
        implementations = { v1 = function(n) return n end, v2 = function(n) return n end },
        baseline = "v1", candidate = "v2", cases = 200, goal = mg.goal.noninferiority(0.2) }
    ]])
    local got, names = support.run(dir, "named.lua", "--quiet"), {}
    assert.is_truthy(got.report, got.err)
    assert.are.equal(200, got.report.pairs.both)
    for _, group in ipairs(got.report.groups) do names[#names + 1] = group.name end
    table.sort(names)
    assert.are.same({ "2", "8.5", "9.5" }, names)
    assert.are.equal(3, got.report.clusters.count)
  end)

  for name, case in pairs {
    ["a cluster that is a table"] = { "cluster = function() return {} end,", "cluster of case %d+ raised: it must return a string or a number" },
    ["a cluster that raises"] = { "cluster = function() error 'no' end,", "cluster of case %d+ raised: .*no" },
    ["a group with a line break"] = { "group = function() return 'a\\nb' end,", "group of case %d+ raised: it must return a name of 1 to 64 bytes" },
  } do
    it("finds the checks at fault: " .. name, function()
      local got = run(plan(case[1]))
      assert.are.equal(3, got.code, got.err)
      assert.matches("the checks are at fault: " .. case[2], got.report.reasons[1])
    end)
  end

  it("tells what is wrong with a metric, before a run and in it", function()
    support.write(dir, "bad.lua", [[
      local mg = require "mguard"
      return mg.plan { checks = mg.checks { generate = function(g) return g.case end, metrics = {
          mg.metric { "typo", value = function(out) return out.tokens.n end },
          mg.metric { "some", value = function(out, n) if n % 2 == 0 then return n / 4 end end },
          mg.metric { "text", value = function() return "3" end },
          mg.metric { "huge", value = function(out, n) return n == 3 and math.huge or n end, better = "higher" } },
        implementations = { v1 = function(n) return { n } end, v2 = function(n) return { n } end } },
      baseline = "v1", candidate = "v2", cases = 200, endpoints = { typo = 1 }, goal = mg.goal.noninferiority(0.2) }
    ]])
    local got = support.mguard(dir, "check bad.lua")
    assert.are.equal(3, got.code, got.err)
    assert.matches('wrong: metric "typo" has no value in 40 of 40 results: .*bad.lua:3: attempt to index a nil value', got.out)
    assert.matches('wrong: metric "text" has no value in 40 of 40 results: it gave a string', got.out, 1, true)
    assert.matches('wrong: metric "huge" has no value in 2 of 40 results: it gave inf', got.out, 1, true)
    assert.is_nil(got.out:find('"some"', 1, true)) -- nil is an answer
    got = support.mguard(dir, "replay bad.lua --case 2")
    assert.are.equal(0, got.code, got.err)
    assert.matches("\n  metric typo: no value: .*bad.lua:3: .*\n  metric some: 0.5\n  metric text: no value: it gave a string\n  metric huge: 2\n",
      got.out)
    assert.matches("\n  metric some: no value\n", support.mguard(dir, "replay bad.lua --case 3").out, 1, true)
    got = support.run(dir, "bad.lua", "--quiet")
    assert.are.equal(2, got.code, got.err)
    assert.are.equal("typo: no pair has a value on both sides, so it cannot be judged (200 have no value on a side); mguard check says what is "
      .. "wrong with it", got.report.reasons[1])
  end)

  it("keeps metrics under early stopping, over the prefix that decided", function()
    local got = run(plan('stop = mg.stop.anytime(), measure = { "latency" }, goal = mg.goal.noninferiority(0.2)', 20000))
    assert.are.equal(0, got.code, got.err)
    assert.is_true(got.report.pairs.n < 20000)
    assert.are.equal(got.report.pairs.n, metric(got.report, "length").n)
    local sum = 0
    for _, g in ipairs(got.report.groups) do sum = sum + g.n end
    assert.are.equal(got.report.pairs.n, sum)
    -- whoever was fast, and however the cases were cut: what came beyond the prefix is in no number
    local wanted
    for _, arguments in ipairs { "--workers 1", "--workers 2",
      [[--workers 2 --queue-config '{"batch_size": 29}']], [[--queue-config '{"batch_size": 700}']] } do
      got = run(plan("stop = mg.stop.group { looks = 4 }, goal = mg.goal.noninferiority(0.1)", 3000):gsub('"same"', '"v2"'), "--quiet " .. arguments)
      assert.are.equal(0, got.code, got.err)
      local seen = { got.report.pairs, got.report.metrics, got.report.groups, got.report.fairness, got.report.difference, got.report.outcome_digest }
      wanted = wanted or seen
      assert.is_true(got.report.pairs.n < 3000)
      assert.are.same(wanted, seen, arguments)
    end
  end)

  it("reports metrics of a plan without a baseline", function()
    local got = run([[
      local mg = require "mguard"
      return mg.plan { checks = "checks.lua", candidate = "v2", cases = 500, seed = 5, goal = mg.goal.absolute(0.5), monitors = { fairness = 0.05 } }
    ]])
    assert.are.equal(0, got.code, got.err)
    assert.are.equal(core.null, metric(got.report, "length").baseline)
    assert.is_true(metric(got.report, "length").estimate > 300)
    assert.are.equal(1, #got.report.alerts)
  end)
end)
