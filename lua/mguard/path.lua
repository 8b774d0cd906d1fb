--- path.lua - file names: what a script's relative names mean, and whether a file is there.
local core = require "mguard.core"

local path = {}

local ENOENT <const>, ENOTDIR <const> = 2, 20

--- Absolute name without "." and ".." parts. The file need not exist.
---@param name string
---@return string
function path.absolute(name)
  if name:sub(1, 1) ~= "/" then name = assert(core.cwd()) .. "/" .. name end
  local parts = {}
  for part in name:gmatch("[^/]+") do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

--- name as seen from folder dir; "." adds nothing.
---@param dir string|nil
---@param name string
---@return string
function path.join(dir, name)
  if name:sub(1, 1) == "/" or not dir or dir == "." or dir == "" then return name end
  return dir:gsub("/$", "") .. "/" .. name
end

---@param name string
---@return string
function path.dir(name)
  local dir = name:match("^(.*)/[^/]*$")
  if dir == "" then return "/" end
  return dir or "."
end

---@param name string
---@return string
function path.base(name)
  return name:match("([^/]*)/*$")
end

--- Text of a file, or nil and a message that begins with its name.
---@param name string
---@return string|nil
---@return string|nil message
function path.read(name)
  local file, message = io.open(name, "rb")
  if not file then return nil, message end
  local text, why = file:read("a")
  file:close()
  if not text then return nil, name .. ": " .. tostring(why) end
  return text
end

--- True for a regular file that can be read; else false and why.
---@param name string
function path.readable(name)
  local file, message = io.open(name, "rb")
  if not file then return false, message end
  local _, why, code = file:read(0)
  file:close()
  if code then return false, name .. ": " .. tostring(why) end
  return true
end

local function present(name)
  local file, _, code = io.open(name, "rb")
  if file then
    local _, _, bad = file:read(0) -- a folder opens, but cannot be read
    file:close()
    return not bad
  end
  return code ~= ENOENT and code ~= ENOTDIR -- a program may be executable without being readable
end

--- Whether a program can be found: by its place where the name has a slash (seen from dir), else on the given PATH.
---@param program string
---@param dir string
---@param search string|nil by default $PATH
---@return boolean
function path.program_exists(program, dir, search)
  if program:find("/", 1, true) then return present(path.join(dir, program)) end
  for folder in (search or os.getenv("PATH") or "/usr/bin:/bin"):gmatch("[^:]+") do
    if present(folder .. "/" .. program) then return true end
  end
  return false
end

return path
