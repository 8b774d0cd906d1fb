--- checks.lua - mg.checks: what a case is and what must hold. Shared by the coordinator and the workers.
local clause = require "mguard.clause"
local core = require "mguard.core"
local implementation = require "mguard.implementation"
local measure = require "mguard.measure"
local path = require "mguard.path"
local rule = require "mguard.rule"
local where = require "mguard.where"

local checks = {}
local Checks = { __name = "mg.checks" }

local RULES <const> = {
  { key = "name", kind = "custom", test = rule.is_name, says = rule.NAME_SAYS },
  { key = "generate", kind = "function", says = "a function (g) that gives the arguments of a case" },
  { key = "properties", kind = "table", says = "a list of mg.property { ... }" },
  { key = "relations", kind = "table", says = "a list of mg.relation { ... }" },
  { key = "metrics", kind = "table", says = "a list of mg.metric { ... }" },
  { key = "cluster", kind = "function", says = "a function of the arguments that names the case's cluster" },
  { key = "group", kind = "function", says = "a function of the arguments that names the case's group" },
  { key = "equal", kind = "function", says = "a function (a, b), for example mg.equal.deep" },
  { key = "implementations", kind = "table", says = "a table of names and implementations" },
  { key = "setup", kind = "function" },
  { key = "teardown", kind = "function" },
  { key = "size", kind = "integer", min = 0, max = 1000000, default = 30 },
  { key = "files", kind = "strings", says = "a list of file names" },
}

---@class mguard.ChecksSpec
---@field name? string    default the name of the folder
---@field generate? fun(g: mguard.Generator): ...   arguments of a case; not needed where cases come from a file
---@field properties? mguard.Property[]  with the relations at most 63, names all different
---@field relations? mguard.Relation[]
---@field metrics? mguard.Metric[]       numbers that are measured of each result, at most 16
---@field cluster? fun(...): string|number|nil      cases of one cluster are alike; then clusters are counted, not cases
---@field group? fun(...): string|number|nil        groups are reported apart, and compared by monitors.fairness
---@field equal? fun(a: any, b: any): boolean       used by relations and reports; default mg.equal.deep
---@field implementations? table<string, mguard.Implementation|function>  by name
---@field setup? fun()     runs once in each executor before the first case
---@field teardown? fun()  runs once in each executor after the last case
---@field size? integer    g.size, the usual longest list or string; default 30
---@field files? string[]  files the checks depend on: workers must have the same

--- Absolute names of files that a script names, which must be there.
---@param list string[]|nil
---@param dir string|nil
---@param at string|nil
---@return string[]
function checks.files(list, dir, at)
  local result = {}
  for i, name in ipairs(list or {}) do
    local file = path.absolute(path.join(dir, name))
    local ok, message = path.readable(file)
    if not ok then where.fail(at, ("files[%d]: cannot read %s"):format(i, message)) end
    result[i] = file
  end
  return result
end

--- What holds, whoever computes it. Workers read this file too, so that a message never carries code.
---@param given mguard.ChecksSpec
---@return mguard.Checks
function checks.new(given)
  local at, dir = where.at(), where.dir()
  local c = rule.fields(given, RULES, at, "mg.checks")
  local clauses = clause.collect(c.properties or {}, c.relations or {}, at)
  return setmetatable({
    kind = "checks",
    name = c.name,
    generate = c.generate,
    clauses = clauses,
    metrics = measure.collect(c.metrics, at),
    cluster = c.cluster,
    group = c.group,
    equal = c.equal or core.equal,
    implementations = implementation.collect(c.implementations, at),
    setup = c.setup,
    teardown = c.teardown,
    size = c.size,
    files = checks.files(c.files, dir, at),
    where = at,
    dir = dir,
  }, Checks)
end

---@param value any
---@return boolean
function checks.is(value) return getmetatable(value) == Checks end

return checks
