#include "cli/pilot.h"

#include "judge/stats/power.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define PILOT_CASES 500
#define TARGET 0.8

mg_err mg_pilot_cut(mg_plan *p, uint64_t *planned, mg_error *e) {
  if (p->baseline == NULL) return mg_fail(e, MG_ARG, "--plan-power forecasts a comparison, and %s has no baseline", p->path);
  *planned = p->cases;
  if (p->cases > PILOT_CASES) p->cases = PILOT_CASES;
  p->stop = (mg_stop){.plan = {.kind = MG_STOP_FIXED}};
  return MG_OK;
}

static void say_n(const mg_goal *g, const char *what, double delta, double discordant, uint64_t planned, double effect) {
  double low = g->kind == MG_SUPERIORITY ? g->margin : -g->margin, high = g->kind == MG_EQUIVALENCE ? g->margin : INFINITY;
  double p_b = (discordant - delta) / 2, p_c = (discordant + delta) / 2;
  uint64_t n = mg_n_tango(p_b, p_c, low, high, g->alpha, TARGET);
  if (n == 0)
    (void)printf("  %-28s no number of cases adopts: the difference lies outside the goal\n", what);
  else
    (void)printf("  %-28s %.0f cases for a chance of %.2g; the %" PRIu64 " planned have %.4f\n", what, ceil((double)n * effect), TARGET, planned,
                 mg_power_tango((uint64_t)((double)planned / effect), p_b, p_c, low, high, g->alpha));
}

void mg_pilot_say(const mg_plan *p, uint64_t planned, const mg_pairs *pairs, double design_effect) {
  uint64_t n = mg_pairs_total(pairs), differ = pairs->base_only + pairs->cand_only;
  double effect = design_effect > 1 ? design_effect : 1;
  /* Half a case more: a pilot without any difference does not show that there is none. */
  double discordant = ((double)differ + 0.5) / ((double)n + 0.5);
  (void)printf("pilot of %" PRIu64 " pairs: baseline only %" PRIu64 ", candidate only %" PRIu64 "\n", n, pairs->base_only, pairs->cand_only);
  if (p->clustered) (void)printf("cases come in clusters, design effect %.3g: so many of them say what one would by itself\n", effect);
  (void)printf("chance that %s", mg_goal_name(p->goal.kind));
  (void)printf("(%g) is adopted at alpha %g after all cases, by Tango's interval:\n", p->goal.margin, p->goal.alpha);
  say_n(&p->goal, "at the pilot's difference", mg_pairs_delta(pairs), discordant, planned, effect);
  say_n(&p->goal, "without a difference of rates", 0, discordant, planned, effect);
}
