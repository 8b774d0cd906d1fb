-- `mguard run --mirror`: the same run over two queues at the same time.
local servers = require "cli.servers"
local support = require "cli.support"

describe("mguard run --mirror", function()
  local dir
  before_each(function()
    dir = support.folder()
    support.shell(dir, "cp -r " .. support.quote(support.root .. "/examples/top_k") .. "/. .")
  end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  it("compares the outcomes of a broker with those here", function()
    local redis = servers.redis(dir)
    local queue = servers.queue(redis, ',"spawn_local_workers":1')
    local got = support.mguard(dir, "run plan.lua --cases 2000 --seed=-5 --mirror " .. queue)
    assert.equal(0, got.code, got.out .. got.err)
    assert.matches("mirror on redis: the same outcomes, adopt, %d+%.%d s\n", got.err)
    got = support.mguard(dir, "evaluate --task checks.lua --baseline v1 --candidate v2 --n 500 --quiet --mirror " .. queue)
    assert.equal(0, got.code, got.err)
    assert.is_nil(got.err:find "mirror")
  end)

  it("ends with 3 where they differ", function()
    support.write(dir, "odd.lua", [[
local mg = require "mguard"
local function in_mirror() -- the executor's parent is the run, and the mirror writes its report into a folder of its own
  local status <close> = io.open "/proc/self/status"
  local line <close> = io.open(("/proc/%s/cmdline"):format(status:read("a"):match "PPid:%s*(%d+)"))
  return line:read("a"):find("mguard-mirror-", 1, true) ~= nil
end
return mg.plan { baseline = "v1", candidate = "v1", cases = 300, goal = mg.goal.noninferiority(0.9), checks = mg.checks {
  name = "odd", generate = function(g) return g:int(1, 9) end,
  properties = { mg.property { "small", hard = false, check = function(out) return out < 9 or not in_mirror() end } },
  implementations = { v1 = function(x) return x end } } }
]])
    local got = support.mguard(dir, "run odd.lua --mirror '{\"backend\":\"memory\"}'")
    assert.equal(3, got.code, got.err)
    assert.truthy(got.out:find("ADOPT", 1, true), got.out)
    assert.matches("mguard run: the mirror on memory has other outcomes %(adopt%): digest %x+, here %x+\n", got.err)
    got = support.mguard(dir, "run odd.lua --cases 1 --seed 3 --mirror '{\"backend\":\"memory\"}'")
    assert.equal(0, got.code, got.err)
  end)

  it("ends with 5 where the mirror comes to no end, and says why", function()
    local got = support.mguard(dir, "run plan.lua --cases 500 --mirror '{\"backend\":\"redis\",\"lease_seconds\":-1}'")
    assert.equal(5, got.code, got.err)
    assert.matches("lease_seconds must be", got.err)
    assert.matches("the mirror has no outcomes to compare: it exited with status 4\n", got.err)
  end)

  it("goes with a whole run alone", function()
    for _, other in ipairs { "--plan-power", "--resume latest" } do
      local got = support.mguard(dir, "run plan.lua --mirror '{}' " .. other)
      assert.equal(4, got.code, got.err)
    end
  end)
end)
