local mg = require "mguard"
local said = require("spec.support").message

describe("mg.queue", function()
  local q
  before_each(function() q = assert(mg.queue.open { backend = "memory" }) end)
  after_each(function() q:close() end)

  local function fetched(options)
    return assert(q:fetch(options or { wait_s = 0 }))
  end

  it("publishes tasks and hands them out under a lease", function()
    assert.is_true(q:publish("nightly", { { task = "a", body = "x\0y" }, { task = "b", body = "" } }))
    assert.equal(2, q:depth().pending)
    local got = fetched { max = 5, wait_s = 0 }
    assert.equal(2, #got)
    assert.same({ "nightly", "a", "x\0y", 1 }, { got[1].run, got[1].task, got[1].body, got[1].attempt })
    assert.equal("", got[2].body)
    assert.same({ 0, 2 }, { q:depth("nightly").pending, q:depth("nightly").in_flight })
    assert.equal(0, #fetched())
    assert.is_true(got[1]:ack())
    assert.equal(1, q:depth().in_flight)
    assert.is_true(got[2]:extend(30))
    assert.is_true(got[2]:nack())
    assert.equal("b", fetched()[1].task)
  end)

  it("gives up a task with its reason", function()
    assert.is_true(q:publish("nightly", { { task = "a", body = "1" } }))
    assert.is_true(fetched()[1]:dead_letter "cannot be read")
    local letters = assert(q:dead_letters "nightly")
    assert.same({ "a", "cannot be read", "1" }, { letters[1].task, letters[1].reason, letters[1].body })
    assert.equal(0, #q:dead_letters "other")
    assert.matches("queue_spec%.lua:%d+: a dead letter has no lease", said(function() letters[1]:ack() end))
  end)

  it("settles a message once, and keeps it where the queue is closed", function()
    assert.is_true(q:publish("nightly", { { task = "a", body = "1" }, { task = "b", body = "2" } }))
    local got = fetched { max = 2 }
    assert.is_true(got[1]:ack())
    assert.matches("queue_spec%.lua:%d+: the message is settled already$", said(function() got[1]:ack() end))
    q:close()
    assert.matches("queue_spec%.lua:%d+: the queue is closed$", said(function() got[2]:ack() end))
    assert.matches("queue_spec%.lua:%d+: the queue is closed$", said(function() return q:depth().pending end))
    q:close()
  end)

  it("frees what a script forgot", function()
    do
      local other = assert(mg.queue.open { backend = "memory" })
      assert(other:publish("nightly", { { task = "a", body = "1" } }))
      assert.equal(1, #other:fetch { wait_s = 0 })
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(q:wait(0.01))
  end)

  it("names what is wrong with an argument", function()
    assert.matches('^spec/mguard/queue_spec%.lua:%d+: unknown key "maxx" in fetch; did you mean "max"%?$', said(function() q:fetch { maxx = 2 } end))
    assert.matches("tasks%[1%]", said(function() q:publish("r", { { body = "x" } }) end))
    assert.matches("run must be a name of 1 to 64 letters, digits, _ and %-, got nothing", said(function() q:publish(nil, {}) end))
    for _, name in ipairs { "", "a:b", "a b", "a/b", "a.b", "a\0", "é", ("x"):rep(65) } do
      assert.matches("run must be a name", said(function() q:publish(name, { { task = "a", body = "" } }) end))
      assert.matches("run must be a name", said(function() q:depth(name) end))
    end
    for _, name in ipairs { "", "a:b", "a\nb", ("x"):rep(49) } do
      assert.matches("task", said(function() q:publish("r", { { task = name, body = "" } }) end))
    end
    assert.is_true(q:publish(("x"):rep(64), { { task = "a.b-c_" .. ("x"):rep(42), body = "" } }))
    assert.matches("takes a queue configuration", said(mg.queue.open))
    local none, message, code = mg.queue.open { backend = "rediss" }
    assert.is_nil(none)
    assert.matches('^mg%.queue%.open: backend must be one of .* did you mean "redis"%?$', message)
    assert.equal("argument", code)
  end)

  it("says that nobody answers", function()
    local none, message, code = mg.queue.open({ backend = "redis", connection = { host = "127.0.0.1", port = 1 } }, { timeout_s = 5 })
    assert.is_nil(none)
    assert.matches("127%.0%.0%.1:1", message)
    assert.equal("connection", code)
  end)
end)
