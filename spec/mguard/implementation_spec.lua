local mg = require "mguard"
local implementation = require "mguard.implementation"
local support = require "spec.support"

local ROOT <const> = support.run("pwd -P"):gsub("\n", "")
local FOLDER <const> = ROOT .. "/spec/mguard"

local function refused(fn, value)
  local message = support.message(function() fn(value) end)
  assert.matches("^spec/mguard/implementation_spec%.lua:%d+: ", message)
  return (message:gsub("^.-:%d+: ", ""))
end

describe("mg.lua and mg.python", function()
  local folder
  setup(function() folder = support.folder() end)
  teardown(function() support.remove(folder) end)

  it("take files relative to the script that names them", function()
    local it = implementation.of(mg.lua "implementation_spec.lua")
    assert.same({ kind = "lua", path = FOLDER .. "/implementation_spec.lua" }, it)
  end)
  it("refuse a missing file by its full name", function()
    assert.equal("mg.lua: cannot read the implementation: " .. FOLDER .. "/none.lua: No such file or directory",
      refused(mg.lua, "none.lua"))
    assert.equal("mg.python: cannot read the implementation: " .. FOLDER .. "/none.py: No such file or directory",
      refused(mg.python, "none.py"))
  end)
  it("refuse folders and what is no name", function()
    assert.matches("Is a directory", refused(mg.lua, folder), 1, true)
    assert.equal('mg.lua takes a file name: mg.lua "file", got {"v1.lua"}', refused(mg.lua, { "v1.lua" }))
    assert.equal('mg.python takes a file name: mg.python "file", got nothing', refused(mg.python, nil))
  end)
  it("refuse a Lua file that does not compile, with its line", function()
    local file = support.write(folder .. "/bad.lua", "#!shebang\nreturn function( end")
    assert.matches("^mg%.lua: .*bad%.lua:2: ", refused(mg.lua, file))
  end)
  it("do not run the file", function()
    local file = support.write(folder .. "/loud.lua", "error('ran')")
    assert.equal("lua", implementation.of(mg.lua(file)).kind)
  end)
  it("take a Python file", function()
    local file = support.write(folder .. "/v1.py", "def solve(x): return x\n")
    assert.same({ kind = "python", path = file }, implementation.of(mg.python(file)))
  end)
  it("need python3", function()
    local file = support.write(folder .. "/v1.py", "def solve(x): return x\n")
    local real = os.getenv
    os.getenv = function() return folder end -- luacheck: ignore 122
    local message = refused(mg.python, file)
    os.getenv = real -- luacheck: ignore 122
    assert.equal("mg.python needs python3, which is not on PATH", message)
  end)
end)

describe("mg.exec", function()
  it("keeps one process with JSON lines by default, started in the script's folder", function()
    assert.same({ kind = "exec", argv = { "sh", "-c", "cat" }, once = false, input = "json", output = "json", cwd = FOLDER,
      hedge = true, paid = false }, implementation.of(mg.exec { "sh", "-c", "cat" }))
  end)
  it("takes its settings", function()
    local e = implementation.of(mg.exec { "sh", once = true, input = "text", output = "text", env = { LC_ALL = "C" },
      cwd = "..", paid = true })
    assert.is_true(e.once)
    assert.equal("text", e.input)
    assert.equal("text", e.output)
    assert.same({ LC_ALL = "C" }, e.env)
    assert.equal(ROOT .. "/spec", e.cwd)
    assert.is_false(e.hedge)
  end)
  it("takes empty arguments", function()
    assert.same({ "sh", "" }, implementation.of(mg.exec { "sh", "" }).argv)
  end)
  it("looks the program up in its own PATH and in its own folder", function()
    assert.equal('mg.exec: the program "sh" is not on PATH', refused(mg.exec, { "sh", env = { PATH = "/nowhere" } }))
    assert.equal('mg.exec: the program "./sh" does not exist (seen from ' .. FOLDER .. ')', refused(mg.exec, { "./sh" }))
    assert.equal("/bin", implementation.of(mg.exec { "./sh", cwd = "/bin" }).cwd)
  end)
  local bad = {
    { "a program that does not exist", { "no-such-program" }, 'mg.exec: the program "no-such-program" is not on PATH' },
    { "no program", {}, 'mg.exec names no program: mg.exec { "program", "argument" }' },
    { "a string", "sort", 'mg.exec takes a table: mg.exec { "program", "argument" }, got "sort"' },
    { "an argument that is no string", { "sh", 3 }, "mg.exec: argument 2 must be a string without NUL bytes, got 3" },
    { "a NUL byte in an argument", { "sh", "a\0b" }, "mg.exec: argument 2 must be a string without NUL bytes, got " },
    { "a gap in the arguments", { "sh", [3] = "x" }, 'mg.exec: the program\'s arguments have a gap before "x"' },
    { "an unknown key", { "sh", onec = true }, 'unknown key "onec" in mg.exec; did you mean "once"?' },
    { "text to a kept process", { "sh", input = "text" },
      'mg.exec: input = "text" needs once = true; a kept process speaks JSON lines' },
    { "text from a kept process", { "sh", output = "text" },
      'mg.exec: output = "text" needs once = true; a kept process speaks JSON lines' },
    { "an unknown format", { "sh", input = "xml" }, 'input must be one of "json", "text", got "xml"' },
    { "an environment that is no map of strings", { "sh", env = { A = 1 } },
      "env must be a table of names and strings, got {A = 1}" },
    { "an environment that is no table", { "sh", env = "A=1" }, 'env must be a table of names and strings, got "A=1"' },
    { "an environment with = in a name", { "sh", env = { ["A=B"] = "1" } }, "env must be a table of names and strings, got " },
    { "paid calls that are hedged", { "sh", paid = true, hedge = true },
      "mg.exec: paid = true and hedge = true contradict each other: hedging sends calls twice" },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function() assert.equal(case[3], refused(mg.exec, case[2]):sub(1, #case[3])) end)
  end
end)

describe("implementations", function()
  it("may be functions", function()
    local f = function() end
    assert.same({ kind = "function", call = f }, implementation.of(f))
  end)
  it("are nothing else", function()
    for _, bad in ipairs { "v1", 3, true, {}, { kind = "lua", path = "/x" } } do assert.is_nil(implementation.of(bad)) end
  end)
  it("have names", function()
    assert.equal("x: implementations.v1 must be mg.lua, mg.exec, mg.python or a function, got 3",
      support.message(implementation.collect, { v1 = 3 }, "x"))
    assert.matches("x: implementations: a name must be a name of 1 to 64 bytes",
      support.message(implementation.collect, { print }, "x"), 1, true)
  end)
end)
