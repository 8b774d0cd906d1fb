-- Single-case tasks of some 80 microseconds of all processes together: about 20,000 a second on two cores.
local mg = require "mguard"
local function work(x)
  local y = x
  for i = 1, 3000 do y = (y + i) & 0xffff end
  return y >= 0 and x
end
return mg.checks {
  name = "told",
  generate = function(g) return g:int(1, 1000) end,
  properties = { mg.property { "same", check = function(out, x) return out == x end } },
  implementations = { v1 = work, v2 = work },
}
