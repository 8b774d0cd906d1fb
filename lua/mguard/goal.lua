--- goal.lua - what a candidate must show: a bound on the difference of pass rates, or a pass rate of its own.
local rule = require "mguard.rule"
local where = require "mguard.where"

local goal = {}
local Goal = { __name = "mg.goal" }

local ALPHA <const> = { key = "alpha", kind = "number", above = 0, max = 0.5, default = 0.05 }
local MARGINS <const> = {
  noninferiority = { key = "margin", kind = "number", min = 0, below = 1, default = 0.01 },
  superiority = { key = "margin", kind = "number", min = 0, below = 1, default = 0 },
  equivalence = { key = "margin", kind = "number", above = 0, below = 1, default = 0.01 },
}
local RATE <const> = { key = "min_pass_rate", kind = "number", above = 0, below = 1, default = 0.99 }

local FLOOR <const> = { key = "min_pass_rate", kind = "number", above = 0, below = 1 }

local function build(kind, first, value, options)
  local what, at = "mg.goal." .. kind, where.at()
  local given = {}
  if type(value) == "table" and options == nil then
    given = value
  else
    for k, v in pairs(options or {}) do given[k] = v end
    given[first.key] = value
  end
  local g = rule.fields(given, first == RATE and { first, ALPHA } or { first, ALPHA, FLOOR }, at, what)
  return setmetatable({ kind = kind, margin = g.margin, min_pass_rate = g.min_pass_rate, alpha = g.alpha, where = at }, Goal)
end

--- The candidate's pass rate is not worse than the baseline's by more than margin. The default, with margin 0.01. Where min_pass_rate is given
--- its own pass rate must be shown to be at least that, too; so with superiority and equivalence.
---@param margin? number|{margin?: number, alpha?: number, min_pass_rate?: number}
---@param options? {alpha?: number, min_pass_rate?: number}
---@return mguard.Goal
function goal.noninferiority(margin, options) return (build("noninferiority", MARGINS.noninferiority, margin, options)) end

--- The candidate's pass rate is better than the baseline's by more than margin (default 0).
---@param margin? number|{margin?: number, alpha?: number, min_pass_rate?: number}
---@param options? {alpha?: number, min_pass_rate?: number}
---@return mguard.Goal
function goal.superiority(margin, options) return (build("superiority", MARGINS.superiority, margin, options)) end

--- The two pass rates differ by less than margin, either way.
---@param margin? number|{margin?: number, alpha?: number, min_pass_rate?: number}
---@param options? {alpha?: number, min_pass_rate?: number}
---@return mguard.Goal
function goal.equivalence(margin, options) return (build("equivalence", MARGINS.equivalence, margin, options)) end

--- For a plan without a baseline: the pass rate is at least min_pass_rate (default 0.99).
---@param min_pass_rate? number|{min_pass_rate?: number, alpha?: number}
---@param options? {alpha?: number}
---@return mguard.Goal
function goal.absolute(min_pass_rate, options) return (build("absolute", RATE, min_pass_rate, options)) end

--- Plain table of a goal; nil where value is none.
---@param value any
function goal.of(value)
  if getmetatable(value) ~= Goal then return nil end
  return { kind = value.kind, margin = value.margin, min_pass_rate = value.min_pass_rate, alpha = value.alpha }
end

return goal
