--- rule.lua - what a value may be, said once: a rule checks a value, describes itself in an error and fills the
--- reference page. Tables with keys (mg.plan, mg.checks, the queue configuration) are lists of rules.
local core = require "mguard.core"
local where = require "mguard.where"

local rule = {}

---@class mguard.Rule
---@field key string
---@field kind "integer"|"number"|"boolean"|"string"|"function"|"strings"|"enum"|"table"|"custom"
---@field min number|nil      smallest value allowed
---@field max number|nil      largest value allowed
---@field above number|nil    values must be larger than this
---@field below number|nil    values must be smaller than this
---@field values string[]|nil what an enum may be
---@field says string|nil     description used instead of the kind's own
---@field test (fun(value: any): boolean, any)|nil more conditions; a second result replaces the value
---@field default any
---@field required boolean|nil
---@field secret boolean|nil  never shown in a message
---@field doc string|nil

local function number_text(n)
  local whole = math.tointeger(n)
  return whole and ("%d"):format(whole) or ("%.14g"):format(n)
end
rule.number_text = number_text

local function range_text(r)
  local low = r.min and ("from " .. number_text(r.min)) or r.above and ("above " .. number_text(r.above))
  local high = r.max and ((r.min and "to " or "up to ") .. number_text(r.max))
    or r.below and ((low and "and " or "") .. "below " .. number_text(r.below))
  if low and high then return (" %s %s"):format(low, high) end
  if r.min then return (" of %s or more"):format(number_text(r.min)) end
  return (low or high) and (" " .. (low or high)) or ""
end

--- "a whole number from 1 to 100"
---@param r mguard.Rule
---@return string
function rule.describe(r)
  if r.says then return r.says end
  if r.kind == "integer" then return "a whole number" .. range_text(r) end
  if r.kind == "number" then return "a number" .. range_text(r) end
  if r.kind == "boolean" then return "true or false" end
  if r.kind == "strings" then return "a list of strings" end
  if r.kind == "enum" then
    local names = {}
    for i, name in ipairs(r.values) do names[i] = '"' .. name .. '"' end
    return "one of " .. table.concat(names, ", ")
  end
  return "a " .. r.kind
end

local function in_range(r, n)
  return (not r.min or n >= r.min) and (not r.max or n <= r.max)
    and (not r.above or n > r.above) and (not r.below or n < r.below)
end

local accept = {}
function accept.integer(r, value)
  local whole = math.type(value) and math.tointeger(value)
  return whole ~= nil and whole ~= false and in_range(r, whole), whole
end
function accept.number(r, value)
  -- NaN fails the first comparison, infinities the second
  return math.type(value) ~= nil and value == value and math.abs(value) < math.huge and in_range(r, value), value
end
function accept.boolean(_, value) return type(value) == "boolean", value end
function accept.string(r, value)
  return type(value) == "string" and (r.empty or value ~= "") and not value:find("\0", 1, true), value
end
accept["function"] = function(_, value) return type(value) == "function", value end
function accept.table(_, value) return type(value) == "table", value end
function accept.custom() return true end
function accept.enum(r, value)
  for _, name in ipairs(r.values) do
    if value == name then return true, value end
  end
  return false
end
function accept.strings(_, value)
  if type(value) ~= "table" then return false end
  local copy, count = {}, 0
  for _ in pairs(value) do count = count + 1 end
  for i = 1, count do
    if type(value[i]) ~= "string" or value[i] == "" then return false end
    copy[i] = value[i]
  end
  return true, copy
end

--- Whether value obeys r, and the value to use (3.0 becomes 3 where a whole number is wanted).
---@param r mguard.Rule
---@param value any
---@return boolean ok
---@return any value
function rule.accepts(r, value)
  local ok, good = accept[r.kind](r, value)
  if r.kind == "custom" then good = value end
  if ok and r.test then
    local changed
    ok, changed = r.test(good)
    if changed ~= nil then good = changed end
  end
  return ok and true or false, good
end

--- Short text of a value for a message.
---@param value any
---@param r mguard.Rule|nil
function rule.show(value, r)
  if r and r.secret then return "a value that is not shown" end
  if value == nil then return "nothing" end
  if value == core.null then return "null" end
  if type(value) == "function" then return "a function" end
  return core.show(value, 80)
end

--- Checks one value; raises "at: name must be ..., got ..." where it is not allowed.
---@param r mguard.Rule
---@param value any
---@param at string|nil
---@param name string|nil what to call it, by default r.key
function rule.check(r, value, at, name)
  local ok, good = rule.accepts(r, value)
  if ok then return good end
  where.fail(at, ("%s must be %s, got %s"):format(name or r.key, rule.describe(r), rule.show(value, r)))
end

local function distance(a, b)
  -- optimal string alignment: a swap of neighbours counts as one slip
  local rows = { {}, {} }
  for j = 0, #b do rows[1][j] = j end
  for i = 1, #a do
    local now = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(rows[1][j] + 1, now[j - 1] + 1, rows[1][j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, rows[2][j - 2] + 1)
      end
      now[j] = best
    end
    rows[1], rows[2] = now, rows[1]
  end
  return rows[1][#b]
end

--- The known name nearest to a misspelt one, or nil. Ties go to the one that sorts first.
---@param name string
---@param known string[]
---@return string|nil
function rule.nearest(name, known)
  local sorted = table.move(known, 1, #known, 1, {})
  table.sort(sorted)
  local best, least = nil, math.max(1, math.min(3, #name // 3)) + 1
  for _, candidate in ipairs(sorted) do
    local steps = distance(name:lower(), candidate:lower())
    if steps < least then best, least = candidate, steps end
  end
  return best
end

--- `; did you mean "cases"?` or the list of what is known.
---@param name string
---@param known string[]
---@param what string plural: "keys", "implementations"
function rule.hint(name, known, what)
  local near = rule.nearest(name, known)
  if near then return ('; did you mean "%s"?'):format(near) end
  if #known == 0 then return ("; there are no %s"):format(what) end
  local sorted = table.move(known, 1, #known, 1, {})
  table.sort(sorted)
  return ("; known %s: %s"):format(what, table.concat(sorted, ", "))
end

--- Keys of a table in an order that does not depend on pairs().
---@param t table
---@return any[]
function rule.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) < type(b) end
    if type(a) == "number" or type(a) == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

--- Checks a table against a list of rules: unknown keys, missing keys, types, ranges. Returns a new table with the
--- defaults filled in. `what` names the table in messages ("mg.plan"), `prefix` goes before each key ("limits.").
---@param given any
---@param rules mguard.Rule[]
---@param at string|nil
---@param what string
---@param prefix string|nil
---@return table
function rule.fields(given, rules, at, what, prefix)
  if type(given) ~= "table" then
    where.fail(at, ("%s takes a table: %s { ... }, got %s"):format(what, what, rule.show(given)))
  end
  prefix = prefix or ""
  local by_key, known = {}, {}
  for i, r in ipairs(rules) do
    by_key[r.key] = r
    known[i] = prefix .. r.key
  end
  for _, key in ipairs(rule.sorted_keys(given)) do
    if type(key) ~= "string" then
      where.fail(at, ("%s takes named keys only, got %s at [%s]"):format(what, rule.show(given[key]), tostring(key)))
    elseif not by_key[key] then
      local name = prefix .. key
      where.fail(at, ('unknown key "%s" in %s%s'):format(name, what, rule.hint(name, known, "keys")))
    end
  end
  local result = {}
  for _, r in ipairs(rules) do
    local value = given[r.key]
    if value ~= nil then
      result[r.key] = rule.check(r, value, at, prefix .. r.key)
    elseif r.required then
      where.fail(at, ("%s%s is missing in %s: it must be %s"):format(prefix, r.key, what, rule.describe(r)))
    else
      result[r.key] = r.default
    end
  end
  return result
end

local NAME_LIMIT <const> = 64

--- Rule for names of clauses and implementations: they stand in reports, CSV files and messages.
---@param value any
---@return boolean
function rule.is_name(value)
  return type(value) == "string" and value ~= "" and #value <= NAME_LIMIT and not value:find('[%c,;"]')
    and utf8.len(value) ~= nil
end
rule.NAME_SAYS = "a name of 1 to 64 bytes without control characters, commas, semicolons and quotes"

return rule
