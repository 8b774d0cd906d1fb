-- mguard top: a real run's live page and a real broker, drawn in real terminals of tmux.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = support.long_plan("quotes", 100, 0.02)

describe("mguard top", function()
  local dir
  before_each(function()
    dir = support.folder()
    support.write(dir, "plan.lua", PLAN)
  end)
  after_each(function()
    support.shell(dir, "tmux -S tmux.sock kill-server")
    servers.stop_all()
    support.clean()
  end)

  local function start(arguments) return servers.live(dir, arguments) end

  -- `mguard top` in a terminal of its own of that size; what stands on it is read by screen().
  local function terminal(width, height, arguments)
    local got = support.shell(dir, ("tmux -S tmux.sock -f /dev/null new-session -d -x %d -y %d \"%s top %s; echo left \\$?; sleep 100\"")
      :format(width, height, support.program, arguments))
    assert.are.equal(0, got.code, got.err)
  end

  local function screen()
    local lines = {}
    for text in support.shell(dir, "tmux -S tmux.sock capture-pane -p").out:gmatch "([^\n]*)\n" do lines[#lines + 1] = text end
    return table.concat(lines, "\n"), lines
  end

  local function shows(pattern)
    local text
    local ok, got = pcall(servers.wait, pattern, function()
      text = screen()
      return text:match(pattern)
    end, 60)
    assert.is_true(ok, pattern .. " is not on\n" .. tostring(text))
    return got
  end

  local function keys(text) assert.are.equal(0, support.shell(dir, "tmux -S tmux.sock send-keys " .. text).code) end

  it("draws a run in 80 columns and in 200, follows it, and leaves the terminal as it was", function()
    local redis = servers.redis(dir)
    local queue = "--queue-config " .. servers.queue(redis, ',"heartbeat_timeout":3,"heartbeat_interval":0.3,"lease_seconds":10')
    local run, port = start(queue)
    local pids = {}
    for _, name in ipairs { "one", "two" } do
      pids[name] = servers.start(dir, ("%s worker --script plan.lua --executors 1 --name %s %s"):format(support.program, name, queue), name .. ".out")
    end
    terminal(80, 24, port .. " --interval 0.3")
    shows "one +live "
    shows "two +live "
    local before = tonumber((shows "([%d,]+) of 1,000,000 cases":gsub(",", "")))
    servers.wait("more cases", function()
      local now = screen():match "([%d,]+) of 1,000,000 cases"
      return now and tonumber((now:gsub(",", ""))) > before
    end)
    local text, lines = screen()
    assert.is_truthy(lines[1]:find("^mguard  quotes: running   run %d+%-%d+%-%x+, redis"), text)
    for _, pattern in ipairs { "cases/s  left %d", "workers 2  pending [%d,]+ tasks  requeued %d+  dead letters %d+",
      "\nbaseline  v1 +%d+%.%d%d %% %[",
      "\ncandidate v2 +%d+%.%d%d %% %[[^\n]+fail %d", "\ndifference +[%-%d.]+ %% %[", "[=%[<!0]%*[=%]>!0]", "\nWORKER +STATE",
      "\nLOG\n", "worker_joined", "\nq quits" } do
      shows(pattern) -- some come with the first failure only
    end
    assert.are.equal(24, #lines)
    for _, each in ipairs(lines) do assert.is_true(#each <= 80, each) end
    assert.are.equal("q quits", lines[24])

    assert.are.equal(0, support.shell(dir, "tmux -S tmux.sock resize-window -x 200 -y 50").code)
    shows "case %d+ %a+, task [%d.]+\n"
    servers.wait("50 lines", function()
      lines = select(2, screen())
      return #lines == 50 and lines[50] == "q quits"
    end)
    servers.signal(pids.two, "KILL")
    shows "two +lost"
    shows "worker_lost +worker two was lost"

    servers.stop(run, "INT")
    shows "^mguard  quotes: interrupted"
    shows "the run has ended; q quits"
    keys "q"
    shows "^left 0\n"
    servers.stop(pids.one)
  end)

  it("draws a queue: its runs and its workers", function()
    local redis = servers.redis(dir)
    local queue = "--queue-config " .. servers.queue(redis, ',"heartbeat_timeout":3,"heartbeat_interval":0.3,"lease_seconds":10')
    local run = start(queue)
    local worker = servers.start(dir, ("%s worker --script plan.lua --executors 1 --name solo %s"):format(support.program, queue), "solo.out")
    support.write(dir, "queue.json", ('{"backend":"redis","connection":{"host":"127.0.0.1","port":%s}}'):format(redis.port))
    terminal(80, 24, "--queue-config queue.json --interval 0.3")
    local name = shows "\n(%d+%-%d+%-%x+) +[%d,]+ +[%d,]+ +0 +%d+ +[%d.s -]+ open"
    shows "\nwhole queue +[%d,]+"
    shows "\nsolo +live +%d+%.%d s +1/1 +%d+ +[%d,]+"
    local _, lines = screen()
    for _, each in ipairs(lines) do assert.is_true(#each <= 80, each) end
    keys "q"
    shows "^left 0\n"
    local got = support.mguard(dir, "top --queue-config queue.json --json")
    local told = assert(core.json_decode(got.out), got.err)
    assert.are.same({ "redis", name, "solo" }, { told.backend, told.runs[1].run, told.workers[1].name })
    got = support.mguard(dir, "top --queue-config queue.json --once")
    assert.is_truthy(got.out:find("solo", 1, true) and got.out:find(name, 1, true), got.out)
    assert.is_nil(got.out:find("\27", 1, true))
    servers.stop(run, "INT")
    servers.stop(worker)
  end)

  it("says what is wrong in one line", function()
    local free = servers.port()
    for arguments, expected in pairs {
      ["--once " .. free] = { 5, "http://127.0.0.1:" .. free .. "/state.json: " },
      [free] = { 4, "this is no terminal: say --once" },
      ["--once --interval 0 1"] = { 4, "--interval must be a number" },
      ["--once"] = { 4, "memory backend" },
    } do
      local got = support.mguard(dir, "top " .. arguments)
      assert.are.equal(expected[1], got.code, arguments .. ": " .. got.err)
      assert.is_truthy(got.err:find(expected[2], 1, true), got.err)
      assert.are.equal(1, select(2, got.err:gsub("\n", "")), got.err)
    end
    local run, port = start()
    local got = support.mguard(dir, "top --once http://127.0.0.1:" .. port .. "/")
    assert.is_truthy(got.out:find("of 1,000,000 cases", 1, true), got.out .. got.err)
    assert.are.equal("quotes", core.json_decode(support.mguard(dir, "top --json " .. port).out).plan)
    servers.stop(run, "INT")
  end)
end)
