-- `mguard run` as a user meets it: verdicts, exit codes, reports, digests, messages.
local support = require "cli.support"

local root = support.root

local function example(name) return root .. "/examples/" .. name end

describe("the examples", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("top_k adopts the good candidate", function()
    local got = support.run(dir, example "top_k/plan.lua", "--quiet")
    assert.are.equal(0, got.code, got.err)
    assert.are.equal("adopt", got.report.verdict)
    assert.are.equal(10000, got.report.pairs.n)
  end)

  it("top_k adopts the better one that differs", function()
    local got = support.run(dir, example "top_k/plan_better.lua", "--quiet")
    assert.are.equal(0, got.code, got.err)
    assert.is_true(got.report.difference.estimate > 0)
  end)

  it("top_k measured adopts by the pass rate and its endpoints", function()
    local got = support.run(dir, example "top_k/plan_measured.lua")
    assert.are.equal(0, got.code, got.out .. got.err)
    assert.is_truthy(got.out:find("an adopt needs the pass rate and 2 endpoints together: all hold", 1, true), got.out)
    assert.are.equal(5, #got.report.metrics)
    assert.are.equal("short lists", got.report.groups[2].name)
  end)

  it("top_k rejects the wrong one, and its replay command shows the violation", function()
    local got = support.run(dir, example "top_k/plan_wrong.lua")
    assert.are.equal(1, got.code, got.err)
    local first = got.report.violations[1]
    assert.is_true(first.reproduced)
    assert.is_truthy(got.out:find(first.replay, 1, true), got.out)
    local again = support.shell(dir, (first.replay:gsub("^mguard", support.program)))
    assert.are.equal(1, again.code, again.err)
    assert.is_truthy(again.out:find("FAILED " .. first.clause, 1, true), again.out)
    assert.is_truthy(again.out:find(first.input, 1, true))
    assert.is_truthy(again.out:find(first.output, 1, true))
  end)

  it("sort finds no difference between GNU sort and busybox sort", function()
    local got = support.run(dir, example "sort/plan.lua", "--quiet", 120)
    assert.are.equal(0, got.code, got.out .. got.err)
  end)

  it("json finds numbers beyond 2^53, replayable", function()
    local got = support.run(dir, example "json/plan.lua", "--quiet", 120)
    assert.are.equal(1, got.code, got.out .. got.err)
    local found
    for _, v in ipairs(got.report.violations) do
      if v.role == "candidate" and v.clause:find("2^53", 1, true) and v.reproduced then found = v end
    end
    assert.is_truthy(found)
    local again = support.shell(dir, (found.replay:gsub("^mguard", support.program)))
    assert.are.equal(1, again.code, again.err)
    assert.are.equal(0, got.report.outcomes.baseline.fail)
  end)
end)

describe("the outcome digest", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  local function digest(arguments)
    local got = support.run(dir, example "top_k/plan_wrong.lua", "--quiet " .. arguments)
    assert.are.equal(1, got.code, got.err)
    return got.report.outcome_digest
  end

  it("is the same for any number of executors and any batch size, and the oracle computes it from the CSV", function()
    local first = digest "--workers 1 --outcomes a.csv"
    assert.are.equal(first, digest "--workers 2")
    assert.are.equal(first, digest "--workers 4")
    for _, size in ipairs { 1, 37, 5000 } do
      local queue = ([['{"backend":"memory","batch_size":%d}']]):format(size)
      assert.are.equal(first, digest("--workers 2 --queue-config " .. queue), "batch size " .. size)
    end
    local oracle = support.shell(dir, root .. "/tests/oracle/digest.py a.csv --sums")
    assert.are.equal(0, oracle.code, oracle.err)
    assert.are.equal(first .. "\nbaseline 10000\ncandidate 10000\n", oracle.out)
  end)

  it("changes when one outcome is flipped", function()
    local first = digest "--workers 2 --outcomes b.csv"
    local text = support.read(dir .. "/b.csv")
    local flipped, n = text:gsub("\n17,candidate,pass,", "\n17,candidate,error,completes", 1)
    assert.are.equal(1, n)
    support.write(dir, "flipped.csv", flipped)
    local oracle = support.shell(dir, root .. "/tests/oracle/digest.py flipped.csv")
    assert.are_not.equal(first, (oracle.out:gsub("%s", "")))
  end)

  it("depends on the seed", function()
    assert.are_not.equal(digest "--seed 1", digest "--seed 2")
  end)
end)

describe("an early stop", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  local function plan(fields)
    return ([[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) local x = g:int(1, 1000); g:label("even", x %% 2 == 0); return x end,
          properties = { mg.property { "rare", check = function(out) return out > 20 end, hard = false } } },
        baseline = function(x) return x end, candidate = function(x) return x == 900 and 1 or x end, cases = 20000, %s
      }]]):format(fields)
  end

  it("comes after the same case for any number of executors and any batch size", function()
    for _, rule in ipairs { "mg.stop.anytime()", "mg.stop.group { looks = 8 }" } do
      support.write(dir, "early.lua", plan("goal = mg.goal.noninferiority(0.02), stop = " .. rule))
      local first
      for _, how in ipairs { { 1, 1 }, { 2, 50 }, { 2, 5000 }, { 4, 7 } } do
        local got = support.run(dir, "early.lua", ([[--quiet --workers %d --outcomes o.csv --queue-config '{"backend":"memory","batch_size":%d}']])
          :format(how[1], how[2]))
        assert.are.equal(0, got.code, got.out .. got.err)
        local r = got.report
        local seen = { r.outcome_digest, r.pairs.n, r.labels.even, r.difference.low, r.difference.high, r.reasons[1] }
        first = first or seen
        assert.are.same(first, seen)
        assert.are.equal(20000, r.pairs.n + r.outcomes.candidate.unrun)
        assert.is_true(r.outcomes.candidate.unrun > 10000)
        assert.are.equal(rule:match "anytime" or "group", r.difference.method)
        local oracle = support.shell(dir, root .. "/tests/oracle/digest.py o.csv")
        assert.are.equal(r.outcome_digest .. "\n", oracle.out, oracle.err)
      end
    end
  end)

  it("is not needed: a plan of fixed length names its interval", function()
    for _, method in ipairs { "tango", "newcombe-paired", "bootstrap", "bootstrap-bca", "bayes" } do
      support.write(dir, "how.lua", plan(("interval = %q, rate_interval = 'clopper-pearson'"):format(method)))
      local got = support.run(dir, "how.lua", "--quiet --cases 3000")
      assert.are.equal(0, got.code, got.out .. got.err)
      assert.are.equal(method, got.report.difference.method)
      assert.are.equal("clopper-pearson", got.report.rates.candidate.method)
    end
  end)

  it("needs a rule that fits the run", function()
    support.write(dir, "looks.lua", plan("stop = mg.stop.group { looks = 50 }"))
    local got = support.mguard(dir, "run looks.lua --cases 20")
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("looks.lua: stop: 50 looks, there must be 1 to 100 and no more than cases (20)", 1, true), got.err)
    support.write(dir, "alone.lua", (plan("stop = mg.stop.anytime()"):gsub("baseline = .- end, ", "")))
    got = support.mguard(dir, "run alone.lua")
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("stop anytime looks at pairs, and the plan has no baseline", 1, true), got.err)
  end)
end)

describe("cover", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("makes a run invalid whose cases miss a label", function()
    local plan = [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) local x = g:int(1, 10); g:label("ten", x == 10); return x end,
          properties = { mg.property { "any", check = function() return true end } } },
        baseline = function(x) return x end, candidate = function(x) return x end, cases = 5000, cover = { ten = %s },
      }]]
    support.write(dir, "cover.lua", plan:format("0.1"))
    local got = support.run(dir, "cover.lua", "--quiet")
    assert.are.equal(0, got.code, got.out .. got.err)
    support.write(dir, "cover.lua", plan:format("0.2"))
    got = support.run(dir, "cover.lua", "--quiet")
    assert.are.equal(3, got.code, got.out .. got.err)
    assert.is_truthy(got.report.reasons[1]:find('label "ten" marks ', 1, true), got.report.reasons[1])
  end)
end)

describe("--plan-power", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("forecasts n from a pilot", function()
    local plan = [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g.case end,
          properties = { mg.property { "odd one", hard = false, check = function(out) return out ~= 0 end } } },
        %s candidate = function(x) return x %% 50 == 17 and 0 or 1 end, cases = 100000, report = { json = "no.json" },
      }]]
    support.write(dir, "power.lua", plan:format("baseline = function(x) return x % 50 == 3 and 0 or 1 end, goal = mg.goal.noninferiority(0.02),"))
    local got = support.mguard(dir, "run power.lua --plan-power")
    assert.are.equal(0, got.code, got.err)
    assert.is_truthy(got.out:find("pilot of 500 pairs: baseline only 10, candidate only 10", 1, true), got.out)
    local n = tonumber(got.out:match("without a difference of rates (%d+) cases"))
    assert.is_true(n > 800 and n < 1000, got.out) -- 866 for 4 % differing
    assert.is_truthy(got.out:find("the 100000 planned have 1.0000", 1, true), got.out)
    assert.are.equal("absent\n", support.shell(dir, "test -e no.json || echo absent").out)
    -- the same cases in clusters of five that differ alike: five times as many
    local clustered = plan:format("baseline = function(x) return x // 5 % 50 == 3 and 0 or 1 end, cluster = function(x) return x // 5 end, "
      .. "goal = mg.goal.noninferiority(0.02),"):gsub("x %% 50 == 17", "x // 5 %% 50 == 17")
    support.write(dir, "clusters.lua", clustered)
    got = support.mguard(dir, "run clusters.lua --plan-power")
    assert.are.equal(0, got.code, got.err)
    assert.is_truthy(got.out:find("baseline only 10, candidate only 10\ncases come in clusters, design effect 5", 1, true), got.out)
    local more = tonumber(got.out:match("without a difference of rates (%d+) cases"))
    assert.is_true(more > 4.5 * n and more < 5.5 * n, got.out)
    support.write(dir, "alone.lua", plan:format(""))
    got = support.mguard(dir, "run alone.lua --plan-power")
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("--plan-power forecasts a comparison, and alone.lua has no baseline", 1, true), got.err)
  end)
end)

describe("flaky", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("runs a sample again, and what differs makes the run invalid", function()
    local plan = [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g:int(1, 1000000) end,
          properties = { mg.property { "steady", hard = false, check = function(out, x) return out == x end } } },
        baseline = function(x) return x end,
        candidate = function(x) return %s end, cases = 2000, flaky = { reruns = 2, sample = 0.2 },
      }]]
    support.write(dir, "flaky.lua", plan:format("x"))
    local got = support.run(dir, "flaky.lua", "")
    assert.are.equal(0, got.code, got.out .. got.err)
    local f = got.report.flaky
    assert.are.equal(0, f.different)
    assert.is_true(f.cases > 300 and f.cases < 520)
    assert.is_true(math.abs(f.bound - (1 - 0.05 ^ (1 / f.cases))) < 1e-9)
    assert.is_truthy(got.out:find("times again: none differed", 1, true), got.out)
    support.write(dir, "flaky.lua", plan:format("os.clock() * 1e6 % 8 < 1 and 0 or x")) -- wrong now and then
    got = support.run(dir, "flaky.lua", "--quiet")
    assert.are.equal(3, got.code, got.out .. got.err)
    assert.is_true(got.report.flaky.different > 0)
    local said
    for _, reason in ipairs(got.report.reasons) do said = said or reason:find("more than the 0 % that flaky allows", 1, true) end
    assert.is_truthy(said)
  end)
end)

describe("a correction", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("names the relation that regressed, and that one alone", function()
    support.write(dir, "many.lua", [[
      local mg = require "mguard"
      local function next_one(_, x) return x + 1 end
      return mg.plan {
        checks = mg.checks { generate = function(g) return g:int(1, 1000) end,
          relations = {
            mg.relation { "rises", transform = next_one, hard = false, expect = function(a, b) return b > a end },
            mg.relation { "same kind", transform = next_one, hard = false, expect = function(a, b) return type(a) == type(b) end },
          } },
        baseline = function(x) return x end, candidate = function(x) return x % 20 == 0 and 0 or x end,
        cases = 2000, correction = "holm",
      }]])
    local got = support.run(dir, "many.lua", "")
    local clauses = {}
    for _, c in ipairs(got.report.clauses) do clauses[c.name] = c end
    assert.is_true(clauses.rises.regressed)
    assert.is_true(math.abs(clauses.rises.p - 2.0 ^ -clauses.rises.candidate_only) < 1e-12)
    assert.are.equal(math.min(1, 2 * clauses.rises.p), clauses.rises.p_adjusted)
    assert.is_false(clauses["same kind"].regressed)
    assert.is_truthy(got.out:find("relation rises regressed", 1, true), got.out)
    assert.is_nil(got.out:find("same kind regressed", 1, true))
  end)
end)

describe("outcomes", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("sum to the planned cases, discards too", function()
    support.write(dir, "plan.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks {
          generate = function(g)
            local x = g:int(1, 100)
            g:label("even", x % 2 == 0)
            if x > 90 then g:discard() end
            return x
          end,
          properties = { mg.property { "small", check = function(out) return out < 80 end, hard = false } },
        },
        baseline = function(x) return x end, candidate = function(x) return x end,
        cases = 3000, seed = 5,
      }]])
    local got = support.run(dir, "plan.lua", "--quiet")
    for _, role in ipairs { "baseline", "candidate" } do
      local sum = 0
      for _, n in pairs(got.report.outcomes[role]) do sum = sum + n end
      assert.are.equal(3000, sum)
      assert.is_true(got.report.outcomes[role].discard > 200)
    end
    assert.are.equal(3000 - got.report.outcomes.candidate.discard, got.report.pairs.n)
    assert.is_true(got.report.labels.even > 1000)
  end)

  it("of a baseline that shares a violation do not reject", function()
    support.write(dir, "shared.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g:int(1, 100) end,
          properties = { mg.property { "below 95", check = function(out) return out < 95 end } } },
        baseline = function(x) return x end, candidate = function(x) return x end, cases = 2000,
      }]])
    local got = support.run(dir, "shared.lua", "--quiet")
    assert.are.equal(0, got.code, got.out .. got.err)
    assert.is_true(got.report.pairs.neither > 0)
  end)

  it("do not depend on clause functions that change what they get", function()
    support.write(dir, "vandal.lua", [[
      local mg = require "mguard"
      local function spoil(t)
        if type(t) ~= "table" then return end
        for i = #t, 1, -1 do t[i] = nil end
        t.spoilt = true
        setmetatable(t, { __index = function() return 1 end })
      end
      local function intact(list) return list.spoilt == nil and getmetatable(list) == nil and (#list == 0 or list[1] ~= nil) end
      return mg.plan {
        checks = mg.checks {
          generate = function(g) return g:list(g.string, 5), g.case end,
          properties = {
            mg.property { "spoils arguments", check = function(_, list) spoil(list) return true end,
              given = function(list, case) if case >= 30 then spoil(list) end return true end },
            mg.property { "arguments are intact", check = function(_, list) return intact(list) end },
            mg.property { "spoils the output", check = function(out) spoil(out) return true end },
            mg.property { "output is intact", check = function(out, list) return intact(out) and #out == #list end },
          },
          relations = {
            mg.relation { "spoils all", transform = function(_, list, case) list[#list + 1] = "x" return list, case end,
              expect = function(out, out2, args, args2)
                local fine = intact(out) and intact(out2) and #out2 == #out + 1 and intact(args[1]) and intact(args2[1])
                spoil(out) spoil(out2) spoil(args[1]) spoil(args2[1])
                return fine
              end },
            mg.relation { "sees nothing of it", transform = function(_, list, case) return list, case end },
          },
        },
        baseline = function(list) return list end,
        candidate = function(list) local copy = { table.unpack(list) } spoil(list) return copy end,
        cases = 60, goal = mg.goal.noninferiority(0.2),
      }]])
    local digests = {}
    for workers = 1, 2 do
      local got = support.run(dir, "vandal.lua", "--quiet --workers " .. workers)
      assert.are.equal(0, got.code, got.out .. got.err)
      assert.are.equal(60, got.report.outcomes.baseline.pass)
      assert.are.equal(60, got.report.outcomes.candidate.pass)
      digests[workers] = got.report.outcome_digest
    end
    assert.are.equal(digests[1], digests[2])
  end)

  it("of one implementation alone are judged by its pass rate", function()
    local plan = [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g:int(1, 1000) end,
          properties = { mg.property { "rare", check = function(out) return out ~= 500 end, hard = false } } },
        candidate = function(x) return x end, cases = 20000, goal = mg.goal.absolute(%s),
      }]]
    support.write(dir, "alone.lua", plan:format("0.99"))
    assert.are.equal(0, support.run(dir, "alone.lua", "--quiet").code)
    support.write(dir, "alone.lua", plan:format("0.9999"))
    assert.are.equal(1, support.run(dir, "alone.lua", "--quiet").code)
  end)

  it("with few cases are inconclusive, and the report names the n that would decide", function()
    local got = support.run(dir, example "top_k/plan.lua", "--quiet --cases 50")
    assert.are.equal(2, got.code, got.err)
    assert.is_truthy(table.concat(got.report.reasons, " "):find("%d+ pairs would decide"), table.concat(got.report.reasons, " "))
  end)

  it("that do not repeat are named", function()
    support.write(dir, "flaky.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g:int(1, 100) end,
          properties = { mg.property { "even", hard = false, check = function(out) return out % 2 == 0 end } } },
        baseline = function(x) return 2 * x end,
        candidate = function(x) local f <close> = io.open("/dev/urandom", "rb") return x + f:read(1):byte() end,
        cases = 1000,
      }]])
    local got = support.run(dir, "flaky.lua", "--quiet")
    assert.is_true(#got.report.repeat_check.different > 0)
    assert.are.equal(20, got.report.repeat_check.cases)
  end)

  it("end early with --fail-fast, the rest unrun", function()
    local got = support.run(dir, example "top_k/plan_wrong.lua", "--quiet --fail-fast --cases 1000000")
    assert.are.equal(1, got.code, got.err)
    assert.is_true(got.report.outcomes.candidate.unrun > 0)
  end)

  it("of cases from a file follow the file", function()
    support.write(dir, "cases.jsonl", "[1]\n[2]\n\n[9007199254740993]\n[1.0]\n[[]]\n[{}]\n[null]\n")
    support.write(dir, "file.lua", [[
      local mg = require "mguard"
      local show = require "mguard.core".show
      return mg.plan {
        checks = mg.checks { properties = { mg.property { "known", check = function(out)
          return ({ ["1"] = 1, ["2"] = 1, ["9007199254740993"] = 1, ["1.0"] = 1, ["[]"] = 1, ["{}"] = 1, ["null"] = 1, ["nil"] = 1 })[out] == 1, out
        end } } },
        baseline = function(x) return show(x) end, candidate = function(x) return show(x) end,
        cases = mg.jsonl "cases.jsonl",
      }]])
    local got = support.run(dir, "file.lua", "--quiet")
    assert.is_truthy(got.report, got.err)
    assert.are.equal(7, got.report.outcomes.candidate.pass, got.out .. got.err)
    local again = support.mguard(dir, "replay file.lua --case 2")
    assert.is_truthy(again.out:find("9007199254740993", 1, true), again.out .. again.err)
  end)
end)

describe("bad input", function()
  local dir
  setup(function()
    dir = support.folder()
    support.write(dir, "v.lua", "return function(x) return x end")
  end)
  teardown(support.clean)

  local function plan(fields, checks)
    return ([[local mg = require "mguard"
return mg.plan {
  checks = mg.checks { %s implementations = { v = mg.lua "v.lua" } },
  baseline = "v", candidate = "v", cases = 100,
  %s
}]]):format(checks or "generate = function(g) return g:int(1, 2) end,", fields or "")
  end

  local rows = {
    { "a syntax error", "return {", { "bad.lua:1", "expected" } },
    { "a file that returns nothing", "local x = 1", { "bad.lua", "return" } },
    { "a file that returns something else", "return 5", { "bad.lua", "mg.plan" } },
    { "a file that raises", "error('sorry')", { "bad.lua:1", "sorry" } },
    { "n = 0", plan "cases = 0," , { "bad.lua:2", "cases", "from 1" } },
    { "a negative limit", plan "limits = { case_timeout_ms = -1 },", { "bad.lua:2", "case_timeout_ms", "from 1" } },
    { "an unknown key", plan "case = 5,", { "bad.lua:2", '"case"', "cases" } },
    { "an implementation that does not exist", plan 'candidate = "w",', { "bad.lua:2", '"w"' } },
    { "an implementation file that does not exist", plan "candidate = mg.lua 'nowhere.lua',", { "bad.lua", "nowhere.lua" } },
    { "a program that does not exist", plan "candidate = mg.exec { 'no-such-program-here' },", { "no-such-program-here" } },
    { "a generator that raises", plan(nil, "generate = function(g) error('generator is wrong') end,"), { "bad.lua:3", "generator is wrong" } },
    { "a generator that hangs", plan("limits = { case_timeout_ms = 200 },", "generate = function(g) while true do end end,"), { "generate" } },
    { "a transform that raises", plan(nil, [[generate = function(g) return 1 end,
      relations = { mg.relation { "t", transform = function() error('transform is wrong') end } },]]), { "bad.lua:4", "transform is wrong", '"t"' } },
    { "an implementation that does not load", plan [[candidate = mg.lua "raises.lua",]], { "raises.lua:1", "not today" } },
    { "an unknown backend", plan 'queue = { backend = "pigeon" },', { "pigeon", "memory" } },
    { "an unknown queue key", plan 'queue = { backend = "memory", batch = 1 },', { "queue", "batch" } },
  }
  for _, row in ipairs(rows) do
    it(row[1] .. " is one clear message", function()
      support.write(dir, "raises.lua", "error('not today')")
      support.write(dir, "bad.lua", row[2])
      local got = support.run(dir, "bad.lua", "", 60)
      assert.are.equal(4, got.code, got.out .. got.err)
      for _, part in ipairs(row[3]) do assert.is_truthy(got.err:find(part, 1, true), ("%s is missing in: %s"):format(part, got.err)) end
      assert.is_nil(got.report)
      assert.is_nil(got.err:find("stack traceback", 1, true))
      local lines = select(2, got.err:gsub("\n", ""))
      assert.are.equal(1, lines, got.err)
    end)
  end

  it("a missing file is named", function()
    local got = support.mguard(dir, "run nowhere.lua")
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("nowhere.lua", 1, true))
  end)

  for flag, says in pairs { ["--cases 0"] = "--cases", ["--cases many"] = "--cases", ["--seed 1.5"] = "--seed", ["--workers -1"] = "--workers",
    ["--nonsense"] = "--nonsense", ["--cases"] = "needs a value", ["--queue-config '{'"] = "--queue-config" } do
    it(flag .. " is refused by name", function()
      local got = support.mguard(dir, "run " .. example "top_k/plan.lua" .. " " .. flag)
      assert.are.equal(4, got.code, got.out)
      assert.is_truthy(got.err:find(says, 1, true), got.err)
    end)
  end

  it("a report that cannot be written says so and leaves nothing half-written", function()
    local got = support.mguard(dir, "run " .. example "top_k/plan.lua" .. " --cases 300 --quiet --report-json /proc/no/report.json")
    assert.are.equal(5, got.code, got.out)
    assert.is_truthy(got.err:find("/proc/no", 1, true))
  end)

  it("a generator that raises later makes the run invalid, with file and line", function()
    support.write(dir, "late.lua", plan("cases = 3000,", "generate = function(g) if g.case == 2000 then error('late') end return 1 end,"))
    local got = support.run(dir, "late.lua", "--quiet")
    assert.are.equal(3, got.code, got.err)
    assert.are.equal("invalid", got.report.verdict)
    assert.is_truthy(table.concat(got.report.reasons, " "):find("late.lua:3", 1, true))
  end)
end)

describe("help", function()
  for _, line in ipairs { "--help", "run --help", "worker --help", "replay --help", "check --help", "power --help" } do
    it("is there for " .. line, function()
      local got = support.mguard(".", line)
      assert.are.equal(0, got.code)
      assert.is_truthy(got.out:find("mguard", 1, true))
    end)
  end

  it("says the version", function()
    assert.are.equal("mguard " .. require "mguard.version" .. "\n", support.mguard(".", "--version").out)
  end)

  it("names an unknown command", function()
    local got = support.mguard(".", "rum")
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find('"rum"', 1, true))
  end)
end)

describe("mguard check", function()
  local dir
  setup(function() dir = support.folder() end)
  teardown(support.clean)

  it("finds nothing wrong with a sound plan", function()
    local got = support.mguard(dir, "check " .. example "sort/plan.lua")
    assert.are.equal(0, got.code, got.out .. got.err)
    assert.is_truthy(got.out:find("nothing is wrong", 1, true))
  end)

  it("finds what does not repeat and what never applies", function()
    support.write(dir, "odd.lua", [[
      local mg = require "mguard"
      return mg.plan {
        checks = mg.checks { generate = function(g) return g:int(1, 100) end,
          properties = { mg.property { "never", given = function() return false end, check = function() return true end },
            mg.property { "even", hard = false, check = function(out) return out % 2 == 0 end } } },
        baseline = function(x) return 2 * x end,
        candidate = function(x) local f <close> = io.open("/dev/urandom", "rb") return x + f:read(1):byte() end, cases = 100,
      }]])
    local got = support.mguard(dir, "check odd.lua")
    assert.are.equal(3, got.code, got.out .. got.err)
    assert.is_truthy(got.out:find('"never" applied to no case', 1, true), got.out)
    assert.is_truthy(got.out:find("does not repeat", 1, true), got.out)
  end)
end)
