/* ranks.h - paired and unpaired comparisons by ranks: what latency is judged by, since no mean survives its tails.
 *
 * Latencies are compared as logarithms, so that estimates and intervals are ratios candidate/baseline. Exact below 50
 * values without ties or zeros (as is usual), else the normal approximation with corrections for ties and continuity.
 * Hodges-Lehmann estimates and their intervals are order statistics of all n^2/2 (n1 n2) averages (differences), found
 * by halving over the ordered doubles in O(n) a step, without making the averages: 0.1 s at n = 1e5.
 * Sources: Hollander & Wolfe (1973), Bauer (1972). Any thread; allocates a few doubles a value. */
#ifndef MG_JUDGE_STATS_RANKS_H
#define MG_JUDGE_STATS_RANKS_H

#include "base/err.h"
#include "judge/stats/paired.h"

#include <stddef.h>

typedef struct mg_rank_test {
  double statistic; /* V, sum of ranks of the positive differences; or W, pairs in which the second is larger */
  double p;         /* two-sided */
  double estimate;  /* Hodges-Lehmann */
  mg_interval interval;
  bool exact;
} mg_rank_test;

/* Signed rank on ln(candidate[i]/baseline[i]); estimate and interval are ratios. Times must be above 0 (MG_ARG). Pairs
 * that are equal are left out of V and p and kept for the estimate. n = 0: p 1, estimate NAN, interval [0, INFINITY]. */
mg_err mg_signed_rank_ratio(const double *baseline, const double *candidate, size_t n, double level, mg_rank_test *out, mg_error *e);

/* Mann-Whitney of second against first, unpaired; estimate and interval are differences second - first, in the values'
 * unit. Values must be finite. An empty side: p 1, estimate NAN, interval [-INFINITY, INFINITY]. */
mg_err mg_mann_whitney(const double *first, size_t n1, const double *second, size_t n2, double level, mg_rank_test *out, mg_error *e);

#endif
