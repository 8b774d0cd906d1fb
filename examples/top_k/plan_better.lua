-- Suppose wrong.lua had been in use for years. Is v3 better? It must pass more cases, and break no hard clause that the
-- baseline keeps. Its results come in another order than the baseline's, which the checks allow. (adopt, exit code 0)
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "wrong",
  candidate = "v3",
  cases = 10000,
  seed = 42,
  goal = mg.goal.superiority(0), -- better at all; superiority(0.01) would ask for more than 1 percentage point
}
