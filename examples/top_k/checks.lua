-- The task: top_k(list, k) gives the k largest entries of a list, in any order; all of them where there are fewer.
-- This file says what a case is and what must hold, whoever computes it. The plans beside it say who is compared.
local mg = require "mguard"

-- How often each value stands in a list.
local function counted(list)
  local count = {}
  for _, value in ipairs(list) do count[value] = (count[value] or 0) + 1 end
  return count
end

return mg.checks {
  name = "top_k",

  -- The arguments of one case. g draws random numbers; the same seed gives the same cases on any machine.
  generate = function(g)
    local list, k = g:list(g.int, -100, 100), g:int(1, 9)
    g:label("fewer than k", #list < k) -- counted in the report
    return list, k
  end,

  -- A property looks at one result: check(result, arguments...).
  properties = {
    mg.property { "k entries", check = function(out, list, k) return #out == math.min(k, #list) end },

    mg.property { "from the list", check = function(out, list)
      local have = counted(list)
      for value, n in pairs(counted(out)) do
        if n > (have[value] or 0) then return false end
      end
      return true
    end },

    -- `given` says which cases a clause is about.
    mg.property { "the largest", given = function(list) return #list > 0 end, check = function(out, list)
      local larger, least = 0, math.min(math.huge, table.unpack(out))
      for _, value in ipairs(list) do
        if value > least then larger = larger + 1 end
      end
      return larger < #out -- all that is larger than the least of the result is in it, too
    end },
  },

  -- A relation looks at two results, for the arguments and for others made from them.
  relations = {
    mg.relations.permute(1), -- another order of the list changes nothing

    mg.relation { "a larger entry gets in",
      transform = function(_, list, k)
        local longer = table.move(list, 1, #list, 1, {})
        longer[#longer + 1] = 101
        return longer, k
      end,
      expect = function(_, out2) return counted(out2)[101] == 1 end,
    },
  },

  equal = mg.equal.multiset, -- the order of the result is left open

  implementations = {
    v1 = mg.lua "v1.lua",
    v2 = mg.lua "v2.lua",
    v3 = mg.lua "v3.lua",
    wrong = mg.lua "wrong.lua",
  },
}
