--- stop.lua - when a run ends: after all its cases, or at an early decision whose error rate still holds.
local rule = require "mguard.rule"
local where = require "mguard.where"

local stop = {}
local Stop = { __name = "mg.stop" }

local ALPHA <const> = { key = "alpha", kind = "number", above = 0, max = 0.5 }
local RULES <const> = {
  fixed = {},
  anytime = { ALPHA, { key = "max", kind = "integer", min = 1, max = 2 ^ 53 } },
  group = {
    { key = "looks", kind = "integer", min = 2, max = 100, default = 5 },
    { key = "spending", kind = "enum", values = { "obf", "pocock" }, default = "obf" },
  },
  sprt = {
    ALPHA,
    { key = "beta", kind = "number", above = 0, max = 0.5, default = 0.2 },
    { key = "odds", kind = "number", above = 0.5, below = 1, default = 0.75 },
  },
}

local function build(kind, given)
  local at = where.at()
  local s = rule.fields(given or {}, RULES[kind], at, "mg.stop." .. kind)
  s.kind = kind
  return setmetatable(s, Stop)
end

--- After all cases. The default.
---@param given? {}
---@return mguard.Stop
function stop.fixed(given) return (build("fixed", given)) end

--- At the first decision of a sequence that may be looked at any time.
---@param given? {alpha?: number, max?: integer}
---@return mguard.Stop
function stop.anytime(given) return (build("anytime", given)) end

--- At one of a few looks planned ahead.
---@param given? {looks?: integer, spending?: "obf"|"pocock"}
---@return mguard.Stop
function stop.group(given) return (build("group", given)) end

--- By Wald's sequential test on discordant pairs: does the candidate win half of them, or the share `odds`?
---@param given? {alpha?: number, beta?: number, odds?: number}
---@return mguard.Stop
function stop.sprt(given) return (build("sprt", given)) end

--- Plain table of a stopping rule; nil where value is none.
---@param value any
function stop.of(value)
  if getmetatable(value) ~= Stop then return nil end
  local copy = {}
  for k, v in pairs(value) do copy[k] = v end
  return copy
end

--- Raises where the rule cannot serve the goal.
---@param s table     plain table of a stopping rule
---@param goal table  plain table of a goal
---@param at string|nil
function stop.fits(s, goal, at)
  if s.kind == "fixed" then return end
  if goal.kind == "absolute" then
    where.fail(at, ("stop %s looks at pairs, and the plan has no baseline: name one or use mg.stop.fixed()"):format(s.kind))
  end
  if goal.min_pass_rate then
    where.fail(at, ("min_pass_rate is judged after all cases, and stop %s may end before: use mg.stop.fixed()"):format(s.kind))
  end
  if s.kind == "sprt" and (goal.kind ~= "superiority" or goal.margin ~= 0) then
    where.fail(at, "stop sprt asks whether the candidate wins the cases that differ: it goes with goal = mg.goal.superiority(0) alone; "
      .. "for a margin use mg.stop.anytime() or mg.stop.group()")
  end
end

return stop
