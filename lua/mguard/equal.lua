--- equal.lua - when two outputs are the same: exactly, up to a tolerance, or without regard to order.
local core = require "mguard.core"
local rule = require "mguard.rule"
local where = require "mguard.where"

local equal = {}

--- Numbers by value (1 == 1.0, NaN equals NaN), strings by bytes, tables by content.
---@type fun(a: any, b: any): boolean
equal.deep = core.equal

local function list_length(t)
  local count = 0
  for _ in pairs(t) do count = count + 1 end
  for i = 1, count do
    if t[i] == nil then return nil end
  end
  return count
end

local function is_list(value)
  return type(value) == "table" and list_length(value) ~= nil
end

-- Pairs off the entries of two lists so that `same` holds for each pair (augmenting paths: with a tolerance, the first
-- partner that fits need not be the one that lets all others fit).
local function matches(a, b, same)
  local n = #a
  local partner = {} -- of each entry of b
  local function place(i, tried)
    for j = 1, n do
      if not tried[j] and same(a[i], b[j]) then
        tried[j] = true
        if not partner[j] or place(partner[j], tried) then
          partner[j] = i
          return true
        end
      end
    end
    return false
  end
  for i = 1, n do
    if not place(i, {}) then return false end
  end
  return true
end

local function before(x, y) return core.compare(x, y) < 0 end

local function unordered(a, b, same)
  local n = list_length(a)
  if n ~= list_length(b) then return false end
  local x, y = table.move(a, 1, n, 1, {}), table.move(b, 1, n, 1, {})
  table.sort(x, before)
  table.sort(y, before)
  local all = true
  for i = 1, n do
    if not same(x[i], y[i]) then
      all = false
      break
    end
  end
  return all or matches(x, y, same)
end

--- Lists with the same entries, in any order; everything else as deep.
---@param a any
---@param b any
---@return boolean
function equal.multiset(a, b)
  local known = core.same_integers(a, b)
  if known ~= nil then return known end
  if is_list(a) and is_list(b) then
    local n = list_length(a)
    if n ~= list_length(b) then return false end
    if n == 0 then return core.equal(a, b) end -- {} as array and {} as object
    local x, y = table.move(a, 1, n, 1, {}), table.move(b, 1, n, 1, {})
    table.sort(x, before)
    table.sort(y, before)
    return core.equal(x, y)
  end
  return core.equal(a, b)
end

local function is_keys(value)
  if value == true then return true end
  if type(value) ~= "table" or #value == 0 then return false end
  for _, key in ipairs(value) do
    if type(key) ~= "string" and math.type(key) ~= "integer" then return false end
  end
  return true
end

local RULES <const> = {
  { key = "abs", kind = "number", min = 0, default = 0 },
  { key = "rel", kind = "number", min = 0, max = 1, default = 0 },
  { key = "unordered", kind = "custom", test = is_keys,
    says = "true (all lists) or a list of keys whose lists have no order" },
  { key = "ignore", kind = "custom", test = function(v) return v ~= true and is_keys(v) end,
    says = "a list of keys to leave out" },
}

local function set_of(list)
  if type(list) ~= "table" then return {} end
  local set = {}
  for _, key in ipairs(list) do set[key] = true end
  return set
end

---@class mguard.EqualOptions
---@field abs? number   numbers may differ by this much
---@field rel? number   or by this part of the larger one
---@field unordered? true|string[]  lists under these keys (true: all lists) are compared without regard to order
---@field ignore? string[]          keys that are not compared

--- An equality of one's own: mg.equal.with { rel = 1e-9, unordered = { "tags" }, ignore = { "timestamp" } }.
---@param options mguard.EqualOptions
---@return fun(a: any, b: any): boolean
function equal.with(options)
  local o = rule.fields(options, RULES, where.at(), "mg.equal.with")
  local abs, rel = o.abs, o.rel
  if not o.unordered and not o.ignore then
    if abs == 0 and rel == 0 then return core.equal end
    return function(a, b) return core.approx(a, b, abs, rel) end
  end
  local everywhere, loose, skip = o.unordered == true, set_of(o.unordered), set_of(o.ignore)
  local same
  local function same_table(a, b)
    if next(a) == nil and next(b) == nil then return core.equal(a, b) end
    for k, v in pairs(a) do
      if not skip[k] then
        local w = b[k]
        if w == nil then return false end
        if loose[k] and is_list(v) and is_list(w) then
          if not unordered(v, w, same) then return false end
        elseif not same(v, w) then
          return false
        end
      end
    end
    for k in pairs(b) do
      if not skip[k] and a[k] == nil then return false end
    end
    return true
  end
  function same(a, b)
    if type(a) == "table" and type(b) == "table" then
      local lists = everywhere and next(a) ~= nil and next(b) ~= nil and is_list(a) and is_list(b)
      return (lists and unordered or same_table)(a, b, same)
    end
    return core.approx(a, b, abs, rel)
  end
  return same
end

--- Numbers up to a tolerance: mg.equal.approx { abs = 1e-9, rel = 1e-9 } (the default).
---@param options? mguard.EqualOptions
---@return fun(a: any, b: any): boolean
function equal.approx(options)
  local given = options
  if options == nil or type(options) == "table" then
    given = {}
    for k, v in pairs(options or {}) do given[k] = v end
    if given.abs == nil and given.rel == nil then given.abs, given.rel = 1e-9, 1e-9 end
  end
  return (equal.with(given))
end

return equal
