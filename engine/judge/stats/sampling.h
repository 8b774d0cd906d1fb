/* sampling.h - what a sample says about rare things: flakiness that was not seen, labels that should appear, and means
 * of a metric. Pure functions, any thread. */
#ifndef MG_JUDGE_STATS_SAMPLING_H
#define MG_JUDGE_STATS_SAMPLING_H

#include "judge/stats/paired.h"

/* After k reruns that all agreed, the rate of disagreement lies below this with confidence `level` (.95): 1-(1-level)^(1/k).
 * 1 for k = 0. */
double mg_flaky_bound(uint64_t reruns, double level);
/* The same where `differing` of `reruns` disagreed: the one-sided Clopper-Pearson bound. */
double mg_flaky_bound_seen(uint64_t differing, uint64_t reruns, double level);

/* Whether a label that should reach `share` of the cases does. Decided with certainty, as coverage is asked again and
 * again while a run grows: a wrong word once in 1e9 (Wilson's interval at that level). A label counts as reached from
 * 90 % of its share, so that one whose true rate is exactly the share is decided in the end. */
typedef enum mg_cover { MG_COVER_OPEN = 0, MG_COVER_REACHED, MG_COVER_MISSED } mg_cover;
mg_cover mg_cover_check(uint64_t labelled, uint64_t n, double share);

/* Count, mean and sum of squared deviations of a stream of values (Welford), which merge (Chan et al. 1979). The last
 * digits depend on the order of merging. Zeroed is empty. Values that are not finite are the caller's to refuse. */
typedef struct mg_moments {
  uint64_t n;
  double mean, m2;
} mg_moments;
void mg_moments_add(mg_moments *m, double value);
void mg_moments_merge(mg_moments *m, const mg_moments *more);
double mg_moments_sd(const mg_moments *m); /* NAN below 2 values */
/* Student's t interval of the mean; of a mean difference when fed candidate - baseline. [-INFINITY, INFINITY] below 2. */
mg_interval mg_moments_interval(const mg_moments *m, double level);

#endif
