-- config-doc.lua - writes docs/reference/configuration.md from lua/mguard/config_keys.lua on standard output: make docs.
-- spec/config_doc_spec.lua fails where the page is older than the table.
local keys = require "mguard.config_keys"
local rule = require "mguard.rule"

local NAMES <const> = { memory = "memory", redis = "Redis", rabbitmq = "RabbitMQ", kafka = "Kafka", sqs = "SQS" }

local INTRO <const> = [[
# Queue configuration

<!-- Written by scripts/config-doc.lua from lua/mguard/config_keys.lua; a spec compares the two. -->

The same keys stand in a plan (`queue = { backend = "redis", ... }`), in a file or as text after `--queue-config`, for
`mguard run` and for `mguard worker` alike.

- JSON may hold `//` and `/* */` comments. `--queue-config` takes the text itself or the name of a file (`@` in front is
  allowed).
- `${NAME}` anywhere in a value is replaced from the environment; a variable that is not set is an error. `$${NAME}` stands for
  `${NAME}` itself. A number or truth value may come from the environment too: `"port": "${REDIS_PORT}"`.
- `a.b` in this page means a table in a table: `"connection": {"host": "localhost"}`.
- An unknown key, a wrong type, a value out of range, a key of another backend and a contradiction end the program with exit
  code 4 and a message that names the key, the value and what is allowed. Passwords are never shown.
- `--queue-config` replaces the plan's `queue`. `--backend NAME` alone keeps of it what holds for every backend.
]]

local CONTRADICTIONS <const> = [[
## What contradicts what

- `heartbeat_timeout` above `lease_seconds` (60 where it is not given); `heartbeat_interval` not below `heartbeat_timeout`.
- `min_batch_size`, `initial_batch_size`, `max_batch_size` in any other order; `batch_size` outside of it, or together with
  `adaptive_batching = true`.
- `url` together with what it says (host, port, user, password, database, virtual host, ssl).
- `connection.host` and `connection.port` together with `connection.hosts`, `connection.unix_socket` or
  `connection.sentinels`; `sentinels` without `sentinel_master`; `cluster` with a database other than 0.
- `connection.ssl_...` without `connection.ssl = true`; a client certificate without its key, or a key without its certificate.
- Kafka: `enable_auto_commit = true`; `session_timeout_ms` above `max_poll_interval_ms`; `sasl_...` without a `sasl_...`
  `security_protocol`, and the other way round; `ssl_...` without `ssl` or `sasl_ssl`.
- SQS: `visibility_timeout` and `lease_seconds` that differ; half of a pair of credentials; a retention above 14 days; results or
  dead letters in the queue of tasks.
]]

local function cell(text)
  return (tostring(text):gsub("|", "\\|"):gsub("\n", " "))
end

local function value_text(value)
  if type(value) == "string" then return value == "" and "empty" or "`" .. value .. "`" end
  if type(value) == "number" then return rule.number_text(value) end
  return tostring(value)
end

local function default_text(key)
  if key.required then return "required" end
  if key.default_says then return key.default_says end
  if key.defaults then
    local parts = {}
    for _, backend in ipairs(keys.backends) do
      if key.defaults[backend] ~= nil then
        parts[#parts + 1] = #key.backends == 1 and value_text(key.defaults[backend])
          or ("%s (%s)"):format(value_text(key.defaults[backend]), NAMES[backend])
      end
    end
    return table.concat(parts, ", ")
  end
  if key.default == nil then return "none" end
  return value_text(key.default)
end

local function backends_text(key)
  if #key.backends == #keys.backends then return "all" end
  local names = {}
  for i, backend in ipairs(key.backends) do names[i] = NAMES[backend] end
  return table.concat(names, ", ")
end

local out = { INTRO }
local group
for _, key in ipairs(keys.list) do
  if key.group ~= group then
    group = key.group
    out[#out + 1] = ("\n## %s\n\n| key | value | default | backends | |\n|---|---|---|---|---|\n"):format(group)
  end
  out[#out + 1] = ("| `%s` | %s | %s | %s | %s |\n"):format(key.key, cell(rule.describe(key)), cell(default_text(key)),
    cell(backends_text(key)), cell(key.doc))
end
out[#out + 1] = "\n" .. CONTRADICTIONS
io.write(table.concat(out))
