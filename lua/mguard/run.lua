--- run.lua - mg.run: a plan run from a script of one's own. The cases run in processes of the program mguard, as with `mguard run`, never in
--- the caller's state: a candidate that crashes, hangs or swaps _G must not take the script along.
local core = require "mguard.core"
local path = require "mguard.path"
local plan = require "mguard.plan"
local rule = require "mguard.rule"
local where = require "mguard.where"

local run = {}

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- The program that belongs to this module: $MGUARD, beside the module's place (bin/ of an installation, build/ of a checkout), or on PATH.
---@return string
function run.program()
  local named = os.getenv "MGUARD"
  if named and named ~= "" then return named end
  local module = package.searchpath("mguard.core", package.cpath)
  local folder = module and path.dir(path.dir(path.absolute(module))) -- .../lib/lua/5.4 or .../build/lua
  for _, place in ipairs(folder and { "/../../../bin/mguard", "/../mguard" } or {}) do
    local file = path.absolute(folder .. place)
    if path.readable(file) then return file end
  end
  if path.program_exists("mguard", ".") then return "mguard" end
  where.fail(where.at(), "the program mguard is neither beside the module nor on PATH: name it in the variable MGUARD")
end

-- { cases = 500, fail_fast = true } -> "--cases 500 --fail-fast"; the program checks them.
local function flags(options, at)
  local words = {}
  for _, key in ipairs(rule.sorted_keys(options)) do
    local value, flag = options[key], "--" .. tostring(key):gsub("_", "-")
    if type(key) ~= "string" or not key:find "^%l[%l%d_]*$" then
      where.fail(at, ("mg.run takes options of mguard run by name, got %s"):format(rule.show(key)))
    elseif value == true then
      words[#words + 1] = flag
    elseif type(value) == "string" or type(value) == "number" then
      words[#words + 1] = flag .. "=" .. quote(tostring(value))
    elseif type(value) == "table" then
      local text, message = core.json_encode(value)
      if not text then where.fail(at, ("mg.run: %s: %s"):format(key, message)) end
      words[#words + 1] = flag .. "=" .. quote(text)
    elseif value ~= false then
      where.fail(at, ("mg.run: %s must be text, a number, true, false or a table, got %s"):format(key, rule.show(value)))
    end
  end
  return table.concat(words, " ")
end

local function script_of(value, at)
  if type(value) == "string" and value ~= "" then return value end
  if plan.is(value) then
    where.fail(at, "mg.run takes the file of a plan: the processes that run its cases load it too, so it stands in a file of its own that returns it")
  end
  where.fail(at, "mg.run takes the file of a plan or of checks, got " .. rule.show(value))
end

---@class mguard.RunOptions  every option of `mguard run`, "-" written "_": cases, seed, workers, backend, queue_config (a table too) ...
---@field verbose? boolean    show progress and summary, as mguard run does

--- Runs a plan and gives its report (docs/reference/report.schema.json); nil, message and exit code where there is none.
---@param file string  of a plan, or of checks with the option candidate
---@param options? mguard.RunOptions
---@return table|nil report
---@return string|nil message
---@return integer|nil code   4 usage or configuration, 5 failure, 130 interrupted
function run.run(file, options)
  local at = where.at()
  if not core.queue_open then where.fail(at, "mg.run is for scripts run by lua5.4; a file that mguard runs returns its plan") end
  if options ~= nil and type(options) ~= "table" then where.fail(at, "the options of mg.run are a table, got " .. rule.show(options)) end
  local given = {}
  for key, value in pairs(options or {}) do given[key] = value end
  local verbose, report = given.verbose, given.report_json
  local script = script_of(file, at)
  local scratch = os.tmpname()
  given.verbose, given.report_json = nil, report or scratch .. ".json"
  if not verbose then given.quiet = true end
  local line = ("%s run %s %s"):format(quote(run.program()), flags(given, at), quote(script:sub(1, 1) == "-" and "./" .. script or script))
  if not verbose then line = line .. " 2>" .. scratch end
  local _, how, code = os.execute(line)
  if how == "signal" then code = 128 + code end
  local said = path.read(scratch) or ""
  local text = code <= 3 and path.read(given.report_json)
  os.remove(scratch)
  if not report then os.remove(given.report_json) end
  if not text then
    local last = said:gsub("%s+$", ""):match "([^\n]*)$"
    return nil, last ~= "" and last or ("mguard run ended with exit code %d"):format(code), code
  end
  local value, message = core.json_decode(text)
  if not value then return nil, ("the report cannot be read: %s"):format(message), 5 end
  return value
end

return run
