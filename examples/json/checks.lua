-- The task: read a list of numbers as JSON, add 0 to each, and write the list as JSON. Nothing may change.
-- Python keeps whole numbers exact; jq calculates in doubles, which have no odd numbers beyond 2^53.
local mg = require "mguard"

local LIMIT <const> = 1 << 53

local KINDS <const> = { -- { weight, function that draws }
  { 90, function(g) return g:int(-1000, 1000) end },
  { 90, function(g) return g:float(-1e6, 1e6) end },
  { 20, function(g) return g:int(-LIMIT, LIMIT) end },
  { 1, function(g) return g:int(LIMIT + 1, 1 << 62) end }, -- about one case in ten holds such a number
}

local function ordinary(list)
  for _, n in ipairs(list) do
    if math.abs(n) > LIMIT then return false end
  end
  return true
end

local function beyond(list) return not ordinary(list) end

return mg.checks {
  name = "json",
  generate = function(g)
    local list = g:list(g.weighted, KINDS)
    g:label("beyond 2^53", beyond(list))
    return list
  end,

  -- mg.equal.deep is exact: 2^53 + 1 is not 2^53, but 1 is 1.0.
  properties = {
    mg.property { "ordinary numbers unchanged", given = ordinary, check = mg.equal.deep },
    mg.property { "numbers beyond 2^53 unchanged", given = beyond, check = mg.equal.deep },
  },

  implementations = {
    -- A file with solve(list), in a Python process that is kept.
    python = mg.python "add_zero.py",
    -- Any program that reads a line [arguments...] and answers a line {"result": ...} can be kept, too.
    jq = mg.exec { "jq", "-c", "--unbuffered", "{result: (.[0] | map(. + 0))}" },
  },
}
