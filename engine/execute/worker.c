#include "execute/worker_internal.h"

#include "base/ident.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 100
#define LOAD_TIMEOUT_MS 60000
#define BEAT_AT_ONCE_MS 1000 /* least time between two beats that are sent because tasks came or went */
#define AGAIN_MS 250         /* between the arrival of a task somebody had before and its start */
#define RETURN_MS 5000       /* for the broker to learn what is given back */
#define RETURN_NOW_MS 1000
#define LEAVE_MS 2000 /* for the last beat */
#define FAILING_FIRST_MS 1000
#define FAILING_MOST_MS 60000

static mg_ms option_ms(const mg_options *o, const char *key, double otherwise_s) { return (mg_ms)(mg_options_real(o, key, otherwise_s) * 1000); }

/* --- beats ----------------------------------------------------------------------------------------------------------------- */

static bool beat_room(mg_worker *w, size_t count) {
  if (count <= w->beat_cap) return true;
  size_t cap = w->beat_cap == 0 ? 64 : w->beat_cap;
  while (cap < count) cap *= 2;
  mg_beat_task *tasks = realloc(w->beat.tasks, cap * sizeof *tasks);
  if (tasks == NULL) return false;
  w->beat.tasks = tasks;
  w->beat_cap = cap;
  return true;
}

static void beat(mg_worker *w, bool leaving) {
  mg_ms now = mg_now_ms();
  if (!w->ready || w->cannot_serve || !beat_room(w, w->kept.count)) return;
  mg_beat *b = &w->beat;
  memcpy(b->worker, w->name, sizeof b->worker);
  memcpy(b->fingerprint, w->fingerprint, sizeof b->fingerprint);
  b->executors = (uint32_t)w->config.executors;
  b->executors_up = (uint32_t)mg_pool_executors_up(w->pool);
  b->restarts = mg_pool_restarts(w->pool);
  b->draining = w->state != MG_WORKER_SERVING;
  b->quarantined = w->quarantined;
  b->leaving = leaving;
  b->cases_done = w->stats.cases_done;
  b->task_count = 0;
  bool tells = false;
  for (mg_kept *k = w->kept.first; k != NULL; k = k->next) {
    if (k->run[0] == '\0') continue; /* it could not be read, and is on its way to the dead letters */
    uint64_t at;
    mg_role role;
    if (k->in_pool && mg_pool_running(w->pool, k, &at, &role)) {
      k->begun = true;
      k->last_case = at;
      k->last_role = role;
    }
    tells = tells || (k->told && k->told_number == 0);
    mg_beat_task *t = &b->tasks[b->task_count++];
    *t = (mg_beat_task){0};
    memcpy(t->run, k->run, sizeof t->run);
    memcpy(t->id, k->id, sizeof t->id);
    t->attempt = k->attempt;
    t->running = k->begun;
    t->case_number = k->begun ? k->last_case : 0;
    t->role = k->begun ? k->last_role : MG_BASELINE;
  }
  bool at_once = leaving || tells || (w->beat_changed && now - w->beat_sent_ms >= BEAT_AT_ONCE_MS);
  mg_buf_clear(&w->beat_bytes);
  mg_beat_encode(&w->beat_bytes, b);
  if (w->beat_bytes.failed) return;
  uint64_t number = mg_link_set_beat(w->link, mg_buf_slice(&w->beat_bytes), at_once);
  if (!at_once) return;
  for (mg_kept *k = w->kept.first; tells && k != NULL; k = k->next) {
    if (k->told && k->told_number == 0) k->told_number = number;
  }
  w->beat_changed = false;
  w->beat_sent_ms = now;
}

static void on_announce(void *owner, void *task_owner) {
  mg_kept *k = task_owner;
  k->told = k->begun = true; /* as far as others need to know */
  k->told_number = 0;
  beat(owner, false);
}

/* Who had it before may have been given up on: what is known of it arrives in a moment. */
static void begin_told(mg_worker *w) {
  mg_ms now = mg_now_ms();
  for (mg_kept *k = w->kept.first; k != NULL; k = k->next) {
    if (!k->told || k->told_number == 0 || k->told_number > w->beaten || (k->again_ms != 0 && now - k->again_ms < AGAIN_MS)) continue;
    k->told = false;
    mg_pool_begin(w->pool, k);
  }
}

/* --- the end --------------------------------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *h) {
  mg_worker *w = h->data;
  void (*stopped)(void *owner, const char *failed) = w->config.stopped;
  void *owner = w->config.owner;
  char *failed = w->failed;
  while (w->kept.first != NULL) mg_kept_remove(&w->kept, w->kept.first);
  mg_keyring_free(w->keys);
  mg_buf_fini(&w->encoded);
  mg_buf_fini(&w->task_bytes);
  mg_buf_fini(&w->beat_bytes);
  free(w->beat.tasks);
  free(w);
  if (stopped != NULL) stopped(owner, failed);
  free(failed);
}

/* Link and pool end in their own time; what comes last closes the rest. */
static void end(mg_worker *w) {
  if (!w->link_over || !w->pool_over || uv_is_closing((uv_handle_t *)&w->timer)) return;
  mg_link_free(w->link);
  w->link = NULL;
  uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

static void on_pool_closed(void *owner) {
  mg_worker *w = owner;
  w->pool_over = true;
  w->pool = NULL;
  end(w);
}

static void leave(mg_worker *w) {
  if (w->state == MG_WORKER_LEAVING) return;
  beat(w, true);
  w->state = MG_WORKER_LEAVING;
  mg_link_want(w->link, 0);
  mg_link_stop(w->link, mg_now_ms() + LEAVE_MS);
  mg_pool_close(w->pool, on_pool_closed);
}

static void return_all(mg_worker *w, mg_ms within_ms) {
  w->state = MG_WORKER_RETURNING;
  w->return_until = mg_now_ms() + within_ms;
  mg_worker_return_all(w, 0);
}

void mg_worker_look(mg_worker *w) {
  mg_ms now = mg_now_ms();
  if (w->state == MG_WORKER_SERVING || w->state == MG_WORKER_LEAVING) return;
  if (w->state == MG_WORKER_DRAINING && w->kept.in_pool > 0 && now >= w->drain_until) return_all(w, RETURN_MS);
  /* Once nothing runs, only the broker is waited for, and not much longer than the drain. */
  mg_ms until = w->state == MG_WORKER_RETURNING ? w->return_until : w->drain_until + RETURN_MS;
  if (w->kept.count == 0 || (w->kept.in_pool == 0 && now >= until)) leave(w);
}

void mg_worker_stop(mg_worker *w, bool now) {
  if (w->state == MG_WORKER_LEAVING) return;
  if (now) {
    return_all(w, RETURN_NOW_MS);
  } else if (w->state == MG_WORKER_SERVING) {
    w->state = MG_WORKER_DRAINING;
    w->drain_until = mg_now_ms() + w->config.drain_timeout_ms;
    mg_worker_return_waiting(w, 0);
  }
  w->beat_changed = true;
  beat(w, false);
  mg_worker_want(w);
  mg_worker_look(w);
}

static void fail(mg_worker *w, const char *why) {
  if (w->failed == NULL) w->failed = strdup(why);
  if (w->state != MG_WORKER_LEAVING) leave(w);
}

/* --- events ---------------------------------------------------------------------------------------------------------------- */

static void on_control(mg_worker *w, const mg_control *c) {
  if (c->kind == MG_RUN_CLOSED || c->kind == MG_RUN_CANCELLED) {
    mg_worker_run_is_over(w, c->subject, c->epoch);
  } else if (c->kind == MG_TASKS_DROPPED) {
    mg_worker_tasks_dropped(w, c);
  } else if (strcmp(c->subject, w->name) == 0) {
    w->quarantined = c->kind == MG_QUARANTINE;
    mg_log(MG_LOG_WARN, w->quarantined ? "worker_quarantined" : "worker_pardoned", MG_FIELDS(MG_LT("worker_id", w->name)), "worker %s %s", w->name,
           w->quarantined ? "gets no tasks until it beats steadily" : "gets tasks again");
    if (w->quarantined) mg_worker_return_waiting(w, 0);
  }
}

static void on_event(void *owner, const mg_link_event *ev) {
  mg_worker *w = owner;
  static mg_log_limit bad, trouble;
  bool leaving = w->state == MG_WORKER_LEAVING; /* then the pool may be gone already */
  switch (ev->kind) {
  case MG_EV_CONNECTED:
    w->connected = true;
    mg_log(MG_LOG_DEBUG, "broker_connected", MG_FIELDS(MG_LT("worker_id", w->name)), "connected to %s", ev->text);
    break;
  case MG_EV_DISCONNECTED:
    w->connected = false;
    mg_log(MG_LOG_WARN, "broker_disconnected", MG_FIELDS(MG_LT("worker_id", w->name)), "broker: %s", ev->text);
    break;
  case MG_EV_FAILED:
    w->connected = false;
    fail(w, ev->text);
    break;
  case MG_EV_TASK: mg_worker_take(w, ev); break;
  case MG_EV_BEATEN:
    w->beaten = ev->token;
    if (!leaving) begin_told(w);
    break;
  case MG_EV_SETTLED: mg_worker_settled(w, ev); break;
  case MG_EV_LEASE_LOST:
    if (!leaving) mg_worker_lease_lost(w, ev);
    break;
  case MG_EV_CONTROL:
    if (!leaving) on_control(w, &ev->control);
    break;
  case MG_EV_BAD_MESSAGE:
    w->stats.bad_messages++;
    mg_log_rarely(&bad, 1000, MG_LOG_WARN, "bad_message", MG_FIELDS(MG_LT("worker_id", w->name)), "%s", ev->text);
    break;
  case MG_EV_TROUBLE: mg_log_rarely(&trouble, 1000, MG_LOG_WARN, "broker_trouble", MG_FIELDS(MG_LT("worker_id", w->name)), "%s", ev->text); break;
  case MG_EV_STOPPED: w->link_over = true; break;
  default: break; /* the coordinator's */
  }
}

/* After all events that stood there: the link may be freed from here. */
static void on_drained(void *owner) {
  mg_worker *w = owner;
  if (w->link_over) {
    end(w);
    return;
  }
  mg_worker_want(w);
  mg_worker_look(w);
}

static void on_ready(void *owner, const char *fault, const uint8_t fingerprint[32]) {
  mg_worker *w = owner;
  w->cannot_serve = fault != NULL;
  w->ready = true;
  if (fault == NULL) memcpy(w->fingerprint, fingerprint, sizeof w->fingerprint);
  w->beat_changed = true;
  beat(w, false);
  if (w->link != NULL) mg_worker_want(w);
  if (w->config.ready != NULL) w->config.ready(w->config.owner, fault);
}

static void on_failing(void *owner, const char *cause) {
  mg_worker *w = owner;
  w->failing_ms = w->failing_ms == 0 ? FAILING_FIRST_MS : w->failing_ms * 2;
  if (w->failing_ms > FAILING_MOST_MS) w->failing_ms = FAILING_MOST_MS;
  w->pause_until = mg_now_ms() + w->failing_ms;
  w->paused_for[0] = '\0';
  mg_log(MG_LOG_WARN, "worker_failing", MG_FIELDS(MG_LT("worker_id", w->name), MG_LI("retry_ms", w->failing_ms)), "worker %s takes no tasks for %.0f s: %s",
         w->name, (double)w->failing_ms / 1000, cause);
  mg_worker_return_all(w, 1);
  mg_worker_want(w);
  mg_worker_look(w);
}

static void on_tick(uv_timer_t *t) {
  mg_worker *w = t->data;
  mg_link_tick(w->link);
  if (w->state == MG_WORKER_LEAVING) return;
  beat(w, false);
  begin_told(w);
  mg_worker_want(w);
  mg_worker_look(w);
}

/* --- the beginning --------------------------------------------------------------------------------------------------------- */

static mg_err start_link(mg_worker *w, mg_error *e) {
  const mg_options *o = w->config.options;
  mg_ms lease = option_ms(o, "lease_seconds", 60), timeout = option_ms(o, "heartbeat_timeout", lease >= 60000 ? 30 : (double)lease / 2000);
  mg_ms every = option_ms(o, "heartbeat_interval", (double)timeout / 3000);
  mg_link_config c = {
      .backend = w->config.backend,
      .open = {.options = o, .identity = w->name, .wake_fd = -1, .shared = w->config.shared},
      .codec = {.compress = mg_options_bool(o, "compress", true),
                .threshold_bytes = (size_t)mg_options_int(o, "compression_threshold_bytes", 512),
                .keys = w->keys},
      .worker = true,
      .lease_ms = lease,
      .beat_every_ms = every < 1 ? 1 : every,
      .beat_ttl_ms = timeout * 3,
      .poll_ms = w->config.poll_interval_ms > 0 ? w->config.poll_interval_ms : 1000,
      .check_every_ms = option_ms(o, "heartbeat_check_interval", 1),
      .stats_every_ms = w->config.stats_every_ms,
      .retry_for_ms = w->config.retry_for_ms > 0 ? w->config.retry_for_ms : MG_NEVER,
      .tick_limit_ms = timeout,
      .event = on_event,
      .drained = on_drained,
      .owner = w,
  };
  return mg_link_start(&w->link, w->loop, &c, e);
}

mg_err mg_worker_start(mg_worker **out, uv_loop_t *loop, const mg_worker_config *config, mg_error *e) {
  mg_worker *w = calloc(1, sizeof *w);
  if (w == NULL) return mg_fail(e, MG_NOMEM, "no memory for a worker");
  w->config = *config;
  w->config.name = w->config.program = w->config.script = NULL; /* the pool has copies of its own */
  w->config.overrides = (mg_slice){0};
  w->loop = loop;
  w->timer.data = w;
  if (config->name != NULL) {
    (void)snprintf(w->name, sizeof w->name, "%s", config->name);
  } else {
    mg_worker_name_make(w->name, sizeof w->name);
  }
  mg_err rc = mg_keyring_parse(&w->keys, getenv("MGUARD_SIGNING_KEY"), e);
  if (rc != MG_OK) {
    free(w);
    return rc;
  }
  (void)uv_timer_init(loop, &w->timer);
  mg_pool_config pool = {.program = config->program,
                         .script = config->script,
                         .overrides = config->overrides,
                         .executors = config->executors,
                         .load_timeout_ms = LOAD_TIMEOUT_MS,
                         .show_output = config->show_output,
                         .events = {.ready = on_ready, .finished = mg_worker_finished, .failing = on_failing, .announce = on_announce},
                         .owner = w};
  rc = mg_pool_new(&w->pool, loop, &pool, e);
  w->pool_over = rc != MG_OK;
  w->link_over = true;
  if (rc == MG_OK) {
    rc = start_link(w, e);
    w->link_over = rc != MG_OK;
  }
  if (rc == MG_OK) {
    (void)uv_timer_start(&w->timer, on_tick, TICK_MS, TICK_MS);
    *out = w;
    return MG_OK;
  }
  w->config.stopped = NULL; /* freed by the loop, without a word */
  w->state = MG_WORKER_LEAVING;
  if (w->pool != NULL) {
    mg_pool_close(w->pool, on_pool_closed);
  } else {
    end(w);
  }
  return rc;
}

void mg_worker_read(mg_worker *w, mg_worker_stats *out) {
  *out = w->stats;
  out->held = (uint32_t)w->kept.count;
  out->connected = w->connected;
  out->quarantined = w->quarantined;
  out->stopping = w->state != MG_WORKER_SERVING;
  if (w->pool != NULL) {
    out->executors_up = (uint32_t)mg_pool_executors_up(w->pool);
    out->restarts = mg_pool_restarts(w->pool);
    out->failing = mg_pool_failing(w->pool);
  }
  if (w->link == NULL) return;
  out->reconnects = mg_link_reconnects(w->link);
  out->beats = mg_link_beats_sent(w->link);
  mg_link_read_stats(w->link, &out->link);
}

const char *mg_worker_name(const mg_worker *w) { return w->name; }
