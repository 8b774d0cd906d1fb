-- `mguard doctor` against brokers that are set up wrongly on purpose.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

describe("mguard doctor", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(function()
    servers.stop_all()
    support.clean()
  end)

  local function findings(arguments)
    local got = support.mguard(dir, "doctor --json " .. arguments)
    local report = core.json_decode(got.out)
    assert.truthy(report, got.out .. got.err)
    assert.equal(got.code, report.exit_code)
    local by_check = {}
    for _, f in ipairs(report.checks) do by_check[f.check] = f end
    return by_check, got.code
  end

  it("looks at the machine and a plan", function()
    local found, code = findings(support.root .. "/examples/top_k/plan.lua")
    assert.equal(0, code)
    for _, check in ipairs { "machine", "open files", "shared memory", "executor", "fingerprint" } do
      assert.equal("ok", found[check].level, check)
    end
    assert.is_nil(found.heartbeats) -- nobody else to hear from
  end)

  it("names a script that cannot serve, with file and line", function()
    support.write(dir, "raises.lua", 'local mg = require "mguard"\nerror("not yet")\n')
    local found, code = findings "raises.lua"
    assert.equal(2, code)
    assert.equal("fail", found.script.level)
    assert.truthy(found.script.text:find("raises.lua:2: not yet", 1, true), found.script.text)
    support.write(dir, "plan.lua", [[
local mg = require "mguard"
return mg.plan { checks = mg.checks { generate = function(g) return g:int(1, 9) end, setup = function() error "no database" end },
  candidate = function(x) return x end, cases = 10 }]])
    found, code = findings "plan.lua"
    assert.equal(2, code)
    assert.truthy(found.executor.text:find("no database", 1, true), found.executor.text)
  end)

  it("names a configuration that is wrong", function()
    local found, code = findings [[--backend redis --queue-config '{"backend":"redis","lease_seconds":-1}']]
    assert.equal(2, code)
    assert.truthy(found.configuration.text:find("lease_seconds", 1, true), found.configuration.text)
  end)

  describe("of Redis", function()
    local redis, queue
    setup(function()
      redis = servers.redis(dir)
      queue = "--backend redis --queue-config " .. servers.queue(redis)
    end)

    it("warns of what is open, volatile and alone", function()
      local found, code = findings(queue)
      assert.equal(1, code)
      for _, check in ipairs { "encryption", "authentication", "persistence", "memory", "replicas" } do
        assert.equal("warn", found[check].level, check)
        assert.is_string(found[check].mend, check)
      end
      for _, check in ipairs { "reachable", "clock", "eviction", "depth", "round trip" } do assert.equal("ok", found[check].level, check) end
      assert.equal("0", redis.cli "DBSIZE") -- it left nothing
    end)

    it("fails where the server may delete tasks", function()
      redis.cli "CONFIG SET maxmemory 100mb"
      redis.cli "CONFIG SET maxmemory-policy allkeys-lru"
      local found, code = findings(queue)
      assert.equal(2, code)
      assert.equal("fail", found.eviction.level)
      assert.truthy(found.eviction.mend:find("noeviction", 1, true))
      assert.equal("ok", found.memory.level)
      redis.cli "CONFIG SET maxmemory-policy noeviction"
    end)

    it("has what mends it: done, the lines are ok", function()
      redis.cli "CONFIG SET appendonly yes"
      servers.wait("the first append-only file", function() -- until it is written the server will not stop either
        local info = redis.cli "INFO persistence"
        return info:find("aof_rewrite_in_progress:0", 1, true) and info:find("aof_rewrite_scheduled:0", 1, true)
      end)
      redis.cli "CONFIG SET requirepass secret"
      local found = findings([[--backend redis --queue-config '{"backend":"redis","connection":{"host":"127.0.0.1","password":"secret","port":]]
        .. redis.port .. "}}'")
      assert.equal("ok", found.persistence.level)
      assert.equal("ok", found.authentication.level)
      assert.equal("ok", found.eviction.level)
    end)

    it("says that the password is wrong", function()
      local found, code = findings([[--backend redis --queue-config '{"backend":"redis","connection":{"host":"127.0.0.1","password":"guess","port":]]
        .. redis.port .. "}}'")
      assert.equal(2, code)
      assert.equal("fail", found.reachable.level)
      assert.truthy(found.reachable.text:find("password", 1, true), found.reachable.text)
      assert.is_nil(found.reachable.text:find("guess", 1, true))
    end)
  end)

  it("reads as text for people", function()
    local got = support.mguard(dir,
      [[doctor --backend redis --timeout 1 --queue-config '{"backend":"redis","connection":{"host":"127.0.0.1","port":1}}']])
    assert.equal(2, got.code)
    assert.matches("\nfail  reachable       cannot reach redis at 127%.0%.0%.1:1: connection refused", got.out)
  end)
end)
