--- stats.lua - mg.stats: every statistical method of the engine as a function of named arguments.
--- mg.stats.tango { both = 53, baseline_only = 8, candidate_only = 16, neither = 9 }.low
local core = require "mguard.core"
local rule = require "mguard.rule"
local where = require "mguard.where"

local stats = {}
local names = {}

for _, method in ipairs(core.stats_methods()) do
  names[#names + 1] = method.name
  stats[method.name] = function(given)
    if type(given) ~= "table" then
      where.fail(where.at(), ("mg.stats.%s takes named arguments: mg.stats.%s { ... }, got %s"):format(method.name, method.name, rule.show(given)))
    end
    local answer, message = core.stats(method.name, given)
    if not answer then where.fail(where.at(), ("mg.stats.%s: %s"):format(method.name, message)) end
    return answer
  end
end

--- What there is, with what each takes.
---@type fun(): mguard.Method[]
stats.methods = core.stats_methods

return setmetatable(stats, {
  __index = function(_, key)
    where.fail(where.at(), ('mg.stats has no "%s"%s'):format(tostring(key), rule.hint(tostring(key), names, "methods")))
  end,
})
