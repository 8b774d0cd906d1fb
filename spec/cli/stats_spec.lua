-- `mguard stats` against the same reference rows as mg.stats.
local core = require "mguard.core"
local rows = require "stats_rows"
local support = require "cli.support"

local function text_of(v)
  if type(v) ~= "table" then return math.type(v) == "float" and ("%.17g"):format(v) or tostring(v) end
  local parts = {}
  for i, x in ipairs(v) do parts[i] = text_of(x) end
  return table.concat(parts, ",")
end

local function line_of(row)
  local names, words = {}, { "stats", (row.method:gsub("_", "-")) }
  for name in pairs(row.given) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do words[#words + 1] = ("%s=%s"):format(name, text_of(row.given[name])) end
  return table.concat(words, " ")
end

local function near(wanted, got, within, what)
  if type(wanted) == "table" then
    for i, v in ipairs(wanted) do near(v, got[i], within, ("%s[%d]"):format(what, i)) end
    return
  end
  if wanted == math.huge then
    assert.are.equal(core.null, got, what)
    return
  end
  local bound = within or math.max(1e-8 * math.abs(wanted), 5e-11)
  assert.is_true(math.abs(wanted - got) <= bound, ("%s: wanted %.12g, got %.12g"):format(what, wanted, got))
end

describe("mguard stats", function()
  it("gives every row of the reference", function()
    local commands = {}
    for i, row in ipairs(rows) do commands[i] = ("%s %s --json"):format(support.quote(support.program), line_of(row)) end
    local got = support.shell("/", table.concat(commands, "\n"), 120)
    assert.are.equal("", got.err)
    local i = 0
    for line in got.out:gmatch "[^\n]+" do
      i = i + 1
      local answer = assert(core.json_decode(line))
      for name, wanted in pairs(rows[i].wanted) do near(wanted, answer[name], rows[i].within, ("%s: %s"):format(commands[i], name)) end
    end
    assert.are.equal(#rows, i)
  end)

  it("prints for people", function()
    local got = support.mguard("/", "stats wilson passes=388 n=400")
    assert.are.equal(0, got.code, got.err)
    assert.matches("estimate%s+0.97\nlow%s+0.94830146%d+\nhigh%s+0.98275697%d+\n", got.out)
  end)

  it("lists the methods, and what one takes", function()
    local got = support.mguard("/", "stats")
    for _, row in ipairs(rows) do assert.matches("\n" .. row.method .. " ", "\n" .. got.out, 1, true) end
    got = support.mguard("/", "stats adjust")
    assert.matches("p%s+numbers separated by commas\n", got.out)
    assert.matches("how%s+one of holm hochberg bh by %(the first%)", got.out)
  end)

  for arguments, says in pairs {
    ["stats tanog a=1"] = 'there is no method "tanog"',
    ["stats wilson passes=3"] = "n is missing",
    ["stats wilson passes=3 4"] = '"4" is no argument of wilson',
    ["stats wilson passes=3 n=x"] = 'n must be a number, got "x"',
    ["stats wilson passes=3 n=4 n=5"] = "n is given twice",
    ["stats adjust p=.1,,.2"] = 'p must be numbers separated by commas, got ""',
    ["stats adjust p=.1 how=x"] = "how must be one of holm hochberg bh by, got x",
    ["stats wilson passes=5 n=4"] = "5 passes are more than the 4 cases",
  } do
    it("refuses: " .. arguments, function()
      local got = support.mguard("/", arguments)
      assert.are.equal(4, got.code)
      assert.matches(says, got.err, 1, true)
    end)
  end
end)
