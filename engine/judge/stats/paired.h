/* paired.h - intervals and tests for two implementations judged on the same cases, and for one pass rate.
 *
 * Everything is computed from four counts and costs the same at 100 and at 1e9 cases. delta = (cand_only - base_only)/n
 * is the candidate's pass rate less the baseline's. Levels are two-sided (.95); a level outside (0, 1) gives NAN ends.
 * What comes out where there is nothing to go on: n = 0 gives the whole range ([-1, 1] or [0, 1]) and p = 1; no
 * discordant pair at all still gives a real interval (Tango, Newcombe), of half-width z^2/(n + z^2).
 *
 * Sources: Tango (1998, Stat. Med. 17:891), Newcombe (1998, Stat. Med. 17:857 and 2635), Wilson (1927), Clopper &
 * Pearson (1934), Efron (1987), Fagerland et al. (2013) for the mid-p test. Pure functions, any thread. */
#ifndef MG_JUDGE_STATS_PAIRED_H
#define MG_JUDGE_STATS_PAIRED_H

#include <stdbool.h>
#include <stdint.h>

/* Outcomes of n pairs; the sum is n. Exact up to 2^53. */
typedef struct mg_pairs {
  uint64_t both;      /* a: both pass */
  uint64_t base_only; /* b: the baseline passes, the candidate does not */
  uint64_t cand_only; /* c */
  uint64_t neither;   /* d */
} mg_pairs;

typedef struct mg_interval {
  double low, high;
} mg_interval;

uint64_t mg_pairs_total(const mg_pairs *p);
/* (c - b)/n; 0 where n = 0. */
double mg_pairs_delta(const mg_pairs *p);

/* Tango's score interval for delta, the default: holds its level without any discordant pair and at any n. */
mg_interval mg_tango(const mg_pairs *p, double level);
/* The same for a critical value z > 0 instead of a level (4.9 is a level too near 1 to be written as one). */
mg_interval mg_tango_z(const mg_pairs *p, double z);
/* One-sided test of H0: delta <= margin; *t (may be NULL) gets the score, large where delta is clearly above. margin is
 * in [-1, 1]. For "is delta clearly below m" swap base_only and cand_only and test against -m. */
double mg_tango_test(const mg_pairs *p, double margin, double *t);

/* Newcombe's hybrid score interval for paired data (his method 10), phi with continuity correction. */
mg_interval mg_newcombe_paired(const mg_pairs *p, double level);

/* Paired bootstrap without resampling: percentile ends of the exact distribution of the resampled difference.
 * Without discordant pairs a bootstrap knows nothing: false is returned and *out is Tango's interval. */
bool mg_bootstrap(const mg_pairs *p, double level, mg_interval *out);
/* The same, bias-corrected and accelerated; *z0 and *acceleration may be NULL (0 where false). */
bool mg_bootstrap_bca(const mg_pairs *p, double level, mg_interval *out, double *z0, double *acceleration);

/* McNemar's test that base_only and cand_only are equally likely, two-sided; 1 where both are 0. */
double mg_mcnemar_exact(uint64_t base_only, uint64_t cand_only);
double mg_mcnemar_midp(uint64_t base_only, uint64_t cand_only);
/* One-sided: P(as many cand_only or fewer | equally likely), small where the candidate is worse. */
double mg_mcnemar_worse(uint64_t base_only, uint64_t cand_only);

/* Bayes, Dirichlet(1/2) on the four cells: P(candidate better), and the equal-tailed credible interval of delta. */
double mg_bayes_better(const mg_pairs *p);
mg_interval mg_bayes_paired(const mg_pairs *p, double level);

/* One pass rate. passes > n gives NAN. */
mg_interval mg_wilson(uint64_t passes, uint64_t n, double level);
mg_interval mg_clopper_pearson(uint64_t passes, uint64_t n, double level);

#endif
