--- support.lua - what the specs share: scripts in a temporary folder, and errors as text.
local support = {}

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- A new empty folder; support.remove deletes it.
function support.folder()
  local pipe <close> = assert(io.popen("mktemp -d"))
  return (assert(pipe:read("l")))
end

function support.remove(folder)
  assert(folder:find("^/tmp/"))
  os.execute("rm -rf " .. quoted(folder))
end

function support.write(file, text)
  local out = assert(io.open(file, "wb"))
  out:write(text)
  out:close()
  return file
end

function support.read(file)
  local input <close> = assert(io.open(file, "rb"))
  return (input:read("a"))
end

--- Output of a shell command, and its exit status.
function support.run(command)
  local pipe = assert(io.popen(command .. "; echo \"status=$?\""))
  local text = pipe:read("a")
  pipe:close()
  local body, status = text:match("^(.*)status=(%d+)\n$")
  return body, tonumber(status)
end
support.quoted = quoted

--- The message that fn raises; fails where it raises nothing.
function support.message(fn, ...)
  local ok, message = pcall(fn, ...)
  assert(not ok, "an error was expected, none was raised")
  assert(type(message) == "string", "the error is no text")
  return message
end

return support
