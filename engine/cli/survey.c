#include "cli/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORKERS_MAX = 10000, RUNS_MAX = 1000, LOOK_EVERY_MS = 100 };

/* ---- gathering ---- */

static mg_heard *worker_of(mg_survey *s, const char *name) {
  for (size_t i = 0; i < s->worker_count; i++) {
    if (strcmp(s->workers[i].name, name) == 0) return &s->workers[i];
  }
  if (s->worker_count == WORKERS_MAX) return NULL;
  mg_heard *more = realloc(s->workers, (s->worker_count + 1) * sizeof *more);
  if (more == NULL) return NULL;
  s->workers = more;
  mg_heard *w = &more[s->worker_count++];
  *w = (mg_heard){0};
  (void)snprintf(w->name, sizeof w->name, "%s", name);
  return w;
}

static void hear(mg_survey *s, mg_slice framed, bool first_look) {
  mg_beat beat;
  mg_heard *w = NULL;
  if (mg_console_beat(&s->console, framed, &beat))
    w = worker_of(s, beat.worker);
  else
    s->unreadable += first_look;
  if (w == NULL) {
    mg_beat_fini(&beat);
    return;
  }
  bool rose = w->beat.counter != 0 && beat.counter != w->beat.counter; /* a worker started again under its old name counts anew */
  if (rose || (w->beat.counter == 0 && !first_look)) w->changed_ms = mg_now_ms();
  mg_beat_fini(&w->beat);
  w->beat = beat;
}

static bool all_live(const mg_survey *s) {
  for (size_t i = 0; i < s->worker_count; i++) {
    if (s->workers[i].changed_ms == 0 && !s->workers[i].beat.leaving) return false;
  }
  return s->worker_count > 0;
}

static mg_err watch(mg_survey *s, mg_ms for_ms, mg_error *e) {
  mg_console *c = &s->console;
  mg_ms begun = mg_now_ms(), end = begun + for_ms;
  for (;; s->looked = true) {
    mg_batch batch = {0};
    mg_err err = mg_console_read_beats(c, &batch, e);
    for (size_t i = 0; err == MG_OK && i < batch.count; i++) hear(s, batch.items[i].body, !s->looked);
    mg_batch_clear(&batch);
    mg_ms now = mg_now_ms();
    s->watched_ms = now - begun;
    if (err != MG_OK || now >= end || all_live(s)) {
      s->looked = s->looked || err == MG_OK;
      return err;
    }
    mg_ms rest = end - now < LOOK_EVERY_MS ? end - now : LOOK_EVERY_MS;
    mg_console_pause(rest);
  }
}

static void add_run(mg_survey *s, const char *run) {
  if (run[0] == '\0' || strlen(run) > MG_NAME_MAX || (s->only != NULL && strcmp(run, s->only) != 0) || s->run_count == RUNS_MAX) return;
  for (size_t i = 0; i < s->run_count; i++) {
    if (strcmp(s->runs[i], run) == 0) return;
  }
  (void)snprintf(s->runs[s->run_count++], sizeof s->runs[0], "%s", run);
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

/* Every run that anything tells of: the broker, beats, dead letters. */
static mg_err find_runs(mg_survey *s, mg_error *e) {
  mg_console *c = &s->console;
  mg_batch batch = {0};
  mg_err err = MG_OK;
  if (s->runs == NULL) s->runs = calloc(RUNS_MAX, sizeof *s->runs);
  if (s->depths == NULL) s->depths = calloc(RUNS_MAX, sizeof *s->depths);
  s->run_count = 0;
  if (s->runs == NULL || s->depths == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  if (s->only != NULL) add_run(s, s->only);
  if (c->ops->list_runs != NULL)
    err = c->ops->list_runs(c->backend, mg_console_until(c), &batch, e);
  else if ((c->ops->capabilities & MG_CAP_LIST_DEAD) != 0)
    err = c->ops->list_dead(c->backend, s->only, RUNS_MAX, mg_console_until(c), &batch, e);
  for (size_t i = 0; err == MG_OK && i < batch.count; i++) add_run(s, batch.items[i].run);
  for (size_t i = 0; i < s->worker_count; i++) {
    for (size_t k = 0; k < s->workers[i].beat.task_count; k++) add_run(s, s->workers[i].beat.tasks[k].run);
  }
  mg_batch_clear(&batch);
  qsort(s->runs, s->run_count, sizeof *s->runs, by_name);
  return err;
}

/* Where the broker does not tell what is in flight, a run that beats or dead letters name is shown. */
static bool is_empty(const mg_depth *d) { return d->pending <= 0 && d->in_flight == 0 && d->dead <= 0 && d->results <= 0; }

static mg_err count(mg_survey *s, mg_error *e) {
  mg_console *c = &s->console;
  mg_err err = c->ops->depth(c->backend, s->only, mg_console_until(c), &s->whole, e);
  size_t kept = 0;
  for (size_t i = 0; i < s->run_count && err == MG_OK; i++) {
    mg_depth d;
    err = c->ops->depth(c->backend, s->runs[i], mg_console_until(c), &d, e);
    if (err != MG_OK || (is_empty(&d) && s->only == NULL)) continue; /* known, but nothing of it is left */
    if (kept != i) memcpy(s->runs[kept], s->runs[i], sizeof s->runs[0]);
    s->depths[kept++] = d;
  }
  s->run_count = kept;
  return err;
}

/* What was told once stays so: not every broker tells it again. */
static mg_err hear_endings(mg_survey *s, mg_error *e) {
  mg_endings fresh;
  mg_err err = mg_console_endings(&s->console, &fresh, e);
  for (size_t i = 0; err == MG_OK && i < s->ends.count; i++) {
    if (mg_endings_of(&fresh, s->ends.items[i].run) != 0) continue;
    void *more = realloc(fresh.items, (fresh.count + 1) * sizeof *fresh.items);
    if (more == NULL) continue;
    fresh.items = more;
    fresh.items[fresh.count++] = s->ends.items[i];
  }
  if (err == MG_OK) {
    mg_endings_fini(&s->ends);
    s->ends = fresh;
  } else {
    mg_endings_fini(&fresh);
  }
  return err;
}

mg_err mg_survey_look(mg_survey *s, mg_ms watch_ms, mg_error *e) {
  mg_err err = watch(s, watch_ms, e);
  if (err == MG_OK) err = hear_endings(s, e);
  if (err == MG_OK) err = find_runs(s, e);
  if (err == MG_OK) err = count(s, e);
  return err;
}

void mg_survey_fini(mg_survey *s) {
  for (size_t i = 0; i < s->worker_count; i++) mg_beat_fini(&s->workers[i].beat);
  free(s->workers);
  free(s->runs);
  free(s->depths);
  mg_endings_fini(&s->ends);
  mg_console_close(&s->console);
}

/* ---- telling ---- */

const char *mg_survey_worker_state(const mg_survey *s, const mg_heard *w) {
  mg_ms silence_ms = (mg_ms)(1000 * mg_options_real(s->console.queue, "heartbeat_timeout", 30));
  if (w->beat.leaving) return "left";
  if (w->changed_ms == 0 || mg_now_ms() - w->changed_ms > silence_ms) return "quiet";
  return w->beat.draining ? "draining" : "live";
}

const char *mg_survey_run_state(const mg_survey *s, const char *run) {
  mg_control_kind k = mg_endings_of(&s->ends, run);
  return k == MG_RUN_CLOSED ? "ended" : k == MG_RUN_CANCELLED ? "interrupted" : "open";
}

static json_t *count_json(int64_t n) { return n < 0 ? json_null() : json_integer((json_int_t)n); }

static void depth_json(json_t *o, const mg_depth *d) {
  (void)json_object_set_new(o, "pending", count_json(d->pending));
  (void)json_object_set_new(o, "in_flight", count_json(d->in_flight));
  (void)json_object_set_new(o, "dead", count_json(d->dead));
  (void)json_object_set_new(o, "results", count_json(d->results));
  (void)json_object_set_new(o, "oldest_seconds", d->pending > 0 && d->oldest_ms >= 0 ? json_real((double)d->oldest_ms / 1000) : json_null());
}

static json_t *worker_json(const mg_survey *s, const mg_heard *w, mg_ms now) {
  json_t *tasks = json_array();
  for (size_t i = 0; i < w->beat.task_count; i++) {
    const mg_beat_task *t = &w->beat.tasks[i];
    json_t *o = json_pack("{s:o?, s:o?, s:I, s:b}", "run", mg_json_plain(t->run), "task", mg_json_plain(t->id), "attempt", (json_int_t)t->attempt, "running",
                          t->running);
    if (t->running) (void)json_object_set_new(o, "case", json_integer((json_int_t)t->case_number));
    (void)json_array_append_new(tasks, o);
  }
  json_t *o = json_pack("{s:o?, s:s, s:I, s:I, s:I, s:I, s:I}", "name", mg_json_plain(w->name), "state", mg_survey_worker_state(s, w), "beats",
                        (json_int_t)w->beat.counter, "executors", (json_int_t)w->beat.executors, "executors_up", (json_int_t)w->beat.executors_up, "restarts",
                        (json_int_t)w->beat.restarts, "cases_done", (json_int_t)w->beat.cases_done);
  (void)json_object_set_new(o, "last_beat_seconds", w->changed_ms != 0 ? json_real((double)(now - w->changed_ms) / 1000) : json_null());
  (void)json_object_set_new(o, "tasks", tasks);
  return o;
}

json_t *mg_survey_json(const mg_survey *s) {
  const mg_console *c = &s->console;
  mg_ms now = mg_now_ms();
  json_t *runs = json_array(), *workers = json_array();
  for (size_t i = 0; i < s->run_count; i++) {
    json_t *o = json_pack("{s:o?, s:s}", "run", mg_json_plain(s->runs[i]), "state", mg_survey_run_state(s, s->runs[i]));
    depth_json(o, &s->depths[i]);
    (void)json_array_append_new(runs, o);
  }
  for (size_t i = 0; i < s->worker_count; i++) (void)json_array_append_new(workers, worker_json(s, &s->workers[i], now));
  json_t *o = json_pack("{s:s, s:o?}", "backend", c->ops->name, "queue", mg_json_plain(mg_options_text(c->queue, "queue_name", "")));
  depth_json(o, &s->whole);
  (void)json_object_set_new(o, "watched_seconds", json_real((double)s->watched_ms / 1000));
  (void)json_object_set_new(o, "unreadable_beats", json_integer((json_int_t)s->unreadable));
  (void)json_object_set_new(o, "runs", runs);
  (void)json_object_set_new(o, "workers", workers);
  return o;
}
