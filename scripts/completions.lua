-- completions.lua - writes shell completions from docs/reference/cli.md: `lua5.4 scripts/completions.lua bash|zsh`.
-- A spec holds that page against the program's own --help, so the page is the one source.
local shell = arg[1]
local commands, current = {}, nil
for line in io.lines("docs/reference/cli.md") do
  local name = line:match "^## mguard (%S+)$"
  if name then
    current = { name = name, options = {}, words = {}, text = "" }
    commands[#commands + 1] = current
  elseif line:find "^## " then
    current = nil
  elseif current then
    local words = line:match("^    mguard " .. current.name:gsub("%p", "%%%0") .. " ([%l|]+)%f[^%l|]")
    for word in (words or ""):gmatch "%l+" do current.words[#current.words + 1] = word end
    local option, argument, text = line:match "^| `(%-%-[%w-]+) ?([^`]*)` | (.*) |$"
    if option then
      text = text:gsub("[`%[%]]", ""):gsub("%(.-%.%a+%)", "")
      current.options[#current.options + 1] = { name = option, argument = argument:gsub("\\|", "|"), text = text }
    elseif current.text == "" and line:find "^[%u`]" then
      current.text = (line:match "^(.-)%. " or line):gsub("[`%[%]]", "")
    end
  end
end
if #commands == 0 then error("docs/reference/cli.md has no command") end

local function takes_file(option) return option.argument:find "FILE" ~= nil or option.argument:find "DIR" ~= nil end

local function list(things, field)
  local names = {}
  for i, thing in ipairs(things) do names[i] = field and thing[field] or thing end
  return table.concat(names, " ")
end

local writers = {}

function writers.bash()
  local out = { "# Completion of mguard for bash; made from docs/reference/cli.md.", "_mguard() {",
    "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}", "  COMPREPLY=()",
    "  if [ \"$COMP_CWORD\" -eq 1 ]; then",
    ("    COMPREPLY=($(compgen -W '%s --help --version' -- \"$word\"))"):format(list(commands, "name")), "    return", "  fi",
    "  case ${COMP_WORDS[1]} in" }
  for _, c in ipairs(commands) do
    local files, values = {}, {}
    for _, o in ipairs(c.options) do
      if takes_file(o) then files[#files + 1] = o.name elseif o.argument ~= "" then values[#values + 1] = o.name end
    end
    out[#out + 1] = ("    %s)"):format(c.name)
    if #files > 0 or #values > 0 then
      out[#out + 1] = "      case $before in"
      if #files > 0 then
        out[#out + 1] = ("        %s) COMPREPLY=($(compgen -f -- \"$word\")); return ;;"):format(table.concat(files, "|"))
      end
      if #values > 0 then out[#out + 1] = ("        %s) return ;;"):format(table.concat(values, "|")) end
      out[#out + 1] = "      esac"
    end
    out[#out + 1] = ("      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '%s' -- \"$word\"))"):format(list(c.options, "name"))
    out[#out + 1] = ("      else COMPREPLY=($(compgen -W '%s' -- \"$word\") $(compgen -f -- \"$word\")); fi ;;"):format(list(c.words))
  end
  out[#out + 1] = "  esac\n}\ncomplete -o filenames -F _mguard mguard"
  return table.concat(out, "\n") .. "\n"
end

local function quoted(text) return (text:gsub("'", "'\\''"):gsub("[%[%]:]", "\\%0")) end

function writers.zsh()
  local out = { "#compdef mguard", "# Completion of mguard for zsh; made from docs/reference/cli.md.", "local -a commands", "commands=(" }
  for _, c in ipairs(commands) do out[#out + 1] = ("  '%s:%s'"):format(c.name, quoted(c.text)) end
  out[#out + 1] = ")\nif (( CURRENT == 2 )); then\n  _describe command commands\n  return\nfi\nshift words\n(( CURRENT-- ))\ncase $words[1] in"
  for _, c in ipairs(commands) do
    out[#out + 1] = ("  %s) _arguments \\"):format(c.name)
    for _, o in ipairs(c.options) do
      local value = takes_file(o) and ":file:_files" or o.argument ~= "" and (":%s:"):format(quoted(o.argument)) or ""
      out[#out + 1] = ("    '%s[%s]%s' \\"):format(o.name, quoted(o.text), value)
    end
    out[#out + 1] = #c.words > 0 and ("    '1:what:(%s)' '*:file:_files' ;;"):format(list(c.words)) or "    '*:file:_files' ;;"
  end
  out[#out + 1] = "esac"
  return table.concat(out, "\n") .. "\n"
end

if not writers[shell] then error("usage: lua5.4 scripts/completions.lua bash|zsh", 0) end
io.write(writers[shell]())
