-- The examples open, and their configurations are valid; spec/cli runs them.
local config = require "mguard.config"
local script = require "mguard.script"
local support = require "spec.support"

local function files(pattern)
  local list = {}
  for name in support.run("ls " .. pattern):gmatch("[^\n]+") do list[#list + 1] = name end
  assert(#list > 0, pattern)
  return list
end

describe("an example", function()
  for _, name in ipairs(files "examples/*/plan*.lua") do
    it("opens: " .. name, function()
      local spec = script.open(name)
      assert.equal("plan", spec.kind)
      assert.is_true(#spec.clauses >= 2)
      assert.is_truthy(spec.implementations[spec.baseline])
      assert.is_truthy(spec.implementations[spec.candidate])
    end)
  end
  for _, name in ipairs(files "examples/*/checks.lua") do
    it("opens as a worker does: " .. name, function() assert.equal("checks", script.open(name).kind) end)
  end
  for _, name in ipairs(files "examples/distributed/queue/*.json") do
    it("configures a queue: " .. name, function()
      local spec = script.open("examples/distributed/plan.lua", { queue_config = name })
      assert.equal(name:match("([^/]*)%.json$"), spec.queue.backend)
      assert.equal(60, spec.queue.lease_seconds)
    end)
  end
  it("has a configuration for each backend", function()
    local keys = require "mguard.config_keys"
    assert.equal(#keys.backends, #files "examples/distributed/queue/*.json")
    assert.equal("redis", config.resolve(nil, nil, nil, "@examples/distributed/queue/redis.json").backend)
  end)
  it("fits a page", function()
    for _, name in ipairs(files "examples/*/*.lua") do
      local _, lines = support.read(name):gsub("\n", "")
      assert.is_true(lines <= 90, name)
    end
  end)
end)
