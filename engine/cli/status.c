/* status.c - `mguard status`: what is on the queue, run by run, and which workers beat. */
#include "cli/cli.h"
#include "cli/console.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORKERS_MAX = 10000, RUNS_MAX = 1000, LOOK_EVERY_MS = 100 };

static const mg_flag flags[] = {MG_CONSOLE_FLAGS,
                                {"run", "RUN", "this run alone", NULL},
                                {"watch", "S", "longest time to wait for the workers' next beats (default 2; 0: do not wait)", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"status",
                                   "[PLAN|CHECKS]",
                                   "Shows what is on a queue, run by run, and the workers that serve it.",
                                   "The queue is that of the plan or checks named, or of --backend and --queue-config. A worker is live when its next beat is\n"
                                   "heard while this command watches; workers that have nothing to do beat every heartbeat_interval.",
                                   flags,
                                   0,
                                   1};

typedef struct heard { /* a worker */
  char name[MG_NAME_MAX + 1];
  mg_beat beat;     /* the last one */
  mg_ms changed_ms; /* when the counter rose last; 0: never while we watched */
} heard;

typedef struct status {
  mg_console console;
  const char *only; /* --run */
  heard *workers;
  size_t worker_count;
  uint64_t unreadable; /* beats */
  char (*runs)[MG_NAME_MAX + 1];
  mg_depth *depths;
  size_t run_count;
  mg_depth whole;
  mg_endings ends;
  mg_ms watched_ms;
} status;

/* ---- gathering ---- */

static heard *worker_of(status *s, const char *name) {
  for (size_t i = 0; i < s->worker_count; i++) {
    if (strcmp(s->workers[i].name, name) == 0) return &s->workers[i];
  }
  if (s->worker_count == WORKERS_MAX) return NULL;
  heard *more = realloc(s->workers, (s->worker_count + 1) * sizeof *more);
  if (more == NULL) return NULL;
  s->workers = more;
  heard *w = &more[s->worker_count++];
  *w = (heard){0};
  (void)snprintf(w->name, sizeof w->name, "%s", name);
  return w;
}

static void hear(status *s, mg_slice framed, bool first_look) {
  mg_beat beat;
  heard *w = NULL;
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

static bool all_live(const status *s) {
  for (size_t i = 0; i < s->worker_count; i++) {
    if (s->workers[i].changed_ms == 0 && !s->workers[i].beat.leaving) return false;
  }
  return s->worker_count > 0;
}

static mg_err watch(status *s, mg_ms for_ms, mg_error *e) {
  mg_console *c = &s->console;
  mg_ms begun = mg_now_ms(), end = begun + for_ms;
  for (bool first = true;; first = false) {
    mg_batch batch = {0};
    mg_err err = mg_console_read_beats(c, &batch, e);
    for (size_t i = 0; err == MG_OK && i < batch.count; i++) hear(s, batch.items[i].body, first);
    mg_batch_clear(&batch);
    mg_ms now = mg_now_ms();
    s->watched_ms = now - begun;
    if (err != MG_OK || now >= end || all_live(s)) return err;
    mg_ms rest = end - now < LOOK_EVERY_MS ? end - now : LOOK_EVERY_MS;
    mg_console_pause(rest);
  }
}

static void add_run(status *s, const char *run) {
  if (run[0] == '\0' || strlen(run) > MG_NAME_MAX || (s->only != NULL && strcmp(run, s->only) != 0) || s->run_count == RUNS_MAX) return;
  for (size_t i = 0; i < s->run_count; i++) {
    if (strcmp(s->runs[i], run) == 0) return;
  }
  (void)snprintf(s->runs[s->run_count++], sizeof s->runs[0], "%s", run);
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

/* Every run that anything tells of: the broker, beats, dead letters. */
static mg_err find_runs(status *s, mg_error *e) {
  mg_console *c = &s->console;
  mg_batch batch = {0};
  mg_err err = MG_OK;
  s->runs = calloc(RUNS_MAX, sizeof *s->runs);
  s->depths = calloc(RUNS_MAX, sizeof *s->depths);
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

static mg_err count(status *s, mg_error *e) {
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

/* ---- telling ---- */

static const char *state_of(const heard *w) {
  if (w->beat.leaving) return "left";
  if (w->changed_ms == 0) return "quiet";
  return w->beat.draining ? "draining" : "live";
}

static const char *run_state(const status *s, const char *run) {
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

static json_t *worker_json(const heard *w, mg_ms now) {
  json_t *tasks = json_array();
  for (size_t i = 0; i < w->beat.task_count; i++) {
    const mg_beat_task *t = &w->beat.tasks[i];
    json_t *o = json_pack("{s:o?, s:o?, s:I, s:b}", "run", mg_json_plain(t->run), "task", mg_json_plain(t->id), "attempt", (json_int_t)t->attempt, "running",
                          t->running);
    if (t->running) (void)json_object_set_new(o, "case", json_integer((json_int_t)t->case_number));
    (void)json_array_append_new(tasks, o);
  }
  json_t *o = json_pack("{s:o?, s:s, s:I, s:I, s:I, s:I, s:I}", "name", mg_json_plain(w->name), "state", state_of(w), "beats", (json_int_t)w->beat.counter,
                        "executors", (json_int_t)w->beat.executors, "executors_up", (json_int_t)w->beat.executors_up, "restarts", (json_int_t)w->beat.restarts,
                        "cases_done", (json_int_t)w->beat.cases_done);
  (void)json_object_set_new(o, "last_beat_seconds", w->changed_ms != 0 ? json_real((double)(now - w->changed_ms) / 1000) : json_null());
  (void)json_object_set_new(o, "tasks", tasks);
  return o;
}

static int tell_json(const status *s) {
  const mg_console *c = &s->console;
  mg_ms now = mg_now_ms();
  json_t *runs = json_array(), *workers = json_array();
  for (size_t i = 0; i < s->run_count; i++) {
    json_t *o = json_pack("{s:o?, s:s}", "run", mg_json_plain(s->runs[i]), "state", run_state(s, s->runs[i]));
    depth_json(o, &s->depths[i]);
    (void)json_array_append_new(runs, o);
  }
  for (size_t i = 0; i < s->worker_count; i++) (void)json_array_append_new(workers, worker_json(&s->workers[i], now));
  json_t *o = json_pack("{s:s, s:o?}", "backend", c->ops->name, "queue", mg_json_plain(mg_options_text(c->queue, "queue_name", "")));
  depth_json(o, &s->whole);
  (void)json_object_set_new(o, "watched_seconds", json_real((double)s->watched_ms / 1000));
  (void)json_object_set_new(o, "unreadable_beats", json_integer((json_int_t)s->unreadable));
  (void)json_object_set_new(o, "runs", runs);
  (void)json_object_set_new(o, "workers", workers);
  return mg_console_print(c, o);
}

static const char *number(char out[32], int64_t n) {
  if (n < 0)
    (void)snprintf(out, 32, "?");
  else
    (void)snprintf(out, 32, "%" PRId64, n);
  return out;
}

static void tell_depth(const mg_depth *d) {
  char a[32], b[32], x[32], y[32], oldest[32] = "-";
  if (d->pending > 0 && d->oldest_ms >= 0) (void)snprintf(oldest, sizeof oldest, "%.1f s", (double)d->oldest_ms / 1000);
  (void)printf("%9s %9s %6s %8s %10s", number(a, d->pending), number(b, d->in_flight), number(x, d->dead), number(y, d->results), oldest);
}

static void tell_worker(const heard *w, mg_ms now) {
  char name[MG_NAME_MAX + 1], beat[48] = "-";
  mg_console_plain(name, w->name, strlen(w->name));
  if (w->changed_ms != 0) (void)snprintf(beat, sizeof beat, "%.1f s ago", (double)(now - w->changed_ms) / 1000);
  (void)printf("%-32s %-9s %10s %7u/%-3u %6zu %11" PRIu64, name, state_of(w), beat, w->beat.executors_up, w->beat.executors, w->beat.task_count,
               w->beat.cases_done);
  for (size_t i = 0; i < w->beat.task_count; i++) {
    const mg_beat_task *t = &w->beat.tasks[i];
    if (!t->running) continue;
    (void)printf("  case %" PRIu64 " of run %s", t->case_number, t->run); /* its letters were checked when it was decoded */
    break;
  }
  (void)printf("\n");
}

static int tell(const status *s) {
  const mg_console *c = &s->console;
  mg_ms now = mg_now_ms();
  size_t quiet = 0;
  (void)printf("%-22s %9s %9s %6s %8s %10s  %s\n", "RUN", "PENDING", "IN FLIGHT", "DEAD", "RESULTS", "OLDEST", "STATE");
  for (size_t i = 0; i < s->run_count; i++) {
    char run[MG_NAME_MAX + 1];
    mg_console_plain(run, s->runs[i], strlen(s->runs[i]));
    (void)printf("%-22s ", run);
    tell_depth(&s->depths[i]);
    (void)printf("  %s\n", run_state(s, s->runs[i]));
  }
  (void)printf("%-22s ", s->only != NULL ? "in all" : "whole queue");
  tell_depth(&s->whole);
  (void)printf("\n\n");
  if (s->worker_count == 0)
    (void)printf("no worker was heard in %.1f s (%s)\n", (double)s->watched_ms / 1000, c->ops->name);
  else
    (void)printf("%-32s %-9s %10s %11s %6s %11s  %s\n", "WORKER", "STATE", "LAST BEAT", "EXECUTORS", "TASKS", "CASES DONE", "AT");
  for (size_t i = 0; i < s->worker_count; i++) {
    tell_worker(&s->workers[i], now);
    quiet += s->workers[i].changed_ms == 0 && !s->workers[i].beat.leaving;
  }
  if (quiet > 0) {
    double every = mg_options_real(c->queue, "heartbeat_interval", mg_options_real(c->queue, "heartbeat_timeout", 30) / 3);
    (void)printf("quiet: beat before, not within the %.1f s watched; --watch %.0f waits for one whole heartbeat_interval\n", (double)s->watched_ms / 1000,
                 every + 1);
  }
  if (s->unreadable > 0) (void)printf("%" PRIu64 " beats could not be read (MGUARD_SIGNING_KEY, or another version of mguard)\n", s->unreadable);
  return 0;
}

static int look(status *s, double watch_s) {
  mg_console *c = &s->console;
  mg_error e;
  mg_err err = watch(s, (mg_ms)(watch_s * 1000), &e);
  if (err == MG_OK) err = mg_console_endings(c, &s->ends, &e);
  if (err == MG_OK) err = find_runs(s, &e);
  if (err == MG_OK) err = count(s, &e);
  if (err != MG_OK) return mg_console_fail(c, &e);
  return c->json ? tell_json(s) : tell(s);
}

int mg_cli_status(int argc, char **argv) {
  mg_args a;
  status s = {0};
  double watch_s;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  if (!mg_args_number(&a, &command, "watch", 0, 3600, 2, &watch_s)) return MG_EXIT_USAGE;
  s.only = mg_args_get(&a, &command, "run");
  code = mg_console_open(&s.console, &command, &a, a.positional_count > 0 ? a.positional[0] : NULL, 0);
  if (code < 0) code = look(&s, watch_s);
  for (size_t i = 0; i < s.worker_count; i++) mg_beat_fini(&s.workers[i].beat);
  free(s.workers);
  free(s.runs);
  free(s.depths);
  mg_endings_fini(&s.ends);
  mg_console_close(&s.console);
  return code;
}
