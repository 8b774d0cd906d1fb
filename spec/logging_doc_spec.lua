-- docs/operations/logging.md against the source: every event that can be emitted is listed with its level and fields, and nothing else is.
local support = require "support"

-- Which argument names the event, its level and its fields. mg_coord_event and mg_coord_note have neither: they warn, with the run's id.
local EMITTERS <const> = {
  mg_log = { level = 1, event = 2, fields = 3 },
  mg_log_rarely = { level = 3, event = 4, fields = 5 },
  mg_coord_log = { level = 3, event = 4, fields = 5 },
  mg_coord_event = { event = 2 },
  mg_coord_note = { event = 2 },
  on_note = { event = 2 },
}

-- Whose events those of a file are.
local function side_of(file)
  if file:find "^engine/dispatch/" or file:find "^engine/cli/run%.c" then return "mguard run" end
  if file:find "^engine/execute/" or file:find "^engine/cli/worker%.c" then return "mguard worker" end
  return "Either"
end

-- The arguments after an opening parenthesis at `at`, cut at the commas of that level.
local function arguments(text, at)
  local args, depth, from, i, quoted = {}, 0, at + 1, at, false
  while i <= #text do
    local c = text:sub(i, i)
    if quoted then
      if c == "\\" then i = i + 1 elseif c == '"' then quoted = false end
    elseif c == '"' then
      quoted = true
    elseif c == "(" or c == "{" then
      depth = depth + 1
    elseif c == ")" or c == "}" then
      depth = depth - 1
      if depth == 0 then
        args[#args + 1] = text:sub(from, i - 1)
        return args
      end
    elseif c == "," and depth == 1 then
      args[#args + 1] = text:sub(from, i - 1)
      from = i + 1
    end
    i = i + 1
  end
  return args
end

local function add(events, side, name, level, fields)
  local of_side = events[side] or {}
  events[side] = of_side
  local e = of_side[name] or { levels = {}, fields = {} }
  of_side[name] = e
  e.levels[level] = true
  for _, field in ipairs(fields) do e.fields[field] = true end
end

--- Events of one file, added to `events` by side.
local function read_source(events, file, text)
  text = text:gsub("/%*.-%*/", " "):gsub("\n%s*//[^\n]*", "\n")
  for from, name, at in text:gmatch("()([%w_]+)()%(") do
    local how = EMITTERS[name]
    local args = how and arguments(text, at)
    local event = args and args[how.event]
    local before = text:sub(from - 1, from - 1)
    if event and not before:find "[%w_]" then
      local level = how.level and args[how.level]:match "MG_LOG_(%u+)" or "WARN"
      local fields = {}
      for key in (how.fields and args[how.fields] or ""):gmatch 'MG_L[TIRB]%("([%w_]+)"' do fields[#fields + 1] = key end
      local found = false
      for literal in event:gmatch '"([^"]*)"' do
        assert(literal:find "^[a-z_]+$", file .. ": an event is called " .. literal)
        add(events, side_of(file), literal, level:lower(), fields)
        found = true
      end
      -- Otherwise it hands on what it was given.
      assert(found or event:find "^%s*event%s*$" or event:find "event$", ("%s: %s names no event: %s"):format(file, name, event))
    end
  end
end

local function of_source()
  local events = {}
  local files = support.run "find engine backends -name '*.c' ! -path engine/base/log.c | sort"
  for file in files:gmatch "[^\n]+" do read_source(events, file, support.read(file)) end
  return events
end

local function of_page()
  local events, side = {}, nil
  for line in support.read("docs/operations/logging.md"):gmatch "[^\n]+" do
    side = line:match "^## (.+)$" or side
    local name, level, fields = line:match "^| `([a-z_]+)` | (%a+) | ([^|]*)|"
    if name then
      local list = {}
      for field in fields:gmatch "`([%w_]+)`" do list[#list + 1] = field end
      add(events, side, name, level, list)
    end
  end
  return events
end

local function as_lines(events)
  local lines = {}
  for side, of_side in pairs(events) do
    for name, e in pairs(of_side) do
      local fields, levels = {}, {}
      for field in pairs(e.fields) do fields[#fields + 1] = field end
      for level in pairs(e.levels) do levels[#levels + 1] = level end
      table.sort(fields)
      table.sort(levels)
      lines[#lines + 1] = ("%s: %s [%s] %s"):format(side, name, table.concat(levels, " "), table.concat(fields, " "))
    end
  end
  table.sort(lines)
  return lines
end

local function differences(a, b)
  local known, out = {}, {}
  for _, line in ipairs(b) do known[line] = true end
  for _, line in ipairs(a) do
    if not known[line] then out[#out + 1] = line end
  end
  return table.concat(out, "\n")
end

describe("docs/operations/logging.md", function()
  local source, page = as_lines(of_source()), as_lines(of_page())

  it("lists what the source can emit", function() assert.are.equal("", differences(source, page)) end)
  it("lists nothing else", function() assert.are.equal("", differences(page, source)) end)

  it("has the events that users of the Python system know", function()
    local text = table.concat(page, "\n")
    for _, known in ipairs { "queue_dispatched [info] attempt_count cases queue_name task_id",
      "queue_completed [info] busy_ms cases duration duration_ms task_id",
      "queue_requeued [warn] attempt_count cases reason task_id", "heartbeat_timeout [warn] last_heartbeat", "run_eval_start", "run_eval_complete",
      "worker_lost", "worker_recovered", "task_dead_lettered" } do
      assert.is_truthy(text:find(known, 1, true), known)
    end
  end)
end)

describe("the reading of the source", function()
  local function read(text)
    local events = {}
    read_source(events, "engine/dispatch/x.c", text)
    return as_lines(events)
  end

  it("sees choices, fields, limits, and passes over what hands on", function()
    local expected = { "a_b [info] x y", "c [info] x y", "d [debug] ", "e [warn] ", "f [warn] " }
    for i, line in ipairs(expected) do expected[i] = "mguard run: " .. line end
    assert.are.same(expected, read [[
      /* mg_log(MG_LOG_WARN, "comment", MG_NO_FIELDS, "") */
      mg_log(MG_LOG_INFO, ok ? "a_b" : "c", MG_FIELDS(MG_LT("x", f(1, ")")), MG_LI("y", 2)), "text, (", z);
      mg_log_rarely(&l, 1000, MG_LOG_DEBUG, "d", MG_NO_FIELDS, "%s", text);
      mg_coord_event(c, "e", "x"); on_note(v,
        "f", "y");
      mg_log(level, event, fields, count, "%s", text);
      mg_log(ev->level, ev->event, fields, count, "%s", text);]])
  end)

  it("refuses an event that it cannot read", function()
    assert.has_error(function() read 'mg_log(MG_LOG_WARN, name_of(x), MG_NO_FIELDS, "");' end)
    assert.has_error(function() read 'mg_log(MG_LOG_WARN, "Big", MG_NO_FIELDS, "");' end)
  end)
end)
