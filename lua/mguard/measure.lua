--- measure.lua - mg.metric, and what a plan measures: metrics, times, memory, with the limits that decide or alert.
---
--- A column is one value a role for each case; a view is what is asked of it (its mean, its ratio, the ratio of a percentile).
local rule = require "mguard.rule"
local where = require "mguard.where"

local measure = {}
local Metric = { __name = "mg.metric" }

local MAX_METRICS <const> = 16
local BITS <const> = { latency = 1, cpu = 2, memory = 4 } -- as in engine/wire/message.h, in the order of their columns
local ORDER <const> = { "latency", "cpu", "memory" }

local RULES <const> = {
  { key = "name", kind = "custom", test = rule.is_name, says = rule.NAME_SAYS, required = true },
  { key = "value", kind = "function", says = "a function (out, ...arguments) that gives a number", required = true },
  { key = "better", kind = "enum", values = { "higher", "lower" }, default = "lower" },
  { key = "kind", kind = "enum", values = { "mean", "quantile", "ratio" }, default = "mean" },
  { key = "quantile", kind = "number", above = 0, below = 1 },
}

---@class mguard.MetricSpec
---@field [1] string                    name, as of a property
---@field name? string                  the same, in place of the first value
---@field value fun(out: any, ...): number?  a number for one result; nil: none for this case
---@field better? "higher"|"lower"      default "lower"
---@field kind? "mean"|"quantile"|"ratio"  what is compared: the difference of the means (default), the ratio of a quantile, the
---                                     middle of the ratios within the pairs
---@field quantile? number              of kind quantile; default 0.95

--- A number that is measured of each result.
---@param given mguard.MetricSpec
---@return mguard.Metric
function measure.metric(given)
  local at = where.at()
  local copy = given
  if type(given) == "table" then
    copy = {}
    for k, v in pairs(given) do copy[k] = v end
    if copy[1] ~= nil then
      if copy.name ~= nil then where.fail(at, "mg.metric has its name twice: as first value and as name") end
      copy.name, copy[1] = copy[1], nil
    end
  end
  local m = rule.fields(copy, RULES, at, "mg.metric")
  if m.quantile and m.kind ~= "quantile" then where.fail(at, ('quantile goes with kind = "quantile", and kind is "%s"'):format(m.kind)) end
  if m.kind == "quantile" then m.quantile = m.quantile or 0.95 end
  m.where = at
  return setmetatable(m, Metric)
end

-- "latency_p95" -> "latency", 0.95; "cpu" -> "cpu"
local function builtin(name)
  if BITS[name] then return name end
  local percent = name:match "^latency_p(%d%d?)$"
  if percent and tonumber(percent) > 0 then return "latency", tonumber(percent) / 100 end
end

--- A list of metrics, checked and copied.
---@param list any
---@param at string|nil
---@return table[]
function measure.collect(list, at)
  local result, seen = {}, {}
  for _, key in ipairs(rule.sorted_keys(list or {})) do
    local m = list[key]
    if math.type(key) ~= "integer" or getmetatable(m) ~= Metric then
      where.fail(at, ("metrics must be a list of mg.metric { ... }, got %s at [%s]"):format(rule.show(m), rule.show(key)))
    end
    if seen[m.name] then where.fail(m.where or at, ('two metrics are called "%s"'):format(m.name)) end
    if builtin(m.name) or m.name == "fairness" then
      where.fail(m.where or at, ('a metric must not be called "%s": that is one that mguard measures itself'):format(m.name))
    end
    seen[m.name] = true
    local copy = {}
    for k, v in pairs(m) do copy[k] = v end
    result[#result + 1] = copy
  end
  return result
end

local MARGIN <const> = { key = "margin", kind = "number", above = -1e12, below = 1e12, says = "a number" }
local SHARE <const> = { key = "fairness", kind = "number", above = 0, below = 1 }

-- { name = number } of endpoints or monitors, checked, with the names known.
local function limits(given, what, known, at)
  local result = {}
  for _, name in ipairs(rule.sorted_keys(given or {})) do
    if type(name) ~= "string" then where.fail(at, ("%s takes metrics as keys: %s = { latency = 0.1 }"):format(what, what)) end
    local r = name == "fairness" and SHARE or MARGIN
    local ok, good = rule.accepts(r, given[name])
    if not ok then where.fail(at, ("%s.%s must be %s, got %s"):format(what, name, rule.describe(r), rule.show(given[name]))) end
    if name ~= "fairness" or what ~= "monitors" then
      if not known[name] and not builtin(name) then
        local names = { "latency", "latency_p95", "cpu", "memory" }
        for n in pairs(known) do names[#names + 1] = n end
        where.fail(at, ('%s names "%s", which is no metric%s'):format(what, name, rule.hint(name, names, "metrics")))
      end
    end
    result[name] = good
  end
  return result
end

-- A view for each metric, then for each built-in that is asked for.
local function views_of(spec, endpoints, monitors, asked, first)
  local views = {}
  -- A ratio is held against 1 + the share, or 1 - the share where more is better: at 0 it would hold or fail whatever is measured.
  local function share(what, view, value)
    local higher = view.better == "higher"
    if not value or view.kind == "mean" or (higher and value < 1) or (not higher and value > -1) then return end
    where.fail(spec.where, ("%s.%s is a share, so it must be %s, got %s"):format(what, view.name,
      higher and "below 1 (more is better)" or "above -1", rule.show(value)))
  end
  local function add(view)
    view.margin, view.limit = endpoints[view.name], monitors[view.name]
    share("endpoints", view, view.margin)
    share("monitors", view, view.limit)
    views[#views + 1] = view
  end
  for i, m in ipairs(spec.metrics) do
    add { name = m.name, column = first.metrics + i - 1, kind = m.kind, quantile = m.quantile, better = m.better }
  end
  for _, name in ipairs(asked) do
    local column, quantile = builtin(name)
    add { name = name, column = first[column], kind = quantile and "quantile" or "ratio", quantile = quantile, better = "lower" }
  end
  return views
end

--- Fills the spec of a plan: metrics, measure (bits), columns, views, fairness, cluster, group, interval.
---@param spec table   the plan's spec so far
---@param value table  what mg.plan gave
---@param over table   the command line's settings
function measure.plan(spec, value, over)
  local at = value.where
  local metrics = table.move(spec.metrics, 1, #spec.metrics, 1, {})
  table.move(value.metrics, 1, #value.metrics, #metrics + 1, metrics)
  spec.metrics = measure.collect_named(metrics, at)
  spec.cluster, spec.group = value.cluster or spec.cluster, value.group or spec.group

  local known, asked, seen = {}, {}, {}
  for _, m in ipairs(spec.metrics) do known[m.name] = true end
  local endpoints = limits(value.endpoints, "endpoints", known, at)
  local monitors = limits(value.monitors, "monitors", known, at)
  local function ask(name)
    if not known[name] and builtin(name) and not seen[name] then seen[name], asked[#asked + 1] = true, name end
  end
  for _, name in ipairs(value.measure or {}) do
    if not builtin(name) then
      local names = { "latency", "latency_p50", "latency_p95", "latency_p99", "cpu", "memory" }
      where.fail(at, ('measure names "%s"%s'):format(name, rule.hint(name, names, "measures")))
    end
    ask(name)
  end
  for _, list in ipairs { endpoints, monitors } do
    for _, name in ipairs(rule.sorted_keys(list)) do ask(name) end
  end

  local bits, columns, first = 0, 0, {}
  for _, name in ipairs(ORDER) do
    for _, view in ipairs(asked) do
      if builtin(view) == name and bits & BITS[name] == 0 then
        bits, first[name], columns = bits | BITS[name], columns, columns + 1
      end
    end
  end
  first.metrics = columns
  spec.measure, spec.columns = bits, columns + #spec.metrics
  spec.where = at
  spec.views = views_of(spec, endpoints, monitors, asked, first)
  if #spec.views > 24 then where.fail(at, ("the plan asks for %d metrics, at most 24 are reported"):format(#spec.views)) end
  spec.fairness = monitors.fairness
  measure.fits(spec, endpoints, monitors, at, over)
end

-- Metrics that are copies already: names must differ, and there is a limit.
function measure.collect_named(metrics, at)
  local seen = {}
  for _, m in ipairs(metrics) do
    if seen[m.name] then where.fail(m.where or at, ('two metrics are called "%s"'):format(m.name)) end
    seen[m.name] = true
  end
  if #metrics > MAX_METRICS then where.fail(at, ("there are %d metrics, at most %d are allowed"):format(#metrics, MAX_METRICS)) end
  return metrics
end

--- Raises where what is measured and what decides do not go together.
function measure.fits(spec, endpoints, monitors, at, over)
  if next(endpoints) and not spec.baseline then
    where.fail(at, "endpoints compare with a baseline, and the plan has none")
  end
  for _, name in ipairs(rule.sorted_keys(monitors)) do
    if name ~= "fairness" and not spec.baseline then
      where.fail(at, ("monitors.%s compares with a baseline, and the plan has none; only fairness does without"):format(name))
    end
  end
  if next(endpoints) and spec.stop.kind ~= "fixed" then
    where.fail(at, ("endpoints are judged once, after all cases: they go with mg.stop.fixed() alone, not with stop %s"):format(spec.stop.kind))
  end
  if spec.fairness and not spec.group then
    where.fail(at, "monitors.fairness compares groups of cases: say which with group = function(...) in the checks or the plan")
  end
  local flag = over.interval and "--interval" or at
  local clustered = spec.interval == "robust" or spec.interval == "cluster-bootstrap"
  if not spec.cluster then
    if clustered then where.fail(flag, ("interval = %q needs clusters: cluster = function(...)"):format(spec.interval)) end
    return
  end
  if spec.stop.kind ~= "fixed" then
    where.fail(at, ("stop %s takes cases for independent, and cluster says that they are not: use mg.stop.fixed()"):format(spec.stop.kind))
  end
  if next(endpoints) then
    where.fail(at, "endpoints take cases for independent, and cluster says that they are not: leave one of the two out, or watch by monitors")
  end
  if spec.correction then
    where.fail(at, "correction takes cases for independent, and cluster says that they are not: leave one of the two out")
  end
  if spec.goal.min_pass_rate and spec.baseline then
    where.fail(at, "min_pass_rate takes cases for independent, and cluster says that they are not: leave one of the two out")
  end
  if not spec.baseline then where.fail(at, "cluster widens the interval of the difference to a baseline, and the plan has none") end
  if spec.interval and not clustered then
    where.fail(flag, ("interval = %q takes cases for independent, and cluster says that they are not: use \"robust\" or \"cluster-bootstrap\"")
      :format(spec.interval))
  end
  spec.interval = spec.interval or "robust"
end

return measure
