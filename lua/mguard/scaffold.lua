--- scaffold.lua - the files that `mguard init` writes: a task that runs as it is, to be changed into one's own.
local scaffold = {}

local CHECKS <const> = [==[
-- What a case is and what must hold, whoever computes it. Coordinator and workers both read this file.
local mg = require "mguard"

return mg.checks {
  name = "@NAME@",

  -- The arguments of one case. g draws random numbers; the same seed gives the same cases on any machine.
  -- Here: a list of words. Replace it by what your implementations take.
  generate = function(g)
    local words = g:list(g.string, 4, "abc") -- up to 4 letters each, few enough that some come twice
    g:label("empty", #words == 0) -- counted in the report
    return words
  end,

  -- A property looks at one result: check(result, arguments...). It fails by returning false, or by raising.
  properties = {
    mg.property { "as many as given", check = function(out, words) return #out == #words end },
    mg.property { "in order", check = function(out)
      for i = 2, #out do
        if out[i - 1] > out[i] then return false end
      end
      return true
    end },
  },

  -- A relation looks at two results, for the arguments and for others made from them: no right answer needs to be known.
  relations = {
    mg.relations.permute(1), -- another order of the words changes nothing
    mg.relation { "a first word comes first",
      transform = function(_, words)
        local more = table.move(words, 1, #words, 1, {})
        more[#more + 1] = ""
        return more
      end,
      expect = function(_, out2) return out2[1] == "" end,
    },
  },

  -- Other kinds: mg.python "candidate.py" (a file with solve(*args)), mg.exec { "program", "argument" } (JSON lines).
  implementations = {
    baseline = mg.lua "baseline.lua",
    candidate = mg.lua "candidate.lua",
  },
}
]==]

local PLAN <const> = [==[
-- Who is compared, on how much, and what decides. Run it: mguard run plan.lua
local mg = require "mguard"

return mg.plan {
  checks = "checks.lua",
  baseline = "baseline",   -- the implementation in use
  candidate = "candidate", -- the one that may replace it
  cases = 10000,
  seed = 1,
  goal = mg.goal.noninferiority(0.01), -- adopt where the pass rate is shown to be at most 1 percentage point lower
  limits = { case_timeout_ms = 2000, memory_mb = 512 },
}
]==]

local BASELINE <const> = [==[
-- The implementation in use: Lua's own sort.
return function(words)
  table.sort(words) -- the arguments are a copy: changing them harms nobody
  return words
end
]==]

local CANDIDATE <const> = [==[
-- The new one: insertion, word by word.
return function(words)
  local sorted = {}
  for _, word in ipairs(words) do
    local at = #sorted + 1
    while at > 1 and sorted[at - 1] > word do at = at - 1 end
    table.insert(sorted, at, word)
  end
  return sorted
end
]==]

--- Queue configurations, commented; examples/distributed/queue/ has the same.
---@type table<string, string>
scaffold.queues = {
  kafka = [==[
{
  "backend": "kafka",
  "bootstrap_servers": "localhost:9092",
  "topic": "mguard_tasks",
  "consumer_group": "mguard_workers",
  "partitions": 8,             // no more workers than this can work at once
  "session_timeout_ms": 45000,
  "enable_auto_commit": false  // must be false: mguard commits once the results are stored
}
]==],
  rabbitmq = [==[
{
  "backend": "rabbitmq",
  "connection": {
    "host": "localhost",
    "port": 5672,
    "virtual_host": "/",
    "username": "guest",
    "password": "guest"     // write "${RABBITMQ_PASSWORD}" to take it from the environment
  },
  "queue_name": "mguard_tasks",
  "durable": true,          // a quorum queue, which survives a restart of the broker
  "prefetch_count": 10
}
]==],
  redis = [==[
// docs/reference/configuration.md lists every key.
{
  "backend": "redis",
  "connection": {
    "host": "localhost",
    "port": 6379
    // "password": "${REDIS_PASSWORD}",   taken from the environment
    // "ssl": true
  },
  "lease_seconds": 60,      // a worker holds a task this long before it must have said that it still works on it
  "heartbeat_timeout": 30,  // seconds of silence after which its tasks go to others: half of lease_seconds
  "adaptive_batching": true // small tasks for slow cases, large ones for fast cases
}
]==],
  sqs = [==[
// Credentials come from where the AWS tools look: environment, ~/.aws, container, instance.
{
  "backend": "sqs",
  "queue_url": "https://sqs.us-east-1.amazonaws.com/123456789012/mguard-tasks",
  "region": "us-east-1",
  "visibility_timeout": 60,
  "long_polling_seconds": 20
}
]==],
}

local COMMANDS <const> = [==[
# @NAME@

    mguard check plan.lua     # loads everything, runs a few cases twice, says what is wrong or slow
    mguard run plan.lua       # the verdict: exit code 0 adopt, 1 reject, 2 inconclusive, 3 invalid
]==]

local WORKERS <const> = [==[

With workers on other machines, which need this folder with the same contents and a broker that `queue.json` reaches:

    mguard worker --script checks.lua --queue-config queue.json     # as many as you like
    mguard run plan.lua --queue-config queue.json
]==]

--- The files in the order of writing: name, text, name, text, ...
---@param name string    of the task
---@param backend string "memory": no queue
---@return string[]
function scaffold.files(name, backend)
  local readme = backend == "memory" and COMMANDS or COMMANDS .. WORKERS
  local files = { "checks.lua", CHECKS, "plan.lua", PLAN, "baseline.lua", BASELINE, "candidate.lua", CANDIDATE, "README.md", readme }
  if backend ~= "memory" then
    files[#files + 1] = "queue.json"
    files[#files + 1] = scaffold.queues[backend]
  end
  local literal = name:gsub("%%", "%%%%")
  for i = 2, #files, 2 do files[i] = files[i]:gsub("@NAME@", literal) end
  return files
end

return scaffold
