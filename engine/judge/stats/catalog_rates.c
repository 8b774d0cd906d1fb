/* The methods over counts: pairs, rates, ratios, Bayes, clusters. */
#include "judge/stats/bayes.h"
#include "judge/stats/catalog.h"
#include "judge/stats/clusters.h"
#include "judge/stats/relative.h"

#include <math.h>
#include <stdlib.h>

#define COUNT(n) {n, MG_PARAM_COUNT, 0, 0, NAN, NULL}
#define LEVEL {"level", MG_PARAM_NUMBER, 1e-9, 1 - 1e-12, .95, NULL}
#define PAIRS COUNT("both"), COUNT("baseline_only"), COUNT("candidate_only"), COUNT("neither")
#define ONE_RATE COUNT("passes"), COUNT("n")
#define TWO_RATES COUNT("passes1"), COUNT("n1"), COUNT("passes2"), COUNT("n2")
#define COUNTS(n) {n, MG_PARAM_LIST, 0, 9007199254740992.0, NAN, NULL}

static uint64_t whole(const mg_given *g) { return (uint64_t)g->number; }

static mg_pairs pairs_of(const mg_given *in) { return (mg_pairs){whole(&in[0]), whole(&in[1]), whole(&in[2]), whole(&in[3])}; }

static mg_err give(mg_answer *out, mg_interval i) {
  mg_answer_number(out, "low", i.low);
  mg_answer_number(out, "high", i.high);
  return MG_OK;
}

/* The estimate beside the interval, as every method of a difference gives it. */
static mg_err give_delta(mg_answer *out, const mg_pairs *p, mg_interval i) {
  mg_answer_number(out, "estimate", mg_pairs_delta(p));
  return give(out, i);
}

static mg_err tango(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  (void)e;
  return give_delta(out, &p, mg_tango(&p, in[4].number));
}

static mg_err newcombe_paired(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  (void)e;
  return give_delta(out, &p, mg_newcombe_paired(&p, in[4].number));
}

static mg_err bootstrap(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  mg_interval i;
  if (!mg_bootstrap(&p, in[4].number, &i)) return mg_fail(e, MG_ARG, "without a pair that differs a bootstrap knows nothing: use tango");
  return give_delta(out, &p, i);
}

static mg_err bootstrap_bca(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  mg_interval i;
  double z0, acceleration;
  if (!mg_bootstrap_bca(&p, in[4].number, &i, &z0, &acceleration))
    return mg_fail(e, MG_ARG, "without a pair that differs a bootstrap knows nothing: use tango");
  give_delta(out, &p, i);
  mg_answer_number(out, "z0", z0);
  mg_answer_number(out, "acceleration", acceleration);
  return MG_OK;
}

static mg_err bayes_paired(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  (void)e;
  give_delta(out, &p, mg_bayes_paired(&p, in[4].number));
  mg_answer_number(out, "better", mg_bayes_better(&p));
  return MG_OK;
}

static mg_err tango_test(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  double t, q = mg_tango_test(&p, in[4].number, &t);
  (void)e;
  mg_answer_number(out, "t", t);
  mg_answer_number(out, "p", q);
  return MG_OK;
}

static mg_err mcnemar(const mg_given *in, mg_answer *out, mg_error *e) {
  uint64_t b = whole(&in[0]), c = whole(&in[1]);
  (void)e;
  mg_answer_number(out, "exact", mg_mcnemar_exact(b, c));
  mg_answer_number(out, "midp", mg_mcnemar_midp(b, c));
  mg_answer_number(out, "worse", mg_mcnemar_worse(b, c));
  return MG_OK;
}

static mg_err rates_fit(uint64_t passes, uint64_t n, mg_error *e) {
  return passes <= n ? MG_OK : mg_fail(e, MG_ARG, "%llu passes are more than the %llu cases", (unsigned long long)passes, (unsigned long long)n);
}

static mg_err one_rate(const mg_given *in, mg_answer *out, mg_interval (*interval)(uint64_t, uint64_t, double), mg_error *e) {
  uint64_t passes = whole(&in[0]), n = whole(&in[1]);
  if (rates_fit(passes, n, e) != MG_OK) return MG_ARG;
  mg_answer_number(out, "estimate", n == 0 ? NAN : (double)passes / (double)n);
  return give(out, interval(passes, n, in[2].number));
}
static mg_err wilson(const mg_given *in, mg_answer *out, mg_error *e) { return one_rate(in, out, mg_wilson, e); }
static mg_err clopper_pearson(const mg_given *in, mg_answer *out, mg_error *e) { return one_rate(in, out, mg_clopper_pearson, e); }

static mg_err two_rates(const mg_given *in, mg_two_rates *r, mg_error *e) {
  *r = (mg_two_rates){whole(&in[0]), whole(&in[1]), whole(&in[2]), whole(&in[3])};
  return rates_fit(r->passes1, r->n1, e) != MG_OK || rates_fit(r->passes2, r->n2, e) != MG_OK ? MG_ARG : MG_OK;
}

typedef mg_interval (*of_two_rates)(const mg_two_rates *r, double level);

static mg_err unpaired_difference(const mg_given *in, mg_answer *out, of_two_rates interval, mg_error *e) {
  mg_two_rates r;
  if (two_rates(in, &r, e) != MG_OK) return MG_ARG;
  mg_answer_number(out, "estimate", (double)r.passes1 / (double)r.n1 - (double)r.passes2 / (double)r.n2);
  return give(out, interval(&r, in[4].number));
}
static mg_err newcombe(const mg_given *in, mg_answer *out, mg_error *e) { return unpaired_difference(in, out, mg_newcombe_unpaired, e); }
static mg_err agresti_caffo(const mg_given *in, mg_answer *out, mg_error *e) { return unpaired_difference(in, out, mg_agresti_caffo, e); }

static mg_err unpaired_ratio(const mg_given *in, mg_answer *out, of_two_rates interval, mg_error *e) {
  mg_two_rates r;
  if (two_rates(in, &r, e) != MG_OK) return MG_ARG;
  mg_answer_number(out, "estimate", mg_relative_risk(&r));
  return give(out, interval(&r, in[4].number));
}
static mg_err katz(const mg_given *in, mg_answer *out, mg_error *e) { return unpaired_ratio(in, out, mg_katz, e); }
static mg_err koopman(const mg_given *in, mg_answer *out, mg_error *e) { return unpaired_ratio(in, out, mg_koopman, e); }
static mg_err relative_risk(const mg_given *in, mg_answer *out, mg_error *e) { return unpaired_ratio(in, out, mg_relative_unpaired, e); }

static mg_err tang(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  (void)e;
  mg_answer_number(out, "estimate", (double)(p.both + p.cand_only) / (double)(p.both + p.base_only));
  return give(out, mg_tang(&p, in[4].number));
}

static mg_err bayes_unpaired(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_two_rates r;
  if (two_rates(in, &r, e) != MG_OK) return MG_ARG;
  mg_answer_number(out, "better", mg_bayes_unpaired_better(r.passes1, r.n1, r.passes2, r.n2));
  return give(out, mg_bayes_unpaired(r.passes1, r.n1, r.passes2, r.n2, in[4].number));
}

/* --- clusters --- */

static mg_err clusters_of(const mg_given *in, mg_cluster **out, mg_error *e) {
  if (in[0].count != in[1].count || in[0].count != in[2].count)
    return mg_fail(e, MG_ARG, "baseline_only, candidate_only and n must have a number for each cluster, they have %zu, %zu and %zu", in[0].count, in[1].count,
                   in[2].count);
  *out = calloc(in[0].count + 1, sizeof **out);
  if (*out == NULL) return mg_fail(e, MG_NOMEM, "no memory for %zu clusters", in[0].count);
  for (size_t i = 0; i < in[0].count; i++) (*out)[i] = (mg_cluster){(uint64_t)in[0].list[i], (uint64_t)in[1].list[i], (uint64_t)in[2].list[i]};
  return MG_OK;
}

static mg_err clustered(const mg_given *in, mg_answer *out, bool resample, mg_error *e) {
  mg_cluster *list = NULL;
  mg_clustered c;
  mg_err err = clusters_of(in, &list, e);
  if (err == MG_OK && resample)
    err = mg_cluster_bootstrap(list, in[0].count, in[3].number, (size_t)in[4].number, (uint64_t)in[5].number, &c, e);
  else if (err == MG_OK && !mg_cluster_robust(list, in[0].count, in[3].number, &c))
    err = mg_fail(e, MG_ARG, "fewer than 2 clusters say nothing about how they vary");
  mg_interval verdict = {NAN, NAN};
  if (err == MG_OK) verdict = mg_cluster_verdict(list, in[0].count, in[3].number, c.interval);
  free(list);
  if (err != MG_OK) return err;
  mg_answer_number(out, "estimate", c.delta);
  give(out, c.interval);
  mg_answer_number(out, "verdict_low", verdict.low);
  mg_answer_number(out, "verdict_high", verdict.high);
  mg_answer_number(out, "se", c.se);
  mg_answer_number(out, "design_effect", c.design_effect);
  mg_answer_number(out, "clusters", (double)c.clusters);
  return MG_OK;
}
static mg_err cluster_robust(const mg_given *in, mg_answer *out, mg_error *e) { return clustered(in, out, false, e); }
static mg_err cluster_bootstrap(const mg_given *in, mg_answer *out, mg_error *e) { return clustered(in, out, true, e); }

const mg_method mg_methods_of_rates[] = {
    {"tango", "difference of two paired pass rates, score interval: the default of a plan", {PAIRS, LEVEL}, tango},
    {"newcombe_paired", "the same by Newcombe's hybrid score method", {PAIRS, LEVEL}, newcombe_paired},
    {"bootstrap", "the same by the exact percentile bootstrap", {PAIRS, LEVEL}, bootstrap},
    {"bootstrap_bca", "the same, bias-corrected and accelerated", {PAIRS, LEVEL}, bootstrap_bca},
    {"bayes_paired", "the same by Bayes with Dirichlet(1/2); better: P(the candidate is better)", {PAIRS, LEVEL}, bayes_paired},
    {"tango_test", "one-sided test that the difference is at most margin", {PAIRS, {"margin", MG_PARAM_NUMBER, -1, 1, NAN, NULL}}, tango_test},
    {"mcnemar", "tests that both sides win equally often; worse: one-sided", {COUNT("baseline_only"), COUNT("candidate_only")}, mcnemar},
    {"wilson", "one pass rate, score interval", {ONE_RATE, LEVEL}, wilson},
    {"clopper_pearson", "one pass rate, exact interval", {ONE_RATE, LEVEL}, clopper_pearson},
    {"newcombe", "rate 1 less rate 2, unpaired, hybrid score interval", {TWO_RATES, LEVEL}, newcombe},
    {"agresti_caffo", "the same after adding a pass and a failure to each", {TWO_RATES, LEVEL}, agresti_caffo},
    {"bayes_unpaired", "the same by Bayes with Jeffreys priors; better: P(rate 1 is larger)", {TWO_RATES, LEVEL}, bayes_unpaired},
    {"katz", "rate 1 / rate 2, unpaired, log interval", {TWO_RATES, LEVEL}, katz},
    {"koopman", "the same, score interval", {TWO_RATES, LEVEL}, koopman},
    {"relative_risk", "the same: Koopman's where a cell is 0 or full, else Katz's", {TWO_RATES, LEVEL}, relative_risk},
    {"tang", "candidate's rate / baseline's, paired, score interval", {PAIRS, LEVEL}, tang},
    {"cluster_robust",
     "difference of paired rates where cases come in clusters: lists with a number for each; verdict_low, verdict_high: what a run rests on",
     {COUNTS("baseline_only"), COUNTS("candidate_only"), COUNTS("n"), LEVEL},
     cluster_robust},
    {"cluster_bootstrap",
     "the same by resampling whole clusters; resamples 0: as many as are usual",
     {COUNTS("baseline_only"), COUNTS("candidate_only"), COUNTS("n"), LEVEL, {"resamples", MG_PARAM_NUMBER, 0, 1e7, 0, NULL},
      {"seed", MG_PARAM_NUMBER, 0, 9007199254740992.0, 0, NULL}},
     cluster_bootstrap},
};
const size_t mg_count_of_rates = sizeof mg_methods_of_rates / sizeof *mg_methods_of_rates;
