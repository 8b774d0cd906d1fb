#include "judge/stats/relative.h"

#include "judge/stats/distributions.h"

#include <math.h>

typedef double (*ratio_score)(const void *context, double ratio);

static double ratio_at(double u) { return u / (1 - u); }

/* The ratio in [from, to] where a falling score crosses value. Halving is done on u = ratio/(1+ratio), which is finite. */
static double ratio_solve(ratio_score score, const void *context, double value, double from, double to) {
  double low = from / (1 + from), high = isinf(to) ? 1 : to / (1 + to);
  for (int i = 0; i < 200; i++) {
    double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    if (score(context, ratio_at(middle)) > value)
      low = middle;
    else
      high = middle;
  }
  return ratio_at(low + (high - low) / 2);
}

static mg_interval ratio_interval(ratio_score score, const void *context, double point, double level) {
  double z = mg_normal_z(level);
  if (isnan(z)) return (mg_interval){NAN, NAN};
  if (isnan(point)) return (mg_interval){0, INFINITY};
  return (mg_interval){point == 0 ? 0 : ratio_solve(score, context, z, 0, point), isinf(point) ? INFINITY : ratio_solve(score, context, -z, point, INFINITY)};
}

double mg_relative_risk(const mg_two_rates *r) {
  if (r->n1 == 0 || r->n2 == 0) return NAN;
  return (double)r->passes1 / (double)r->n1 / ((double)r->passes2 / (double)r->n2);
}

mg_interval mg_katz(const mg_two_rates *r, double level) {
  double z = mg_normal_z(level);
  if (isnan(z) || r->passes1 == 0 || r->passes2 == 0 || r->passes1 > r->n1 || r->passes2 > r->n2) return (mg_interval){NAN, NAN};
  double x1 = (double)r->passes1, x2 = (double)r->passes2, n1 = (double)r->n1, n2 = (double)r->n2;
  double se = sqrt((n1 - x1) / (x1 * n1) + (n2 - x2) / (x2 * n2)), ratio = mg_relative_risk(r);
  double low = ratio * exp(-z * se), high = ratio * exp(z * se);
  return (mg_interval){low, high};
}

/* p2 maximises the likelihood under p1 = ratio p2: the smaller root of N ratio p^2 - B p + (x1 + x2) = 0. */
static double koopman_score(const void *context, double ratio) {
  const mg_two_rates *r = context;
  double x1 = (double)r->passes1, x2 = (double)r->passes2, n1 = (double)r->n1, n2 = (double)r->n2;
  double B = n1 * ratio + x1 + n2 + x2 * ratio, C = x1 + x2, A = (n1 + n2) * ratio;
  double p2 = 2 * C / (B + sqrt(fmax(0, B * B - 4 * A * C))), p1 = fmin(1, ratio * p2);
  double miss = x1 / n1 - ratio * (x2 / n2);
  double variance = p1 * (1 - p1) / n1 + ratio * ratio * p2 * (1 - p2) / n2;
  if (miss == 0) return 0;
  return variance > 0 ? miss / sqrt(variance) : copysign(INFINITY, miss);
}

mg_interval mg_koopman(const mg_two_rates *r, double level) {
  if (r->passes1 > r->n1 || r->passes2 > r->n2) return (mg_interval){NAN, NAN};
  return ratio_interval(koopman_score, r, mg_relative_risk(r), level);
}

mg_interval mg_relative_unpaired(const mg_two_rates *r, double level) {
  bool edge = r->passes1 == 0 || r->passes2 == 0 || r->passes1 >= r->n1 || r->passes2 >= r->n2;
  return edge ? mg_koopman(r, level) : mg_katz(r, level);
}

/* Score of candidate rate = ratio x baseline rate. With q = P(baseline only), the likelihood under that constraint has
 * its maximum where P(neither) = d/n; what is left is a quadratic in q, and the variance of (a+c) - ratio (a+b) is
 * n ratio (P(cand only) + q). */
static double tang_score(const void *context, double ratio) {
  const mg_pairs *p = context;
  double a = (double)p->both, b = (double)p->base_only, c = (double)p->cand_only, n = (double)mg_pairs_total(p);
  double some = a + b + c, s = some / n, miss = a + c - ratio * (a + b);
  if (miss == 0) return 0;
  double A = (1 + ratio) * some, B = s * (a * (ratio * ratio - 1) + b * (ratio * ratio - 2) - c);
  double C = b * (1 - ratio) * s * s, root = sqrt(fmax(0, B * B - 4 * A * C));
  double q = B <= 0 ? (root - B) / (2 * A) : -2 * C / (root + B);
  double cand_only = fmax(0, ((ratio - 1) * s + q) / ratio), variance = n * ratio * (cand_only + q);
  return variance > 0 ? miss / sqrt(variance) : copysign(INFINITY, miss);
}

mg_interval mg_tang(const mg_pairs *p, double level) {
  double cand = (double)p->both + (double)p->cand_only, base = (double)p->both + (double)p->base_only;
  return ratio_interval(tang_score, p, cand / base, level);
}
