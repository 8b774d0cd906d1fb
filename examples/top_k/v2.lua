-- As v1, but faster for long lists: a heap of the k largest so far, the least of them on top.
local function sift_down(heap, i)
  local n = #heap
  while true do
    local least, left, right = i, 2 * i, 2 * i + 1
    if left <= n and heap[left] < heap[least] then least = left end
    if right <= n and heap[right] < heap[least] then least = right end
    if least == i then return end
    heap[i], heap[least] = heap[least], heap[i]
    i = least
  end
end

return function(list, k)
  local heap = table.move(list, 1, math.min(k, #list), 1, {})
  for i = #heap // 2, 1, -1 do sift_down(heap, i) end
  for i = #heap + 1, #list do
    if list[i] > heap[1] then
      heap[1] = list[i]
      sift_down(heap, 1)
    end
  end
  table.sort(heap, function(a, b) return a > b end)
  return heap
end
