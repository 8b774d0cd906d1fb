local mg = require "mguard"
return mg.plan { checks = "noop_checks.lua", baseline = "v1", candidate = "v2", cases = 1000000, seed = 42 }
