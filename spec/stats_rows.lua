--- stats_rows.lua - the reference values, row by row: method, arguments, results. Relative 1e-8 unless a row has a tolerance of its own (absolute),
--- where the reference has fewer digits. The C library is held against the same values in tests/judge/stats.
local function pairs_of(a, b, c, d, more)
  local t = { both = a, baseline_only = b, candidate_only = c, neither = d }
  for k, v in pairs(more or {}) do t[k] = v end
  return t
end
local function two(p1, n1, p2, n2, more)
  local t = { passes1 = p1, n1 = n1, passes2 = p2, n2 = n2 }
  for k, v in pairs(more or {}) do t[k] = v end
  return t
end

local rows = {}
local function row(method, given, wanted, within) rows[#rows + 1] = { method = method, given = given, wanted = wanted, within = within } end

-- one proportion
row("wilson", { passes = 81, n = 263 }, { low = .2552885199, high = .3662095770 })
row("wilson", { passes = 0, n = 20 }, { low = 0, high = .1611251581 })
row("wilson", { passes = 388, n = 400 }, { low = .9483014643, high = .9827569790 })
row("wilson", { passes = 81, n = 263, level = .99 }, { low = .2401369027, high = .3852825023 })
row("clopper_pearson", { passes = 0, n = 20 }, { low = 0, high = .1684334710 })
row("clopper_pearson", { passes = 400, n = 400 }, { low = .9908201954, high = 1 })

-- two unpaired proportions
row("newcombe", two(56, 70, 48, 80), { low = .0524314724, high = .3338726540 })
row("newcombe", two(9, 10, 3, 10), { low = .1705227239, high = .8090179735 })
row("newcombe", two(10, 10, 0, 20), { low = .6790860371, high = 1 })
row("agresti_caffo", two(56, 70, 48, 80), { low = .0524529266, high = .3357584555 })
row("agresti_caffo", two(9, 10, 3, 10), { low = .1600008011, high = .8399991989 })

-- two paired proportions
for _, r in ipairs {
  { 53, 8, 16, 9, -.0201040769, .2039158353, -.0196589227, .2069107706 },
  { 54, 0, 0, 0, -.0664135881, .0664135881, -.0664135881, .0664135881 },
  { 900, 25, 12, 63, -.0257054438, -.0008100831, -.0259538096, -.0011354059 },
  { 392, 0, 8, 0, .0063199283, .0389634158, .0101683868, .0389634158 },
} do
  row("newcombe_paired", pairs_of(r[1], r[2], r[3], r[4]), { low = r[5], high = r[6] })
  row("tango", pairs_of(r[1], r[2], r[3], r[4]), { low = r[7], high = r[8] })
end
row("tango_test", pairs_of(386, 11, 3, 0, { margin = -.05 }), { t = 2.5093549156, p = .0060475945 })
row("tango_test", pairs_of(188, 0, 0, 0, { margin = -.02 }), { t = 1.9587584573 })
row("tango_test", pairs_of(189, 0, 0, 0, { margin = -.02 }), { t = 1.9639610121 })
for _, r in ipairs { { 1, 6, .125, .0703125 }, { 2, 12, .0129394531, .0073852539 }, { 11, 3, .0573730469, .0351562500 },
  { 5, 5, 1, .8769531250 } } do
  row("mcnemar", { baseline_only = r[1], candidate_only = r[2] }, { exact = r[3], midp = r[4] })
end

-- the exact paired bootstrap: ends times n are whole numbers
for _, r in ipairs { { 2, 12, 50, 3, 17, .00976154, .00962250, 4, 17 }, { 11, 3, 400, -16, -1, -.02331213, -.02319774, -16, -1 },
  { 25, 12, 1000, -25, -1, -.00866025, -.00862062, -25, -2 } } do
  local n = r[3]
  local given = pairs_of(n - r[1] - r[2], r[1], r[2], 0)
  row("bootstrap", given, { low = r[4] / n, high = r[5] / n })
  row("bootstrap_bca", given, { low = r[8] / n, high = r[9] / n })
  row("bootstrap_bca", given, { z0 = r[6], acceleration = r[7] }, 1e-8)
end

-- clusters
local eight = { baseline_only = { 0, 1, 0, 0, 2, 0, 0, 1 }, candidate_only = { 2, 1, 0, 3, 1, 0, 1, 4 }, n = { 10, 8, 12, 10, 10, 5, 15, 10 } }
row("cluster_robust", eight, { estimate = .1, se = .0527460222, low = -.0247245232, high = .2247245232, clusters = 8 })
row("cluster_robust", eight, { design_effect = 1.171429 }, 1e-6)
row("cluster_bootstrap", eight, { estimate = .1, se = .0527460222, clusters = 8 })

-- relative risk
row("relative_risk", two(45, 50, 40, 50), { estimate = 1.125, low = .95238885, high = 1.32889523 }, 1e-8)
row("katz", two(45, 50, 40, 50), { low = .95238885, high = 1.32889523 }, 1e-8)
row("koopman", two(45, 50, 40, 50), { low = .94975849, high = 1.36289136 }, 1e-8)
row("koopman", two(5, 20, 0, 20), { low = 1.45291813, high = math.huge }, 1e-8)
row("tang", pairs_of(54, 0, 0, 0), { estimate = 1, low = .9335864119, high = 1.0711381263 })

-- Bayes
row("bayes_paired", pairs_of(36, 2, 12, 0), { better = .9973912850 })
row("bayes_paired", pairs_of(386, 11, 3, 0), { better = .0143087850 })
row("bayes_unpaired", two(45, 50, 40, 50), { better = .92003015, low = -.03963343, high = .23891619 }, 1e-8)

-- several relations at once
local five = { .01, .02, .03, .005, .2 }
row("adjust", { p = five, how = "holm" }, { adjusted = { .04, .06, .06, .025, .2 } })
row("adjust", { p = five, how = "hochberg" }, { adjusted = { .04, .06, .06, .025, .2 } })
row("adjust", { p = five, how = "bh" }, { adjusted = { .025, .1 / 3, .0375, .025, .2 } })
row("adjust", { p = five, how = "by" }, { adjusted = { .0570833333, .0761111111, .085625, .0570833333, .4566666667 } }, 1e-10)
row("adjust", { p = { .03, .04, .05 } }, { adjusted = { .09, .09, .09 } })
row("adjust", { p = { .03, .04, .05 }, how = "hochberg" }, { adjusted = { .05, .05, .05 } })
row("adjust", { p = { .03, .04, .05 }, how = "bh" }, { adjusted = { .05, .05, .05 } })

-- power and sample size
row("n_mcnemar", { p_baseline_only = .05, p_candidate_only = .10 }, { n = 468.567979 })
row("power_mcnemar", { n = 200, p_baseline_only = .05, p_candidate_only = .10 }, { exact = .37332746, midp = .43465333 }, 1e-8)
row("n_unpaired", { rate1 = .9, rate2 = .92 }, { n = 3212.937062 })
row("n_noninferiority", { discordant = .04, margin = .02 }, { n = 784.887973 })
row("power_tango", { n = 785, p_baseline_only = .02, p_candidate_only = .02, low = -.02 }, { power = .759723 }, 1e-6)
row("n_clean", { margin = .02 }, { n = 189 })

-- looking more than once
for _, r in ipairs { { 2, 2.17827209, 1.97743096 }, { 3, 2.28947806, 2.00403558 }, { 5, 2.41317622, 2.04007317 } } do
  row("group_constants", { looks = r[1] }, { pocock = r[2], obrien_fleming = r[3] }, 1e-8)
end
row("group_boundaries", { looks = 5 }, { z = { 4.876885, 3.357012, 2.680280, 2.289817, 2.031032 } }, 1e-6)
row("group_boundaries", { t = { .2, .4, .6, .8, 1 }, spending = "pocock" }, { z = { 2.437977, 2.426814, 2.410194, 2.396645, 2.385985 } }, 1e-6)
row("spent", { t = .5, spending = "pocock" }, { error = .025 * math.log(1 + (math.exp(1) - 1) * .5) })
row("spent", { t = 1 }, { error = .025 })
row("sprt", { baseline_only = 1, candidate_only = 0 }, { accept = 2.7725887222, refuse = -1.5581446180, ratio = -.6931471806 })
row("sprt", { baseline_only = 0, candidate_only = 1 }, { ratio = .4054651081 })

-- the any-time sequence
row("anytime_evidence", pairs_of(36, 2, 12, 0, { margin = 0 }), { log_e = 2.5079556315 })
row("anytime", pairs_of(36, 2, 12, 0), { low = -.0402660373, high = .4367551002 })
row("anytime_evidence", pairs_of(36, 2, 12, 0, { margin = -.02 }), { log_e = 3.0658897458 })
row("anytime_evidence", pairs_of(400, 0, 0, 0, { margin = -.02 }), { log_e = 5.5133243231 })
row("anytime", pairs_of(400, 0, 0, 0), { low = -.0149259507, high = .0149259507 })
row("anytime", pairs_of(392, 0, 8, 0), { low = -.0006975350, high = .0517820110 })

-- latency
local x = { 12.1, 14.3, 11.8, 19.5, 13.2, 15.1, 12.9, 30.4, 14.8, 13.7 }
local y = { 13.0, 15.9, 12.2, 21.7, 13.9, 15.8, 14.1, 29.9, 16.6, 14.4 }
row("signed_rank_ratio", { baseline = x, candidate = y },
  { statistic = 54, p = .00390625, estimate = 1.0721843285, low = 1.0401093046, high = 1.1024153320 })
row("mann_whitney", { first = x, second = y }, { statistic = 63, p = .3526813744 })
row("mann_whitney", { first = x, second = y }, { estimate = 1.0, low = -1.3, high = 3.7 }, 1e-9)
row("quantile_ranks", { n = 100, q = .95 }, { low = 90, high = 100 })
row("quantile_ranks", { n = 400, q = .95 }, { low = 371, high = 389, coverage = .9619203585 })
row("sketch", { values = { 12.1, 12.1, 12.1 }, q = { .5 }, error = .01 }, { quantiles = { 12.1 } }) -- between the least and the greatest
row("sketch", { values = { 1, 12.1, 100 }, q = { .5 } }, { quantiles = { 12.0616741790 } })
row("flaky_bound", { reruns = 3 }, { bound = .631597 }, 1e-6)
row("flaky_bound", { reruns = 59 }, { bound = .049508 }, 1e-6)

return rows
