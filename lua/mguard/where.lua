--- where.lua - finds the line of the user's script that called into mguard, for errors and for clause positions.
--- `return mg.plan {...}` is a tail call, which leaves no frame of the script on the stack. While a script is being
--- loaded, where.track therefore notes each of its lines as it runs.
local where = {}

local SELF = debug.getinfo(1, "S").source
local OWN = SELF:match("^(.*)where%.lua$") or SELF
local noted -- { source, line } of the script line that ran last, while tracking

local function own(source)
  return source:sub(1, #OWN) == OWN
end

--- Source (without "@") and line of the nearest caller outside mguard; nil where there is none.
---@return string|nil source
---@return integer|nil line
function where.find()
  for level = 2, 100 do
    local info = debug.getinfo(level, "Slt")
    if not info then break end
    local lua = info.what ~= "C"
    if lua and not own(info.source) then
      return (info.source:gsub("^[@=]", "")), info.currentline
    end
    if lua and info.istailcall and noted then break end
  end
  if noted then return (noted.source:gsub("^[@=]", "")), noted.line end
end

--- "plan.lua:3", or nil.
---@return string|nil
function where.at()
  local source, line = where.find()
  return source and ("%s:%d"):format(source, line)
end

--- Folder of the calling script as it was given ("." for "plan.lua"); nil where the caller is no file.
---@return string|nil
function where.dir()
  local source = where.find()
  if not source or source:find("\n", 1, true) then return nil end
  return source:match("^(.*)/[^/]*$") or "."
end

--- Calls fn in protected mode and notes the script's lines meanwhile. Returns what pcall returns.
---@param fn function
function where.track(fn)
  local old, mask, count = debug.gethook()
  if old ~= nil and type(old) ~= "function" then return pcall(fn) end -- a hook of the engine is on: leave it alone
  local outer = noted
  local mine = { source = nil, line = 0 }
  noted = nil
  local function note(_, line)
    local source = debug.getinfo(2, "S").source
    if not own(source) then
      mine.source, mine.line, noted = source, line, mine
    end
  end
  debug.sethook(note, "l")
  local result = table.pack(pcall(fn))
  if debug.gethook() == note then
    if old then debug.sethook(old, mask, count) else debug.sethook() end
  end
  noted = outer
  return table.unpack(result, 1, result.n)
end

--- Raises text, with the position in front where one is known.
---@param at string|nil
---@param text string
function where.fail(at, text)
  error(at and (at .. ": " .. text) or text, 0)
end

return where
