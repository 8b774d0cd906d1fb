/* power.h - how many cases a question needs, and how likely an answer is.
 *
 * p_b and p_c are the chances that a case is passed by the baseline only and by the candidate only; delta = p_c - p_b.
 * alpha is two-sided throughout, as in the intervals: a noninferiority test at alpha .05 errs with .025. "Adopt" means
 * that Tango's interval lies inside (low, high), INFINITY for an open side: superiority(m) is (m, INFINITY),
 * noninferiority(m) (-m, INFINITY), equivalence(m) (-m, m). Exact powers sum over all tables, no normal approximation;
 * their cost grows like sqrt(n): 2 ms at n = 1e6. Impossible arguments give NAN, or 0 where a count is returned.
 * Formulas: Miettinen (1968), Connor (1987); exact unconditional power after Duffy (1984). Pure functions, any thread. */
#ifndef MG_JUDGE_STATS_POWER_H
#define MG_JUDGE_STATS_POWER_H

#include "judge/stats/paired.h"

/* Sample sizes by formula, real numbers to be rounded up. They aim; report the exact power at what they say. */
double mg_n_mcnemar(double p_b, double p_c, double alpha, double power);
double mg_n_unpaired(double rate1, double rate2, double alpha, double power); /* in each group */
double mg_n_noninferiority(double delta, double discordant, double margin, double alpha, double power);

/* Exact chance that McNemar's two-sided test (exact, or mid-p) claims a difference. */
double mg_power_mcnemar(uint64_t n, double p_b, double p_c, double alpha, bool midp);
/* Exact chance of adopting by Tango's interval. */
double mg_power_tango(uint64_t n, double p_b, double p_c, double low, double high, double alpha);

/* The smallest n from which the exact power stays at the target or above for the next 32 n too (power goes up in a
 * sawtooth). 0 where no n up to 1e9 does it, as where delta lies outside (low, high). */
uint64_t mg_n_tango(double p_b, double p_c, double low, double high, double alpha, double power);
/* The smallest n at which a run without any discordant pair clears the margin > 0. */
uint64_t mg_n_clean(double margin, double alpha);

/* How many pairs in all would decide, had they the shares of these: chance `power` of Tango's interval lying on one side
 * of the nearest limit that matters (.5: if the shares stay exactly as they are). 0 where none would: no pairs yet, or
 * the estimate is on the limit. At least the present n + 1, since that did not decide. */
uint64_t mg_n_to_decide(const mg_pairs *p, double low, double high, double alpha, double power);

#endif
