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

describe("mguard with RabbitMQ's consumer_timeout", function()
  local dir
  setup(function()
    dir = support.folder()
    support.write(dir, "plan.lua", (PLAN:gsub("LIMITS", "limits = { case_timeout_ms = 200000 }")))
  end)
  teardown(support.clean)
  -- Said before any broker is asked.
  local function told(command, more)
    local got = support.mguard(dir, ([[%s --backend rabbitmq --queue-config '{"backend":"rabbitmq","connection":{"port":1}%s}']])
      :format(command, more))
    if got.err:find("not have it", 1, true) or got.err:find("without librabbitmq", 1, true) then return nil end
    assert.are.equal(4, got.code, got.err)
    return got.err
  end

  it("refuses a worker whose last task would wait too long", function()
    local text = told("worker --script plan.lua --executors 2", "")
    if text then assert.is_truthy(text:find("may be held for 2005 s", 1, true) and text:find("set prefetch_count to 2", 1, true), text) end
  end)
  it("refuses a run whose cases may take longer than that", function()
    local text = told("run plan.lua", [[,"consumer_timeout_seconds":60]])
    if text then assert.is_truthy(text:find("raise consumer_timeout on the broker", 1, true), text) end
  end)
end)

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
