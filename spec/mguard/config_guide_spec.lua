-- The configurations that users of the earlier system have: each must be accepted as it is.
local config = require "mguard.config"
local support = require "spec.support"

local BLOCKS <const> = {
  { name = "Redis with TLS and a password", text = [[
    {"backend": "redis",
     "connection": {"host": "redis.example.com", "port": 6379, "password": "${REDIS_PASSWORD}", "db": 0, "ssl": true},
     "lease_seconds": 60, "heartbeat_timeout": 30, "compress": true, "adaptive_batching": true}]],
    expect = { backend = "redis", ["connection.host"] = "redis.example.com", ["connection.port"] = 6379,
      ["connection.password"] = "s3cret", ["connection.db"] = 0, ["connection.ssl"] = true, lease_seconds = 60,
      heartbeat_timeout = 30, compress = true, adaptive_batching = true } },
  { name = "tuning, with comments and no backend", text = [[
    {"adaptive_batching": true, "initial_batch_size": 10, "max_batch_size": 100, "compress": true,
     "lease_seconds": 120,  // for tasks that take long
     "heartbeat_timeout": 60  // half of it
    }]],
    expect = { initial_batch_size = 10, max_batch_size = 100, lease_seconds = 120, heartbeat_timeout = 60 } },
  { name = "SQS", text = [[
    {"backend": "sqs", "queue_url": "https://sqs.us-east-1.amazonaws.com/123456789/metamorphic-guard-tasks",
     "region": "us-east-1", "visibility_timeout": 60, "max_batch_size": 10, "long_polling_seconds": 20}]],
    expect = { backend = "sqs", queue_url = "https://sqs.us-east-1.amazonaws.com/123456789/metamorphic-guard-tasks",
      region = "us-east-1", visibility_timeout = 60, lease_seconds = 60, max_batch_size = 10, long_polling_seconds = 20 } },
  { name = "RabbitMQ", text = [[
    {"backend": "rabbitmq",
     "connection": {"host": "rabbitmq.example.com", "port": 5672, "virtual_host": "/metamorphic",
                    "username": "${RABBITMQ_USER}", "password": "${RABBITMQ_PASSWORD}", "ssl": true},
     "queue_name": "metamorphic_guard_tasks", "durable": true, "prefetch_count": 10}]],
    expect = { backend = "rabbitmq", ["connection.host"] = "rabbitmq.example.com", ["connection.port"] = 5672,
      ["connection.virtual_host"] = "/metamorphic", ["connection.username"] = "guard", ["connection.password"] = "r@bbit",
      ["connection.ssl"] = true, queue_name = "metamorphic_guard_tasks", durable = true, prefetch_count = 10 } },
  { name = "Kafka", text = [[
    {"backend": "kafka", "bootstrap_servers": "kafka-1:9092,kafka-2:9092,kafka-3:9092",
     "topic": "metamorphic_guard_tasks", "consumer_group": "metamorphic_guard_workers", "max_batch_size": 1000,
     "enable_auto_commit": false, "session_timeout_ms": 30000}]],
    expect = { backend = "kafka", bootstrap_servers = "kafka-1:9092,kafka-2:9092,kafka-3:9092",
      topic = "metamorphic_guard_tasks", consumer_group = "metamorphic_guard_workers", max_batch_size = 1000,
      enable_auto_commit = false, session_timeout_ms = 30000 } },
  { name = "the one-line form of the command line", text = [[{"backend":"redis","connection":{"host":"localhost","port":6379}}]],
    expect = { backend = "redis", ["connection.host"] = "localhost", ["connection.port"] = 6379 } },
}

describe("a configuration of the earlier system", function()
  -- The environment cannot be set from Lua, so getenv is answered here.
  local real = os.getenv
  local set = { REDIS_PASSWORD = "s3cret", RABBITMQ_USER = "guard", RABBITMQ_PASSWORD = "r@bbit" }
  setup(function() os.getenv = function(name) return set[name] or real(name) end end) -- luacheck: ignore 122
  teardown(function() os.getenv = real end) -- luacheck: ignore 122

  for _, block in ipairs(BLOCKS) do
    it("is accepted: " .. block.name, function()
      local flat = config.resolve(nil, nil, nil, block.text)
      for key, value in pairs(block.expect) do assert.equal(value, flat[key], key) end
    end)
  end

  it("is accepted in a plan too", function()
    local flat = config.resolve(config.parse(BLOCKS[4].text, "x"), "plan.lua:3")
    assert.equal("guard", flat["connection.username"])
  end)

  it("is refused by name where its variable is missing", function()
    set.REDIS_PASSWORD = nil
    assert.equal("--queue-config: connection.password needs the environment variable REDIS_PASSWORD, which is not set",
      support.message(config.resolve, nil, nil, nil, BLOCKS[1].text))
    set.REDIS_PASSWORD = "s3cret"
  end)
end)
