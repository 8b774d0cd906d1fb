-- embed.lua - writes a C file that holds the Lua modules named as arguments, compiled (line numbers kept) by the Lua
-- that the program is linked with: every executor loads them, and parsing was most of its start.
-- lua/mguard/init.lua becomes module "mguard", lua/mguard/report/json.lua becomes "mguard.report.json".
local out = { '#include "script/embedded.h"\n\n' }
local rows = {}
for i, path in ipairs(arg) do
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  text = string.dump(assert(load(text, "@" .. path, "t")))
  out[#out + 1] = ("static const unsigned char m%d[] = {"):format(i)
  for at = 1, #text, 20 do
    local line = {}
    for k = at, math.min(at + 19, #text) do line[#line + 1] = text:byte(k) end
    out[#out + 1] = table.concat(line, ",") .. ","
  end
  out[#out + 1] = "0};\n"
  rows[#rows + 1] = ('  {"%s", "%s", m%d, %d},'):format(name, path, i, #text)
end
out[#out + 1] = "const mg_embedded mg_embedded_modules[] = {\n" .. table.concat(rows, "\n") .. "\n  {0, 0, 0, 0}};\n"
io.write(table.concat(out, "\n"))
