-- `mguard power`: numbers of cases, and what is said to questions that have no answer.
local support = require "cli.support"

local function power(arguments) return support.mguard("/", "power " .. arguments) end

describe("mguard power", function()
  it("gives the smallest number of cases with its exact power", function()
    local got = power "--baseline .9 --delta .02 --discordant .05 --alpha .05 --target .8"
    assert.are.equal(0, got.code, got.err)
    assert.matches("superiority: pass rates 0.9 and 0.92", got.out, 1, true)
    assert.matches("cases needed: 949, exact power 0.8001", got.out, 1, true)
    assert.matches("by formula %(McNemar%)%s+979", got.out)
    assert.matches("on separate cases%s+3213 ", got.out)
    assert.matches("\n%s+949%s+0.8001  <%- needed\n", got.out)
  end)

  it("tells the Wald formula from the truth", function()
    local got = power "--discordant .04 --margin .02 --cases 785"
    assert.are.equal(0, got.code, got.err)
    assert.matches("cases needed: 866, exact power 0.8007", got.out, 1, true)
    assert.matches("by formula %(Wald%)%s+785; exact power there 0.7597", got.out)
    assert.matches("if no case differs%s+189\n", got.out)
    assert.matches("\n%s+785%s+0.7597  <%- %-%-cases\n", got.out)
  end)

  it("knows equivalence", function()
    local got = power "--goal equivalence --margin .02 --discordant .03"
    assert.are.equal(0, got.code, got.err)
    assert.matches("cases needed: 898, exact power 0.8074", got.out, 1, true)
  end)

  it("takes independent failures where no share is given", function()
    local got = power "--margin .05 --baseline .9"
    assert.are.equal(0, got.code, got.err)
    assert.matches("0.18 of the cases", got.out, 1, true)
  end)

  for arguments, says in pairs {
    [""] = "no number of cases shows superiority with margin 0 where the true difference is 0",
    ["--delta .05 --baseline .97"] = "the candidate's pass rate would be 1.02",
    ["--discordant .5 --margin .1"] = "it lies between 0 and 0.2",
    ["--delta x"] = "--delta must be a number from -1 to 1, got x",
    ["--goal foo"] = "--goal must be superiority, noninferiority or equivalence, got foo",
    ["--goal equivalence"] = "needs a --margin above 0",
    ["--margin .02 --delta -.02 --discordant .02"] = "no number of cases shows noninferiority",
    ["--delta .0000001 --discordant .1"] = "more than 1,000,000,000 cases",
    ["--frobnicate"] = "unknown option --frobnicate",
    ["plan.lua"] = "one argument too many: plan.lua",
  } do
    it("refuses: " .. arguments, function()
      local got = power(arguments)
      assert.are.equal(4, got.code)
      assert.matches(says, got.err, 1, true)
    end)
  end

  it("has a help", function()
    local got = power "--help"
    assert.are.equal(0, got.code)
    assert.matches("--discordant SHARE", got.out, 1, true)
    assert.are.equal("", got.err)
  end)
end)
