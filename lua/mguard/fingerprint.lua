--- fingerprint.lua - one hash over what decides a case's outcome: the checks, the implementations, their files. Never over
--- paths, so that two machines with the same contents agree wherever they keep them.
local core = require "mguard.core"
local path = require "mguard.path"
local rule = require "mguard.rule"
local version = require "mguard.version"
local where = require "mguard.where"

local fingerprint = {}

local function contents(file, what)
  local text, message = path.read(file)
  if not text then where.fail(nil, ("%s cannot be read: %s"):format(what, message)) end
  return core.sha256(text)
end

-- Hashes of files whose order must not matter (they are found by path, and paths differ between machines).
local function set_of(files, what)
  local hashes = {}
  for i, file in ipairs(files) do hashes[i] = contents(file, what) end
  table.sort(hashes)
  return table.concat(hashes, ",")
end

local function implementation(name, i)
  local parts = { "implementation", name, i.kind }
  if i.path then parts[#parts + 1] = contents(i.path, name) end
  for k, argument in ipairs(i.argv or {}) do
    -- The program itself belongs to the machine (python3 is not the same file everywhere); scripts among the arguments
    -- belong to the run.
    local file = k > 1 and path.join(i.cwd, argument)
    parts[#parts + 1] = file and path.readable(file) and contents(file, name) or argument
  end
  for _, key in ipairs { "once", "input", "output" } do
    if i[key] ~= nil then parts[#parts + 1] = key .. "=" .. tostring(i[key]) end
  end
  for _, key in ipairs(rule.sorted_keys(i.env or {})) do parts[#parts + 1] = key .. "=" .. i.env[key] end
  return table.concat(parts, "\0")
end

--- 64 hex digits, and what they are made of for people who ask what changed: a line each, label, tab, hash.
---@param spec table of script.open
---@return string hash
---@return string parts
function fingerprint.of(spec)
  local parts, labels = {}, {}
  local function add(label, part)
    parts[#parts + 1] = part
    labels[#labels + 1] = label:gsub("[\t\n]", " ") .. "\t" .. core.sha256(part) .. "\n"
  end
  for _, source in ipairs(spec.sources) do
    local task = source:match("^task:.*") -- built in: the version tells its contents
    add(source:match("[^/]+$") or source, "source " .. (task and task .. " " .. version or contents(source, "the script")))
  end
  for _, name in ipairs(rule.sorted_keys(spec.implementations)) do
    add("implementation " .. name, implementation(name, spec.implementations[name]))
  end
  add("a module that it requires", "modules " .. set_of(spec.modules, "a module"))
  add("a file of its files = {}", "files " .. set_of(spec.files, "a file of the plan"))
  return core.sha256(table.concat(parts, "\0\0")), table.concat(labels)
end

return fingerprint
