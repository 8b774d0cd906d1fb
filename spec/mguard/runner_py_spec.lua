local core = require "mguard.core"
local runner = require "mguard.runner_py"
local support = require "spec.support"

describe("mguard.runner_py", function()
  local folder
  setup(function() folder = support.folder() end)
  teardown(function() support.remove(folder) end)

  -- Answers of the program to some lines, decoded; the raw lines; what went to stderr.
  local function talk(python, lines)
    local file = support.write(folder .. "/candidate.py", python)
    local source = support.write(folder .. "/source", runner)
    local input = support.write(folder .. "/in", table.concat(lines, "\n") .. "\n")
    local text, status = support.run(('timeout 20 python3 -c "$(cat %s)" %s <%s 2>%s/err'):format(source, file, input, folder))
    assert.equal(0, status, support.read(folder .. "/err"))
    local raw, answers = {}, {}
    for line in text:gmatch("([^\n]*)\n") do
      raw[#raw + 1] = line
      answers[#answers + 1] = assert(core.json_decode(line))
    end
    return answers, raw, support.read(folder .. "/err")
  end
  local function one(body, line)
    local answers = talk("def solve(*args):\n" .. body, { line or "[]" })
    assert.equal(1, #answers)
    return answers[1]
  end

  it("calls solve with the arguments and answers each line", function()
    local answers = talk("def solve(a, b): return {'sum': a + b}", { "[1, 2]", "[\"x\", \"y\"]", "[1.5, 2]" })
    assert.same({ { result = { sum = 3 } }, { result = { sum = "xy" } }, { result = { sum = 3.5 } } }, answers)
  end)
  it("answers before it reads on", function()
    -- the second line is only written once the first answer is there
    local file = support.write(folder .. "/candidate.py", "def solve(n): return n + 1")
    support.write(folder .. "/source", runner)
    support.write(folder .. "/talk.py", ([[
import subprocess, sys
p = subprocess.Popen(["python3", "-c", open("%s/source").read(), "%s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for n in (1, 2):
    p.stdin.write(b"[%%d]\n" %% n); p.stdin.flush()
    sys.stdout.write(p.stdout.readline().decode())
p.stdin.close()
p.wait(10)
]]):format(folder, file))
    assert.equal('{"result":2}\n{"result":3}\n', (support.run("timeout 20 python3 " .. folder .. "/talk.py")))
  end)
  it("keeps integers and floats apart, and digits", function()
    local _, raw = talk("def solve(x): return x", { "[9007199254740993]", "[1.0]", "[-0.0]", "[0.1]",
      "[[1, 2.0, null, true, {}]]", "[-9223372036854775808]" })
    assert.same({ '{"result":9007199254740993}', '{"result":1.0}', '{"result":-0.0}', '{"result":0.1}',
      '{"result":[1,2.0,null,true,{}]}', '{"result":-9223372036854775808}' }, raw)
  end)
  it("sends prints and other output to stderr", function()
    local answers, _, err = talk("import os, sys\nprint('loading')\ndef solve():\n  print('hello')\n  os.write(1, b'raw')\n"
      .. "  sys.__stdout__.write('old')\n  sys.__stdout__.flush()\n  os.system('echo shell')\n  return 1", { "[]" })
    assert.same({ { result = 1 } }, answers)
    for _, word in ipairs { "loading", "hello", "raw", "old", "shell" } do assert.matches(word, err, 1, true) end
  end)
  it("gives the file nothing to read", function()
    assert.same({ result = "" }, one "  import sys\n  return sys.stdin.read()")
  end)
  it("keeps line feeds and other characters of strings inside a line", function()
    local answers = talk("def solve(s): return s + '\\n\\u2028\\0ä'", { '["a\\nb"]' })
    assert.same({ { result = "a\nb\n\u{2028}\0ä" } }, answers)
  end)

  local refusals = {
    { "NaN", "  return [1, {'x': float('nan')}]", "result[1].x is NaN, which JSON cannot carry" },
    { "infinity", "  return float('inf')", "result is Infinity, which JSON cannot carry" },
    { "minus infinity", "  return -float('inf')", "result is -Infinity, which JSON cannot carry" },
    { "bytes", "  return {'b': b'x'}", "result.b is bytes, which JSON cannot carry: return text" },
    { "a set", "  return {1, 2}", "result is a set, which JSON cannot carry" },
    { "keys that are no strings", "  return {1: 2}", "result has the key 1, and JSON keys are strings" },
    { "half a surrogate pair", "  return '\\ud800'", "result holds half of a surrogate pair, which UTF-8 cannot carry" },
    { "endless nesting", "  l = []\n  l.append(l)\n  return l", "is nested deeper than 64" },
  }
  for _, case in ipairs(refusals) do
    it("refuses " .. case[1] .. " by name", function()
      local answer = one(case[2])
      assert.is_nil(answer.result)
      assert.matches(case[3], answer.error, 1, true)
    end)
  end

  it("answers an exception with its kind, text and place, and goes on", function()
    local answers = talk("def solve(n):\n  return 1 / n", { "[0]", "[2]" })
    assert.matches("^ZeroDivisionError: .*candidate%.py:2%)$", answers[1].error)
    assert.same({ result = 0.5 }, answers[2])
  end)
  it("answers endless recursion and wrong arguments", function()
    local answers = talk("def solve(n):\n  return solve(n)", { "[0]", "[1, 2]", "{}", "[1" })
    assert.matches("^RecursionError", answers[1].error)
    assert.matches("^TypeError", answers[2].error)
    assert.equal("the request is no JSON array", answers[3].error)
    assert.matches("^JSONDecodeError", answers[4].error)
  end)
  it("answers each line of a file that cannot be used with the reason", function()
    assert.matches("cannot load .*: SyntaxError", talk("def solve(:", { "[]" })[1].error)
    assert.matches("defines no function solve", talk("x = 1", { "[]" })[1].error, 1, true)
    local answers = talk("raise ValueError('no')", { "[]", "[]" })
    assert.equal(2, #answers)
    assert.matches("cannot load .*: ValueError: no", answers[2].error)
  end)
  it("finds modules beside the file, whatever the folder", function()
    support.write(folder .. "/helper_mod.py", "N = 5")
    assert.same({ { result = 5 } }, (talk("import helper_mod\ndef solve(): return helper_mod.N", { "[]" })))
  end)
end)
