-- Inputs that travel in the tasks; bench/run writes the file.
local mg = require "mguard"
return mg.plan { checks = "shipped_checks.lua", baseline = "v1", candidate = "v2", cases = mg.jsonl(os.getenv "BENCH_CASES" or "cases.jsonl") }
