/* Tasks on their way through a worker, and how many of them it wants. */
#include "execute/worker_internal.h"

#include "base/hash.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define AHEAD_NS 40e6 /* work that is kept ready for each executor where tasks are small */
#define AHEAD_MOST 256
#define LONG_TASK_NS 1e9 /* nothing is kept ready behind tasks that take as long */
#define BACKLOG_FACTOR 4 /* of unsettled tasks to wanted ones: beyond it the broker is too slow for more */
#define BACKLOG_LEAST 64
#define FAILING_GIVE_BACK_MS 1000

void mg_worker_want(mg_worker *w) {
  if (w->state == MG_WORKER_LEAVING) return;
  size_t executors = (size_t)w->config.executors, each = 2;
  if (w->task_ns >= LONG_TASK_NS) {
    each = 1;
  } else if (w->task_ns > 0 && w->task_ns < AHEAD_NS) {
    each = 1 + (size_t)(AHEAD_NS / w->task_ns);
    if (each > AHEAD_MOST) each = AHEAD_MOST;
  }
  size_t target = executors * each;
  bool able = w->ready && !w->cannot_serve && !w->quarantined && mg_now_ms() >= w->pause_until;
  bool fetching = w->state == MG_WORKER_SERVING && able;
  if (w->failing_ms > 0) {
    target = mg_pool_executors_up(w->pool) > 0 ? 1 : 0; /* one to see whether they work again */
  }
  if (w->kept.count > BACKLOG_FACTOR * target + BACKLOG_LEAST) fetching = false;
  mg_link_step_back(w->link, w->state == MG_WORKER_SERVING && (!able || target == 0));
  mg_link_want(w->link, fetching && target > w->kept.in_pool ? target - w->kept.in_pool : 0);
}

static void leave_pool(mg_worker *w, mg_kept *k) {
  if (k->in_pool) w->kept.in_pool--;
  k->in_pool = false;
}

/* --- what goes back -------------------------------------------------------------------------------------------------------- */

/* A link that has no memory for the job forgets it; the lease ends, and the task runs elsewhere. */
static void give_back(mg_worker *w, mg_kept *k, mg_ms delay_ms) {
  leave_pool(w, k);
  (void)mg_link_give_back(w->link, k->token, delay_ms, (mg_slice){0}, k->run);
}

static void acknowledge(mg_worker *w, mg_kept *k) {
  leave_pool(w, k);
  (void)mg_link_finish(w->link, k->token, k->run, (mg_slice){0});
}

static void on_withdrawn(void *owner, void *task_owner) { give_back(owner, task_owner, 0); }
static void on_withdrawn_late(void *owner, void *task_owner) { give_back(owner, task_owner, FAILING_GIVE_BACK_MS); }
static void on_unwanted(void *owner, void *task_owner) { acknowledge(owner, task_owner); }

void mg_worker_return_waiting(mg_worker *w, mg_ms delay_ms) { mg_pool_withdraw(w->pool, delay_ms > 0 ? on_withdrawn_late : on_withdrawn); }

static bool all_of_them(void *owner, void *task_owner, bool begun) {
  (void)owner;
  (void)task_owner;
  (void)begun;
  return true;
}

void mg_worker_return_all(mg_worker *w, mg_ms delay_ms) { mg_pool_cancel(w->pool, all_of_them, delay_ms > 0 ? on_withdrawn_late : on_withdrawn); }

static bool is_unwanted(void *owner, void *task_owner, bool begun) {
  (void)owner;
  (void)begun;
  return ((const mg_kept *)task_owner)->unwanted;
}

static bool is_unwanted_and_fresh(void *owner, void *task_owner, bool begun) { return !begun && is_unwanted(owner, task_owner, begun); }

void mg_worker_run_is_over(mg_worker *w, const char *run, uint32_t epoch) {
  mg_run_memory *m = mg_run_remember(&w->runs, run);
  if (!mg_run_end(m, epoch)) return;
  for (mg_kept *k = w->kept.first; k != NULL; k = k->next) {
    if (strcmp(k->run, run) == 0 && k->epoch <= m->over_until) k->unwanted = true;
  }
  mg_pool_cancel(w->pool, is_unwanted, on_unwanted);
  if (strcmp(w->paused_for, run) == 0) w->pause_until = 0; /* what it left is there to be dropped */
  w->beat_changed = true;
}

static bool is_dropped_and_fresh(void *owner, void *task_owner, bool begun) {
  const mg_kept *k = task_owner;
  return !begun && mg_task_is_dropped(&((const mg_worker *)owner)->runs, k->run, k->id);
}

/* What has begun goes on: it is nearly over more often than not, and its result tells whether outcomes are stable. */
void mg_worker_tasks_dropped(mg_worker *w, const mg_control *c) {
  for (uint32_t i = 0; i < c->task_count; i++) mg_task_drop(&w->runs, c->subject, c->tasks[i]);
  mg_pool_cancel(w->pool, is_dropped_and_fresh, on_unwanted);
}

void mg_worker_lease_lost(mg_worker *w, const mg_link_event *ev) {
  mg_kept *k = mg_kept_find(&w->kept, ev->token);
  if (k == NULL || !k->in_pool || k->unwanted) return;
  /* What has not begun will run elsewhere; what has may still be the first to bring its cases. */
  k->unwanted = true;
  mg_pool_cancel(w->pool, is_unwanted_and_fresh, on_withdrawn);
  k->unwanted = false;
}

/* --- what comes ------------------------------------------------------------------------------------------------------------ */

static void send_result(mg_worker *w, mg_kept *k, const mg_result *r, bool ack, mg_ms delay_ms) {
  mg_buf_clear(&w->encoded);
  mg_result_encode(&w->encoded, r);
  leave_pool(w, k);
  if (w->encoded.failed) {
    give_back(w, k, FAILING_GIVE_BACK_MS);
  } else if (ack) {
    (void)mg_link_finish(w->link, k->token, k->run, mg_buf_slice(&w->encoded));
  } else {
    (void)mg_link_give_back(w->link, k->token, delay_ms, mg_buf_slice(&w->encoded), k->run);
  }
}

/* r says why. The run is left alone for a while, which grows while it stays unable. */
static void refuse(mg_worker *w, mg_kept *k, mg_result *r) {
  char trace[MG_TRACE_TEXT_BYTES];
  w->stats.refused++;
  mg_ms delay = mg_run_refuse(mg_run_remember(&w->runs, k->run), mg_now_ms());
  memcpy(r->worker, w->name, sizeof r->worker);
  memcpy(r->worker_fingerprint, w->fingerprint, sizeof r->worker_fingerprint);
  mg_log(MG_LOG_WARN, "task_refused",
         MG_FIELDS(MG_LT("worker_id", w->name), MG_LT("run_id", k->run), MG_LT("trace_id", mg_worker_trace_id(k, trace)), MG_LT("task_id", k->id),
                   MG_LI("retry_ms", delay)),
         "task %s of run %s: %.*s", k->id, k->run, (int)r->refused.len, (const char *)r->refused.data);
  bool skips = (w->config.backend->capabilities & MG_CAP_SKIP_RUNS) != 0;
  mg_link_skip_run(w->link, k->run, delay);
  /* A worker that can run it need not wait. Where this one cannot leave the run alone by itself it stops fetching: it would take the next task of the
   * run, and so keep all of them from those who can. */
  send_result(w, k, r, false, skips ? 0 : delay < FAILING_GIVE_BACK_MS ? delay : FAILING_GIVE_BACK_MS);
  if (skips) return;
  w->pause_until = mg_now_ms() + delay;
  memcpy(w->paused_for, k->run, sizeof k->run);
}

static void refuse_files(mg_worker *w, mg_kept *k, const mg_task *t) {
  char theirs[65], ours[65], text[320];
  mg_hex(t->fingerprint, sizeof t->fingerprint, theirs);
  mg_hex(w->fingerprint, sizeof w->fingerprint, ours);
  int n = snprintf(text, sizeof text, "files differ: the run's fingerprint is %s, worker %s has %s", theirs, w->name, ours);
  mg_result r = {.epoch = t->epoch, .attempt = t->attempt, .refused = {(const uint8_t *)text, n < (int)sizeof text ? (size_t)n : sizeof text - 1}};
  memcpy(r.run, t->run, sizeof r.run);
  memcpy(r.id, t->id, sizeof r.id);
  refuse(w, k, &r);
}

/* The task with this worker's limits where its plan set none. */
static mg_slice with_limits(mg_worker *w, mg_task *t, mg_slice bytes) {
  if (t->case_timeout_ms != 0 && t->memory_mb != 0) return bytes;
  if (t->case_timeout_ms == 0) t->case_timeout_ms = w->config.default_timeout_ms;
  if (t->memory_mb == 0) t->memory_mb = w->config.default_memory_mb;
  mg_buf_clear(&w->task_bytes);
  mg_task_encode(&w->task_bytes, t);
  return w->task_bytes.failed ? bytes : mg_buf_slice(&w->task_bytes);
}

void mg_worker_take(mg_worker *w, const mg_link_event *ev) {
  mg_task t;
  mg_error e;
  mg_kept *k = mg_kept_add(&w->kept, ev->token);
  if (k == NULL) {
    (void)mg_link_give_back(w->link, ev->token, FAILING_GIVE_BACK_MS, (mg_slice){0}, "");
    return;
  }
  w->beat_changed = true;
  if (mg_task_decode(&t, ev->body, &e) != MG_OK) {
    w->stats.dead_lettered++;
    w->stats.bad_messages++;
    mg_log(MG_LOG_WARN, "task_dead_lettered", MG_FIELDS(MG_LT("worker_id", w->name), MG_LT("reason", e.text)), "a task cannot be read: %s", e.text);
    (void)mg_link_dead_letter(w->link, k->token, e.text);
    return;
  }
  k->attempt = t.attempt;
  k->epoch = t.epoch;
  k->last_case = t.first;
  memcpy(k->run, t.run, sizeof k->run);
  memcpy(k->id, t.id, sizeof k->id);
  mg_worker_trace_taken(k, &t);
  if (ev->again) {
    k->again_ms = mg_now_ms();
    if (t.care == MG_CARE_NONE) t.care = MG_CARE_TELL;
  }
  mg_run_memory *m = mg_run_remember(&w->runs, t.run);
  if (mg_run_is_over(m, t.epoch) || mg_task_is_dropped(&w->runs, t.run, t.id)) {
    acknowledge(w, k);
  } else if (w->state != MG_WORKER_SERVING || w->quarantined || w->cannot_serve) {
    give_back(w, k, 0);
  } else if (memcmp(t.fingerprint, w->fingerprint, sizeof t.fingerprint) != 0) {
    refuse_files(w, k, &t);
  } else if (mg_pool_submit(w->pool, &t, with_limits(w, &t, ev->body), k, &e) != MG_OK) {
    char trace[MG_TRACE_TEXT_BYTES];
    mg_log(MG_LOG_WARN, "task_refused",
           MG_FIELDS(MG_LT("worker_id", w->name), MG_LT("run_id", k->run), MG_LT("trace_id", mg_worker_trace_id(k, trace)), MG_LT("task_id", k->id)), "%s", e.text);
    if (e.code == MG_ARG) {
      w->stats.dead_lettered++;
      (void)mg_link_dead_letter(w->link, k->token, e.text);
    } else {
      give_back(w, k, FAILING_GIVE_BACK_MS);
    }
  } else {
    k->in_pool = true;
    w->kept.in_pool++;
  }
}

void mg_worker_finished(void *owner, void *task_owner, const mg_result *r) {
  mg_worker *w = owner;
  mg_kept *k = task_owner;
  mg_result named = *r; /* borrows its arrays */
  w->failing_ms = 0;
  if (r->refused.len > 0) {
    refuse(w, k, &named);
  } else if (k->unwanted) {
    acknowledge(w, k);
  } else {
    mg_run_remember(&w->runs, k->run)->refuse_ms = 0;
    memcpy(named.worker, w->name, sizeof named.worker);
    k->begun = true;
    if (r->count > 0) k->last_case += r->count - 1;
    if (r->busy_ns > 0) w->task_ns = w->task_ns <= 0 ? (double)r->busy_ns : w->task_ns * 0.8 + (double)r->busy_ns * 0.2;
    mg_timing_add(&w->stats.task_seconds, (double)r->busy_ns / 1e9, 1);
    if (r->count > 0) mg_timing_add(&w->stats.case_seconds, (double)r->busy_ns / 1e9 / r->count, r->count);
    w->stats.cases_done += r->count;
    w->stats.tasks_done++;
    mg_worker_trace_finished(w, k, r);
    send_result(w, k, &named, true, 0);
  }
  mg_worker_want(w);
  mg_worker_look(w);
}

void mg_worker_settled(mg_worker *w, const mg_link_event *ev) {
  mg_kept *k = mg_kept_find(&w->kept, ev->token);
  if (k == NULL) return;
  leave_pool(w, k);
  mg_worker_trace_settled(w, k, ev->err);
  mg_kept_remove(&w->kept, k);
  w->beat_changed = true;
}
