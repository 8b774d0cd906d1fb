#include "judge/stats/sampling.h"

#include "judge/stats/distributions.h"

#include <math.h>

double mg_flaky_bound(uint64_t reruns, double level) { return mg_flaky_bound_seen(0, reruns, level); }

double mg_flaky_bound_seen(uint64_t differing, uint64_t reruns, double level) {
  if (!(level > 0 && level < 1) || differing > reruns) return NAN;
  if (differing == reruns) return 1;
  if (differing == 0) return -expm1(log1p(-level) / (double)reruns);
  return mg_beta_quantile((double)differing + 1, (double)(reruns - differing), level);
}

mg_cover mg_cover_check(uint64_t labelled, uint64_t n, double share) {
  static const double certainty = 1e-9, tolerance = .9;
  if (n == 0 || labelled > n || isnan(share)) return MG_COVER_OPEN;
  mg_interval i = mg_wilson(labelled, n, 1 - 2 * certainty);
  if (i.low >= tolerance * share) return MG_COVER_REACHED;
  return i.high < share ? MG_COVER_MISSED : MG_COVER_OPEN;
}

void mg_moments_add(mg_moments *m, double value) {
  double miss = value - m->mean;
  m->n++;
  m->mean += miss / (double)m->n;
  m->m2 += miss * (value - m->mean);
}

void mg_moments_merge(mg_moments *m, const mg_moments *more) {
  if (more->n == 0) return;
  double n = (double)m->n, k = (double)more->n, miss = more->mean - m->mean;
  m->mean += miss * (k / (n + k));
  m->m2 += more->m2 + miss * miss * (n * (k / (n + k)));
  m->n += more->n;
}

double mg_moments_sd(const mg_moments *m) { return m->n < 2 ? NAN : sqrt(m->m2 / (double)(m->n - 1)); }

mg_interval mg_moments_interval(const mg_moments *m, double level) {
  if (!(level > 0 && level < 1)) return (mg_interval){NAN, NAN};
  if (m->n < 2) return (mg_interval){-INFINITY, INFINITY};
  double n = (double)m->n, reach = mg_student_quantile((1 + level) / 2, n - 1) * mg_moments_sd(m) / sqrt(n);
  return (mg_interval){m->mean - reach, m->mean + reach};
}
