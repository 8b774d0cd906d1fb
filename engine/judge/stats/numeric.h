/* numeric.h - the two numerical tools of stats/: Gauss-Legendre quadrature and a bracketed root.
 *
 * Pure functions, any thread, no allocation. */
#ifndef MG_JUDGE_STATS_NUMERIC_H
#define MG_JUDGE_STATS_NUMERIC_H

typedef double (*mg_function)(double x, const void *context);

#define MG_GAUSS_POINTS 20

/* Nodes in (-1, 1) and weights of the 20-point Gauss-Legendre rule (DLMF 3.5.22, by Newton on the recurrence). */
void mg_gauss(double nodes[MG_GAUSS_POINTS], double weights[MG_GAUSS_POINTS]);

/* The integral of f over [from, to], by that rule on `panels` equal parts. */
double mg_integrate(mg_function f, const void *context, double from, double to, int panels);

/* A zero of f in [low, high], where f must change its sign (Chandrupatla 1997: bisection and inverse quadratic steps).
 * Stops at x_error, or at the last digit where that is 0. Without a change of sign: the end with the smaller |f|. */
double mg_root(mg_function f, const void *context, double low, double high, double x_error);

#endif
