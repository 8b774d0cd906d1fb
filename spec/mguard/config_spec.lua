local config = require "mguard.config"
local keys = require "mguard.config_keys"
local core = require "mguard.core"
local rule = require "mguard.rule"
local support = require "spec.support"

local AT <const> = "plan.lua:3"

local function valid(given) return config.validate(given, AT, "queue.") end
local function refused(given) return support.message(config.validate, given, AT, "queue.") end

-- A configuration of each backend that has all it needs.
local function base(backend, more)
  local given = { backend = backend }
  if backend == "kafka" then given.bootstrap_servers = "localhost:9092" end
  if backend == "sqs" then given.queue_url = "https://sqs.eu-west-1.amazonaws.com/1/q" end
  for k, v in pairs(more or {}) do given[k] = v end
  return given
end

describe("mguard.config", function()
  describe("defaults", function()
    it("are the memory backend's where nothing is said", function()
      local flat = valid {}
      assert.equal("memory", flat.backend)
      assert.equal(60, flat.lease_seconds)
      assert.equal(30, flat.heartbeat_timeout)
      assert.equal(10, flat.heartbeat_interval)
      assert.equal(1, flat.heartbeat_check_interval)
      assert.equal(3, flat.circuit_breaker_threshold)
      assert.equal(3, flat.max_requeue_attempts)
      assert.equal(2, flat.inflight_factor)
      assert.equal(300, flat.drain_timeout)
      assert.equal(604800, flat.retention_seconds)
      assert.is_true(flat.enable_requeue)
      assert.is_true(flat.adaptive_batching)
      assert.is_nil(flat.global_timeout)
      assert.is_nil(flat["connection.host"])
    end)
    it("follow a shorter lease", function()
      local flat = valid { lease_seconds = 12 }
      assert.equal(6, flat.heartbeat_timeout)
      assert.equal(2, flat.heartbeat_interval)
    end)
    it("follow the batch limits that are given", function()
      assert.equal(5, valid({ max_batch_size = 5 }).initial_batch_size)
      assert.equal(50, valid({ min_batch_size = 50 }).initial_batch_size)
      assert.equal(5000, valid({ min_batch_size = 5000 }).max_batch_size)
      assert.equal(2000, valid({ initial_batch_size = 2000 }).max_batch_size)
    end)
    it("turn adaptive batching off where a size is given", function()
      assert.is_false(valid({ batch_size = 7 }).adaptive_batching)
    end)
    it("know the ports", function()
      assert.equal(6379, valid(base "redis")["connection.port"])
      assert.equal(5672, valid(base "rabbitmq")["connection.port"])
      assert.equal(5671, valid(base("rabbitmq", { connection = { ssl = true } }))["connection.port"])
    end)
    it("derive Kafka's topics and RabbitMQ's routing key", function()
      local flat = valid(base("kafka", { topic = "t" }))
      assert.equal("t_results", flat.results_topic)
      assert.equal("t_dead", flat.dead_letter_topic)
      assert.equal("q", valid(base("rabbitmq", { queue_name = "q" })).routing_key)
    end)
    it("obey their own rules, on every backend", function()
      for _, backend in ipairs(keys.backends) do
        local flat = valid(base(backend))
        for name, value in pairs(flat) do
          local key = keys.by_key[name]
          assert.is_truthy(key, name)
          assert.is_true(keys.serves(key, backend), name)
          if not (name == "exchange" and value == "") then
            assert.is_true((rule.accepts(key, value)), name)
          end
        end
      end
    end)
  end)

  it("gives plain settings only: no tables, dotted names", function()
    local flat = valid(base("redis", { connection = { hosts = { "a:1", "b:2" }, cluster = true } }))
    for name, value in pairs(flat) do assert.not_equal("table", type(value), name) end
    assert.equal("a:1,b:2", flat["connection.hosts"])
    assert.is_nil(flat["connection.host"])
    assert.is_nil(flat["connection.port"])
    assert.equal(0, flat["connection.db"])
    assert.equal("a:1,b:2", valid({ backend = "kafka", bootstrap_servers = { "a:1", "b:2" } }).bootstrap_servers)
    assert.equal("a:1,b:2", valid({ backend = "kafka", bootstrap_servers = "a:1, b:2" }).bootstrap_servers)
    flat = valid(base("kafka", { librdkafka = { ["socket.timeout.ms"] = 100, ["log.queue"] = true, ["debug"] = "fetch" } }))
    assert.equal("100", flat["librdkafka.socket.timeout.ms"])
    assert.equal("true", flat["librdkafka.log.queue"])
    assert.equal("fetch", flat["librdkafka.debug"])
  end)

  it("takes an empty password and a session as long as the poll interval", function()
    assert.equal("", valid(base("redis", { connection = { password = "" } }))["connection.password"])
    assert.equal(300000, valid(base("kafka", { session_timeout_ms = 300000 })).session_timeout_ms)
  end)

  it("refuses what is no table", function()
    assert.equal("plan.lua:3: queue must be a table, got 3", refused(3))
  end)

  it("makes a number of spawn_local_workers", function()
    assert.equal(1, valid({ spawn_local_workers = true }).spawn_local_workers)
    assert.equal(0, valid({ spawn_local_workers = false }).spawn_local_workers)
    assert.equal(4, valid({ spawn_local_workers = 4 }).spawn_local_workers)
    assert.matches("true, false or a whole number from 0 to 256, got %-1", refused { spawn_local_workers = -1 })
  end)

  describe("refuses", function()
    local cases = {
      { "an unknown key, with a suggestion", { lease_second = 3 },
        'plan.lua:3: unknown key "queue.lease_second"; did you mean "lease_seconds"?' },
      { "an unknown key of the connection", base("redis", { connection = { hots = "x" } }),
        'plan.lua:3: unknown key "queue.connection.hots"; did you mean "connection.host"?' },
      { "an unknown backend", { backend = "reddis" },
        'plan.lua:3: queue.backend must be one of "memory", "redis", "rabbitmq", "kafka", "sqs", got "reddis"; '
          .. 'did you mean "redis"?' },
      { "a backend that is no string", { backend = 3 },
        'plan.lua:3: queue.backend must be one of "memory", "redis", "rabbitmq", "kafka", "sqs", got 3' },
      { "a key of another backend", base("redis", { queue_url = "https://x" }),
        "plan.lua:3: queue.queue_url belongs to sqs, not to backend redis" },
      { "a connection for the memory backend", { connection = { host = "x" } },
        "plan.lua:3: queue.connection.host belongs to redis, rabbitmq, not to backend memory" },
      { "a connection that is no table", base("redis", { connection = "localhost" }),
        'plan.lua:3: queue.connection must be a table of settings, got "localhost"' },
      { "a negative lease", { lease_seconds = -1 },
        "plan.lua:3: queue.lease_seconds must be a number from 0.1 to 43200, got -1" },
      { "text where a number is wanted", { lease_seconds = "60" },
        'plan.lua:3: queue.lease_seconds must be a number from 0.1 to 43200, got "60"' },
      { "a port above the range", base("redis", { connection = { port = 65536 } }),
        "plan.lua:3: queue.connection.port must be a whole number from 1 to 65535, got 65536" },
      { "a fraction where a whole number is wanted", { batch_size = 1.5 },
        "plan.lua:3: queue.batch_size must be a whole number from 1 to 100000, got 1.5" },
      { "a number where truth is wanted", { compress = 1 }, "plan.lua:3: queue.compress must be true or false, got 1" },
      { "JSON's null", { compress = core.null }, "plan.lua:3: queue.compress must be true or false, got null" },
      { "a heartbeat_timeout above the lease", { heartbeat_timeout = 90, lease_seconds = 80 },
        "plan.lua:3: queue.heartbeat_timeout (90) must not be above lease_seconds (80); half of it is a good value" },
      { "a heartbeat_timeout above the default lease", { heartbeat_timeout = 61 },
        "plan.lua:3: queue.heartbeat_timeout (61) must not be above lease_seconds (60, the default); half of it is a "
          .. "good value" },
      { "a task longer than RabbitMQ lets a worker hold it", { backend = "rabbitmq", max_task_seconds = 40, consumer_timeout_seconds = 30 },
        "plan.lua:3: queue.max_task_seconds (40) must be below consumer_timeout_seconds (30): raise consumer_timeout on the broker, and then "
          .. "here, or make tasks smaller" },
      { "a task longer than RabbitMQ's default", { backend = "rabbitmq", max_task_seconds = 1800 },
        "plan.lua:3: queue.max_task_seconds (1800) must be below consumer_timeout_seconds (1800, the default): raise consumer_timeout on the "
          .. "broker, and then here, or make tasks smaller" },
      { "an interval as long as the timeout", { heartbeat_interval = 30 },
        "plan.lua:3: queue.heartbeat_interval (30) must be below heartbeat_timeout (30); a third of it is a good value" },
      { "batch limits in the wrong order", { min_batch_size = 20, max_batch_size = 10 },
        "plan.lua:3: queue.min_batch_size (20) must not be above max_batch_size (10)" },
      { "an initial batch above the limit", { initial_batch_size = 20, max_batch_size = 10 },
        "plan.lua:3: queue.initial_batch_size (20) must not be above max_batch_size (10)" },
      { "a fixed batch above the limit", { batch_size = 20, max_batch_size = 10 },
        "plan.lua:3: queue.batch_size (20) must not be above max_batch_size (10)" },
      { "a fixed and an adaptive batch", { batch_size = 20, adaptive_batching = true },
        "plan.lua:3: queue.batch_size (20) fixes the size of tasks, adaptive_batching = true varies it: give one of them" },
      { "a socket and a host", base("redis", { connection = { unix_socket = "/s", host = "x" } }),
        "plan.lua:3: queue.connection.unix_socket and connection.host contradict each other: give one of them" },
      { "Sentinels without a name", base("redis", { connection = { sentinels = { "s:26379" } } }),
        "plan.lua:3: queue.connection.sentinels needs connection.sentinel_master beside it" },
      { "a database in a cluster", base("redis", { connection = { cluster = true, db = 2 } }),
        "plan.lua:3: queue.connection.db (2) must be 0 with connection.cluster: a Redis cluster has one database" },
      { "certificates without TLS", base("redis", { connection = { ssl_ca_location = "ca.pem" } }),
        "plan.lua:3: queue.connection.ssl_ca_location needs connection.ssl = true" },
      { "a certificate without its key", base("rabbitmq", { connection = { ssl = true, ssl_certificate_location = "c.pem" } }),
        "plan.lua:3: queue.connection.ssl_certificate_location needs connection.ssl_key_location beside it" },
      { "hosts without ports", base("redis", { connection = { hosts = { "a" } } }),
        'plan.lua:3: queue.connection.hosts must be a list of "host:port", got {"a"}' },
      { "a URL and a host", base("redis", { url = "redis://x", connection = { host = "y" } }),
        "plan.lua:3: queue.url and queue.connection.host contradict each other: give one of them" },
      { "Kafka without brokers", { backend = "kafka" },
        'plan.lua:3: queue.bootstrap_servers is missing: backend kafka needs it; it must be "host:port,host:port" or '
          .. 'a list of "host:port"' },
      { "Kafka's automatic commits", base("kafka", { enable_auto_commit = true }),
        "plan.lua:3: queue.enable_auto_commit must be false: offsets are committed once the results are stored, so that no "
          .. "task is lost" },
      { "a session above the poll interval", base("kafka", { session_timeout_ms = 400000 }),
        "plan.lua:3: queue.session_timeout_ms (400000) must not be above max_poll_interval_ms (300000)" },
      { "SASL without a mechanism", base("kafka", { security_protocol = "SASL_SSL" }),
        "plan.lua:3: queue.security_protocol sasl_ssl needs sasl_mechanism" },
      { "a user without SASL", base("kafka", { sasl_username = "u" }),
        "plan.lua:3: queue.sasl_username needs security_protocol sasl_plaintext or sasl_ssl, which is plaintext" },
      { "a CA without TLS", base("kafka", { ssl_ca_location = "ca.pem" }),
        "plan.lua:3: queue.ssl_ca_location needs security_protocol ssl or sasl_ssl, which is plaintext" },
      { "a list of brokers without ports", { backend = "kafka", bootstrap_servers = { "a", "b:1" } },
        'plan.lua:3: queue.bootstrap_servers must be "host:port,host:port" or a list of "host:port", got {"a", "b:1"}' },
      { "no brokers", { backend = "kafka", bootstrap_servers = {} },
        'plan.lua:3: queue.bootstrap_servers must be "host:port,host:port" or a list of "host:port", got {}' },
      { "a number of brokers", { backend = "kafka", bootstrap_servers = 3 },
        'plan.lua:3: queue.bootstrap_servers must be "host:port,host:port" or a list of "host:port", got 3' },
      { "librdkafka settings that are no table", base("kafka", { librdkafka = "x" }),
        "plan.lua:3: queue.librdkafka must be a table of librdkafka settings, each a string, number or truth value, got a "
          .. "value that is not shown" },
      { "a fixed batch below the limit", { batch_size = 2, min_batch_size = 10 },
        "plan.lua:3: queue.min_batch_size (10) must not be above batch_size (2)" },
      { "an initial batch below the limit", { initial_batch_size = 2, min_batch_size = 10 },
        "plan.lua:3: queue.min_batch_size (10) must not be above initial_batch_size (2)" },
      { "Sentinels and hosts", base("redis", { connection = { sentinels = { "s:1" }, sentinel_master = "m", hosts = { "h:1" } } }),
        "plan.lua:3: queue.connection.sentinels and connection.hosts contradict each other: give one of them" },
      { "a URL and hosts", base("redis", { url = "redis://x", connection = { hosts = { "y:1" } } }),
        "plan.lua:3: queue.url and queue.connection.hosts contradict each other: give one of them" },
      { "no replicas", base("kafka", { replication_factor = 0 }),
        "plan.lua:3: queue.replication_factor must be a whole number from 1 to 32767, or -1 for the broker's default, got 0" },
      { "SQS without a queue", { backend = "sqs" },
        "plan.lua:3: queue.queue_url is missing: backend sqs needs it; it must be a URL that begins with http:// or https://" },
      { "two leases", base("sqs", { visibility_timeout = 30, lease_seconds = 40 }),
        "plan.lua:3: queue.visibility_timeout (30) and lease_seconds (40) are the same thing: give one of them" },
      { "half of the credentials", base("sqs", { aws_access_key_id = "AKIA" }),
        "plan.lua:3: queue.aws_access_key_id needs aws_secret_access_key beside it" },
      { "a long poll above 20 s", base("sqs", { long_polling_seconds = 21 }),
        "plan.lua:3: queue.long_polling_seconds must be a whole number from 0 to 20, got 21" },
      { "a retention that SQS does not have", base("sqs", { retention_seconds = 1209601 }),
        "plan.lua:3: queue.retention_seconds (1209601) must not be above 1209600 with sqs" },
      { "results in the queue of tasks", base("sqs", { results_queue_url = "https://sqs.eu-west-1.amazonaws.com/1/q" }),
        "plan.lua:3: queue.results_queue_url must not be the queue of queue_url" },
    }
    for _, case in ipairs(cases) do
      it(case[1], function() assert.equal(case[3], refused(case[2])) end)
    end

    it("and shows the value of no key that is secret", function()
      local count = 0
      for _, key in ipairs(keys.list) do
        if key.secret then
          local section, name = key.key:match("^(%w+)%.(.*)$")
          local bad = { { "hunter2" } }
          local given = base(key.backends[1], section and { [section] = { [name] = bad } } or { [key.key] = bad })
          assert.is_nil(refused(given):find("hunter2", 1, true), key.key)
          count = count + 1
        end
        local named = key.key:find("password") or key.key:find("secret") or key.key:find("token")
        assert.is_true(not named or key.secret, key.key)
      end
      assert.is_true(count >= 8)
    end)
    it("and never shows a password", function()
      for _, given in ipairs {
        base("redis", { connection = { password = { "hunter2" } } }),
        base("redis", { url = "http://u:hunter2@x" }),
        base("sqs", { aws_secret_access_key = { "hunter2" } }),
        base("kafka", { librdkafka = { ["sasl.password"] = { "hunter2" } } }),
      } do
        assert.is_nil(refused(given):find("hunter2", 1, true))
      end
    end)
  end)

  it("accepts each numeric key at the ends of its range and not beyond", function()
    local alone = { session_timeout_ms = true, heartbeat_timeout = true, heartbeat_interval = true, max_task_seconds = true } -- tied to other keys
    for _, key in ipairs(keys.list) do
      if (key.kind == "integer" or key.kind == "number") and not alone[key.key] then
        for _, backend in ipairs(key.backends) do
          local function with(value)
            local section, name = key.key:match("^(%w+)%.(.*)$")
            return base(backend, section and { [section] = { [name] = value } } or { [key.key] = value })
          end
          local shorter = backend == "sqs" and key.key == "retention_seconds"
          if not shorter then assert.has_no_error(function() valid(with(key.max)) end) end
          assert.has_no_error(function() valid(with(key.min)) end)
          assert.matches(key.key .. " must be", refused(with(key.max + 1)), 1, true)
          assert.matches(key.key .. " must be", refused(with(key.min - 1)), 1, true)
        end
      end
    end
  end)

  describe("the environment", function()
    local HOME = os.getenv("HOME")
    it("fills in ${NAME}, anywhere in a string", function()
      local flat = valid(base("redis", { connection = { password = "a${HOME}b", host = "${HOME}" } }))
      assert.equal("a" .. HOME .. "b", flat["connection.password"])
      assert.equal(HOME, flat["connection.host"])
    end)
    it("is named where a variable is missing", function()
      assert.equal("plan.lua:3: queue.connection.password needs the environment variable MGUARD_NO_SUCH, which is not set",
        refused(base("redis", { connection = { password = "${MGUARD_NO_SUCH}" } })))
      assert.equal("plan.lua:3: queue.librdkafka.sasl.password needs the environment variable MGUARD_NO_SUCH, which is not set",
        refused(base("kafka", { librdkafka = { ["sasl.password"] = "${MGUARD_NO_SUCH}" } })))
    end)
    it("is left alone by $${NAME} and by lone dollars", function()
      local flat = valid(base("redis", { connection = { password = "$${HOME} $5 {x}" } }))
      assert.equal("${HOME} $5 {x}", flat["connection.password"])
    end)
    it("gives numbers and truth values too", function()
      local script = [[
        local config = require "mguard.config"
        local flat = config.validate { backend = "${MGUARD_B}", lease_seconds = "${MGUARD_N}", compress = "${MGUARD_T}" }
        io.write(flat.backend, " ", math.type(flat.lease_seconds), " ", tostring(flat.compress))
      ]]
      local text = support.run("MGUARD_B=redis MGUARD_N=40 MGUARD_T=false lua5.4 -e " .. support.quoted(script))
      assert.equal("redis integer false", text)
      text = support.run("MGUARD_B=redis MGUARD_N=x MGUARD_T=false lua5.4 -e " .. support.quoted(script) .. " 2>&1")
      assert.matches('lease_seconds must be a number from 0.1 to 43200, got "x"', text, 1, true)
    end)
  end)

  describe("URLs", function()
    it("say all of a Redis connection", function()
      local flat = valid(base("redis", { url = "rediss://us%2Fer:p%40ss:w@[::1]:7000/3" }))
      assert.equal("us/er", flat["connection.username"])
      assert.equal("p@ss:w", flat["connection.password"])
      assert.equal("::1", flat["connection.host"])
      assert.equal(7000, flat["connection.port"])
      assert.equal(3, flat["connection.db"])
      assert.is_true(flat["connection.ssl"])
      assert.is_nil(flat.url)
    end)
    it("need no more than a host", function()
      local flat = valid(base("redis", { url = "redis://h" }))
      assert.equal("h", flat["connection.host"])
      assert.equal(6379, flat["connection.port"])
      assert.is_false(flat["connection.ssl"])
      assert.is_nil(flat["connection.password"])
    end)
    it("may have a user without a password", function()
      local flat = valid(base("redis", { url = "redis://u@h" }))
      assert.equal("u", flat["connection.username"])
      assert.is_nil(flat["connection.password"])
    end)
    it("may name a socket", function()
      local flat = valid(base("redis", { url = "unix:///run/redis%20a.sock?db=2" }))
      assert.equal("/run/redis a.sock", flat["connection.unix_socket"])
      assert.equal(2, flat["connection.db"])
      assert.is_nil(flat["connection.host"])
      assert.is_nil(flat["connection.port"])
      flat = valid(base("redis", { url = "unix://us%40er:p%3Aw@/run/r.sock" }))
      assert.equal("us@er", flat["connection.username"])
      assert.equal("p:w", flat["connection.password"])
      assert.equal("/run/r.sock", flat["connection.unix_socket"])
      assert.equal(0, flat["connection.db"])
    end)
    it("say all of a RabbitMQ connection", function()
      local flat = valid(base("rabbitmq", { url = "amqps://u:p@h/%2Fteam" }))
      assert.equal("/team", flat["connection.virtual_host"])
      assert.equal(5671, flat["connection.port"])
      assert.equal("/", valid(base("rabbitmq", { url = "amqp://h" }))["connection.virtual_host"])
    end)
    it("are refused where they are none, without showing them", function()
      for _, bad in ipairs { "h:1", "http://h", "redis://", "amqp://h", "redis://u:p@", "unix://", "unix://x", "unix:///s?db=x" } do
        assert.matches("url must look like redis://", refused(base("redis", { url = bad })), 1, true)
      end
      assert.matches("connection.port must be", refused(base("redis", { url = "redis://h:99999" })), 1, true)
      assert.matches("connection.db must be", refused(base("redis", { url = "redis://h/x" })), 1, true)
    end)
  end)

  describe("JSON text", function()
    it("may have comments, and strings that look like some", function()
      local t = config.parse('{ // one\n "a": "x // y", /* two\n lines */ "b": "q\\"//", "c": 1 }', "q.json")
      assert.same({ a = "x // y", b = 'q"//', c = 1 }, t)
    end)
    it("keeps its lines and columns when comments go", function()
      local text = '{"a": 1, /* x\ny */ "b": 2} // end'
      local bare = config.strip_comments(text)
      assert.equal(#text, #bare)
      assert.equal('{"a": 1,     \n     "b": 2}       ', bare)
    end)
    it("does not loop on what is unfinished", function()
      for _, text in ipairs { '"', '"\\', "/*", "/", "//", '{"a": "b\\' } do
        assert.equal(#text, #config.strip_comments(text))
      end
    end)
    it("is refused with name, line and column", function()
      local text = support.message(config.parse, '{\n "a": }', "q.json")
      assert.matches("^q%.json: not valid JSON: .*line 2", text)
      assert.matches("must be a JSON object", support.message(config.parse, "3", "q.json"), 1, true)
    end)
  end)

  describe("--queue-config", function()
    local folder
    setup(function() folder = support.folder() end)
    teardown(function() support.remove(folder) end)
    it("takes a table, text, a file and @file", function()
      local file = support.write(folder .. "/q.json", '{"backend": "redis", "lease_seconds": 90}')
      for _, source in ipairs { { backend = "redis", lease_seconds = 90 }, ' {"backend": "redis", "lease_seconds": 90}',
        '// c\n{"backend": "redis", "lease_seconds": 90}', file, "@" .. file } do
        assert.equal(90, config.resolve(nil, nil, nil, source).lease_seconds)
      end
    end)
    it("names the file that is missing or wrong", function()
      assert.matches("--queue-config: cannot read the configuration: " .. folder .. "/none: No such file",
        support.message(config.resolve, nil, nil, nil, folder .. "/none"), 1, true)
      local file = support.write(folder .. "/bad.json", '{"backend": "redis", "lease_second": 90}')
      assert.equal(file .. ': unknown key "lease_second"; did you mean "lease_seconds"?',
        support.message(config.resolve, nil, nil, nil, file))
    end)
    it("replaces the plan's queue", function()
      local flat = config.resolve({ backend = "kafka", lease_seconds = 80 }, AT, nil, { backend = "redis" })
      assert.equal("redis", flat.backend)
      assert.equal(60, flat.lease_seconds)
    end)
    it("goes with --backend", function()
      assert.equal("redis", config.resolve(nil, nil, "redis", { lease_seconds = 90 }).backend)
      assert.equal('--backend: is "kafka", but --queue-config says backend "redis"',
        support.message(config.resolve, nil, nil, "kafka", { backend = "redis" }))
    end)
    it("is not changed by being read", function()
      local given = { lease_seconds = 90 }
      config.resolve(nil, nil, "redis", given)
      assert.same({ lease_seconds = 90 }, given)
    end)
  end)

  describe("--backend alone", function()
    it("keeps what holds for every backend", function()
      local planned = { backend = "redis", connection = { host = "x" }, lease_seconds = 90, batch_size = 5 }
      local flat = config.resolve(planned, AT, "memory")
      assert.equal("memory", flat.backend)
      assert.equal(90, flat.lease_seconds)
      assert.equal(5, flat.batch_size)
    end)
    it("keeps all where the plan says the same backend", function()
      assert.equal("x", config.resolve({ backend = "redis", connection = { host = "x" } }, AT, "redis")["connection.host"])
    end)
    it("is named in errors", function()
      local message = support.message(config.resolve, nil, AT, "reddis")
      assert.matches('^%-%-backend reddis: backend must be one of .*did you mean "redis"', message)
    end)
  end)
end)
