local rule = require "mguard.rule"
local support = require "spec.support"

local NAN <const> = 0 / 0

describe("mguard.rule", function()
  describe("whole numbers", function()
    local r = { key = "cases", kind = "integer", min = 1, max = 100 }
    it("accepts the ends of the range", function()
      assert.equal(1, rule.check(r, 1))
      assert.equal(100, rule.check(r, 100))
    end)
    it("takes 3.0 as 3", function()
      assert.equal("integer", math.type(rule.check(r, 3.0)))
    end)
    for _, bad in ipairs { 0, 101, 1.5, NAN, math.huge, -math.huge, "7", true, {} } do
      it("refuses " .. tostring(bad):gsub("0x%x+", ""), function()
        assert.is_false((rule.accepts(r, bad)))
      end)
    end
    it("names key, range and value", function()
      assert.equal("plan.lua:3: cases must be a whole number from 1 to 100, got 0",
        support.message(rule.check, r, 0, "plan.lua:3"))
    end)
  end)

  describe("numbers", function()
    local r = { key = "alpha", kind = "number", above = 0, max = 0.5 }
    it("keeps open ends open", function()
      assert.is_false((rule.accepts(r, 0)))
      assert.is_true((rule.accepts(r, 0.5)))
      assert.is_true((rule.accepts(r, 5e-324)))
    end)
    it("refuses NaN and infinities where no range is given", function()
      local free = { key = "x", kind = "number" }
      assert.is_false((rule.accepts(free, NAN)))
      assert.is_false((rule.accepts(free, math.huge)))
      assert.is_false((rule.accepts(free, -math.huge)))
    end)
    it("describes each kind of range", function()
      assert.equal("a number above 0 up to 0.5", rule.describe(r))
      assert.equal("a number from 0 to 1", rule.describe { kind = "number", min = 0, max = 1 })
      assert.equal("a number of 2 or more", rule.describe { kind = "number", min = 2 })
      assert.equal("a number above 0 and below 1", rule.describe { kind = "number", above = 0, below = 1 })
      assert.equal("a number up to 9", rule.describe { kind = "number", max = 9 })
      assert.equal("a number from 0 and below 1", rule.describe { kind = "number", min = 0, below = 1 })
    end)
  end)

  it("refuses empty strings unless allowed, and NUL bytes always", function()
    assert.is_false((rule.accepts({ kind = "string" }, "")))
    assert.is_true((rule.accepts({ kind = "string", empty = true }, "")))
    assert.is_false((rule.accepts({ kind = "string" }, "a\0b")))
  end)

  it("copies lists of strings and refuses gaps and other values", function()
    local list = { "a", "b" }
    local ok, copy = rule.accepts({ kind = "strings" }, list)
    assert.is_true(ok)
    assert.same(list, copy)
    assert.not_equal(list, copy)
    assert.is_false((rule.accepts({ kind = "strings" }, { "a", 2 })))
    assert.is_false((rule.accepts({ kind = "strings" }, { [1] = "a", [3] = "b" })))
    assert.is_false((rule.accepts({ kind = "strings" }, { "a", x = "b" })))
  end)

  it("lists what an enum may be", function()
    assert.equal('color must be one of "red", "blue", got "green"',
      support.message(rule.check, { key = "color", kind = "enum", values = { "red", "blue" } }, "green"))
  end)

  it("never shows a secret", function()
    local text = support.message(rule.check, { key = "password", kind = "string", secret = true }, { "hunter2" })
    assert.is_nil(text:find("hunter2", 1, true))
  end)

  describe("misspelt names", function()
    local known = { "cases", "candidate", "case_timeout_ms", "seed", "checks" }
    it("finds the nearest", function()
      assert.equal("cases", rule.nearest("case", known))
      assert.equal("seed", rule.nearest("sede", known))
      assert.equal("candidate", rule.nearest("Candidat", known))
    end)
    it("finds none for a word that is far from all", function()
      assert.is_nil(rule.nearest("zebra", known))
    end)
    it("breaks ties by the alphabet, whatever the order of the list", function()
      assert.equal("aab", rule.nearest("aa", { "aac", "aab" }))
      assert.equal("aab", rule.nearest("aa", { "aab", "aac" }))
    end)
    it("lists what is known where nothing is near", function()
      assert.equal("; known keys: a, b", rule.hint("zebra", { "b", "a" }, "keys"))
      assert.equal("; there are no implementations", rule.hint("v1", {}, "implementations"))
    end)
  end)

  describe("tables of fields", function()
    local rules = {
      { key = "cases", kind = "integer", min = 1, required = true },
      { key = "seed", kind = "integer", default = 7 },
      { key = "quick", kind = "boolean", default = false },
    }
    it("fills in defaults, false too, and leaves the given table alone", function()
      local given = { cases = 2 }
      assert.same({ cases = 2, seed = 7, quick = false }, rule.fields(given, rules, nil, "mg.plan"))
      assert.same({ cases = 2 }, given)
    end)
    it("refuses an unknown key with a suggestion", function()
      assert.equal('p.lua:1: unknown key "case" in mg.plan; did you mean "cases"?',
        support.message(rule.fields, { case = 2 }, rules, "p.lua:1", "mg.plan"))
    end)
    it("names a missing key and what it must be", function()
      assert.equal("p.lua:1: cases is missing in mg.plan: it must be a whole number of 1 or more",
        support.message(rule.fields, {}, rules, "p.lua:1", "mg.plan"))
    end)
    it("refuses values without a name", function()
      assert.equal('p.lua:1: mg.plan takes named keys only, got "v1" at [1]',
        support.message(rule.fields, { "v1", cases = 1 }, rules, "p.lua:1", "mg.plan"))
    end)
    it("refuses what is no table", function()
      assert.equal("p.lua:1: mg.plan takes a table: mg.plan { ... }, got 3",
        support.message(rule.fields, 3, rules, "p.lua:1", "mg.plan"))
    end)
  end)

  it("knows names that CSV files and messages can carry", function()
    assert.is_true(rule.is_name("top_k v2.1 (größer)"))
    for _, bad in ipairs { "", "a,b", "a;b", 'a"b', "a\nb", "\255", ("x"):rep(65), 3 } do
      assert.is_false(rule.is_name(bad))
    end
  end)

  it("sorts keys of different types", function()
    assert.same({ 9, 10, "a", "b" }, rule.sorted_keys { b = 1, [10] = 1, a = 1, [9] = 1 })
    assert.same({ false, true, 1 }, rule.sorted_keys { 1, [true] = 1, [false] = 1 })
  end)
end)
