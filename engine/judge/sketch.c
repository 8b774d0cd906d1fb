#include "judge/sketch.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 1e-300

mg_err mg_sketch_init(mg_sketch *s, double error, mg_error *e) {
  *s = (mg_sketch){.error = error, .least = INFINITY, .greatest = -INFINITY};
  if (!(error >= .001 && error <= .25)) return mg_fail(e, MG_ARG, "the relative error of a sketch is %g, it must be in [0.001, 0.25]", error);
  s->log_gamma = log1p(2 * error / (1 - error));
  return MG_OK;
}

void mg_sketch_fini(mg_sketch *s) {
  free(s->positive.counts);
  free(s->negative.counts);
  s->positive = s->negative = (mg_sketch_bins){0, NULL, 0};
}

int64_t mg_sketch_index(const mg_sketch *s, double value) { return (int64_t)ceil(log(value) / s->log_gamma); }

/* 2 g^i/(g+1) with g = (1+e)/(1-e) is (1-e) g^i. */
double mg_sketch_value(const mg_sketch *s, int64_t index) { return fmin(DBL_MAX, (1 - s->error) * exp((double)index * s->log_gamma)); }

/* Makes room for bins from .. to. Grows by at least a quarter on the side that asks, so that adding stays cheap. */
static mg_err bins_reserve(mg_sketch_bins *b, int64_t from, int64_t to, mg_error *e) {
  if (b->size && from >= b->first && to < b->first + b->size) return MG_OK;
  int64_t spare = b->size / 4 + 8, low = from - (b->size ? 0 : 8), high = to + 8;
  if (b->size) {
    low = from < b->first ? from - spare : b->first;
    high = to >= b->first + b->size ? to + spare : b->first + b->size - 1;
  }
  uint64_t *counts = calloc((size_t)(high - low + 1), sizeof *counts);
  if (!counts) return mg_fail(e, MG_NOMEM, "no memory for %lld bins of a sketch", (long long)(high - low + 1));
  if (b->size) memcpy(counts + (b->first - low), b->counts, (size_t)b->size * sizeof *counts);
  free(b->counts);
  b->first = low;
  b->counts = counts;
  b->size = high - low + 1;
  return MG_OK;
}

void mg_sketch_add_extremes(mg_sketch *s, double least, double greatest) {
  s->least = fmin(s->least, least);
  s->greatest = fmax(s->greatest, greatest);
}

mg_err mg_sketch_add_bin(mg_sketch *s, int sign, int64_t index, uint64_t count, mg_error *e) {
  if (sign == 0) {
    s->zeros += count;
    s->count += count;
    return MG_OK;
  }
  if (index < mg_sketch_index(s, SMALLEST) || index > mg_sketch_index(s, DBL_MAX))
    return mg_fail(e, MG_ARG, "a sketch of relative error %g has no bin %lld", s->error, (long long)index);
  mg_sketch_bins *b = sign > 0 ? &s->positive : &s->negative;
  mg_err err = bins_reserve(b, index, index, e);
  if (err) return err;
  b->counts[index - b->first] += count;
  s->count += count;
  return MG_OK;
}

mg_err mg_sketch_add(mg_sketch *s, double value, mg_error *e) {
  if (!isfinite(value)) return mg_fail(e, MG_ARG, "a sketch cannot hold the value %g", value);
  double size = fabs(value);
  int sign = size < SMALLEST ? 0 : value > 0 ? 1 : -1;
  mg_err err = mg_sketch_add_bin(s, sign, sign ? mg_sketch_index(s, size) : 0, 1, e);
  if (!err) mg_sketch_add_extremes(s, value, value);
  return err;
}

static void bins_merge(mg_sketch_bins *b, const mg_sketch_bins *more) {
  for (int64_t i = 0; i < more->size; i++) b->counts[more->first + i - b->first] += more->counts[i];
}

mg_err mg_sketch_merge(mg_sketch *s, const mg_sketch *more, mg_error *e) {
  if (s->error != more->error) return mg_fail(e, MG_ARG, "sketches of relative errors %g and %g cannot be merged", s->error, more->error);
  mg_err err = MG_OK;
  const mg_sketch_bins *p = &more->positive, *n = &more->negative;
  /* All memory first, so that a failure leaves the counts as they were. */
  if (p->size) err = bins_reserve(&s->positive, p->first, p->first + p->size - 1, e);
  if (!err && n->size) err = bins_reserve(&s->negative, n->first, n->first + n->size - 1, e);
  if (err) return err;
  bins_merge(&s->positive, p);
  bins_merge(&s->negative, n);
  s->zeros += more->zeros;
  s->count += more->count;
  mg_sketch_add_extremes(s, more->least, more->greatest);
  return MG_OK;
}

void mg_sketch_each(const mg_sketch *s, mg_sketch_visitor each, void *context) {
  for (int64_t i = s->negative.size - 1; i >= 0; i--)
    if (s->negative.counts[i]) each(-1, s->negative.first + i, s->negative.counts[i], context);
  if (s->zeros) each(0, 0, s->zeros, context);
  for (int64_t i = 0; i < s->positive.size; i++)
    if (s->positive.counts[i]) each(1, s->positive.first + i, s->positive.counts[i], context);
}

typedef struct ranked {
  const mg_sketch *s;
  double rank, seen, value;
} ranked;

static void ranked_visit(int sign, int64_t index, uint64_t count, void *context) {
  ranked *r = context;
  if (r->seen < r->rank) r->value = sign ? sign * mg_sketch_value(r->s, index) : 0;
  r->seen += (double)count;
}

double mg_sketch_quantile(const mg_sketch *s, double q) {
  if (s->count == 0 || !(q >= 0 && q <= 1)) return NAN;
  ranked r = {s, fmax(1, ceil(q * (double)s->count - 1e-9)), 0, NAN};
  /* The two that are known exactly. */
  if (r.rank <= 1) return s->least;
  if (r.rank >= (double)s->count) return s->greatest;
  mg_sketch_each(s, ranked_visit, &r);
  return fmin(s->greatest, fmax(s->least, r.value));
}
