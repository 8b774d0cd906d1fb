/* distributions.h - the normal, beta, binomial and Student distributions that every interval and test stands on.
 *
 * Written from formulas, no code of other libraries:
 * - normal: erfc of the C library; quantile by Abramowitz & Stegun 26.2.23 as the start and Halley steps on erfc.
 * - densities: Loader (2000), "Fast and accurate computation of binomial probabilities": Stirling's error and the
 *   deviance part apart, so that nothing cancels at n = 1e9.
 * - incomplete beta: continued fraction DLMF 8.17.22 after Lentz, on the side where it converges fast; relative
 *   accuracy about 1e-12 in both tails. Steps grow like sqrt(a + b): 3,000 at 1e7.
 * - beta quantile: Newton on the logarithm of the smaller tail as a function of logit x, inside a bracket.
 * - Student: DLMF 8.17 with x = v/(v + t^2).
 *
 * Counts are doubles here (exact up to 2^53). Arguments outside a distribution's domain give NAN, p = 0 and p = 1 give
 * the ends of the support. Pure functions, any thread, no allocation. */
#ifndef MG_JUDGE_STATS_DISTRIBUTIONS_H
#define MG_JUDGE_STATS_DISTRIBUTIONS_H

double mg_normal_pdf(double x);
double mg_normal_cdf(double x);
double mg_normal_sf(double x); /* P(X > x), accurate in the far tail */
double mg_normal_quantile(double p);
/* The two-sided critical value of a level: 1.959964 for .95. NAN outside 0 < level < 1. */
double mg_normal_z(double level);

/* Beta with a, b > 0. The density is per unit of x. */
double mg_beta_pdf(double a, double b, double x);
double mg_beta_cdf(double a, double b, double x); /* I_x(a, b) */
double mg_beta_sf(double a, double b, double x);  /* 1 - I_x(a, b) without cancellation */
double mg_beta_quantile(double a, double b, double p);

/* Binomial with n >= 0 trials; k is rounded down. P(X <= k) and P(X > k). */
double mg_binomial_pmf(double k, double n, double p);
double mg_binomial_cdf(double k, double n, double p);
double mg_binomial_sf(double k, double n, double p);

/* Student's t with df > 0 degrees of freedom. */
double mg_student_cdf(double t, double df);
double mg_student_sf(double t, double df);
double mg_student_quantile(double p, double df);

#endif
