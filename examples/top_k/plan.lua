-- May v2 replace v1? Run it: build/mguard run examples/top_k/plan.lua
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "v1",
  candidate = "v2",
  cases = 10000,
  seed = 42,
  goal = mg.goal.noninferiority(0.01), -- adopt where the pass rate is shown to be at most 1 percentage point lower
  limits = { case_timeout_ms = 2000, memory_mb = 512 },
}
