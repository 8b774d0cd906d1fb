/* What the coordinator writes down, and the results that wait for it. */
#include "dispatch/coordinator_internal.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTS_EVERY_MS = 1000, RANGES = 64, WAITING_BYTES_MAX = 64 << 20 };

static bool writes(const mg_coordinator *c) { return c->journal != NULL && !c->replaying; }

static void put(mg_coordinator *c, const mg_record *r, uint64_t cases) { c->last_put = mg_journal_put(c->journal, r, cases); }

/* --- records --- */

void mg_coord_write_task(mg_coordinator *c, mg_entry_out *e) {
  /* A copy is forgotten with its coordinator: what it is a copy of is known. */
  if (!writes(c) || e->kind != MG_TASK_COUNT || e->original != 0) return;
  if (e->noted_attempt == e->attempt && e->noted_losses == e->losses) return;
  e->noted_attempt = e->attempt;
  e->noted_losses = e->losses;
  put(c,
      &(mg_record){.kind = MG_RECORD_TASK, .epoch = e->epoch, .seq = e->seq, .first = e->first, .count = e->count, .attempt = e->attempt, .losses = e->losses},
      0);
}

void mg_coord_write_gone(mg_coordinator *c, const mg_entry_out *e) {
  if (!writes(c) || e->noted_attempt == 0) return;
  put(c, &(mg_record){.kind = MG_RECORD_GONE, .seq = e->seq}, 0);
}

void mg_coord_write_result(mg_coordinator *c, uint64_t first, uint32_t count) {
  mg_case_range few[RANGES], *ranges = few;
  uint64_t end = first + count, cases = 0, at = first;
  size_t n = 0, cap = RANGES;
  if (!writes(c)) return;
  for (mg_case_range r; at < end && mg_case_set_gap(&c->counted, at, end, &r.first, &r.count); at = r.first + r.count) {
    if (n == cap) {
      mg_case_range *grown = realloc(ranges == few ? NULL : ranges, 2 * cap * sizeof *grown);
      if (grown == NULL) {
        mg_coord_fail(c, "no memory for the journal");
        break;
      }
      if (ranges == few) memcpy(grown, few, sizeof few);
      ranges = grown;
      cap *= 2;
    }
    ranges[n++] = r;
    cases += r.count;
  }
  put(c, &(mg_record){.kind = MG_RECORD_RESULT, .seq = c->arriving_seq, .first = first, .ranges = ranges, .range_count = n, .body = c->arriving}, cases);
  if (ranges != few) free(ranges);
}

void mg_coord_write_repeat(mg_coordinator *c, const uint64_t *cases, uint32_t count) {
  if (!writes(c) || count == 0) return;
  mg_case_range *ranges = malloc(count * sizeof *ranges);
  if (ranges == NULL) return; /* they run again */
  for (uint32_t i = 0; i < count; i++) ranges[i] = (mg_case_range){cases[i], 1};
  put(c, &(mg_record){.kind = MG_RECORD_REPEAT, .ranges = ranges, .range_count = count, .body = c->arriving}, 0);
  free(ranges);
}

void mg_coord_write_lost(mg_coordinator *c, const mg_lost_range *l) {
  if (writes(c)) put(c, &(mg_record){.kind = MG_RECORD_LOST, .first = l->first, .count = l->count, .flag = l->candidate_ran}, 0);
}

void mg_coord_write_note(mg_coordinator *c, const char *text) {
  if (writes(c)) put(c, &(mg_record){.kind = MG_RECORD_NOTE, .body = mg_slice_of(text)}, 0);
}

static void write_counts(mg_coordinator *c) {
  mg_record now = {.kind = MG_RECORD_COUNTS,
                   .counts = {c->dispatched_cases, c->tasks_published, c->tasks_done, c->requeued_tasks, c->requeued_cases, c->repeats_dropped,
                              c->dead_lettered, c->bad_messages, c->hedges, c->reconnects + mg_link_reconnects(c->link)},
                   .count_count = 10};
  if (!writes(c) || memcmp(now.counts, c->counts.counts, sizeof now.counts) == 0) return;
  c->counts = now;
  put(c, &now, 0);
}

void mg_coord_write_counts(mg_coordinator *c, mg_ms now) {
  if (now < c->next_counts_ms) return;
  c->next_counts_ms = now + COUNTS_EVERY_MS;
  write_counts(c);
}

/* --- results that wait --- */

static void release(mg_coordinator *c, uint64_t durable) {
  while (c->later_count > 0 && c->later[c->later_at].number <= durable) {
    mg_link_settle_result(c->link, c->later[c->later_at].token);
    c->later_at = (c->later_at + 1) % c->later_cap;
    c->later_count--;
  }
}

static bool make_room(mg_coordinator *c) {
  if (c->later_count < c->later_cap) return true;
  size_t cap = c->later_cap == 0 ? 1024 : 2 * c->later_cap;
  struct mg_settle_later *grown = malloc(cap * sizeof *grown);
  if (grown == NULL) return false;
  for (size_t i = 0; i < c->later_count; i++) grown[i] = c->later[(c->later_at + i) % c->later_cap];
  free(c->later);
  c->later = grown;
  c->later_cap = cap;
  c->later_at = 0;
  return true;
}

void mg_coord_settle(mg_coordinator *c, uint64_t token) {
  if (c->failed != NULL && mg_coord_resumable(c)) return; /* what was not recorded stays for who resumes the run */
  if (c->journal == NULL || !mg_coord_live(c) || (c->later_count == 0 && mg_journal_durable(c->journal) >= c->last_put)) {
    mg_link_settle_result(c->link, token);
    return;
  }
  if (!make_room(c)) return; /* the broker brings it again */
  c->later[(c->later_at + c->later_count) % c->later_cap] = (struct mg_settle_later){c->last_put, token};
  c->later_count++;
}

static void on_durable(uv_async_t *async) {
  mg_coordinator *c = async->data;
  mg_error e;
  if (c->phase == MG_PHASE_OVER) return;
  if (mg_journal_failed(c->journal, &e)) {
    mg_coord_fail(c, e.text);
    return;
  }
  const char *why = mg_journal_given_up(c->journal);
  if (why != NULL && !c->told_given_up) mg_coord_event(c, "journal_given_up", "this run cannot be resumed: %s", why);
  c->told_given_up = why != NULL;
  release(c, mg_journal_durable(c->journal));
}

static void wake(void *owner) { (void)uv_async_send(&((mg_coordinator *)owner)->durable); }

void mg_coord_journal_open(mg_coordinator *c) {
  if (c->journal == NULL) return;
  (void)uv_async_init(c->loop, &c->durable, on_durable);
  c->durable.data = c;
  c->handles++;
  mg_journal_wake(c->journal, wake, c);
}

bool mg_coord_behind(const mg_coordinator *c) {
  mg_journal_lag lag;
  if (c->later_count == 0 || c->journal == NULL) return false;
  mg_journal_lag_of(c->journal, &lag);
  return lag.waiting_bytes > WAITING_BYTES_MAX;
}

bool mg_coord_resumable(const mg_coordinator *c) { return c->failed != NULL && c->journal != NULL && mg_journal_path(c->journal) != NULL; }

void mg_coord_journal_end(mg_coordinator *c) {
  mg_error e;
  if (c->journal == NULL) return;
  if (c->interrupted) put(c, &(mg_record){.kind = MG_RECORD_CLEARED}, 0);
  write_counts(c);
  if (mg_journal_sync(c->journal, &e) == MG_OK)
    release(c, UINT64_MAX);
  else if (c->failed == NULL)
    c->failed = strdup(e.text);
}
