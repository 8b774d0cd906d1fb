-- --live-port: the page of real runs in a real browser, with and without scripts, and the state it is drawn from.
local core = require "mguard.core"
local servers = require "cli.servers"
local support = require "cli.support"

local PLAN <const> = support.long_plan("<script>alert(1)</script> & co", 9, 0.2)

describe("the live page", function()
  local dir
  before_each(function()
    dir = support.folder()
    support.write(dir, "plan.lua", PLAN)
  end)
  after_each(function()
    servers.stop_all()
    support.clean()
  end)

  local function start(arguments, before)
    local pid, port = servers.live(dir, arguments, before)
    return { pid = pid, url = "http://127.0.0.1:" .. port .. "/" }
  end

  local function get(run, path, more)
    local line = "curl -s -m 10 -D head.txt -o body.txt -w '%%{http_code}' %s %s"
    local got = support.shell(dir, line:format(more or "", support.quote(run.url .. path)))
    return tonumber(got.out), support.read(dir .. "/body.txt"), support.read(dir .. "/head.txt")
  end

  local function state(run)
    local status, body = get(run, "state.json")
    assert.are.equal(200, status)
    return assert(core.json_decode(body))
  end

  it("has its numbers without scripts, changes them in place with, and shows how the run ended", function()
    local run = start(nil, "env MGUARD_LIVE_TOKEN=sesame ")
    local browser = "python3 %s/tests/observe/live_browser.py %s?token=sesame %s/profile shot.png"
    servers.start(dir, browser:format(support.root, run.url, dir), "seen.json")
    local function errors() return support.read(dir .. "/seen.json.err") end
    servers.wait("the browser, which has seen the numbers change", function()
      assert.is_nil(errors():find("Traceback", 1, true), errors())
      return errors():find("watching", 1, true)
    end, 90)
    servers.signal(run.pid, "INT")
    local seen = servers.wait("the browser's end", function()
      assert.is_nil(errors():find("Traceback", 1, true), errors())
      return core.json_decode(support.read(dir .. "/seen.json"))
    end, 90)
    assert.are.same({}, seen.plain.faults)
    assert.is_true(seen.plain.later > seen.plain.first and seen.plain.loads >= 2)
    assert.is_true(seen.scripted.later > seen.scripted.first)
    assert.are.same({ 0, 1000000, 1, true }, { seen.scripted.loads, seen.scripted.planned, seen.scripted.workers, seen.scripted.fits })
    assert.is_truthy(seen.scripted.interval:find "^%-%d+%.%d%d %% to %-%d+%.%d%d %%$", seen.scripted.interval)
    assert.is_truthy(seen.scripted.title:find("&lt;script&gt;alert(1)&lt;/script&gt; &amp; co: running", 1, true), seen.scripted.title)
    assert.are.same({ "interrupted", {} }, { seen["end"].state, seen["end"].faults })
    assert.is_true(seen["end"].counted >= seen.scripted.later)
    assert.are.equal("\x89PNG", support.read(dir .. "/shot.png"):sub(1, 4))
  end)

  it("tells of workers, of one that vanished, and of the interval as it narrows", function()
    local redis = servers.redis(dir)
    local queue = "--queue-config " .. servers.queue(redis, ',"heartbeat_timeout":2,"heartbeat_interval":0.3,"lease_seconds":10')
    local run = start(queue)
    local pids = {}
    for _, name in ipairs { "one", "two" } do
      pids[name] = servers.start(dir, ("%s worker --script plan.lua --executors 1 --name %s %s"):format(support.program, name, queue), name .. ".out")
    end
    local function worker(s, name)
      for _, w in ipairs(s.workers or {}) do
        if w.name == name then return w end
      end
    end
    local s = servers.wait("two workers at their tasks", function()
      local now = state(run)
      local one, two = worker(now, "one"), worker(now, "two")
      local both = one and two and one.task ~= core.null and two.task ~= core.null
      return both and one.cases_done > 0 and two.cases_done > 0 and #now.history > 3 and now
    end, 40)
    assert.are.same({ "running", "redis", 1000000, 2, true, "tango" }, { s.state, s.backend, s.planned, s.active_workers, s.connected, s.method })
    assert.are.equal(1000000, s.counted + s.inflight_cases + s.backlog_cases)
    assert.are.equal("live", worker(s, "one").state)
    assert.are.equal(1, worker(s, "one").executors)
    assert.is_true(worker(s, "one").last_beat_seconds >= 0 and worker(s, "one").held_tasks >= 1)
    for _, role in ipairs(s.roles) do
      local sum = 0
      for _, n in pairs(role.outcomes) do sum = sum + n end
      assert.are.equal(s.counted, sum)
      assert.is_true(role.rate.low <= role.rate.estimate and role.rate.estimate <= role.rate.high)
    end
    assert.is_true(s.estimate.low < s.estimate.estimate and s.estimate.estimate < s.estimate.high)
    local first, last = s.history[1], s.history[#s.history]
    assert.is_true(last[1] > first[1] and last[4] - last[3] < first[4] - first[3])
    assert.are.equal("same", s.clauses[2].name)
    assert.is_true(s.clauses[2].candidate_only > 0)

    servers.signal(pids.two, "KILL")
    s = servers.wait("the loss of a worker", function()
      local now = state(run)
      return worker(now, "two").state == "lost" and now
    end)
    assert.are.equal(core.null, worker(s, "two").task)
    local events = {}
    for _, line in ipairs(s.log) do events[line.event] = line end
    assert.are.equal("warn", events.worker_lost.level)
    assert.is_truthy(events.worker_lost.text:find("two", 1, true))
    assert.is_truthy(events.worker_joined and events.run_eval_start)
    servers.stop(run.pid, "INT") -- before the broker: neither has to wait for it
    servers.stop(pids.one)
  end)

  it("wants a token where others than this machine can ask, or the environment says one", function()
    local run = start "--live-host 0.0.0.0"
    local link = servers.wait("its link", function() return support.read(dir .. "/run.out.err"):match "live: (http://[^\n]+)\n" end)
    local token = link:match "^http://0%.0%.0%.0:%d+/%?token=(%x+)$"
    assert.are.equal(32, #(token or ""), link)
    assert.is_nil(support.read(dir .. "/run.log"):find(token, 1, true))
    for _, path in ipairs { "", "state.json", "?token=", "?token=" .. token:sub(1, 31), "?token=" .. token .. "0", "?w=" .. token } do
      local status, body = get(run, path)
      assert.are.equal(401, status, path)
      assert.is_nil(body:find("quotes", 1, true))
    end
    assert.are.equal(401, (get(run, "state.json", "-H 'Authorization: Bearer x'")))
    assert.are.equal(200, (get(run, "healthz")))
    assert.are.equal(200, (get(run, "?token=" .. token)))
    assert.are.equal(200, (get(run, "state.json?w=1&token=" .. token)))
    assert.are.equal(200, (get(run, "state.json", "-H 'Authorization: Bearer " .. token .. "'")))

    local got = support.mguard(dir, "top --once " .. run.url)
    assert.are.equal(4, got.code, got.out .. got.err)
    assert.is_truthy(got.err:find("wants a token", 1, true), got.err)
    got = support.mguard(dir, "top --once " .. support.quote(run.url .. "?token=" .. token))
    assert.are.equal(0, got.code, got.err)
    local named = ("MGUARD_LIVE_TOKEN=%s %s top --json %s"):format(token, support.quote(support.program), run.url)
    assert.are.equal(1000000, core.json_decode(support.shell(dir, named).out).planned)
    servers.stop(run.pid, "INT")

    run = start("--no-journal", "env MGUARD_LIVE_TOKEN=our-own_1.~ ")
    assert.are.equal(401, (get(run, "")))
    assert.are.equal(200, (get(run, "?token=our-own_1.~")))
    assert.are.equal(200, (get(run, "?token=our-own_1.~", "-H 'Host: proxy.example'")))
    assert.are.equal("", support.read(dir .. "/run.out.err"))
    servers.stop(run.pid, "INT")
    got = support.shell(dir, ("MGUARD_LIVE_TOKEN='a b' %s run plan.lua --live-port 0"):format(support.quote(support.program)))
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("MGUARD_LIVE_TOKEN must be", 1, true), got.err)
  end)

  it("answers nothing else, and lets nothing from elsewhere in", function()
    local run = start()
    local status, body, head = get(run, "")
    assert.are.equal(200, status)
    assert.is_truthy(head:find("Content-Security-Policy: default-src 'none'", 1, true), head)
    assert.is_truthy(body:find("&lt;script&gt;alert(1)&lt;/script&gt;", 1, true))
    assert.is_nil(body:find("<script>alert", 1, true))
    assert.is_nil(body:find "https?://")
    assert.are.equal(404, (get(run, "metrics")))
    assert.are.equal(404, (get(run, "state.json/../x")))
    assert.are.equal(405, (get(run, "", "-X POST -d x=1")))
    assert.are.equal(200, (get(run, "healthz")))
    local port = run.url:match ":(%d+)/"
    for _, name in ipairs { "localhost", "LOCALHOST:" .. port, "127.0.0.1", "[::1]:" .. port, "192.0.2.7:80" } do
      assert.are.equal(200, (get(run, "state.json", "-H 'Host: " .. name .. "'")), name)
    end
    for _, name in ipairs { "rebound.example:" .. port, "localhost.example", "127.0.0.1.example", "[localhost]", ":" .. port } do
      local code, text = get(run, "state.json", "-H 'Host: " .. name .. "'")
      assert.are.equal(421, code, name)
      assert.is_nil(text:find("planned", 1, true))
    end
    for arguments, part in pairs {
      ["--live-port " .. port] = "live page: cannot listen on 127.0.0.1",
      ["--live-port lots"] = "--live-port must be a whole number from 0 to 65535, got lots",
      ["--live-host 127.0.0.1"] = "give --live-port too",
    } do
      local got = support.mguard(dir, "run plan.lua " .. arguments)
      assert.are.equal(4, got.code, got.err)
      assert.is_truthy(got.err:find(part, 1, true), got.err)
    end
  end)
end)
