/* paired.c - Tango, Newcombe, McNemar, and the two intervals of one rate. */
#include "judge/stats/paired.h"

#include "judge/stats/distributions.h"

#include <math.h>

uint64_t mg_pairs_total(const mg_pairs *p) { return p->both + p->base_only + p->cand_only + p->neither; }

double mg_pairs_delta(const mg_pairs *p) {
  uint64_t n = mg_pairs_total(p);
  return n ? ((double)p->cand_only - (double)p->base_only) / (double)n : 0;
}

/* Tango's score T(D). q is the restricted maximum-likelihood estimate of P(baseline only) given delta = D, the root of
 * 2n q^2 + B q + C = 0 in [max(0,-D), ...]. */
static double tango_score(double b, double c, double n, double D) {
  double numerator = c - b - n * D;
  if (n == 0 || numerator == 0) return 0;
  double A = 2 * n, B = -b - c + (2 * n - c + b) * D, C = -b * D * (1 - D);
  double root = sqrt(fmax(0, B * B - 4 * A * C));
  double q = B <= 0 ? (root - B) / (2 * A) : -2 * C / (root + B);
  double variance = n * (2 * q + D * (1 - D));
  return variance > 0 ? numerator / sqrt(variance) : copysign(INFINITY, numerator);
}

/* The D in [from, to] where the falling T(D) crosses value, to the last digit. */
static double tango_solve(double b, double c, double n, double value, double from, double to) {
  for (int i = 0; i < 200; i++) {
    double middle = from + (to - from) / 2;
    if (middle == from || middle == to) break;
    if (tango_score(b, c, n, middle) > value)
      from = middle;
    else
      to = middle;
  }
  return from + (to - from) / 2;
}

mg_interval mg_tango_z(const mg_pairs *p, double z) {
  if (!(z > 0)) return (mg_interval){NAN, NAN};
  double n = (double)mg_pairs_total(p), b = (double)p->base_only, c = (double)p->cand_only;
  if (n == 0) return (mg_interval){-1, 1};
  double delta = mg_pairs_delta(p);
  return (mg_interval){tango_solve(b, c, n, z, -1, delta), tango_solve(b, c, n, -z, delta, 1)};
}

mg_interval mg_tango(const mg_pairs *p, double level) { return mg_tango_z(p, mg_normal_z(level)); }

double mg_tango_test(const mg_pairs *p, double margin, double *t) {
  double n = (double)mg_pairs_total(p);
  double score = margin >= -1 && margin <= 1 ? tango_score((double)p->base_only, (double)p->cand_only, n, margin) : NAN;
  if (t) *t = score;
  return n == 0 ? 1 : mg_normal_sf(score);
}

mg_interval mg_newcombe_paired(const mg_pairs *p, double level) {
  uint64_t total = mg_pairs_total(p);
  if (isnan(mg_normal_z(level))) return (mg_interval){NAN, NAN};
  if (total == 0) return (mg_interval){-1, 1};
  double n = (double)total, a = (double)p->both, b = (double)p->base_only, c = (double)p->cand_only;
  double d = (double)p->neither, product = a * d - b * c, phi = 0;
  if (product > 0) product = fmax(product - n / 2, 0);
  /* Two roots, so that four margins of 1e9 do not overflow into lost digits. */
  double margins = sqrt((a + b) * (c + d)) * sqrt((a + c) * (b + d));
  if (margins > 0) phi = product / margins;
  double cand = (a + c) / n, base = (a + b) / n, delta = (c - b) / n;
  mg_interval wc = mg_wilson(p->both + p->cand_only, total, level);
  mg_interval wb = mg_wilson(p->both + p->base_only, total, level);
  double cl = cand - wc.low, cu = wc.high - cand, bl = base - wb.low, bu = wb.high - base;
  double below = cl * cl - 2 * phi * cl * bu + bu * bu, above = cu * cu - 2 * phi * cu * bl + bl * bl;
  return (mg_interval){fmax(-1, delta - sqrt(fmax(0, below))), fmin(1, delta + sqrt(fmax(0, above)))};
}

double mg_mcnemar_exact(uint64_t base_only, uint64_t cand_only) {
  double less = (double)(base_only < cand_only ? base_only : cand_only), m = (double)base_only + (double)cand_only;
  return m == 0 ? 1 : fmin(1, 2 * mg_binomial_cdf(less, m, .5));
}

double mg_mcnemar_midp(uint64_t base_only, uint64_t cand_only) {
  double less = (double)(base_only < cand_only ? base_only : cand_only), m = (double)base_only + (double)cand_only;
  if (m == 0) return 1;
  double point = mg_binomial_pmf(less, m, .5);
  if (base_only == cand_only) return 1 - point / 2;
  return 2 * mg_binomial_cdf(less, m, .5) - point;
}

double mg_mcnemar_worse(uint64_t base_only, uint64_t cand_only) { return mg_binomial_cdf((double)cand_only, (double)base_only + (double)cand_only, .5); }

mg_interval mg_wilson(uint64_t passes, uint64_t n, double level) {
  double z = mg_normal_z(level);
  if (isnan(z) || passes > n) return (mg_interval){NAN, NAN};
  if (n == 0) return (mg_interval){0, 1};
  double N = (double)n, x = (double)passes, square = z * z;
  double centre = x + square / 2, spread = z * sqrt(x * (N - x) / N + square / 4);
  /* The ends 0 and 1 are exact where no case, or every case, passed. */
  return (mg_interval){passes == 0 ? 0 : (centre - spread) / (N + square), passes == n ? 1 : (centre + spread) / (N + square)};
}

mg_interval mg_clopper_pearson(uint64_t passes, uint64_t n, double level) {
  if (isnan(mg_normal_z(level)) || passes > n) return (mg_interval){NAN, NAN};
  double tail = (1 - level) / 2, N = (double)n, x = (double)passes;
  return (mg_interval){passes == 0 ? 0 : mg_beta_quantile(x, N - x + 1, tail), passes == n ? 1 : mg_beta_quantile(x + 1, N - x, 1 - tail)};
}
