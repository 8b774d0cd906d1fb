--- script.lua - opens a plan or checks file and gives the engine one plain table, the spec: everything checked,
--- defaults filled in, file names absolute. Errors are one line for people, with file and line or the option's name.
local checks = require "mguard.checks"
local config = require "mguard.config"
local evaluation = require "mguard.evaluation"
local measure = require "mguard.measure"
local path = require "mguard.path"
local plan = require "mguard.plan"
local rule = require "mguard.rule"
local stop = require "mguard.stop"
local where = require "mguard.where"

local script = {}

-- Modules beside the script come before the system's.
local function add_folder(dir)
  local absolute = path.absolute(dir)
  local entry = ("%s/?.lua;%s/?/init.lua"):format(absolute, absolute)
  if not (";" .. package.path .. ";"):find(";" .. entry .. ";", 1, true) then
    package.path = entry .. ";" .. package.path
  end
end

-- "task:top_k": checks that mguard brings with it.
local function built_in(task)
  local ok, value = pcall(require, "mguard.tasks." .. task)
  if not ok then where.fail(nil, ('there is no built-in task "%s"; built in: %s'):format(task, table.concat(script.TASKS, ", "))) end
  value.source = "task:" .. task
  return value
end
script.TASKS = { "top_k" }

--- Runs a script file in protected mode and gives what it returns. "task:NAME" is a built-in task.
---@param name string
---@return any
function script.load(name)
  if type(name) ~= "string" or name == "" then where.fail(nil, "no script is named") end
  local task = name:match("^task:([%w_]+)$")
  if task then return built_in(task) end
  local text, message = path.read(name)
  if not text then where.fail(nil, "cannot open the script " .. message) end
  local chunk, wrong = where.compile(text, name)
  if not chunk then where.fail(nil, wrong) end
  add_folder(path.dir(name))
  local ok, value, more = pcall(chunk)
  if not ok then
    if type(value) ~= "string" then value = ("%s: the script raised %s"):format(name, rule.show(value)) end
    error(value, 0)
  end
  if more ~= nil then where.fail(name, "the script returns more than one value; it must return one plan or one set of checks") end
  return value
end

-- Whether a module's file is the system's own and needs no fingerprint.
local function is_system(file)
  return file:find("^/usr/") ~= nil or file:find("^/lib") ~= nil
end

-- Files of the Lua modules loaded since `before`, sorted.
local function new_modules(before)
  local files = {}
  for _, name in ipairs(rule.sorted_keys(package.loaded)) do
    if type(name) == "string" and not before[name] and not name:find("^mguard%f[%.\0]") then
      local file = package.searchpath(name, package.path)
      file = file and path.absolute(file)
      if file and not is_system(file) then files[#files + 1] = file end
    end
  end
  table.sort(files)
  return files
end

local function names_of(map)
  local names = {}
  for _, name in ipairs(rule.sorted_keys(map)) do names[#names + 1] = name end
  return names
end

local OVERRIDES <const> = {
  { key = "cases", kind = "integer", min = plan.CASES.min, max = plan.CASES.max, flag = "--cases" },
  { key = "seed", kind = "integer", min = plan.SEED.min, max = plan.SEED.max, says = plan.SEED.says, flag = "--seed" },
  { key = "workers", kind = "integer", min = plan.WORKERS.min, max = plan.WORKERS.max, flag = "--workers" },
  { key = "timeout_ms", kind = "integer", min = plan.TIMEOUT.min, max = plan.TIMEOUT.max, flag = "--timeout-ms" },
  { key = "memory_mb", kind = "integer", min = plan.MEMORY.min, max = plan.MEMORY.max, flag = "--memory-mb" },
  { key = "report_json", kind = "string", says = "a file name", flag = "--report-json" },
  { key = "baseline", kind = "string", says = "the name of an implementation or a file", flag = "--baseline" },
  { key = "candidate", kind = "string", says = "the name of an implementation or a file", flag = "--candidate" },
  { key = "goal", kind = "string", says = evaluation.GOAL_SAYS, flag = "--goal" },
  { key = "min_pass_rate", kind = "number", above = 0, below = 1, flag = "--min-pass-rate" },
  { key = "alpha", kind = "number", above = 0, max = 0.5, flag = "--alpha" },
  { key = "interval", kind = "enum", values = plan.INTERVALS, flag = "--interval" },
  { key = "violation_cap", kind = "integer", min = plan.VIOLATION_CAP.min, max = plan.VIOLATION_CAP.max, flag = "--violation-cap" },
  { key = "fail_fast", kind = "boolean", flag = "--fail-fast" },
  { key = "backend", kind = "string", says = "the name of a backend", flag = "--backend" },
  { key = "queue_config", kind = "custom", says = "a table, JSON text or a file", flag = "--queue-config",
    test = function(value) return type(value) == "string" or type(value) == "table" end },
}

-- What the command line says, each value checked under its flag's name; numbers may come as text.
local function checked_overrides(given)
  local known, result = {}, {}
  for i, r in ipairs(OVERRIDES) do known[i] = r.key end
  for _, key in ipairs(rule.sorted_keys(given or {})) do
    local found
    for _, r in ipairs(OVERRIDES) do
      if r.key == key then found = r end
    end
    if not found then
      key = tostring(key)
      where.fail(nil, ('unknown override "%s"%s'):format(key, rule.hint(key, known, "overrides")))
    end
    local value = given[key]
    if found.kind == "integer" and type(value) == "string" and value:find("^%s*[+-]?%d+%s*$") then
      value = math.tointeger(tonumber(value)) or value
    elseif found.kind == "number" and type(value) == "string" then
      value = tonumber(value) or value
    end
    local ok, good = rule.accepts(found, value)
    if not ok then where.fail(found.flag, ("must be %s, got %s"):format(rule.describe(found), rule.show(value))) end
    result[key] = good
  end
  return result
end

-- Name under which a role's implementation stands in `implementations`.
local function role_name(implementations, value, role, at, flag)
  local implementation = require "mguard.implementation"
  if type(value) == "string" then
    if implementations[value] and not implementations[value].from_flag then return value end
    local it = flag and implementation.of_file(value)
    if not it then
      where.fail(flag or at, ('%s "%s" is no implementation%s%s'):format(role, value, flag and " and no .lua or .py file" or "",
        rule.hint(value, names_of(implementations), "implementations")))
    end
    local name = path.base(value) -- not the whole path: workers may keep the file elsewhere
    local other = implementations[name]
    if other and other.from_flag and other.path == it.path then return name end
    if other then name = role .. " " .. name end
    it.from_flag, implementations[name] = true, it
    return name
  end
  if implementations[role] then
    where.fail(at, ("%s is given as a value, but implementations.%s exists too: name one of them differently"):format(role, role))
  end
  implementations[role] = implementation.of(value)
  return role
end

local function checks_of(value, at, dir)
  if checks.is(value) then return value end
  local file = value:find("^task:") and value or path.join(dir, value)
  local loaded = script.load(file)
  if checks.is(loaded) then return loaded end
  if plan.is(loaded) then
    where.fail(at, ("checks = %s names a plan; it must name a file that returns mg.checks { ... }"):format(rule.show(value)))
  end
  where.fail(file, ("the file must return mg.checks { ... }, it returns %s"):format(rule.show(loaded)))
end

local function default_name(name)
  local folder = path.base(path.dir(path.absolute(name)))
  return folder ~= "" and rule.is_name(folder) and folder or path.base(name)
end

--- The spec of a plan or of checks. Raises for people.
---@param value any       what the script returned
---@param name string     the script's path
---@param overrides table|nil settings of the command line
---@return table
function script.normalise(value, name, overrides)
  local over = checked_overrides(overrides)
  if checks.is(value) and over.candidate then value = evaluation.plan(value, over) end
  local is_plan = plan.is(value)
  if not is_plan and not checks.is(value) then
    where.fail(name, ("the script must return mg.plan { ... } or mg.checks { ... }, it returns %s%s"):format(rule.show(value),
      value == nil and ' (is "return" missing in front?)' or ""))
  end
  local at = value.where or name
  local dir = path.dir(name)
  local c = is_plan and checks_of(value.checks, at, value.dir or dir) or value

  local implementations = {}
  for _, source in ipairs { c.implementations, is_plan and value.implementations or {} } do
    for k, v in pairs(source) do implementations[k] = v end
  end
  local sources = { c.source or (c.where:gsub(":%d+$", "")) } -- what a worker must have alike; a plan only where it holds code of its own
  local function inline(role) return value[role] ~= nil and type(value[role]) ~= "string" end
  local code = is_plan and (next(value.implementations) or next(value.metrics) or value.cluster or value.group)
  if code or (is_plan and (inline "candidate" or inline "baseline")) then sources[2] = name end
  local spec = {
    kind = value.kind,
    sources = sources,
    name = value.name or c.name or default_name(name),
    path = name,
    dir = dir,
    generate = c.generate,
    clauses = c.clauses,
    metrics = c.metrics,
    cluster = c.cluster,
    group = c.group,
    equal = c.equal,
    implementations = implementations,
    setup = c.setup,
    teardown = c.teardown,
    size = c.size,
    files = table.move(c.files, 1, #c.files, 1, {}),
    -- what a worker takes for tasks of plans that set no limits, unless it was given others
    default_limits = { case_timeout_ms = plan.TIMEOUT.default, memory_mb = plan.MEMORY.default },
  }
  if not is_plan then
    spec.queue = config.resolve(nil, at, over.backend, over.queue_config)
    return spec
  end

  local flag = function(key) return over[key] ~= nil and "--" .. key or nil end
  local baseline = over.baseline or value.baseline
  if baseline ~= nil then spec.baseline = role_name(implementations, baseline, "baseline", at, flag("baseline")) end
  spec.candidate = role_name(implementations, over.candidate or value.candidate, "candidate", at, flag("candidate"))
  spec.given = { baseline = over.baseline, candidate = over.candidate }
  spec.goal = evaluation.goal(value.goal, over, spec.baseline ~= nil)
  spec.cases = over.cases or value.cases
  spec.inputs = value.inputs
  if not spec.inputs and not c.generate then
    where.fail(c.where or at, "generate is missing in mg.checks: without cases from a file (mg.jsonl) it must make the arguments")
  end
  spec.seed = over.seed or value.seed
  spec.limits = {
    case_timeout_ms = over.timeout_ms or value.limits.case_timeout_ms,
    memory_mb = over.memory_mb or value.limits.memory_mb,
    -- what nobody set may be another default on a worker (--default-timeout-s, --default-mem-mb)
    timeout_given = over.timeout_ms ~= nil or value.limits_given.case_timeout_ms,
    memory_given = over.memory_mb ~= nil or value.limits_given.memory_mb,
  }
  spec.stop = value.stop
  if over.goal or over.min_pass_rate then stop.fits(spec.stop, spec.goal, over.goal and "--goal" or "--min-pass-rate") end
  if over.interval and (not spec.baseline or spec.stop.kind ~= "fixed") then
    where.fail("--interval", spec.baseline and ("stop %s has an interval of its own"):format(spec.stop.kind)
      or "is that of the difference to a baseline, and there is none")
  end
  spec.interval = over.interval or value.interval
  spec.rate_interval = value.rate_interval
  spec.correction = value.correction
  measure.plan(spec, value, over)
  spec.max_discard = value.max_discard
  spec.cover = value.cover
  spec.flaky = value.flaky
  spec.webhooks = value.webhooks
  spec.violation_cap = over.violation_cap or value.violation_cap
  spec.fail_fast = value.fail_fast
  if over.fail_fast ~= nil then spec.fail_fast = over.fail_fast end
  spec.workers = over.workers or value.workers
  spec.queue = config.resolve(value.queue, at, over.backend, over.queue_config)
  spec.batching = value.batching
  spec.report = { json = over.report_json or value.report.json }
  table.move(value.files, 1, #value.files, #spec.files + 1, spec.files)
  return spec
end

--- Opens a script. Besides the spec's fields of the contract: modules, the absolute names of the Lua modules that the
--- script required and that are not the system's.
---@param name string
---@param overrides table|nil
---@return table
function script.open(name, overrides)
  local before = {}
  for module in pairs(package.loaded) do before[module] = true end
  local spec = script.normalise(script.load(name), name, overrides)
  spec.modules = new_modules(before)
  return spec
end

return script
