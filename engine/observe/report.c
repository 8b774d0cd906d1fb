#include "observe/report.h"

#include "base/clock.h"
#include "judge/stats/sampling.h"
#include "observe/json_text.h"
#include "observe/report_measures.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef MG_VERSION
#define MG_VERSION "0.0.0"
#endif

static json_t *text(const char *s) { return mg_json_text(s); }
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }
static json_t *count(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *hex(const uint8_t *bytes, size_t len) {
  char out[65];
  for (size_t i = 0; i < len && i < 32; i++) (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
  return json_string(out);
}

static json_t *outcomes_of(const mg_tally *t, mg_role role) {
  json_t *j = json_object();
  for (int o = 0; o < MG_OUTCOMES; o++) json_object_set_new(j, mg_outcome_name((mg_outcome)o), count(t->outcomes[role][o]));
  return j;
}

static json_t *rate_of(const mg_report *r, mg_role role) {
  const mg_judgement *v = r->judgement;
  if (!isfinite(v->rate[role])) return json_null();
  json_t *j = json_object();
  json_object_set_new(j, "rate", number(v->rate[role]));
  json_object_set_new(j, "low", number(fmax(0, v->rate_interval[role].low)));
  json_object_set_new(j, "high", number(fmin(1, v->rate_interval[role].high)));
  json_object_set_new(j, "method", json_string(mg_rate_name(r->plan->goal.rate_by)));
  return j;
}

static json_t *difference_of(const mg_report *r) {
  const mg_judgement *v = r->judgement;
  if (!v->has_difference) return json_null();
  json_t *j = json_object();
  json_object_set_new(j, "estimate", number(v->estimate));
  json_object_set_new(j, "low", number(v->difference.low));
  json_object_set_new(j, "high", number(v->difference.high));
  json_object_set_new(j, "level", number(v->level));
  json_object_set_new(j, "method", json_string(v->method));
  return j;
}

static json_t *goal_of(const mg_goal *g, bool has_baseline) {
  bool rate = g->kind == MG_ABSOLUTE || !has_baseline;
  json_t *j = json_object();
  json_object_set_new(j, "kind", json_string(mg_goal_name(rate ? MG_ABSOLUTE : g->kind)));
  json_object_set_new(j, "margin", rate ? json_null() : number(g->margin));
  json_object_set_new(j, "min_pass_rate", rate || g->min_pass_rate > 0 ? number(g->min_pass_rate) : json_null());
  json_object_set_new(j, "alpha", number(g->alpha));
  return j;
}

static json_t *clauses_of(const mg_report *r) {
  static const char *const modes[] = {"hard", "absolute", "soft"};
  json_t *list = json_array();
  for (int i = 0; i < r->plan->clause_count; i++) {
    const mg_clause *c = &r->plan->clauses[i];
    const mg_clause_count *n = &r->state->tally->clauses[i];
    json_t *j = json_object();
    json_object_set_new(j, "name", text(c->name));
    json_object_set_new(j, "kind", text(c->kind));
    json_object_set_new(j, "mode", json_string(modes[c->mode]));
    json_object_set_new(j, "both", count(n->both));
    json_object_set_new(j, "baseline_only", count(n->baseline_only));
    json_object_set_new(j, "candidate_only", count(n->candidate_only));
    json_object_set_new(j, "p", number(r->judgement->clause_p[i]));
    json_object_set_new(j, "p_adjusted", number(r->judgement->clause_adjusted[i]));
    json_object_set_new(j, "regressed", json_boolean(r->judgement->regressed[i]));
    json_array_append_new(list, j);
  }
  return list;
}

static void put_quoted(mg_buf *out, const char *word) {
  size_t plain = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+=:@%,-");
  if (word[0] != '\0' && word[0] != '-' && word[plain] == '\0') {
    mg_buf_puts(out, word);
    return;
  }
  mg_buf_puts(out, word[0] == '-' ? "./'" : "'");
  for (const char *c = word; *c != '\0'; c++) {
    if (*c == '\'')
      mg_buf_puts(out, "'\\''");
    else
      mg_buf_put(out, c, 1);
  }
  mg_buf_puts(out, "'");
}

static void put_given(mg_buf *out, const char *flag, const char *value) {
  if (value == NULL) return;
  mg_buf_puts(out, flag);
  put_quoted(out, value);
}

/* A command for the shell. */
static json_t *replay_of(const mg_report *r, uint64_t case_number) {
  mg_buf b = {0};
  mg_buf_puts(&b, "mguard replay ");
  put_quoted(&b, r->path != NULL ? r->path : r->plan->path);
  mg_buf_putf(&b, " --case %" PRIu64, case_number);
  if (r->path == NULL) {
    mg_buf_putf(&b, " --seed %" PRId64, r->plan->seed);
    put_given(&b, " --baseline ", r->plan->baseline_given);
    put_given(&b, " --candidate ", r->plan->candidate_given);
  }
  mg_buf_put(&b, "", 1);
  json_t *j = b.failed ? NULL : text((const char *)b.data);
  mg_buf_fini(&b);
  return j;
}

static json_t *violations_of(const mg_report *r) {
  json_t *list = json_array();
  for (size_t i = 0; i < r->state->violation_count; i++) {
    const mg_stored_violation *v = &r->state->violations[i];
    json_t *j = json_object();
    json_object_set_new(j, "case", count(v->case_number));
    json_object_set_new(j, "role", json_string(mg_role_name(v->role)));
    json_object_set_new(j, "clause", text(r->plan->clauses[v->clause].name));
    json_object_set_new(j, "message", text(v->message));
    json_object_set_new(j, "input", text(v->input));
    json_object_set_new(j, "output", text(v->output));
    json_object_set_new(j, "input2", text(v->input2));
    json_object_set_new(j, "output2", text(v->output2));
    json_object_set_new(j, "shared", json_boolean(v->shared));
    json_object_set_new(j, "reproduced", v->reproduced < 0 ? json_null() : json_boolean(v->reproduced));
    json_object_set_new(j, "replay", replay_of(r, v->case_number));
    json_array_append_new(list, j);
  }
  return list;
}

static json_t *repeats_of(const mg_run_state *s) {
  json_t *j = json_object(), *list = json_array();
  for (size_t i = 0; i < s->different_count; i++) {
    json_t *d = json_object();
    json_object_set_new(d, "case", count(s->different[i].case_number));
    json_object_set_new(d, "role", json_string(mg_role_name(s->different[i].role)));
    json_object_set_new(d, "first", json_string(mg_outcome_name(s->different[i].first)));
    json_object_set_new(d, "again", json_string(mg_outcome_name(s->different[i].again)));
    json_array_append_new(list, d);
  }
  json_object_set_new(j, "cases", count(s->repeated_cases));
  json_object_set_new(j, "different", list);
  return j;
}

static json_t *flaky_of(const mg_report *r) {
  const mg_reruns *f = &r->state->flaky;
  if (f->reruns == 0) return json_null();
  json_t *j = json_object();
  json_object_set_new(j, "reruns", json_integer(f->reruns));
  json_object_set_new(j, "cases", count(f->cases));
  json_object_set_new(j, "different", count(f->different));
  json_object_set_new(j, "bound", number(mg_flaky_bound_seen(f->different, f->cases, 0.95)));
  json_object_set_new(j, "limit", number(r->plan->flaky_limit));
  return j;
}

static json_t *labels_of(const mg_run_state *s) {
  json_t *j = json_object();
  for (int i = 0; i < s->label_count; i++) {
    json_t *name = text(s->labels[i].name);
    if (name != NULL) json_object_set_new(j, json_string_value(name), count(s->labels[i].count));
    json_decref(name);
  }
  return j;
}

/* Those that had a part in the run: beats of others reach a shared queue too. */
static uint64_t workers_at_work(const mg_run_state *s) {
  uint64_t n = 0;
  for (size_t i = 0; i < s->worker_count; i++) n += s->workers[i].tasks_done > 0;
  return n;
}

static json_t *delivery_of(const mg_report *r) {
  const mg_run_state *s = r->state;
  json_t *j = json_object();
  json_object_set_new(j, "backend", text(r->backend));
  json_object_set_new(j, "workers", count(workers_at_work(s)));
  json_object_set_new(j, "tasks", count(s->tasks_done));
  json_object_set_new(j, "requeued", count(s->requeued_tasks));
  json_object_set_new(j, "repeats_dropped", count(s->repeats_dropped));
  json_object_set_new(j, "dead_lettered", count(s->dead_lettered));
  json_object_set_new(j, "reconnects", count(s->reconnects));
  return j;
}

static json_t *texts(const char *const *items, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, text(items[i]));
  return list;
}

static json_t *reasons_of(const mg_judgement *v) {
  json_t *list = json_array();
  for (int i = 0; i < v->reason_count; i++) json_array_append_new(list, text(v->reasons[i]));
  return list;
}

static json_t *pairs_of(const mg_pairs *p) {
  json_t *j = json_object();
  json_object_set_new(j, "n", count(mg_pairs_total(p)));
  json_object_set_new(j, "both", count(p->both));
  json_object_set_new(j, "baseline_only", count(p->base_only));
  json_object_set_new(j, "candidate_only", count(p->cand_only));
  json_object_set_new(j, "neither", count(p->neither));
  return j;
}

/* A pair of values by role, the baseline's null where there is none. */
static json_t *by_role(json_t *baseline, json_t *candidate) {
  json_t *j = json_object();
  json_object_set_new(j, "baseline", baseline);
  json_object_set_new(j, "candidate", candidate);
  return j;
}

static json_t *report_of(const mg_report *r) {
  const mg_plan *p = r->plan;
  const mg_run_state *s = r->state;
  bool baseline = p->baseline != NULL;
  char digest[33], started[32];
  json_t *j = json_object(), *limits = json_object();
  mg_digest_hex(&s->digest, digest);
  mg_wall_text(r->started_wall_ms, started, sizeof started);
  json_object_set_new(j, "mguard", json_string(MG_VERSION));
  json_object_set_new(j, "schema", json_integer(1));
  json_object_set_new(j, "run", text(s->run));
  json_object_set_new(j, "verdict", json_string(mg_verdict_name(r->judgement->verdict)));
  json_object_set_new(j, "exit_code", json_integer(r->exit_code));
  json_object_set_new(j, "reasons", reasons_of(r->judgement));
  json_object_set_new(j, "name", text(p->name == NULL ? "" : p->name));
  json_object_set_new(j, "script", text(p->path));
  json_object_set_new(j, "started", json_string(started));
  json_object_set_new(j, "seconds", json_real((double)(s->now_ms - s->started_ms) / 1000));
  json_object_set_new(j, "baseline", text(p->baseline));
  json_object_set_new(j, "candidate", text(p->candidate));
  if (p->baseline_given != NULL || p->candidate_given != NULL) { /* what replays the run */
    json_t *given = json_object();
    if (p->baseline_given != NULL) json_object_set_new(given, "baseline", text(p->baseline_given));
    if (p->candidate_given != NULL) json_object_set_new(given, "candidate", text(p->candidate_given));
    json_object_set_new(j, "given", given);
  }
  json_object_set_new(j, "cases", count(s->planned));
  json_object_set_new(j, "seed", json_integer(p->seed));
  json_object_set_new(j, "fingerprint", hex(p->fingerprint, sizeof p->fingerprint));
  json_object_set_new(j, "outcome_digest", json_string(digest));
  json_object_set_new(j, "outcomes", by_role(baseline ? outcomes_of(s->tally, MG_BASELINE) : json_null(), outcomes_of(s->tally, MG_CANDIDATE)));
  json_object_set_new(j, "pairs", pairs_of(&s->tally->pairs));
  json_object_set_new(j, "rates", by_role(rate_of(r, MG_BASELINE), rate_of(r, MG_CANDIDATE)));
  json_object_set_new(j, "difference", difference_of(r));
  json_object_set_new(j, "goal", goal_of(&p->goal, baseline));
  json_object_set_new(j, "clauses", clauses_of(r));
  json_object_set_new(j, "violations", violations_of(r));
  json_object_set_new(j, "repeat_check", repeats_of(s));
  json_object_set_new(j, "flaky", flaky_of(r));
  json_object_set_new(j, "labels", labels_of(s));
  mg_report_measures(j, r);
  json_object_set_new(j, "notes", texts(s->notes, s->note_count));
  json_object_set_new(limits, "case_timeout_ms", json_integer(p->case_timeout_ms));
  json_object_set_new(limits, "memory_mb", json_integer(p->memory_mb));
  json_object_set_new(j, "limits", limits);
  json_object_set_new(j, "delivery", delivery_of(r));
  return j;
}

static int append(const char *bytes, size_t len, void *data) {
  mg_buf_put(data, bytes, len);
  return 0;
}

mg_err mg_report_render(mg_buf *out, const mg_report *r, mg_error *e) {
  json_t *j = report_of(r);
  int err = j == NULL ? -1 : json_dump_callback(j, append, out, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
  json_decref(j);
  mg_buf_puts(out, "\n");
  return err != 0 || out->failed ? mg_fail(e, MG_NOMEM, "no memory for the report") : MG_OK;
}

static mg_err write_all(int fd, mg_slice text_, const char *path, mg_error *e) {
  for (size_t done = 0; done < text_.len;) {
    ssize_t n = write(fd, text_.data + done, text_.len - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mg_fail_errno(e, MG_ARG, errno, "the report cannot be written to %s", path);
    done += (size_t)n;
  }
  return MG_OK;
}

mg_err mg_report_write(const char *path, mg_slice report, mg_error *e) {
  size_t n = strlen(path) + sizeof ".part-4294967295";
  char *partial = malloc(n);
  if (partial == NULL) return mg_fail(e, MG_NOMEM, "no memory for the report's name");
  (void)snprintf(partial, n, "%s.part-%u", path, (unsigned)getpid());
  int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  mg_err err = fd < 0 ? mg_fail_errno(e, MG_ARG, errno, "the report cannot be written to %s", path) : write_all(fd, report, path, e);
  if (fd >= 0 && close(fd) != 0 && err == MG_OK) err = mg_fail_errno(e, MG_ARG, errno, "the report cannot be written to %s", path);
  if (err == MG_OK && rename(partial, path) != 0) err = mg_fail_errno(e, MG_ARG, errno, "the report cannot be written to %s", path);
  if (err != MG_OK && fd >= 0) (void)unlink(partial);
  free(partial);
  return err;
}
