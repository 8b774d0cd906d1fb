-- docs/operations/monitoring.md against the source: every metric with its kind and labels, and nothing else.
local support = require "support"

local KINDS <const> = { MG_COUNTER = "counter", MG_GAUGE = "gauge", MG_HISTOGRAM = "histogram" }

--- "name kind label label" of every metric that a source text declares, in order.
local function declared(text, list)
  local one = text:match '#define ONE (%b{})'
  for kind, name, rest in text:gmatch '{(MG_%u+),%s*"(metamorphic_[%w_]+)",%s*"[^"]*",%s*([^\n]-)[},]*;?\n' do
    if rest:find "^ONE" then rest = one end
    local labels = {}
    for label in (rest:match "%b{}" or rest):gmatch '"([%w_]+)"' do labels[#labels + 1] = label end
    list[#list + 1] = table.concat({ name, KINDS[kind], table.unpack(labels) }, " ")
  end
  return list
end

local function of_source()
  local list = {}
  for file in support.run("find engine/cli engine/observe -name '*.c' | sort"):gmatch "[^\n]+" do
    declared(support.read(file):gsub('",%s*\n%s*"', '", "'):gsub('",%s*\n%s*{', '", {'):gsub('},%s*\n%s*([%w_]+})', '}, %1'), list)
  end
  table.sort(list)
  return list
end

local function of_page()
  local list = {}
  for name, kind, labels in support.read("docs/operations/monitoring.md"):gmatch "\n| `(metamorphic_[%w_]+)` | (%a+) | ([^|]*)|" do
    local parts = { name, kind }
    for label in labels:gmatch "`([%w_]+)`" do parts[#parts + 1] = label end
    list[#list + 1] = table.concat(parts, " ")
  end
  table.sort(list)
  return list
end

describe("docs/operations/monitoring.md", function()
  it("has every metric of the source with its kind and labels, and no other", function()
    local source = of_source()
    assert.is_true(#source > 55, #source)
    assert.are.same(source, of_page())
  end)

  it("would miss one", function()
    assert.are.same({ "metamorphic_a_total counter", "metamorphic_b gauge x y" }, declared([[
    [A] = {MG_COUNTER, "metamorphic_a_total", "A.", {NULL}, 1},
    mg_metric_info b = {MG_GAUGE, "metamorphic_b", "B, and more.", {"x", "y"}, MOST};
]], {}))
  end)
end)
