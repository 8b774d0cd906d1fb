--- mguard - may a candidate implementation replace the baseline? `local mg = require "mguard"`.
local checks = require "mguard.checks"
local clause = require "mguard.clause"
local core = require "mguard.core"
local goal = require "mguard.goal"
local implementation = require "mguard.implementation"
local measure = require "mguard.measure"
local rule = require "mguard.rule"
local stats = require "mguard.stats"
local stop = require "mguard.stop"
local where = require "mguard.where"

-- What a script that only says what a case is never uses: loaded where it is asked for and not kept, since the values of the
-- cases live beside whatever is kept, and are the faster the less that is.
local later = {
  plan = function() return require("mguard.plan").new end,
  jsonl = function() return require("mguard.plan").jsonl end,
  -- for scripts of one's own, run by lua5.4 and not by mguard
  run = function() return require("mguard.run").run end,
  queue = function() return { open = require("mguard.queue").open } end,
  report = function() return { text = require("mguard.report.summary").text } end,
}

---@class mguard
---@field plan fun(given: mguard.PlanSpec): table
---@field jsonl fun(name: string): table
---@field run fun(file: string, options?: mguard.RunOptions): table|nil, string|nil, integer|nil
---@field queue { open: fun(config: table|string, options?: {timeout_s?: number}): mguard.Queue|nil, string|nil, string|nil }
---@field report { text: fun(report: table, options?: mguard.SummaryOptions): string }
local mg = {
  version = require "mguard.version",
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
  json = { encode = core.json_encode, decode = core.json_decode, null = core.null, array = core.array, object = core.object },
}

local function all()
  local names = {}
  for name, value in next, mg do names[name] = value end
  for name, load in next, later do names[name] = load() end
  return next, names
end

return setmetatable(mg, {
  __pairs = all,
  __index = function(_, key)
    if later[key] then return later[key]() end
    local known = {}
    for name in all() do known[#known + 1] = name end
    table.sort(known)
    where.fail(where.at(), ('mguard has no "%s"%s'):format(tostring(key), rule.hint(tostring(key), known, "names")))
  end,
})
