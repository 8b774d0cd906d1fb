-- Right is not all: may v2 replace v1 if it must not hold much more memory, nor serve one kind of list worse than another? An adopt needs the
-- pass rate and every endpoint; monitors only alert. Times are reported with their interval, and decide nothing here. (adopt, exit code 0)
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "v1",
  candidate = "v2",
  cases = 5000,
  seed = 42,

  -- A metric is a number of one result: metric(result, arguments...).
  metrics = {
    mg.metric { "entries", value = function(out) return #out end },
    mg.metric { "largest", value = function(out) return out[1] and math.max(table.unpack(out)) end, better = "higher" },
  },
  measure = { "latency", "latency_p95" },

  -- How much worse the candidate may be: of a mean in its own unit, of times and memory as a share (0.5: half as much again).
  endpoints = { entries = 0.01, memory = 0.5 },
  monitors = { fairness = 0.02 },

  -- The groups that fairness compares.
  group = function(list, k) return #list < k and "short lists" or "long lists" end,
}
