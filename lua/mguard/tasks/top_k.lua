--- top_k.lua - the built-in task of `mguard evaluate --task top_k`: the k largest entries of a list, largest first.
local mg = require "mguard"

-- How often each value stands in a list.
local function counted(list)
  local count = {}
  for _, value in ipairs(list) do count[value] = (count[value] or 0) + 1 end
  return count
end

local checks = mg.checks {
  name = "top_k",
  generate = function(g)
    local list, k = g:list(g.int, -100, 100), g:int(1, 9)
    g:label("fewer than k", #list < k)
    g:label("empty", #list == 0)
    return list, k
  end,
  properties = {
    mg.property { "k entries", check = function(out, list, k) return #out == math.min(k, #list) end },
    mg.property { "largest first", check = function(out)
      for i = 2, #out do
        if out[i - 1] < out[i] then return false end
      end
      return true
    end },
    mg.property { "from the list", check = function(out, list)
      local have = counted(list)
      for value, n in pairs(counted(out)) do
        if n > (have[value] or 0) then return false end
      end
      return true
    end },
    mg.property { "the largest", given = function(list) return #list > 0 end, check = function(out, list)
      local larger, least = 0, math.min(math.huge, table.unpack(out))
      for _, value in ipairs(list) do
        if value > least then larger = larger + 1 end
      end
      return larger < #out
    end },
  },
  relations = {
    mg.relations.permute(1),
    mg.relation { "a smaller entry changes nothing",
      given = function(list, k) return #list >= k end,
      transform = function(_, list, k)
        local longer = table.move(list, 1, #list, 1, {})
        longer[#longer + 1] = -101
        return longer, k
      end,
      expect = "equal",
    },
  },
}
return checks -- no tail call: the frame of this file gives the clauses their lines
