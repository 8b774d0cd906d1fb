-- simulation.lua - puts the tables of `simulate_test --table` into a page: `lua5.4 scripts/simulation.lua PAGE TABLES`.
-- A table takes the place of the one with the same first heading; the line with seed and replicates is put right too. Rows of
-- mean widths are left out. Fails where a table of either side has no partner.
local page_name, tables_name = arg[1], arg[2]

local function lines_of(name)
  local list = {}
  for line in io.lines(name) do list[#list + 1] = line end
  return list
end

-- Tables by the text of their first cell, each a list of lines.
local function tables_of(lines)
  local found, order, now = {}, {}, nil
  for _, line in ipairs(lines) do
    if line:sub(1, 1) ~= "|" then
      now = nil
    elseif not now then
      now = { line }
      local key = line:match "^| ([^:(|]+)"
      found[key], order[#order + 1] = now, key
    elseif not line:find "^| mean width |" then
      now[#now + 1] = line
    end
  end
  return found, order
end

local fresh, order = tables_of(lines_of(tables_name))
local seed
for _, line in ipairs(lines_of(tables_name)) do seed = seed or line:match "^Seed .*" end
assert(#order > 0 and seed, tables_name .. " does not hold tables and their seed")

local out, used, inside = {}, 0, false
for _, line in ipairs(lines_of(page_name)) do
  local key = line:match "^| ([^:(|]+)"
  if line:sub(1, 1) ~= "|" then
    inside = false
    if line:find "^Seed %d+, %d+ replicates" then line, used = seed, used + 1 end
  elseif not inside and fresh[key] then
    inside, used = true, used + 1
    table.move(fresh[key], 1, #fresh[key], #out + 1, out)
  end
  if not inside then out[#out + 1] = line end
end
assert(used == #order + 1, ("%s has %d places for %d tables and the line with the seed"):format(page_name, used, #order))
local file <close> = assert(io.open(page_name, "w"))
file:write(table.concat(out, "\n"), "\n")
