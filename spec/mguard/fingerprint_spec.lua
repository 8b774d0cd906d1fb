local fingerprint = require "mguard.fingerprint"
local script = require "mguard.script"
local support = require "spec.support"

local CHECKS <const> = [[
local mg = require "mguard"
return mg.checks {
  generate = function(g) return g:int(1, 9) end,
  files = { "data.txt" },
  implementations = { v1 = mg.lua "v1.lua", v2 = mg.exec { "sh", "v2.sh", "-x", env = { A = "1", B = "2" } } },
}
]]
local PLAN <const> = [[
local mg = require "mguard"
return mg.plan { checks = "checks.lua", baseline = "v1", candidate = "v2", cases = 100 }
]]
local FILES <const> = { ["checks.lua"] = CHECKS, ["plan.lua"] = PLAN, ["v1.lua"] = "return print", ["v2.sh"] = "cat",
  ["data.txt"] = "data" }

describe("mguard.fingerprint", function()
  local folders = {}
  after_each(function()
    for _, folder in ipairs(folders) do support.remove(folder) end
    folders = {}
  end)

  -- Fingerprint of the files in a new folder, some of them changed.
  local function of(changed, name, overrides)
    local folder = support.folder()
    folders[#folders + 1] = folder
    for file, text in pairs(FILES) do support.write(folder .. "/" .. file, changed and changed[file] or text) end
    return fingerprint.of(script.open(folder .. "/" .. (name or "plan.lua"), overrides))
  end

  it("is 64 hex digits", function() assert.matches("^" .. ("[0-9a-f]"):rep(64) .. "$", of()) end)
  it("does not depend on where the files are", function() assert.equal(of(), of()) end)
  it("is the same for a plan and for its checks alone, as a worker opens them", function()
    assert.equal(of(), of(nil, "checks.lua"))
  end)
  it("does not depend on cases, seed or queue", function()
    assert.equal(of(), of(nil, nil, { cases = 5, seed = 9, backend = "redis" }))
    assert.equal(of(), of { ["plan.lua"] = PLAN:gsub("100", "200") })
  end)
  for file, text in pairs {
    ["checks.lua"] = CHECKS .. "-- more", ["v1.lua"] = "return type", ["v2.sh"] = "cat -", ["data.txt"] = "other",
  } do
    it("changes with " .. file, function() assert.not_equal(of(), of { [file] = text }) end)
  end
  it("changes with each thing that is said of a program", function()
    local folder = support.folder()
    folders[#folders + 1] = folder
    for file, text in pairs(FILES) do support.write(folder .. "/" .. file, text) end
    local spec = script.open(folder .. "/plan.lua")
    local v2 = spec.implementations.v2
    local seen = { [fingerprint.of(spec)] = true }
    for i, change in ipairs {
      function() v2.argv[3] = "-y" end,
      function() v2.argv[1] = "bash" end,
      function() v2.env.B = "3" end,
      function() v2.env.C = "1" end,
      function() v2.once = true end,
      function() v2.input = "text" end,
      function() v2.output = "text" end,
      function() spec.implementations.v3, spec.implementations.v2 = v2, nil end,
    } do
      change()
      local hash = fingerprint.of(spec)
      assert.is_nil(seen[hash], i)
      seen[hash] = true
    end
  end)
  it("covers the plan where it holds an implementation", function()
    local plan = PLAN:gsub('"v2"', "function(n) return n end")
    assert.not_equal(of { ["plan.lua"] = plan }, of { ["plan.lua"] = plan:gsub("return n", "return 2 * n") })
  end)
  it("covers modules that the checks require", function()
    local function with(module)
      local folder = support.folder()
      folders[#folders + 1] = folder
      support.write(folder .. "/fingerprint_helper.lua", module)
      for file, text in pairs(FILES) do support.write(folder .. "/" .. file, text) end
      support.write(folder .. "/checks.lua", 'require "fingerprint_helper"\n' .. CHECKS)
      local hash = fingerprint.of(script.open(folder .. "/plan.lua"))
      package.loaded.fingerprint_helper = nil
      package.path = package.path:gsub("^.-%?/init%.lua;", "", 1) -- the folder's own entry
      return hash
    end
    assert.equal(with "return 1", with "return 1")
    assert.not_equal(with "return 1", with "return 2")
  end)
end)
