--- relations - ready-made relations. Each takes the number of the argument it changes and, if wanted, a table of what
--- mg.relation takes (name, expect, hard, given), and gives a relation.
local clause = require "mguard.clause"
local rule = require "mguard.rule"
local where = require "mguard.where"

local relations = {}

local ARGUMENT <const> = { key = "argument", kind = "integer", min = 1, max = 100 }

---@class mguard.RelationOptions
---@field name? string
---@field expect? "equal"|"not_equal"|"properties"|fun(out: any, out2: any, args: any[], args2: any[]): boolean  as of mg.relation
---@field hard? boolean|"absolute"  as of a property
---@field given? fun(...): boolean  as of a property

local OPTIONS <const> = {
  { key = "name", kind = "custom", test = rule.is_name, says = rule.NAME_SAYS },
  { key = "expect", kind = "custom" }, -- mg.relation checks it
  { key = "hard", kind = "custom" },
  { key = "given", kind = "function" },
}

-- A relation that replaces argument number `index` by change(g, value).
local function on_argument(what, index, options, default_name, default_expect, wants, change)
  local at = where.at()
  index = rule.check(ARGUMENT, index == nil and 1 or index, at, what .. ": the argument's number")
  local o = rule.fields(options or {}, OPTIONS, at, what)
  local expect = o.expect
  if expect == nil then expect = default_expect end
  if expect == nil then
    where.fail(at, ("%s needs expect: what becomes of the output depends on the implementation"):format(what))
  end
  return clause.relation {
    o.name or default_name,
    transform = function(g, ...)
      local args = table.pack(...)
      if wants and type(args[index]) ~= wants then
        error(("%s: argument %d must be a %s, got %s"):format(what, index, wants, rule.show(args[index])), 0)
      end
      args[index] = change(g, args[index])
      return table.unpack(args, 1, math.max(args.n, index))
    end,
    expect = expect,
    hard = o.hard,
    given = o.given,
  }
end

--- Another order of a list changes nothing: permute(1).
---@param index? integer  of the argument that is changed; default 1
---@param options? mguard.RelationOptions
---@return mguard.Relation
function relations.permute(index, options)
  return (on_argument("mg.relations.permute", index, options, "permute", "equal", "table", function(g, list)
    return g:shuffle(list)
  end))
end

--- The list backwards changes nothing: reverse(1).
---@param index? integer  of the argument that is changed; default 1
---@param options? mguard.RelationOptions
---@return mguard.Relation
function relations.reverse(index, options)
  return (on_argument("mg.relations.reverse", index, options, "reverse", "equal", "table", function(_, list)
    local turned, n = {}, #list
    for i = 1, n do turned[i] = list[n + 1 - i] end
    return turned
  end))
end

--- The list followed by itself; say what to expect: duplicate(1, { expect = function(out, out2) ... end }).
---@param index integer  of the argument that is changed; default 1
---@param options mguard.RelationOptions  expect is needed
---@return mguard.Relation
function relations.duplicate(index, options)
  return (on_argument("mg.relations.duplicate", index, options, "duplicate", nil, "table", function(_, list)
    local n = #list
    local twice = table.move(list, 1, n, 1, {})
    return table.move(list, 1, n, n + 1, twice)
  end))
end

--- One more entry at the end, made by make(g, list); say what to expect.
---@param index integer  of the argument that is changed; default 1
---@param make fun(g: mguard.Generator, list: any[]): any
---@param options mguard.RelationOptions  expect is needed
---@return mguard.Relation
function relations.append(index, make, options)
  if type(make) ~= "function" then
    where.fail(where.at(), "mg.relations.append takes a function (g, list) that makes the new entry, got " .. rule.show(make))
  end
  return (on_argument("mg.relations.append", index, options, "append", nil, "table", function(g, list)
    local longer = table.move(list, 1, #list, 1, {})
    longer[#longer + 1] = make(g, list)
    return longer
  end))
end

local function on_numbers(value, change)
  if type(value) == "number" then return change(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = on_numbers(v, change) end
  return copy
end

local function number_relation(kind, index, amount, options, change)
  local what = "mg.relations." .. kind
  rule.check({ key = "amount", kind = "number" }, amount, where.at(), what .. ": the amount")
  local o = {}
  for k, v in pairs(options or {}) do o[k] = v end
  return (on_argument(what, index, o, ("%s %s"):format(kind, rule.number_text(amount)), nil, nil, function(_, value)
    return on_numbers(value, change)
  end))
end

--- A number, or every number in a table, times factor; say what to expect.
---@param index integer  of the argument that is changed; default 1
---@param factor number
---@param options mguard.RelationOptions  expect is needed
---@return mguard.Relation
function relations.scale(index, factor, options)
  return (number_relation("scale", index, factor, options, function(n) return n * factor end))
end

--- A number, or every number in a table, plus an amount; say what to expect.
---@param index integer  of the argument that is changed; default 1
---@param amount number
---@param options mguard.RelationOptions  expect is needed
---@return mguard.Relation
function relations.shift(index, amount, options)
  return (number_relation("shift", index, amount, options, function(n) return n + amount end))
end

--- Two arguments exchanged change nothing: swap(1, 2).
---@param first? integer   default 1
---@param second? integer  default 2
---@param options? mguard.RelationOptions
---@return mguard.Relation
function relations.swap(first, second, options)
  local at, what = where.at(), "mg.relations.swap"
  first = rule.check(ARGUMENT, first == nil and 1 or first, at, what .. ": the first argument's number")
  second = rule.check(ARGUMENT, second == nil and 2 or second, at, what .. ": the second argument's number")
  if first == second then where.fail(at, what .. " needs two different arguments") end
  local o = rule.fields(options or {}, OPTIONS, at, what)
  return (clause.relation {
    o.name or "swap",
    transform = function(_, ...)
      local args = table.pack(...)
      args[first], args[second] = args[second], args[first]
      return table.unpack(args, 1, math.max(args.n, first, second))
    end,
    expect = o.expect == nil and "equal" or o.expect,
    hard = o.hard,
    given = o.given,
  })
end

return relations
