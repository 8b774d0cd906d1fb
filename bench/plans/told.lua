local mg = require "mguard"
return mg.plan { checks = "told_checks.lua", baseline = "v1", candidate = "v2", cases = 200000, seed = 42 }
