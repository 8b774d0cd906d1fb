local keys = require "mguard.config_keys"
local support = require "spec.support"

describe("docs/reference/configuration.md", function()
  it("is what scripts/config-doc.lua writes now", function()
    local fresh, status = support.run(("LUA_PATH=%s LUA_CPATH=%s lua5.4 scripts/config-doc.lua")
      :format(support.quoted(package.path), support.quoted(package.cpath)))
    assert.equal(0, status)
    assert.is_true(support.read("docs/reference/configuration.md") == fresh, "run: make docs")
  end)
  it("says something of every key", function()
    for _, key in ipairs(keys.list) do
      assert.is_truthy(key.doc and key.doc:find("%.$"), key.key)
    end
  end)
end)
