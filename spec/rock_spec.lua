-- The rock that `luarocks make` builds from this checkout, used by a plain lua5.4 that sees nothing else of it.
local servers = require "cli.servers"
local support = require "support"

describe("the rock", function()
  local root, tree, environment, broker

  lazy_setup(function()
    root = support.folder()
    tree = root .. "/tree"
    local text, status = support.run(("HOME=%s luarocks --lua-version 5.4 --tree %s make rockspec/mguard-scm-1.rockspec 2>&1"):format(root, tree))
    assert(status == 0, text)
    environment = ("LUA_PATH='%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua' LUA_CPATH='%s/lib/lua/5.4/?.so' "):format(tree, tree, tree)
      .. "PATH=/usr/bin:/bin"
    support.write(root .. "/checks.lua", [[
local mg = require "mguard"
return mg.checks {
  name = "sum",
  generate = function(g) return g:list(g.int, -9, 9) end,
  relations = { mg.relation { "order does not matter", transform = function(g, list) return g:shuffle(list) end, expect = "equal" } },
  implementations = {
    v1 = function(list) local s = 0 for _, v in ipairs(list) do s = s + v end return s end,
    v2 = function(list) local s = 0 for i, v in ipairs(list) do s = s + (i == 8 and 0 or v) end return s end,
  },
}
]])
    broker = servers.redis(root)
  end)

  lazy_teardown(function()
    servers.stop_all()
    support.remove(root)
  end)

  local function script(text)
    support.write(root .. "/script.lua", text)
    return support.run(("cd %s && %s timeout 120 lua5.4 script.lua 2>&1"):format(root, environment))
  end

  it("has every Lua module, the C module and the program", function()
    local here = support.run("cd lua && find . -name '*.lua' | LC_ALL=C sort")
    assert.equal(here, (support.run(("cd %s/share/lua/5.4 && find . -name '*.lua' | LC_ALL=C sort"):format(tree))))
    local text, status = support.run(tree .. "/bin/mguard --version")
    assert.equal(0, status, text)
    assert.equal(0, select(2, support.run(("test -x %s/lib/lua/5.4/mguard/core.so"):format(tree))))
  end)

  it("runs a plan from a plain script and gives its report", function()
    local text, status = script [[
local mg = require "mguard"
local options = { baseline = "v1", candidate = "v2", cases = 300, seed = 7 }
local report = assert(mg.run("checks.lua", options))
local again = assert(mg.run("checks.lua", options))
print(report.verdict, report.exit_code, report.cases, report.outcome_digest == again.outcome_digest)
print(mg.report.text(report):match "^(%u+)")
print(mg.stats.wilson { passes = report.outcomes.baseline.pass, n = 300 }.low > 0.9)
print(mg.json.encode { 1, 2.5, mg.json.null })
print(select(2, mg.run("none.lua")))
print(select(2, pcall(function() mg.run(dofile "checks.lua") end)))
]]
    assert.equal(0, status, text)
    local wanted = { "reject\t1\t300\ttrue", "REJECT", "true", "[1,2.5,null]",
      "mguard run: cannot open the script none.lua: No such file or directory\t4" }
    assert.equal(table.concat(wanted, "\n"), (text:match "^(.*)\n[^\n]*\n$"))
    assert.matches("\nscript%.lua:10: mg%.run takes the file of a plan or of checks, got [^\n]*\n$", text)
  end)

  it("runs a plan over a queue, and looks at it", function()
    local text, status = script(([[
local mg = require "mguard"
local config = { backend = "redis", connection = { host = "127.0.0.1", port = %s }, queue_name = "rock" }
local q <close> = assert(mg.queue.open(config))
assert(q:publish("mine", { { task = "t1", body = "one" }, { task = "t2", body = "two" } }))
local got = assert(q:fetch { max = 2, wait_s = 20 })
print(q.backend, #got, got[1].task, got[1].body, q:depth("mine").in_flight)
assert(got[1]:ack())
assert(got[2]:dead_letter "unwanted")
print(q:dead_letters("mine")[1].reason, q:depth("mine").in_flight)
config.queue_name, config.spawn_local_workers = "runs", 1
print(assert(mg.run("checks.lua", { baseline = "v1", candidate = "v1", cases = 1000, queue_config = config })).verdict)
]]):format(broker.port))
    assert.equal(0, status, text)
    assert.equal("redis\t2\tt1\tone\t2\nunwanted\t0\nadopt\n", text)
  end)
end)
