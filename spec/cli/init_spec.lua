-- `mguard init`: what it writes runs as it is, here and over a queue, and nothing of the user's is overwritten.
local scaffold = require "mguard.scaffold"
local servers = require "cli.servers"
local support = require "cli.support"

describe("mguard init", function()
  local dir
  before_each(function() dir = support.folder() end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  it("writes a task that runs as it is", function()
    local said = support.mguard(dir, "init task")
    assert.equal(0, said.code, said.err)
    for line in said.out:gmatch "\n  mguard ([^\n]+)" do
      local got = support.mguard(dir, line)
      assert.equal(0, got.code, line .. ": " .. got.err)
    end
    assert.truthy(said.out:find("mguard run task/plan.lua", 1, true), said.out)
  end)

  it("writes cases that show what is wrong", function()
    support.mguard(dir, "init task")
    support.write(dir, "task/candidate.lua", "return function(words) return words end\n")
    local got = support.mguard(dir, "run task/plan.lua --cases 300")
    assert.equal(1, got.code, got.out)
    for _, clause in ipairs { "in order", "permute", "a first word comes first" } do assert.truthy(got.out:find(clause, 1, true), clause) end
  end)

  it("overwrites nothing, and writes nothing half", function()
    assert.equal(0, support.shell(dir, "mkdir task && echo mine > task/plan.lua").code)
    local said = support.mguard(dir, "init task")
    assert.equal(4, said.code)
    assert.equal("mguard init: task: plan.lua exists there already; nothing was written\n", said.err)
    assert.equal("plan.lua\n", support.shell(dir, "ls task").out)
    assert.equal("mine\n", support.read(dir .. "/task/plan.lua"))
  end)

  it("names what is wrong", function()
    local said = support.mguard(dir, "init --backend carrier-pigeon task")
    assert.equal(4, said.code)
    assert.matches("^mguard init: %-%-backend must be memory, .* got carrier%-pigeon\n$", said.err)
    assert.equal(4, support.mguard(dir, "init no/such/place").code)
  end)

  it("writes a worker's command that serves the run", function()
    local said = support.mguard(dir, "init --backend redis task")
    assert.equal(0, said.code, said.err)
    local redis = servers.redis(dir)
    support.write(dir, "task/queue.json", (support.read(dir .. "/task/queue.json"):gsub('"port": 6379', '"port": ' .. redis.port)))
    local worker = servers.start(dir, support.quote(support.program) .. " " .. said.out:match "\n  mguard (worker [^\n]+)", dir .. "/worker.log")
    local got = support.mguard(dir, said.out:match "\n  mguard (run [^\n]+queue%.json)\n")
    assert.equal(0, got.code, got.err)
    assert.truthy(got.out:find("redis: ", 1, true), got.out)
    servers.stop(worker)
  end)

  it("configures every backend as the examples do", function()
    for backend, text in pairs(scaffold.queues) do
      assert.equal(support.read(("%s/examples/distributed/queue/%s.json"):format(support.root, backend)), text)
    end
  end)
end)
