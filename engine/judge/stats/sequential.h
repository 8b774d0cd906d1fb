/* sequential.h - looking more than once with fixed looks: group-sequential boundaries, and Wald's SPRT.
 *
 * Boundaries are for the score z at look k of a test with independent increments (Tango's is one, to first order),
 * two-sided and symmetric. They come from the Armitage-McPherson-Rowe (1969) recursion: the density of those that have
 * not stopped is carried from look to look by Gauss-Legendre quadrature, to about 1e-9. Spending functions: Lan & DeMets
 * (1983). Pure functions, any thread; 0.1 s for 100 looks, so they are called once a plan. */
#ifndef MG_JUDGE_STATS_SEQUENTIAL_H
#define MG_JUDGE_STATS_SEQUENTIAL_H

#include "base/err.h"

#include <stdint.h>

#define MG_MAX_LOOKS 100

typedef enum mg_spending { MG_SPEND_OBF = 0, MG_SPEND_POCOCK } mg_spending;

/* Error spent on one side until the share t of the cases, out of alpha_side in all; t is cut to [0, 1]. */
double mg_spent(mg_spending how, double alpha_side, double t);

/* z[k] for looks at the shares t[0] < ... < t[looks-1] <= 1, at least .001 apart; INFINITY where so little may be spent
 * (below 1e-15) that the look cannot stop. MG_ARG for other shares, 1 > looks > MG_MAX_LOOKS, alpha_side outside (0, .5). */
mg_err mg_group_boundaries(mg_spending how, double alpha_side, const double *t, int looks, double *z, mg_error *e);

/* Equally spaced looks, alpha two-sided: the constant z of Pocock, and C of O'Brien-Fleming with z_k = C sqrt(looks/k).
 * NAN outside the same limits. */
double mg_pocock_constant(int looks, double alpha);
double mg_obrien_fleming_constant(int looks, double alpha);
/* The two-sided error of given boundaries: the chance under H0 that |Z_k| > z[k] at any look. */
double mg_group_error(const double *t, const double *z, int looks);

/* Wald's test on discordant pairs, theta = P(candidate only | discordant): theta0 against theta1 > theta0. Looking at
 * batches instead of each pair only makes both errors smaller; they are at most alpha/(1-beta) and beta/(1-alpha). */
typedef struct mg_sprt {
  double theta0, theta1;
  double accept; /* ln A: at or above, theta1 */
  double refuse; /* ln B: at or below, theta0 */
} mg_sprt;
mg_err mg_sprt_init(mg_sprt *s, double theta0, double theta1, double alpha, double beta, mg_error *e);
/* The log likelihood ratio after these discordant pairs. */
double mg_sprt_ratio(const mg_sprt *s, uint64_t base_only, uint64_t cand_only);

#endif
