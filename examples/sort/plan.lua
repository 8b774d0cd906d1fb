-- May busybox's sort replace GNU's? (adopt) Needs the programs sort and busybox.
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "gnu",
  candidate = "busybox",
  cases = 200, -- enough for a margin of 2 points where the two never differ; 1 point needs 400
  seed = 42,
  goal = mg.goal.noninferiority(0.02),
  queue = { batch_size = 5 }, -- a case starts ten programs: small tasks keep all executors busy to the end
}
