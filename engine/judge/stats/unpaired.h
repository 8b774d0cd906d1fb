/* unpaired.h - difference of two pass rates measured on different cases (or groups of cases): rate 1 less rate 2.
 *
 * For paired outcomes use paired.h: it is exact where these ignore the pairing. A total of 0 gives [-1, 1] (Newcombe)
 * or Agresti-Caffo's shrunk one, counts above their totals NAN. Sources: Newcombe (1998, Stat. Med. 17:873, method 10),
 * Agresti & Caffo (2000). Pure functions, any thread. */
#ifndef MG_JUDGE_STATS_UNPAIRED_H
#define MG_JUDGE_STATS_UNPAIRED_H

#include "judge/stats/paired.h"

/* Passes and totals of two independent samples. */
typedef struct mg_two_rates {
  uint64_t passes1, n1, passes2, n2;
} mg_two_rates;

mg_interval mg_newcombe_unpaired(const mg_two_rates *r, double level);
mg_interval mg_agresti_caffo(const mg_two_rates *r, double level);

#endif
