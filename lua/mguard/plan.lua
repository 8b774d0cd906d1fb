--- plan.lua - mg.plan: which implementations to compare, on how many cases, and what decides.
local checks = require "mguard.checks"
local config = require "mguard.config"
local goal = require "mguard.goal"
local implementation = require "mguard.implementation"
local measure = require "mguard.measure"
local path = require "mguard.path"
local rule = require "mguard.rule"
local stop = require "mguard.stop"
local webhooks = require "mguard.webhooks"
local where = require "mguard.where"

local plan = {}
local Plan = { __name = "mg.plan" }
local Jsonl = { __name = "mg.jsonl" }

local MAX_CASES <const> = 1 << 53

plan.CASES = { key = "cases", kind = "integer", min = 1, max = MAX_CASES }
plan.SEED = { key = "seed", kind = "integer", min = math.mininteger, max = math.maxinteger, default = 0,
  says = "a whole number of 64 bits" }
plan.WORKERS = { key = "workers", kind = "integer", min = 1, max = 1024 }
plan.TIMEOUT = { key = "case_timeout_ms", kind = "integer", min = 1, max = 86400000, default = 2000 }
plan.MEMORY = { key = "memory_mb", kind = "integer", min = 8, max = 1048576, default = 512 }
plan.VIOLATION_CAP = { key = "violation_cap", kind = "integer", min = 1, max = 1000, default = 5 }
plan.INTERVALS = { "tango", "newcombe-paired", "bootstrap", "bootstrap-bca", "bayes", "robust", "cluster-bootstrap" }
plan.FAIL_FAST = { key = "fail_fast", kind = "boolean", default = false }
plan.REPORT = { key = "json", kind = "string", says = "a file name" }

local function is_candidate(value)
  return rule.is_name(value) or implementation.of(value) ~= nil
end

local function is_cases(value)
  if getmetatable(value) == Jsonl then return true end
  return rule.accepts(plan.CASES, value)
end

local IMPLEMENTATION_SAYS <const> = "the name of an implementation, or mg.lua, mg.exec, mg.python or a function"

local RULES <const> = {
  { key = "name", kind = "custom", test = rule.is_name, says = rule.NAME_SAYS },
  { key = "checks", kind = "custom", says = "the file name of the checks or mg.checks { ... }", required = true,
    test = function(value) return (type(value) == "string" and value ~= "") or checks.is(value) end },
  { key = "implementations", kind = "table", says = "a table of names and implementations" },
  { key = "baseline", kind = "custom", test = is_candidate, says = IMPLEMENTATION_SAYS },
  { key = "candidate", kind = "custom", test = is_candidate, says = IMPLEMENTATION_SAYS, required = true },
  { key = "cases", kind = "custom", test = is_cases, says = rule.describe(plan.CASES), required = true },
  plan.SEED,
  { key = "goal", kind = "custom", says = "a goal, for example mg.goal.noninferiority(0.01)",
    test = function(value) return goal.of(value) ~= nil end },
  { key = "stop", kind = "custom", says = "a stopping rule, for example mg.stop.fixed()",
    test = function(value) return stop.of(value) ~= nil end },
  { key = "interval", kind = "enum", values = plan.INTERVALS },
  { key = "rate_interval", kind = "enum", values = { "wilson", "clopper-pearson" }, default = "wilson" },
  { key = "correction", kind = "enum", values = { "holm", "hochberg", "bh", "by" } },
  { key = "metrics", kind = "table", says = "a list of mg.metric { ... }" },
  { key = "cluster", kind = "function", says = "a function of the arguments that names the case's cluster" },
  { key = "group", kind = "function", says = "a function of the arguments that names the case's group" },
  { key = "measure", kind = "strings", says = 'a list of "latency", "latency_p95" (or another percentile), "cpu", "memory"' },
  { key = "endpoints", kind = "table", says = "a table of metrics and how much worse each may be" },
  { key = "monitors", kind = "table", says = "a table of metrics, or fairness, and the limit of each" },
  { key = "limits", kind = "table", default = {} },
  { key = "max_discard", kind = "number", min = 0, max = 1, default = 0.5 },
  { key = "cover", kind = "table" },
  { key = "flaky", kind = "table" },
  plan.VIOLATION_CAP,
  plan.FAIL_FAST,
  plan.WORKERS,
  { key = "queue", kind = "table", default = {} },
  { key = "batching", kind = "function" },
  { key = "report", kind = "table", default = {} },
  { key = "webhooks", kind = "table", says = "a list of webhooks: { { url = \"https://...\" } }", default = {} },
  { key = "files", kind = "strings", says = "a list of file names" },
}
local LIMIT_RULES <const> = { plan.TIMEOUT, plan.MEMORY }
local FLAKY_RULES <const> = {
  { key = "reruns", kind = "integer", min = 1, max = 100, default = 3 },
  { key = "sample", kind = "number", above = 0, max = 1, default = 0.01 },
  { key = "limit", kind = "number", min = 0, below = 1, default = 0 },
}
local REPORT_RULES <const> = { plan.REPORT }

---@class mguard.PlanSpec
---@field name? string               name in the report; default that of the checks
---@field checks string|mguard.Checks  file of the checks (relative to the plan) or mg.checks { ... }
---@field implementations? table<string, mguard.Implementation|function>  over those of the checks
---@field baseline? string|mguard.Implementation|function   name or implementation; none: the candidate is judged alone
---@field candidate string|mguard.Implementation|function   name or implementation
---@field cases integer|mguard.Jsonl  how many, or mg.jsonl "file"
---@field seed? integer              default 0
---@field goal? mguard.Goal         default mg.goal.noninferiority(0.01), without a baseline mg.goal.absolute(0.99)
---@field stop? mguard.Stop         default mg.stop.fixed()
---@field interval? "tango"|"newcombe-paired"|"bootstrap"|"bootstrap-bca"|"bayes"|"robust"|"cluster-bootstrap"
---                                   how the interval of the difference is computed; default "tango"
---@field rate_interval? "wilson"|"clopper-pearson"  that of a pass rate; default "wilson"
---@field correction? "holm"|"hochberg"|"bh"|"by"  over the relations' p values; default none
---@field metrics? mguard.Metric[]  besides those of the checks
---@field cluster? fun(...): string|number|nil  over that of the checks
---@field group? fun(...): string|number|nil    over that of the checks
---@field measure? string[]         what to measure of each call: "latency", "latency_p95", "cpu", "memory"
---@field endpoints? table<string, number>  metric and how much worse the candidate may be in it; all must hold for an adopt
---@field monitors? table<string, number>   metric (or fairness) and the limit beyond which the report gives an alert
---@field limits? {case_timeout_ms?: integer, memory_mb?: integer}  default 2000 and 512
---@field max_discard? number        share of discarded cases above which the run is invalid; default 0.5
---@field cover? table<string, number>  label and the share of the cases it must reach
---@field flaky? {reruns?: integer, sample?: number, limit?: number}  runs a sample of the cases again
---@field violation_cap? integer     violations kept a clause; default 5
---@field fail_fast? boolean         end at the first violation that decides; default false
---@field workers? integer           executors on this machine; default one a core
---@field queue? table               see docs/reference/configuration.md; default the memory backend
---@field batching? fun(s: table): integer  cases a task, instead of the built-in policy
---@field report? {json?: string}     where the report goes, seen from the current folder
---@field webhooks? table[]           who is told: {url, format?, on?, secret?, timeout_s?, tries?}
---@field files? string[]            files the run depends on: workers must have the same

--- Cases from a file, each line a JSON array of arguments. Relative to the script that says it.
---@param name string
---@return mguard.Jsonl
function plan.jsonl(name)
  local at = where.at()
  if type(name) ~= "string" or name == "" then
    where.fail(at, 'mg.jsonl takes a file name: mg.jsonl "cases.jsonl", got ' .. rule.show(name))
  end
  local file = path.absolute(path.join(where.dir(), name))
  local ok, message = path.readable(file)
  if not ok then where.fail(at, "mg.jsonl: cannot read the cases: " .. message) end
  return setmetatable({ path = file }, Jsonl)
end

local SHARE <const> = { key = "share", kind = "number", above = 0, max = 1 }
local MAX_LABELS <const> = 64

-- { label = share, ... }, checked.
local function cover_of(given, at)
  if given == nil then return nil end
  local cover, count = {}, 0
  for _, label in ipairs(rule.sorted_keys(given)) do
    if type(label) ~= "string" or label == "" or label:find("\0", 1, true) then
      where.fail(at, ("cover takes labels as keys: cover = { empty = 0.05 }, got %s"):format(rule.show(label)))
    end
    local ok, share = rule.accepts(SHARE, given[label])
    if not ok then where.fail(at, ("cover.%s must be %s, got %s"):format(label, rule.describe(SHARE), rule.show(given[label]))) end
    cover[label], count = share, count + 1
  end
  if count > MAX_LABELS then where.fail(at, ("cover has %d labels, at most %d are counted"):format(count, MAX_LABELS)) end
  return cover
end

--- What to run. The file given to `mguard run` returns one.
---@param given mguard.PlanSpec
---@return mguard.Plan
function plan.new(given)
  local at, dir = where.at(), where.dir()
  local p = rule.fields(given, RULES, at, "mg.plan")
  local limits = rule.fields(p.limits, LIMIT_RULES, at, "limits", "limits.")
  local report = rule.fields(p.report, REPORT_RULES, at, "report", "report.")
  local from_file = getmetatable(p.cases) == Jsonl
  local the_goal = p.goal and goal.of(p.goal)
  if the_goal and p.baseline == nil and the_goal.kind ~= "absolute" then
    where.fail(at, ("goal %s compares with a baseline, and the plan has none: name a baseline or use mg.goal.absolute(0.99)")
      :format(the_goal.kind))
  end
  if the_goal and p.baseline ~= nil and the_goal.kind == "absolute" then
    where.fail(at, "goal absolute judges one implementation alone: leave out baseline, or use mg.goal.noninferiority(0.01)")
  end
  if not the_goal then the_goal = goal.of(p.baseline ~= nil and goal.noninferiority() or goal.absolute()) end
  local the_stop = p.stop and stop.of(p.stop) or { kind = "fixed" }
  stop.fits(the_stop, the_goal, at)
  if p.interval and p.baseline == nil then
    where.fail(at, "interval is that of the difference to a baseline, and the plan has none: use rate_interval")
  end
  if p.interval and the_stop.kind ~= "fixed" then
    where.fail(at, ("interval = %q goes with mg.stop.fixed() alone: stop %s has an interval of its own"):format(p.interval, the_stop.kind))
  end
  if p.correction and (p.baseline == nil or the_stop.kind ~= "fixed") then
    where.fail(at, ("correction = %q is of comparisons with a baseline after all cases: it needs a baseline and mg.stop.fixed()")
      :format(p.correction))
  end
  config.validate(p.queue, at, "queue.") -- here, so that the message has the plan's line
  return setmetatable({
    kind = "plan",
    name = p.name,
    checks = p.checks,
    implementations = implementation.collect(p.implementations, at),
    baseline = p.baseline,
    candidate = p.candidate,
    cases = not from_file and math.tointeger(p.cases) or nil,
    inputs = from_file and p.cases.path or nil,
    seed = p.seed,
    limits = limits,
    limits_given = { case_timeout_ms = p.limits.case_timeout_ms ~= nil, memory_mb = p.limits.memory_mb ~= nil },
    goal = the_goal,
    stop = the_stop,
    interval = p.interval,
    rate_interval = p.rate_interval,
    correction = p.correction,
    metrics = measure.collect(p.metrics, at),
    cluster = p.cluster,
    group = p.group,
    measure = p.measure,
    endpoints = p.endpoints,
    monitors = p.monitors,
    max_discard = p.max_discard,
    cover = cover_of(p.cover, at),
    flaky = p.flaky and rule.fields(p.flaky, FLAKY_RULES, at, "flaky", "flaky."),
    violation_cap = p.violation_cap,
    fail_fast = p.fail_fast,
    workers = p.workers,
    queue = p.queue,
    batching = p.batching,
    report = report,
    webhooks = webhooks.check(p.webhooks, at),
    files = checks.files(p.files, dir, at),
    where = at,
    dir = dir,
  }, Plan)
end

---@param value any
---@return boolean
function plan.is(value) return getmetatable(value) == Plan end

return plan
