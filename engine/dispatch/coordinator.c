/* The coordinator's start and end, its timer, and what the link tells it. */
#include "dispatch/coordinator_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP_MS = 1000, RATE_EVERY_MS = 250, TICK_MIN_MS = 5, TICK_MAX_MS = 100, BROKER_PATIENCE_S = 300, NO_WORKER_S = 600, POLL_MS = 1000, DROPS_PER_S = 10 };

bool mg_coord_live(const mg_coordinator *c) { return c->phase < MG_PHASE_CLOSING; }

mg_entry_out *mg_coord_entry(const mg_coordinator *c, uint32_t epoch, uint64_t seq) {
  mg_entry_out *e = mg_ledger_find(&c->ledger, seq);
  return e != NULL && e->epoch == epoch ? e : NULL;
}

/* --- words --- */

static void say(mg_coordinator *c, mg_saying kind, mg_coordinator_event *ev, const char *format, va_list ap) {
  char text[700];
  (void)vsnprintf(text, sizeof text, format, ap);
  if (kind == MG_SAY_NOTE) {
    for (size_t i = 0; i < c->note_count; i++) {
      if (strcmp(c->notes[i], text) == 0) return;
    }
    char *copy = c->note_count < MG_NOTES_MAX ? strdup(text) : NULL;
    if (copy != NULL) c->notes[c->note_count++] = copy;
    mg_coord_write_note(c, text);
  }
  ev->text = text;
  ev->routine = kind == MG_SAY_ROUTINE;
  c->config.log(c->config.owner, ev);
}

void mg_coord_event(mg_coordinator *c, const char *event, const char *format, ...) {
  mg_coordinator_event ev = {.level = MG_LOG_WARN, .event = event};
  va_list ap;
  va_start(ap, format);
  say(c, MG_SAY_EVENT, &ev, format, ap);
  va_end(ap);
}

void mg_coord_note(mg_coordinator *c, const char *event, const char *format, ...) {
  mg_coordinator_event ev = {.level = MG_LOG_WARN, .event = event};
  va_list ap;
  va_start(ap, format);
  say(c, MG_SAY_NOTE, &ev, format, ap);
  va_end(ap);
}

void mg_coord_log(mg_coordinator *c, mg_saying kind, mg_log_level level, const char *event, const mg_log_field *fields, size_t count, const char *format, ...) {
  mg_coordinator_event ev = {.level = level, .event = event, .fields = fields, .field_count = count};
  va_list ap;
  if (kind == MG_SAY_ROUTINE && !mg_log_wants(level)) return;
  va_start(ap, format);
  say(c, kind, &ev, format, ap);
  va_end(ap);
}

bool mg_coord_bad(mg_coordinator *c) {
  mg_ms now = mg_now_ms();
  c->bad_messages++;
  if (now - c->dropped_ms >= 1000) {
    c->dropped_ms = now;
    c->dropped = 0;
  }
  return c->dropped++ < DROPS_PER_S;
}

/* --- what the link tells --- */

static void on_connected(mg_coordinator *c, const char *what) {
  mg_ms now = mg_now_ms();
  c->connected = true;
  if (c->was_connected || c->outage_ms != 0) {
    mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "broker_connected", MG_FIELDS(MG_LI("outage_ms", now - c->outage_ms)),
                 "connected to the broker (%s) after %.1f s", what, (double)(now - c->outage_ms) / 1000);
    mg_coord_restart_timers(c, now);
  }
  c->was_connected = true;
  c->outage_ms = 0;
}

static void on_event(void *owner, const mg_link_event *ev) {
  mg_coordinator *c = owner;
  switch (ev->kind) {
  case MG_EV_CONNECTED: on_connected(c, ev->text); break;
  case MG_EV_DISCONNECTED:
    c->connected = false;
    c->outage_ms = mg_now_ms();
    mg_coord_event(c, "broker_lost", "no connection to the broker, trying again: %s", ev->text);
    break;
  case MG_EV_FAILED: mg_coord_fail(c, ev->text); break;
  case MG_EV_BAD_MESSAGE:
    if (mg_coord_bad(c)) mg_coord_event(c, "message_dropped", "%s", ev->text);
    break;
  case MG_EV_TROUBLE: mg_coord_note(c, "broker_refused", "the broker refused a call, which is repeated: %s", ev->text); break;
  case MG_EV_RESULT: mg_coord_result(c, ev->token, ev->body); break;
  case MG_EV_BEAT: mg_coord_beat(c, ev); break;
  case MG_EV_PUBLISHED: mg_coord_published(c, ev->token, ev->err, ev->text); break;
  case MG_EV_RECLAIMED: mg_coord_reclaimed(c, ev); break;
  case MG_EV_RECLAIM_DONE: mg_coord_reclaim_done(c, ev); break;
  case MG_EV_PROBED: mg_coord_probed(c, ev); break;
  case MG_EV_DEPTH: mg_coord_depth(c, ev); break;
  case MG_EV_STOPPED: mg_coord_finish(c); break;
  default: break;
  }
}

static void end_drain(mg_coordinator *c, mg_ms now) {
  if (c->phase == MG_PHASE_DRAINING && (c->ledger.count == 0 || now >= c->drain_by)) mg_coord_over(c);
}

static void on_drained(void *owner) {
  mg_coordinator *c = owner;
  mg_ms beats = mg_link_beats_ms(c->link);
  if (beats != c->beats_ms) {
    c->beats_ms = beats;
    mg_coord_silence(c);
  }
  mg_coord_sweep(c);
  mg_coord_dispatch(c);
  mg_coord_flush_cancels(c);
  end_drain(c, mg_now_ms());
}

/* --- time --- */

static void sample_rate(mg_coordinator *c, mg_ms now) {
  if (now < c->next_rate_ms) return;
  c->next_rate_ms = now + RATE_EVERY_MS;
  c->rate[c->rate_at % MG_RATE_SAMPLES].at = now;
  c->rate[c->rate_at % MG_RATE_SAMPLES].counted = mg_coord_counted(c);
  c->rate_at++;
}

static void on_tick(uv_timer_t *timer) {
  mg_coordinator *c = timer->data;
  mg_ms now = mg_now_ms();
  mg_link_tick(c->link);
  if (!mg_coord_live(c)) return;
  if (now - c->last_tick_ms > GAP_MS) mg_coord_restart_timers(c, now); /* this process stood still: nobody else did */
  c->last_tick_ms = now;
  sample_rate(c, now);
  if (c->global_ms > 0 && now - c->started_ms >= c->global_ms) {
    c->timed_out = true;
    mg_coord_note(c, "global_timeout", "global_timeout ended the run after %.1f s", (double)(now - c->started_ms) / 1000);
    mg_coord_over(c);
    return;
  }
  if (now >= c->next_check_ms) {
    c->next_check_ms = now + c->check_ms;
    mg_coord_check(c, now);
  }
  mg_coord_write_counts(c, now);
  mg_coord_dispatch(c);
  mg_coord_flush_cancels(c);
  end_drain(c, now);
}

/* --- start and end --- */

static mg_ms ms_of(const mg_options *o, const char *key, double otherwise_seconds) { return (mg_ms)(1000 * mg_options_real(o, key, otherwise_seconds) + 0.5); }

static void read_settings(mg_coordinator *c) {
  const mg_options *o = c->config.options;
  double lease = mg_options_real(o, "lease_seconds", 60);
  double silence = mg_options_real(o, "heartbeat_timeout", lease / 2 < 30 ? lease / 2 : 30);
  c->lease_ms = (mg_ms)(1000 * lease);
  c->silence_ms = (mg_ms)(1000 * silence);
  c->beat_ms = ms_of(o, "heartbeat_interval", silence / 3);
  c->check_ms = ms_of(o, "heartbeat_check_interval", 1);
  c->no_worker_ms = ms_of(o, "no_worker_seconds", NO_WORKER_S);
  c->global_ms = ms_of(o, "global_timeout", 0);
  c->enable_requeue = mg_options_bool(o, "enable_requeue", true);
  c->max_requeue = (uint32_t)mg_options_int(o, "max_requeue_attempts", 3);
  c->breaker.timeout_ms = c->silence_ms;
  c->breaker.interval_ms = c->beat_ms < 1 ? 1 : c->beat_ms;
  c->breaker.threshold = (uint32_t)mg_options_int(o, "circuit_breaker_threshold", 3);
  if (c->check_ms < 1) c->check_ms = 1;
  mg_batching_init(&c->batching, o, c->plan->columns > 0 ? MG_VALUES_MAX / (uint32_t)c->plan->columns : MG_TASK_CASES);
}

/* `n` of `cases`, evenly, the first and the last among them. */
static void spread_sample(mg_coordinator *c, uint64_t n, uint64_t cases) {
  uint64_t last = cases - 1;
  for (uint64_t i = 0; i < n; i++) c->sample[c->sample_count++].case_number = n < 2 ? 0 : last / (n - 1) * i + last % (n - 1) * i / (n - 1);
}

/* Evenly over the run; all where there are few. Where it may end early, half of them lie before the first look. */
static void choose_sample(mg_coordinator *c) {
  uint64_t n = c->planned < MG_SAMPLE_CASES ? c->planned : MG_SAMPLE_CASES, early = mg_coord_room(c, 0);
  if (early > n && early < c->planned) {
    spread_sample(c, n / 2, early);
    n -= n / 2;
  }
  spread_sample(c, n, c->planned);
  if (c->plan->flaky_reruns == 0) return;
  double most = (double)MG_FLAKY_CASES / (double)c->planned, share = c->plan->flaky_sample < most ? c->plan->flaky_sample : most;
  c->flaky_below = share >= 1 ? UINT64_MAX : (uint64_t)(share * 18446744073709551616.0);
}

static mg_err open_files(mg_coordinator *c, mg_error *e) {
  const mg_plan *p = c->plan;
  mg_err err = MG_OK;
  if (p->inputs != NULL) err = mg_inputs_open(&c->inputs, p->inputs, p->cases, e);
  if (err == MG_OK && c->config.outcomes_path != NULL) {
    err = mg_outcomes_csv_open(&c->csv, c->config.outcomes_path, p->clauses, p->clause_count, e);
  }
  return err;
}

static mg_err start_link(mg_coordinator *c, mg_error *e) {
  const mg_options *o = c->config.options;
  mg_link_config config = {
      .backend = c->config.backend,
      .open = {.options = o, .identity = c->identity, .run = c->run, .shared = c->config.shared},
      .codec = {.compress = mg_options_bool(o, "compress", true),
                .threshold_bytes = (size_t)mg_options_int(o, "compression_threshold_bytes", 512),
                .keys = c->config.keys},
      .lease_ms = c->lease_ms,
      .poll_ms = POLL_MS,
      .check_every_ms = c->check_ms < 2 ? 1 : c->check_ms / 2, /* so that reading and looking together take one interval */
      .stats_every_ms = c->config.stats_every_ms,
      .retry_for_ms = ms_of(o, "broker_patience_seconds", BROKER_PATIENCE_S),
      .tick_limit_ms = MG_NEVER,
      .event = on_event,
      .drained = on_drained,
      .owner = c,
  };
  return mg_link_start(&c->link, c->loop, &config, e);
}

static void free_all(mg_coordinator *c) {
  mg_case_set_fini(&c->counted);
  for (size_t i = 0; i < c->part_count; i++) mg_measures_free(c->parts[i].measures);
  mg_measures_free(c->total.measures);
  free(c->parts);
  free(c->flaky);
  free(c->later);
  free(c->known);
  mg_digester_free(c->digester);
  mg_violations_fini(&c->violations);
  free(c->lost);
  mg_inputs_free(c->inputs);
  mg_outcomes_csv_free(c->csv);
  mg_ledger_fini(&c->ledger);
  mg_breaker_fini(&c->breaker);
  free(c->repeats);
  for (size_t i = 0; i < c->cancel_count; i++) free((void *)(uintptr_t)c->cancelled[i]);
  free(c->cancelled);
  free(c->listed);
  free(c->different);
  for (int i = 0; i < c->label_count; i++) free(c->label_names[i]);
  for (size_t i = 0; i < c->note_count; i++) free(c->notes[i]);
  free(c->fault);
  free(c->no_worker);
  free(c->failed);
  mg_buf_fini(&c->message);
  mg_buf_fini(&c->payload);
  mg_buf_fini(&c->scratch);
  free(c);
}

static void on_handle_closed(uv_handle_t *handle) {
  mg_coordinator *c = handle->data;
  if (--c->handles == 0) free_all(c);
}

mg_err mg_coordinator_start(mg_coordinator **out, uv_loop_t *loop, const mg_coordinator_config *config, mg_error *e) {
  *out = NULL;
  mg_coordinator *c = calloc(1, sizeof *c);
  if (c == NULL) return mg_fail(e, MG_NOMEM, "no memory for a run");
  const char *names[MG_MAX_CLAUSES];
  mg_err err = MG_OK;
  mg_plan *p = config->plan;
  c->config = *config;
  c->plan = p;
  c->loop = loop;
  c->epoch = config->epoch == 0 ? 1 : config->epoch;
  c->journal = config->journal;
  c->planned = p->cases;
  c->capabilities = config->backend->capabilities;
  c->can_bury = config->backend->publish_dead != NULL;
  (void)snprintf(c->run, sizeof c->run, "%s", config->run);
  (void)snprintf(c->identity, sizeof c->identity, "coordinator-%s", config->run);
  read_settings(c);
  choose_sample(c);
  for (int i = 1; i < p->clause_count; i++) names[i - 1] = p->clauses[i].name;
  for (int i = 0; i < p->cover_count; i++) { /* their places are those in the plan, and there is room for them */
    if (mg_coord_label(c, mg_slice_of(p->cover[i].label)) != i) err = mg_fail(e, MG_NOMEM, "no memory for a run");
  }
  c->digester = mg_digester_new(names, p->clause_count - 1);
  mg_violations_init(&c->violations, p->clauses, p->clause_count, p->violation_cap);
  c->started_ms = c->last_tick_ms = c->able_ms = c->idle_ms = mg_now_ms();
  if (err == MG_OK && (c->digester == NULL || !mg_ledger_init(&c->ledger))) err = mg_fail(e, MG_NOMEM, "no memory for a run");
  c->ledger.epoch = c->epoch;
  if (err == MG_OK) err = open_files(c, e);
  if (err == MG_OK && c->epoch > 1 && c->journal != NULL) err = mg_coord_replay(c, e);
  if (err == MG_OK) err = start_link(c, e);
  if (err != MG_OK) {
    free_all(c);
    return err;
  }
  mg_ms tick = c->check_ms / 4;
  tick = tick < TICK_MIN_MS ? TICK_MIN_MS : tick > TICK_MAX_MS ? TICK_MAX_MS : tick;
  mg_coord_journal_open(c);
  (void)uv_timer_init(loop, &c->timer);
  c->timer.data = c;
  c->handles++;
  (void)uv_timer_start(&c->timer, on_tick, 0, (uint64_t)tick);
  mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "run_eval_start",
               MG_FIELDS(MG_LT("plan", p->name), MG_LI("cases", c->planned), MG_LI("seed", p->seed), MG_LT("backend", config->backend->name),
                         MG_LT("queue_name", mg_options_text(config->options, "queue_name", NULL)), MG_LT("baseline", p->baseline),
                         MG_LT("candidate", p->candidate)),
               "run %s: %s", c->run, p->name == NULL ? "" : p->name);
  if (c->resumed) {
    mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "run_resumed", MG_FIELDS(MG_LI("recorded", c->counted.count), MG_LI("outstanding", c->ledger.cases)),
                 "resumed: %" PRIu64 " of %" PRIu64 " cases are recorded, %" PRIu64 " are with tasks sent before", c->counted.count, c->planned, c->ledger.cases);
  }
  *out = c;
  return MG_OK;
}

void mg_coordinator_stop(mg_coordinator *c) {
  if (!mg_coord_live(c)) return;
  c->interrupted = true;
  if (c->phase == MG_PHASE_DRAINING || !c->was_connected) { /* a broker that was never there has nothing of ours */
    mg_coord_over(c);
    return;
  }
  c->phase = MG_PHASE_DRAINING;
  c->drain_by = mg_now_ms() + c->config.drain_timeout_ms;
  for (mg_entry_out *x = c->ledger.oldest, *next; x != NULL; x = next) {
    next = x->next;
    if (x->kind != MG_TASK_REPEAT && x->sent_ms != 0) continue;
    mg_coord_cancel(c, x);
    mg_coord_trace_end(c, x, NULL, "taken back: the run was interrupted");
    mg_ledger_remove(&c->ledger, x);
  }
  mg_coord_event(c, "run_stopping", "no more tasks; collecting what is in flight for up to %.0f s", (double)c->config.drain_timeout_ms / 1000);
  mg_coord_flush_cancels(c);
  mg_coord_take_back(c);
  end_drain(c, mg_now_ms());
}

void mg_coordinator_free(mg_coordinator *c) {
  if (c == NULL) return;
  c->phase = MG_PHASE_OVER;
  mg_link_free(c->link);
  if (c->journal != NULL) {
    mg_journal_wake(c->journal, NULL, NULL);
    uv_close((uv_handle_t *)&c->durable, on_handle_closed);
  }
  uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}
