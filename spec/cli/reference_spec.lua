-- docs/reference/cli.md against --help: the same commands, arguments, options, values and defaults.
local support = require "cli.support"

-- "## mguard run" -> { arguments, options = { ["--cases N"] = "text" }, order }
local function of_page()
  local commands, now = {}, nil
  for line in support.read(support.root .. "/docs/reference/cli.md"):gmatch "[^\n]+" do
    local name = line:match "^## mguard (%l+)$"
    if name then
      now = { options = {} }
      commands[name] = now
    elseif line:find "^## " then
      now = nil
    elseif now and not now.usage and line:find "^    mguard " then
      now.usage = line:match "^    (.+)$"
    elseif now then
      local option, text = line:match "^| `(%-%-[^`]+)` | (.+) |$"
      if option then now.options[(option:gsub("\\|", "|"))] = text end
    end
  end
  return commands
end

local function of_help(name)
  local text = support.mguard(".", name .. " --help").out
  local help = { options = {}, usage = text:match "^(mguard [^\n]-) %[options%]\n" }
  for option, says in text:gmatch "\n  (%-%-%S+ ?%S*)%s%s+([^\n]+)" do help.options[(option:gsub("%s+$", ""))] = says end
  return help
end

local function names(map)
  local list = {}
  for name in pairs(map) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local page, commands = of_page(), {}
for name in support.mguard(".", "--help").out:match("Commands:\n(.-)\n\n"):gmatch "  (%l+) +[^\n]+" do commands[name] = of_help(name) end

describe("docs/reference/cli.md", function()
  it("has the commands of mguard --help", function()
    assert.is_true(#names(commands) >= 8)
    assert.are.same(names(commands), names(page))
  end)

  for name, help in pairs(commands) do
    it("has the options of mguard " .. name, function()
      assert.is_true(#names(help.options) >= 2)
      assert.are.same(names(help.options), names((page[name] or { options = {} }).options))
    end)

    it("has the arguments and defaults of mguard " .. name, function()
      assert.are.equal(help.usage, page[name].usage:sub(1, #help.usage))
      for option, says in pairs(help.options) do
        local default = says:match "%(default:? ([^);]+)"
        if default then
          local there = page[name].options[option]:match "%(default:? ([^);]+)"
          assert.are.equal(default, there, option)
        end
      end
    end)
  end

  it("names every exit code and variable", function()
    local text = support.read(support.root .. "/docs/reference/cli.md")
    for _, code in ipairs { 0, 1, 2, 3, 4, 5, 130 } do assert.is_truthy(text:find(("\n| %d | "):format(code))) end
    local found = support.shell(".", [[grep -rhoE 'getenv\("[A-Z_]+"' engine backends | sort -u]])
    assert.are.equal(0, found.code)
    local count = 0
    for variable in found.out:gmatch '"([A-Z_]+)"' do
      if variable ~= "TERM" and variable ~= "COLUMNS" then
        assert.is_truthy(text:find("`" .. variable .. "`", 1, true), variable)
        count = count + 1
      end
    end
    assert.is_true(count >= 3)
  end)
end)
