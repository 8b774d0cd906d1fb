--- servers.lua - programs that run beside a spec: started in the background, waited for by condition, stopped by process id.
local support = require "cli.support"

local servers = {}
local running, order = {}, {} -- process ids of what still has to be stopped; all that were started

local function sh(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("%s+$", ""))
end

--- Calls test until it gives something true, which is returned; an error after limit_s.
function servers.wait(what, test, limit_s)
  for _ = 1, (limit_s or 60) * 20 do
    local got = test()
    if got then return got end
    os.execute("sleep 0.05")
  end
  error("waited in vain for " .. what, 2)
end

--- Waits until the file has something that matches, and gives it.
function servers.wait_in(what, path, pattern)
  return servers.wait(what, function()
    local file = io.open(path)
    if not file then return nil end
    local text <close> = file
    return text:read("a"):match(pattern)
  end)
end

--- Starts a command line; gives the process id of `timeout`, which passes on TERM and INT and kills it after five minutes. Output goes to `log`,
--- standard error to `log`.err; both are there at once.
function servers.start(dir, line, log)
  local out = support.quote(log)
  local command = "cd %s && : >%s && : >%s.err && { timeout -s KILL 300 %s >%s 2>%s.err </dev/null & echo $!; }"
  local pid = sh(command:format(support.quote(dir), out, out, line, out, out))
  assert(pid:match("^%d+$"), pid)
  running[pid] = true
  order[#order + 1] = pid
  return pid
end

function servers.alive(pid)
  return os.execute("kill -0 " .. pid .. " 2>/dev/null") == true and not sh("ps -o stat= -p " .. pid):find("^Z")
end

--- Sends a signal to the program itself: KILL and STOP would reach `timeout` alone.
function servers.signal(pid, signal)
  local child = sh("pgrep -P " .. pid):match("%d+")
  os.execute(("kill -%s %s 2>/dev/null"):format(signal, child or pid)) -- it may not have been started yet
end

--- Sends TERM (or the signal), and waits until it has gone.
function servers.stop(pid, signal)
  if not running[pid] then return end
  running[pid] = nil
  servers.signal(pid, signal or "TERM")
  servers.wait("the end of process " .. pid, function() return not servers.alive(pid) end, 30)
end

--- The last first: who talks to a broker has gone before it does, and waits for nothing.
function servers.stop_all()
  while #order > 0 do servers.stop(table.remove(order), "TERM") end
end

function servers.port()
  return sh("python3 tests/brokers/ports.py")
end

--- `mguard run plan.lua` with a live page; gives its process id and the page's port. before: what stands before the program in the line.
function servers.live(dir, arguments, before)
  os.remove(dir .. "/run.log")
  local line = "%s%s run plan.lua --quiet --live-port 0 --drain-timeout 1 --log-file run.log %s"
  line = line:format(before or "", support.program, arguments or "")
  return servers.start(dir, line, "run.out"), servers.wait_in("its port", dir .. "/run.log", '"event":"live_listening".-"port":(%d+)')
end

--- tests/collector in that mode; gives its URL and the folder, below dir, of what it keeps.
function servers.collector(dir, mode)
  local name = "kept-" .. mode:gsub("%W", "-")
  assert(support.shell(dir, "mkdir " .. name).code == 0, name)
  local arguments = mode:gsub("^(%S+)", "%1 " .. name)
  servers.start(dir, ("python3 %s/tests/collector/collector.py %s"):format(support.quote(support.root), arguments), name .. ".out")
  return { url = "http://127.0.0.1:" .. servers.wait_in("the collector's port", dir .. "/" .. name .. ".out", "^(%d+)\n"), folder = name }
end

--- A redis-server in a folder of its own (port: one it had before); gives its process id, its port, and what asks it.
function servers.redis(dir, port)
  port = port or servers.port()
  local pid = servers.start(dir, ("redis-server --bind 127.0.0.1 --port %s --save '' --appendonly no"):format(port), dir .. "/redis.log")
  local function cli(arguments) return sh(("timeout 10 redis-cli -p %s %s 2>&1"):format(port, arguments)) end
  servers.wait("redis-server", function() return cli "PING" == "PONG" end)
  return { pid = pid, port = port, cli = cli }
end

--- The queue configuration that reaches it, quoted for a shell.
function servers.queue(redis, more)
  return support.quote(('{"backend":"redis","connection":{"host":"127.0.0.1","port":%s}%s}'):format(redis.port, more or ""))
end

return servers
