--- queue.lua - mg.queue.open: a queue for scripts of one's own, over any backend: depth, dead letters, tasks to publish and to fetch.
local core = require "mguard.core"
local rule = require "mguard.rule"
local where = require "mguard.where"

local queue = {}

---@class mguard.Queue
---@field backend string
local Queue = { __name = "mg.queue" }
Queue.__index = Queue

---@class mguard.Message
---@field run string         as given to publish
---@field task string
---@field attempt integer    from 1
---@field body string
---@field again boolean      somebody may have had it before
---@field reason string|nil  of a dead letter
local Message = { __name = "mg.message" }
Message.__index = Message

local OPEN_RULES <const> = { { key = "timeout_s", kind = "number", above = 0, max = 3600, default = 10 } }
-- As in engine/wire/message.h: brokers make keys and names of queues of them.
local function named(key, pattern, longest, says)
  local function test(v) return type(v) == "string" and v:find(pattern) ~= nil and #v <= longest end
  return { key = key, kind = "custom", test = test, says = ("a name of 1 to %d %s"):format(longest, says), required = true }
end
local NAME <const> = named("run", "^[%w_-]+$", 64, "letters, digits, _ and -")
local TASK <const> = named("task", "^[%w_.-]+$", 48, "letters, digits, _, - and .")
local FETCH_RULES <const> = {
  { key = "max", kind = "integer", min = 1, max = 10000, default = 1 },
  { key = "wait_s", kind = "number", min = 0, max = 3600, default = 1 },
  { key = "lease_s", kind = "number", min = 1, max = 43200, default = 60 },
}
local SECONDS <const> = { key = "seconds", kind = "number", min = 0, max = 43200 }
local MOST_LETTERS <const> = { key = "max", kind = "integer", min = 1, max = 100000 }

local function handle_of(q)
  if not q.handle then where.fail(where.at(), "the queue is closed") end
  return q.handle
end

local function messages(q, list, message, code)
  for _, m in ipairs(list or {}) do
    m.queue = q
    setmetatable(m, Message)
  end
  return list, message, code
end

local function ms(seconds) return math.floor(seconds * 1000 + 0.5) end

--- Connects. nil, message and code ("connection", "argument", "fatal" ...) where that fails.
---@param config table|string  queue configuration: a table, JSON text or a file name (docs/reference/configuration.md)
---@param options? {timeout_s?: number}  longest wait for an answer of the broker, default 10
---@return mguard.Queue|nil
---@return string|nil message
---@return string|nil code
function queue.open(config, options)
  local at = where.at()
  if not core.queue_open then where.fail(at, "mg.queue.open is for scripts run by lua5.4; plans and checks have queue = { ... } in mg.plan") end
  local o = rule.fields(options or {}, OPEN_RULES, at, "mg.queue.open")
  if type(config) == "table" then
    local text, message = core.json_encode(config)
    if not text then where.fail(at, "mg.queue.open: " .. message) end
    config = text
  elseif type(config) ~= "string" or config == "" then
    where.fail(at, "mg.queue.open takes a queue configuration: a table, JSON text or a file name, got " .. rule.show(config))
  end
  local handle, message, code = core.queue_open(config, ms(o.timeout_s))
  if not handle then return nil, message:gsub("^%-%-queue%-config", "mg.queue.open", 1), code end
  return setmetatable({ handle = handle, backend = handle:backend() }, Queue)
end

--- Publishes tasks; the same run, task and attempt again is dropped where the broker can tell.
---@param run string
---@param tasks {task: string, body: string, attempt?: integer}[]
---@param delay_s? number
---@return true|nil
---@return string|nil message
---@return string|nil code
---@return string[]|nil failed names of the tasks that were not published
function Queue:publish(run, tasks, delay_s)
  local at = where.at()
  rule.check(NAME, run, at)
  delay_s = rule.check(SECONDS, delay_s or 0, at, "delay_s")
  if type(tasks) ~= "table" then where.fail(at, 'publish takes a list of tasks: { { task = "t1", body = "..." } }, got ' .. rule.show(tasks)) end
  local list = {}
  for i, given in ipairs(tasks) do
    list[i] = rule.fields(given, { TASK,
      { key = "body", kind = "custom", says = "a string", required = true, test = function(v) return type(v) == "string" end },
      { key = "attempt", kind = "integer", min = 1, max = 1000000, default = 1 } }, at, ("tasks[%d]"):format(i))
  end
  return handle_of(self):publish(run, list, ms(delay_s))
end

--- Fetches up to max tasks, each under a lease; an empty list where none came within wait_s.
---@param options? {max?: integer, wait_s?: number, lease_s?: number}  1, 1 s, 60 s
---@return mguard.Message[]|nil
---@return string|nil message
---@return string|nil code
function Queue:fetch(options)
  local o = rule.fields(options or {}, FETCH_RULES, where.at(), "fetch")
  return messages(self, handle_of(self):fetch(o.max, ms(o.lease_s), ms(o.wait_s)))
end

--- What waits and what is held; of one run, or of the whole queue. What the broker does not tell is absent.
---@param run? string
---@return {pending?: integer, in_flight?: integer, dead?: integer, results?: integer, oldest_seconds?: number}|nil
---@return string|nil message
---@return string|nil code
function Queue:depth(run)
  if run ~= nil then rule.check(NAME, run, where.at()) end
  return handle_of(self):depth(run)
end

--- Tasks that were given up, with the reason.
---@param run? string
---@param max? integer  default 1000
---@return mguard.Message[]|nil
---@return string|nil message
---@return string|nil code
function Queue:dead_letters(run, max)
  local at = where.at()
  if run ~= nil then rule.check(NAME, run, at) end
  return messages(self, handle_of(self):dead_letters(run, rule.check(MOST_LETTERS, max or 1000, at, "max")))
end

--- Waits, and keeps the connection alive meanwhile.
---@param seconds number
---@return true|nil
---@return string|nil message
---@return string|nil code
function Queue:wait(seconds) return handle_of(self):wait(ms(rule.check(SECONDS, seconds, where.at()))) end

--- Leases that are still held end by themselves, as the broker has it.
function Queue:close()
  if self.handle then self.handle:close() end
  self.handle = nil
end
Queue.__close = Queue.close
Queue.__gc = Queue.close

local function settle(message, what, seconds, why)
  if not message.receipt then
    where.fail(where.at(), message.reason and "a dead letter has no lease: mguard dlq redrives and removes them" or "the message is settled already")
  end
  local ok, text, code = handle_of(message.queue):settle(what, message.receipt, ms(seconds), why)
  if (ok and what ~= "extend") or code == "lost" then message.receipt = nil end
  return ok, text, code
end

--- It is done. nil, message, "lost" where the lease has ended before.
---@return true|nil
---@return string|nil message
---@return string|nil code
function Message:ack() return settle(self, "ack", 0, "") end

--- Gives it back; pending again after delay_s where the broker can wait.
---@param delay_s? number
---@return true|nil
---@return string|nil message
---@return string|nil code
function Message:nack(delay_s) return settle(self, "nack", rule.check(SECONDS, delay_s or 0, where.at(), "delay_s"), "") end

--- A new lease, from now on.
---@param lease_s number
---@return true|nil
---@return string|nil message
---@return string|nil code
function Message:extend(lease_s) return settle(self, "extend", rule.check(SECONDS, lease_s, where.at(), "lease_s"), "") end

--- Gives it up.
---@param reason string one line
---@return true|nil
---@return string|nil message
---@return string|nil code
function Message:dead_letter(reason)
  local says = { key = "reason", kind = "string", says = "one line of text", test = function(v) return not v:find "%c" end }
  return settle(self, "dead_letter", 0, rule.check(says, reason, where.at()))
end

return queue
