-- `mguard worker`: limits of its own for plans that set none.
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = [[
local mg = require "mguard"
local function slow(x)
  local stop = os.clock() + 0.6
  while os.clock() < stop do end
  return x
end
return mg.plan {
  checks = mg.checks { generate = function(g) return g:int(1, 9) end },
  candidate = slow, cases = 2, goal = mg.goal.absolute(0.01), LIMITS
}]]

describe("mguard worker --default-timeout-s", function()
  local dir, redis, config
  setup(function()
    dir = support.folder()
    redis = servers.redis(dir)
    config = servers.queue(redis)
  end)
  teardown(function()
    servers.stop_all()
    support.clean()
  end)

  local function outcomes(limits)
    support.write(dir, "plan.lua", (PLAN:gsub("LIMITS", limits)))
    local line = ("%s worker --script plan.lua --executors 1 --default-timeout-s 0.2 --backend redis --queue-config %s")
      :format(support.quote(support.program), config)
    local worker = servers.start(dir, line, dir .. "/worker.log")
    local got = support.run(dir, "plan.lua", "--quiet --backend redis --queue-config " .. config)
    servers.stop(worker)
    assert.is_truthy(got.report, got.err)
    return got.report.outcomes.candidate
  end

  it("holds where the plan sets no limit", function()
    assert.are.equal(2, outcomes("").timeout)
  end)

  it("gives way to the plan's own", function()
    assert.are.equal(2, outcomes("limits = { case_timeout_ms = 20000 },").pass)
  end)
end)
