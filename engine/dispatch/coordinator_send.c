/* What goes out: tasks cut from the cases, tasks sent again, copies, pieces. */
#include "dispatch/coordinator_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINK_BACKLOG_MAX = 8192, HEDGE_MIN_MS = 1000, LUA_EVERY_MS = 20, UNBEGUN_MAX = 100, MISSING_MAX = 20, DROPPED_TTL_MS = 600000 };
#define HEDGE_FACTOR 4.0

uint32_t mg_coord_executors(const mg_coordinator *c) {
  uint32_t n = mg_breaker_executors(&c->breaker);
  return n > c->answering ? n : c->answering;
}

/* --- one task to the link --- */

static void pack_head(mg_buf *out, uint8_t tag, uint64_t n, int bytes) {
  uint8_t head[9] = {tag};
  for (int i = 0; i < bytes; i++) head[1 + i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
  mg_buf_put(out, head, (size_t)bytes + 1);
}

/* [case, nil], or [case, bin] with the arguments that the file gives it. */
static mg_err pack_case(mg_coordinator *c, uint64_t number, mg_error *e) {
  mg_buf *out = &c->payload;
  pack_head(out, 0x92, 0, 0);
  pack_head(out, 0xcf, number, 8);
  if (c->inputs == NULL) {
    pack_head(out, 0xc0, 0, 0);
    return MG_OK;
  }
  const char *line;
  size_t len;
  uint64_t at;
  mg_err err = mg_inputs_read(c->inputs, number, &line, &len, &at, e);
  if (err != MG_OK) return err;
  mg_buf_clear(&c->scratch);
  err = mg_plan_input(c->plan, line, len, &c->scratch, e);
  if (err != MG_OK) return mg_fail_in(e, "line %" PRIu64, at);
  pack_head(out, 0xc6, c->scratch.len, 4);
  mg_buf_put(out, c->scratch.data, c->scratch.len);
  return c->scratch.failed ? mg_fail(e, MG_NOMEM, "no memory for the inputs of a task") : MG_OK;
}

/* Fills payload; *count comes down where the inputs are many bytes, at least one case stays. */
static mg_err pack_cases(mg_coordinator *c, const mg_entry_out *e, uint32_t *count, mg_error *why) {
  mg_buf_clear(&c->payload);
  pack_head(&c->payload, 0xdd, 0, 4);
  uint32_t n = 0;
  for (; n < e->count && (n == 0 || c->payload.len < MG_PAYLOAD_MAX); n++) {
    mg_err err = pack_case(c, e->list != NULL ? e->list[n] : e->first + n, why);
    if (err != MG_OK) return err;
  }
  if (c->payload.failed) return mg_fail(why, MG_NOMEM, "no memory for the inputs of a task");
  for (int i = 0; i < 4; i++) c->payload.data[1 + i] = (uint8_t)(n >> (8 * (3 - i)));
  *count = n;
  return MG_OK;
}

/* A task that was with a worker that vanished may have been the cause, or a neighbour. Whose doing the next loss is must be known; and the loss that gives
 * cases up must have come while nothing else ran there. */
static mg_care care_of(const mg_coordinator *c, const mg_entry_out *e) {
  if (e->vanishes == 0) return MG_CARE_NONE;
  bool last = e->kind == MG_TASK_REPEAT ? e->losses > 0 : (e->count == 1 || c->max_requeue == 0) && e->losses >= c->max_requeue;
  return last ? MG_CARE_ALONE : MG_CARE_TELL;
}

/* The task as it travels, into message. */
static mg_err encode(mg_coordinator *c, mg_entry_out *e, mg_error *why) {
  mg_task t = {.epoch = c->epoch,
               .attempt = e->attempt,
               .care = care_of(c, e),
               .kind = e->kind,
               .first = e->first,
               .count = e->count,
               .seed = (uint64_t)c->plan->seed,
               .case_timeout_ms = c->plan->timeout_given ? c->plan->case_timeout_ms : 0,
               .memory_mb = c->plan->memory_given ? c->plan->memory_mb : 0,
               .violation_cap = c->plan->violation_cap,
               .measure = e->kind == MG_TASK_COUNT ? c->plan->measure : 0};
  memcpy(t.run, c->run, sizeof t.run);
  mg_task_id_make(t.id, e->epoch, e->seq);
  memcpy(t.fingerprint, c->plan->fingerprint, sizeof t.fingerprint);
  if (e->traced_ns != 0) memcpy(t.trace, c->config.trace, sizeof t.trace);
  (void)snprintf(t.baseline, sizeof t.baseline, "%s", c->plan->baseline == NULL ? "" : c->plan->baseline);
  (void)snprintf(t.candidate, sizeof t.candidate, "%s", c->plan->candidate);
  if (e->list != NULL || c->inputs != NULL) {
    uint32_t count = e->count;
    mg_err err = pack_cases(c, e, &count, why);
    if (err != MG_OK) return err;
    if (count < e->count && e->kind == MG_TASK_COUNT && e->original == 0) { /* the rest becomes a task of its own */
      mg_entry_out *rest = mg_ledger_add(&c->ledger, MG_TASK_COUNT, e->first + count, e->count - count, NULL);
      if (rest == NULL) return mg_fail(why, MG_NOMEM, "no memory for a task");
      c->ledger.cases -= e->count - count;
      rest->attempt = e->attempt;
      rest->losses = e->losses;
      rest->vanishes = e->vanishes;
      c->unsent = true;
    } else if (count < e->count && e->kind == MG_TASK_REPEAT) {
      mg_coord_repeats_lost(c, e, count);
    }
    e->count = t.count = count;
    t.payload = mg_buf_slice(&c->payload);
  }
  mg_buf_clear(&c->message);
  mg_task_encode(&c->message, &t);
  return c->message.failed ? mg_fail(why, MG_NOMEM, "no memory for a task") : MG_OK;
}

void mg_coord_send(mg_coordinator *c, mg_entry_out *e) {
  mg_error why = {0};
  char id[MG_TASK_MAX + 1];
  e->published = e->off_queue = e->suspect = e->begun = false;
  e->holder = -1;
  mg_coord_trace_begin(c, e);
  e->care = care_of(c, e);
  mg_err err = encode(c, e, &why);
  if (err == MG_ARG) {
    mg_coord_fault(c, "%s", why.text);
    return;
  }
  mg_task_id_make(id, e->epoch, e->seq);
  if (err == MG_OK) err = mg_link_publish(c->link, e->seq, c->run, id, e->attempt, mg_buf_slice(&c->message));
  if (err == MG_OK) mg_coord_write_task(c, e);
  e->sent_ms = err == MG_OK ? mg_now_ms() : 0;
  if (e->first_ms == 0) e->first_ms = e->sent_ms;
  e->sign_ms = e->sent_ms;
  if (err != MG_OK) c->unsent = true;
}

static void say_dispatched(mg_coordinator *c, const mg_entry_out *e) {
  char id[MG_TASK_MAX + 1];
  mg_task_id_make(id, e->epoch, e->seq);
  mg_coord_log(c, MG_SAY_ROUTINE, MG_LOG_INFO, "queue_dispatched",
               MG_FIELDS(MG_LT("task_id", id), MG_LT("queue_name", mg_options_text(c->config.options, "queue_name", NULL)), MG_LI("attempt_count", e->attempt),
                         MG_LI("cases", e->count)),
               "task %s, %u cases", id, e->count);
}

void mg_coord_published(mg_coordinator *c, uint64_t token, mg_err err, const char *text) {
  if ((token & MG_TOKEN_DEAD) != 0) {
    if (err != MG_OK) mg_coord_event(c, "dead_letter_failed", "a dead letter could not be stored: %s", text);
    return;
  }
  mg_entry_out *e = mg_ledger_find(&c->ledger, token);
  if (err == MG_OK) c->tasks_published++;
  if (e == NULL || !mg_coord_live(c)) return;
  if (err == MG_OK) {
    e->published = true;
    e->sign_ms = mg_now_ms();
    mg_coord_trace_published(c, e, NULL);
    say_dispatched(c, e);
  } else if (e->kind == MG_TASK_COUNT && e->count > 1) {
    mg_coord_trace_published(c, e, text);
    mg_coord_event(c, "queue_refused", "a task of %u cases was refused (%s) and is cut in two", e->count, text);
    mg_coord_split(c, e, false, 0);
  } else {
    mg_coord_give_up(c, e, text, false);
  }
}

/* --- new tasks --- */

static void ask_policy(mg_coordinator *c, uint64_t remaining) {
  mg_ms now = mg_now_ms();
  if (!c->plan->has_batching || now < c->next_lua_ms) return;
  c->next_lua_ms = now + LUA_EVERY_MS;
  mg_batching_view view = {.remaining = remaining,
                           .outstanding = c->ledger.cases,
                           .executors = mg_coord_executors(c),
                           .batch = c->batching.batch,
                           .case_seconds = c->batching.case_seconds,
                           .round_trip_seconds = c->batching.round_trip_seconds};
  uint32_t batch;
  mg_error e = {0};
  if (mg_plan_batching(c->plan, &view, &batch, &e) != MG_OK)
    mg_coord_fault(c, "%s", e.text);
  else
    mg_batching_set(&c->batching, batch);
}

static void cut(mg_coordinator *c) {
  while (c->phase == MG_PHASE_RUNNING && !c->paused && c->next_case < c->planned && mg_link_backlog(c->link) < LINK_BACKLOG_MAX) {
    uint64_t remaining = c->planned - c->next_case;
    ask_policy(c, remaining);
    if (c->phase != MG_PHASE_RUNNING) return;
    uint32_t executors = mg_coord_executors(c);
    uint64_t limit = mg_batching_limit(&c->batching, executors), n = mg_batching_next(&c->batching, remaining, executors);
    if (c->ledger.cases + n > limit) {
      if (c->ledger.cases > 0) return;
      n = n < limit ? n : limit;
    }
    uint64_t room = mg_coord_room(c, c->next_case);
    if (n > room) n = room;
    mg_entry_out *e = mg_ledger_add(&c->ledger, MG_TASK_COUNT, c->next_case, (uint32_t)n, NULL);
    if (e == NULL) return;
    uint64_t asked = e->count;
    mg_coord_send(c, e);
    c->next_case += asked; /* what did not fit is in the ledger, in an entry of its own */
    c->dispatched_cases += asked;
  }
}

static void send_unsent(mg_coordinator *c) {
  if (!c->unsent) return;
  c->unsent = false;
  for (mg_entry_out *e = c->ledger.oldest; e != NULL && mg_coord_live(c); e = e->next) {
    if (e->sent_ms == 0 && mg_link_backlog(c->link) < LINK_BACKLOG_MAX)
      mg_coord_send(c, e);
    else if (e->sent_ms == 0)
      c->unsent = true;
  }
}

void mg_coord_dispatch(mg_coordinator *c) {
  if (!mg_coord_live(c)) return;
  if (c->resumed) mg_coord_resume_repeats(c);
  c->resumed = false;
  mg_coord_look(c);
  send_unsent(c);
  if (!mg_coord_behind(c)) cut(c);
  if (c->phase != MG_PHASE_RUNNING || c->next_case < c->planned || c->ledger.count > 0 || c->paused) return;
  /* Nothing is out: every case is counted or lost, unless an entry went without either. */
  uint64_t first, count, from = 0;
  while (mg_case_set_gap(&c->counted, from, c->planned, &first, &count)) {
    uint64_t lost = 0;
    for (size_t i = 0; i < c->lost_count; i++) {
      const mg_lost_range *l = &c->lost[i];
      if (l->first <= first && first < l->first + l->count && l->first + l->count - first > lost) lost = l->first + l->count - first;
    }
    if (lost > 0) {
      from = first + lost;
      continue;
    }
    for (size_t i = 0; i < c->lost_count; i++) {
      if (c->lost[i].first > first && c->lost[i].first - first < count) count = c->lost[i].first - first;
    }
    uint64_t room = mg_coord_room(c, first);
    if (count > room) count = room;
    uint32_t n = count < c->batching.batch ? (uint32_t)count : c->batching.batch;
    mg_entry_out *e = mg_ledger_add(&c->ledger, MG_TASK_COUNT, first, n, NULL);
    if (e == NULL) return;
    mg_coord_send(c, e);
    from = first + n;
  }
  if (c->ledger.count == 0 && c->phase == MG_PHASE_RUNNING) mg_coord_begin_repeats(c);
}

/* --- again --- */

void mg_coord_cancel(mg_coordinator *c, const mg_entry_out *e) {
  if (e->sent_ms == 0) return;
  if (c->cancel_count == c->cancel_cap) {
    size_t cap = c->cancel_cap == 0 ? 16 : 2 * c->cancel_cap;
    const char **grown = realloc(c->cancelled, cap * sizeof *grown);
    if (grown == NULL) return;
    c->cancelled = grown;
    c->cancel_cap = cap;
  }
  char id[MG_TASK_MAX + 1];
  mg_task_id_make(id, e->epoch, e->seq);
  char *copy = strdup(id);
  if (copy != NULL) c->cancelled[c->cancel_count++] = copy;
}

/* The last ones are told again with each that comes: the control replaces the one before. */
static void tell_dropped(mg_coordinator *c) {
  mg_control *d = &c->gone;
  d->kind = MG_TASKS_DROPPED;
  memcpy(d->subject, c->run, sizeof c->run);
  for (size_t i = 0; i < c->cancel_count; i++) {
    if (d->task_count == MG_CONTROL_TASKS) memmove(d->tasks[0], d->tasks[1], sizeof d->tasks[0] * --d->task_count);
    (void)snprintf(d->tasks[d->task_count++], sizeof d->tasks[0], "%s", c->cancelled[i]);
  }
  mg_link_control(c->link, d, DROPPED_TTL_MS);
}

void mg_coord_flush_cancels(mg_coordinator *c) {
  if (c->cancel_count == 0) return;
  if ((c->capabilities & MG_CAP_RECLAIM) == 0)
    tell_dropped(c);
  else
    mg_link_reclaim(c->link, c->phase == MG_PHASE_DRAINING ? MG_TOKEN_DRAIN : MG_TOKEN_CANCEL, c->run, NULL, c->cancelled, c->cancel_count);
  for (size_t i = 0; i < c->cancel_count; i++) free((void *)(uintptr_t)c->cancelled[i]);
  c->cancel_count = 0;
}

void mg_coord_sweep(mg_coordinator *c) {
  if (!c->swept) return;
  c->swept = false;
  for (mg_entry_out *e = c->ledger.oldest, *next; e != NULL; e = next) {
    next = e->next;
    if (e->kind != MG_TASK_COUNT || mg_case_set_within(&c->counted, e->first, e->count) < e->count) continue;
    mg_coord_cancel(c, e);
    mg_coord_trace_end(c, e, NULL, NULL);
    mg_ledger_answer(&c->ledger, e, NULL);
  }
}

void mg_coord_count_requeue(mg_coordinator *c, const char *id, uint32_t cases, uint32_t attempt, const char *why) {
  c->requeued_tasks++;
  c->requeued_cases += cases;
  mg_coord_log(c, MG_SAY_EVENT, MG_LOG_WARN, "queue_requeued",
               MG_FIELDS(MG_LT("task_id", id), MG_LT("reason", why), MG_LI("attempt_count", attempt), MG_LI("cases", cases)),
               "task %s, %u cases, attempt %u: %s", id, cases, attempt, why);
}

static void count_requeue(mg_coordinator *c, const mg_entry_out *e, const char *why) {
  char id[MG_TASK_MAX + 1];
  mg_task_id_make(id, e->epoch, e->seq);
  mg_coord_count_requeue(c, id, e->count, e->attempt, why);
}

void mg_coord_again(mg_coordinator *c, mg_entry_out *e, const char *why) {
  if (c->phase == MG_PHASE_DRAINING) {
    mg_coord_trace_end(c, e, NULL, why);
    mg_ledger_remove(&c->ledger, e);
    return;
  }
  if ((c->capabilities & MG_CAP_RECLAIM) == 0) e->attempt++; /* the message before may be about still: this is another one */
  count_requeue(c, e, why);
  mg_coord_send(c, e);
}

void mg_coord_missing(mg_coordinator *c, mg_entry_out *e) {
  char id[MG_TASK_MAX + 1];
  mg_task_id_make(id, e->epoch, e->seq);
  if (++e->missing > MISSING_MAX)
    mg_coord_fault(c, "task %s went from the queue %u times without an answer: workers of another version, or another program, take this run's tasks and drop them",
                   id, e->missing);
  else
    mg_coord_again(c, e, "the broker no longer has it");
}

static mg_entry_out *piece(mg_coordinator *c, const mg_entry_out *of, uint64_t first, uint64_t count) {
  mg_entry_out *e = mg_ledger_add(&c->ledger, MG_TASK_COUNT, first, (uint32_t)count, NULL);
  if (e == NULL) return NULL;
  e->attempt = of->attempt;
  e->losses = of->losses > 0 ? 1 : 0; /* one more loss and it is cut again */
  e->vanishes = of->vanishes;
  e->candidate_ran = of->candidate_ran;
  e->first_ms = of->first_ms;
  return e;
}

/* What of first .. end - 1 is not counted. */
static void send_pieces(mg_coordinator *c, const mg_entry_out *of, uint64_t first, uint64_t end) {
  uint64_t at, count;
  while (first < end && mg_case_set_gap(&c->counted, first, end, &at, &count)) {
    mg_entry_out *e = piece(c, of, at, count);
    if (e == NULL) return;
    mg_coord_send(c, e);
    first = at + count;
  }
}

/* The same, none longer than half of what it was: the case that was named last may not be the one. */
static void send_halves(mg_coordinator *c, const mg_entry_out *of, uint64_t first, uint64_t end) {
  uint64_t half = (of->count + 1) / 2;
  for (; end - first > half; first += half) send_pieces(c, of, first, first + half);
  send_pieces(c, of, first, end);
}

/* A broker that hands out by itself may still have it: whoever gets it is to drop it. */
static void let_go(mg_coordinator *c, const mg_entry_out *e) {
  if ((c->capabilities & MG_CAP_RECLAIM) == 0) mg_coord_cancel(c, e);
}

void mg_coord_split(mg_coordinator *c, mg_entry_out *e, bool alone, uint64_t at) {
  mg_entry_out of = *e;
  uint64_t end = of.first + of.count;
  mg_coord_trace_end(c, e, NULL, "cut into smaller tasks");
  mg_coord_write_gone(c, e);
  let_go(c, e);
  mg_ledger_answer(&c->ledger, e, NULL); /* a late answer still says which cases it was about */
  if (c->phase == MG_PHASE_DRAINING) return;
  if (alone && at >= of.first && at < end) {
    send_pieces(c, &of, at, at + 1);
    send_halves(c, &of, of.first, at);
    send_halves(c, &of, at + 1, end);
  } else {
    send_halves(c, &of, of.first, end);
  }
}

void mg_coord_rest(mg_coordinator *c, mg_entry_out *e) {
  mg_entry_out of = *e;
  mg_coord_trace_end(c, e, NULL, "answered in part; the rest goes on in another task");
  mg_coord_write_gone(c, e);
  if (e->attempt > 1) let_go(c, e);
  mg_ledger_answer(&c->ledger, e, NULL);
  if (c->phase != MG_PHASE_DRAINING) send_pieces(c, &of, of.first, of.first + of.count);
}

/* Where the broker has given it to somebody who lives, there is nothing to send. */
static void again_unless(mg_coordinator *c, mg_entry_out *e, bool elsewhere, const char *why) {
  if (elsewhere)
    count_requeue(c, e, why);
  else
    mg_coord_again(c, e, why);
}

/* It has it alone. Where messages without that care may be about, it is another task that has it, and who gets one of those drops it. */
static void last_chance(mg_coordinator *c, mg_entry_out *e, const char *why) {
  mg_entry_out of = *e, *next = e;
  if ((c->capabilities & MG_CAP_RECLAIM) == 0 && e->kind == MG_TASK_COUNT) {
    mg_coord_trace_end(c, e, NULL, why);
    let_go(c, e);
    mg_coord_write_gone(c, e);
    mg_ledger_answer(&c->ledger, e, NULL);
    next = piece(c, &of, of.first, of.count);
    if (next == NULL) return; /* found as a gap at the end, and sent again */
  }
  next->losses = c->max_requeue;
  mg_coord_again(c, next, why);
}

void mg_coord_vanished(mg_coordinator *c, mg_entry_out *e, bool begun, bool elsewhere, const char *why) {
  e->vanishes++;
  if (!c->enable_requeue) {
    mg_coord_give_up(c, e, "its worker vanished and enable_requeue is false", false);
    return;
  }
  if (!begun) {
    if (++e->unbegun > UNBEGUN_MAX)
      mg_coord_fault(c, "%u workers in a row vanished before they began a task they held: it is not its cases that end them", e->unbegun);
    else
      again_unless(c, e, elsewhere, why);
    return;
  }
  bool alone = e->care == MG_CARE_ALONE;
  e->unbegun = 0;
  e->losses++;
  if ((c->capabilities & MG_CAP_RECLAIM) != 0) e->attempt++;
  mg_entry_out *other = mg_ledger_find(&c->ledger, e->copy != 0 ? e->copy : e->original);
  if (other != NULL) { /* one of them goes on, and knows */
    if (other->losses < e->losses) other->losses = e->losses;
    other->vanishes++;
    let_go(c, e);
    mg_ledger_answer(&c->ledger, e, NULL);
    return;
  }
  if (e->kind == MG_TASK_REPEAT) {
    if (e->losses > 1)
      mg_coord_give_up(c, e, why, false);
    else
      again_unless(c, e, elsewhere, why);
  } else if (e->count > 1 && e->losses >= 2 && c->max_requeue > 0) {
    count_requeue(c, e, why);
    mg_coord_split(c, e, e->begun, e->at_case);
  } else if (e->losses > c->max_requeue && !alone && c->max_requeue > 0) {
    last_chance(c, e, why);
  } else if (e->losses > c->max_requeue) {
    mg_coord_give_up(c, e, why, true);
  } else {
    again_unless(c, e, elsewhere, why);
  }
}

void mg_coord_lose_range(mg_coordinator *c, uint64_t first, uint64_t count, bool candidate_ran) {
  if (c->lost_count == c->lost_cap) {
    size_t cap = c->lost_cap == 0 ? 16 : 2 * c->lost_cap;
    mg_lost_range *grown = realloc(c->lost, cap * sizeof *grown);
    if (grown == NULL) return; /* found as a gap at the end, and sent again */
    c->lost = grown;
    c->lost_cap = cap;
  }
  c->lost[c->lost_count++] = (mg_lost_range){first, count, candidate_ran};
  mg_coord_write_lost(c, &c->lost[c->lost_count - 1]);
}

void mg_coord_give_up(mg_coordinator *c, mg_entry_out *e, const char *why, bool bury) {
  char id[MG_TASK_MAX + 1];
  mg_task_id_make(id, e->epoch, e->seq);
  mg_coord_trace_end(c, e, NULL, why);
  let_go(c, e);
  if (e->kind == MG_TASK_REPEAT) {
    mg_coord_repeats_lost(c, e, 0);
    mg_ledger_remove(&c->ledger, e);
    return;
  }
  mg_coord_write_gone(c, e);
  if (e->copy != 0 || e->original != 0) { /* the other one carries on */
    mg_ledger_answer(&c->ledger, e, NULL);
    return;
  }
  mg_error ignored;
  if (bury) {
    c->dead_lettered++;
    if (c->can_bury && encode(c, e, &ignored) == MG_OK) {
      (void)mg_link_publish_dead(c->link, MG_TOKEN_DEAD, c->run, id, e->attempt, mg_buf_slice(&c->message), why);
    }
  }
  uint64_t first, count, end = e->first + e->count;
  for (uint64_t at = e->first; at < end && mg_case_set_gap(&c->counted, at, end, &first, &count); at = first + count) {
    mg_coord_lose_range(c, first, count, e->candidate_ran && e->losses > 0);
  }
  mg_coord_log(c, MG_SAY_NOTE, MG_LOG_WARN, bury ? "task_dead_lettered" : "cases_lost",
               MG_FIELDS(MG_LT("task_id", id), MG_LT("reason", why), MG_LI("attempt_count", e->attempt > 1 ? e->attempt - 1 : 1), MG_LI("first_case", e->first),
                         MG_LI("cases", e->count)),
               "cases %" PRIu64 " to %" PRIu64 " are lost after %u attempt%s: %s", e->first, end - 1, e->attempt > 1 ? e->attempt - 1 : 1,
               e->attempt > 2 ? "s" : "", why);
  mg_ledger_answer(&c->ledger, e, NULL);
}

/* --- copies --- */

void mg_coord_copy(mg_coordinator *c, mg_entry_out *e) {
  if (e->copy != 0 || e->original != 0 || e->kind != MG_TASK_COUNT || !mg_coord_live(c)) return;
  mg_entry_out *copy = mg_ledger_add(&c->ledger, e->kind, e->first, e->count, NULL);
  if (copy == NULL) return;
  mg_ledger_pair(&c->ledger, copy, e);
  copy->losses = e->losses;
  copy->attempt = e->attempt;
  copy->vanishes = e->vanishes;
  copy->candidate_ran = e->candidate_ran;
  c->hedges++;
  mg_coord_send(c, copy);
}

void mg_coord_hedge(mg_coordinator *c, mg_ms now) {
  if (!c->plan->hedge || c->phase != MG_PHASE_RUNNING || c->next_case < c->planned || c->ledger.count == 0) return;
  uint32_t executors = mg_coord_executors(c);
  if (c->ledger.count >= executors) return;
  size_t idle = executors - c->ledger.count;
  for (mg_entry_out *e = c->ledger.oldest, *next; e != NULL && idle > 0; e = next) {
    next = e->next;
    if (e->copy != 0 || e->original != 0 || !e->published || e->kind != MG_TASK_COUNT) continue;
    double expected = 1000 * (c->batching.case_seconds * e->count + c->batching.round_trip_seconds);
    mg_ms patience = HEDGE_MIN_MS + (mg_ms)c->plan->case_timeout_ms;
    if (patience < (mg_ms)(HEDGE_FACTOR * expected)) patience = (mg_ms)(HEDGE_FACTOR * expected);
    if (now - e->sent_ms < patience) continue;
    char id[MG_TASK_MAX + 1];
    mg_task_id_make(id, e->epoch, e->seq);
    mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "task_hedged", MG_FIELDS(MG_LT("task_id", id), MG_LI("cases", e->count)),
                 "a straggler of %u cases is sent a second time after %.1f s", e->count, (double)(now - e->sent_ms) / 1000);
    mg_coord_copy(c, e);
    idle--;
  }
}
