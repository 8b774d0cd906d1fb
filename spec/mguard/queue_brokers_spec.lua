-- mg.queue on the brokers themselves; on RabbitMQ and Kafka with MGUARD_CHECK=full, since those take long to start.
local mg = require "mguard"
local servers = require "cli.servers"
local support = require "cli.support"

local FULL <const> = os.getenv "MGUARD_CHECK" == "full"

describe("mg.queue on a broker", function()
  local dir
  before_each(function() dir = support.folder() end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  for name, short in pairs { redis = true, sqs = true, rabbitmq = false, kafka = false } do
    it("publishes, hands out, settles and buries: " .. name, function()
      if not short and not FULL then
        pending "MGUARD_CHECK=full runs it"
        return
      end
      local config = dir .. "/queue.json"
      local pid = servers.start(dir, ("%s/scripts/try-broker %s %s"):format(support.root, name, config), dir .. "/broker.log")
      servers.wait("the broker", function()
        assert(servers.alive(pid), support.read(dir .. "/broker.log.err"))
        return select(2, support.read(dir .. "/broker.log"):gsub("^ready", "")) > 0
      end, 200)
      local q <close> = assert(mg.queue.open(config, { timeout_s = 60 }))
      assert.equal(name, q.backend)

      -- what comes until all of these are there; a broker may take its time, and may bring something twice
      local function fetched(n)
        local got, count = {}, 0
        for _ = 1, 60 do
          for _, m in ipairs(assert(q:fetch { max = 10, wait_s = 1, lease_s = 300 })) do
            if got[m.task] then assert(m:ack()) else count = count + 1 end
            got[m.task] = got[m.task] or m
          end
          if count >= n then return got end
        end
        error(("only %d of %d tasks came"):format(count, n))
      end

      assert.is_true(q:publish("nightly", { { task = "a", body = "x\0y" }, { task = "b", body = "" }, { task = "c", body = ("z"):rep(100000) } }))
      local got = fetched(3)
      assert.same({ "nightly", "x\0y", "", 100000 }, { got.a.run, got.a.body, got.b.body, #got.c.body })
      local depth = assert(q:depth())
      for key, value in pairs(depth) do assert.is_true(type(value) == "number" and value >= 0, key) end
      assert.is_true(got.a:ack())
      assert.matches("settled already", select(2, pcall(function() got.a:ack() end)))
      local ok, message, code = got.b:extend(300)
      assert.is_true(ok or code == "unsupported", message)
      assert.is_true(got.b:nack())
      assert.is_true(got.c:dead_letter "cannot be read")
      got = fetched(1)
      assert.is_truthy(got.b)
      assert.is_true(got.b:ack())

      local letters = servers.wait("the dead letter", function()
        local list = assert(q:dead_letters "nightly")
        return #list > 0 and list
      end)
      assert.same({ 1, "c", "cannot be read", 100000 }, { #letters, letters[1].task, letters[1].reason, #letters[1].body })
      assert.same({}, assert(q:fetch { max = 10, wait_s = 0 }))
      q:close()

      local again <close> = assert(mg.queue.open(config, { timeout_s = 60 }))
      assert.equal(1, #servers.wait("the letter, by another connection", function()
        local list = assert(again:dead_letters "nightly")
        return #list > 0 and list
      end))
    end)
  end
end)
