/* relative.h - ratio of two pass rates (relative risk).
 *
 * Ends may be INFINITY (the rate below is 0) and 0 (the rate above is 0); with nothing to go on (no case, or no pass on
 * either side) the interval is [0, INFINITY]. Counts above their totals give NAN. Sources: Katz et al. (1978), Koopman
 * (1984), Tang et al. (2003); the restricted estimate of Tang's score is derived in relative.c. Pure, any thread. */
#ifndef MG_JUDGE_STATS_RELATIVE_H
#define MG_JUDGE_STATS_RELATIVE_H

#include "judge/stats/unpaired.h"

/* Rate 1 / rate 2; NAN where both are 0. */
double mg_relative_risk(const mg_two_rates *r);
/* Log interval. Undefined (NAN) where a sample has no pass: use Koopman's there. */
mg_interval mg_katz(const mg_two_rates *r, double level);
/* Score interval, also where cells are 0 or full. */
mg_interval mg_koopman(const mg_two_rates *r, double level);
/* The one to use: Koopman's where a cell is 0 or full, else Katz's. */
mg_interval mg_relative_unpaired(const mg_two_rates *r, double level);
/* Paired score interval of candidate rate / baseline rate. */
mg_interval mg_tang(const mg_pairs *p, double level);

#endif
