#include "judge/stats/sequential.h"

#include "judge/stats/distributions.h"
#include "judge/stats/numeric.h"

#include <math.h>
#include <stdbool.h>

#define MAX_PANELS 96
#define MAX_NODES (MAX_PANELS * MG_GAUSS_POINTS)
/* Beyond this many standard deviations lies nothing that matters at 1e-15. */
#define FAR 8.5

/* Those that have not stopped: quadrature nodes of S_k = Z_k sqrt(t_k), each with weight x density. Starts as the point
 * S_0 = 0. */
typedef struct walk {
  double t;
  int count;
  double at[MAX_NODES], mass[MAX_NODES];
} walk;

static void walk_start(walk *w) {
  w->t = 0;
  w->count = 1;
  w->at[0] = 0;
  w->mass[0] = 1;
}

/* P(not stopped before, S at time t > edge). */
static double walk_exit(const walk *w, double t, double edge) {
  double sd = sqrt(t - w->t), sum = 0;
  for (int i = 0; i < w->count; i++) sum += w->mass[i] * mg_normal_sf((edge - w->at[i]) / sd);
  return sum;
}

/* Those still inside [-edge, edge] at time t; next is the time of the step after, whose kernel the nodes must resolve. */
static void walk_advance(walk *w, double t, double edge, double next) {
  static const double sds_per_panel = 4;
  double sd = sqrt(t - w->t), nodes[MG_GAUSS_POINTS], weights[MG_GAUSS_POINTS];
  walk from = *w;
  edge = fmin(edge, FAR * sqrt(t));
  double narrow = fmin(sd, next > t ? sqrt(next - t) : sd);
  int panels = (int)fmin(MAX_PANELS, ceil(2 * edge / (sds_per_panel * narrow)));
  mg_gauss(nodes, weights);
  w->t = t;
  w->count = panels * MG_GAUSS_POINTS;
  double half = edge / panels;
  for (int i = 0; i < w->count; i++) {
    int k = i % MG_GAUSS_POINTS;
    double s = -edge + half * (2 * (i / MG_GAUSS_POINTS) + 1 + nodes[k]), sum = 0;
    for (int j = 0; j < from.count; j++) {
      double z = (s - from.at[j]) / sd;
      if (fabs(z) < FAR) sum += from.mass[j] * exp(-.5 * z * z);
    }
    w->at[i] = s;
    w->mass[i] = sum * half * weights[k] / sd * .398942280401432677939946059934;
  }
}

static bool looks_allowed(const double *t, int looks) {
  if (looks < 1 || looks > MG_MAX_LOOKS) return false;
  for (int k = 0; k < looks; k++)
    if (!(t[k] - (k ? t[k - 1] : 0) >= .001 - 1e-12 && t[k] <= 1)) return false;
  return true;
}

double mg_spent(mg_spending how, double alpha_side, double t) {
  if (!(t > 0)) return 0;
  if (t >= 1) return alpha_side;
  if (how == MG_SPEND_POCOCK) return alpha_side * log1p((M_E - 1) * t);
  return 2 * mg_normal_sf(-mg_normal_quantile(alpha_side / 2) / sqrt(t));
}

typedef struct edge_of {
  const walk *w;
  double t, target;
} edge_of;

static double edge_miss(double edge, const void *context) {
  const edge_of *o = context;
  return log(walk_exit(o->w, o->t, edge) / o->target);
}

mg_err mg_group_boundaries(mg_spending how, double alpha_side, const double *t, int looks, double *z, mg_error *e) {
  if (!(alpha_side > 0 && alpha_side < .5)) return mg_fail(e, MG_ARG, "the error of one side is %g, it must be between 0 and 0.5", alpha_side);
  if (!looks_allowed(t, looks))
    return mg_fail(e, MG_ARG, "%d looks: there must be 1 to %d, at rising shares of the cases, at least 0.001 apart", looks, MG_MAX_LOOKS);
  walk w;
  walk_start(&w);
  double spent = 0;
  for (int k = 0; k < looks; k++) {
    double allowed = mg_spent(how, alpha_side, t[k]), now = allowed - spent, edge = INFINITY;
    if (now > 1e-15) {
      edge_of o = {&w, t[k], now};
      edge = mg_root(edge_miss, &o, 0, FAR * sqrt(t[k]), 1e-12);
      spent = allowed;
    }
    z[k] = edge / sqrt(t[k]);
    if (k + 1 < looks) walk_advance(&w, t[k], edge, t[k + 1]);
  }
  return MG_OK;
}

double mg_group_error(const double *t, const double *z, int looks) {
  if (!looks_allowed(t, looks)) return NAN;
  walk w;
  walk_start(&w);
  double sum = 0;
  for (int k = 0; k < looks; k++) {
    sum += 2 * walk_exit(&w, t[k], z[k] * sqrt(t[k]));
    if (k + 1 < looks) walk_advance(&w, t[k], z[k] * sqrt(t[k]), t[k + 1]);
  }
  return sum;
}

typedef struct constant_of {
  int looks;
  double alpha;
  bool falling;
} constant_of;

static double constant_miss(double c, const void *context) {
  const constant_of *o = context;
  double t[MG_MAX_LOOKS], z[MG_MAX_LOOKS];
  for (int k = 0; k < o->looks; k++) {
    t[k] = (k + 1.) / o->looks;
    z[k] = o->falling ? c / sqrt(t[k]) : c;
  }
  return mg_group_error(t, z, o->looks) - o->alpha;
}

static double constant(int looks, double alpha, bool falling) {
  if (looks < 1 || looks > MG_MAX_LOOKS || !(alpha > 0 && alpha < 1)) return NAN;
  constant_of o = {looks, alpha, falling};
  return mg_root(constant_miss, &o, mg_normal_z(1 - alpha) * .999, FAR, 1e-11);
}

double mg_pocock_constant(int looks, double alpha) { return constant(looks, alpha, false); }

double mg_obrien_fleming_constant(int looks, double alpha) { return constant(looks, alpha, true); }

mg_err mg_sprt_init(mg_sprt *s, double theta0, double theta1, double alpha, double beta, mg_error *e) {
  if (!(theta0 > 0 && theta0 < theta1 && theta1 < 1))
    return mg_fail(e, MG_ARG,
                   "sprt needs 0 < theta0 < theta1 < 1 (shares of discordant pairs the candidate wins); they "
                   "are %g and %g",
                   theta0, theta1);
  if (!(alpha > 0 && beta > 0 && alpha + beta < 1))
    return mg_fail(e, MG_ARG, "sprt needs alpha and beta above 0 with a sum below 1; they are %g and %g", alpha, beta);
  *s = (mg_sprt){theta0, theta1, log((1 - beta) / alpha), log(beta / (1 - alpha))};
  return MG_OK;
}

double mg_sprt_ratio(const mg_sprt *s, uint64_t base_only, uint64_t cand_only) {
  return (double)cand_only * log(s->theta1 / s->theta0) + (double)base_only * log((1 - s->theta1) / (1 - s->theta0));
}
