-- api-doc.lua - writes docs/reference/lua-reference.md from the LuaLS annotations of lua/mguard/ on standard output: make docs. What is public is
-- what `require "mguard"` gives; a name without words, a parameter or a result without its type is an error, so the annotations are complete where
-- this ends with 0. spec/api_doc_spec.lua fails where the page is older.
local mg = require "mguard"

local faults = {}
local function fault(...) faults[#faults + 1] = string.format(...) end

-- Every block of a file by the line of code that follows it; classes by name.
local classes, methods = {}, {}

-- A type ends at the first space that stands in no bracket and next to no "|" or ":" (fun(a: any): boolean).
local function split_type(text)
  local depth, i = 0, 1
  while i <= #text do
    local c = text:sub(i, i)
    if c:find "[%(%[{<]" then depth = depth + 1 end
    if c:find "[%)%]}>]" then depth = depth - 1 end
    if c == " " and depth == 0 and not text:sub(1, i - 1):find "[:|,]$" and not text:find("^ *|", i) then break end
    i = i + 1
  end
  return text:sub(1, i - 1), (text:sub(i + 1):gsub("^ +", ""))
end

local function new_block() return { words = {}, params = {}, returns = {}, fields = {}, types = {} } end

-- One line of a block, without its "---".
local function note(block, line, where)
  local tag, rest = line:match "^@(%a+) ?(.*)$"
  if not tag then
    if block.last then -- goes on with the tag above
      if line:find "^ +" then block.last.text = block.last.text .. " " .. line:gsub("^ +", "") return end
    end
    block.words[#block.words + 1] = (line:gsub("^ ", ""))
    return
  end
  block.last = nil
  if tag == "param" or tag == "field" then
    local name, typed = rest:match "^(%[[^%]]+%]%??) +(.+)$"
    if not name then name, typed = rest:match "^(%S+) +(.+)$" end
    if not name then fault("%s: @%s without a type", where, tag) return end
    local kind, text = split_type(typed)
    block.last = { name = name:gsub("%?$", ""), optional = name:find "%?$" ~= nil, type = kind, text = text }
    local into = tag == "param" and block.params or block.fields
    into[#into + 1] = block.last
  elseif tag == "return" then
    local kind, text = split_type(rest)
    block.last = { type = kind, text = text }
    block.returns[#block.returns + 1] = block.last
  elseif tag == "class" or tag == "alias" then
    local name, about = rest:match "^([%w%.]+):? *(.*)$"
    classes[name] = { about = about, words = block.words, fields = {} }
    block.fields = classes[name].fields
  elseif tag == "type" then
    block.type = rest
  end
end

local function read(path)
  local blocks, block, number, lines = {}, nil, 0, {}
  for line in io.lines(path) do
    number = number + 1
    lines[number] = line
    local text = line:match "^%-%-%-([^-].*)$" or (line == "---" and "")
    if text then
      block = block or new_block()
      note(block, text, path .. ":" .. number)
    elseif block then
      blocks[number] = block
      local object, name, arguments = line:match "^function (%w+)[:%.]([%w_]+)%(([^)]*)%)"
      if not object then object, name = line:match "^(%w+)%.([%w_]+) = " end
      if object then methods[#methods + 1] = { file = path, object = object, name = name, arguments = arguments, block = block,
        gives = line:find " return %S" ~= nil } end
      block = nil
    end
  end
  return { blocks = blocks, lines = lines, path = path }
end

local files, by_name = {}, {}
local listing <close> = assert(io.popen "find lua/mguard -name '*.lua' | LC_ALL=C sort")
for path in listing:lines() do files[path] = read(path) end
for _, m in ipairs(methods) do by_name[m.object .. "." .. m.name] = m end

-- The block of a function, by where it is defined; of the engine's by its name in meta.lua.
local function block_of(name, value)
  local info = debug.getinfo(value, "S")
  if info.what == "C" then
    local m = by_name[(name:gsub("^mg%.", ""))]
    return m and m.block, m and m.arguments, false
  end
  local file = files[info.source:match "lua/mguard/.*$"]
  if not file then return nil end
  local line = file.lines[info.linedefined]
  local gives = false
  for i = info.linedefined, info.lastlinedefined do
    gives = gives or file.lines[i]:find "^  return %S" or file.lines[i]:find "^function .* return "
  end
  return file.blocks[info.linedefined], line:match "%(([^)]*)%)", gives
end

local out = {}
local function put(...) out[#out + 1] = string.format(...) end
local function cell(text) return (text:gsub("|", "\\|"):gsub("\n", " ")) end
local function typed(text) return "`" .. cell(text) .. "`" end

local wanted, listed = {}, {}
local function want(type_text)
  for class in type_text:gmatch "mguard%.%w+" do
    if not listed[class] then
      listed[class] = true
      wanted[#wanted + 1] = class
    end
  end
end

local function rows(list, heading)
  if #list == 0 then return end
  put("\n| %s | type | |\n|---|---|---|\n", heading)
  for _, f in ipairs(list) do
    want(f.type)
    put("| `%s`%s | %s | %s |\n", f.name, f.optional and ", optional" or "", typed(f.type), cell(f.text))
  end
end

local function sentences(block) return table.concat(block.words, " ") end

local function describe(name, block, arguments, gives, heading)
  if not block or #block.words == 0 then fault("%s has no words", name) return end
  local known, names = {}, {}
  for _, p in ipairs(block.params) do known[p.name] = p end
  if block.type then arguments = block.type:match "^fun%((.*)%)":gsub(": *[%w%.]+", "") end
  for argument in (arguments or ""):gmatch "[%w_%.]+" do
    if argument ~= "..." and argument ~= "self" then
      names[#names + 1] = known[argument] and known[argument].optional and "[" .. argument .. "]" or argument
      if not known[argument] and not block.type then fault("%s: no @param %s", name, argument) end
    elseif argument == "..." then
      names[#names + 1] = "..."
    end
  end
  if gives and #block.returns == 0 and not block.type then fault("%s: no @return", name) end
  put("\n%s %s(%s)\n\n%s\n", heading or "###", name, table.concat(names, ", "), sentences(block))
  if block.type then
    want(block.type)
    put("\nType: %s\n", typed(block.type))
  end
  rows(block.params, "argument")
  if #block.returns > 0 then
    put "\n"
    for i, r in ipairs(block.returns) do
      want(r.type)
      put("%s%s%s", i == 1 and "Gives " or "; ", typed(r.type), r.text ~= "" and " " .. r.text or "")
    end
    put ".\n"
  end
end

put [[
# Lua reference

<!-- Written by scripts/api-doc.lua from the annotations in lua/mguard/ (make docs); a spec compares the two. -->

Every name that `local mg = require "mguard"` gives, as the annotations say it that editors read too. [Lua API](lua-api.md) tells how they
belong together, with examples. "Gives `T`; `string|nil`" means a second value.
]]

-- In the order in which a plan is written; what is not named here comes behind, sorted.
local ORDER <const> = { "plan", "checks", "property", "relation", "relations", "metric", "lua", "python", "exec", "jsonl", "equal", "goal", "stop",
  "run", "report", "queue", "json", "stats", "version" }
local rank = {}
for i, name in ipairs(ORDER) do rank[name] = i end
local function sorted(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list, function(a, b)
    local x, y = rank[a] or 1000, rank[b] or 1000
    return x == y and a < b or x < y
  end)
  return list
end

local function stats_rows()
  put "\nNumbers of one's own, by every method of the engine. What stands in [...] may be left out.\n\n| call | arguments | |\n|---|---|---|\n"
  for _, m in ipairs(mg.stats.methods()) do
    local takes = {}
    for _, t in ipairs(m.takes) do
      local words = ("`%s` (%s%s)"):format(t.name, t.kind, t.words and t.words ~= "" and ": " .. t.words or "")
      takes[#takes + 1] = t.required and words or "[" .. words .. "]"
    end
    put("| `mg.stats.%s` | %s | %s |\n", m.name, cell(table.concat(takes, ", ")), cell(m.about))
  end
  describe("mg.stats.methods", block_of("mg.stats.methods", mg.stats.methods))
end

for _, name in ipairs(sorted(mg)) do
  local value = mg[name]
  if type(value) ~= "function" then put("\n## mg.%s\n", name) end
  if type(value) == "function" then
    local block, arguments, gives = block_of("mg." .. name, value)
    describe("mg." .. name, block, arguments, gives, "##")
  elseif name == "stats" then
    stats_rows()
  elseif type(value) == "table" then
    for _, key in ipairs(sorted(value)) do
      local full = ("mg.%s.%s"):format(name, key)
      if type(value[key]) == "function" then
        describe(full, block_of(full, value[key]))
      else
        local m = by_name[name .. "." .. key]
        if m then put("\n### %s\n\n%s\n", full, sentences(m.block)) else fault("%s has no words", full) end
      end
    end
  else
    put("\nThe version, as text.\n")
  end
end

put "\n## Tables and objects\n"
local i = 1
while i <= #wanted do
  local class = classes[wanted[i]]
  local short = wanted[i]:match "%.(%w+)$"
  if not class then
    fault("the type %s is not annotated", wanted[i])
  else
    put("\n### %s\n", wanted[i])
    local about = table.concat({ class.about or "", sentences(class) }, " "):gsub("^ +", ""):gsub(" +$", "")
    if about ~= "" then put("\n%s\n", about) end
    rows(class.fields, "key")
    for _, m in ipairs(methods) do
      local of = m.object == short or (short == "Generator" and m.object == "g")
      if of and m.name:find "^%l" then
        describe((m.object == "g" and "g" or short:lower()) .. ":" .. m.name, m.block, m.arguments, m.gives, "####")
      end
    end
  end
  i = i + 1
end

if #faults > 0 then
  io.stderr:write("annotations are missing:\n  ", table.concat(faults, "\n  "), "\n")
  os.exit(1)
end
io.write(table.concat(out))
