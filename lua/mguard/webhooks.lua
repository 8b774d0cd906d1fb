--- webhooks.lua - who is told of alerts and of the verdict: checks the plan's list, and resolves it on the side that tells.
local config = require "mguard.config"
local rule = require "mguard.rule"
local where = require "mguard.where"

local webhooks = {}

local MOST <const> = 8 -- MG_MAX_WEBHOOKS of engine/script/plan.h
local EVENTS <const> = { verdict = true, alert = true }

local function is_events(value)
  local list = type(value) == "string" and { value } or value
  if type(list) ~= "table" or #list == 0 then return false end
  local wanted = {}
  for _, name in ipairs(list) do
    if not EVENTS[name] then return false end
    wanted[name] = true
  end
  return true, wanted
end

local RULES <const> = {
  { key = "url", kind = "string", required = true, secret = true, says = "an http:// or https:// URL, or ${NAME} for one",
    test = function(value) return value:find("^https?://.") ~= nil or value:find("^%${") ~= nil end },
  { key = "format", kind = "enum", values = { "json", "slack" }, default = "json" },
  { key = "on", kind = "custom", test = is_events, says = '"verdict", "alert" or a list of them' },
  { key = "secret", kind = "string", secret = true },
  { key = "timeout_s", kind = "number", above = 0, max = 60, default = 10 },
  { key = "tries", kind = "integer", min = 1, max = 10, default = 5 },
}

--- The plan's list, checked.
---@param list table
---@param at string
function webhooks.check(list, at)
  local checked, count = {}, 0
  for _ in pairs(list) do count = count + 1 end
  if count ~= #list then where.fail(at, 'webhooks must be a list: { { url = "https://..." } }, got ' .. rule.show(list)) end
  if count > MOST then where.fail(at, ("webhooks has %d entries, at most %d are allowed"):format(count, MOST)) end
  for i, given in ipairs(list) do
    local name = ("webhooks[%d]"):format(i)
    if type(given) ~= "table" then where.fail(at, ("%s must be a table, got %s"):format(name, rule.show(given))) end
    local hook = rule.fields(given, RULES, at, name, name .. ".")
    hook.name, hook.at = name, at
    checked[i] = hook
  end
  return checked
end

local function resolved(hook)
  local url, at, name = hook.url, hook.at, hook.name
  url = config.expand(url, name .. ".url", at)
  if not url:find("^https?://.") then where.fail(at, name .. ".url must be an http:// or https:// URL, got a value that is not shown") end
  local secret = hook.secret and config.expand(hook.secret, name .. ".secret", at) or os.getenv "MGUARD_WEBHOOK_SECRET"
  local on = hook.on or EVENTS
  return { url = url, secret = secret ~= "" and secret or nil, slack = hook.format == "slack", on_verdict = on.verdict, on_alert = on.alert,
    timeout_s = hook.timeout_s, tries = hook.tries }
end

--- The plan's webhooks and that of the command line, with the values they take from the environment.
---@param list table[]|nil
---@param url string|nil
---@param format string|nil
function webhooks.resolve(list, url, format)
  local out = {}
  for i, hook in ipairs(list or {}) do out[i] = resolved(hook) end
  if format and not url then where.fail(nil, "--webhook-format says how, but not whom: give --webhook too") end
  if url then
    if #out == MOST then where.fail(nil, ("--webhook would be one more than the %d webhooks allowed"):format(MOST)) end
    local hook = { url = rule.check(RULES[1], url, nil, "--webhook"),
      format = rule.check(RULES[2], format or RULES[2].default, nil, "--webhook-format"), timeout_s = RULES[5].default,
      tries = RULES[6].default, name = "--webhook" }
    out[#out + 1] = resolved(hook)
  end
  return out
end

return webhooks
