/* quantiles.h - intervals of quantiles (p95 of a latency) and of the ratio of two, paired.
 *
 * Any thread. mg_quantile_ratio allocates about 40 bytes a pair. */
#ifndef MG_JUDGE_STATS_QUANTILES_H
#define MG_JUDGE_STATS_QUANTILES_H

#include "base/err.h"
#include "judge/stats/paired.h"

#include <stddef.h>

/* Ranks (1 .. n) of the order statistics that enclose the q-quantile with at least `level`, at most (1-level)/2 outside on
 * each side, whatever the distribution. low = 0 or high = n + 1 means that side stays open: n is too small. */
typedef struct mg_rank_interval {
  uint64_t low, high;
  double coverage; /* P(X_(low) <= quantile < X_(high)) for a continuous distribution */
} mg_rank_interval;
mg_rank_interval mg_quantile_ranks(uint64_t n, double q, double level);

/* The q-quantile of sorted values: the smallest with at least q n values up to it. NAN for n = 0. */
double mg_quantile(const double *sorted, size_t n, double q);

/* Ratio quantile(candidate)/quantile(baseline) with the percentile interval over resamples of pairs; the same for the
 * same seed. resamples 0 means 2,000. Values above 0; MG_ARG otherwise, and for n < 2. Cost about 10 ns x n x resamples. */
mg_err mg_quantile_ratio(const double *baseline, const double *candidate, size_t n, double q, double level, size_t resamples, uint64_t seed, double *ratio,
                         mg_interval *out, mg_error *e);

#endif
