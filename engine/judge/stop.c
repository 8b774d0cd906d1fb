#include "judge/stop.h"

#include "judge/stats/anytime.h"
#include "judge/stats/distributions.h"

#include <math.h>
#include <stddef.h>

#define STEP 64
#define STEPS_UP_TO 6400

const char *mg_stop_name(mg_stop_kind k) {
  static const char *const names[] = {"fixed", "anytime", "group", "sprt"};
  return k >= 0 && (size_t)k < sizeof names / sizeof *names ? names[k] : "unknown";
}

/* Length of look k = 1 .. looks, rounded up; product in long double so that no planned n overflows. */
static uint64_t group_length(const mg_stop_plan *p, int k) { return (uint64_t)ceill((long double)p->max * k / p->looks); }

mg_err mg_stop_init(mg_stop *s, const mg_stop_plan *plan, mg_error *e) {
  *s = (mg_stop){.plan = *plan};
  if (plan->max < 1) return mg_fail(e, MG_ARG, "stop: a run needs at least one case");
  if (!(plan->alpha > 0 && plan->alpha < 1)) return mg_fail(e, MG_ARG, "stop: alpha is %g, it must be between 0 and 1 (0.05 is usual)", plan->alpha);
  if (!(plan->low < plan->high)) return mg_fail(e, MG_ARG, "stop: no difference lies between %g and %g, so nothing could be adopted", plan->low, plan->high);
  if (plan->kind == MG_STOP_SPRT) return mg_sprt_init(&s->sprt, plan->theta0, plan->theta1, plan->alpha, plan->beta, e);
  if (plan->kind == MG_STOP_GROUP) {
    if (plan->looks < 1 || plan->looks > MG_MAX_LOOKS || (uint64_t)plan->looks > plan->max)
      return mg_fail(e, MG_ARG, "stop: %d looks, there must be 1 to %d and no more than cases (%llu)", plan->looks, MG_MAX_LOOKS,
                     (unsigned long long)plan->max);
    double shares[MG_MAX_LOOKS];
    for (int k = 0; k < plan->looks; k++) shares[k] = (double)group_length(plan, k + 1) / (double)plan->max;
    return mg_group_boundaries(plan->spending, plan->alpha / 2, shares, plan->looks, s->z, e);
  }
  return MG_OK;
}

uint64_t mg_stop_next(const mg_stop *s, uint64_t prefix) {
  const mg_stop_plan *p = &s->plan;
  if (prefix >= p->max) return 0;
  uint64_t next = p->max;
  switch (p->kind) {
  case MG_STOP_FIXED: break;
  case MG_STOP_GROUP:
    for (int k = 1; k <= p->looks; k++)
      if (group_length(p, k) > prefix) return group_length(p, k);
    break;
  case MG_STOP_ANYTIME:
  case MG_STOP_SPRT:
    if (prefix < STEPS_UP_TO) {
      next = prefix / STEP * STEP + STEP;
    } else {
      /* From 6,400 on, each look is 1 % beyond the one before; walked from there, so that it is the same from any prefix. */
      next = STEPS_UP_TO;
      while (next <= prefix) next += next / 100;
    }
  }
  return next < p->max ? next : p->max;
}

/* Which look of the group plan this is, -1 for none. */
static int group_look(const mg_stop_plan *p, uint64_t prefix) {
  for (int k = 1; k <= p->looks; k++)
    if (group_length(p, k) == prefix) return k - 1;
  return -1;
}

static bool is_look(const mg_stop *s, uint64_t prefix) { return prefix > 0 && prefix <= s->plan.max && mg_stop_next(s, prefix - 1) == prefix; }

static mg_stop_word decide(const mg_stop_plan *p, mg_interval i) {
  if (i.low > p->low && i.high < p->high) return MG_STOP_ADOPT;
  if (i.high < p->low || i.low > p->high) return MG_STOP_REJECT;
  return MG_GO_ON;
}

mg_stop_answer mg_stop_look(const mg_stop *s, uint64_t prefix, const mg_pairs *pairs) {
  const mg_stop_plan *p = &s->plan;
  mg_stop_answer a = {MG_GO_ON, {-1, 1}, 1 - p->alpha};
  if (!is_look(s, prefix)) return a;
  switch (p->kind) {
  case MG_STOP_FIXED: a.interval = mg_tango(pairs, a.level); break;
  case MG_STOP_GROUP: {
    double z = s->z[group_look(p, prefix)];
    a.level = isinf(z) ? 1 : 1 - 2 * mg_normal_sf(z);
    if (a.level < 1) a.interval = mg_tango_z(pairs, z);
    break;
  }
  case MG_STOP_ANYTIME:
  case MG_STOP_SPRT: a.interval = mg_anytime(pairs, a.level); break;
  }
  if (p->kind == MG_STOP_SPRT) {
    double ratio = mg_sprt_ratio(&s->sprt, pairs->base_only, pairs->cand_only);
    a.word = ratio >= s->sprt.accept ? MG_STOP_ADOPT : ratio <= s->sprt.refuse ? MG_STOP_REJECT : MG_GO_ON;
  } else {
    a.word = decide(p, a.interval);
  }
  if (a.word == MG_GO_ON && prefix == p->max) a.word = MG_STOP_END;
  return a;
}
