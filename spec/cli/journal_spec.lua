-- The journal as a user meets it: runs that were killed and resumed, what is refused, runs, report and verify.
local core = require "mguard.core"
local support = require "cli.support"

-- An implementation that kills its coordinator, once for each file kill-CASE: the executor's parent.
local CHECKS = [[
local mg = require "mguard"
local dir = %q
local function kill(case)
  local name = dir .. "/kill-" .. case
  local file = io.open(name)
  if not file then return end
  file:close()
  os.remove(name)
  os.execute("kill -9 $(awk '{ print $4 }' /proc/$PPID/stat); sleep 5")
end
return mg.checks {
  name = "killers",
  generate = function(g)
    g:label("third", g.case %% 3 == 0)
    if g.case %% 41 == 40 then g:discard() end
    return g.case, g:int(1, 1000)
  end,
  properties = {
    mg.property { "no multiple of 97", hard = false, check = function(out) return out[1] %% 97 ~= 0 end },
    mg.property { "small", check = function(out) return out[2] < 2000 end },
  },
  implementations = {
    old = function(case, n) return { case, n } end,
    new = function(case, n) kill(case) return { case + (case %% 89 == 0 and 1 or 0), n } end,
    bad = function(case, n) kill(case) return { case, case == 700 and 9999 or n } end,
  },
}
]]

local PLAN = [[
local mg = require "mguard"
return mg.plan { checks = "checks.lua", baseline = "old", candidate = "new", cases = 1200, seed = 7,
  goal = mg.goal.noninferiority(0.05), batching = function() return 40 end, %s }
]]

local function world(more)
  local dir = support.folder()
  support.write(dir, "checks.lua", CHECKS:format(dir))
  support.write(dir, "plan.lua", PLAN:format(more or ""))
  return dir
end

-- What a resumed run must have in common with an undisturbed one.
local function essence(report)
  local r = {}
  for k, v in pairs(report) do r[k] = v end
  r.run, r.started, r.seconds, r.delivery, r.notes = nil, nil, nil, nil, nil
  return r
end

local function runs(dir, more)
  local got = support.mguard(dir, "runs --state-dir st --json " .. (more or ""))
  assert.are.equal(0, got.code, got.err)
  return assert(core.json_decode(got.out)).runs
end

local function verify(dir)
  local got = support.mguard(dir, "verify latest --state-dir st --json")
  return got.code, core.json_decode(got.out), got
end

-- Runs to the end, however often it is killed; gives the last result and how many died.
local function through(dir, arguments, kills)
  for _, case in ipairs(kills) do support.write(dir, "kill-" .. case, "") end
  local died, got = 0, support.run(dir, "plan.lua", "--quiet --state-dir st " .. arguments)
  while got.code == 137 or got.code == 9 do
    died = died + 1
    assert.is_nil(got.report)
    assert.are.equal("broken off", runs(dir)[1].state)
    assert.is_true(died <= #kills)
    got = support.mguard(dir, "run --resume latest --quiet --state-dir st --report-json " .. dir .. "/report-of-spec.json " .. arguments)
    if got.code < 100 then got.report = assert(core.json_decode(support.read(dir .. "/report-of-spec.json"))) end
  end
  return got, died
end

local function chance(n, below)
  local seed = tonumber(os.getenv "JOURNAL_SEED") or tonumber(io.open("/dev/urandom", "rb"):read(3):byte(1)) * 7919 + os.time()
  math.randomseed(seed)
  print(("# seed %d (JOURNAL_SEED)"):format(seed))
  local cases = {}
  for i = 1, n do cases[i] = math.random(0, below - 1) // 41 * 41 end -- no discarded ones
  return cases
end

describe("a run that is killed and resumed", function()
  teardown(support.clean)

  local kinds = {
    { "of every case", "", "" },
    { "that ends early", [[stop = mg.stop.anytime()]], "" },
    { "with a sample that runs again", [[flaky = { reruns = 3, sample = 0.1 }]], "" },
    { "that rejects at the first violation", "", "--candidate bad --fail-fast --workers 1" },
    { "that rejects", "", "--candidate bad" },
    { "that measures", [[endpoints = { third = 0.1 }, group = function(case) return case % 3 end, metrics = {
      mg.metric { "sum", value = function(out, case, n) return out[1] + n / 7 end },
      mg.metric { "third", value = function(out, case, n) return n / 3 + case % 5 end, kind = "quantile" },
      mg.metric { "rare", value = function(out, case) if case % 4 > 0 then return out[1] + 0.1 end end, kind = "ratio" } }]], "" },
    { "of clusters", [[cluster = function(case) return case % 31 end, interval = "cluster-bootstrap"]], "" },
  }
  for _, kind in ipairs(kinds) do
    it(kind[1], function()
      local dir = world(kind[2])
      local want = support.run(dir, "plan.lua", "--quiet --no-journal " .. kind[3])
      assert.is_truthy(want.report, want.err)
      -- One early, one late, others anywhere; a case beyond an early end does not come.
      local kills = chance(2, 600)
      kills[3], kills[4] = 41, 656
      local got, died = through(dir, kind[3], kills)
      assert.is_true(died >= 1)
      assert.are.equal(want.code, got.code, got.err)
      if kind[3]:find "fail%-fast" then -- how far it got is not fixed
        assert.are.equal(want.report.verdict, got.report.verdict)
        return
      end
      assert.are.same(essence(want.report), essence(got.report))
      local code, found, said = verify(dir)
      assert.are.equal(0, code, said.out .. said.err)
      assert.is_true(found.digest_right)
      assert.are.equal(died, found.resumed)
      local state = runs(dir)[1]
      assert.are.equal("ended", state.state)
      assert.are.equal(want.report.verdict, state.verdict)
    end)
  end

  it("writes the outcomes of all cases", function()
    local dir = world()
    support.run(dir, "plan.lua", "--quiet --no-journal --outcomes want.csv")
    local _, died = through(dir, "--outcomes got.csv", { 410 })
    assert.are.equal(1, died)
    assert.are.equal(support.read(dir .. "/want.csv"), support.read(dir .. "/got.csv"))
  end)
end)

describe("resuming something else", function()
  local dir, run
  setup(function()
    dir = world()
    support.write(dir, "kill-902", "")
    support.run(dir, "plan.lua", "--quiet --state-dir st --cases 1000")
    run = runs(dir)[1].run
  end)
  teardown(support.clean)

  local function refused(arguments, ...)
    local got = support.mguard(dir, "run --state-dir st --quiet " .. arguments)
    assert.are.equal(4, got.code, got.err)
    for _, words in ipairs { ... } do assert.is_truthy(got.err:find(words, 1, true), got.err) end
  end

  it("is refused with what changed", function()
    refused("--resume latest --seed 8", "the seed was 7 and is now 8")
    refused("--resume latest --cases 999", "the number of cases was 1000 and is now 999")
    refused("--resume latest --candidate bad", "the candidate was new and is now bad")
    refused("--resume latest --timeout-ms 1234", "the time limit in ms was 2000 and is now 1234")
    local plan, checks = support.read(dir .. "/plan.lua"), support.read(dir .. "/checks.lua")
    support.write(dir, "plan.lua", (plan:gsub("0%.05", "0.06")))
    refused("--resume latest", "the file plan.lua has changed")
    support.write(dir, "plan.lua", plan)
    support.write(dir, "checks.lua", (checks:gsub("2000", "2001")))
    refused("--resume latest", "checks.lua has changed")
    support.write(dir, "checks.lua", checks)
  end)

  it("is refused where there is nothing to resume", function()
    refused("--resume no-such-run", "there is no journal", "no-such-run")
    refused("--resume ../x", "no name of a run")
    refused("--resume latest --no-journal", "--resume needs the journal")
    refused("", "missing: PLAN")
    local got = support.mguard(dir, "run --resume latest --state-dir elsewhere")
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("no run to be resumed in elsewhere", 1, true), got.err)
  end)

  it("tells what is missing until then, and goes on from another folder", function()
    local code, found = verify(dir)
    assert.are.equal(1, code)
    assert.is_false(found.clean)
    assert.is_true(found.missing > 0 and found.recorded + found.missing == 1000)
    local report = support.mguard(dir, "report latest --state-dir st")
    assert.are.equal(4, report.code)
    assert.is_truthy(report.err:find("broken off", 1, true), report.err)
    local got = support.mguard("/", ("run --resume %s --quiet --state-dir %s/st --report-json %s/r.json"):format(run, dir, dir))
    assert.are.equal(0, got.code, got.err)
    assert.are.equal(0, (verify(dir)))
    refused("--resume " .. run, "has ended (adopt)", "mguard report")
    refused("--resume latest", "no run to be resumed")
  end)
end)

describe("the journal of a run", function()
  teardown(support.clean)

  it("is not made for short runs on one machine", function()
    local dir = world()
    local got
    for _ = 1, 5 do
      got = support.run(dir, "plan.lua", "--cases 50")
      assert.are.equal(2, got.code, got.err)
      if got.report.seconds < 1 then break end
      support.shell(dir, "rm -rf .mguard")
    end
    if got.report.seconds >= 1 then return pending "the machine is too busy for a short run" end
    assert.are.equal("none\n", support.shell(dir, "test -e .mguard || echo none").out, got.err)
    assert.is_nil(got.err:find("journal", 1, true))
  end)

  it("stands where the run says, and is ignored by version control", function()
    local dir = world()
    support.write(dir, "slow.lua", [[
local mg = require "mguard"
return mg.plan { checks = mg.checks { generate = function(g) return g.case end,
  properties = { mg.property { "p", check = function() return true end } },
  implementations = { a = function(n) local t = os.clock() while os.clock() - t < 0.05 do end return n end } },
  candidate = "a", goal = mg.goal.absolute(0.01), cases = 100000, seed = 1 }
]])
    local got = support.shell(dir, support.quote(support.program) .. [[ run slow.lua & p=$!
      while ! ls .mguard/runs/*.db >/dev/null 2>&1; do sleep 0.05; done; sleep 0.2; kill -INT $p; wait $p]])
    assert.are.equal(130, got.code, got.err)
    local where = got.err:match "journal (%S+)\n"
    assert.is_truthy(where, got.err)
    assert.are.equal("*\n", support.read(dir .. "/.mguard/.gitignore"))
    assert.is_truthy(got.err:find("--resume " .. where:match "([^/]+)%.db", 1, true), got.err)
    assert.are.equal("-rw-------", support.shell(dir, "ls -l " .. where).out:match "%S+")
    local shown = support.mguard(dir, "report latest")
    assert.are.equal(0, shown.code, shown.err)
    assert.is_truthy(got.out:find(shown.out, 1, true))
  end)

  it("is written anew by report", function()
    local dir = world()
    local got = support.run(dir, "plan.lua", "--state-dir st")
    local again = support.mguard(dir, "report latest --state-dir st --report-json again.json")
    assert.are.equal(0, again.code, again.err)
    assert.are.equal(got.out, again.out)
    assert.are.equal(support.read(dir .. "/report-of-spec.json"), support.read(dir .. "/again.json"))
    assert.are.equal(support.read(dir .. "/again.json"), support.mguard(dir, "report latest --state-dir st --json").out)
  end)

  it("is refused where it cannot stand", function()
    local dir = world()
    support.write(dir, "file", "")
    local got = support.run(dir, "plan.lua", "--quiet --state-dir file/runs")
    assert.are.equal(4, got.code)
    for _, words in ipairs { "file/runs", "--state-dir", "--no-journal" } do assert.is_truthy(got.err:find(words, 1, true), got.err) end
    assert.is_nil(got.report)
  end)

  it("is not kept where the run came to nothing", function()
    local dir = world()
    support.write(dir, "plan.lua", (support.read(dir .. "/plan.lua"):gsub("checks%.lua", "gone.lua")))
    local got = support.mguard(dir, "run plan.lua --quiet --state-dir st")
    assert.are.equal(4, got.code, got.err)
    support.write(dir, "plan.lua", (support.read(dir .. "/plan.lua"):gsub("gone%.lua", "checks.lua")))
    got = support.mguard(dir, [[run plan.lua --quiet --state-dir st --backend redis \
      --queue-config '{"connection":{"host":"127.0.0.1","port":1},"broker_patience_seconds":0.2}']])
    assert.are.equal(5, got.code, got.err)
    assert.is_nil(got.err:find("--resume", 1, true), got.err)
    assert.are.same({}, runs(dir))
  end)

  it("gives no report once it is damaged", function()
    local dir = world()
    support.run(dir, "plan.lua", "--quiet --state-dir st")
    local name = runs(dir)[1].run
    -- The last page: records, of a run whose file is larger than that.
    support.shell(dir, ("f=st/%s.db; dd if=/dev/urandom of=$f bs=1 count=3000 seek=$(($(stat -c %%s $f) - 3500)) conv=notrunc")
      :format(name))
    local code, _, said = verify(dir)
    assert.are.equal(5, code, said.out .. said.err)
    assert.is_truthy(said.err:find("is damaged", 1, true), said.err)
    support.shell(dir, ("printf x | dd of=st/%s.db bs=1 count=1 conv=notrunc 2>/dev/null"):format(name))
    local shown = support.mguard(dir, "report latest --state-dir st")
    assert.are.equal(5, shown.code)
    assert.is_truthy(shown.err:find(name, 1, true), shown.err)
    assert.are.equal("damaged", runs(dir)[1].state)
    local got = support.mguard(dir, "run --state-dir st --resume " .. name)
    assert.are.equal(5, got.code, got.err)
  end)

  it("that was only begun is told as empty, and pruned", function()
    local dir = world()
    support.run(dir, "plan.lua", "--quiet --state-dir st")
    support.shell(dir, ": > st/20200101-000000-0000.db")
    local list = runs(dir)
    assert.are.equal("empty", list[1].state)
    assert.are.equal("ended", list[2].state)
    local got = support.mguard(dir, "run --resume 20200101-000000-0000 --state-dir st")
    assert.are.equal(4, got.code)
    assert.is_truthy(got.err:find("start the run again", 1, true), got.err)
    assert.are.equal(1, #runs(dir, "--prune")) -- those that went
    assert.are.equal(1, #runs(dir))
    assert.are.equal(1, #runs(dir, "--prune --older-than 0"))
    assert.are.equal(0, #runs(dir))
  end)
end)
