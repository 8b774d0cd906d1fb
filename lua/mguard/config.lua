--- config.lua - reads the queue configuration: a table, JSON text (// and /* */ comments allowed) or a file of it.
--- Replaces ${NAME} from the environment, checks every key by config_keys.lua, refuses contradictions, and gives a flat
--- table: "connection.host" -> value, lists joined by commas. Errors name the key, the value and what is allowed.
local core = require "mguard.core"
local keys = require "mguard.config_keys"
local path = require "mguard.path"
local rule = require "mguard.rule"
local where = require "mguard.where"

local config = {}

--- JSON text without its comments; everything else keeps its line and column.
---@param text string
---@return string
function config.strip_comments(text)
  local out, at = {}, 1
  while true do
    local from = text:find('["/]', at)
    if not from then break end
    out[#out + 1] = text:sub(at, from - 1)
    local two = text:sub(from, from + 1)
    local to
    if text:sub(from, from) == '"' then
      to = from + 1
      while true do
        local stop = text:find('["\\]', to)
        if not stop then to = #text break end
        if text:sub(stop, stop) == '"' then to = stop break end
        to = stop + 2
      end
      out[#out + 1] = text:sub(from, to)
    elseif two == "//" then
      to = (text:find("\n", from, true) or #text + 1) - 1
      out[#out + 1] = (" "):rep(to - from + 1)
    elseif two == "/*" then
      local _, stop = text:find("*/", from + 2, true)
      to = stop or #text
      out[#out + 1] = (text:sub(from, to):gsub("[^\n]", " "))
    else
      to = from
      out[#out + 1] = "/"
    end
    at = to + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

--- Table of JSON text; raises "name: line 3 column 4: ...".
---@param text string
---@param name string
---@return table
function config.parse(text, name)
  local value, message = core.json_decode(config.strip_comments(text))
  if value == nil then where.fail(name, "not valid JSON: " .. tostring(message)) end
  if type(value) ~= "table" then where.fail(name, "must be a JSON object, got " .. rule.show(value)) end
  return value
end

--- What --queue-config may be: a table, JSON text, @file or a file name. Returns the table and its name in messages.
---@param source table|string
---@param name string
---@return table, string
function config.load(source, name)
  if type(source) == "table" then return source, name end
  if type(source) ~= "string" then where.fail(name, "must be a table, JSON text or a file, got " .. rule.show(source)) end
  local start = source:match("^%s*(.?.?)")
  if start:sub(1, 1) == "{" or start == "//" or start == "/*" then return config.parse(source, name), name end
  local file = source:gsub("^@", "")
  local text, message = path.read(file)
  if not text then where.fail(name, ("cannot read the configuration: %s"):format(message)) end
  return config.parse(text, file), file
end

--- ${NAME} by its value in the environment.
---@param text string
---@param name string what to call it in a message
---@param at string|nil
---@return string
function config.expand(text, name, at)
  return (text:gsub("(%$+){([^{}]*)}", function(dollars, variable)
    if #dollars % 2 == 0 then return dollars:sub(1, #dollars // 2) .. "{" .. variable .. "}" end -- $${X} is ${X} itself
    local value = os.getenv(variable)
    if not value then
      where.fail(at, ("%s needs the environment variable %s, which is not set"):format(name, variable))
    end
    return dollars:sub(1, #dollars // 2) .. value
  end))
end

local function from_text(key, text)
  if key.kind == "integer" or key.kind == "number" then return tonumber(text) or text end
  if text == "true" then return true end
  if text == "false" then return false end
  if key.key == "spawn_local_workers" then return tonumber(text) or text end
  return text
end

local function expanded(key, value, name, at)
  if type(value) == "string" then
    local text = config.expand(value, name, at)
    if text == value then return text end
    return key.kind == "string" and text or from_text(key, text)
  elseif type(value) == "table" then
    local copy = {}
    for _, k in ipairs(rule.sorted_keys(value)) do
      local item = value[k]
      copy[k] = type(item) == "string" and config.expand(item, ("%s.%s"):format(name, tostring(k)), at) or item
    end
    return copy
  end
  return value
end

local function known_names(backend)
  local names = {}
  for _, key in ipairs(keys.list) do
    if not backend or keys.serves(key, backend) then names[#names + 1] = key.key end
  end
  return names
end

local function is_section(name)
  for _, key in ipairs(keys.list) do
    if key.key:sub(1, #name + 1) == name .. "." then return true end
  end
  return false
end

-- { ["connection.host"] = "x" } of { connection = { host = "x" } }
local function flatten(given, at, prefix, backend)
  local flat = {}
  local function visit(t, path_so_far)
    for _, k in ipairs(rule.sorted_keys(t)) do
      local name = path_so_far .. tostring(k)
      local value = t[k]
      local key = type(k) == "string" and keys.by_key[name]
      if key then
        if not keys.serves(key, backend) then
          local owners = table.concat(key.backends, ", ")
          where.fail(at, ("%s%s belongs to %s, not to backend %s"):format(prefix, name, owners, backend))
        end
        flat[name] = value
      elseif path_so_far == "" and type(k) == "string" and is_section(k) then
        if type(value) ~= "table" then
          where.fail(at, ("%s%s must be a table of settings, got %s"):format(prefix, k, rule.show(value)))
        end
        visit(value, k .. ".")
      else
        where.fail(at, ('unknown key "%s%s"%s'):format(prefix, name, rule.hint(name, known_names(backend), "keys")))
      end
    end
  end
  visit(given, "")
  return flat
end

local function percent_decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local SCHEMES <const> = {
  redis = { redis = false, rediss = true },
  rabbitmq = { amqp = false, amqps = true },
}

local function bad_url(backend, at, prefix)
  local shape = backend == "redis" and "redis://user:password@host:port/0 (or rediss://..., unix:///path?db=0)"
    or "amqp://user:password@host:port/vhost (or amqps://...)"
  where.fail(at, ("%surl must look like %s, got a value that is not shown"):format(prefix, shape))
end

local function apply_login(flat, login)
  if not login then return end
  local user, password = login:match("^([^:]*):?(.*)$")
  flat["connection.username"] = user ~= "" and percent_decoded(user) or nil
  flat["connection.password"] = password ~= "" and percent_decoded(password) or nil
end

-- unix://user:password@/path?db=N; false where it is something else.
local function apply_unix_url(flat, rest)
  local login, place = rest:match("^([^/]*)@(/.*)$")
  local socket, query = (place or rest):match("^(/[^?]+)%??(.*)$")
  local db = query and query:match("^db=(%d+)$")
  if not socket or (query ~= "" and not db) then return false end
  flat["connection.unix_socket"] = percent_decoded(socket)
  flat["connection.db"] = db and math.tointeger(tonumber(db)) or nil
  apply_login(flat, login)
  return true
end

-- Sets connection.* from a URL.
local function apply_url(flat, backend, at, prefix)
  local url = flat.url
  if not url then return end
  flat.url = nil
  for _, name in ipairs(known_names(backend)) do
    local part = name:match("^connection%.(.*)$")
    if part and flat[name] ~= nil and (part == "host" or part == "port" or part == "hosts" or part == "unix_socket"
        or part == "username" or part == "password" or part == "db" or part == "virtual_host" or part == "ssl") then
      where.fail(at, ("%surl and %s%s contradict each other: give one of them"):format(prefix, prefix, name))
    end
  end
  local scheme, rest = url:match("^(%a+)://([^%s]+)$")
  if backend == "redis" and scheme == "unix" then
    if not apply_unix_url(flat, rest) then bad_url(backend, at, prefix) end
    return
  end
  local ssl = scheme and SCHEMES[backend][scheme]
  local login, place, tail
  if ssl ~= nil then
    login, place = rest:match("^(.*)@([^@]*)$")
    place = place or rest
    place, tail = place:match("^([^/]*)(/?.*)$")
  end
  local host, port = nil, nil
  if place then
    host, port = place:match("^%[(.-)%]:?(%d*)$")
    if not host then host, port = place:match("^([^:]+):?(%d*)$") end
  end
  if not host then bad_url(backend, at, prefix) end
  flat["connection.host"] = percent_decoded(host)
  flat["connection.port"] = port ~= "" and math.tointeger(tonumber(port)) or nil
  flat["connection.ssl"] = ssl
  apply_login(flat, login)
  local last = tail ~= "" and percent_decoded(tail:sub(2)) or nil
  if backend == "redis" and last and last ~= "" then
    flat["connection.db"] = math.tointeger(tonumber(last)) or last
  elseif backend == "rabbitmq" and last then
    flat["connection.virtual_host"] = last ~= "" and last or "/"
  end
end

local function size_order(flat, fail)
  local low, first, high = flat.min_batch_size, flat.initial_batch_size, flat.max_batch_size
  local function order(a, a_name, b, b_name)
    if a and b and a > b then fail("%s (%d) must not be above %s (%d)", a_name, a, b_name, b) end
  end
  order(low, "min_batch_size", high, "max_batch_size")
  order(low, "min_batch_size", first, "initial_batch_size")
  order(first, "initial_batch_size", high, "max_batch_size")
  if flat.batch_size then
    if flat.adaptive_batching then
      fail("batch_size (%d) fixes the size of tasks, adaptive_batching = true varies it: give one of them", flat.batch_size)
    end
    order(low, "min_batch_size", flat.batch_size, "batch_size")
    order(flat.batch_size, "batch_size", high, "max_batch_size")
  end
end

local function connection_checks(flat, fail)
  local function given(name) return flat["connection." .. name] ~= nil end
  local function both(a, b)
    if given(a) and given(b) then fail("connection.%s and connection.%s contradict each other: give one of them", a, b) end
  end
  local function pair(a, b)
    if given(a) and not given(b) then fail("connection.%s needs connection.%s beside it", a, b) end
  end
  both("unix_socket", "host")
  both("unix_socket", "port")
  both("unix_socket", "hosts")
  both("hosts", "host")
  both("hosts", "port")
  both("sentinels", "host")
  both("sentinels", "hosts")
  both("sentinels", "unix_socket")
  pair("sentinels", "sentinel_master")
  pair("sentinel_master", "sentinels")
  pair("sentinel_username", "sentinel_password")
  pair("sentinel_password", "sentinels")
  pair("ssl_certificate_location", "ssl_key_location")
  pair("ssl_key_location", "ssl_certificate_location")
  if flat["connection.cluster"] then
    if (flat["connection.db"] or 0) ~= 0 then
      fail("connection.db (%d) must be 0 with connection.cluster: a Redis cluster has one database", flat["connection.db"])
    end
    both("cluster", "sentinels")
    both("cluster", "unix_socket")
  end
  if not flat["connection.ssl"] then
    for _, name in ipairs { "ssl_ca_location", "ssl_certificate_location", "ssl_key_location", "ssl_server_name" } do
      if given(name) then fail("connection.%s needs connection.ssl = true", name) end
    end
  end
end

local function kafka_checks(flat, fail)
  if flat.enable_auto_commit then
    fail("enable_auto_commit must be false: offsets are committed once the results are stored, so that no task is lost")
  end
  local session, poll = flat.session_timeout_ms, flat.max_poll_interval_ms
  if session and session > (poll or 300000) then
    fail("session_timeout_ms (%d) must not be above max_poll_interval_ms (%d)", session, poll or 300000)
  end
  local protocol = flat.security_protocol or "plaintext"
  if protocol:find("sasl", 1, true) then
    if not flat.sasl_mechanism then fail("security_protocol %s needs sasl_mechanism", protocol) end
  else
    for _, name in ipairs { "sasl_mechanism", "sasl_username", "sasl_password" } do
      if flat[name] then fail("%s needs security_protocol sasl_plaintext or sasl_ssl, which is %s", name, protocol) end
    end
  end
  if not protocol:find("ssl", 1, true) then
    for _, name in ipairs { "ssl_ca_location", "ssl_certificate_location", "ssl_key_location" } do
      if flat[name] then fail("%s needs security_protocol ssl or sasl_ssl, which is %s", name, protocol) end
    end
  end
end

local function sqs_checks(flat, fail)
  if flat.visibility_timeout and flat.lease_seconds and flat.visibility_timeout ~= flat.lease_seconds then
    fail("visibility_timeout (%s) and lease_seconds (%s) are the same thing: give one of them",
      rule.number_text(flat.visibility_timeout), rule.number_text(flat.lease_seconds))
  end
  local function needs(name, other)
    if flat[name] and not flat[other] then fail("%s needs %s beside it", name, other) end
  end
  needs("aws_access_key_id", "aws_secret_access_key")
  needs("aws_secret_access_key", "aws_access_key_id")
  needs("aws_session_token", "aws_access_key_id")
  if (flat.retention_seconds or 0) > 14 * 86400 then
    fail("retention_seconds (%d) must not be above 1209600 with sqs", flat.retention_seconds)
  end
  for _, name in ipairs { "results_queue_url", "dead_letter_queue_url" } do
    if flat[name] and flat[name] == flat.queue_url then fail("%s must not be the queue of queue_url", name) end
  end
end

-- Everything that depends on more than one key; sees only what the user gave.
local function contradictions(flat, backend, fail)
  local lease = flat.lease_seconds or flat.visibility_timeout
  local beat = flat.heartbeat_timeout
  if beat and beat > (lease or 60) then
    fail("heartbeat_timeout (%s) must not be above lease_seconds (%s%s); half of it is a good value",
      rule.number_text(beat), rule.number_text(lease or 60), lease and "" or ", the default")
  end
  local silence = beat or math.min(30, (lease or 60) / 2)
  if flat.heartbeat_interval and flat.heartbeat_interval >= silence then
    fail("heartbeat_interval (%s) must be below heartbeat_timeout (%s); a third of it is a good value",
      rule.number_text(flat.heartbeat_interval), rule.number_text(silence))
  end
  size_order(flat, fail)
  if backend == "redis" or backend == "rabbitmq" then connection_checks(flat, fail) end
  if backend == "rabbitmq" and flat.max_task_seconds and flat.max_task_seconds >= (flat.consumer_timeout_seconds or 1800) then
    fail("max_task_seconds (%s) must be below consumer_timeout_seconds (%s%s): raise consumer_timeout on the broker, and then here, or "
      .. "make tasks smaller", rule.number_text(flat.max_task_seconds), rule.number_text(flat.consumer_timeout_seconds or 1800),
      flat.consumer_timeout_seconds and "" or ", the default")
  end
  if backend == "kafka" then kafka_checks(flat, fail) end
  if backend == "sqs" then sqs_checks(flat, fail) end
end

local function derived_defaults(flat, backend)
  flat.lease_seconds = flat.lease_seconds or flat.visibility_timeout or 60
  flat.heartbeat_timeout = flat.heartbeat_timeout or math.min(30, flat.lease_seconds / 2)
  flat.heartbeat_interval = flat.heartbeat_interval or flat.heartbeat_timeout / 3
  if flat.batch_size then flat.adaptive_batching = false end
  -- a limit the user gave moves the defaults of the other two
  local low, high = flat.min_batch_size, flat.max_batch_size
  local first = flat.initial_batch_size
  flat.max_batch_size = high or math.max(1000, low or 1, first or 1, flat.batch_size or 1)
  flat.min_batch_size = low or math.min(1, flat.max_batch_size)
  flat.initial_batch_size = first or math.max(flat.min_batch_size, math.min(10, flat.max_batch_size))
  if backend == "rabbitmq" then
    if flat["connection.ssl"] then flat["connection.port"] = flat["connection.port"] or 5671 end
    flat.routing_key = flat.routing_key or flat.queue_name or "mguard_tasks"
  elseif backend == "kafka" then
    local topic = flat.topic or "mguard_tasks"
    flat.results_topic = flat.results_topic or topic .. "_results"
    flat.dead_letter_topic = flat.dead_letter_topic or topic .. "_dead"
  elseif backend == "sqs" then
    flat.visibility_timeout = flat.lease_seconds
  end
end

-- Lists and tables become plain settings, as the engine takes them.
local function plain(flat)
  local result = {}
  for _, name in ipairs(rule.sorted_keys(flat)) do
    local value = flat[name]
    if name == "librdkafka" then
      for _, setting in ipairs(rule.sorted_keys(value)) do
        local item = value[setting]
        result["librdkafka." .. setting] = math.type(item) and rule.number_text(item) or tostring(item)
      end
    elseif type(value) == "table" then
      result[name] = table.concat(value, ",")
    else
      result[name] = value
    end
  end
  return result
end

--- Checks a configuration and gives it flat, with defaults. Raises where something is wrong.
---@param given table
---@param at string|nil   "plan.lua:3" or a file name, put before messages
---@param prefix string|nil "queue." where the configuration is part of a plan
---@return table<string, string|number|boolean>
function config.validate(given, at, prefix)
  prefix = prefix or ""
  if type(given) ~= "table" then
    where.fail(at, ("%s must be a table, got %s"):format(prefix:gsub("%.$", ""), rule.show(given)))
  end
  local function fail(format, ...) where.fail(at, prefix .. format:format(...)) end
  local backend = given.backend
  if backend == nil then backend = "memory" end
  if type(backend) == "string" then backend = config.expand(backend, prefix .. "backend", at) end
  local choice = keys.by_key.backend
  if not rule.accepts(choice, backend) then
    local near = type(backend) == "string" and rule.nearest(backend, keys.backends)
    fail("backend must be %s, got %s%s", rule.describe(choice), rule.show(backend),
      near and ('; did you mean "%s"?'):format(near) or "")
  end
  local flat = flatten(given, at, prefix, backend)
  for _, name in ipairs(rule.sorted_keys(flat)) do
    local key = keys.by_key[name]
    flat[name] = rule.check(key, expanded(key, flat[name], prefix .. name, at), at, prefix .. name)
  end
  apply_url(flat, backend, at, prefix)
  for _, name in ipairs { "connection.host", "connection.port", "connection.db" } do -- what a URL brought
    if flat[name] ~= nil then rule.check(keys.by_key[name], flat[name], at, prefix .. name) end
  end
  contradictions(flat, backend, fail)
  derived_defaults(flat, backend)
  flat.backend = backend
  -- a socket or a list of hosts stands in for host and port
  local placed = flat["connection.unix_socket"] or flat["connection.hosts"] or flat["connection.sentinels"]
  for _, key in ipairs(keys.list) do
    if flat[key.key] == nil and keys.serves(key, backend) then
      if key.required then
        fail("%s is missing: backend %s needs it; it must be %s", key.key, backend, rule.describe(key))
      end
      local of_place = key.key == "connection.host" or key.key == "connection.port"
      if not (placed and of_place) then flat[key.key] = keys.default(key, backend) end
    end
  end
  return plain(flat)
end

--- Configuration of the command line: --backend and --queue-config over what the plan says.
---@param planned table|nil   the plan's queue table
---@param planned_at string|nil
---@param backend string|nil  --backend
---@param source table|string|nil --queue-config
---@return table<string, string|number|boolean>
function config.resolve(planned, planned_at, backend, source)
  if source ~= nil then
    local given, name = config.load(source, "--queue-config")
    if backend ~= nil and given.backend ~= nil and given.backend ~= backend then
      where.fail("--backend", ('is %s, but %s says backend %s'):format(rule.show(backend), name, rule.show(given.backend)))
    end
    local copy = {}
    for k, v in pairs(given) do copy[k] = v end
    copy.backend = given.backend == nil and backend or given.backend
    return config.validate(copy, name)
  end
  if backend == nil then return config.validate(planned or {}, planned_at, "queue.") end
  local copy = {}
  if planned and planned.backend == backend then
    copy = planned
  else -- another backend: what is said about batches, leases and ends still holds
    for k, v in pairs(planned or {}) do
      local key = keys.by_key[k]
      if key and #key.backends == #keys.backends then copy[k] = v end
    end
    copy.backend = backend
    return config.validate(copy, "--backend " .. tostring(backend))
  end
  return config.validate(copy, planned_at, "queue.")
end

return config
