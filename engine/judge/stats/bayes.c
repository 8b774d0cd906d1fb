/* bayes.c - posterior of a difference of rates under Jeffreys priors.
 *
 * The distribution function of the difference is one integral over a beta density of another beta's distribution
 * function. The density is written in phi with p = sin^2(phi): there it has no infinite ends (the priors add 1/2) and
 * a nearly constant width, 1/(2 sqrt n). Where the inner function meets its 0 or 1 inside the range it has a root-like
 * kink, which phi = kink + length s^2 straightens. */
#include "judge/stats/bayes.h"

#include "judge/stats/distributions.h"
#include "judge/stats/numeric.h"

#include <math.h>

typedef struct beta_shape {
  double a, b;
} beta_shape;

/* P(difference <= x) for outer rate o and inner distribution i; `paired` says how they make the difference:
 * paired: difference = o (2 i - 1), o the share of discordant pairs, i the candidate's share among them.
 * unpaired: difference = i - o. */
typedef struct difference {
  beta_shape outer, inner;
  bool paired;
  double x, kink, length; /* of one evaluation */
} difference;

static double integrand(double s, const void *context) {
  const difference *d = context;
  double phi = d->kink + d->length * s * s, sine = sin(phi), cosine = cos(phi), p = sine * sine;
  if (p <= 0 || p >= 1) return 0; /* the density may be infinite there, times a length of 0 */
  double inner = d->paired ? (1 + d->x / p) / 2 : p + d->x;
  double share = inner <= 0 ? 0 : inner >= 1 ? 1 : mg_beta_cdf(d->inner.a, d->inner.b, inner);
  return share * mg_beta_pdf(d->outer.a, d->outer.b, p) * 2 * sine * cosine * 2 * fabs(d->length) * s;
}

static double difference_cdf(difference d, double x) {
  double mean = d.outer.a / (d.outer.a + d.outer.b), reach = 5 / sqrt(d.outer.a + d.outer.b);
  double from = fmax(0, asin(sqrt(mean)) - 1.2 * reach), to = fmin(M_PI_2, asin(sqrt(mean)) + 1.2 * reach), sum = 0;
  d.x = x;
  /* The part of the outer range where the inner function is constantly 0 or 1. */
  double kink = asin(sqrt(fmin(1, fabs(x))));
  if (d.paired || x < 0) {
    if (x > 0) sum = mg_beta_cdf(d.outer.a, d.outer.b, x);
    if (kink > to) return sum;
    d.kink = fmax(from, kink);
    d.length = to - d.kink;
  } else {
    kink = M_PI_2 - kink;
    sum = mg_beta_sf(d.outer.a, d.outer.b, 1 - x);
    if (kink < from) return sum;
    d.kink = fmin(to, kink);
    d.length = from - d.kink;
  }
  return fmin(1, fmax(0, sum + mg_integrate(integrand, &d, 0, 1, 4)));
}

typedef struct quantile_of {
  const difference *d;
  double p;
} quantile_of;

static double quantile_miss(double x, const void *context) {
  const quantile_of *q = context;
  return difference_cdf(*q->d, x) - q->p;
}

/* The bracket is the normal approximation's neighbourhood, widened until it holds the quantile. */
static double difference_quantile(const difference *d, double p, double mean, double sd) {
  quantile_of q = {d, p};
  double guess = fmax(-1, fmin(1, mean + sd * mg_normal_quantile(p))), low = guess, high = guess;
  for (double width = sd / 8; low > -1 && quantile_miss(low, &q) > 0; width *= 2) low = fmax(-1, low - width);
  for (double width = sd / 8; high < 1 && quantile_miss(high, &q) < 0; width *= 2) high = fmin(1, high + width);
  return low < high ? mg_root(quantile_miss, &q, low, high, 1e-10 * sd) : low;
}

static double beta_variance(beta_shape s) {
  double n = s.a + s.b;
  return s.a / n * (s.b / n) / (n + 1);
}

double mg_bayes_better(const mg_pairs *p) { return mg_beta_sf((double)p->cand_only + .5, (double)p->base_only + .5, .5); }

mg_interval mg_bayes_paired(const mg_pairs *p, double level) {
  if (isnan(mg_normal_z(level))) return (mg_interval){NAN, NAN};
  double b = (double)p->base_only, c = (double)p->cand_only, rest = (double)(p->both + p->neither);
  difference d = {.outer = {b + c + 1, rest + 1}, .inner = {c + .5, b + .5}, .paired = true};
  double n = b + c + rest + 2, mean = (c - b) / n, sd = sqrt(((b + c + 1) / n - mean * mean) / (n + 1));
  return (mg_interval){difference_quantile(&d, (1 - level) / 2, mean, sd), difference_quantile(&d, (1 + level) / 2, mean, sd)};
}

double mg_bayes_unpaired_better(uint64_t passes1, uint64_t n1, uint64_t passes2, uint64_t n2) {
  if (passes1 > n1 || passes2 > n2) return NAN;
  /* The second as the inner one: P(second - first <= 0). */
  difference d = {.outer = {(double)passes1 + .5, (double)(n1 - passes1) + .5}, .inner = {(double)passes2 + .5, (double)(n2 - passes2) + .5}};
  return difference_cdf(d, 0);
}

mg_interval mg_bayes_unpaired(uint64_t passes1, uint64_t n1, uint64_t passes2, uint64_t n2, double level) {
  if (passes1 > n1 || passes2 > n2 || isnan(mg_normal_z(level))) return (mg_interval){NAN, NAN};
  difference d = {.outer = {(double)passes2 + .5, (double)(n2 - passes2) + .5}, .inner = {(double)passes1 + .5, (double)(n1 - passes1) + .5}};
  double mean = d.inner.a / (d.inner.a + d.inner.b) - d.outer.a / (d.outer.a + d.outer.b);
  double sd = sqrt(beta_variance(d.inner) + beta_variance(d.outer));
  return (mg_interval){difference_quantile(&d, (1 - level) / 2, mean, sd), difference_quantile(&d, (1 + level) / 2, mean, sd)};
}
