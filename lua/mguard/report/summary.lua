--- summary.lua - a run's report as text for a terminal: verdict, reasons, rates, outcomes, clauses, violations.
local summary = {}

local OUTCOMES <const> = { "pass", "fail", "error", "timeout", "crash", "discard", "lost", "unrun" }
local COLORS <const> = { adopt = "32", reject = "31", inconclusive = "33", invalid = "35" }
local MAX_VIOLATIONS <const> = 3
local MIN_WIDTH <const> = 40

-- cjson and core.json_decode both give null as a light userdata.
local function present(value)
  return value ~= nil and type(value) ~= "userdata"
end

local function painter(color)
  return function(text, code)
    return color and code and ("\27[%sm%s\27[0m"):format(code, text) or text
  end
end

local function columns(text)
  return utf8.len(text) or #text
end

-- Text in lines of at most `width` columns, each with `indent` in front; the first may have another.
local function wrap(text, width, indent, first)
  local lines, line = {}, first or indent
  local empty = true
  for word in tostring(text):gmatch("%S+") do
    if not empty and columns(line) + 1 + columns(word) > width then
      lines[#lines + 1] = line
      line, empty = indent, true
    end
    line = line .. (empty and "" or " ") .. word
    empty = false
  end
  lines[#lines + 1] = line
  return lines
end

-- One line, no control characters (a value must not move the cursor), cut to `width` columns.
local function clip(text, width)
  text = tostring(text):gsub("[%c\127]", function(c) return ("\\x%02X"):format(c:byte()) end)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", function(c) return ("\\x%02X"):format(c:byte()) end) end
  text = text:gsub("\xC2[\x80-\x9F]", "?") -- control characters of Unicode
  if columns(text) <= width then return text end
  return text:sub(1, utf8.offset(text, width - 2) - 1) .. "..."
end

local function percent(rate)
  return ("%.2f %%"):format(rate * 100)
end

local function signed(difference)
  return ("%+.2f"):format(difference * 100)
end

local function grouped(n)
  local text = ("%d"):format(n)
  repeat
    local changed
    text, changed = text:gsub("^(-?%d+)(%d%d%d)", "%1 %2")
  until changed == 0
  return text
end

local function duration(seconds)
  if seconds < 1 then return ("%d ms"):format(math.floor(seconds * 1000 + 0.5)) end
  if seconds < 120 then return ("%.1f s"):format(seconds) end
  return ("%d min %d s"):format(seconds // 60, math.floor(seconds % 60))
end

local function head(report, paint, out)
  local verdict = tostring(report.verdict)
  local color = COLORS[verdict]
  out(paint(verdict:upper(), color and "1;" .. color) .. "  " .. clip(report.name or "", 60))
  local who = present(report.baseline) and ("%s against %s"):format(report.candidate, report.baseline) or report.candidate
  local speed = ""
  if report.seconds and report.seconds > 0 then
    speed = (", %s cases/s"):format(grouped(math.floor(report.cases / report.seconds)))
  end
  out(("%s, %s cases, seed %s, %s%s"):format(clip(who, 80), grouped(report.cases), tostring(report.seed),
    duration(report.seconds or 0), speed))
end

local function list(title, items, width, out, code, paint)
  if not items or #items == 0 then return end
  out("")
  out(paint(title, code))
  for _, item in ipairs(items) do
    for _, line in ipairs(wrap(clip(item, 10000), width, "    ", "  - ")) do out(line) end
  end
end

local function short(x) return present(x) and ("%.4g"):format(x) or "-" end

local function rates(report, out)
  out("")
  for _, role in ipairs { "baseline", "candidate" } do
    local r = report.rates and report.rates[role]
    if present(r) then
      out(("  pass rate  %-10s %9s   [%s, %s]"):format(role, percent(r.rate), percent(r.low), percent(r.high)))
    end
  end
  local d = report.difference
  if present(d) then
    out(("  difference %-10s %7s pp   [%s, %s] at %g %%, %s"):format("", signed(d.estimate), signed(d.low), signed(d.high),
      d.level * 100, tostring(d.method)))
  end
  local c = report.clusters
  if present(c) then out(("  clusters   %s, design effect %s"):format(grouped(c.count), short(c.design_effect))) end
  local p = report.pairs
  if present(p) and present(report.baseline) then
    out(("  pairs      both pass %s, baseline only %s, candidate only %s, neither %s"):format(grouped(p.both),
      grouped(p.baseline_only), grouped(p.candidate_only), grouped(p.neither)))
  end
end

-- Outcomes that occur, as a table; pass and fail always stand.
local function outcomes(report, out)
  local roles, shown = {}, {}
  for _, role in ipairs { "baseline", "candidate" } do
    if present(report.outcomes and report.outcomes[role]) then roles[#roles + 1] = role end
  end
  if #roles == 0 then return end
  for _, name in ipairs(OUTCOMES) do
    local any = name == "pass" or name == "fail"
    for _, role in ipairs(roles) do
      if (report.outcomes[role][name] or 0) > 0 then any = true end
    end
    if any then shown[#shown + 1] = name end
  end
  out("")
  local line = { ("  %-10s"):format("outcome") }
  for _, name in ipairs(shown) do line[#line + 1] = ("%9s"):format(name) end
  out(table.concat(line))
  for _, role in ipairs(roles) do
    line = { ("  %-10s"):format(role) }
    for _, name in ipairs(shown) do line[#line + 1] = ("%9s"):format(grouped(report.outcomes[role][name] or 0)) end
    out(table.concat(line))
  end
end

local function clauses(report, width, out, paint)
  local rows = {}
  for _, c in ipairs(report.clauses or {}) do
    if c.both + c.baseline_only + c.candidate_only > 0 then rows[#rows + 1] = c end
  end
  local total = #(report.clauses or {})
  out("")
  if #rows == 0 then
    out(("  %d clauses, no violations"):format(total))
    return
  end
  local name_width = math.max(10, math.min(30, width - 50))
  out(("  %-" .. name_width .. "s %9s %9s %9s"):format("violated clause", "both", "baseline", "candidate"))
  for _, c in ipairs(rows) do
    local name = clip(c.name .. (c.mode == "hard" and "" or (" (%s)"):format(c.mode)), name_width)
    name = name .. (" "):rep(name_width - columns(name))
    local line = ("  %s %9s %9s %9s"):format(name, grouped(c.both), grouped(c.baseline_only), grouped(c.candidate_only))
    out(c.candidate_only > 0 and c.mode ~= "soft" and paint(line, "31") or line)
  end
  for _, c in ipairs(rows) do
    if c.regressed then
      out(paint(("  %s %s regressed (corrected p %.2g)"):format(tostring(c.kind), clip(c.name, name_width), c.p_adjusted), "31"))
    end
  end
end

-- Violations in the order in which they matter: those that decide, then the candidate's own, then the rest; among equals
-- one of each clause before a second of any.
local function by_weight(report, stored)
  local modes, seen, order = {}, {}, {}
  for _, c in ipairs(report.clauses or {}) do modes[c.name] = c.mode end
  for i, v in ipairs(stored) do
    local own = v.role == "candidate" and not v.shared
    local mode = modes[v.clause]
    local decides = mode == "absolute" and v.role == "candidate" or mode == "hard" and own
    local rank = decides and 1 or own and 2 or 3
    local key = rank .. v.role .. v.clause
    seen[key] = (seen[key] or 0) + 1
    order[i] = { violation = v, rank = rank, nth = seen[key], at = i }
  end
  table.sort(order, function(a, b)
    if a.rank ~= b.rank then return a.rank < b.rank end
    if a.nth ~= b.nth then return a.nth < b.nth end
    return a.at < b.at
  end)
  for i, entry in ipairs(order) do order[i] = entry.violation end
  return order
end

local function violations(report, width, out, paint)
  local stored = report.violations or {}
  if #stored == 0 then return end
  local order = by_weight(report, stored)
  out("")
  out(paint(("First violations (%d of %d kept)"):format(math.min(MAX_VIOLATIONS, #order), #stored), "1"))
  local room = width - 13
  for i = 1, math.min(MAX_VIOLATIONS, #order) do
    local v = order[i]
    local state = v.reproduced == true and ", reproduced" or v.reproduced == false and ", not reproduced" or ""
    out(clip(("  case %s, %s: %s%s%s"):format(grouped(v.case):gsub(" ", ""), v.role, v.clause,
      v.shared and ", the baseline too" or "", state), width))
    for _, part in ipairs { { "message", v.message }, { "input", v.input }, { "output", v.output }, { "input 2", v.input2 },
      { "output 2", v.output2 } } do
      if present(part[2]) then out(("    %-8s %s"):format(part[1], clip(part[2], room))) end
    end
    if present(v.replay) then out(("    %-8s %s"):format("replay", tostring(v.replay))) end -- never cut: it is to be copied
  end
end

local function repeats(report, out)
  local r = report.repeat_check
  if not present(r) then return end
  if not r.different or #r.different == 0 then
    out(("  %d cases ran twice: no difference"):format(r.cases))
    return
  end
  out(("  of %d cases run twice, %d differed:"):format(r.cases, #r.different))
  for i = 1, math.min(5, #r.different) do
    local d = r.different[i]
    out(("    case %d, %s: %s, then %s"):format(d.case, d.role, d.first, d.again))
  end
end

local function flaky(report, out)
  local f = report.flaky
  if not present(f) then return end
  out(("  %s cases run up to %d times again: %s differed, of all cases at most %s do (95 %%)"):format(grouped(f.cases), f.reruns,
    f.different == 0 and "none" or grouped(f.different), percent(f.bound)))
end

local function labels(report, out)
  local names = {}
  for name in pairs(report.labels or {}) do names[#names + 1] = name end
  if #names == 0 then return end
  table.sort(names, function(a, b)
    local x, y = report.labels[a], report.labels[b]
    if x ~= y then return x > y end
    return a < b
  end)
  out("")
  out("  labels")
  for i = 1, math.min(12, #names) do
    local count = report.labels[names[i]]
    out(("    %6.2f %%  %s"):format(100 * count / math.max(1, report.cases), clip(names[i], 60)))
  end
end

-- Those that the report has of each side.
local QUANTILES <const> = { [0.5] = "p50", [0.95] = "p95", [0.99] = "p99" }

-- What was measured: both sides, and the comparison with its interval.
local function metrics(report, width, out, paint)
  if not report.metrics or #report.metrics == 0 then return end
  out("")
  out(("  %-16s %9s %9s %9s  %s"):format("metric", "baseline", "candidate", "compared", "interval"))
  for _, m in ipairs(report.metrics) do
    local at = m.kind == "mean" and "mean" or m.kind == "quantile" and QUANTILES[m.quantile] or m.kind == "ratio" and "p50"
    local function side(values) return at and present(values) and short(values[at]) or "-" end
    local state = m.alert and ", alert" or m.holds == "no" and ", fails" or m.holds == "open" and ", open" or m.holds == "yes" and ", holds" or ""
    local factor = m.kind ~= "mean" and present(m.baseline) and "x " or "" -- without a baseline it is the candidate's mean
    local line = clip(("  %-16s %9s %9s %9s  [%s, %s]%s"):format(clip(m.name, 16), side(m.baseline), side(m.candidate),
      factor .. short(m.estimate), short(m.low), short(m.high), state), width)
    out((m.alert or m.holds == "no") and paint(line, "31") or line)
  end
end

local function groups(report, out)
  if not report.groups or #report.groups == 0 then return end
  out("")
  out(("  %-16s %9s %9s   %s"):format("group", "cases", "pass rate", "interval"))
  for _, g in ipairs(report.groups) do
    out(("  %-16s %9s %9s   [%s, %s]"):format(clip(g.name, 16), grouped(g.n), percent(g.candidate), percent(g.low), percent(g.high)))
  end
  local f = report.fairness
  if not present(f) then return end
  out(("  widest gap %s [%s, %s], %s over %s"):format(percent(f.gap), percent(f.low), percent(f.high), clip(f.best, 16),
    clip(f.worst, 16)))
end

local function delivery(report, out)
  local d = report.delivery
  if not present(d) then return end
  local function counted(n, what) return ("%s %s%s"):format(grouped(n or 0), what, n == 1 and "" or "s") end
  local parts = { ("  %s: %s, %s"):format(tostring(d.backend), counted(d.tasks, "task"), counted(d.workers, "worker")) }
  for _, item in ipairs { { "requeued", "requeued" }, { "repeats_dropped", "repeats dropped" },
    { "dead_lettered", "dead letters" }, { "reconnects", "reconnects" } } do
    if (d[item[1]] or 0) > 0 then parts[#parts + 1] = ("%s %s"):format(grouped(d[item[1]]), item[2]) end
  end
  out(table.concat(parts, ", "))
end

---@class mguard.SummaryOptions
---@field width? integer  columns, default 80
---@field color? boolean

--- Text of a report, lines ended by "\n".
---@param report table  the decoded JSON report
---@param options? mguard.SummaryOptions
---@return string
function summary.text(report, options)
  options = options or {}
  local width = math.max(MIN_WIDTH, options.width or 80)
  local paint = painter(options.color)
  local lines = {}
  local function out(line) lines[#lines + 1] = line end
  head(report, paint, out)
  list("Reasons", report.reasons, width, out, "1", paint)
  list("Alerts", report.alerts, width, out, "33", paint)
  rates(report, out)
  outcomes(report, out)
  clauses(report, width, out, paint)
  metrics(report, width, out, paint)
  groups(report, out)
  violations(report, width, out, paint)
  labels(report, out)
  out("")
  repeats(report, out)
  flaky(report, out)
  delivery(report, out)
  if present(report.outcome_digest) then out("  digest " .. tostring(report.outcome_digest)) end
  list("Notes", report.notes, width, out, "1", paint)
  return table.concat(lines, "\n") .. "\n"
end

return summary
