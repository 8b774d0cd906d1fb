local where = require "mguard.where"

-- Stands in for a module of mguard: its frames are skipped.
local own = debug.getinfo(where.find, "S").source
local inner = load("local where = ... return function() return where.at() end", own)(where)

describe("mguard.where", function()
  it("names the line of the caller outside mguard", function()
    local at = inner()
    assert.matches("where_spec%.lua:9$", at)
  end)

  it("keeps the frame of a script that ends in a tail call", function()
    local chunk = assert(where.compile("local f = ...\n\nreturn f()", "folder/plan.lua"))
    assert.equal("folder/plan.lua:3", chunk(inner))
  end)

  it("keeps lines where the script begins with a shebang", function()
    local chunk = assert(where.compile("#!/usr/bin/env mguard\nlocal f = ...\nreturn f()", "plan.lua"))
    assert.equal("plan.lua:3", chunk(inner))
  end)

  it("gives the syntax error with file and line", function()
    local chunk, message = where.compile("return {\n  a = = 1 }", "plan.lua")
    assert.is_nil(chunk)
    assert.matches("^plan%.lua:2: ", message)
  end)

  it("refuses compiled chunks", function()
    assert.is_nil((where.compile("\27Lua", "plan.lua")))
  end)
end)
