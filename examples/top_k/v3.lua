-- Different: the result comes in no particular order. Quickselect: split the list around a pivot until the k largest
-- stand in front.
return function(list, k)
  local low, high = 1, #list
  while low < high do
    local pivot = list[(low + high) // 2]
    local i, j = low, high
    while i <= j do
      while list[i] > pivot do i = i + 1 end
      while list[j] < pivot do j = j - 1 end
      if i <= j then
        list[i], list[j] = list[j], list[i]
        i, j = i + 1, j - 1
      end
    end
    if k <= j then high = j elseif k >= i then low = i else break end
  end
  return table.move(list, 1, math.min(k, #list), 1, {})
end
