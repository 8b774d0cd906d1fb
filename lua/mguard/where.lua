--- where.lua - finds the line of the user's script that called into mguard, for errors and for clause positions.
local where = {}

local SELF = debug.getinfo(1, "S").source
local OWN = SELF:match("^(.*)where%.lua$") or SELF

-- The built-in tasks are scripts like a user's.
local function own(source)
  return source:sub(1, #OWN) == OWN and source:sub(#OWN + 1, #OWN + 6) ~= "tasks/"
end

--- Compiles a script so that where.find sees it. `return mg.plan {...}` would be a tail call and leave no frame of the
--- script on the stack; inside the scope of a to-be-closed variable Lua makes no tail calls.
---@param text string
---@param name string shown in messages
---@return function|nil chunk
---@return string|nil message
function where.compile(text, name)
  local body = text:gsub("^#[^\n]*", "", 1) -- a shebang line
  return load("local mguard_frame <close> = nil " .. body, "@" .. name, "t")
end

--- Source (without "@") and line of the nearest caller outside mguard; nil where there is none.
---@return string|nil source
---@return integer|nil line
function where.find()
  for level = 2, 100 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.what ~= "C" and not own(info.source) then
      return (info.source:gsub("^[@=]", "")), info.currentline
    end
  end
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

--- Raises text, with the position in front where one is known.
---@param at string|nil
---@param text string
function where.fail(at, text)
  error(at and (at .. ": " .. text) or text, 0)
end

return where
