local mg = require "mguard"
local support = require "spec.support"

local relations = mg.relations
-- Stands in for g: turns a list round, so that the order certainly changes.
local g = {}
function g:shuffle(list) -- luacheck: ignore 212
  local turned = {}
  for i = #list, 1, -1 do turned[#turned + 1] = list[i] end
  return turned
end

local function applied(relation, ...) return table.pack(relation.transform(g, ...)) end
local function any() return true end

describe("mg.relations", function()
  it("permute shuffles one argument and leaves the others", function()
    local r = relations.permute(2)
    local line = debug.getinfo(1, "l").currentline - 1
    assert.equal("relation", r.kind)
    assert.equal("permute", r.name)
    assert.equal("equal", r.expect)
    assert.equal("spec/mguard/relations/init_spec.lua:" .. line, r.where)
    local list = { 1, 2, 3 }
    assert.same({ n = 3, "a", { 3, 2, 1 }, "c" }, applied(r, "a", list, "c"))
    assert.same({ 1, 2, 3 }, list)
  end)
  it("reverse turns a list round", function()
    assert.same({ n = 1, { 3, 2, 1 } }, applied(relations.reverse(1), { 1, 2, 3 }))
    assert.same({ n = 1, {} }, applied(relations.reverse(), {}))
  end)
  it("duplicate and append make longer lists", function()
    local list = { 1, 2 }
    assert.same({ n = 2, { 1, 2, 1, 2 }, 9 }, applied(relations.duplicate(1, { expect = any }), list, 9))
    local r = relations.append(1, function(_, l) return #l * 10 end, { expect = any })
    assert.same({ n = 2, { 1, 2, 20 }, 9 }, applied(r, list, 9))
    assert.same({ 1, 2 }, list)
  end)
  it("scale and shift change numbers, in tables too", function()
    assert.same({ n = 1, 6 }, applied(relations.scale(1, 2, { expect = any }), 3))
    assert.same({ n = 1, { a = { 4, "x" } } }, applied(relations.shift(1, 1, { expect = any }), { a = { 3, "x" } }))
    assert.equal("scale 2", relations.scale(1, 2, { expect = any }).name)
  end)
  it("swap exchanges two arguments", function()
    assert.same({ n = 3, "c", "b", "a" }, applied(relations.swap(1, 3), "a", "b", "c"))
    assert.same({ n = 2, nil, "a" }, applied(relations.swap(), "a", nil))
  end)
  it("keep nil arguments in their places", function()
    assert.same({ n = 3, { 2, 1 }, nil, nil }, applied(relations.permute(1), { 1, 2 }, nil, nil))
  end)
  it("take what mg.relation takes", function()
    local r = relations.permute(1, { name = "any order", expect = "properties", hard = false, given = any })
    assert.equal("any order", r.name)
    assert.equal("properties", r.expect)
    assert.equal("soft", r.mode)
    assert.equal(any, r.given)
  end)
  it("say what is wrong with an argument", function()
    assert.equal("mg.relations.permute: argument 2 must be a table, got 7",
      support.message(relations.permute(2).transform, g, {}, 7))
  end)
  local bad = {
    { function() relations.duplicate(1) end, "mg.relations.duplicate needs expect: what becomes of the output depends" },
    { function() relations.permute(0) end,
      "mg.relations.permute: the argument's number must be a whole number from 1 to 100, got 0" },
    { function() relations.permute(1, { exepct = "equal" }) end,
      'unknown key "exepct" in mg.relations.permute; did you mean "expect"?' },
    { function() relations.permute(1, { expect = 3 }) end, "expect must be" },
    { function() relations.append(1, 3) end, "mg.relations.append takes a function (g, list) that makes the new entry, got 3" },
    { function() relations.scale(1, "2") end, 'mg.relations.scale: the amount must be a number, got "2"' },
    { function() relations.swap(2, 2) end, "mg.relations.swap needs two different arguments" },
  }
  for _, case in ipairs(bad) do
    it("refuse: " .. case[2], function()
      local message = support.message(case[1])
      assert.matches(case[2], message, 1, true)
      assert.matches("^spec/mguard/relations/init_spec%.lua:%d+: ", message)
    end)
  end
end)
