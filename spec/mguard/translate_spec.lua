-- A queue configuration for another broker is valid there, keeps what it can, and names the rest.
local config = require "mguard.config"
local core = require "mguard.core"
local support = require "spec.support"
local translate = require "mguard.translate"

local BACKENDS <const> = { "memory", "redis", "rabbitmq", "kafka", "sqs" }

local function example(backend) return "examples/distributed/queue/" .. backend .. ".json" end

describe("mguard.translate", function()
  for _, from in ipairs(BACKENDS) do
    for _, to in ipairs(BACKENDS) do
      it(("gives a valid configuration from %s to %s"):format(from, to), function()
        local text, notes = translate.to(example(from), to)
        local resolved = config.resolve(nil, nil, nil, text)
        assert.equal(to, resolved.backend)
        assert.equal(60, resolved.lease_seconds)
        if from == to then
          assert.equal("", notes)
          assert.same(config.resolve(nil, nil, nil, example(from)), resolved)
        end
      end)
    end
  end

  it("keeps what both know, secrets as they are written", function()
    local text = translate.to({ backend = "rabbitmq", queue_name = "tasks", lease_seconds = 90, compress = false,
      connection = { host = "h", username = "${U}", password = "${P}", ssl = true, ssl_ca_location = "/ca.pem" } }, "kafka")
    assert.same({ backend = "kafka", topic = "tasks", lease_seconds = 90, compress = false, sasl_username = "${U}",
      sasl_password = "${P}", security_protocol = "sasl_ssl", sasl_mechanism = "SCRAM-SHA-512", ssl_ca_location = "/ca.pem",
      bootstrap_servers = "BROKER:9092" }, core.json_decode(text))
    local back = translate.to(text, "redis")
    assert.same({ host = "HOST", username = "${U}", password = "${P}", ssl = true, ssl_ca_location = "/ca.pem" },
      core.json_decode(back).connection)
  end)

  it("names what has no counterpart and what must be filled in, and shows no secret", function()
    local _, notes = translate.to({ backend = "redis", key_prefix = "team", connection = { host = "h", sentinel_password = "pst" } }, "sqs")
    assert.truthy(notes:find('left out: key_prefix = "team": sqs has nothing like it', 1, true), notes)
    assert.truthy(notes:find("left out: connection.host: it tells where redis is", 1, true), notes)
    assert.truthy(notes:find("fill in: queue_url", 1, true), notes)
    assert.is_nil(notes:find("pst", 1, true))
  end)

  it("takes visibility_timeout and lease_seconds for one", function()
    local text = translate.to({ backend = "sqs", queue_url = "https://q/1/t", visibility_timeout = 90 }, "redis")
    assert.equal(90, core.json_decode(text).lease_seconds)
  end)

  it("exports without the secrets that stand in clear", function()
    local text, notes = translate.export { backend = "redis", connection = { password = "pst", host = "h" } }
    assert.is_nil(text:find("pst", 1, true))
    assert.equal("${MGUARD_CONNECTION_PASSWORD}", core.json_decode(text).connection.password)
    assert.truthy(notes:find("connection.password stood there in clear", 1, true), notes)
    text, notes = translate.export { backend = "redis", connection = { password = "${P}", host = "h" } }
    assert.equal("${P}", core.json_decode(text).connection.password)
    assert.equal("", notes)
  end)

  it("refuses what is no configuration", function()
    assert.matches("unknown key \"hots\"", support.message(translate.to, { backend = "redis", hots = 1 }, "sqs"))
    assert.matches("backend must be one of", support.message(translate.to, { backend = "rediss" }, "sqs"))
  end)

  it("hands on no key that nobody knows", function()
    assert.equal('--queue-config: unknown key "heartbeat_timeoutt"', support.message(function() translate.export '{"heartbeat_timeoutt": 3}' end))
  end)
end)
