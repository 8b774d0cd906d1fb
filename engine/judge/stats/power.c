#include "judge/stats/power.h"

#include "judge/stats/distributions.h"

#include <math.h>

#define N_MOST 1e9

double mg_n_mcnemar(double p_b, double p_c, double alpha, double power) {
  double pd = p_b + p_c, delta = p_c - p_b;
  if (!(p_b >= 0 && p_c >= 0 && pd <= 1) || delta == 0) return NAN;
  double root = mg_normal_z(1 - alpha) * sqrt(pd) + mg_normal_quantile(power) * sqrt(pd - delta * delta);
  return root * root / (delta * delta);
}

double mg_n_unpaired(double rate1, double rate2, double alpha, double power) {
  if (!(rate1 >= 0 && rate1 <= 1 && rate2 >= 0 && rate2 <= 1) || rate1 == rate2) return NAN;
  double mean = (rate1 + rate2) / 2, delta = rate2 - rate1;
  double root = mg_normal_z(1 - alpha) * sqrt(2 * mean * (1 - mean)) + mg_normal_quantile(power) * sqrt(rate1 * (1 - rate1) + rate2 * (1 - rate2));
  return root * root / (delta * delta);
}

double mg_n_noninferiority(double delta, double discordant, double margin, double alpha, double power) {
  double gap = delta + margin;
  if (!(discordant >= fabs(delta) && discordant <= 1 && gap > 0)) return NAN;
  double z = mg_normal_z(1 - alpha) + mg_normal_quantile(power);
  return z * z * (discordant - delta * delta) / (gap * gap);
}

/* m = b + c runs over all values that carry mass; beyond lies less than 1e-16 (Bernstein). */
typedef struct discordant_range {
  double from, to, share; /* share: P(candidate only | discordant) */
} discordant_range;

static discordant_range discordant_of(double n, double p_b, double p_c) {
  double pd = p_b + p_c, variance = n * pd * (1 - pd), reach = 25 + sqrt(625 + 76 * variance);
  return (discordant_range){fmax(0, floor(n * pd - reach)), fmin(n, ceil(n * pd + reach)), pd > 0 ? p_c / pd : .5};
}

static bool shares_allowed(double p_b, double p_c) { return p_b >= 0 && p_c >= 0 && p_b + p_c <= 1; }

double mg_power_mcnemar(uint64_t n, double p_b, double p_c, double alpha, bool midp) {
  if (!shares_allowed(p_b, p_c) || !(alpha > 0 && alpha < 1)) return NAN;
  discordant_range r = discordant_of((double)n, p_b, p_c);
  double sum = 0, critical = -1; /* the most of the rarer kind that still rejects; rises by at most 1 as m does */
  for (double m = r.from; m <= r.to; m++) {
    if (m == r.from) critical = floor(m / 2 - sqrt(m) * mg_normal_z(1 - alpha)) - 3;
    critical = fmax(-1, critical - 1);
    while (critical + 1 < m / 2) {
      uint64_t less = (uint64_t)(critical + 1), more = (uint64_t)(m - critical - 1);
      if ((midp ? mg_mcnemar_midp(less, more) : mg_mcnemar_exact(less, more)) > alpha) break;
      critical++;
    }
    if (critical < 0) continue;
    sum += mg_binomial_pmf(m, (double)n, p_b + p_c) * (mg_binomial_cdf(critical, m, r.share) + mg_binomial_sf(m - critical - 1, m, r.share));
  }
  return fmin(1, sum);
}

static bool clears_low(double n, double m, double c, double low, double z) {
  if (isinf(low)) return true;
  double t;
  mg_pairs p = {(uint64_t)(n - m), (uint64_t)(m - c), (uint64_t)c, 0};
  mg_tango_test(&p, low, &t);
  return t > z;
}

static bool clears_high(double n, double m, double c, double high, double z) { return clears_low(n, m, m - c, -high, z); }

/* The first c in [0, m + 1] at which an interval clears the low end (high: the last + 1 at which it clears the high one).
 * Both turn once as c rises, so they are halved for. */
static double turning_point(double n, double m, double limit, double z, bool low_end) {
  double from = -1, to = m + 1;
  while (to - from > 1) {
    double middle = floor((from + to) / 2);
    bool cleared = low_end ? clears_low(n, m, middle, limit, z) : clears_high(n, m, middle, limit, z);
    if (cleared == low_end)
      to = middle;
    else
      from = middle;
  }
  return to;
}

double mg_power_tango(uint64_t n, double p_b, double p_c, double low, double high, double alpha) {
  if (!shares_allowed(p_b, p_c) || !(alpha > 0 && alpha < 1) || !(low < high)) return NAN;
  if (n == 0) return 0;
  discordant_range r = discordant_of((double)n, p_b, p_c);
  double z = mg_normal_z(1 - alpha), sum = 0, N = (double)n;
  for (double m = r.from; m <= r.to; m++) {
    double mass = mg_binomial_pmf(m, N, p_b + p_c);
    if (mass < 1e-18) continue;
    double first = turning_point(N, m, low, z, true), end = turning_point(N, m, high, z, false);
    if (first < end) sum += mass * (mg_binomial_sf(first - 1, m, r.share) - mg_binomial_sf(end - 1, m, r.share));
  }
  return fmin(1, sum);
}

/* Tango's variance of one pair under delta = D, and that of the shares as they are. n = ((z s0 + z_power s1)/gap)^2. */
static double n_for_gap(double p_b, double p_c, double D, double alpha, double power) {
  double delta = p_c - p_b, gap = fabs(delta - D);
  if (gap == 0) return INFINITY;
  double B = -p_b - p_c + (2 - p_c + p_b) * D, C = -p_b * D * (1 - D), root = sqrt(fmax(0, B * B - 8 * C));
  double q = B <= 0 ? (root - B) / 4 : -2 * C / (root + B);
  double s0 = sqrt(fmax(0, 2 * q + D * (1 - D))), s1 = sqrt(fmax(0, p_b + p_c - delta * delta));
  double root_n = (mg_normal_z(1 - alpha) * s0 + mg_normal_quantile(power) * s1) / gap;
  return root_n * root_n;
}

/* The limits that matter: inside (low, high) both must be cleared, outside the one that is passed. */
static double n_for_region(double p_b, double p_c, double low, double high, double alpha, double power) {
  double delta = p_c - p_b, n = 0;
  if (isfinite(low) && delta <= high) n = fmax(n, n_for_gap(p_b, p_c, low, alpha, power));
  if (isfinite(high) && delta >= low) n = fmax(n, n_for_gap(p_b, p_c, high, alpha, power));
  return n;
}

uint64_t mg_n_tango(double p_b, double p_c, double low, double high, double alpha, double power) {
  if (!shares_allowed(p_b, p_c) || !(alpha > 0 && alpha < 1 && power > 0 && power < 1)) return 0;
  if (!(p_c - p_b > low && p_c - p_b < high)) return 0;
  double guess = n_for_region(p_b, p_c, low, high, alpha, power);
  if (!(guess < N_MOST)) return 0;
  uint64_t fails = 0, holds = (uint64_t)ceil(fmax(1, guess));
  while (mg_power_tango(holds, p_b, p_c, low, high, alpha) < power) {
    fails = holds;
    if ((double)(holds += holds / 8 + 1) > N_MOST) return 0;
  }
  if (fails == 0) {
    fails = holds;
    do fails = fails > fails / 8 + 1 ? fails - fails / 8 - 1 : 0;
    while (fails && mg_power_tango(fails, p_b, p_c, low, high, alpha) >= power);
  }
  while (holds - fails > 1) {
    uint64_t middle = fails + (holds - fails) / 2;
    if (mg_power_tango(middle, p_b, p_c, low, high, alpha) >= power)
      holds = middle;
    else
      fails = middle;
  }
  /* The sawtooth may fall below the target once more just after. */
  for (uint64_t ahead = 1; ahead <= 32; ahead++) {
    if (mg_power_tango(holds + ahead, p_b, p_c, low, high, alpha) >= power) continue;
    holds += ahead + 1;
    ahead = 0;
    while (mg_power_tango(holds, p_b, p_c, low, high, alpha) < power) holds++;
  }
  return holds;
}

uint64_t mg_n_clean(double margin, double alpha) {
  if (!(margin > 0 && margin < 1 && alpha > 0 && alpha < 1)) return 0;
  double n = n_for_gap(0, 0, -margin, alpha, .5);
  return n < 0x1p62 ? (uint64_t)floor(n) + 1 : 0;
}

uint64_t mg_n_to_decide(const mg_pairs *p, double low, double high, double alpha, double power) {
  uint64_t total = mg_pairs_total(p);
  if (total == 0 || !(alpha > 0 && alpha < 1 && power > 0 && power < 1) || !(low < high)) return 0;
  double n = (double)total;
  double need = n_for_region((double)p->base_only / n, (double)p->cand_only / n, low, high, alpha, power);
  if (!(need < 0x1p62)) return 0;
  uint64_t pairs = (uint64_t)floor(need) + 1;
  return pairs > total ? pairs : total + 1;
}
