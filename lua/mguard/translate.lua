--- translate.lua - a queue configuration for another broker, and one as it can be handed on. ${NAME} stays as it is written.
local config = require "mguard.config"
local core = require "mguard.core"
local keys = require "mguard.config_keys"
local path = require "mguard.path"
local plan = require "mguard.plan"
local rule = require "mguard.rule"
local script = require "mguard.script"
local where = require "mguard.where"

local translate = {}

-- One idea under two names: of hosted brokers (Redis, RabbitMQ) and of Kafka.
local PAIRS <const> = {
  { "queue_name", "topic" },
  { "connection.username", "sasl_username" },
  { "connection.password", "sasl_password" },
  { "connection.ssl_ca_location", "ssl_ca_location" },
  { "connection.ssl_certificate_location", "ssl_certificate_location" },
  { "connection.ssl_key_location", "ssl_key_location" },
  { "visibility_timeout", "lease_seconds" },
}
-- What tells where a broker is says nothing about another one.
local PLACES <const> = {
  ["connection.host"] = true, ["connection.port"] = true, ["connection.hosts"] = true, ["connection.unix_socket"] = true,
  ["connection.sentinels"] = true, bootstrap_servers = true, queue_url = true, endpoint_url = true, region = true, url = true,
  management_url = true, results_queue_url = true, dead_letter_queue_url = true,
}
local DROPPED <const> = { security_protocol = true, sasl_mechanism = true, ["connection.ssl"] = true } -- told by the new protocol keys

local function flatten(given, prefix, flat)
  for _, k in ipairs(rule.sorted_keys(given)) do
    local name, value = prefix .. tostring(k), given[k]
    local known = keys.by_key[name]
    if type(value) == "table" and not known then
      flatten(value, name .. ".", flat)
    else
      flat[name] = value
    end
  end
  return flat
end

local function nested(flat)
  local out = {}
  for name, value in pairs(flat) do
    local section, key = name:match("^([^.]+)%.(.+)$")
    if section then
      out[section] = out[section] or {}
      out[section][key] = value
    else
      out[name] = value
    end
  end
  return out
end

local function pretty(flat) return assert(core.json_encode(nested(flat), { pretty = true })) .. "\n" end

local function encrypted(flat)
  local protocol = type(flat.security_protocol) == "string" and flat.security_protocol:lower() or ""
  return flat["connection.ssl"] == true or protocol:find("ssl$") ~= nil
end

-- How to speak to the new broker, as safely as to the old one.
local function speak(flat, to, out, notes)
  local user = out["connection.username"] or out.sasl_username
  if to == "kafka" then
    local ssl = encrypted(flat)
    out.security_protocol = user and (ssl and "sasl_ssl" or "sasl_plaintext") or ssl and "ssl" or nil
    if user then
      out.sasl_mechanism = type(flat.sasl_mechanism) == "string" and flat.sasl_mechanism or "SCRAM-SHA-512"
      notes[#notes + 1] = "check: sasl_mechanism: it must be one the brokers offer"
    end
  elseif to == "redis" or to == "rabbitmq" then
    if encrypted(flat) then out["connection.ssl"] = true end
  end
end

local function place(flat, to, out, notes)
  local function fill(key, value)
    out[key] = value
    notes[#notes + 1] = ("fill in: %s"):format(key)
  end
  if to == "kafka" then
    fill("bootstrap_servers", "BROKER:9092")
  elseif to == "sqs" then
    fill("queue_url", ("https://sqs.REGION.amazonaws.com/ACCOUNT/%s"):format(tostring(flat.queue_name or flat.topic or "mguard_tasks")))
  elseif to ~= "memory" then
    fill("connection.host", "HOST")
  end
end

local function counterpart(name, to)
  for _, pair in ipairs(PAIRS) do
    for side = 1, 2 do
      local other = pair[3 - side]
      if pair[side] == name and keys.serves(keys.by_key[other], to) then return other end
    end
  end
end

--- The same settings for another broker.
---@param source table|string what --queue-config takes
---@param to string           backend
---@return string json
---@return string notes       a line each: what has no counterpart, what must be filled in
function translate.to(source, to)
  local given, name = config.load(source, "--from")
  local flat = flatten(given, "", {})
  local from = flat.backend or "memory"
  if type(from) ~= "string" or not rule.accepts(keys.by_key.backend, from) then
    where.fail(name, ("backend must be %s, got %s"):format(rule.describe(keys.by_key.backend), rule.show(from)))
  end
  local out, notes = { backend = to }, {}
  for _, key in ipairs(rule.sorted_keys(flat)) do
    local known = keys.by_key[key]
    if not known then where.fail(name, ('unknown key "%s"'):format(key)) end
    local other = counterpart(key, to)
    local said_anew = key == "backend" or DROPPED[key]
    if PLACES[key] and from ~= to then
      notes[#notes + 1] = ("left out: %s: it tells where %s is"):format(key, from)
    elseif keys.serves(known, to) and not said_anew then
      out[key] = flat[key]
    elseif other and not said_anew then
      out[other] = flat[key]
    elseif not said_anew then
      notes[#notes + 1] = ("left out: %s = %s: %s has nothing like it"):format(key, known.secret and "..." or rule.show(flat[key]), to)
    end
  end
  if from ~= to then
    speak(flat, to, out, notes)
    place(flat, to, out, notes)
  else
    for key in pairs(DROPPED) do out[key] = flat[key] end
  end
  return pretty(out), table.concat(notes, "\n")
end

--- The configuration of a plan, of JSON text or of a file, fit to be handed on: secrets written in clear are taken out.
---@param source table|string
---@return string json
---@return string notes
function translate.export(source)
  local given, at
  if type(source) == "string" and source:find("%.lua$") and path.readable(source) then
    local value = script.load(source)
    given, at = plan.is(value) and value.queue or {}, source
  else
    given, at = config.load(source, "--queue-config")
  end
  local flat, notes = flatten(given, "", {}), {}
  flat.backend = flat.backend or "memory"
  for _, key in ipairs(rule.sorted_keys(flat)) do
    local known = keys.by_key[key]
    if not known then where.fail(at, ('unknown key "%s"'):format(key)) end
    if known.secret and not (type(flat[key]) == "string" and flat[key]:find("${", 1, true)) then
      local variable = "MGUARD_" .. key:gsub("[^%w]", "_"):upper()
      flat[key] = ("${%s}"):format(variable)
      notes[#notes + 1] = ("%s stood there in clear: it is now taken from the environment, %s"):format(key, variable)
    end
  end
  return pretty(flat), table.concat(notes, "\n")
end

return translate
