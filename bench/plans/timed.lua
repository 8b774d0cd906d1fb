local mg = require "mguard"
return mg.plan { checks = "../../examples/top_k/checks.lua", baseline = "v1", candidate = "v2", cases = 10000, seed = 42,
  measure = { "latency", "latency_p95" }, metrics = { mg.metric { "length", value = function(out) return #out end } } }
