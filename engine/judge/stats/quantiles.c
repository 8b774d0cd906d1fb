#include "judge/stats/quantiles.h"

#include "base/philox.h"
#include "judge/stats/distributions.h"

#include <math.h>
#include <stdlib.h>

mg_rank_interval mg_quantile_ranks(uint64_t n, double q, double level) {
  mg_rank_interval r = {0, n + 1, 0};
  if (!(q > 0 && q < 1 && level > 0 && level < 1)) return (mg_rank_interval){0, n + 1, NAN};
  double tail = (1 - level) / 2, N = (double)n;
  /* low: the largest rank with P(fewer than low values below the quantile) <= tail; high from the other side. */
  uint64_t from = 0, to = n + 1;
  while (to - from > 1) {
    uint64_t middle = from + (to - from) / 2;
    if (mg_binomial_cdf((double)middle - 1, N, q) <= tail)
      from = middle;
    else
      to = middle;
  }
  r.low = from;
  from = 0, to = n + 1;
  while (to - from > 1) {
    uint64_t middle = from + (to - from) / 2;
    if (mg_binomial_sf((double)middle - 1, N, q) <= tail)
      to = middle;
    else
      from = middle;
  }
  r.high = to;
  r.coverage = mg_binomial_cdf((double)r.high - 1, N, q) - mg_binomial_cdf((double)r.low - 1, N, q);
  if (r.high == n + 1) r.coverage = 1 - mg_binomial_cdf((double)r.low - 1, N, q);
  return r;
}

double mg_quantile(const double *sorted, size_t n, double q) {
  if (n == 0) return NAN;
  double rank = ceil(q * (double)n - 1e-9);
  return sorted[rank < 1 ? 0 : rank > (double)n ? n - 1 : (size_t)rank - 1];
}

typedef struct placed {
  double value;
  size_t pair;
} placed;

static int by_placed_value(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return (x->pair > y->pair) - (x->pair < y->pair);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The value at which the drawn pairs, in order of value, reach `rank`. */
static double drawn_quantile(const placed *sorted, const uint32_t *draws, size_t n, double rank) {
  double seen = 0;
  for (size_t i = 0; i < n; i++)
    if ((seen += draws[sorted[i].pair]) >= rank) return sorted[i].value;
  return sorted[n - 1].value;
}

mg_err mg_quantile_ratio(const double *baseline, const double *candidate, size_t n, double q, double level, size_t resamples, uint64_t seed, double *ratio,
                         mg_interval *out, mg_error *e) {
  mg_err err = MG_OK;
  placed *base = NULL, *cand = NULL;
  uint32_t *draws = NULL;
  double *ratios = NULL;
  *ratio = NAN;
  *out = (mg_interval){0, INFINITY};
  if (n < 2) return mg_fail(e, MG_ARG, "a ratio of quantiles needs at least 2 pairs, there are %zu", n);
  if (!(q > 0 && q < 1 && level > 0 && level < 1)) return mg_fail(e, MG_ARG, "quantile %g and level %g must be between 0 and 1", q, level);
  if (resamples == 0) resamples = 2000;
  base = malloc(n * sizeof *base);
  cand = malloc(n * sizeof *cand);
  draws = malloc(n * sizeof *draws);
  ratios = malloc(resamples * sizeof *ratios);
  if (!base || !cand || !draws || !ratios) {
    err = mg_fail(e, MG_NOMEM, "no memory to resample %zu pairs", n);
    goto out;
  }
  for (size_t i = 0; i < n; i++) {
    if (!(baseline[i] > 0 && candidate[i] > 0 && isfinite(baseline[i] + candidate[i]))) {
      err = mg_fail(e, MG_ARG, "pair %zu has the values %g and %g, both must be above 0", i + 1, baseline[i], candidate[i]);
      goto out;
    }
    base[i] = (placed){baseline[i], i};
    cand[i] = (placed){candidate[i], i};
    draws[i] = 1;
  }
  /* Sorted once: a resample only changes how often each place counts. */
  qsort(base, n, sizeof *base, by_placed_value);
  qsort(cand, n, sizeof *cand, by_placed_value);
  double rank = fmax(1, ceil(q * (double)n - 1e-9));
  *ratio = drawn_quantile(cand, draws, n, rank) / drawn_quantile(base, draws, n, rank);
  mg_philox random;
  for (size_t k = 0; k < resamples; k++) {
    mg_philox_init(&random, seed, 0, k); /* a stream each, for one has 2^34 words */
    for (size_t i = 0; i < n; i++) draws[i] = 0;
    for (size_t i = 0; i < n; i++) draws[mg_philox_below(&random, n)]++;
    ratios[k] = drawn_quantile(cand, draws, n, rank) / drawn_quantile(base, draws, n, rank);
  }
  qsort(ratios, resamples, sizeof *ratios, by_value);
  size_t place = (size_t)ceil((1 - level) / 2 * (double)resamples - 1e-9);
  place = place ? place - 1 : 0;
  *out = (mg_interval){ratios[place], ratios[resamples - 1 - place]};
out:
  free(ratios);
  free(draws);
  free(cand);
  free(base);
  return err;
}
