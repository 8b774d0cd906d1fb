-- sample_measures.lua - the parts of a report on what was measured, for the specs of the summary and of the schema.
local core = require "mguard.core"

return function()
  return {
    metrics = {
      { name = "tokens", kind = "mean", quantile = core.null, better = "lower", n = 9990, missing = 10, used = 9990,
        baseline = { mean = 100.5, p50 = 100, p95 = 120, p99 = 130, least = 1, greatest = 140 },
        candidate = { mean = 101.5, p50 = 101, p95 = 121, p99 = 131, least = 1, greatest = 140 },
        estimate = 1, low = 0.5, high = 1.5, level = 0.95, method = "student", margin = 2, holds = "yes", limit = core.null, alert = false },
      { name = "latency_p95", kind = "quantile", quantile = 0.95, better = "lower", n = 9990, missing = 10, used = 9990,
        baseline = { mean = 1, p50 = 1, p95 = 2, p99 = 3, least = 0.1, greatest = 9 },
        candidate = { mean = 2, p50 = 2, p95 = 4, p99 = 6, least = 0.1, greatest = 9 },
        estimate = 2, low = 1.8, high = 2.2, level = 0.95, method = "bootstrap", margin = core.null, holds = core.null, limit = 0.5,
        alert = true },
    },
    groups = { { name = "de", n = 5000, baseline = 1.0, candidate = 0.999, low = 0.997, high = 0.9996 },
      { name = "fr", n = 5000, baseline = 1.0, candidate = 0.95, low = 0.943, high = 0.956 } },
    fairness = { gap = 0.049, low = 0.043, high = 0.056, best = "de", worst = "fr", limit = 0.02, alert = true },
    clusters = { count = 30, design_effect = 1.5 },
    alerts = { "latency_p95: the ratio lies wholly beyond the limit of 1.5" },
  }
end
