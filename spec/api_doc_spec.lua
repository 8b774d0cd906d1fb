-- docs/reference/lua-reference.md against the annotations, the annotations against what the functions take, and the page that explains against both.
local mg = require "mguard"
local rule = require "mguard.rule"
local support = require "spec.support"

local function run_doc()
  return support.run(("LUA_PATH=%s LUA_CPATH=%s lua5.4 scripts/api-doc.lua 2>&1"):format(support.quoted(package.path), support.quoted(package.cpath)))
end

-- "mguard.PlanSpec" -> { "checks", ... } by the page
local function annotated(page, class)
  local part, names = page:match("\n### " .. class:gsub("%p", "%%%0") .. "\n(.-)\n##"), {}
  for name in assert(part, class):gmatch "\n| `([%w_]+)`" do names[#names + 1] = name end
  return names
end

-- The keys that a function takes, from the rules it hands to rule.fields.
local function taken(call, what)
  local found
  local real = rule.fields
  rule.fields = function(value, rules, at, name, ...) -- luacheck: ignore
    if name == what and not found then found = rules end
    return real(value, rules, at, name, ...)
  end
  pcall(call)
  rule.fields = real
  local names = {}
  for i, r in ipairs(assert(found, what)) do names[i] = r.key end
  return names
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("docs/reference/lua-reference.md", function()
  local page = support.read "docs/reference/lua-reference.md"

  it("is what scripts/api-doc.lua writes now", function()
    local fresh, status = run_doc()
    assert.equal(0, status, fresh)
    assert.is_true(page == fresh, "run: make docs")
  end)

  it("has every name of the module", function()
    local function look(prefix, t)
      for name, value in pairs(t) do
        local full = prefix .. "." .. name
        if type(value) == "table" then look(full, value) else assert.is_truthy(page:find(full, 1, true), full) end
      end
    end
    look("mg", mg)
  end)

  for class, what in pairs {
    PlanSpec = { "mg.plan", function() mg.plan {} end },
    ChecksSpec = { "mg.checks", function() mg.checks {} end },
    PropertySpec = { "mg.property", function() mg.property {} end },
    RelationSpec = { "mg.relation", function() mg.relation {} end },
    MetricSpec = { "mg.metric", function() mg.metric {} end },
    ExecSpec = { "mg.exec", function() mg.exec {} end },
    EqualOptions = { "mg.equal.with", function() mg.equal.with {} end },
    RelationOptions = { "mg.relations.permute", function() mg.relations.permute(1, {}) end },
  } do
    it("has the keys that " .. what[1] .. " takes", function()
      assert.same(sorted(taken(what[2], what[1])), sorted(annotated(page, "mguard." .. class)))
    end)
  end

  it("names no key that docs/reference/lua-api.md does not explain", function()
    local explained = support.read "docs/reference/lua-api.md"
    for _, class in ipairs { "PlanSpec", "ChecksSpec", "PropertySpec", "RelationSpec", "MetricSpec", "ExecSpec", "EqualOptions" } do
      for _, key in ipairs(annotated(page, "mguard." .. class)) do
        assert.is_truthy(explained:find("`" .. key .. "[`%. ]"), class .. "." .. key)
      end
    end
  end)
end)
