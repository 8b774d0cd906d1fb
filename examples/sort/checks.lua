-- The task: sort lines of text. Two real programs do it; neither knows of mguard. Each call starts the program anew
-- (once = true), writes the text to its stdin and takes its stdout as the result.
local mg = require "mguard"

local SOURCES <const> = { "/usr/share/common-licenses/GPL-3", "/usr/share/common-licenses/Artistic" }

local pool = {} -- every line of the sources
for _, name in ipairs(SOURCES) do
  for line in assert(io.lines(name)) do pool[#pool + 1] = line end
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

local function text_of(lines)
  return #lines == 0 and "" or table.concat(lines, "\n") .. "\n"
end

-- What any correct result looks like. Lua compares strings by bytes here, as LC_ALL=C makes the programs do.
local function sorted(text)
  local lines = lines_of(text)
  table.sort(lines)
  return text_of(lines)
end

local LARGEST <const> = "~~~ after every line of the sources"

local function program(argv)
  argv.once, argv.input, argv.output = true, "text", "text"
  argv.env = { LC_ALL = "C" }
  return mg.exec(argv)
end

return mg.checks {
  name = "sort",
  files = SOURCES, -- a worker must draw from the same lines

  generate = function(g)
    local lines = g:list(g.choice, pool)
    g:label("empty", #lines == 0)
    return text_of(lines)
  end,

  properties = {
    mg.property { "in order", check = function(out)
      local lines = lines_of(out)
      for i = 2, #lines do
        if lines[i - 1] > lines[i] then return false end
      end
      return true
    end },
    mg.property { "same lines", check = function(out, text) return sorted(out) == sorted(text) end },
  },

  relations = {
    mg.relation { "permute lines", transform = function(g, text) return text_of(g:shuffle(lines_of(text))) end },
    mg.relation { "reverse lines", transform = function(_, text)
      local lines, turned = lines_of(text), {}
      for i = #lines, 1, -1 do turned[#turned + 1] = lines[i] end
      return text_of(turned)
    end },
    mg.relation { "sort twice", transform = function(_, text) return sorted(text) end }, -- sorting what is sorted
    mg.relation { "append a larger line",
      transform = function(_, text) return LARGEST .. "\n" .. text end,
      expect = function(out, out2) return out2 == out .. LARGEST .. "\n" end,
    },
  },

  implementations = {
    gnu = program { "sort" },
    busybox = program { "busybox", "sort" },
  },
}
