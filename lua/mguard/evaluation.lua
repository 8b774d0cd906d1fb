--- evaluation.lua - a plan made on the command line: checks, two implementations, and what decides.
local goal = require "mguard.goal"
local plan = require "mguard.plan"
local rule = require "mguard.rule"
local where = require "mguard.where"

local evaluation = {}

evaluation.CASES = 10000
evaluation.GOAL_SAYS = 'a goal as noninferiority, noninferiority:0.01, superiority:0.02, equivalence:0.01 or absolute:0.99'

-- "superiority", "superiority:0.02", "superiority:margin=0.02" -> kind, number or nil; nil where it is none.
local function parse(text)
  local kind, rest = text:match("^(%l+):?(.*)$")
  local value = rest and tonumber(rest:match("^margin=(.+)$") or rest:match("^min_pass_rate=(.+)$") or rest)
  if not kind or not goal[kind] or kind == "of" or (rest ~= "" and not value) then return nil end
  return kind, value
end

--- The goal of a run: the command line's, else the plan's, with the command line's alpha.
---@param planned table plain goal of the plan
---@param over table    checked overrides
---@param paired boolean whether there is a baseline
---@return table
function evaluation.goal(planned, over, paired)
  local kind, value = planned.kind, planned.margin or planned.min_pass_rate
  local floor = over.min_pass_rate
  if over.goal then
    kind, value = parse(over.goal)
    if not kind then where.fail("--goal", ("must be %s, got %s"):format(evaluation.GOAL_SAYS, rule.show(over.goal))) end
  elseif paired and kind == "absolute" then -- --baseline given to a plan that had none
    kind, value = "noninferiority", nil
  end
  if paired ~= (kind ~= "absolute") then
    where.fail("--goal", paired and "absolute judges one implementation alone, and there is a baseline"
      or ("%s compares with a baseline, and there is none: give --baseline"):format(kind))
  end
  if not paired and floor then
    if over.goal then where.fail("--min-pass-rate", "--goal absolute says the pass rate already: give one of them") end
    value, floor = floor, nil
  elseif paired and not floor and planned.kind ~= "absolute" then
    floor = planned.min_pass_rate
  end
  local ok, made = pcall(goal[kind], value, { alpha = over.alpha or planned.alpha, min_pass_rate = floor })
  if not ok then where.fail("--goal", (tostring(made):gsub("^.-: ", "", 1))) end
  return goal.of(made)
end

--- A plan over checks alone. `over` names the candidate, and may name the rest.
---@param checks table
---@param over table checked overrides
function evaluation.plan(checks, over)
  return plan.new { checks = checks, baseline = over.baseline, candidate = over.candidate, cases = over.cases or evaluation.CASES }
end

return evaluation
