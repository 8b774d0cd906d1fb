#include "observe/report_measures.h"

#include <math.h>

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }
static json_t *count(uint64_t n) { return json_integer((json_int_t)n); }
static json_t *text(const char *s) {
  json_t *j = json_string(s);
  return j != NULL ? j : json_string("?"); /* a name that is no UTF-8 */
}

static json_t *side_of(const mg_side_summary *s) {
  if (isnan(s->mean)) return json_null();
  json_t *j = json_object();
  json_object_set_new(j, "mean", number(s->mean));
  json_object_set_new(j, "p50", number(s->p50));
  json_object_set_new(j, "p95", number(s->p95));
  json_object_set_new(j, "p99", number(s->p99));
  json_object_set_new(j, "least", number(s->least));
  json_object_set_new(j, "greatest", number(s->greatest));
  return j;
}

static json_t *metric_of(const mg_view *v, const mg_view_result *r, double level, bool baseline) {
  static const char *const holds[] = {"yes", "no", "open"};
  json_t *j = json_object();
  json_object_set_new(j, "name", text(v->name));
  json_object_set_new(j, "kind", json_string(mg_view_kind_name(v->kind)));
  json_object_set_new(j, "quantile", number(v->kind == MG_VIEW_QUANTILE ? v->quantile : NAN));
  json_object_set_new(j, "better", json_string(v->higher ? "higher" : "lower"));
  json_object_set_new(j, "n", count(r->n));
  json_object_set_new(j, "missing", count(r->missing));
  json_object_set_new(j, "used", count(r->used));
  json_object_set_new(j, "baseline", side_of(&r->side[MG_BASELINE]));
  json_object_set_new(j, "candidate", side_of(&r->side[MG_CANDIDATE]));
  json_object_set_new(j, "estimate", number(r->estimate));
  json_object_set_new(j, "low", number(r->interval.low));
  json_object_set_new(j, "high", number(r->interval.high));
  json_object_set_new(j, "level", number(level));
  json_object_set_new(j, "method", json_string(r->method != NULL ? r->method : "student"));
  json_object_set_new(j, "margin", number(v->margin));
  json_object_set_new(j, "holds", baseline && !isnan(v->margin) ? json_string(holds[r->holds]) : json_null());
  json_object_set_new(j, "limit", number(v->limit));
  json_object_set_new(j, "alert", json_boolean(r->alert));
  return j;
}

static json_t *metrics_of(const mg_report *r) {
  json_t *list = json_array();
  for (int i = 0; i < r->plan->view_count; i++) {
    json_array_append_new(list, metric_of(&r->plan->views[i], &r->judgement->views[i], 1 - r->plan->goal.alpha, r->plan->baseline != NULL));
  }
  return list;
}

static json_t *groups_of(const mg_report *r) {
  const mg_measures *m = r->state->measures;
  json_t *list = json_array();
  for (int i = 0; m != NULL && i < m->group_count; i++) {
    const mg_pairs *p = &m->groups[i].pairs;
    uint64_t n = mg_pairs_total(p), passes = p->both + p->cand_only;
    mg_interval rate = mg_wilson(passes, n, 1 - r->plan->goal.alpha);
    json_t *j = json_object();
    json_object_set_new(j, "name", text(m->groups[i].name));
    json_object_set_new(j, "n", count(n));
    json_object_set_new(j, "baseline", r->plan->baseline != NULL ? number((double)(p->both + p->base_only) / (double)n) : json_null());
    json_object_set_new(j, "candidate", number((double)passes / (double)n));
    json_object_set_new(j, "low", number(fmax(0, rate.low)));
    json_object_set_new(j, "high", number(fmin(1, rate.high)));
    json_array_append_new(list, j);
  }
  return list;
}

static json_t *fairness_of(const mg_report *r) {
  const mg_fairness *f = &r->judgement->fairness;
  const mg_measures *m = r->state->measures;
  if (m == NULL || isnan(f->gap)) return json_null();
  json_t *j = json_object();
  json_object_set_new(j, "gap", number(f->gap));
  json_object_set_new(j, "low", number(f->interval.low));
  json_object_set_new(j, "high", number(f->interval.high));
  json_object_set_new(j, "best", text(m->groups[f->best].name));
  json_object_set_new(j, "worst", text(m->groups[f->worst].name));
  json_object_set_new(j, "limit", number(r->plan->fairness_limit));
  json_object_set_new(j, "alert", json_boolean(f->alert));
  return j;
}

static json_t *clusters_of(const mg_report *r) {
  if (!r->plan->clustered) return json_null();
  json_t *j = json_object();
  json_object_set_new(j, "count", count(r->judgement->clusters));
  json_object_set_new(j, "design_effect", number(r->judgement->design_effect));
  return j;
}

static json_t *risk_of(const mg_report *r) {
  const mg_judgement *v = r->judgement;
  if (!v->has_difference || isnan(v->risk_ratio)) return json_null();
  json_t *j = json_object();
  json_object_set_new(j, "estimate", number(v->risk_ratio));
  json_object_set_new(j, "low", number(v->risk_interval.low));
  json_object_set_new(j, "high", number(v->risk_interval.high));
  json_object_set_new(j, "level", number(v->level));
  json_object_set_new(j, "method", json_string("tang"));
  return j;
}

void mg_report_measures(json_t *report, const mg_report *r) {
  json_t *alerts = json_array();
  for (int i = 0; i < r->judgement->alert_count; i++) json_array_append_new(alerts, text(r->judgement->alerts[i]));
  json_object_set_new(report, "relative_risk", risk_of(r));
  json_object_set_new(report, "metrics", metrics_of(r));
  json_object_set_new(report, "groups", groups_of(r));
  json_object_set_new(report, "fairness", fairness_of(r));
  json_object_set_new(report, "clusters", clusters_of(r));
  json_object_set_new(report, "alerts", alerts);
}
