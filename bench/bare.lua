-- bare.lua - what a plain Lua 5.4 loop costs that makes the same calls as mguard, each under pcall: no queue, no copies,
-- no time limit, no report. `lua5.4 bench/bare.lua CHECKS.lua BASELINE CANDIDATE CASES` prints cases a second.
-- It reads the same checks file through a stand-in for mguard that only keeps what it is given.
local dir = arg[1]:match("^(.*)/") or "."
local floor, random, pcall, clock = math.floor, math.random, pcall, os.clock

local relations = setmetatable({}, { __index = function(_, name)
  assert(name == "permute", "bare.lua knows the relation permute alone")
  return function(index)
    return { "permute", expect = "equal", transform = function(g, ...)
      local args = table.pack(...)
      args[index] = g:shuffle(args[index])
      return table.unpack(args, 1, args.n)
    end }
  end
end })

local function deep(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or #a ~= #b then return false end
  for i = 1, #a do
    if not deep(a[i], b[i]) then return false end
  end
  return true
end

local function multiset(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if #a ~= #b then return false end
  local count = {}
  for _, v in ipairs(a) do count[v] = (count[v] or 0) + 1 end
  for _, v in ipairs(b) do
    if not count[v] or count[v] == 0 then return false end
    count[v] = count[v] - 1
  end
  return true
end

package.preload.mguard = function()
  local function same(x) return x end
  return { checks = same, property = same, relation = same, relations = relations, equal = { multiset = multiset, deep = deep },
    lua = function(name) return dofile(dir .. "/" .. name) end }
end

local g = { size = 30 }
function g.int(_, low, high) return random(low, high) end
function g.label() end
function g.list(self, f, ...)
  local list = {}
  for i = 1, random(0, self.size) do list[i] = f(self, ...) end
  return list
end
function g.shuffle(_, list)
  local copy = table.move(list, 1, #list, 1, {})
  for i = #copy, 2, -1 do
    local j = random(i)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

local checks = dofile(arg[1])
local roles = { checks.implementations[arg[2]], checks.implementations[arg[3]] }
local cases = floor(tonumber(arg[4]))
local properties, related, equal = checks.properties or {}, checks.relations or {}, checks.equal or deep
local passes = 0
random(1)
local start = clock()
local applies, args2 = {}, {}
for _ = 1, cases do
  local _, a, b = pcall(checks.generate, g)
  for i = 1, #properties do
    local given = properties[i].given
    if given then _, applies[i] = pcall(given, a, b) else applies[i] = true end
  end
  for i = 1, #related do
    local _, a2, b2 = pcall(related[i].transform, g, a, b)
    args2[2 * i - 1], args2[2 * i] = a2, b2
  end
  for r = 1, 2 do
    local solve = roles[r]
    local ok, out = pcall(solve, a, b)
    local good = ok
    for i = 1, #properties do
      if applies[i] then
        local fine, holds = pcall(properties[i].check, out, a, b)
        good = good and fine and holds
      end
    end
    for i = 1, #related do
      local m = related[i]
      local a2, b2 = args2[2 * i - 1], args2[2 * i]
      local ok2, out2 = pcall(solve, a2, b2)
      local fine, holds
      if type(m.expect) == "function" then
        fine, holds = pcall(m.expect, out, out2, { a, b }, { a2, b2 })
      else
        fine, holds = pcall(equal, out, out2)
      end
      good = good and ok2 and fine and holds
    end
    if good then passes = passes + 1 end
  end
end
print(cases / (clock() - start), passes)
