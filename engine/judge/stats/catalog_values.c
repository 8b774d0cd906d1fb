/* The methods over measured values: latencies, means, quantiles, sketches. */
#include "judge/sketch.h"
#include "judge/stats/catalog.h"
#include "judge/stats/quantiles.h"
#include "judge/stats/ranks.h"
#include "judge/stats/sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVEL {"level", MG_PARAM_NUMBER, 1e-9, 1 - 1e-12, .95, NULL}
#define VALUES(n) {n, MG_PARAM_LIST, -INFINITY, INFINITY, NAN, NULL}
#define QUANTILE {"q", MG_PARAM_NUMBER, 1e-9, 1 - 1e-9, NAN, NULL}

static mg_err as_many(const mg_given *in, mg_error *e) {
  if (in[0].count == in[1].count) return MG_OK;
  return mg_fail(e, MG_ARG, "baseline and candidate must be pairs, they have %zu and %zu values", in[0].count, in[1].count);
}

static void give_ranks(mg_answer *out, const mg_rank_test *t) {
  mg_answer_number(out, "estimate", t->estimate);
  mg_answer_number(out, "low", t->interval.low);
  mg_answer_number(out, "high", t->interval.high);
  mg_answer_number(out, "statistic", t->statistic);
  mg_answer_number(out, "p", t->p);
}

static mg_err signed_rank_ratio(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_rank_test t;
  mg_err err = as_many(in, e);
  if (err == MG_OK) err = mg_signed_rank_ratio(in[0].list, in[1].list, in[0].count, in[2].number, &t, e);
  if (err == MG_OK) give_ranks(out, &t);
  return err;
}

static mg_err mann_whitney(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_rank_test t;
  mg_err err = mg_mann_whitney(in[0].list, in[0].count, in[1].list, in[1].count, in[2].number, &t, e);
  if (err == MG_OK) give_ranks(out, &t);
  return err;
}

static mg_err quantile_ratio(const mg_given *in, mg_answer *out, mg_error *e) {
  double ratio;
  mg_interval i;
  mg_err err = as_many(in, e);
  if (err == MG_OK)
    err = mg_quantile_ratio(in[0].list, in[1].list, in[0].count, in[2].number, in[3].number, (size_t)in[4].number, (uint64_t)in[5].number, &ratio, &i, e);
  if (err != MG_OK) return err;
  mg_answer_number(out, "estimate", ratio);
  mg_answer_number(out, "low", i.low);
  mg_answer_number(out, "high", i.high);
  return MG_OK;
}

static mg_err quantile_ranks(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_rank_interval r = mg_quantile_ranks((uint64_t)in[0].number, in[1].number, in[2].number);
  (void)e;
  mg_answer_number(out, "low", (double)r.low);
  mg_answer_number(out, "high", (double)r.high);
  mg_answer_number(out, "coverage", r.coverage);
  return MG_OK;
}

static mg_err mean(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_moments m = {0};
  (void)e;
  for (size_t i = 0; i < in[0].count; i++) mg_moments_add(&m, in[0].list[i]);
  mg_interval i = mg_moments_interval(&m, in[1].number);
  mg_answer_number(out, "estimate", m.n == 0 ? NAN : m.mean);
  mg_answer_number(out, "low", i.low);
  mg_answer_number(out, "high", i.high);
  mg_answer_number(out, "sd", mg_moments_sd(&m));
  return MG_OK;
}

static mg_err sketch(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_sketch s = {0};
  mg_err err = mg_sketch_init(&s, in[2].number, e);
  for (size_t i = 0; i < in[0].count && err == MG_OK; i++) err = mg_sketch_add(&s, in[0].list[i], e);
  double *quantiles = err == MG_OK ? mg_answer_list(out, "quantiles", in[1].count) : NULL;
  if (err == MG_OK && quantiles == NULL) err = mg_fail(e, MG_NOMEM, "memory ended");
  for (size_t i = 0; i < in[1].count && err == MG_OK; i++) quantiles[i] = mg_sketch_quantile(&s, in[1].list[i]);
  mg_sketch_fini(&s);
  return err;
}

const mg_method mg_methods_of_values[] = {
    {"signed_rank_ratio", "paired ratio candidate / baseline by signed ranks of the logarithms", {VALUES("baseline"), VALUES("candidate"), LEVEL},
     signed_rank_ratio},
    {"mann_whitney", "difference second - first of unpaired values by ranks", {VALUES("first"), VALUES("second"), LEVEL}, mann_whitney},
    {"quantile_ratio", "ratio of the q-quantiles of pairs, by resampling pairs",
     {VALUES("baseline"), VALUES("candidate"), QUANTILE, LEVEL, {"resamples", MG_PARAM_NUMBER, 0, 1e7, 0, NULL},
      {"seed", MG_PARAM_NUMBER, 0, 9007199254740992.0, 0, NULL}}, quantile_ratio},
    {"quantile_ranks", "ranks of the order statistics that enclose the q-quantile of n values",
     {{"n", MG_PARAM_COUNT, 0, 0, NAN, NULL}, QUANTILE, LEVEL}, quantile_ranks},
    {"mean", "mean with Student's interval; of candidate - baseline where pairs are meant", {VALUES("values"), LEVEL}, mean},
    {"sketch", "quantiles as a DDSketch of that relative error gives them",
     {VALUES("values"), {"q", MG_PARAM_LIST, 0, 1, NAN, NULL}, {"error", MG_PARAM_NUMBER, .001, .25, .01, NULL}}, sketch},
};
const size_t mg_count_of_values = sizeof mg_methods_of_values / sizeof *mg_methods_of_values;
