local mg = require "mguard"
local clause = require "mguard.clause"
local support = require "spec.support"

local function yes() return true end
local function same(_, ...) return ... end
local function line_before() return "spec/mguard/clause_spec.lua:" .. debug.getinfo(2, "l").currentline - 1 end

describe("mg.property", function()
  it("keeps name, check, mode, given and where it stands", function()
    local p = mg.property { "sorted", check = yes, given = yes }
    local at = line_before()
    assert.equal("property", p.kind)
    assert.equal("sorted", p.name)
    assert.equal(yes, p.check)
    assert.equal(yes, p.given)
    assert.equal("hard", p.mode)
    assert.equal(at, p.where)
  end)
  it("has three modes", function()
    assert.equal("hard", mg.property({ "a", check = yes, hard = true }).mode)
    assert.equal("soft", mg.property({ "a", check = yes, hard = false }).mode)
    assert.equal("absolute", mg.property({ "a", check = yes, hard = "absolute" }).mode)
  end)
  it("takes its name by key too, not twice", function()
    assert.equal("a", mg.property({ name = "a", check = yes }).name)
    assert.matches("mg.property has its name twice", support.message(mg.property, { "a", name = "b", check = yes }), 1, true)
  end)
  local bad = {
    { "no check", { "a" },
      "check is missing in mg.property: it must be a function (out, ...arguments) that gives true or false" },
    { "a check that is no function", { "a", check = true },
      "check must be a function (out, ...arguments) that gives true or false, got true" },
    { "no name", { check = yes }, "name is missing in mg.property: it must be a name of 1 to 64 bytes" },
    { "a name with a comma", { "a,b", check = yes },
      'name must be a name of 1 to 64 bytes without control characters, commas' },
    { "an unknown mode", { "a", check = yes, hard = "soft" }, 'hard must be true, false or "absolute", got "soft"' },
    { "an unknown key", { "a", chek = yes }, 'unknown key "chek" in mg.property; did you mean "check"?' },
    { "a key of relations", { "a", check = yes, expect = "equal" }, 'unknown key "expect" in mg.property; known keys: ' },
    { "a second positional value", { "a", yes }, "mg.property takes named keys only, got a function at [2]" },
    { "no table", "sorted", 'mg.property takes a table: mg.property { ... }, got "sorted"' },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1] .. ", with file and line", function()
      local message = support.message(function() mg.property(case[2]) end)
      assert.matches(case[3], message, 1, true)
      assert.matches("^spec/mguard/clause_spec%.lua:%d+: ", message)
    end)
  end
end)

describe("mg.relation", function()
  it("keeps its fields and expects equal outputs by default", function()
    local r = mg.relation { "permute", transform = same, hard = false }
    local at = line_before()
    assert.equal("relation", r.kind)
    assert.equal("equal", r.expect)
    assert.equal("soft", r.mode)
    assert.equal(same, r.transform)
    assert.equal(at, r.where)
  end)
  it("takes each expectation", function()
    for _, expect in ipairs { "equal", "not_equal", "properties", yes } do
      assert.equal(expect, mg.relation({ "r", transform = same, expect = expect }).expect)
    end
  end)
  it("refuses others", function()
    assert.matches('expect must be "equal", "not_equal", "properties" or a function (out, out2, args, args2), got "same"',
      support.message(function() mg.relation { "r", transform = same, expect = "same" } end), 1, true)
    assert.matches('unknown key "tranform" in mg.relation; did you mean "transform"?',
      support.message(function() mg.relation { "r", tranform = same } end), 1, true)
    assert.matches("transform is missing in mg.relation", support.message(function() mg.relation { "r" } end), 1, true)
  end)
end)

describe("the clauses of a suite", function()
  local function p(name) return mg.property { name, check = yes } end
  local function r(name) return mg.relation { name, transform = same } end

  it("are properties, then relations, in the order written", function()
    local all = clause.collect({ p "b", p "a" }, { r "d", r "c" }, "x")
    local names = {}
    for i, c in ipairs(all) do names[i] = c.name end
    assert.same({ "b", "a", "d", "c" }, names)
  end)
  it("are plain tables", function()
    assert.is_nil(getmetatable(clause.collect({ p "a" }, {}, "x")[1]))
  end)
  it("have different names, over both lists", function()
    assert.matches('two clauses are called "a" %(the other: spec/mguard/clause_spec.lua:%d+%); names must differ',
      support.message(clause.collect, { p "a" }, { r "a" }, "x"))
  end)
  it("are not called completes", function()
    assert.matches('must not be called "completes"', support.message(clause.collect, { p "completes" }, {}, "x"), 1, true)
  end)
  it("stand in their own list", function()
    assert.matches("x: properties[1] must be made with mg.property { ... }, got ",
      support.message(clause.collect, { r "a" }, {}, "x"), 1, true)
    assert.matches("x: relations[2] must be made with mg.relation { ... }, got ",
      support.message(clause.collect, {}, { r "a", { "b" } }, "x"), 1, true)
    assert.matches("x: properties must be a list: { mg.property { ... }, ... }, got a value at [\"sorted\"]",
      support.message(clause.collect, { sorted = p "a" }, {}, "x"), 1, true)
  end)
  it("are at most 63", function()
    local many = {}
    for i = 1, 63 do many[i] = p("p" .. i) end
    assert.equal(63, #clause.collect(many, {}, "x"))
    assert.matches("x: there are 64 properties and relations, at most 63 are allowed together",
      support.message(clause.collect, many, { r "r" }, "x"), 1, true)
  end)
end)
