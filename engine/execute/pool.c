#include "execute/pool_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILING_DEATHS 5
#define RESTART_FIRST_MS 50
#define RESTART_MOST_MS 30000
#define CLOSE_MS 1000 /* for teardown */
#define START_WATCH_MS 50

/* --- jobs in and out ----------------------------------------------------------------------------------------------------- */

/* Takes the bundle apart: what is not over waits at the front again, in its old order; the list of what is over is returned. */
static mg_job *take_apart(mg_seat *s) {
  mg_bundle *b = s->bundle;
  mg_job *over = NULL;
  s->bundle = NULL;
  for (int i = b->count - 1; i >= 0; i--) {
    if (b->jobs[i]->dropped) {
      mg_job_free(b->jobs[i]);
    } else if (mg_job_is_over(b->jobs[i])) {
      b->jobs[i]->next = over;
      over = b->jobs[i];
    } else {
      mg_pool_put_first(s->pool, b->jobs[i]);
    }
  }
  mg_bundle_free(b);
  return over;
}

static void tell_finished(mg_pool *p, mg_job *over) {
  while (over != NULL) {
    mg_job *next = over->next;
    mg_result r;
    mg_job_result(over, &r);
    if (!p->closing) p->config.events.finished(p->config.owner, over->owner, &r);
    mg_job_free(over);
    over = next;
  }
}

/* --- executors ----------------------------------------------------------------------------------------------------------- */

static void count_death(mg_pool *p, bool in_run) {
  p->deaths_in_row++;
  if (in_run) p->runs_in_row++;
}

static void count_progress(mg_pool *p) {
  p->deaths_in_row = p->runs_in_row = 0;
  p->failing = false;
}

static void tell_failing(mg_pool *p, const char *how) {
  bool failing = p->told_ready && ((p->deaths_in_row >= FAILING_DEATHS && mg_pool_executors_up(p) == 0) || p->runs_in_row >= FAILING_DEATHS);
  if (!failing || p->closing) return;
  p->failing = true;
  if (p->config.events.failing == NULL) return;
  char cause[640];
  (void)snprintf(cause, sizeof cause, "%d executors in a row ended before they had done anything: %s", p->deaths_in_row, how);
  p->config.events.failing(p->config.owner, cause);
}

static void tell_fault(mg_pool *p, const char *fault) {
  p->told_ready = true;
  for (int i = 0; i < p->config.executors; i++) {
    if (p->seats[i].proc != NULL) mg_proc_kill(p->seats[i].proc);
  }
  p->config.events.ready(p->config.owner, fault, NULL);
}

static void plan_restart(mg_seat *s) {
  mg_pool *p = s->pool;
  mg_ms delay = 0;
  if (p->deaths_in_row > 1) {
    int doublings = p->deaths_in_row - 2 < 10 ? p->deaths_in_row - 2 : 10;
    delay = (mg_ms)RESTART_FIRST_MS << doublings;
    if (delay > RESTART_MOST_MS) delay = RESTART_MOST_MS;
  }
  s->restart_at = mg_now_ms() + delay;
  if (delay == 0) mg_pool_start_seat(s);
  mg_pool_watch(p, START_WATCH_MS);
}

static void on_ready(mg_seat *s, mg_slice body) {
  mg_pool *p = s->pool;
  if (body.len < sizeof p->fingerprint) {
    (void)snprintf(s->said, sizeof s->said, "an executor of %s speaks another protocol: is it of another version?", p->config.script);
    mg_proc_kill(s->proc);
    return;
  }
  if (p->up_once && memcmp(p->fingerprint, body.data, sizeof p->fingerprint) != 0) {
    (void)snprintf(s->said, sizeof s->said, "files of %s have changed since this worker started: restart it", p->config.script);
    mg_proc_kill(s->proc);
    return;
  }
  memcpy(p->fingerprint, body.data, sizeof p->fingerprint);
  p->up_once = true;
  s->state = MG_SEAT_IDLE;
  mg_pool_dispatch(p);
  if (p->told_ready) return;
  p->told_ready = true;
  p->config.events.ready(p->config.owner, NULL, p->fingerprint);
}

static void on_done(mg_seat *s) {
  mg_pool *p = s->pool;
  mg_bundle *b = s->bundle;
  mg_error e = {0};
  uint32_t before = b->collected;
  mg_err rc = mg_bundle_collect(b, mg_proc_slot(s->proc), &e);
  int64_t now_ns = mg_now_ns();
  mg_bundle_account(b, now_ns);
  uint32_t ran = b->collected - before;
  const mg_job *stopped_at = mg_bundle_job_at(b, b->collected, NULL);
  bool progress = ran > 0 || (stopped_at != NULL && stopped_at->fault.len > 0);
  if (ran > 0) {
    double ns = (double)(now_ns - b->started_ns) / ran;
    p->case_ns = p->case_ns <= 0 ? ns : p->case_ns * 0.7 + ns * 0.3;
  }
  if (progress && rc == MG_OK) count_progress(p);
  if (!progress || rc != MG_OK) {
    /* The bundle stays until its executor is gone, which counts the death. */
    (void)snprintf(s->said, sizeof s->said, "%s", rc != MG_OK ? e.text : "an executor gave its task back as it was");
    s->killed = true;
    s->kill_kind = MG_DEATH_INNOCENT;
    mg_proc_kill(s->proc);
    return;
  }
  mg_job *over = take_apart(s);
  s->state = MG_SEAT_IDLE;
  mg_pool_dispatch(p); /* before the owner looks at the results: the executor need not wait for that */
  tell_finished(p, over);
}

static void on_refused(mg_seat *s, mg_slice text) {
  mg_bundle *b = s->bundle;
  for (int i = 0; i < b->count; i++) {
    mg_job *j = b->jobs[i];
    j->done = 0;
    mg_buf_put(&j->refused, text.data, text.len);
    if (j->refused.len == 0) mg_buf_puts(&j->refused, "the executor refused it");
  }
  count_progress(s->pool);
  mg_job *over = take_apart(s);
  s->state = MG_SEAT_IDLE;
  mg_pool_dispatch(s->pool);
  tell_finished(s->pool, over);
}

static void on_frame(void *owner, mg_frame_type type, mg_slice body) {
  mg_seat *s = owner;
  mg_pool *p = s->pool;
  if (p->closing || s->killed) return;
  if (type == MG_FRAME_READY && s->state == MG_SEAT_STARTING) {
    on_ready(s, body);
  } else if (type == MG_FRAME_DONE && s->state == MG_SEAT_BUSY) {
    on_done(s);
  } else if (type == MG_FRAME_REFUSED && s->state == MG_SEAT_BUSY) {
    on_refused(s, body);
  } else if (type == MG_FRAME_FAULT) {
    (void)snprintf(s->said, sizeof s->said, "%.*s", (int)(body.len < sizeof s->said ? body.len : sizeof s->said - 1), (const char *)body.data);
    if (s->state == MG_SEAT_STARTING && !p->told_ready) tell_fault(p, s->said);
  } else {
    (void)snprintf(s->said, sizeof s->said, "an executor of %s broke its protocol", p->config.script);
    mg_proc_kill(s->proc);
  }
}

/* A RUN whose executor died. true: something came of it. */
static bool bury(mg_seat *s, const char *how) {
  mg_bundle *b = s->bundle;
  mg_death d = {.kind = s->killed ? s->kill_kind : MG_DEATH_CRASH, .hung_seq = s->hung_seq, .how = how, .script = s->pool->config.script};
  bool blamed = mg_bundle_bury(b, mg_proc_slot(s->proc), &d);
  mg_bundle_account(b, mg_now_ns());
  mg_job *j = mg_bundle_job_at(b, b->collected, NULL);
  if (!blamed && !s->killed && s->said[0] != '\0' && j != NULL) { /* a FAULT frame in the middle of a RUN */
    mg_buf_puts(&j->fault, s->said);
    blamed = true;
  }
  return blamed || b->collected > b->resume;
}

static void on_gone(void *owner, const char *how) {
  mg_seat *s = owner;
  mg_pool *p = s->pool;
  mg_seat_state state = s->state;
  bool innocent = s->killed && s->kill_kind == MG_DEATH_INNOCENT && s->said[0] == '\0';
  char cause[640];
  mg_job *over = NULL;
  bool progress = s->bundle != NULL && !p->closing && bury(s, how);
  s->proc = NULL;
  s->state = MG_SEAT_DOWN;
  if (p->closing) return;
  (void)snprintf(cause, sizeof cause, "%s", s->said[0] != '\0' ? s->said : how);
  if (s->bundle != NULL) over = take_apart(s);
  if (progress) {
    count_progress(p);
  } else if (!innocent) {
    count_death(p, state == MG_SEAT_BUSY);
  }
  if (!p->told_ready) {
    if (s->said[0] == '\0') (void)snprintf(cause, sizeof cause, "%s cannot be loaded: its executor %s", p->config.script, how);
    if (!innocent) tell_fault(p, cause);
  }
  if (p->told_ready && !p->up_once) {
    s->state = MG_SEAT_LOCKED; /* the script does not load: nobody would be helped by another try */
  } else if (!p->closing) {
    p->restarts++;
    plan_restart(s);
    mg_pool_dispatch(p);
  }
  tell_finished(p, over);
  if (!progress && !innocent) tell_failing(p, cause);
}

static void own_handle_closed(mg_pool *p) {
  if (--p->open_handles > 0) return;
  void (*closed)(void *owner) = p->closed;
  void *owner = p->config.owner;
  free((char *)(uintptr_t)p->config.program);
  free((char *)(uintptr_t)p->config.script);
  free((uint8_t *)(uintptr_t)p->config.overrides.data);
  free(p->seats);
  free(p);
  if (closed != NULL) closed(owner);
}

static void handle_closed(uv_handle_t *h) { own_handle_closed(h->data); }

static void close_own_handles(mg_pool *p) {
  for (int i = 0; i < p->config.executors; i++) {
    if (p->seats[i].proc != NULL) return;
  }
  if (uv_is_closing((uv_handle_t *)&p->watch)) return;
  if (p->signal_ok) uv_close((uv_handle_t *)&p->child_died, handle_closed);
  uv_close((uv_handle_t *)&p->watch, handle_closed);
}

static void on_freed(void *owner) {
  mg_seat *s = owner;
  mg_pool *p = s->pool;
  if (p->closing) close_own_handles(p);
  own_handle_closed(p);
}

static void on_child_died(uv_signal_t *h, int number) {
  mg_pool *p = h->data;
  (void)number; /* one signal may stand for many deaths */
  for (int i = 0; i < p->config.executors; i++) {
    if (p->seats[i].proc != NULL) mg_proc_reap(p->seats[i].proc);
  }
}

static void put_text(mg_buf *b, uint8_t format32, const void *data, size_t len) {
  uint8_t head[5] = {format32, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
  mg_buf_put(b, head, sizeof head);
  mg_buf_put(b, data, len);
}

static mg_err start(mg_seat *s, mg_error *e) {
  mg_pool *p = s->pool;
  mg_proc_config config = {
      .program = p->config.program, .show_output = p->config.show_output, .events = {.frame = on_frame, .gone = on_gone, .freed = on_freed}, .owner = s};
  s->killed = false;
  s->said[0] = '\0';
  mg_err rc = mg_proc_start(&s->proc, p->loop, &config, e);
  if (rc != MG_OK) return rc;
  p->open_handles++;
  s->state = MG_SEAT_STARTING;
  mg_pool_watch_begin(s);
  mg_buf setup = {0};
  mg_buf_put(&setup, "\x92", 1);
  put_text(&setup, 0xdb, p->config.script, strlen(p->config.script));
  if (p->config.overrides.len > 0) {
    put_text(&setup, 0xc6, p->config.overrides.data, p->config.overrides.len);
  } else {
    mg_buf_put(&setup, "\xc0", 1);
  }
  if (setup.failed || mg_proc_send(s->proc, MG_FRAME_SETUP, mg_buf_slice(&setup), NULL) != MG_OK) mg_proc_kill(s->proc);
  mg_buf_fini(&setup);
  return MG_OK;
}

void mg_pool_start_seat(mg_seat *s) {
  mg_error e;
  if (start(s, &e) == MG_OK) return;
  count_death(s->pool, false);
  s->restart_at = mg_now_ms() + 1000; /* no process, descriptor or memory to be had just now */
  tell_failing(s->pool, e.text);
}

/* --- the interface ------------------------------------------------------------------------------------------------------- */

mg_err mg_pool_new(mg_pool **out, uv_loop_t *loop, const mg_pool_config *config, mg_error *e) {
  if (config->executors < 1) return mg_fail(e, MG_ARG, "a pool needs at least one executor, not %d", config->executors);
  mg_pool *p = calloc(1, sizeof *p);
  if (p == NULL) return mg_fail(e, MG_NOMEM, "no memory for executors");
  p->config = *config;
  p->loop = loop;
  p->config.program = strdup(config->program);
  p->config.script = strdup(config->script);
  p->config.overrides.data = config->overrides.len > 0 ? malloc(config->overrides.len) : NULL;
  if (config->overrides.len > 0 && p->config.overrides.data != NULL) {
    memcpy((uint8_t *)(uintptr_t)p->config.overrides.data, config->overrides.data, config->overrides.len);
  }
  p->seats = calloc((size_t)config->executors, sizeof *p->seats);
  bool no_memory = p->config.program == NULL || p->config.script == NULL || p->seats == NULL || (config->overrides.len > 0 && p->config.overrides.data == NULL);
  p->watch.data = p->child_died.data = p;
  (void)uv_timer_init(loop, &p->watch);
  int failed = uv_signal_init(loop, &p->child_died);
  p->signal_ok = failed == 0;
  p->open_handles = p->signal_ok ? 2 : 1;
  for (int i = 0; !no_memory && i < config->executors; i++) p->seats[i] = (mg_seat){.pool = p, .state = MG_SEAT_LOCKED};
  if (no_memory) p->config.executors = 0;

  mg_err rc = MG_OK;
  (void)signal(SIGPIPE, SIG_IGN);
  if (failed == 0) failed = uv_signal_start(&p->child_died, on_child_died, SIGCHLD);
  if (no_memory) {
    rc = mg_fail(e, MG_NOMEM, "no memory for executors");
  } else if (failed != 0) {
    rc = mg_fail(e, MG_FATAL, "cannot watch for the end of executors: %s", uv_strerror(failed));
  }
  for (int i = 0; rc == MG_OK && i < config->executors; i++) {
    if (i == 0) {
      rc = start(&p->seats[0], e);
    } else {
      mg_pool_start_seat(&p->seats[i]);
      if (p->seats[i].proc == NULL) p->seats[i].state = MG_SEAT_DOWN;
    }
  }
  if (rc != MG_OK) {
    mg_pool_close(p, NULL);
    return rc;
  }
  mg_pool_watch(p, START_WATCH_MS);
  *out = p;
  return MG_OK;
}

int mg_pool_executors_up(const mg_pool *p) {
  int up = 0;
  for (int i = 0; i < p->config.executors; i++) up += p->seats[i].state == MG_SEAT_IDLE || p->seats[i].state == MG_SEAT_BUSY;
  return up;
}

uint32_t mg_pool_restarts(const mg_pool *p) { return p->restarts; }
bool mg_pool_failing(const mg_pool *p) { return p->failing; }

bool mg_pool_running(const mg_pool *p, const void *task_owner, uint64_t *case_number, mg_role *role) {
  *role = MG_BASELINE;
  for (int i = 0; i < p->config.executors; i++) {
    const mg_seat *s = &p->seats[i];
    for (int k = 0; s->bundle != NULL && k < s->bundle->count; k++) {
      const mg_job *j = s->bundle->jobs[k];
      if (j->owner != task_owner) continue;
      const mg_slot *slot = mg_proc_slot(s->proc);
      uint32_t index = atomic_load(&slot->index), base = s->bundle->base[k];
      bool here = index >= base && index < base + j->task.count;
      *case_number = here ? atomic_load(&slot->case_number) : j->last_case;
      if (here && atomic_load(&slot->phase) == MG_PHASE_CANDIDATE) *role = MG_CANDIDATE;
      return index >= base || j->done > 0; /* those behind it have not been begun */
    }
  }
  for (const mg_job *j = p->waiting; j != NULL; j = j->next) {
    if (j->owner != task_owner) continue;
    *case_number = j->last_case;
    *role = j->half == 1 + MG_BASELINE ? MG_CANDIDATE : MG_BASELINE;
    return j->begun || j->told != MG_TOLD_NO;
  }
  return false;
}

void mg_pool_close(mg_pool *p, void (*closed)(void *owner)) {
  p->closing = true;
  p->closed = closed;
  p->close_by = mg_now_ms() + CLOSE_MS;
  tell_finished(p, p->waiting); /* frees: nobody is told while it closes */
  p->waiting = NULL;
  p->waiting_count = 0;
  for (int i = 0; i < p->config.executors; i++) {
    mg_seat *s = &p->seats[i];
    if (s->bundle != NULL) {
      for (int k = 0; k < s->bundle->count; k++) mg_job_free(s->bundle->jobs[k]);
      mg_bundle_free(s->bundle);
      s->bundle = NULL;
    }
    if (s->proc == NULL) continue;
    if (s->state == MG_SEAT_IDLE && !s->killed) {
      mg_proc_hang_up(s->proc);
    } else {
      mg_proc_kill(s->proc);
    }
  }
  mg_pool_watch(p, START_WATCH_MS);
  close_own_handles(p);
}
