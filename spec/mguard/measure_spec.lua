-- mg.metric, and what a plan measures: checked, with names and lines.
local mg = require "mguard"
local script = require "mguard.script"
local support = require "spec.support"

local CHECKS <const> = [[
local mg = require "mguard"
return mg.checks {
  generate = function(g) return g:int(1, 9) end,
  metrics = {
    mg.metric { "tokens", value = function(out) return out end },
    mg.metric { "wait", value = function(out) return out end, kind = "quantile", quantile = 0.5, better = "higher" },
  },
  implementations = { v1 = function(n) return n end, v2 = function(n) return n end },
}
]]

describe("mg.metric", function()
  it("fills in its defaults", function()
    local m = mg.metric { "tokens", value = print }
    assert.are.equal("tokens", m.name)
    assert.are.equal("mean", m.kind)
    assert.are.equal("lower", m.better)
    assert.is_nil(m.quantile)
    assert.are.equal(0.95, mg.metric { "t", value = print, kind = "quantile" }.quantile)
  end)

  for says, given in pairs {
    ["value is missing in mg.metric"] = { "t" },
    ["name is missing in mg.metric"] = { value = print },
    ['better must be one of "higher", "lower"'] = { "t", value = print, better = "more" },
    ['kind must be one of "mean", "quantile", "ratio"'] = { "t", value = print, kind = "median" },
    ['quantile goes with kind = "quantile", and kind is "mean"'] = { "t", value = print, quantile = 0.5 },
    ["quantile must be a number above 0 and below 1, got 1"] = { "t", value = print, kind = "quantile", quantile = 1 },
    ["mg.metric has its name twice"] = { "t", name = "t", value = print },
    ['did you mean "better"?'] = { "t", value = print, beter = "lower" },
  } do
    it("refuses: " .. says, function() assert.matches(says, support.message(mg.metric, given), 1, true) end)
  end
end)

describe("what a plan measures", function()
  local folder
  setup(function()
    folder = support.folder()
    support.write(folder .. "/checks.lua", CHECKS)
  end)
  teardown(function() support.remove(folder) end)

  local function open(more)
    local baseline = more:find "baseline =" and "" or 'baseline = "v1",'
    local text = 'local mg = require "mguard"\nreturn mg.plan { checks = "checks.lua", %s candidate = "v2", cases = 10, %s }'
    return script.open(support.write(folder .. "/plan.lua", text:format(baseline:gsub("NONE", ""), more:gsub("baseline = NONE,?", ""))))
  end

  it("is the metrics alone where nothing more is asked", function()
    local spec = open ""
    assert.are.equal(0, spec.measure)
    assert.are.equal(2, spec.columns)
    assert.are.equal("wait", spec.views[2].name)
    assert.are.equal(1, spec.views[2].column)
    assert.are.equal(0.5, spec.views[2].quantile)
    assert.is_nil(spec.interval)
  end)

  it("puts times before the metrics, each once", function()
    local spec = open 'measure = { "memory", "latency_p99" }, endpoints = { latency = 0.1, tokens = 3 }, monitors = { latency_p50 = 0.5 }'
    assert.are.equal(1 | 4, spec.measure)
    assert.are.equal(4, spec.columns)
    local by_name = {}
    for _, v in ipairs(spec.views) do by_name[v.name] = v end
    assert.are.equal(6, #spec.views)
    assert.are.equal(0, by_name.latency.column)
    assert.are.equal(0, by_name.latency_p99.column)
    assert.are.equal(1, by_name.memory.column)
    assert.are.equal(2, by_name.tokens.column)
    assert.are.equal(0.99, by_name.latency_p99.quantile)
    assert.are.equal("ratio", by_name.latency.kind)
    assert.are.equal(0.1, by_name.latency.margin)
    assert.are.equal(3, by_name.tokens.margin)
    assert.are.equal(0.5, by_name.latency_p50.limit)
  end)

  it("can ask a ratio of which more is better to double", function()
    local spec = open "metrics = { mg.metric { 'speed', value = print, better = 'higher', kind = 'ratio' } }, endpoints = { speed = -1 }"
    assert.are.equal(-1, spec.views[3].margin)
  end)

  it("takes more metrics, a cluster and a group from the plan", function()
    local spec = open "metrics = { mg.metric { 'more', value = print } }, cluster = print, group = print, monitors = { fairness = 0.1 }"
    assert.are.equal(3, #spec.metrics)
    assert.are.equal("robust", spec.interval)
    assert.are.equal(0.1, spec.fairness)
    assert.are.equal(2, #spec.sources) -- the plan holds code: workers must have it alike
    assert.are.equal(1, #open("").sources)
  end)

  for more, says in pairs {
    ["endpoints = { tokns = 1 }"] = 'endpoints names "tokns", which is no metric; did you mean "tokens"?',
    ["endpoints = { fairness = 0.1 }"] = 'endpoints names "fairness", which is no metric',
    ["monitors = { latency = 'x' }"] = "monitors.latency must be a number, got",
    ["monitors = { fairness = 0.1 }"] = "monitors.fairness compares groups of cases: say which with group",
    ["monitors = { fairness = 2 }, group = print"] = "monitors.fairness must be a number above 0 and below 1, got 2",
    ["measure = { 'latncy' }"] = 'measure names "latncy"; did you mean "latency"?',
    ["measure = { 'latency_p0' }"] = 'measure names "latency_p0"',
    ["endpoints = { latency = -1 }"] = "endpoints.latency is a share, so it must be above -1",
    ["monitors = { latency_p95 = -1.5 }"] = "monitors.latency_p95 is a share, so it must be above -1, got -1.5",
    ["metrics = { mg.metric { 'speed', value = print, better = 'higher', kind = 'ratio' } }, endpoints = { speed = 1 }"] =
      "endpoints.speed is a share, so it must be below 1 (more is better), got 1",
    ["endpoints = { 3 }"] = "endpoints takes metrics as keys",
    ["baseline = NONE, endpoints = { tokens = 1 }"] = "endpoints compare with a baseline, and the plan has none",
    ["baseline = NONE, monitors = { tokens = 1 }"] = "monitors.tokens compares with a baseline, and the plan has none; only fairness does without",
    ["baseline = NONE, cluster = print"] = "cluster widens the interval of the difference to a baseline, and the plan has none",
    ["endpoints = { tokens = 1 }, stop = mg.stop.group()"] = "endpoints are judged once, after all cases",
    ["cluster = print, stop = mg.stop.anytime()"] = "stop anytime takes cases for independent, and cluster says that they are not",
    ["cluster = print, stop = mg.stop.group()"] = "stop group takes cases for independent",
    ["cluster = print, endpoints = { latency = 1 }"] = "endpoints take cases for independent, and cluster says that they are not",
    ["cluster = print, correction = 'holm'"] = "correction takes cases for independent",
    ["cluster = print, interval = 'tango'"] = 'interval = "tango" takes cases for independent',
    ["interval = 'robust'"] = 'interval = "robust" needs clusters',
    ["metrics = { mg.metric { 'tokens', value = print } }"] = 'two metrics are called "tokens"',
    ["metrics = { mg.metric { 'latency', value = print } }"] = 'a metric must not be called "latency"',
    ["metrics = { 3 }"] = "metrics must be a list of mg.metric { ... }, got 3 at [1]",
  } do
    it("refuses: " .. more, function() assert.matches(says, support.message(open, more), 1, true) end)
  end
end)
