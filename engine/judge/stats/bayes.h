/* bayes.h - Jeffreys priors for two independent rates; the paired form is in paired.h. Pure functions, any thread. */
#ifndef MG_JUDGE_STATS_BAYES_H
#define MG_JUDGE_STATS_BAYES_H

#include "judge/stats/paired.h"

/* Two rates measured on different cases, Beta(1/2, 1/2) on each: P(first rate > second rate), and the equal-tailed
 * credible interval of first - second. Counts above their totals give NAN. Absolute accuracy about 1e-10. */
double mg_bayes_unpaired_better(uint64_t passes1, uint64_t n1, uint64_t passes2, uint64_t n2);
mg_interval mg_bayes_unpaired(uint64_t passes1, uint64_t n1, uint64_t passes2, uint64_t n2, double level);

#endif
