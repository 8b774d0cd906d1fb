--- implementation.lua - mg.lua, mg.exec, mg.python and plain functions: what can be called with a case's arguments.
local path = require "mguard.path"
local rule = require "mguard.rule"
local where = require "mguard.where"

local implementation = {}

local Implementation = { __name = "mg.implementation" }

local function one_file(name, at, what)
  if type(name) ~= "string" or name == "" then
    where.fail(at, ('%s takes a file name: %s "file", got %s'):format(what, what, rule.show(name)))
  end
  local file = path.absolute(path.join(where.dir(), name))
  local ok, message = path.readable(file)
  if not ok then where.fail(at, ("%s: cannot read the implementation: %s"):format(what, message)) end
  return file
end

--- A Lua file that returns a function. Relative to the script that says it.
---@param name string
---@return mguard.Implementation
function implementation.lua(name)
  local at = where.at()
  local file = one_file(name, at, "mg.lua")
  local text = path.read(file)
  local chunk, message = load((text:gsub("^#[^\n]*", "")), "@" .. file, "t")
  if not chunk then where.fail(at, ("mg.lua: %s"):format(message)) end
  return setmetatable({ kind = "lua", path = file }, Implementation)
end

--- A Python file with solve(*args), run by python3 in a process that is kept. Relative to the script that says it.
---@param name string
---@return mguard.Implementation
function implementation.python(name)
  local at = where.at()
  local file = one_file(name, at, "mg.python")
  if not path.program_exists("python3", ".") then
    where.fail(at, "mg.python needs python3, which is not on PATH")
  end
  return setmetatable({ kind = "python", path = file }, Implementation)
end

local FORMATS <const> = { "json", "text" }
local function is_environment(value)
  if type(value) ~= "table" then return false end
  for k, v in pairs(value) do
    if type(k) ~= "string" or k == "" or k:find("[=%z]") or type(v) ~= "string" or v:find("\0", 1, true) then return false end
  end
  return true
end

local EXEC_RULES <const> = {
  { key = "once", kind = "boolean", default = false },
  { key = "input", kind = "enum", values = FORMATS, default = "json" },
  { key = "output", kind = "enum", values = FORMATS, default = "json" },
  { key = "env", kind = "custom", test = is_environment, says = "a table of names and strings" },
  { key = "cwd", kind = "string" },
  { key = "hedge", kind = "boolean", default = true },
  { key = "paid", kind = "boolean", default = false },
}

---@class mguard.ExecSpec
---@field [integer] string      program and its arguments
---@field once? boolean         true: a process a call; false (default): one kept process, JSON lines on stdin and stdout
---@field input? "json"|"text"  with once: what stdin carries; "text": the one argument, a string, as it is
---@field output? "json"|"text" with once: what stdout carries; "text": the result is stdout as a string
---@field env? table<string, string> added to the environment
---@field cwd? string           folder the program starts in, by default the script's
---@field hedge? boolean        false: stragglers are never sent to a second worker
---@field paid? boolean         true: calls cost money: no second copies

--- A program, asked by JSON lines (docs/reference/lua-api.md has the protocol).
---@param given mguard.ExecSpec
---@return mguard.Implementation
function implementation.exec(given)
  local at = where.at()
  if type(given) ~= "table" then
    where.fail(at, 'mg.exec takes a table: mg.exec { "program", "argument" }, got ' .. rule.show(given))
  end
  local argv, settings = {}, {}
  for _, k in ipairs(rule.sorted_keys(given)) do
    local v = given[k]
    if math.type(k) == "integer" then
      if k ~= #argv + 1 then where.fail(at, "mg.exec: the program's arguments have a gap before " .. rule.show(v)) end
      if type(v) ~= "string" or v:find("\0", 1, true) then
        where.fail(at, ("mg.exec: argument %d must be a string without NUL bytes, got %s"):format(k, rule.show(v)))
      end
      argv[k] = v
    else
      settings[k] = v
    end
  end
  local e = rule.fields(settings, EXEC_RULES, at, "mg.exec")
  if not argv[1] or argv[1] == "" then where.fail(at, 'mg.exec names no program: mg.exec { "program", "argument" }') end
  if not e.once and (e.input == "text" or e.output == "text") then
    where.fail(at, ('mg.exec: %s = "text" needs once = true; a kept process speaks JSON lines')
      :format(e.input == "text" and "input" or "output"))
  end
  if e.paid and settings.hedge then
    where.fail(at, "mg.exec: paid = true and hedge = true contradict each other: hedging sends calls twice")
  end
  local cwd = path.absolute(path.join(where.dir(), e.cwd or "."))
  if not path.program_exists(argv[1], cwd, e.env and e.env.PATH) then
    local place = argv[1]:find("/", 1, true) and ("does not exist (seen from %s)"):format(cwd) or "is not on PATH"
    where.fail(at, ("mg.exec: the program %s %s"):format(rule.show(argv[1]), place))
  end
  return setmetatable({ kind = "exec", argv = argv, once = e.once, input = e.input, output = e.output, env = e.env, cwd = cwd,
    hedge = e.hedge and not e.paid, paid = e.paid }, Implementation)
end

--- Implementation of what a script wrote: a function or the result of mg.lua, mg.exec, mg.python. nil for anything else.
---@param value any
function implementation.of(value)
  if type(value) == "function" then return { kind = "function", call = value } end
  if getmetatable(value) ~= Implementation then return nil end
  local copy = {}
  for k, v in pairs(value) do copy[k] = v end
  return copy
end

--- Implementation in a file named on the command line, by its ending; nil where the ending is neither .lua nor .py.
---@param file string
---@return table|nil
function implementation.of_file(file)
  local make = file:find("%.lua$") and implementation.lua or file:find("%.py$") and implementation.python
  return make and implementation.of(make(path.absolute(file)))
end

--- Named implementations, checked.
---@param given table|nil
---@param at string|nil
---@return table<string, table>
function implementation.collect(given, at)
  local result = {}
  for _, name in ipairs(rule.sorted_keys(given or {})) do
    if not rule.is_name(name) then
      where.fail(at, ("implementations: a name must be %s, got %s"):format(rule.NAME_SAYS, rule.show(name)))
    end
    local it = implementation.of(given[name])
    if not it then
      where.fail(at, ("implementations.%s must be mg.lua, mg.exec, mg.python or a function, got %s")
        :format(name, rule.show(given[name])))
    end
    result[name] = it
  end
  return result
end

return implementation
