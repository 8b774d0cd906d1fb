--- support.lua - runs the program as a user would, in a folder of its own. Every call has a time limit.
local support = {}

local build = os.getenv "MGUARD_BUILD" or "build"

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read("a")
end

local root = output_of("pwd -P"):gsub("\n$", "")
support.program = build:sub(1, 1) == "/" and build .. "/mguard" or ("%s/%s/mguard"):format(root, build)
support.root = root

---@param text string
function support.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- A new folder, removed by support.clean.
local folders = {}
function support.folder()
  local dir = output_of("mktemp -d"):gsub("\n$", "")
  folders[#folders + 1] = dir
  return dir
end

function support.clean()
  for _, dir in ipairs(folders) do os.execute("rm -rf " .. support.quote(dir)) end
  folders = {}
end

function support.write(dir, name, text)
  local file <close> = assert(io.open(dir .. "/" .. name, "w"))
  file:write(text)
  return dir .. "/" .. name
end

function support.read(name)
  local file <close> = assert(io.open(name, "rb"))
  return file:read("a")
end

--- Runs a shell command line in dir; gives { code, out, err }. 124 is the time limit.
function support.shell(dir, line, limit)
  local mark = os.tmpname()
  local command = ("cd %s && timeout -k 5 %d sh -c %s >%s.out 2>%s.err </dev/null; echo $?")
    :format(support.quote(dir), limit or 60, support.quote(line), mark, mark)
  local code = tonumber(output_of(command):match("(%d+)%s*$"))
  local result = { code = code, out = support.read(mark .. ".out"), err = support.read(mark .. ".err") }
  os.remove(mark)
  os.remove(mark .. ".out")
  os.remove(mark .. ".err")
  return result
end

--- A plan of a million cases of 2 ms, of which the candidate fails one in `fails_in`: it runs until it is stopped.
function support.long_plan(name, fails_in, margin)
  return ([[
local mg = require "mguard"
return mg.plan {
  name = %q,
  checks = mg.checks { generate = function(g) return g.case, g:int(1, 1000) end,
    properties = { mg.property { "same", check = function(out, _, x) return out == x end, hard = false } },
    implementations = {
      v1 = function(_, x) return x end,
      v2 = function(case, x)
        local stop = os.clock() + 0.002
        while os.clock() < stop do end
        return case %% %d == 4 and 0 or x
      end,
    } },
  baseline = "v1", candidate = "v2", cases = 1000000, workers = 1, goal = mg.goal.noninferiority(%g),
}]]):format(name, fails_in, margin)
end

--- mguard with these arguments.
function support.mguard(dir, arguments, limit)
  return support.shell(dir, support.quote(support.program) .. " " .. arguments, limit)
end

--- Runs a plan and gives its result and the decoded report.
function support.run(dir, plan, arguments, limit)
  local core = require "mguard.core"
  local report = dir .. "/report-of-spec.json"
  os.remove(report)
  local result = support.mguard(dir, ("run %s --report-json %s %s"):format(plan, report, arguments or ""), limit)
  local file = io.open(report)
  if file then
    result.report = assert(core.json_decode(file:read("a")))
    file:close()
  end
  return result
end

return support
