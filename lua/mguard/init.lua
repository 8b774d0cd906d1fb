--- mguard - may a candidate implementation replace the baseline? `local mg = require "mguard"`.
local checks = require "mguard.checks"
local clause = require "mguard.clause"
local core = require "mguard.core"
local goal = require "mguard.goal"
local implementation = require "mguard.implementation"
local measure = require "mguard.measure"
local plan = require "mguard.plan"
local queue = require "mguard.queue"
local rule = require "mguard.rule"
local run = require "mguard.run"
local stats = require "mguard.stats"
local stop = require "mguard.stop"
local summary = require "mguard.report.summary"
local where = require "mguard.where"

---@class mguard
local mg = {
  version = require "mguard.version",
  plan = plan.new,
  checks = checks.new,
  property = clause.property,
  relation = clause.relation,
  metric = measure.metric,
  relations = require "mguard.relations",
  equal = require "mguard.equal",
  goal = {
    noninferiority = goal.noninferiority,
    superiority = goal.superiority,
    equivalence = goal.equivalence,
    absolute = goal.absolute,
  },
  stop = { fixed = stop.fixed, anytime = stop.anytime, group = stop.group, sprt = stop.sprt },
  stats = stats,
  lua = implementation.lua,
  exec = implementation.exec,
  python = implementation.python,
  jsonl = plan.jsonl,
  json = { encode = core.json_encode, decode = core.json_decode, null = core.null, array = core.array, object = core.object },
  -- for scripts of one's own, run by lua5.4 and not by mguard
  run = run.run,
  queue = { open = queue.open },
  report = { text = summary.text },
}

return setmetatable(mg, {
  __index = function(_, key)
    local known = {}
    for _, name in ipairs(rule.sorted_keys(mg)) do known[#known + 1] = name end
    where.fail(where.at(), ('mguard has no "%s"%s'):format(tostring(key), rule.hint(tostring(key), known, "names")))
  end,
})
