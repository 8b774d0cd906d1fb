-- A candidate with a rare mistake: one new violation of a hard clause is enough to reject it. (reject, exit code 1)
-- The report shows the case, and `mguard replay` runs it again.
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "v1",
  candidate = "wrong",
  cases = 10000,
  seed = 42,
}
