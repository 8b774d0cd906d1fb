#include "observe/live.h"

#include "judge/stats/anytime.h"
#include "observe/http.h"
#include "observe/json_text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  EVERY_MS = 500,
  SELDOM_MS = 2000, /* where nobody has looked for WATCHED_MS */
  WATCHED_MS = 5000,
  LAST_LOOK_MS = 5000, /* longest wait for those who watch to see the end */
  POINTS_MAX = 160,
  LINES_MAX = 40,
  LINE_BYTES = 320,
  WORKERS_MAX = 500
};

typedef struct point { /* of the estimate as it became certain */
  uint64_t cases;
  double estimate, low, high;
} point;

typedef struct line {
  int64_t wall_ms;
  mg_log_level level;
  char event[48], text[LINE_BYTES];
} line;

struct mg_live {
  mg_http *http;
  mg_live_config config;
  point points[POINTS_MAX];
  size_t point_count;
  line lines[LINES_MAX]; /* a ring */
  uint64_t line_count;
  mg_ms next_ms, next_point_ms;
  mg_ms over_ms; /* when the last state was made; 0: not yet */
  mg_buf html;
};

/* ---- the estimate ---- */

static bool judges_rate(const mg_live *l) { return l->config.plan->baseline == NULL || l->config.plan->goal.kind == MG_ABSOLUTE; }

static uint64_t ran(const mg_tally *t, mg_role role) {
  return t->cases - t->outcomes[role][MG_DISCARD] - t->outcomes[role][MG_CASE_LOST] - t->outcomes[role][MG_UNRUN];
}

static double level(const mg_live *l) { return 1 - l->config.plan->goal.alpha; }

static const char *method(const mg_live *l) {
  if (judges_rate(l)) return "wilson";
  return l->config.plan->stop.plan.kind == MG_STOP_ANYTIME ? "anytime" : "tango";
}

/* By the counts so far, whatever the plan's interval at the end: it is drawn, nothing is decided by it. false: nothing is known yet. */
static bool estimate(const mg_live *l, const mg_tally *t, point *out) {
  mg_interval i;
  *out = (point){.cases = t->cases};
  if (judges_rate(l)) {
    uint64_t n = ran(t, MG_CANDIDATE), passes = t->outcomes[MG_CANDIDATE][MG_PASS];
    if (n == 0) return false;
    i = mg_wilson(passes, n, level(l));
    out->estimate = (double)passes / (double)n;
  } else {
    if (mg_pairs_total(&t->pairs) == 0) return false;
    i = l->config.plan->stop.plan.kind == MG_STOP_ANYTIME ? mg_anytime(&t->pairs, level(l)) : mg_tango(&t->pairs, level(l));
    out->estimate = mg_pairs_delta(&t->pairs);
  }
  out->low = i.low;
  out->high = i.high;
  return isfinite(i.low) && isfinite(i.high);
}

static void remember(mg_live *l, const point *p) {
  if (l->point_count > 0 && l->points[l->point_count - 1].cases >= p->cases) return;
  if (l->point_count == POINTS_MAX) { /* every second one stays */
    for (size_t i = 0; i < POINTS_MAX / 2; i++) l->points[i] = l->points[2 * i];
    l->point_count = POINTS_MAX / 2;
  }
  l->points[l->point_count++] = *p;
}

/* ---- the state ---- */

static json_t *count(uint64_t n) { return json_integer((json_int_t)n); }
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }
static void set(json_t *o, const char *key, json_t *value) { (void)json_object_set_new(o, key, value); }

static json_t *interval(double estimate_, double low, double high) {
  json_t *j = json_object();
  set(j, "estimate", number(estimate_));
  set(j, "low", number(low));
  set(j, "high", number(high));
  return j;
}

static json_t *role_of(const mg_live *l, const mg_tally *t, mg_role role, const char *name) {
  json_t *j = json_object(), *outcomes = json_object();
  uint64_t n = ran(t, role), passes = t->outcomes[role][MG_PASS];
  for (int o = 0; o < MG_OUTCOMES; o++) set(outcomes, mg_outcome_name((mg_outcome)o), count(t->outcomes[role][o]));
  set(j, "role", json_string(mg_role_name(role)));
  set(j, "name", mg_json_text(name));
  set(j, "outcomes", outcomes);
  mg_interval i = n > 0 ? mg_wilson(passes, n, level(l)) : (mg_interval){NAN, NAN};
  set(j, "rate", n > 0 ? interval((double)passes / (double)n, i.low, i.high) : json_null());
  return j;
}

static json_t *goal_of(const mg_live *l) {
  const mg_goal *g = &l->config.plan->goal;
  json_t *j = json_object();
  set(j, "kind", json_string(mg_goal_name(judges_rate(l) ? MG_ABSOLUTE : g->kind)));
  set(j, "margin", judges_rate(l) ? json_null() : number(g->margin));
  set(j, "min_pass_rate", judges_rate(l) || g->min_pass_rate > 0 ? number(g->min_pass_rate) : json_null());
  return j;
}

static const char *state_of(const mg_worker_seen *w) {
  return w->gone ? "left" : w->lost ? "lost" : w->quarantined ? "quarantined" : w->refused ? "refused" : w->draining ? "draining" : "live";
}

static json_t *workers_of(const mg_run_state *s) {
  json_t *list = json_array();
  for (size_t i = 0; i < s->worker_count && i < WORKERS_MAX; i++) {
    const mg_worker_seen *w = &s->workers[i];
    bool busy = w->task[0] != '\0' && !w->lost && !w->gone;
    json_t *j = json_object();
    set(j, "name", mg_json_text(w->name));
    set(j, "state", json_string(state_of(w)));
    set(j, "last_beat_seconds", w->last_beat_ms > 0 ? number((double)(s->now_ms - w->last_beat_ms) / 1000) : json_null());
    set(j, "executors", count(w->executors));
    set(j, "held_tasks", count(w->lost || w->gone ? 0 : w->held));
    set(j, "task", busy ? mg_json_text(w->task) : json_null());
    set(j, "case", busy ? count(w->at_case) : json_null());
    set(j, "role", busy ? json_string(mg_role_name(w->at_role)) : json_null());
    set(j, "tasks_done", count(w->tasks_done));
    set(j, "cases_done", count(w->cases_done));
    (void)json_array_append_new(list, j);
  }
  return list;
}

static json_t *clauses_of(const mg_live *l, const mg_tally *t) {
  json_t *list = json_array();
  for (int i = 0; i < l->config.plan->clause_count; i++) {
    const mg_clause_count *n = &t->clauses[i];
    json_t *j = json_object();
    set(j, "name", mg_json_text(l->config.plan->clauses[i].name));
    set(j, "hard", json_boolean(l->config.plan->clauses[i].mode != MG_MODE_SOFT));
    set(j, "both", count(n->both));
    set(j, "baseline_only", count(n->baseline_only));
    set(j, "candidate_only", count(n->candidate_only));
    (void)json_array_append_new(list, j);
  }
  return list;
}

static json_t *log_of(const mg_live *l) {
  static const char *const levels[] = {"debug", "info", "warn", "error", "off"};
  json_t *list = json_array();
  for (uint64_t i = l->line_count > LINES_MAX ? l->line_count - LINES_MAX : 0; i < l->line_count; i++) {
    const line *n = &l->lines[i % LINES_MAX];
    char when[32];
    mg_wall_text(n->wall_ms, when, sizeof when);
    json_t *j = json_object();
    set(j, "time", json_string(when));
    set(j, "level", json_string(levels[n->level]));
    set(j, "event", json_string(n->event));
    set(j, "text", mg_json_text(n->text));
    (void)json_array_append_new(list, j);
  }
  return list;
}

static void put_run(json_t *j, mg_live *l, const mg_run_state *s) {
  uint64_t inflight = mg_run_inflight_cases(s), left = s->planned - s->counted;
  set(j, "seconds", number((double)(s->now_ms - s->started_ms) / 1000));
  set(j, "counted", count(s->counted));
  set(j, "inflight_cases", count(inflight));
  set(j, "backlog_cases", count(s->unsent_cases + s->outstanding_cases - inflight));
  set(j, "cases_per_second", number(s->cases_per_second));
  set(j, "seconds_left", s->cases_per_second > 0 ? number((double)left / s->cases_per_second) : json_null());
  set(j, "pending_tasks", count(mg_run_pending_tasks(s)));
  set(j, "held_tasks", count(s->held_tasks));
  set(j, "oldest_task_seconds", s->oldest_ms > 0 ? number((double)(s->now_ms - s->oldest_ms) / 1000) : json_null());
  set(j, "batch_cases", count(s->batch));
  set(j, "tasks_done", count(s->tasks_done));
  set(j, "requeued_tasks", count(s->requeued_tasks));
  set(j, "hedged_tasks", count(s->hedges));
  set(j, "repeats_dropped", count(s->repeats_dropped));
  set(j, "dead_letters", count(s->dead_lettered));
  set(j, "bad_messages", count(s->bad_messages));
  set(j, "active_workers", count(s->active_workers));
  set(j, "connected", json_boolean(s->connected));
  set(j, "reconnects", count(s->reconnects));
  json_t *roles = json_array();
  if (l->config.plan->baseline != NULL) (void)json_array_append_new(roles, role_of(l, s->tally, MG_BASELINE, l->config.plan->baseline));
  (void)json_array_append_new(roles, role_of(l, s->tally, MG_CANDIDATE, l->config.plan->candidate));
  set(j, "roles", roles);
  set(j, "clauses", clauses_of(l, s->tally));
  set(j, "workers", workers_of(s));
  point p;
  bool known = estimate(l, s->tally, &p);
  if (known) remember(l, &p);
  set(j, "estimate", known ? interval(p.estimate, p.low, p.high) : json_null());
}

static json_t *state_json(mg_live *l, const mg_run_state *s) {
  const mg_plan *plan = l->config.plan;
  json_t *j = json_object(), *history = json_array();
  set(j, "version", json_string(MG_VERSION));
  set(j, "run", mg_json_text(l->config.run));
  set(j, "plan", mg_json_text(plan->name != NULL ? plan->name : plan->path));
  set(j, "backend", mg_json_text(l->config.backend));
  set(j, "state", json_string(s == NULL ? "starting" : "running"));
  set(j, "verdict", json_null());
  set(j, "reasons", json_array());
  set(j, "planned", count(plan->cases));
  set(j, "goal", goal_of(l));
  set(j, "level", number(level(l)));
  set(j, "method", json_string(method(l)));
  if (s != NULL) put_run(j, l, s);
  for (size_t i = 0; i < l->point_count; i++) {
    const point *p = &l->points[i];
    (void)json_array_append_new(history, json_pack("[I,f,f,f]", (json_int_t)p->cases, p->estimate, p->low, p->high));
  }
  set(j, "history", history);
  set(j, "log", log_of(l));
  return j;
}

static void publish(mg_live *l, json_t *state) {
  char *text = json_dumps(state, JSON_COMPACT | JSON_REAL_PRECISION(10));
  mg_buf_clear(&l->html);
  mg_live_page(&l->html, state);
  if (text != NULL) (void)mg_http_page(l->http, "/state.json", "application/json", mg_slice_of(text));
  if (!l->html.failed) (void)mg_http_page(l->http, "/", "text/html; charset=utf-8", mg_buf_slice(&l->html));
  free(text);
  json_decref(state);
}

/* ---- from outside ---- */

mg_err mg_live_start(mg_live **out, const mg_live_config *config, mg_error *e) {
  *out = NULL;
  mg_live *l = calloc(1, sizeof *l);
  if (l == NULL) return mg_fail(e, MG_NOMEM, "no memory for the live page");
  l->config = *config;
  mg_http_config http = {.host = config->host, .port = config->port, .token = config->token, .pages = true};
  mg_err err = mg_http_start(&l->http, &http, e);
  if (err != MG_OK) {
    free(l);
    return err;
  }
  publish(l, state_json(l, NULL));
  *out = l;
  return MG_OK;
}

int mg_live_port(const mg_live *l) { return mg_http_port(l->http); }

void mg_live_say(mg_live *l, mg_log_level level_, const char *event, const char *text) {
  if (l == NULL) return;
  line *n = &l->lines[l->line_count++ % LINES_MAX];
  n->wall_ms = mg_wall_ms();
  n->level = level_;
  (void)snprintf(n->event, sizeof n->event, "%s", event);
  (void)snprintf(n->text, sizeof n->text, "%s", text);
}

void mg_live_update(mg_live *l, const mg_run_state *s) {
  point p;
  mg_ms now = mg_now_ms();
  if (l == NULL) return;
  if (s != NULL && now >= l->next_point_ms) { /* also while nobody looks: whoever comes later sees how it narrowed */
    l->next_point_ms = now + EVERY_MS;
    if (estimate(l, s->tally, &p)) remember(l, &p);
  }
  if (now < l->next_ms) return;
  l->next_ms = now + (mg_http_watched(l->http, now - WATCHED_MS, false) ? EVERY_MS : SELDOM_MS);
  publish(l, state_json(l, s));
}

void mg_live_over(mg_live *l, const mg_report *r, const char *failed) {
  if (l == NULL) return;
  json_t *j = state_json(l, r != NULL ? r->state : NULL);
  set(j, "state", json_string(failed != NULL ? "failed" : "ended"));
  if (failed != NULL) (void)json_array_append_new(json_object_get(j, "reasons"), mg_json_text(failed));
  if (r != NULL) {
    set(j, "verdict", json_string(r->exit_code == 130 ? "interrupted" : mg_verdict_name(r->judgement->verdict)));
    for (int i = 0; i < r->judgement->reason_count; i++) (void)json_array_append_new(json_object_get(j, "reasons"), mg_json_text(r->judgement->reasons[i]));
    if (r->judgement->has_difference && !judges_rate(l)) { /* the plan's own, by which it was decided */
      set(j, "estimate", interval(r->judgement->estimate, r->judgement->difference.low, r->judgement->difference.high));
      set(j, "method", json_string(r->judgement->method));
      set(j, "level", number(r->judgement->level));
    }
  }
  publish(l, j);
  l->over_ms = mg_now_ms();
}

void mg_live_stop(mg_live *l) {
  if (l == NULL) return;
  mg_ms now = mg_now_ms(), until = now + LAST_LOOK_MS, since = l->over_ms - WATCHED_MS;
  for (; l->over_ms > 0 && now < until && mg_http_watched(l->http, since, true); now = mg_now_ms()) {
    (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
  mg_http_stop(l->http);
  mg_buf_fini(&l->html);
  free(l);
}
