-- The implementation in use: sort all, take the first k.
return function(list, k)
  table.sort(list, function(a, b) return a > b end) -- the arguments are a copy: changing them harms nobody
  return table.move(list, 1, math.min(k, #list), 1, {})
end
