-- Implementations that are programs: what they must speak, what breaks costs one case, what JSON cannot carry is refused by name.
local support = require "cli.support"

-- A kept process in Python; case 7 runs HOSTILE instead of answering.
local SERVER <const> = [==[
import json, os, signal, sys, time
for line in sys.stdin:
    case, x = json.loads(line)
    if case == 7:
        HOSTILE
    print(json.dumps({"result": x}), flush=True)
]==]

local PLAN <const> = [==[
local mg = require "mguard"
return mg.plan {
  checks = mg.checks {
    name = "programs",
    generate = function(g) return g.case, g:int(1, 1000) end,
    properties = { mg.property { "same", check = function(out, _, x) return out == x end } },
  },
  baseline = function(_, x) return x end,
  candidate = mg.exec { "python3", "server.py" },
  cases = 30, seed = 3, goal = mg.goal.noninferiority(0.3), limits = { case_timeout_ms = 3000 },
}
]==]

local ROWS <const> = {
  ["answers garbage"] = { "print('certainly no JSON', flush=True); continue", "error", "no JSON" },
  ["answers with neither result nor error"] = { "print('{\"x\": 1}', flush=True); continue", "error", "neither" },
  ["answers twice"] = { "print('{\"result\": 1}\\n{\"result\": 2}', flush=True); continue", nil },
  ["says error"] = { "print(json.dumps({'error': 'out of stock'}), flush=True); continue", "error", "out of stock" },
  ["exits"] = { "sys.exit(3)", "crash", "exited with status 3" },
  ["raises"] = { "raise ValueError('bad day')", "crash", "ValueError: bad day" },
  ["kills itself"] = { "os.kill(os.getpid(), signal.SIGSEGV)", "crash", "SIGSEGV" },
  ["closes its pipe"] = { "os.close(1); time.sleep(60)", "crash", "closed" },
  ["hangs"] = { "time.sleep(60)", "timeout", "time limit" },
  ["writes half an answer and hangs"] = { "sys.stdout.write('{\"res'); sys.stdout.flush(); time.sleep(60)", "timeout", "time limit" },
  ["answers an integer beyond 64 bits"] = { "print('{\"result\": 99999999999999999999}', flush=True); continue", "error", "64 bits" },
  ["answers NaN"] = { "print('{\"result\": NaN}', flush=True); continue", "error", "no JSON" },
}

local function sorted(rows)
  local list = {}
  for name in pairs(rows) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function candidate_violation(report)
  for _, v in ipairs(report.violations) do
    if v.role == "candidate" and v.case == 7 then return v end
  end
end

describe("a kept program that", function()
  local dir
  setup(function()
    dir = support.folder()
    support.write(dir, "plan.lua", PLAN)
  end)
  teardown(support.clean)

  for _, name in ipairs(sorted(ROWS)) do
    local hostile, outcome, says = table.unpack(ROWS[name], 1, 3)
    it(name .. " costs its own case", function()
      support.write(dir, "server.py", (SERVER:gsub("HOSTILE", function() return hostile end)))
      local got = support.run(dir, "plan.lua", "--workers 1 --quiet")
      assert.is_truthy(got.report, got.err)
      local counts = got.report.outcomes.candidate
      if outcome then
        assert.are.equal(1, counts[outcome], got.err)
        assert.are.equal(29, counts.pass)
        local v = candidate_violation(got.report)
        assert.is_truthy(v and v.message:find(says, 1, true), v and v.message)
      else
        assert.is_true(counts.pass >= 28) -- the answer too many is found with this case or the next
        assert.are.equal(30, counts.pass + counts.error + counts.fail)
      end
    end)
  end
end)

describe("a program a call", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("gets text on stdin and gives text on stdout, any bytes", function()
    support.write(dir, "plan.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g:bytes(300) end,
          properties = { mg.property { "same", check = function(out, x) return out == x end } } },
        baseline = function(x) return x end, candidate = mg.exec { "cat", once = true, input = "text", output = "text" },
        cases = 60, seed = 1, goal = mg.goal.noninferiority(0.2),
      }]])
    local got = support.run(dir, "plan.lua", "--quiet")
    assert.are.equal(0, got.code, got.out .. got.err)
    assert.are.equal(60, got.report.outcomes.candidate.pass)
  end)

  it("that fails by its status is a crash that names it", function()
    support.write(dir, "false.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function() return "x" end },
        baseline = function(x) return x end, cases = 3,
        candidate = mg.exec { "sh", "-c", "echo no such thing >&2; exit 2", once = true, input = "text", output = "text" },
      }]])
    local got = support.run(dir, "false.lua", "--quiet")
    assert.are.equal(1, got.code, got.err)
    assert.are.equal(3, got.report.outcomes.candidate.crash)
    assert.is_truthy(got.report.violations[1].message:find("exited with status 2", 1, true))
    assert.is_truthy(got.report.violations[1].message:find("no such thing", 1, true))
  end)

  it("moves megabytes both ways", function()
    support.write(dir, "large.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return ("0123456789abcdef"):rep(200000) .. g.case end,
          properties = { mg.property { "same", check = function(out, x) return out == x end } } },
        baseline = function(x) return x end, candidate = mg.exec { "cat", once = true, input = "text", output = "text" },
        cases = 4, goal = mg.goal.noninferiority(0.9), limits = { case_timeout_ms = 20000 },
      }]])
    local got = support.run(dir, "large.lua", "--quiet")
    assert.are.equal(4, got.report.outcomes.candidate.pass, got.err)
  end)
end)

describe("values", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  -- Each value as Lua; whether JSON carries it, or what names the refusal.
  local VALUES <const> = {
    { "9007199254740993" }, { "math.maxinteger" }, { "math.mininteger" }, { "1" }, { "1.0" }, { "-0.0" }, { "0.1" }, { "1e300" }, { "5e-324" },
    { "{}" }, { "core.array{}" }, { "core.object{}" }, { "{ { }, core.array{} }" }, { "{ a = { b = core.array{} } }" }, { "'\\0\\1\\127'" },
    { "'\\u{e4}\\u{1f600}'" }, { "{ 1, 1.0, 'a', true, false }" }, { "0/0", "NaN" }, { "1/0", "Infinity" }, { "-1/0", "-Infinity" },
    { "'\\128\\255'", "UTF-8" }, { "{ [3] = 1, x = 2 }", "keys that are not text" },
  }

  local function plan(value, candidate)
    return ([[
      local mg = require "mguard"
      local core = require "mguard.core"
      return mg.plan {
        checks = mg.checks { generate = function() return %s end,
          properties = { mg.property { "same", check = function(out, x) return core.show(out) == core.show(x), core.show(out) end } } },
        baseline = function(x) return x end, candidate = %s, cases = 1,
      }]]):format(value, candidate)
  end

  for _, row in ipairs(VALUES) do
    it(row[1] .. " arrives unchanged" .. (row[2] and " in Lua, and JSON refuses it by name" or " in Lua and in Python"), function()
      support.write(dir, "echo.py", "def solve(x):\n    return x\n")
      support.write(dir, "echo.lua", "return function(x) return x end")
      support.write(dir, "lua.lua", plan(row[1], 'mg.lua "echo.lua"'))
      support.write(dir, "python.lua", plan(row[1], 'mg.python "echo.py"'))
      local got = support.run(dir, "lua.lua", "--quiet")
      assert.are.equal(1, got.report.outcomes.candidate.pass, got.err)
      got = support.run(dir, "python.lua", "--quiet")
      if row[2] then
        assert.are.equal(1, got.report.outcomes.candidate.error)
        local message = got.report.violations[1].message
        assert.is_truthy(message:find("JSON cannot carry", 1, true) and message:find(row[2], 1, true), message)
      else
        local v = got.report.violations[1]
        assert.are.equal(1, got.report.outcomes.candidate.pass, v and v.message)
      end
    end)
  end

  it("of every byte pass between Lua states unchanged", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = ("\\%d"):format(i) end
    support.write(dir, "bytes.lua", plan("'" .. table.concat(bytes) .. "'", "function(x) return x end"))
    assert.are.equal(1, support.run(dir, "bytes.lua", "--quiet").report.outcomes.candidate.pass)
  end)

  it("of a Python file that loads slowly are not charged with the loading", function()
    support.write(dir, "slow.py", "import time\ntime.sleep(2)\ndef solve(x):\n    return x\n")
    support.write(dir, "slow.lua", (plan("1", 'mg.python "slow.py"'):gsub("cases = 1", "cases = 3, limits = { case_timeout_ms = 1000 }")))
    local got = support.run(dir, "slow.lua", "--quiet --workers 1")
    assert.are.equal(3, got.report and got.report.outcomes.candidate.pass, got.err)
  end)

  it("of a Python file that does not load never come: it is named, exit 4", function()
    support.write(dir, "broken.py", "import no_such_module\n")
    support.write(dir, "broken.lua", plan("1", 'mg.python "broken.py"'))
    local got = support.run(dir, "broken.lua", "--quiet")
    assert.are.equal(4, got.code, got.out)
    assert.is_truthy(got.err:find("broken.py", 1, true) and got.err:find("no_such_module", 1, true), got.err)
  end)

  it("that Python raises come with the exception", function()
    support.write(dir, "raises.py", "def solve(x):\n    raise KeyError('lost')\n")
    support.write(dir, "raises.lua", plan("1", 'mg.python "raises.py"'))
    local got = support.run(dir, "raises.lua", "--quiet")
    assert.are.equal(1, got.report.outcomes.candidate.error)
    assert.is_truthy(got.report.violations[1].message:find("KeyError", 1, true), got.report.violations[1].message)
  end)
end)
