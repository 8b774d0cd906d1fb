-- `mguard worker`: limits of its own for plans that set none.
local core = require "mguard.core"
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

describe("mguard with a broker that takes back what is held too long", function()
  local RABBITMQ <const>, SQS <const> = [["rabbitmq","connection":{"port":1}]],
    [["sqs","queue_url":"http://127.0.0.1:1/1/q","endpoint_url":"http://127.0.0.1:1","region":"us-east-1",]]
      .. [["aws_access_key_id":"a","aws_secret_access_key":"b"]]
  local dir
  setup(function()
    dir = support.folder()
    support.write(dir, "plan.lua", (PLAN:gsub("LIMITS", "limits = { case_timeout_ms = 200000 }")))
  end)
  teardown(support.clean)
  -- Said before any broker is asked.
  local function says(command, queue, more, ...)
    local got = support.mguard(dir, ([[%s --queue-config '{"backend":%s%s}']]):format(command, queue, more))
    if got.err:find("does not have it", 1, true) or got.err:find("built without", 1, true) then pending(got.err) end
    assert.are.equal(4, got.code, got.err)
    for _, text in ipairs { ... } do assert.is_truthy(got.err:find(text, 1, true), got.err) end
  end

  it("refuses a worker whose last task would wait too long", function()
    says("worker --script plan.lua --executors 2", RABBITMQ, "", "may be held for 2005 s", "set prefetch_count to 2")
    says("worker --script plan.lua --executors 2", SQS, [[,"max_hold_seconds":90]], "may be held for 400 s", "larger max_hold_seconds")
  end)
  it("refuses a run whose cases may take longer than that", function()
    says("run plan.lua", RABBITMQ, [[,"consumer_timeout_seconds":60]], "raise consumer_timeout on the broker")
    says("run plan.lua", SQS, [[,"max_hold_seconds":90]], "may be held for 200 s", "a smaller limits.case_timeout_ms")
  end)
  it("is told so by the doctor", function()
    for queue, key in pairs { [RABBITMQ] = "consumer_timeout_seconds", [SQS] = "max_hold_seconds" } do
      local got = support.mguard(dir, ([[doctor plan.lua --json --queue-config '{"backend":%s,"%s":90}']]):format(queue, key))
      local said
      for _, finding in ipairs(core.json_decode(got.out).checks) do said = finding.check == "case time" and finding or said end
      assert.are.equal("fail", said and said.level, got.out)
      assert.is_truthy(said.text:find(key, 1, true), said.text)
    end
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
