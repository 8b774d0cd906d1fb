#include "judge/stats/anytime.h"

#include "judge/stats/numeric.h"

#include <math.h>

#define BETS 10

/* .95 2^(-j/2) */
static double bet(int j) { return ldexp(j % 2 ? .95 * M_SQRT1_2 : .95, -(j / 2)); }

static double log_e(double b, double c, double r, double D) {
  double log_stake[BETS], top = -INFINITY, sum = 0;
  if (D <= -1) return INFINITY;
  if (D >= 1) return -INFINITY;
  for (int j = 0; j < BETS; j++) {
    double u = bet(j), l = u / (1 + D);
    log_stake[j] = 0;
    /* Left out where there is no count: 0 x infinity at D near -1. */
    if (c > 0) log_stake[j] += c * log1p(l * (1 - D));
    if (b > 0) log_stake[j] += b * log1p(-u);
    if (r > 0) log_stake[j] += r * log1p(-l * D);
    top = fmax(top, log_stake[j]);
  }
  for (int j = 0; j < BETS; j++) sum += exp(log_stake[j] - top);
  return top + log(sum / BETS);
}

double mg_anytime_log_e(const mg_pairs *p, double D) { return log_e((double)p->base_only, (double)p->cand_only, (double)p->both + (double)p->neither, D); }

typedef struct bound_of {
  double b, c, r, limit;
} bound_of;

static double bound_miss(double D, const void *context) {
  const bound_of *o = context;
  double e = log_e(o->b, o->c, o->r, D);
  return fmin(e, 1e9) - o->limit;
}

/* The largest D that is refuted. At D = (c-b)/n no bet has gained (ln(1+y) <= y), so the search starts there and goes
 * down by steps of four standard deviations, which the first mostly suffices for. */
static double lower_bound(double b, double c, double r, double limit) {
  bound_of o = {b, c, r, limit};
  const double least = -1 + 1e-12;
  double n = b + c + r, high = (c - b) / n, low = high, step = 4 * sqrt(b + c + 4) / n;
  do {
    if (low <= least) return -1;
    high = low;
    low = fmax(least, low - step);
    step *= 2;
  } while (bound_miss(low, &o) < 0);
  return mg_root(bound_miss, &o, low, high, 1e-13);
}

mg_interval mg_anytime(const mg_pairs *p, double level) {
  if (!(level > 0 && level < 1)) return (mg_interval){NAN, NAN};
  double b = (double)p->base_only, c = (double)p->cand_only, r = (double)p->both + (double)p->neither;
  double limit = -log((1 - level) / 2);
  if (b + c + r == 0) return (mg_interval){-1, 1};
  return (mg_interval){lower_bound(b, c, r, limit), -lower_bound(c, b, r, limit)};
}
