/* How a coordinator comes back to where an earlier one was: the journal's records once more, then what is out and what is missing. */
#include "dispatch/coordinator_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- cases that ran again --- */

static mg_err know_repeats(mg_coordinator *c, const mg_record *record, mg_error *e) {
  mg_result r;
  size_t at = 0;
  mg_err err = mg_result_decode(&r, record->body, e);
  if (err == MG_OK && r.count != record->range_count) err = mg_fail(e, MG_FATAL, "%u repeats where %zu cases are named", r.count, record->range_count);
  if (err == MG_OK && c->known_count + r.count > c->known_cap) {
    size_t cap = 2 * c->known_cap + r.count;
    struct mg_known *grown = realloc(c->known, cap * sizeof *grown);
    if (grown == NULL) err = mg_fail(e, MG_NOMEM, "memory ended");
    if (grown != NULL) c->known = grown;
    if (grown != NULL) c->known_cap = cap;
  }
  for (uint32_t i = 0; err == MG_OK && i < r.count; i++) {
    mg_first f = mg_coord_case_of(&r, 0, i, &at);
    f.case_number = record->ranges[i].first;
    c->known[c->known_count] = (struct mg_known){.again = f, .order = c->known_count};
    c->known_count++;
  }
  mg_result_fini(&r);
  return err;
}

static int by_case(const void *a, const void *b) {
  const struct mg_known *x = a, *y = b;
  if (x->again.case_number != y->again.case_number) return x->again.case_number < y->again.case_number ? -1 : 1;
  return (x->order > y->order) - (x->order < y->order);
}

bool mg_coord_known_repeat(mg_coordinator *c, uint64_t case_number, mg_first *out) {
  size_t low = 0, high = c->known_count; /* the first of the case */
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (c->known[middle].again.case_number < case_number)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < c->known_count && c->known[low].again.case_number == case_number; low++) {
    if (c->known[low].used) continue;
    c->known[low].used = true;
    *out = c->known[low].again;
    return true;
  }
  return false;
}

/* --- records --- */

static void know_task(mg_coordinator *c, const mg_record *r) {
  mg_entry_out *e = mg_ledger_find(&c->ledger, r->seq);
  if (e == NULL) e = mg_ledger_restore(&c->ledger, r->epoch, r->seq, r->first, (uint32_t)r->count);
  if (e == NULL) return; /* its cases are found missing */
  e->attempt = e->noted_attempt = r->attempt;
  e->losses = e->noted_losses = r->losses;
}

static void forget_task(mg_coordinator *c, uint64_t seq, bool if_counted) {
  mg_entry_out *e = mg_ledger_find(&c->ledger, seq);
  if (e == NULL || (if_counted && mg_case_set_within(&c->counted, e->first, e->count) < e->count)) return;
  mg_ledger_answer(&c->ledger, e, NULL);
}

static void forget_all(mg_coordinator *c) {
  while (c->ledger.oldest != NULL) mg_ledger_remove(&c->ledger, c->ledger.oldest);
}

static void know_counts(mg_coordinator *c, const mg_record *r) {
  uint64_t *const places[] = {&c->dispatched_cases, &c->tasks_published, &c->tasks_done,   &c->requeued_tasks, &c->requeued_cases,
                              &c->repeats_dropped,  &c->dead_lettered,   &c->bad_messages, &c->hedges};
  for (size_t i = 0; i < sizeof places / sizeof places[0] && i < r->count_count; i++) *places[i] = r->counts[i];
  if (r->count_count > 9) c->reconnects = (uint32_t)r->counts[9];
  c->counts = *r;
  c->counts.body = (mg_slice){0};
}

static void know_note(mg_coordinator *c, const mg_record *r) {
  char text[700];
  size_t n = r->body.len < sizeof text ? r->body.len : sizeof text - 1;
  memcpy(text, r->body.data, n);
  text[n] = '\0';
  for (size_t i = 0; i < c->note_count; i++) {
    if (strcmp(c->notes[i], text) == 0) return;
  }
  char *copy = c->note_count < MG_NOTES_MAX ? strdup(text) : NULL;
  if (copy != NULL) c->notes[c->note_count++] = copy;
}

static mg_err take(void *owner, const mg_record *r, mg_error *e) {
  mg_coordinator *c = owner;
  mg_err err = MG_OK;
  uint64_t end = r->first + r->count;
  bool cases = r->kind == MG_RECORD_TASK || r->kind == MG_RECORD_LOST;
  if (cases && (r->count == 0 || end > c->planned || end < r->first)) return mg_fail(e, MG_FATAL, "cases that the run does not have");
  switch (r->kind) {
  case MG_RECORD_TASK: know_task(c, r); break;
  case MG_RECORD_GONE: forget_task(c, r->seq, false); break;
  case MG_RECORD_RESULT:
    err = mg_coord_recount(c, r, e);
    forget_task(c, r->seq, true);
    break;
  case MG_RECORD_REPEAT: err = know_repeats(c, r, e); break;
  case MG_RECORD_LOST: mg_coord_lose_range(c, r->first, r->count, r->flag); break;
  case MG_RECORD_NOTE: know_note(c, r); break;
  case MG_RECORD_COUNTS: know_counts(c, r); break;
  case MG_RECORD_CLEARED: forget_all(c); break;
  default: break;
  }
  if (cases && end > c->next_case) c->next_case = end;
  for (size_t i = 0; r->kind == MG_RECORD_RESULT && i < r->range_count; i++) {
    if (r->ranges[i].first + r->ranges[i].count > c->next_case) c->next_case = r->ranges[i].first + r->ranges[i].count;
  }
  if (err == MG_OK && c->failed != NULL) err = mg_fail(e, MG_FATAL, "%s", c->failed);
  return err;
}

/* --- what is out, what is missing --- */

/* Tasks of earlier coordinators are taken to be where they were left, until the broker or the workers' silence says otherwise: probes soon, where the
 * broker knows; elsewhere once the beats had time to name what workers hold. */
static void restore_out(mg_coordinator *c) {
  mg_ms now = mg_now_ms(), patience = (c->capabilities & MG_CAP_RECLAIM) != 0 ? 0 : 2 * c->beat_ms + 2 * c->check_ms;
  for (mg_entry_out *e = c->ledger.oldest, *next; e != NULL; e = next) {
    next = e->next;
    if (mg_case_set_within(&c->counted, e->first, e->count) == e->count) {
      mg_ledger_answer(&c->ledger, e, NULL);
      continue;
    }
    e->published = true;
    e->sent_ms = e->first_ms = now;
    e->sign_ms = now - c->lease_ms + patience;
  }
}

static bool send_gap(mg_coordinator *c, uint64_t first, uint64_t end) {
  while (first < end) {
    uint64_t n = end - first, room = mg_coord_room(c, first);
    if (n > c->batching.batch) n = c->batching.batch;
    if (n > room) n = room;
    if (mg_ledger_add(&c->ledger, MG_TASK_COUNT, first, (uint32_t)n, NULL) == NULL) return false;
    c->unsent = true;
    first += n;
  }
  return true;
}

/* Cases below next_case that are neither counted nor lost nor in a task. */
static bool send_missing(mg_coordinator *c) {
  mg_case_set known = {0};
  uint64_t ignored, first, count, at, n;
  bool ok = true;
  for (const mg_entry_out *e = c->ledger.oldest; e != NULL && ok; e = e->next) ok = mg_case_set_add(&known, e->first, e->count, &ignored);
  for (size_t i = 0; i < c->lost_count && ok; i++) ok = mg_case_set_add(&known, c->lost[i].first, c->lost[i].count, &ignored);
  for (uint64_t from = 0; ok && mg_case_set_gap(&c->counted, from, c->next_case, &first, &count); from = first + count) {
    for (uint64_t inner = first; ok && mg_case_set_gap(&known, inner, first + count, &at, &n); inner = at + n) ok = send_gap(c, at, at + n);
  }
  mg_case_set_fini(&known);
  return ok;
}

mg_err mg_coord_replay(mg_coordinator *c, mg_error *e) {
  c->replaying = true;
  mg_err err = mg_journal_read(c->journal, take, c, e);
  c->replaying = false;
  if (err != MG_OK) return err;
  if (c->known_count > 0) qsort(c->known, c->known_count, sizeof *c->known, by_case);
  c->resumed = true;
  if ((c->capabilities & MG_CAP_SHARED) == 0) forget_all(c); /* they went with the process */
  restore_out(c);
  return send_missing(c) ? MG_OK : mg_fail(e, MG_NOMEM, "no memory for the tasks of a resumed run");
}
