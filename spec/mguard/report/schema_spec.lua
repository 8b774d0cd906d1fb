local core = require "mguard.core"
local sample = dofile "spec/mguard/report/sample.lua"
local support = require "spec.support"

local SCHEMA <const> = "docs/reference/report.schema.json"

describe("docs/reference/report.schema.json", function()
  local folder
  setup(function()
    folder = support.folder()
    support.write(folder .. "/check.py", [[
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
for error in jsonschema.Draft7Validator(schema).iter_errors(json.load(open(sys.argv[2]))):
    print("/".join(map(str, error.path)) + ":", error.message[:120])
]])
  end)
  teardown(function() support.remove(folder) end)

  local function errors(report)
    local file = support.write(folder .. "/r.json", assert(core.json_encode(report)))
    local text, status = support.run(("/usr/bin/python3 %s/check.py %s %s 2>&1"):format(folder, SCHEMA, file))
    assert.equal(0, status, text)
    return text
  end

  it("fits a report", function() assert.equal("", errors(sample())) end)
  it("fits what was measured", function()
    local r = sample()
    for key, part in pairs(dofile "spec/mguard/report/sample_measures.lua"()) do r[key] = part end
    assert.equal("", errors(r))
    r.metrics[1].holds = "perhaps"
    assert.matches("metrics/0/holds: 'perhaps' is not one of", errors(r), 1, true)
  end)
  it("fits a report without a baseline", function()
    local r = sample()
    r.baseline, r.difference, r.outcomes.baseline, r.rates.baseline = core.null, core.null, core.null, core.null
    r.goal = { kind = "absolute", min_pass_rate = 0.99, alpha = 0.05 }
    assert.equal("", errors(r))
  end)
  it("finds a missing key, an unknown one, and wrong values", function()
    local r = sample()
    r.verdict = nil
    assert.matches("'verdict' is a required property", errors(r), 1, true)
    r = sample()
    r.extra = 1
    assert.matches("'extra' was unexpected", errors(r), 1, true)
    r = sample()
    r.outcomes.candidate.pass = -1
    assert.matches("outcomes/candidate/pass: -1 is less than the minimum of 0", errors(r), 1, true)
    r = sample()
    r.violations[1].role = "judge"
    assert.matches("violations/0/role: 'judge' is not one of", errors(r), 1, true)
  end)
end)
