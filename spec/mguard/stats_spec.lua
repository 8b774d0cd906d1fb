-- mg.stats against the reference, and what it says to wrong arguments.
local mg = require "mguard"
local rows = require "stats_rows"

local function near(wanted, got, within, what)
  if type(wanted) == "table" then
    assert.are.equal(#wanted, #got, what)
    for i, v in ipairs(wanted) do near(v, got[i], within, ("%s[%d]"):format(what, i)) end
    return
  end
  local bound = within or math.max(1e-8 * math.abs(wanted), 5e-11) -- ten digits stand
  assert.is_true(wanted == got or math.abs(wanted - got) <= bound, ("%s: wanted %.12g, got %.12g"):format(what, wanted, got or 0 / 0))
end

describe("mg.stats", function()
  for i, row in ipairs(rows) do
    it(("row %d: %s"):format(i, row.method), function()
      local got = mg.stats[row.method](row.given)
      for name, wanted in pairs(row.wanted) do near(wanted, got[name], row.within, name) end
    end)
  end

  it("has a row, or a reason, for every method", function()
    -- these have no reference of their own: they are built from ones that have, and their C tests try properties
    local known = { cover = true, group_error = true, mean = true, n_tango = true, n_to_decide = true, quantile_ratio = true }
    for _, row in ipairs(rows) do known[row.method] = true end
    for _, method in ipairs(mg.stats.methods()) do assert.is_true(known[method.name] == true, method.name) end
  end)

  it("computes those too", function()
    assert.are.equal(949, mg.stats.n_tango { p_baseline_only = .015, p_candidate_only = .035, low = 0 }.n)
    near(.05, mg.stats.group_error { t = { .5, 1 }, z = { 2.17827209, 2.17827209 } }.error, 1e-7, "error")
    assert.are.equal(3, mg.stats.mean { values = { 1, 3, 5 } }.estimate)
    near(2, mg.stats.mean { values = { 1, 3, 5 } }.sd, nil, "sd")
    assert.are.equal(1, mg.stats.cover { labelled = 500, n = 1000, share = .05 }.reached)
    assert.are.equal(2, mg.stats.quantile_ratio { baseline = { 1, 2, 3 }, candidate = { 2, 4, 6 }, q = .5 }.low)
    assert.is_true(mg.stats.n_to_decide { both = 90, baseline_only = 1, candidate_only = 9, neither = 0, low = .05 }.n > 100)
  end)

  for name, case in pairs {
    ["a missing argument"] = { "wilson", { passes = 3 }, "mg.stats.wilson: wilson: n is missing" },
    ["an unknown one"] = { "wilson", { passes = 3, n = 4, m = 5 }, 'wilson takes no "m"' },
    ["a fraction of a case"] = { "wilson", { passes = 3.5, n = 4 }, "passes must be a whole number from 0 to 2^53, got 3.5" },
    ["a text"] = { "wilson", { passes = "x", n = 4 }, "passes must be a number, got string" },
    ["nan"] = { "wilson", { passes = 0 / 0, n = 4 }, "passes must be a number, got nan" },
    ["more passes than cases"] = { "wilson", { passes = 5, n = 4 }, "5 passes are more than the 4 cases" },
    ["a level of 1"] = { "wilson", { passes = 3, n = 4, level = 1 }, "level must be a number from" },
    ["a word that is none"] = { "adjust", { p = { .1 }, how = "sidak" }, "how must be one of holm hochberg bh by" },
    ["a number for a list"] = { "adjust", { p = .1 }, "p must be a list of numbers, got a number" },
    ["a text in a list"] = { "adjust", { p = { .1, "x" } }, "p[2] must be a number, got string" },
    ["lists that do not fit"] = { "signed_rank_ratio", { baseline = { 1 }, candidate = { 1, 2 } }, "they have 1 and 2 values" },
    ["no table"] = { "wilson", 3, "mg.stats.wilson takes named arguments" },
    ["a bootstrap of nothing"] = { "bootstrap", { both = 9, baseline_only = 0, candidate_only = 0, neither = 0 }, "use tango" },
  } do
    it("refuses " .. name, function()
      local ok, message = pcall(mg.stats[case[1]], case[2])
      assert.is_false(ok)
      assert.matches(case[3], message, 1, true)
    end)
  end

  it("names the nearest method", function()
    local ok, message = pcall(function() return mg.stats.wilsn end)
    assert.is_false(ok)
    assert.matches('mg.stats has no "wilsn"; did you mean "wilson"?', message, 1, true)
  end)
end)
