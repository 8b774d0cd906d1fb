--- config_keys.lua - every key of the queue configuration: type, range, default, backends, and a line about it.
--- config.lua validates by this table and scripts/config-doc.lua writes docs/reference/configuration.md from it.
local ALL <const> = { "memory", "redis", "rabbitmq", "kafka", "sqs" }
local REDIS <const> = { "redis" }
local RABBIT <const> = { "rabbitmq" }
local KAFKA <const> = { "kafka" }
local SQS <const> = { "sqs" }
local HOSTED <const> = { "redis", "rabbitmq" }

local DAY <const> = 86400

---@class mguard.ConfigKey : mguard.Rule
---@field backends string[]
---@field group string          heading in the reference page
---@field default_says string|nil how the default comes about where it is no constant
---@field defaults table<string, any>|nil defaults that differ by backend

local function host_port(text)
  local host, port = text:match("^%[?([^%s/@,%[%]]+)%]?:(%d+)$")
  if not host then return false end
  local number = math.tointeger(tonumber(port))
  return number ~= nil and number >= 1 and number <= 65535
end

local function host_ports(list)
  for _, item in ipairs(list) do
    if not host_port(item) then return false end
  end
  return #list > 0
end

local function bootstrap(value)
  local list = {}
  if type(value) == "string" then
    for item in (value .. ","):gmatch("%s*([^,]-)%s*,") do list[#list + 1] = item end
  elseif type(value) == "table" then
    for _, item in ipairs(value) do
      if type(item) ~= "string" then return false end
      list[#list + 1] = item
    end
  end
  if not host_ports(list) then return false end
  return true, table.concat(list, ",")
end

local function http_url(text) return text:find("^https?://[^%s/]+") ~= nil end

local function spill_url(text) return text:find("^s3://[^/%s]+") ~= nil or text:find("^file:///") ~= nil end

local function plain_name(text) return text:find("^[%w._:%-]+$") ~= nil and #text <= 200 end

local function local_workers(value)
  if value == true then return true, 1 end
  if value == false then return true, 0 end
  local whole = math.type(value) and math.tointeger(value)
  return whole and whole >= 0 and whole <= 256, whole
end

local function upper_enum(values)
  return function(value)
    if type(value) ~= "string" then return false end
    for _, name in ipairs(values) do
      if name:lower() == value:lower() then return true, name end
    end
    return false
  end
end

local function scalar_map(value)
  if type(value) ~= "table" then return false end
  for key, item in pairs(value) do
    local kind = type(item)
    if type(key) ~= "string" or key == "" or (kind ~= "string" and kind ~= "number" and kind ~= "boolean") then
      return false
    end
  end
  return true
end

local PROTOCOLS <const> = { "plaintext", "ssl", "sasl_plaintext", "sasl_ssl" }
local MECHANISMS <const> = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER" }
local NAME_SAYS <const> = "a name of letters, digits and . _ : - (at most 200)"
local URL_SAYS <const> = "a URL that begins with http:// or https://"
local LIST_SAYS <const> = 'a list of "host:port"'

local groups = {
  { "Choice of backend", ALL, {
    { key = "backend", kind = "enum", values = ALL, default = "memory", doc = "Where tasks are queued." },
    { key = "queue_name", kind = "string", test = plain_name, says = NAME_SAYS, default = "mguard_tasks",
      backends = { "memory", "redis", "rabbitmq" },
      doc = "Queue that coordinator and workers share. Several runs may use one queue." },
    { key = "spawn_local_workers", kind = "custom", test = local_workers,
      says = "true, false or a whole number from 0 to 256", default = 0,
      doc = "Worker processes that `mguard run` starts on its own machine; true means 1. The memory backend always hosts one." },
  } },
  { "Batches", ALL, {
    { key = "adaptive_batching", kind = "boolean", default = true,
      default_says = "true, false where batch_size is given",
      doc = "Fit the number of cases a task to the time a case takes." },
    { key = "batch_size", kind = "integer", min = 1, max = 100000, doc = "Cases a task, fixed. Turns adaptive batching off." },
    { key = "initial_batch_size", kind = "integer", min = 1, max = 100000, default = 10,
      doc = "Cases a task at the start of a run." },
    { key = "min_batch_size", kind = "integer", min = 1, max = 100000, default = 1,
      doc = "Smallest task that adaptive batching makes." },
    { key = "max_batch_size", kind = "integer", min = 1, max = 100000, default = 1000,
      doc = "Largest task that adaptive batching makes." },
    { key = "inflight_factor", kind = "number", min = 1, max = 100, default = 2,
      doc = "Cases that may be out at once: this times executors times batch size." },
    { key = "compress", kind = "boolean", default = true, doc = "Compress messages with LZ4 where it makes them smaller." },
    { key = "compression_threshold_bytes", kind = "integer", min = 0, max = 1073741824, default = 512,
      doc = "Smaller messages are not compressed." },
  } },
  { "Leases, heartbeats, requeue", ALL, {
    { key = "lease_seconds", kind = "number", min = 0.1, max = 43200, default = 60,
      doc = "How long a worker holds a task before it must have extended its hold." },
    { key = "heartbeat_timeout", kind = "number", min = 0.1, max = 43200, default = 30,
      default_says = "30, or half of lease_seconds where that is less",
      doc = "Seconds of silence after which a worker's tasks are handed to others. Not above lease_seconds." },
    { key = "heartbeat_interval", kind = "number", min = 0.01, max = 43200, default_says = "a third of heartbeat_timeout",
      doc = "Seconds between two beats of a worker. Below heartbeat_timeout." },
    { key = "heartbeat_check_interval", kind = "number", min = 0.01, max = 3600, default = 1,
      doc = "Seconds between two looks of the coordinator for silent workers." },
    { key = "circuit_breaker_threshold", kind = "integer", min = 1, max = 1000, default = 3,
      doc = "Missed beats after which a worker counts as lost and gets no work until it beats steadily again." },
    { key = "enable_requeue", kind = "boolean", default = true,
      doc = "Hand the tasks of a vanished worker out again. false: their cases are lost at once." },
    { key = "max_requeue_attempts", kind = "integer", min = 0, max = 1000, default = 3,
      doc = "How often a task is handed out again after its worker vanished, before it becomes a dead letter." },
  } },
  { "Ends", ALL, {
    { key = "global_timeout", kind = "number", min = 0.1, max = 366 * DAY, default_says = "none",
      doc = "Seconds after which a run ends with what it has." },
    { key = "no_worker_seconds", kind = "number", min = 0.1, max = 366 * DAY, default = 600,
      doc = "Seconds without a worker that could serve the run (files that differ, or none at all) after which it ends as invalid." },
    { key = "broker_patience_seconds", kind = "number", min = 0.1, max = 366 * DAY, default = 300,
      doc = "Seconds without the broker after which a coordinator gives up with exit code 5. Workers try for ever." },
    { key = "drain_timeout", kind = "number", min = 0, max = DAY, default = 300,
      doc = "Seconds that a stopping coordinator or worker gives to work in flight." },
    { key = "retention_seconds", kind = "integer", min = 60, max = 366 * DAY, default = 7 * DAY,
      doc = "What an abandoned run leaves on a broker goes after this time (SQS allows 14 days)." },
  } },
  { "Connection", HOSTED, {
    { key = "url", kind = "string", secret = true,
      doc = "All of the connection in one: redis://, rediss://, amqp:// or amqps://user:password@host:port/db-or-vhost, or "
        .. "unix:///path?db=0 for a Redis socket." },
    { key = "connection.host", kind = "string", default = "localhost", doc = "Broker's host name or address." },
    { key = "connection.port", kind = "integer", min = 1, max = 65535, defaults = { redis = 6379, rabbitmq = 5672 },
      default_says = "6379 (Redis), 5672 (RabbitMQ), 5671 (RabbitMQ with ssl)", doc = "Broker's port." },
    { key = "connection.hosts", kind = "strings", test = host_ports, says = LIST_SAYS,
      doc = "Several hosts tried in turn, or seeds of a Redis cluster, instead of host and port." },
    { key = "connection.username", kind = "string", defaults = { rabbitmq = "guest" }, doc = "User (ACL user for Redis)." },
    { key = "connection.password", kind = "string", empty = true, secret = true, defaults = { rabbitmq = "guest" },
      default_says = "none (Redis), guest (RabbitMQ)", doc = "Password; write ${NAME} to take it from the environment." },
    { key = "connection.db", kind = "integer", min = 0, max = 65535, defaults = { redis = 0 }, backends = REDIS,
      doc = "Redis database number." },
    { key = "connection.virtual_host", kind = "string", defaults = { rabbitmq = "/" }, backends = RABBIT,
      doc = "RabbitMQ virtual host." },
    { key = "connection.unix_socket", kind = "string", backends = REDIS,
      doc = "Unix socket of the Redis server, instead of host and port." },
    { key = "connection.cluster", kind = "boolean", default = false, backends = REDIS, doc = "The server is a Redis cluster." },
    { key = "connection.sentinels", kind = "strings", test = host_ports, says = LIST_SAYS, backends = REDIS,
      doc = "Sentinels that name the Redis server in charge." },
    { key = "connection.sentinel_master", kind = "string", backends = REDIS,
      doc = "Name under which the Sentinels know the server." },
    { key = "connection.sentinel_username", kind = "string", backends = REDIS,
      doc = "ACL user of the Sentinels; without one the password is that of requirepass." },
    { key = "connection.sentinel_password", kind = "string", secret = true, backends = REDIS,
      doc = "Password of the Sentinels." },
    { key = "connection.connect_timeout_seconds", kind = "number", min = 0.1, max = 600, default = 10,
      doc = "Seconds for one attempt to connect." },
    { key = "connection.ssl", kind = "boolean", default = false, doc = "Speak TLS, with the server's certificate verified." },
    { key = "connection.ssl_ca_location", kind = "string", default_says = "the system's",
      doc = "File with the certificates of the authorities to trust." },
    { key = "connection.ssl_certificate_location", kind = "string", doc = "File with the client's certificate." },
    { key = "connection.ssl_key_location", kind = "string", doc = "File with the key of the client's certificate." },
    { key = "connection.ssl_server_name", kind = "string", default_says = "the host",
      doc = "Name expected in the server's certificate." },
    { key = "connection.ssl_verify", kind = "boolean", default = true,
      doc = "false: accept any certificate (for trials only)." },
  } },
  { "Redis", REDIS, {
    { key = "key_prefix", kind = "string", test = plain_name, says = NAME_SAYS, default = "mguard",
      doc = "First part of every key, so that several teams can share a server." },
  } },
  { "RabbitMQ", RABBIT, {
    { key = "durable", kind = "boolean", default = true,
      doc = "Quorum queue that survives a restart; false: a classic queue in memory." },
    { key = "prefetch_count", kind = "integer", min = 1, max = 65535, default = 10, doc = "Tasks a worker may hold at once." },
    { key = "exchange", kind = "string", empty = true, default = "", default_says = "the default exchange",
      doc = "Exchange that tasks are published to." },
    { key = "routing_key", kind = "string", default_says = "queue_name", doc = "Routing key of tasks." },
    { key = "consumer_timeout_seconds", kind = "number", min = 1, max = 30 * DAY, default = 1800,
      doc = "The broker's consumer_timeout, which clients cannot read: a task must end within it." },
    { key = "max_task_seconds", kind = "number", min = 0.001, max = 30 * DAY, default_says = "the time limits of one case",
      doc = "Longest a task may take. Times prefetch_count, by the executors of a worker, it must stay below consumer_timeout_seconds." },
    { key = "management_url", kind = "string", test = http_url, says = URL_SAYS, secret = true,
      doc = "Management API, for the number of tasks that workers hold; with a login of its own or that of the connection." },
  } },
  { "Kafka", KAFKA, {
    { key = "bootstrap_servers", kind = "custom", test = bootstrap, required = true,
      says = '"host:port,host:port" or ' .. LIST_SAYS,
      doc = "Brokers to begin with." },
    { key = "topic", kind = "string", test = plain_name, says = NAME_SAYS, default = "mguard_tasks", doc = "Topic of tasks." },
    { key = "results_topic", kind = "string", test = plain_name, says = NAME_SAYS, default_says = "topic with _results",
      doc = "Topic of results and beats." },
    { key = "dead_letter_topic", kind = "string", test = plain_name, says = NAME_SAYS, default_says = "topic with _dead",
      doc = "Topic of dead letters." },
    { key = "consumer_group", kind = "string", test = plain_name, says = NAME_SAYS, default = "mguard_workers",
      doc = "Group the workers form." },
    { key = "group_instance_id", kind = "string", test = plain_name, says = NAME_SAYS,
      doc = "Static membership; must differ from worker to worker." },
    { key = "enable_auto_commit", kind = "boolean", default = false,
      doc = "Must be false: an offset committed before its result is stored would lose the task." },
    { key = "session_timeout_ms", kind = "integer", min = 1000, max = 1800000, default = 45000,
      doc = "Time after which the group drops a silent worker." },
    { key = "max_poll_interval_ms", kind = "integer", min = 1000, max = 86400000, default = 300000,
      doc = "Time after which the group drops a worker that does not poll. Not below session_timeout_ms." },
    { key = "partitions", kind = "integer", min = 1, max = 10000, default = 8,
      doc = "Partitions of a topic that mguard creates." },
    { key = "replication_factor", kind = "integer", min = -1, max = 32767, default = -1, default_says = "the broker's",
      test = function(n) return n ~= 0 end, says = "a whole number from 1 to 32767, or -1 for the broker's default",
      doc = "Replicas of a topic that mguard creates." },
    { key = "compression", kind = "enum", values = { "none", "lz4", "zstd", "snappy", "gzip" }, default = "none",
      doc = "Compression by the producer, beside compress." },
    { key = "security_protocol", kind = "custom", test = upper_enum(PROTOCOLS),
      says = "one of plaintext, ssl, sasl_plaintext, sasl_ssl (in any case)", default = "plaintext",
      doc = "How to speak to the brokers." },
    { key = "sasl_mechanism", kind = "custom", test = upper_enum(MECHANISMS),
      says = "one of " .. table.concat(MECHANISMS, ", "),
      doc = "How to log in; needs security_protocol sasl_plaintext or sasl_ssl." },
    { key = "sasl_username", kind = "string", doc = "User." },
    { key = "sasl_password", kind = "string", secret = true, doc = "Password; write ${NAME} to take it from the environment." },
    { key = "ssl_ca_location", kind = "string", default_says = "the system's",
      doc = "File with the certificates of the authorities to trust." },
    { key = "ssl_certificate_location", kind = "string", doc = "File with the client's certificate." },
    { key = "ssl_key_location", kind = "string", doc = "File with the key of the client's certificate." },
    { key = "librdkafka", kind = "custom", test = scalar_map, secret = true,
      says = "a table of librdkafka settings, each a string, number or truth value",
      doc = "Settings passed to librdkafka as they are; those without which tasks would be lost are refused." },
  } },
  { "SQS", SQS, {
    { key = "queue_url", kind = "string", test = http_url, says = URL_SAYS, required = true,
      doc = "Queue of tasks, standard or FIFO (.fifo)." },
    { key = "region", kind = "string", default_says = "the environment's, else the one in queue_url", doc = "AWS region." },
    { key = "visibility_timeout", kind = "number", min = 1, max = 43200, default_says = "lease_seconds",
      doc = "Another name for lease_seconds." },
    { key = "long_polling_seconds", kind = "integer", min = 0, max = 20, default = 20,
      doc = "How long a receive call waits for a message." },
    { key = "results_queue_url", kind = "string", test = http_url, says = URL_SAYS,
      default_says = "a queue a run", doc = "Queue of results where mguard may not create one." },
    { key = "dead_letter_queue_url", kind = "string", test = http_url, says = URL_SAYS,
      doc = "Queue of dead letters." },
    { key = "endpoint_url", kind = "string", test = http_url, says = URL_SAYS,
      doc = "Another endpoint: a stand-in, or a VPC endpoint." },
    { key = "profile", kind = "string", doc = "Profile of the shared AWS configuration." },
    { key = "aws_access_key_id", kind = "string", secret = true, doc = "Explicit credentials, with aws_secret_access_key." },
    { key = "aws_secret_access_key", kind = "string", secret = true, doc = "Explicit credentials, with aws_access_key_id." },
    { key = "aws_session_token", kind = "string", secret = true, doc = "Token of temporary credentials." },
    { key = "max_message_bytes", kind = "integer", min = 1024, max = 1048576, default_says = "the queue's MaximumMessageSize",
      doc = "Limit of one message and of one call." },
    { key = "max_hold_seconds", kind = "integer", min = 10, max = 43200, default = 43200,
      doc = "How long a task may be held in all; then it goes back to the queue. SQS allows 12 hours." },
    { key = "spill", kind = "string", test = spill_url,
      says = '"s3://bucket/prefix" or "file:///dir"', doc = "Where payloads above the limit are put." },
  } },
}

local keys = { backends = ALL, list = {}, by_key = {} }
for _, group in ipairs(groups) do
  for _, key in ipairs(group[3]) do
    key.group = group[1]
    key.backends = key.backends or group[2]
    keys.list[#keys.list + 1] = key
    keys.by_key[key.key] = key
  end
end

--- Whether a key means something to a backend.
---@param key mguard.ConfigKey
---@param backend string
function keys.serves(key, backend)
  for _, name in ipairs(key.backends) do
    if name == backend then return true end
  end
  return false
end

--- Default of a key for a backend, nil where there is none.
---@param key mguard.ConfigKey
---@param backend string
function keys.default(key, backend)
  if key.defaults then return key.defaults[backend] end
  return key.default
end

return keys
