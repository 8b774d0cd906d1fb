-- The task: merge overlapping intervals. Coordinator and workers both read this file, and each compares its hash with the
-- other's: a worker whose files differ gives its tasks back. A message never carries code.
local mg = require "mguard"

-- How many whole numbers a list of intervals covers.
local function covered(list)
  local seen, n = {}, 0
  for _, interval in ipairs(list) do
    for x = interval[1], interval[2] do
      if not seen[x] then seen[x], n = true, n + 1 end
    end
  end
  return n
end

local function interval(g)
  local first = g:int(0, 200)
  return { first, first + g:int(0, 20) }
end

return mg.checks {
  name = "merge_intervals",
  generate = function(g) return g:list(interval) end,

  properties = {
    mg.property { "covers the same", check = function(out, list) return covered(out) == covered(list) end },
    mg.property { "apart and in order", check = function(out)
      for i = 2, #out do
        if out[i - 1][2] >= out[i][1] then return false end
      end
      return true
    end },
  },

  relations = {
    mg.relations.permute(1),
    mg.relations.duplicate(1, { name = "twice the same", expect = "equal" }),
    mg.relations.shift(1, 1000, {
      name = "moved by 1000",
      expect = function(out, out2) return covered(out) == covered(out2) end,
    }),
  },

  implementations = {
    -- One pass over the sorted list.
    sweep = function(list)
      table.sort(list, function(a, b) return a[1] < b[1] end)
      local merged = {}
      for _, it in ipairs(list) do
        local last = merged[#merged]
        if last and it[1] <= last[2] then
          last[2] = math.max(last[2], it[2])
        else
          merged[#merged + 1] = it
        end
      end
      return merged
    end,

    -- Each interval is put into the merged list at once; no sort is needed.
    insert = function(list)
      local merged = {}
      for _, it in ipairs(list) do
        local first, last, rest, at = it[1], it[2], {}, 1
        for _, other in ipairs(merged) do
          if other[2] < first then
            rest[#rest + 1], at = other, at + 1
          elseif other[1] > last then
            rest[#rest + 1] = other
          else
            first, last = math.min(first, other[1]), math.max(last, other[2])
          end
        end
        table.insert(rest, at, { first, last })
        merged = rest
      end
      return merged
    end,
  },
}
