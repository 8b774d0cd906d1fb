-- Implementations that misbehave cost their own case, and no other.
local support = require "cli.support"

-- Case 7 of 40 gets the hostile code; every other case returns its argument.
local PLAN <const> = [==[
local mg = require "mguard"
return mg.plan {
  checks = mg.checks {
    name = "hostile",
    generate = function(g) return g.case, g:int(1, 1000) end,
    properties = {
      mg.property { "same", check = function(out, _, x)
        local t = { 3, 1, 2 }
        table.sort(t)
        return out == x and t[1] == 1 and ("ab"):upper() == "AB" and math.floor(1.5) == 1
      end },
    },
    relations = { mg.relation { "again", transform = function(_, case, x) return case, x end } },
    implementations = { good = mg.lua "good.lua", bad = mg.lua "bad.lua" },
  },
  baseline = "good", candidate = "bad", cases = 40, seed = 1, goal = mg.goal.noninferiority(0.2),
  limits = { case_timeout_ms = LIMIT, memory_mb = 64 },
}
]==]
-- Only what hangs may meet its limit; filling memory alone takes seconds where processors are shared.
local function limited(plan, expected)
  local sanitized = (os.getenv "MGUARD_BUILD" or "build") ~= "build"
  return (plan:gsub("LIMIT", expected ~= "timeout" and "60000" or sanitized and "4000" or "1500"))
end

local GOOD <const> = "return function(_, x) local t = { x } table.sort(t) return t[1] + #('x'):rep(0) end"

local function with(code, expected, opts)
  return { code = code, expected = expected, all = opts and opts.all }
end

local ROWS <const> = {
  ["kills itself with SIGSEGV"] = with([[os.execute("kill -SEGV $PPID")]], "crash"),
  ["kills itself with SIGKILL"] = with([[os.execute("kill -KILL $PPID")]], "crash"),
  ["exits"] = with("os.exit(3)", "crash"),
  ["exits with status 0"] = with("os.exit(0)", "crash"),
  ["raises"] = with("error('no')", "error"),
  ["raises a table"] = with("error({})", "error"),
  ["raises nil"] = with("error()", "error"),
  ["overflows the stack"] = with("local function f(n) return 1 + f(n) end f(1)", "error"),
  ["hangs in Lua"] = with("while true do end", "timeout"),
  ["hangs and catches every error"] = with("while true do pcall(function() while true do end end) end", "timeout"),
  ["hangs in a coroutine"] = with("coroutine.wrap(function() while true do end end)()", "timeout"),
  ["hangs in a coroutine in a coroutine"] =
    with("coroutine.wrap(function() coroutine.wrap(function() while true do pcall(error) end end)() end)()", "timeout"),
  ["hangs in an xpcall handler"] = with("xpcall(error, function() while true do end end)", "timeout"),
  ["hangs in __gc"] = with("setmetatable({}, { __gc = function() while true do end end })", "timeout"),
  ["hangs in a comparison of sort"] = with("table.sort({ 1, 2, 3 }, function() while true do end end)", "timeout"),
  ["hangs in a C function"] = with("string.find(('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(61))", "timeout"),
  ["fills memory"] = with("local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end", "error"),
  ["fills memory with one string"] = with("return ('x'):rep(1 << 40)", "error"),
  ["returns a function"] = with("return print", "error"),
  ["returns a table in itself"] = with("local t = {} t[1] = t return t", "error"),
  ["prints"] = with("print('noise') io.write('more noise') io.stderr:write('and more') return x", "pass"),
  ["closes its standard files"] = with("io.stdout:close() io.stdin:close() return x", "pass"),
  ["patches table.sort"] = with("table.sort = function() error('patched') end return x", "pass"),
  ["patches the string metatable"] = with("getmetatable('').__index = nil return x", "pass"),
  ["removes all globals"] = with("local G = _G for k in pairs(G) do G[k] = nil end return x", "pass"),
  ["patches math and string"] = with("math.floor = nil string.upper = nil string.rep = nil return x", "pass"),
  ["changes its arguments"] = with("x = x return x", "pass"),
  ["sets a debug hook"] = with("debug.sethook(function() end, 'c', 1) return x", "error"),
}

local function names()
  local list = {}
  for name in pairs(ROWS) do list[#list + 1] = name end
  table.sort(list)
  return list
end

describe("an implementation that", function()
  local dir
  setup(function()
    dir = support.folder()
    support.write(dir, "good.lua", GOOD)
  end)
  teardown(support.clean)

  for _, name in ipairs(names()) do
    local row = ROWS[name]
    it(name .. " costs its own case: " .. row.expected, function()
      support.write(dir, "plan.lua", limited(PLAN, row.expected))
      support.write(dir, "bad.lua", ([[
        return function(case, x)
          if case == 7 then %s end
          local t = { x }
          table.sort(t)
          return t[1] + #("x"):rep(0)
        end]]):format(row.code:find("return") and "do " .. row.code .. " end" or row.code))
      local got = support.run(dir, "plan.lua", "--workers 2 --quiet --outcomes outcomes.csv")
      assert.is_truthy(got.report, got.err)
      local counts = got.report.outcomes.candidate
      local expected = { pass = row.expected == "pass" and 40 or 39 }
      if row.expected ~= "pass" then expected[row.expected] = 1 end
      for outcome, n in pairs(counts) do
        assert.are.equal(expected[outcome] or 0, n, ("%s: %s\n%s"):format(outcome, got.out, got.err))
      end
      assert.are.equal(40, got.report.outcomes.baseline.pass)
      for line in support.read(dir .. "/outcomes.csv"):gmatch("[^\n]+") do
        local case, role, outcome = line:match("^(%d+),(%a+),(%a+)")
        if case then assert.are.equal(case == "7" and role == "candidate" and row.expected or "pass", outcome, line) end
      end
      assert.are.equal(row.expected == "pass" and 0 or 1, got.code, got.out .. got.err)
    end)
  end

  it("crashes as baseline costs the pair nothing but its own side", function()
    support.write(dir, "bad.lua", GOOD)
    support.write(dir, "crash.lua", "return function(case, x) if case == 7 then os.execute('kill -SEGV $PPID') end return x end")
    support.write(dir, "plan_b.lua", (limited(PLAN, "crash"):gsub('good = mg.lua "good.lua"', 'good = mg.lua "crash.lua"')))
    local got = support.run(dir, "plan_b.lua", "--workers 1 --quiet")
    assert.are.equal(1, got.report.outcomes.baseline.crash)
    assert.are.equal(39, got.report.outcomes.baseline.pass)
    assert.are.equal(40, got.report.outcomes.candidate.pass)
    assert.are.equal(0, got.code)
  end)
end)
