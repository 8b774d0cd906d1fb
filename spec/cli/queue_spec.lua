-- `mguard queue`: drain, export, translate (dlq_spec and status_spec have depth and purge).
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

describe("mguard queue", function()
  local dir, redis, queue
  setup(function()
    dir = support.folder()
    redis = servers.redis(dir)
    queue = servers.queue(redis)
  end)
  teardown(function()
    servers.stop_all()
    support.clean()
  end)

  it("waits until nothing is left", function()
    support.write(dir, "plan.lua", [[
local mg = require "mguard"
return mg.plan { checks = mg.checks { generate = function(g) return g:int(1, 9) end }, candidate = function(x) return x end, cases = 100 }]])
    local run = servers.start(dir, support.quote(support.program) .. " run plan.lua --queue-config " .. queue, dir .. "/run.log")
    servers.wait("a task", function() return redis.cli "KEYS '*'":find("run", 1, true) end)
    local got = support.mguard(dir, "queue drain --wait 0.5 --backend redis --queue-config " .. queue)
    assert.equal(5, got.code)
    assert.matches("tasks are left after 0%.5 s", got.err)
    local drain = servers.start(dir, support.quote(support.program) .. " queue drain --backend redis --queue-config " .. queue, dir .. "/drain.log")
    local worker = servers.start(dir, support.quote(support.program) .. " worker --script plan.lua --queue-config " .. queue, dir .. "/worker.log")
    servers.wait("the end of the drain", function() return not servers.alive(drain) end, 60)
    assert.matches("0 pending, 0 in flight\n$", support.read(dir .. "/drain.log.err"))
    servers.wait("the end of the run", function() return not servers.alive(run) end, 60)
    servers.stop(worker)
  end)

  it("writes a configuration for another broker to standard output, and the rest to standard error", function()
    local got = support.mguard(dir, "queue translate --to kafka --from " .. queue)
    assert.equal(0, got.code, got.err)
    assert.equal("kafka", core.json_decode(got.out).backend)
    assert.matches("fill in: bootstrap_servers\n$", got.err)
    assert.equal(4, support.mguard(dir, "queue translate --to pigeon --from " .. queue).code)
    assert.equal(4, support.mguard(dir, "queue translate --to sqs").code)
    assert.matches("unknown key", support.mguard(dir, [[queue translate --to sqs --from '{"backend":"redis","hots":1}']]).err)
  end)

  it("exports the configuration of a plan", function()
    support.write(dir, "queued.lua", [[
local mg = require "mguard"
return mg.plan { checks = mg.checks { generate = function(g) return g:int(1, 9) end }, candidate = function(x) return x end, cases = 1,
  queue = { backend = "redis", connection = { password = "${HOME}" } } }]])
    local got = support.mguard(dir, "queue export --plan queued.lua")
    assert.equal(0, got.code, got.err)
    assert.equal("${HOME}", core.json_decode(got.out).connection.password)
    assert.equal(4, support.mguard(dir, "queue export").code)
  end)
end)
