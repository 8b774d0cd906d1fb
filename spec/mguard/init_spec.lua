local mg = require "mguard"
local support = require "spec.support"

describe("mguard", function()
  it("has the names of the reference", function()
    for _, name in ipairs { "plan", "checks", "property", "relation", "lua", "exec", "python", "jsonl" } do
      assert.equal("function", type(mg[name]), name)
    end
    for _, name in ipairs { "relations", "equal", "goal", "stop" } do assert.equal("table", type(mg[name]), name) end
    assert.matches("^%d+%.%d+%.%d+$", mg.version)
  end)
  it("suggests a name for one it does not have", function()
    local message = support.message(function() return mg.propertie end)
    assert.matches('^spec/mguard/init_spec%.lua:%d+: mguard has no "propertie"; did you mean "property"%?$', message)
  end)
  it("describes every name in the reference page", function()
    local page = support.read("docs/reference/lua-api.md")
    for name in pairs(mg) do assert.is_truthy(page:find("mg." .. name, 1, true), name) end
    for _, part in ipairs { "relations", "equal", "goal", "stop" } do
      for name in pairs(mg[part]) do
        local full = ("mg.%s.%s"):format(part, name)
        assert.is_truthy(page:find(full, 1, true), full)
      end
    end
  end)
end)
