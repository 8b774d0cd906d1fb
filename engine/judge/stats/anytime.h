/* anytime.h - a confidence sequence for delta: valid at every moment at once, so a run may stop whenever it likes.
 *
 * Betting: a gambler against H0 "delta <= D" multiplies his stake by 1 + l (x - D) for every pair, x = +1 (candidate
 * only), -1 (baseline only) or 0. Under H0 the stake is a supermartingale, so by Ville's inequality it ever reaches
 * 1/alpha with probability at most alpha. The stake here is the mean over ten fixed bets l_j = u_j/(1+D),
 * u_j = .95 2^(-j/2): it depends on the three counts alone, so it needs no state, no order, and merges by adding counts.
 * After Waudby-Smith & Ramdas (2024, JRSS B), "Estimating means of bounded random variables by betting".
 *
 * Cases must be exchangeable: no size that ramps along the index, no clusters. n = 0 gives [-1, 1]. Pure functions, any
 * thread; an interval takes some 10 us. */
#ifndef MG_JUDGE_STATS_ANYTIME_H
#define MG_JUDGE_STATS_ANYTIME_H

#include "judge/stats/paired.h"

/* ln of the stake against H0: delta <= D; reject at level alpha where it is >= -ln alpha. Falls as D rises. D <= -1 gives
 * INFINITY (delta < -1 cannot be), D >= 1 -INFINITY. */
double mg_anytime_log_e(const mg_pairs *p, double D);
/* alpha/2 on each side. */
mg_interval mg_anytime(const mg_pairs *p, double level);

#endif
