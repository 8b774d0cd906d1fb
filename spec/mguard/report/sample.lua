-- sample.lua - a report as `mguard run` writes it, for the specs of the summary and of the schema.
local core = require "mguard.core"

local function outcomes(pass, fail, timeout)
  return { pass = pass, fail = fail, error = 0, timeout = timeout, crash = 0, discard = 0, lost = 0, unrun = 0 }
end

return function()
  return {
    mguard = "0.1.0", schema = 1, run = "20261125-101112-3fa9", verdict = "reject", exit_code = 1,
    reasons = { "candidate violates hard clause sorted on case 17, which the baseline keeps; it did so again when run again" },
    name = "top_k", script = "examples/top_k/plan_wrong.lua", started = "2026-11-25T10:11:12Z", seconds = 1.23,
    baseline = "v1", candidate = "wrong", cases = 10000, seed = 42,
    fingerprint = ("0a"):rep(32), outcome_digest = ("5f"):rep(16),
    outcomes = { baseline = outcomes(10000, 0, 0), candidate = outcomes(9988, 11, 1) },
    pairs = { n = 10000, both = 9988, baseline_only = 12, candidate_only = 0, neither = 0 },
    rates = { baseline = { rate = 1.0, low = 0.9996, high = 1.0 }, candidate = { rate = 0.9988, low = 0.9979, high = 0.9993 } },
    difference = { estimate = -0.0012, low = -0.0021, high = -0.0007, level = 0.95, method = "tango" },
    goal = { kind = "noninferiority", margin = 0.01, alpha = 0.05 },
    clauses = {
      { name = "completes", kind = "implicit", mode = "hard", both = 0, baseline_only = 0, candidate_only = 1,
        p = 0.5, p_adjusted = core.null, regressed = false },
      { name = "sorted", kind = "property", mode = "hard", both = 0, baseline_only = 0, candidate_only = 11,
        p = 0.00048828125, p_adjusted = core.null, regressed = false },
      { name = "short", kind = "property", mode = "soft", both = 3, baseline_only = 0, candidate_only = 0,
        p = 1, p_adjusted = core.null, regressed = false },
      { name = "permute", kind = "relation", mode = "absolute", both = 0, baseline_only = 0, candidate_only = 0,
        p = 1, p_adjusted = 1, regressed = false },
    },
    violations = {
      { case = 4, role = "baseline", clause = "short", message = core.null, input = "{1}, 1", output = "{}", input2 = core.null,
        output2 = core.null, shared = true, reproduced = core.null,
        replay = "mguard replay r.json --case 4" },
      { case = 17, role = "candidate", clause = "sorted", message = core.null, input = "{3, 1}, 2", output = "{1}",
        input2 = core.null, output2 = core.null, shared = false, reproduced = true, replay = "mguard replay r.json --case 17" },
      { case = 90, role = "candidate", clause = "completes", message = "no end within 2000 ms", input = "{}, 1",
        output = core.null, input2 = core.null, output2 = core.null, shared = false, reproduced = false,
        replay = "mguard replay r.json --case 90" },
      { case = 91, role = "candidate", clause = "sorted", message = core.null, input = "{9}, 1", output = "{}",
        input2 = "{9, 9}, 1", output2 = "{9}", shared = false, reproduced = core.null,
        replay = "mguard replay r.json --case 91" },
    },
    flaky = core.null,
    repeat_check = { cases = 20, different = core.array {} },
    relative_risk = { estimate = 0.9988, low = 0.9979, high = 0.9993, level = 0.95, method = "tang" },
    metrics = core.array {}, groups = core.array {}, fairness = core.null, clusters = core.null, alerts = core.array {},
    labels = { empty = 120, ["k above length"] = 2400 },
    notes = { "the checks take longer than the implementations" },
    limits = { case_timeout_ms = 2000, memory_mb = 512 },
    delivery = { backend = "memory", workers = 2, tasks = 10, requeued = 0, repeats_dropped = 1, dead_lettered = 0,
      reconnects = 0 },
  }
end
