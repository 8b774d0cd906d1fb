-- Is v3 better than v1? It must pass clearly more cases, and break no hard clause that v1 keeps. (adopt, exit code 0)
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "v1",
  candidate = "v3",
  cases = 10000,
  seed = 42,
  goal = mg.goal.superiority(0.01), -- more than 1 percentage point better
}
