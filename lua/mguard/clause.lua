--- clause.lua - mg.property and mg.relation: one rule that an implementation's output must keep.
local rule = require "mguard.rule"
local where = require "mguard.where"

local clause = {}

local Property = { __name = "mg.property" }
local Relation = { __name = "mg.relation" }

local EXPECTATIONS <const> = { "equal", "not_equal", "properties" }

local function is_expectation(value)
  if type(value) == "function" then return true end
  for _, name in ipairs(EXPECTATIONS) do
    if value == name then return true end
  end
  return false
end

local function is_hard(value) return type(value) == "boolean" or value == "absolute" end

local NAME <const> = { key = "name", kind = "custom", test = rule.is_name, says = rule.NAME_SAYS, required = true }
local HARD <const> = { key = "hard", kind = "custom", test = is_hard, says = 'true, false or "absolute"', default = true }
local GIVEN <const> = { key = "given", kind = "function" }

local PROPERTY_RULES <const> = {
  NAME,
  { key = "check", kind = "function", says = "a function (out, ...arguments) that gives true or false", required = true },
  HARD, GIVEN,
}
local RELATION_RULES <const> = {
  NAME,
  { key = "transform", kind = "function", says = "a function (g, ...arguments) that gives the new arguments", required = true },
  { key = "expect", kind = "custom", test = is_expectation, default = "equal",
    says = '"equal", "not_equal", "properties" or a function (out, out2, args, args2)' },
  HARD, GIVEN,
}

-- { "sorted", check = ... } is short for { name = "sorted", check = ... }.
local function named(given, at, what)
  if type(given) ~= "table" then return given end
  local copy = {}
  for k, v in pairs(given) do copy[k] = v end
  if copy[1] ~= nil then
    if copy.name ~= nil then where.fail(at, what .. " has its name twice: as first value and as name") end
    copy.name, copy[1] = copy[1], nil
  end
  return copy
end

local function mode_of(hard)
  if hard == "absolute" then return "absolute" end
  return hard and "hard" or "soft"
end

---@class mguard.PropertySpec
---@field [1] string                     name, 1 to 64 bytes without comma, semicolon and quote
---@field name? string                   the same, in place of the first value
---@field check fun(out: any, ...): boolean  true where the output is right for these arguments
---@field hard? boolean|"absolute"       true (default): a violation the baseline does not share rejects; false: counts
---                                      towards the pass rate only; "absolute": any violation rejects
---@field given? fun(...): boolean       false: the clause does not apply to these arguments

--- A property of one output.
---@param given mguard.PropertySpec
---@return mguard.Property
function clause.property(given)
  local at = where.at()
  local p = rule.fields(named(given, at, "mg.property"), PROPERTY_RULES, at, "mg.property")
  return setmetatable({ kind = "property", name = p.name, check = p.check, mode = mode_of(p.hard), given = p.given, where = at },
    Property)
end

---@class mguard.RelationSpec
---@field [1] string                     name, as of a property
---@field name? string                   the same, in place of the first value
---@field transform fun(g: mguard.Generator, ...): ...   other arguments, made from those of the case
---@field expect? "equal"|"not_equal"|"properties"|fun(out: any, out2: any, args: any[], args2: any[]): boolean  default "equal";
---                                      "properties": all properties hold for the second output
---@field hard? boolean|"absolute"       as of a property
---@field given? fun(...): boolean       as of a property

--- A relation between the outputs for two inputs.
---@param given mguard.RelationSpec
---@return mguard.Relation
function clause.relation(given)
  local at = where.at()
  local r = rule.fields(named(given, at, "mg.relation"), RELATION_RULES, at, "mg.relation")
  return setmetatable({ kind = "relation", name = r.name, transform = r.transform, expect = r.expect, mode = mode_of(r.hard),
    given = r.given, where = at }, Relation)
end

local LIMIT <const> = 63
local KINDS <const> = {
  properties = { class = Property, one = "mg.property" },
  relations = { class = Relation, one = "mg.relation" },
}

--- Properties, then relations, in one list; checks kinds, number and names.
---@param properties any
---@param relations any
---@param at string|nil
---@return table[]
function clause.collect(properties, relations, at)
  local all, seen = {}, {}
  for _, part in ipairs { { "properties", properties }, { "relations", relations } } do
    local key, list = part[1], part[2]
    local class, one = KINDS[key].class, KINDS[key].one
    for _, k in ipairs(rule.sorted_keys(list)) do
      if math.type(k) ~= "integer" or k < 1 or k > #list then
        where.fail(at, ("%s must be a list: { %s { ... }, ... }, got a value at [%s]"):format(key, one, rule.show(k)))
      end
    end
    for i, c in ipairs(list) do
      if getmetatable(c) ~= class then
        where.fail(at, ("%s[%d] must be made with %s { ... }, got %s"):format(key, i, one, rule.show(c)))
      end
      local here = c.where or at
      if c.name == "completes" then
        where.fail(here, 'a clause must not be called "completes": that is the clause every run has')
      end
      if seen[c.name] then
        where.fail(here, ('two clauses are called "%s" (the other: %s); names must differ'):format(c.name, seen[c.name]))
      end
      seen[c.name] = c.where or "?"
      all[#all + 1] = c
    end
  end
  if #all > LIMIT then
    where.fail(at, ("there are %d properties and relations, at most %d are allowed together"):format(#all, LIMIT))
  end
  local bare = {}
  for i, c in ipairs(all) do
    local copy = {}
    for k, v in pairs(c) do copy[k] = v end
    bare[i] = copy
  end
  return bare
end

return clause
