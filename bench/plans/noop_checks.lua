-- As little work as a case can be: what remains is the engine's own cost.
local mg = require "mguard"
return mg.checks {
  name = "noop",
  generate = function(g) return g:int(1, 1000) end,
  properties = { mg.property { "same", check = function(out, x) return out == x end } },
  implementations = { v1 = mg.lua "identity.lua", v2 = mg.lua "identity.lua" },
}
