local mg = require "mguard"
local goal = require "mguard.goal"
local stop = require "mguard.stop"
local support = require "spec.support"

describe("mg.goal", function()
  it("has defaults", function()
    assert.same({ kind = "noninferiority", margin = 0.01, alpha = 0.05 }, goal.of(mg.goal.noninferiority()))
    assert.same({ kind = "superiority", margin = 0, alpha = 0.05 }, goal.of(mg.goal.superiority()))
    assert.same({ kind = "equivalence", margin = 0.01, alpha = 0.05 }, goal.of(mg.goal.equivalence()))
    assert.same({ kind = "absolute", min_pass_rate = 0.99, alpha = 0.05 }, goal.of(mg.goal.absolute()))
  end)
  it("takes a number, a number and options, or one table", function()
    local expected = { kind = "noninferiority", margin = 0.02, alpha = 0.1 }
    assert.equal(0.02, goal.of(mg.goal.noninferiority(0.02)).margin)
    assert.same(expected, goal.of(mg.goal.noninferiority(0.02, { alpha = 0.1 })))
    assert.same(expected, goal.of(mg.goal.noninferiority { margin = 0.02, alpha = 0.1 }))
    assert.equal(0.5, goal.of(mg.goal.absolute(0.5)).min_pass_rate)
    assert.same({ kind = "equivalence", margin = 0.01, alpha = 0.05, min_pass_rate = 0.9 },
      goal.of(mg.goal.equivalence(0.01, { min_pass_rate = 0.9 })))
  end)
  local bad = {
    { "noninferiority", -0.1, "margin must be a number from 0 and below 1, got -0.1" },
    { "noninferiority", 1, "margin must be a number from 0 and below 1, got 1" },
    { "noninferiority", "0.01", 'margin must be a number from 0 and below 1, got "0.01"' },
    { "noninferiority", 0 / 0, "margin must be a number from 0 and below 1, got " },
    { "equivalence", 0, "margin must be a number above 0 and below 1, got 0" },
    { "absolute", 1, "min_pass_rate must be a number above 0 and below 1, got 1" },
    { "superiority", { alpha = 0 }, "alpha must be a number above 0 up to 0.5, got 0" },
    { "superiority", { alpha = 0.6 }, "alpha must be a number above 0 up to 0.5, got 0.6" },
    { "superiority", { min_pass_rate = 1 }, "min_pass_rate must be a number above 0 and below 1, got 1" },
    { "superiority", { min_rate = 0.5 }, 'unknown key "min_rate" in mg.goal.superiority' },
  }
  for i, case in ipairs(bad) do
    it(("refuses %d: %s"):format(i, case[3]), function()
      local message = support.message(function() mg.goal[case[1]](case[2]) end)
      assert.matches(case[3], message, 1, true)
      assert.matches("^spec/mguard/goal_spec%.lua:%d+: ", message)
    end)
  end
  it("is told from other tables", function()
    assert.is_nil(goal.of { kind = "noninferiority", margin = 0.1 })
    assert.is_nil(goal.of(0.1))
  end)
end)

describe("mg.stop", function()
  it("takes its kinds", function()
    assert.same({ kind = "fixed" }, stop.of(mg.stop.fixed()))
    assert.same({ kind = "anytime", alpha = 0.05, max = 100 }, stop.of(mg.stop.anytime { alpha = 0.05, max = 100 }))
    assert.same({ kind = "group", looks = 5, spending = "obf" }, stop.of(mg.stop.group()))
    assert.same({ kind = "sprt", beta = 0.2, odds = 0.75 }, stop.of(mg.stop.sprt()))
  end)
  it("refuses wrong fields", function()
    assert.matches('unknown key "max" in mg.stop.fixed', support.message(function() mg.stop.fixed { max = 3 } end), 1, true)
    assert.matches("looks must be a whole number from 2 to 100, got 1",
      support.message(function() mg.stop.group { looks = 1 } end), 1, true)
    assert.matches('spending must be one of "obf", "pocock", got "x"',
      support.message(function() mg.stop.group { spending = "x" } end), 1, true)
  end)
end)
