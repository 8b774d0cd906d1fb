#include "judge/stats/unpaired.h"

#include "judge/stats/distributions.h"

#include <math.h>

static bool refused(const mg_two_rates *r, double level) { return r->passes1 > r->n1 || r->passes2 > r->n2 || isnan(mg_normal_z(level)); }

mg_interval mg_newcombe_unpaired(const mg_two_rates *r, double level) {
  if (refused(r, level)) return (mg_interval){NAN, NAN};
  if (r->n1 == 0 || r->n2 == 0) return (mg_interval){-1, 1};
  double p1 = (double)r->passes1 / (double)r->n1, p2 = (double)r->passes2 / (double)r->n2;
  mg_interval w1 = mg_wilson(r->passes1, r->n1, level), w2 = mg_wilson(r->passes2, r->n2, level);
  return (mg_interval){fmax(-1, p1 - p2 - hypot(p1 - w1.low, w2.high - p2)), fmin(1, p1 - p2 + hypot(w1.high - p1, p2 - w2.low))};
}

mg_interval mg_agresti_caffo(const mg_two_rates *r, double level) {
  if (refused(r, level)) return (mg_interval){NAN, NAN};
  double n1 = (double)r->n1 + 2, n2 = (double)r->n2 + 2;
  double p1 = ((double)r->passes1 + 1) / n1, p2 = ((double)r->passes2 + 1) / n2;
  double reach = mg_normal_z(level) * sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2);
  return (mg_interval){fmax(-1, p1 - p2 - reach), fmin(1, p1 - p2 + reach)};
}
