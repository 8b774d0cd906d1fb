-- May jq replace Python here? (reject, exit code 1) No: numbers beyond 2^53 come back changed, ordinary ones do not.
-- Needs python3 and jq. The report names a case; `mguard replay REPORT --case N` shows it again.
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "python",
  candidate = "jq",
  cases = 1000,
  seed = 42,
}
