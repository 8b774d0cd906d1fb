local core = require "mguard.core"
local script = require "mguard.script"
local support = require "spec.support"

local CHECKS <const> = [[
local mg = require "mguard"
return mg.checks {
  name = "doubling",
  generate = function(g) return g:int(1, 9) end,
  properties = { mg.property { "even", check = function(out) return out % 2 == 0 end } },
  relations = { mg.relation { "same", transform = function(_, n) return n end, hard = false } },
  implementations = { v1 = function(n) return 2 * n end, v2 = function(n) return n + n end },
}
]]
local PLAN <const> = [[
local mg = require "mguard"
return mg.plan { checks = "checks.lua", baseline = "v1", candidate = "v2", cases = 100 }
]]

describe("mguard.script", function()
  local folder
  before_each(function()
    folder = support.folder()
    support.write(folder .. "/checks.lua", CHECKS)
  end)
  after_each(function() support.remove(folder) end)

  local function open(text, overrides, name)
    name = name or "plan.lua"
    return script.open(support.write(folder .. "/" .. name, text), overrides)
  end
  -- The message without the folder.
  local function refused(text, overrides)
    local message = support.message(open, text, overrides)
    return (message:gsub(folder:gsub("%p", "%%%0") .. "/", ""))
  end
  -- A plan with one line more or another: line 3 of the script is that of mg.plan.
  local function plan(more)
    return 'local mg = require "mguard"\n\nreturn mg.plan {\n  checks = "checks.lua", baseline = "v1", candidate = "v2",\n'
      .. (more:find("cases") and "" or "  cases = 10,\n") .. more .. "\n}\n"
  end
  local function checks(more)
    support.write(folder .. "/checks.lua", 'local mg = require "mguard"\nlocal function yes() return true end\n\n'
      .. "return mg.checks {\n  implementations = { v1 = yes, v2 = yes },\n" .. more .. "\n}\n")
  end

  describe("gives of a plan", function()
    it("what the contract says, with defaults", function()
      local spec = open(PLAN)
      assert.equal("plan", spec.kind)
      assert.equal("doubling", spec.name)
      assert.equal(folder .. "/plan.lua", spec.path)
      assert.equal(folder, spec.dir)
      assert.equal("function", type(spec.generate))
      assert.equal(core.equal, spec.equal)
      assert.equal("v1", spec.baseline)
      assert.equal("v2", spec.candidate)
      assert.equal(100, spec.cases)
      assert.is_nil(spec.inputs)
      assert.equal(0, spec.seed)
      assert.same({ case_timeout_ms = 2000, memory_mb = 512, timeout_given = false, memory_given = false }, spec.limits)
      assert.same({ kind = "noninferiority", margin = 0.01, alpha = 0.05 }, spec.goal)
      assert.same({ kind = "fixed" }, spec.stop)
      assert.is_nil(spec.interval)
      assert.equal("wilson", spec.rate_interval)
      assert.equal(0.5, spec.max_discard)
      assert.equal(5, spec.violation_cap)
      assert.is_false(spec.fail_fast)
      assert.is_nil(spec.workers)
      assert.equal(30, spec.size)
      assert.equal("memory", spec.queue.backend)
      assert.same({}, spec.report)
      assert.same({}, spec.files)
      assert.is_nil(spec.batching)
    end)
    it("the clauses with their lines", function()
      local clauses = open(PLAN).clauses
      assert.equal(2, #clauses)
      assert.equal("property", clauses[1].kind)
      assert.equal(folder .. "/checks.lua:5", clauses[1].where)
      assert.equal("relation", clauses[2].kind)
      assert.equal("soft", clauses[2].mode)
      assert.equal("equal", clauses[2].expect)
      assert.equal(folder .. "/checks.lua:6", clauses[2].where)
    end)
    it("every field that it sets", function()
      support.write(folder .. "/data.txt", "x")
      local spec = open(plan [[
        name = "mine", seed = -9223372036854775807 - 1, limits = { case_timeout_ms = 10, memory_mb = 64 },
        goal = mg.goal.superiority(0.1), stop = mg.stop.group { looks = 3 }, max_discard = 0, violation_cap = 1,
        fail_fast = true, workers = 3, queue = { backend = "redis", connection = { host = "h" } },
        batching = function() return 7 end, report = { json = "r.json" }, files = { "data.txt" },
        implementations = { v2 = function() return 0 end, v3 = function() return 1 end },
      ]])
      assert.equal("mine", spec.name)
      assert.equal(math.mininteger, spec.seed)
      assert.same({ case_timeout_ms = 10, memory_mb = 64, timeout_given = true, memory_given = true }, spec.limits)
      assert.same({ kind = "superiority", margin = 0.1, alpha = 0.05 }, spec.goal)
      assert.same({ kind = "group", looks = 3, spending = "obf" }, spec.stop)
      assert.equal(0, spec.max_discard)
      assert.equal(1, spec.violation_cap)
      assert.is_true(spec.fail_fast)
      assert.equal(3, spec.workers)
      assert.equal("h", spec.queue["connection.host"])
      assert.equal(7, spec.batching())
      assert.equal("r.json", spec.report.json)
      assert.same({ folder .. "/data.txt" }, spec.files)
      assert.equal(0, spec.implementations.v2.call())
      assert.equal(1, spec.implementations.v3.call())
      assert.equal(6, spec.implementations.v1.call(3))
    end)
    it("an implementation written in place, under its role's name", function()
      local spec = open(plan 'candidate = mg.exec { "sh" }, baseline = function(n) return n end,')
      assert.equal("candidate", spec.candidate)
      assert.equal("exec", spec.implementations.candidate.kind)
      assert.equal("baseline", spec.baseline)
      assert.equal(5, spec.implementations.baseline.call(5))
    end)
    it("a plan of one implementation", function()
      local spec = open 'local mg = require "mguard"\nreturn mg.plan { checks = "checks.lua", candidate = "v2", cases = 1 }'
      assert.is_nil(spec.baseline)
      assert.same({ kind = "absolute", min_pass_rate = 0.99, alpha = 0.05 }, spec.goal)
    end)
    it("the same implementation on both sides", function()
      assert.equal("v1", open(plan 'candidate = "v1",').candidate)
    end)
    it("checks written inside it", function()
      local spec = open([[
        local mg = require "mguard"
        return mg.plan { candidate = function(n) return n end, cases = 5,
          checks = mg.checks { generate = function(g) return g:int(1, 2) end } }]])
      assert.equal(0, #spec.clauses)
      assert.equal(folder:match("[^/]+$"), spec.name)
    end)
    it("cases from a file", function()
      support.write(folder .. "/cases.jsonl", "[1]\n")
      local spec = open(plan 'cases = mg.jsonl "cases.jsonl",')
      assert.is_nil(spec.cases)
      assert.equal(folder .. "/cases.jsonl", spec.inputs)
    end)
    it("the largest number of cases", function()
      assert.equal(1 << 53, open(plan "cases = 1 << 53,").cases)
      assert.matches("got 9007199254740993", refused(plan "cases = (1 << 53) + 1,"), 1, true)
    end)
    it("the modules it requires, not those of the system", function()
      support.write(folder .. "/mguard_spec_helper.lua", "return { n = 10 }")
      local spec = open('local h = require "mguard_spec_helper"\nrequire "dkjson"\n' .. PLAN:gsub("100", "h.n"))
      assert.equal(10, spec.cases)
      assert.same({ folder .. "/mguard_spec_helper.lua" }, spec.modules)
      package.loaded.mguard_spec_helper = nil
    end)
  end)

  it("gives of checks what a worker needs", function()
    local spec = script.open(folder .. "/checks.lua", { backend = "redis", queue_config = { connection = { host = "h" } } })
    assert.equal("checks", spec.kind)
    assert.equal("doubling", spec.name)
    assert.equal(2, #spec.clauses)
    assert.equal("h", spec.queue["connection.host"])
    assert.is_nil(spec.candidate)
  end)

  describe("refuses a script", function()
    it("that is missing", function()
      assert.equal("cannot open the script " .. folder .. "/none.lua: No such file or directory",
        support.message(script.open, folder .. "/none.lua"))
    end)
    it("that is a folder", function()
      assert.matches("cannot open the script .*: Is a directory", support.message(script.open, folder))
    end)
    it("without a name", function()
      assert.equal("no script is named", support.message(script.open, ""))
      assert.equal("no script is named", support.message(script.open, nil))
    end)
    it("with a syntax error", function()
      assert.matches("^plan%.lua:2: ", refused("local mg = 1\nreturn mg.plan { cases = = 3 }"))
    end)
    it("that raises", function()
      assert.equal("plan.lua:2: no luck", refused('\nerror "no luck"'))
      assert.equal("plan.lua: the script raised {code = 3}", refused("error { code = 3 }"))
      assert.matches("^plan%.lua: the script raised nothing", refused("error()"))
    end)
    it("that returns something else", function()
      assert.equal("plan.lua: the script must return mg.plan { ... } or mg.checks { ... }, it returns nothing "
        .. '(is "return" missing in front?)', refused((PLAN:gsub("return ", "local _ = "))))
      assert.equal("plan.lua: the script must return mg.plan { ... } or mg.checks { ... }, it returns {cases = 3}",
        refused("return { cases = 3 }"))
      assert.matches("returns more than one value", refused("return 1, 2"), 1, true)
    end)
    it("that is compiled", function()
      assert.matches("^plan%.lua:1: unexpected symbol", refused(string.dump(function() end)))
    end)
  end)

  describe("refuses in a plan, with file, line, key and range:", function()
    local cases = {
      { "cases = 0", "plan.lua:3: cases must be a whole number from 1 to 9007199254740992, got 0" },
      { "cases = -5", "plan.lua:3: cases must be a whole number from 1 to 9007199254740992, got -5" },
      { "cases = 1.5", "plan.lua:3: cases must be a whole number from 1 to 9007199254740992, got 1.5" },
      { 'cases = "10"', 'plan.lua:3: cases must be a whole number from 1 to 9007199254740992, got "10"' },
      { "cases = {}", "plan.lua:3: cases must be a whole number from 1 to 9007199254740992, got {}" },
      { "cases = nil", "plan.lua:3: cases is missing in mg.plan: it must be a whole number from 1 to 9007199254740992" },
      { "case = 5", 'plan.lua:3: unknown key "case" in mg.plan; did you mean "cases"?' },
      { "5", "plan.lua:3: mg.plan takes named keys only, got 5 at [1]" },
      { "seed = 0.5", "plan.lua:3: seed must be a whole number of 64 bits, got 0.5" },
      { "limits = { case_timeout_ms = -1 }",
        "plan.lua:3: limits.case_timeout_ms must be a whole number from 1 to 86400000, got -1" },
      { "limits = { memory_mb = 0 }", "plan.lua:3: limits.memory_mb must be a whole number from 8 to 1048576, got 0" },
      { "limits = { timeout = 5 }", 'plan.lua:3: unknown key "limits.timeout" in limits; known keys: ' },
      { "limits = 5", "plan.lua:3: limits must be a table, got 5" },
      { "goal = 0.01", "plan.lua:3: goal must be a goal, for example mg.goal.noninferiority(0.01), got 0.01" },
      { "goal = mg.goal.absolute(0.9)", "plan.lua:3: goal absolute judges one implementation alone: leave out baseline" },
      { 'goal = mg.goal.superiority(0.1), stop = mg.stop.sprt()', "plan.lua:3: stop sprt asks whether the candidate wins the cases that "
        .. "differ: it goes with goal = mg.goal.superiority(0) alone; for a margin use mg.stop.anytime() or mg.stop.group()" },
      { 'interval = "wald"', 'plan.lua:3: interval must be one of "tango", "newcombe-paired", "bootstrap", "bootstrap-bca", "bayes", "robust", '
        .. '"cluster-bootstrap", got "wald"' },
      { 'interval = "bayes", stop = mg.stop.group()',
        'plan.lua:3: interval = "bayes" goes with mg.stop.fixed() alone: stop group has an interval of its own' },
      { 'rate_interval = "wald"', 'plan.lua:3: rate_interval must be one of "wilson", "clopper-pearson", got "wald"' },
      { 'correction = "bonferroni"', 'plan.lua:3: correction must be one of "holm", "hochberg", "bh", "by", got "bonferroni"' },
      { 'correction = "holm", stop = mg.stop.anytime()',
        'plan.lua:3: correction = "holm" is of comparisons with a baseline after all cases: it needs a baseline and mg.stop.fixed()' },
      { "cover = { 'empty' }", "plan.lua:3: cover takes labels as keys: cover = { empty = 0.05 }, got 1" },
      { "cover = { empty = 5 }", "plan.lua:3: cover.empty must be a number above 0 up to 1, got 5" },
      { "flaky = { reruns = 0 }", "plan.lua:3: flaky.reruns must be a whole number from 1 to 100, got 0" },
      { "flaky = { rate = 1 }", 'plan.lua:3: unknown key "flaky.rate" in flaky' },
      { 'stop = "fixed"', 'plan.lua:3: stop must be a stopping rule, for example mg.stop.fixed(), got "fixed"' },
      { "max_discard = 1.1", "plan.lua:3: max_discard must be a number from 0 to 1, got 1.1" },
      { "violation_cap = 0", "plan.lua:3: violation_cap must be a whole number from 1 to 1000, got 0" },
      { "fail_fast = 1", "plan.lua:3: fail_fast must be true or false, got 1" },
      { "workers = 0", "plan.lua:3: workers must be a whole number from 1 to 1024, got 0" },
      { "batching = 5", "plan.lua:3: batching must be a function, got 5" },
      { "report = { html = 'x' }", 'plan.lua:3: unknown key "report.html" in report; known keys: report.json' },
      { "report = { json = 5 }", "plan.lua:3: report.json must be a file name, got 5" },
      { "queue = { backend = 'redis', lease_seconds = 0 }",
        "plan.lua:3: queue.lease_seconds must be a number from 0.1 to 43200, got 0" },
      { "queue = 'redis'", 'plan.lua:3: queue must be a table, got "redis"' },
      { "candidate = 'v9'", 'plan.lua:3: candidate "v9" is no implementation; did you mean "v1"?' },
      { "baseline = 'zebra'", 'plan.lua:3: baseline "zebra" is no implementation; known implementations: v1, v2' },
      { "candidate = 5", "plan.lua:3: candidate must be the name of an implementation, or mg.lua, mg.exec, mg.python or a "
        .. "function, got 5" },
      { "candidate = nil", "plan.lua:3: candidate is missing in mg.plan: it must be the name of an implementation" },
      { "candidate = mg.lua 'none.lua'",
        "plan.lua:6: mg.lua: cannot read the implementation: none.lua: No such file or directory" },
      { "implementations = { candidate = print }, candidate = print",
        "plan.lua:3: candidate is given as a value, but implementations.candidate exists too" },
      { "implementations = { x = 5 }", "plan.lua:3: implementations.x must be mg.lua, mg.exec, mg.python or a function, got 5" },
      { "checks = 5", "plan.lua:3: checks must be the file name of the checks or mg.checks { ... }, got 5" },
      { "checks = 'none.lua'", "cannot open the script none.lua: No such file or directory" },
      { "checks = 'data.txt'", "data.txt:1: " },
      { "files = { 'none.txt' }", "plan.lua:3: files[1]: cannot read none.txt: No such file or directory" },
      { "files = 'data.txt'", 'plan.lua:3: files must be a list of file names, got "data.txt"' },
      { "cases = mg.jsonl 'none.jsonl'", "plan.lua:5: mg.jsonl: cannot read the cases: none.jsonl: No such file or directory" },
      { "name = 'a,b'", "plan.lua:3: name must be a name of 1 to 64 bytes" },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        support.write(folder .. "/data.txt", "no Lua")
        assert.equal(case[2], refused(plan("  " .. case[1] .. ",")):sub(1, #case[2]))
      end)
    end

    it("a comparison without a baseline", function()
      assert.matches("plan.lua:2: goal superiority compares with a baseline, and the plan has none", refused([[
local mg = require "mguard"
return mg.plan { checks = "checks.lua", candidate = "v2", cases = 1, goal = mg.goal.superiority() }]]), 1, true)
    end)
    it("checks that are a plan", function()
      support.write(folder .. "/other.lua", PLAN)
      assert.matches('plan.lua:3: checks = ".*other.lua" names a plan', refused(plan("checks = '" .. folder .. "/other.lua',")))
    end)
    it("checks that return something else", function()
      support.write(folder .. "/checks.lua", "return {}")
      assert.equal("checks.lua: the file must return mg.checks { ... }, it returns {}", refused(PLAN))
    end)
  end)

  describe("refuses in checks, with file and line:", function()
    local cases = {
      { "generat = yes", 'checks.lua:4: unknown key "generat" in mg.checks; did you mean "generate"?' },
      { "generate = 5", "checks.lua:4: generate must be a function (g) that gives the arguments of a case, got 5" },
      { "generate = nil", "checks.lua:4: generate is missing in mg.checks: without cases from a file (mg.jsonl) it must make" },
      { "generate = yes, size = -1", "checks.lua:4: size must be a whole number from 0 to 1000000, got -1" },
      { "generate = yes, equal = 'deep'",
        'checks.lua:4: equal must be a function (a, b), for example mg.equal.deep, got "deep"' },
      { "generate = yes, setup = 1", "checks.lua:4: setup must be a function, got 1" },
      { "generate = yes, properties = { mg.property { 'p', chck = yes } }",
        'checks.lua:6: unknown key "chck" in mg.property; did you mean "check"?' },
      { "generate = yes, properties = { yes }",
        "checks.lua:4: properties[1] must be made with mg.property { ... }, got a function" },
      { "generate = yes, relations = {\n mg.relation { 'r', transform = yes },\n mg.relation { 'r', transform = yes } }",
        'checks.lua:8: two clauses are called "r" (the other: checks.lua:7); names must differ' },
      { "generate = yes, files = { 'x' }", "checks.lua:4: files[1]: cannot read x: No such file or directory" },
    }
    for _, case in ipairs(cases) do
      it(case[1]:gsub("\n", ""), function()
        checks("  " .. case[1] .. ",")
        assert.equal(case[2], refused(PLAN):gsub(folder:gsub("%p", "%%%0") .. "/", ""):sub(1, #case[2]))
      end)
    end
    it("no generator is needed where cases come from a file", function()
      checks ""
      support.write(folder .. "/cases.jsonl", "[1]\n")
      assert.is_nil(open(plan 'cases = mg.jsonl "cases.jsonl",').generate)
    end)
  end)

  describe("takes from the command line", function()
    it("every setting", function()
      local spec = open(PLAN, { cases = 7, seed = 9, workers = 2, timeout_ms = 50, memory_mb = 32, report_json = "o.json",
        baseline = "v2", candidate = "v1", fail_fast = true, backend = "redis" })
      assert.equal(7, spec.cases)
      assert.equal(9, spec.seed)
      assert.equal(2, spec.workers)
      assert.same({ case_timeout_ms = 50, memory_mb = 32, timeout_given = true, memory_given = true }, spec.limits)
      assert.equal("o.json", spec.report.json)
      assert.equal("v2", spec.baseline)
      assert.equal("v1", spec.candidate)
      assert.is_true(spec.fail_fast)
      assert.equal("redis", spec.queue.backend)
    end)
    it("numbers as text", function()
      local spec = open(PLAN, { cases = "7", seed = "-9223372036854775808" })
      assert.equal(7, spec.cases)
      assert.equal(math.mininteger, spec.seed)
    end)
    it("a baseline for a plan that has none", function()
      local spec = open('local mg = require "mguard"\nreturn mg.plan { checks = "checks.lua", candidate = "v2", cases = 1 }',
        { baseline = "v1" })
      assert.equal("noninferiority", spec.goal.kind)
    end)
    local bad = {
      { { cases = 0 }, "--cases: must be a whole number from 1 to 9007199254740992, got 0" },
      { { cases = "ten" }, '--cases: must be a whole number from 1 to 9007199254740992, got "ten"' },
      { { cases = "1e3" }, '--cases: must be a whole number from 1 to 9007199254740992, got "1e3"' },
      { { seed = "9223372036854775808" }, "--seed: must be a whole number of 64 bits, got " },
      { { seed = "x" }, '--seed: must be a whole number of 64 bits, got "x"' },
      { { workers = 0 }, "--workers: must be a whole number from 1 to 1024, got 0" },
      { { timeout_ms = -1 }, "--timeout-ms: must be a whole number from 1 to 86400000, got -1" },
      { { memory_mb = 1 }, "--memory-mb: must be a whole number from 8 to 1048576, got 1" },
      { { report_json = "" }, '--report-json: must be a file name, got ""' },
      { { candidate = "v3" }, '--candidate: candidate "v3" is no implementation and no .lua or .py file; did you mean "v1"?' },
      { { baseline = "v3" }, '--baseline: baseline "v3" is no implementation and no .lua or .py file; did you mean "v1"?' },
      { { goal = "better" }, '--goal: must be a goal as noninferiority, ' },
      { { goal = "absolute" }, "--goal: absolute judges one implementation alone, and there is a baseline" },
      { { goal = "equivalence:0" }, "--goal: " },
      { { alpha = "0.6" }, "--alpha: must be a number above 0 up to 0.5, got 0.6" },
      { { interval = "wald" }, "--interval: must be " },
      { { violation_cap = "0" }, "--violation-cap: must be a whole number from 1 to 1000, got 0" },
      { { fail_fast = "yes" }, '--fail-fast: must be true or false, got "yes"' },
      { { backend = "rediss" }, "--backend rediss: backend must be one of" },
      { { queue_config = 5 }, "--queue-config: must be a table, JSON text or a file, got 5" },
      { { queue_config = "{" }, "--queue-config: not valid JSON: " },
      { { case = 5 }, 'unknown override "case"; did you mean "cases"?' },
    }
    for _, case in ipairs(bad) do
      it("nothing wrong: " .. case[2], function() assert.equal(case[2], refused(PLAN, case[1]):sub(1, #case[2])) end)
    end
  end)

  it("finds modules beside the script before others", function()
    support.write(folder .. "/dkjson.lua", "return { mine = true }")
    local loaded = package.loaded.dkjson
    package.loaded.dkjson = nil
    local spec = open('assert(require("dkjson").mine)\n' .. PLAN)
    package.loaded.dkjson = loaded
    assert.equal("plan", spec.kind)
  end)
end)
