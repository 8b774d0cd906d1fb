local mg = require "mguard"
return mg.checks { name = "shipped", properties = { mg.property { "same", check = function(out, x) return out == x end } },
  implementations = { v1 = mg.lua "identity.lua", v2 = mg.lua "identity.lua" } }
