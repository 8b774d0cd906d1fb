-- One run, any number of workers on any machines. With Redis, in three terminals:
--
--   redis-server
--   build/mguard worker --script examples/distributed/checks.lua --queue-config examples/distributed/queue/redis.json
--   build/mguard run examples/distributed/plan.lua --queue-config examples/distributed/queue/redis.json
--
-- The other files in queue/ do the same for RabbitMQ, Kafka and SQS; docs/operations/distributed.md shows each. Without --queue-config the run
-- stays in this process.
-- Whichever it is, the outcomes are the same, and so is the outcome_digest in the report.
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "sweep",
  candidate = "insert",
  cases = 20000,
  seed = 7,
}
