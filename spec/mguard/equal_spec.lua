local mg = require "mguard"
local core = require "mguard.core"
local support = require "spec.support"

local equal = mg.equal
local NAN <const> = 0 / 0

describe("mg.equal.deep", function()
  it("compares numbers by value, strings by bytes, tables by content", function()
    assert.is_true(equal.deep(1, 1.0))
    assert.is_true(equal.deep(0.0, -0.0))
    assert.is_true(equal.deep(NAN, NAN))
    assert.is_true(equal.deep({ a = { 1, { "x" } } }, { a = { 1, { "x" } } }))
    assert.is_true(equal.deep("\0\255", "\0\255"))
    assert.is_false(equal.deep(1, "1"))
    assert.is_false(equal.deep({ 1 }, { 1, 2 }))
    assert.is_false(equal.deep({ a = 1 }, { b = 1 }))
    assert.is_false(equal.deep(2 ^ 53, (1 << 53) + 1))
    assert.is_false(equal.deep(nil, false))
  end)
  it("tells an empty array from an empty object where both are marked", function()
    assert.is_false(equal.deep(core.array {}, core.object {}))
    assert.is_true(equal.deep(core.array {}, {}))
  end)
end)

describe("mg.equal.multiset", function()
  it("does not mind the order of a list", function()
    assert.is_true(equal.multiset({ 3, 1, 2, 1 }, { 1, 1, 2, 3 }))
    assert.is_true(equal.multiset({ { b = 1 }, { a = 1 } }, { { a = 1 }, { b = 1 } }))
    assert.is_true(equal.multiset({ 1, "a", true, {} }, { {}, true, "a", 1.0 }))
  end)
  it("counts how often an entry stands", function()
    assert.is_false(equal.multiset({ 1, 1, 2 }, { 1, 2, 2 }))
    assert.is_false(equal.multiset({ 1 }, { 1, 1 }))
  end)
  it("minds the order inside the entries", function()
    assert.is_false(equal.multiset({ { 1, 2 } }, { { 2, 1 } }))
  end)
  it("compares all else as deep does", function()
    assert.is_true(equal.multiset({ a = 1 }, { a = 1 }))
    assert.is_false(equal.multiset({ a = 1 }, { a = 2 }))
    assert.is_false(equal.multiset({ 1 }, 1))
    assert.is_false(equal.multiset(core.array {}, core.object {}))
  end)
  it("gives the same answer for integers as for the floats of the same value", function()
    local seed = 12345
    local function draw(n)
      seed = (seed * 1103515245 + 12345) % (1 << 31)
      return seed // 65536 % n
    end
    for _ = 1, 300 do
      local a, b, floats = {}, {}, {}
      for i = 1, draw(60) do a[i] = draw(4) - 2 end
      for i, v in ipairs(a) do b[#a + 1 - i] = v end
      if draw(2) == 0 and #b > 0 then b[1 + draw(#b)] = draw(4) - 2 end
      for i, v in ipairs(b) do floats[i] = v + 0.0 end
      assert.are.equal(equal.multiset(a, floats), equal.multiset(a, b))
    end
    assert.is_false(equal.multiset({ math.mininteger }, { math.maxinteger }))
  end)
  it("leaves the lists as they are", function()
    local a, b = { 2, 1 }, { 1, 2 }
    equal.multiset(a, b)
    assert.same({ 2, 1 }, a)
    assert.same({ 1, 2 }, b)
  end)
end)

describe("mg.equal.approx", function()
  it("allows an absolute or a relative difference, whichever is larger", function()
    local near = equal.approx { abs = 0.1, rel = 0.01 }
    assert.is_true(near(1, 1.09))
    assert.is_true(near(1000, 1009))
    assert.is_false(near(1, 1.2))
    assert.is_false(near(1000, 1011))
    assert.is_true(near({ x = { 1 } }, { x = { 1.05 } }))
    assert.is_true(near(NAN, NAN))
    assert.is_false(near(NAN, 1))
    assert.is_true(near(math.huge, math.huge))
    assert.is_false(near(math.huge, -math.huge))
  end)
  it("is 1e-9 where nothing is said", function()
    assert.is_true(equal.approx()(1, 1 + 1e-10))
    assert.is_false(equal.approx()(1, 1 + 1e-8))
  end)
  it("goes with unordered lists and picks partners that fit all", function()
    local near = equal.approx { abs = 1, unordered = true }
    assert.is_true(near({ 1.0, 2.5 }, { 1.9, 0.5 }))
    -- in sorted order these do not fit one by one
    assert.is_true(near({ { x = 0, y = 5 }, { x = 0.5, y = 0 } }, { { x = 0, y = 0 }, { x = 0.5, y = 5 } }))
    assert.is_false(near({ 0, 0, 5 }, { 0, 5, 5 }))
  end)
  it("refuses wrong tolerances with file and line", function()
    local message = support.message(function() equal.approx { abs = -1 } end)
    assert.matches("^spec/mguard/equal_spec%.lua:%d+: abs must be a number of 0 or more, got %-1", message)
    assert.matches("rel must be a number from 0 to 1, got 2", support.message(function() equal.approx { rel = 2 } end), 1, true)
    assert.matches('unknown key "tol"', support.message(function() equal.approx { tol = 2 } end), 1, true)
    assert.matches("takes a table", support.message(function() equal.approx(0.1) end), 1, true)
  end)
end)

describe("mg.equal.with", function()
  it("ignores the order of lists under some keys only", function()
    local same = equal.with { unordered = { "tags" } }
    assert.is_true(same({ tags = { "a", "b" }, path = { 1, 2 } }, { tags = { "b", "a" }, path = { 1, 2 } }))
    assert.is_false(same({ tags = { "a", "b" }, path = { 1, 2 } }, { tags = { "b", "a" }, path = { 2, 1 } }))
    assert.is_false(same({ tags = { "a", "b" } }, { tags = { "b", "c" } }))
    assert.is_false(same({ tags = { "a" } }, { tags = "a" }))
    assert.is_false(same({ "a" }, "a"))
    assert.is_true(same({ x = { { tags = { 1, 2 } } } }, { x = { { tags = { 2, 1 } } } }))
  end)
  it("ignores the order of all lists at every depth", function()
    local same = equal.with { unordered = true }
    assert.is_true(same({ { 1, 2 }, { 3 } }, { { 3 }, { 2, 1 } }))
    assert.is_false(same({ { 1, 2 }, { 3 } }, { { 3 }, { 2, 2 } }))
    assert.is_false(same({ 1, 2 }, { 1, 2, 3 }))
    assert.is_true(same({ a = { 1, 2 } }, { a = { 2, 1 } }))
  end)
  it("leaves keys out", function()
    local same = equal.with { ignore = { "time" } }
    assert.is_true(same({ a = 1, time = 5 }, { a = 1, time = 6 }))
    assert.is_true(same({ a = 1, time = 5 }, { a = 1 }))
    assert.is_true(same({ a = 1 }, { a = 1, time = 5 }))
    assert.is_false(same({ a = 1 }, { a = 1, b = 2 }))
    assert.is_false(same({ a = 1, b = 2 }, { a = 1 }))
  end)
  it("is deep where nothing is said", function()
    assert.equal(core.equal, equal.with {})
    assert.is_false(equal.with { ignore = { "x" } }(1, 2))
    assert.is_false(equal.with { ignore = { "x" } }(core.array {}, core.object {}))
  end)
  it("refuses wrong options", function()
    assert.matches("unordered must be true (all lists) or a list of keys whose lists have no order, got \"tags\"",
      support.message(function() equal.with { unordered = "tags" } end), 1, true)
    assert.matches("ignore must be a list of keys to leave out, got true",
      support.message(function() equal.with { ignore = true } end), 1, true)
  end)
end)
