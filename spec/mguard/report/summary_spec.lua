local core = require "mguard.core"
local sample = dofile "spec/mguard/report/sample.lua"
local summary = require "mguard.report.summary"

local function lines(text)
  local list = {}
  for line in text:gmatch("([^\n]*)\n") do list[#list + 1] = line end
  return list
end

describe("mguard.report.summary", function()
  it("says verdict, then reasons, rates, outcomes, clauses, violations", function()
    local text = summary.text(sample(), { width = 80 })
    assert.equal([[
REJECT  top_k
wrong against v1, 10 000 cases, seed 42, 1.2 s, 8 130 cases/s

Reasons
  - candidate violates hard clause sorted on case 17, which the baseline keeps;
    it did so again when run again

  pass rate  baseline    100.00 %   [99.96 %, 100.00 %]
  pass rate  candidate    99.88 %   [99.79 %, 99.93 %]
  difference              -0.12 pp   [-0.21, -0.07] at 95 %, tango
  pairs      both pass 9 988, baseline only 12, candidate only 0, neither 0

  outcome        pass     fail  timeout
  baseline     10 000        0        0
  candidate     9 988       11        1

  violated clause                     both  baseline candidate
  completes                              0         0         1
  sorted                                 0         0        11
  short (soft)                           3         0         0

First violations (3 of 4 kept)
  case 17, candidate: sorted, reproduced
    input    {3, 1}, 2
    output   {1}
    replay   mguard replay r.json --case 17
  case 90, candidate: completes, not reproduced
    message  no end within 2000 ms
    input    {}, 1
    replay   mguard replay r.json --case 90
  case 91, candidate: sorted
    input    {9}, 1
    output   {}
    input 2  {9, 9}, 1
    output 2 {9}
    replay   mguard replay r.json --case 91

  labels
     24.00 %  k above length
      1.20 %  empty

  20 cases ran twice: no difference
  memory: 10 tasks, 2 workers, 1 repeats dropped
  digest 5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f

Notes
  - the checks take longer than the implementations
]], text)
  end)

  it("shows first what decides, and one of each clause before a second", function()
    local r = sample()
    local function v(case, role, clause, shared)
      return { case = case, role = role, clause = clause, shared = shared, replay = "replay " .. case }
    end
    r.violations = { v(1, "candidate", "short", true), v(2, "candidate", "short", false), v(3, "baseline", "sorted", false),
      v(4, "candidate", "sorted", false), v(5, "candidate", "sorted", false), v(6, "candidate", "permute", true) }
    local cases = {}
    for case in summary.text(r):gmatch("\n  case (%d+)") do cases[#cases + 1] = case end
    assert.same({ "4", "6", "5" }, cases)
    table.remove(r.violations, 5)
    table.remove(r.violations, 4)
    cases = {}
    for case in summary.text(r):gmatch("\n  case (%d+)") do cases[#cases + 1] = case end
    assert.same({ "6", "2", "1" }, cases)
  end)

  it("says what came of the plan's own reruns", function()
    local r = sample()
    assert.is_nil(summary.text(r):find("times again", 1, true))
    r.flaky = { reruns = 3, cases = 120, different = 0, bound = 0.0247, limit = 0 }
    assert.matches("  120 cases run up to 3 times again: none differed, of all cases at most 2.47 % do (95 %)\n", summary.text(r), 1, true)
    r.flaky.different = 2
    assert.matches("times again: 2 differed", summary.text(r), 1, true)
  end)

  it("names the relations that regressed", function()
    local r = sample()
    assert.is_nil(summary.text(r):find("regressed", 1, true))
    local c = r.clauses[4]
    c.candidate_only, c.p, c.p_adjusted, c.regressed = 12, 0.0002, 0.00123, true
    assert.matches("  relation permute regressed (corrected p 0.0012)\n", summary.text(r), 1, true)
  end)

  it("is short where all is well", function()
    local r = sample()
    r.verdict, r.violations, r.labels, r.notes = "adopt", core.array {}, core.object {}, core.array {}
    for _, c in ipairs(r.clauses) do c.both, c.candidate_only = 0, 0 end
    local text = summary.text(r)
    assert.matches("^ADOPT  top_k\n", text)
    assert.matches("  4 clauses, no violations\n", text, 1, true)
    assert.is_nil(text:find("violations (", 1, true))
    assert.is_nil(text:find("labels", 1, true))
    assert.is_nil(text:find("Notes", 1, true))
  end)

  it("fits the width, but never cuts the command that is to be copied", function()
    local r = sample()
    r.violations[2].input = ("{1, 2, 3}, "):rep(100)
    r.violations[2].replay = "mguard replay " .. ("long/"):rep(30) .. "r.json --case 17"
    for _, width in ipairs { 60, 80, 200 } do
      for _, line in ipairs(lines(summary.text(r, { width = width }))) do
        if not line:find("replay", 1, true) then
          assert.is_true(#line <= width or width == 60 and #line <= 77, line) -- the tables need 77
        end
      end
    end
    assert.matches("--case 17\n", summary.text(r, { width = 60 }), 1, true)
  end)

  it("lets no value move the cursor", function()
    local r = sample()
    r.violations[2].output = "a\27[2Jb\r\nc\u{9b}x\255"
    local text = summary.text(r)
    assert.matches("a\\x1B[2Jb\\x0D\\x0Ac", text, 1, true)
    assert.is_nil(text:find("[\27\r\255]"))
    r.violations[2].output = "c\u{9b}x"
    assert.is_nil(summary.text(r):find("\u{9b}", 1, true))
  end)

  it("cuts between characters, not inside", function()
    local r = sample()
    r.violations[2].output = ("ä"):rep(300)
    assert.is_truthy(utf8.len(summary.text(r)))
  end)

  it("colours the verdict only where it is wanted", function()
    assert.matches("^\27%[1;31mREJECT\27%[0m", summary.text(sample(), { color = true }))
    assert.is_nil(summary.text(sample()):find("\27", 1, true))
  end)

  it("shows what was measured, groups and alerts", function()
    local r = sample()
    for key, part in pairs(dofile "spec/mguard/report/sample_measures.lua"()) do r[key] = part end
    local text = summary.text(r, { width = 80 })
    assert.matches("Alerts\n  - latency_p95: the ratio lies wholly beyond the limit of 1.5\n", text, 1, true)
    assert.matches("clusters   30, design effect 1.5", text, 1, true)
    assert.matches([[
  metric            baseline candidate  compared  interval
  tokens               100.5     101.5         1  [0.5, 1.5], holds
  latency_p95              2         4       x 2  [1.8, 2.2], alert

  group                cases pass rate   interval
  de                   5 000   99.90 %   [99.70 %, 99.96 %]
  fr                   5 000   95.00 %   [94.30 %, 95.60 %]
  widest gap 4.90 % [4.30 %, 5.60 %], de over fr
]], text, 1, true)
    for _, line in ipairs(lines(text)) do assert.is_true(utf8.len(line) <= 80, line) end
    -- a percentile that the report has not of each side; and no baseline, where the candidate's mean stands
    r.metrics[2].quantile, r.metrics[1].baseline, r.metrics[1].kind = 0.9, core.null, "ratio"
    text = summary.text(r, { width = 80 })
    assert.matches([[
  tokens                   -       101         1  [0.5, 1.5], holds
  latency_p95              -         -       x 2  [1.8, 2.2], alert
]], text, 1, true)
  end)

  it("does without a baseline", function()
    local r = sample()
    r.baseline, r.difference, r.outcomes.baseline, r.rates.baseline = core.null, core.null, core.null, core.null
    local text = summary.text(r)
    assert.matches("\nwrong, 10 000 cases", text, 1, true)
    for _, word in ipairs { "difference", "against", "pairs", "null", "baseline  " } do
      if word ~= "difference" then assert.is_nil(text:gsub("violated clause[^\n]*", ""):find(word, 1, true), word) end
    end
    assert.is_nil(text:find("difference  ", 1, true))
  end)

  it("names the cases that differed when run again", function()
    local r = sample()
    r.repeat_check.different = { { case = 3, role = "candidate", first = "pass", again = "fail" } }
    assert.matches("  of 20 cases run twice, 1 differed:\n    case 3, candidate: pass, then fail\n", summary.text(r), 1, true)
  end)

  it("reads a report that went through JSON", function()
    local r = core.json_decode((core.json_encode(sample())))
    assert.equal(summary.text(sample()), summary.text(r))
  end)
end)
