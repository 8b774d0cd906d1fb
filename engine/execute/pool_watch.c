/* The watchdog: who has been in one phase for too long. It samples the sequence numbers of the slots; it never asks. */
#include "execute/pool_internal.h"

#include <stdio.h>

static uint32_t grace_ms(uint32_t timeout_ms) {
  uint32_t grace = timeout_ms / 4;
  return grace < 200 ? 200 : grace > 2000 ? 2000 : grace;
}

void mg_pool_watch(mg_pool *p, uint64_t period_ms) {
  if (p->watching && p->watch_ms <= period_ms) return;
  if (!p->watching) p->last_tick = mg_now_ms();
  p->watching = true;
  p->watch_ms = period_ms;
  (void)uv_timer_start(&p->watch, mg_pool_on_tick, period_ms, period_ms);
}

void mg_pool_watch_begin(mg_seat *s) {
  s->seen_seq = atomic_load(&mg_proc_slot(s->proc)->seq);
  s->since = mg_now_ms();
  s->overlapped = false;
  s->signalled_at = 0;
}

static void end_seat(mg_seat *s, mg_death_kind kind, uint64_t seq) {
  s->killed = true;
  s->kill_kind = kind;
  s->hung_seq = seq;
  mg_proc_kill(s->proc);
}

static bool is_case(uint32_t phase) { return phase == MG_PHASE_GENERATE || phase == MG_PHASE_BASELINE || phase == MG_PHASE_CANDIDATE; }

static void look_at(mg_seat *s, mg_ms now, mg_ms gap) {
  mg_slot *slot = mg_proc_slot(s->proc);
  uint64_t seq = atomic_load(&slot->seq);
  uint32_t phase = atomic_load(&slot->phase);
  if (gap > 0) {
    s->overlapped = true;
    s->since += gap;
    if (s->signalled_at != 0) s->signalled_at += gap;
  }
  if (seq != s->seen_seq) {
    s->seen_seq = seq;
    s->since = now;
    s->signalled_at = 0;
    s->overlapped = gap > 0; /* it may have begun anywhere in the gap */
    return;
  }
  bool in_case = s->state == MG_SEAT_BUSY && is_case(phase);
  uint32_t limit_ms = in_case ? s->bundle->jobs[0]->task.case_timeout_ms : s->pool->config.load_timeout_ms;
  if (s->signalled_at != 0) {
    if (now - s->signalled_at >= grace_ms(limit_ms)) end_seat(s, MG_DEATH_HUNG, seq);
    return;
  }
  if (now - s->since < limit_ms) return;
  if (s->overlapped) {
    end_seat(s, MG_DEATH_INNOCENT, seq);
  } else if (in_case) {
    atomic_store(&slot->kill_seq, seq);
    s->signalled_at = now;
    mg_proc_signal(s->proc);
  } else {
    (void)snprintf(s->said, sizeof s->said, "%s %s did not end within %u ms", phase == MG_PHASE_LOAD ? "loading" : "an executor of", s->pool->config.script,
                   limit_ms);
    end_seat(s, MG_DEATH_HUNG, seq);
  }
}

void mg_pool_on_tick(uv_timer_t *t) {
  mg_pool *p = t->data;
  mg_ms now = mg_now_ms(), gap = now - p->last_tick;
  if (gap <= MG_POOL_GAP_MS) gap = 0;
  p->last_tick = now;
  bool needed = p->closing;
  for (int i = 0; i < p->config.executors; i++) {
    mg_seat *s = &p->seats[i];
    if (s->proc != NULL && (p->closing || s->state != MG_SEAT_IDLE)) {
      if (p->closing && now >= p->close_by) mg_proc_kill(s->proc);
      mg_proc_reap(s->proc); /* SIGCHLD tells mostly, but a stopped loop may have missed one */
    }
    if (p->closing) continue;
    if (s->state == MG_SEAT_DOWN && now >= s->restart_at) mg_pool_start_seat(s);
    if (s->proc != NULL && !s->killed && (s->state == MG_SEAT_BUSY || s->state == MG_SEAT_STARTING)) look_at(s, now, gap);
    if (s->state != MG_SEAT_IDLE && s->state != MG_SEAT_LOCKED) needed = true;
  }
  if (!needed) {
    p->watching = false;
    (void)uv_timer_stop(&p->watch);
  }
}
