/* bootstrap.c - the paired bootstrap of paired.h, exact instead of resampled.
 *
 * Resampling n pairs with replacement makes the difference D* = C* - B* of a trinomial (B*, C*, n - B* - C*) with the
 * observed shares. Its distribution function is read off the characteristic function (r + pb e^-it + pc e^it)^n by an
 * inverse Fourier sum over a lattice wide enough to hold all but 1e-17 of the mass. The terms that are not negligible lie
 * near t = 0 and t = pi (|.|^2 is a convex quadratic in sin^2(t/2)), about 30 of them however large n is. */
#include "judge/stats/distributions.h"
#include "judge/stats/paired.h"

#include <math.h>

typedef struct resampled {
  double n, discordant, delta; /* shares (b+c)/n and (c-b)/n */
  double centre;               /* lattice point near the mean */
  double half;                 /* the lattice is centre - half .. centre + half */
} resampled;

static resampled resampled_of(const mg_pairs *p) {
  double n = (double)mg_pairs_total(p), b = (double)p->base_only, c = (double)p->cand_only;
  resampled r = {.n = n, .discordant = (b + c) / n, .delta = (c - b) / n, .centre = c - b};
  /* Bernstein's inequality: beyond this lies less than 2 exp(-40). */
  double variance = n * fmax(0, r.discordant - r.delta * r.delta);
  r.half = fmin(2 * n, ceil(27 + sqrt(711 + 80 * variance)));
  return r;
}

/* The real part of term j of the sum for P(centre - half <= D* <= centre + k); false where it is negligible. */
static bool lattice_term(const resampled *r, double j, double k, double *term) {
  double points = 2 * r->half + 1, t = 2 * M_PI * j / points, half_sine = sin(t / 2);
  double u = 2 * r->discordant * half_sine * half_sine, v = r->delta * sin(t);
  double log_size = .5 * r->n * log1p(-2 * u + u * u + v * v);
  if (!(log_size > -42)) return false;
  /* sum over m = -half .. k of e^-itm is a Dirichlet kernel around the middle (k - half)/2. */
  double angle = r->n * atan2(v, 1 - u) - t * r->centre;
  double kernel = sin(t * (k + r->half + 1) / 2) / half_sine;
  *term = exp(log_size) * kernel * cos(angle - t * (k - r->half) / 2);
  return true;
}

/* P(D* <= centre + k). */
static double resampled_cdf(const resampled *r, double k) {
  if (k < -r->half) return 0;
  if (k >= r->half) return 1;
  double points = 2 * r->half + 1, sum = k + r->half + 1, term;
  double low = 1, high = r->half;
  for (; low <= high && lattice_term(r, low, k, &term); low++) sum += 2 * term;
  for (; high > low && lattice_term(r, high, k, &term); high--) sum += 2 * term;
  return fmin(1, fmax(0, sum / points));
}

/* The smallest difference (of rates) whose distribution function reaches p. */
static double resampled_quantile(const resampled *r, double p) {
  double below = -r->half - 1, at = r->half;
  /* 1e-13 is the noise of the sum: a p that F reaches exactly must count as reached. */
  while (at - below > 1) {
    double middle = floor((below + at) / 2);
    if (resampled_cdf(r, middle) >= p - 1e-13)
      at = middle;
    else
      below = middle;
  }
  return fmax(-1, fmin(1, (r->centre + at) / r->n));
}

bool mg_bootstrap(const mg_pairs *p, double level, mg_interval *out) {
  *out = mg_tango(p, level);
  if (p->base_only + p->cand_only == 0 || isnan(out->low)) return false;
  resampled r = resampled_of(p);
  *out = (mg_interval){resampled_quantile(&r, (1 - level) / 2), resampled_quantile(&r, (1 + level) / 2)};
  return true;
}

bool mg_bootstrap_bca(const mg_pairs *p, double level, mg_interval *out, double *z0, double *acceleration) {
  *out = mg_tango(p, level);
  if (z0) *z0 = 0;
  if (acceleration) *acceleration = 0;
  if (p->base_only + p->cand_only == 0 || isnan(out->low)) return false;
  resampled r = resampled_of(p);
  double b = (double)p->base_only, c = (double)p->cand_only, concordant = (double)(p->both + p->neither);
  double up = 1 - r.delta, down = -1 - r.delta, flat = -r.delta;
  double s2 = c * up * up + b * down * down + concordant * flat * flat;
  double s3 = c * up * up * up + b * down * down * down + concordant * flat * flat * flat;
  double acc = s2 > 0 ? s3 / (6 * s2 * sqrt(s2)) : 0;
  double bias = mg_normal_quantile((resampled_cdf(&r, -1) + resampled_cdf(&r, 0)) / 2);
  if (!isfinite(bias)) bias = 0;
  double ends[2], z = mg_normal_z(level);
  for (int i = 0; i < 2; i++) {
    double shifted = bias + (i ? z : -z);
    ends[i] = resampled_quantile(&r, mg_normal_cdf(bias + shifted / (1 - acc * shifted)));
  }
  *out = (mg_interval){ends[0], ends[1]};
  if (z0) *z0 = bias;
  if (acceleration) *acceleration = acc;
  return true;
}
