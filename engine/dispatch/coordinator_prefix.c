/* Early stopping: the rule looks at prefixes of the case order whose lengths the plan fixes, so who was fast decides nothing. */
#include "dispatch/coordinator_internal.h"

#include <inttypes.h>
#include <stdlib.h>

bool mg_coord_sequential(const mg_coordinator *c) { return c->plan->stop.plan.kind != MG_STOP_FIXED; }

static bool add_part(mg_coordinator *c, uint64_t end) {
  if (c->part_count == c->part_cap) {
    size_t cap = c->part_cap == 0 ? 16 : 2 * c->part_cap;
    mg_part *grown = realloc(c->parts, cap * sizeof *grown);
    if (grown == NULL) return false;
    c->parts = grown;
    c->part_cap = cap;
  }
  c->parts[c->part_count++] = (mg_part){.end = end};
  return true;
}

mg_part *mg_coord_part(mg_coordinator *c, uint64_t first) {
  if (!mg_coord_sequential(c)) return &c->total;
  for (;;) {
    uint64_t end = c->part_count > 0 ? c->parts[c->part_count - 1].end : c->looked;
    if (first < end) break;
    uint64_t next = mg_stop_next(&c->plan->stop, end);
    if (next == 0 || !add_part(c, next)) return NULL;
  }
  size_t low = 0, high = c->part_count - 1; /* the first part that ends behind the case */
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (c->parts[middle].end > first)
      high = middle;
    else
      low = middle + 1;
  }
  return &c->parts[low];
}

uint64_t mg_coord_room(const mg_coordinator *c, uint64_t first) {
  return mg_coord_sequential(c) ? mg_stop_next(&c->plan->stop, first) - first : UINT64_MAX;
}

static void merge(mg_coordinator *c, mg_part *part) {
  mg_part *into = &c->total;
  mg_error e;
  if (part->measures != NULL && into->measures == NULL) {
    into->measures = part->measures;
    part->measures = NULL;
  } else if (part->measures != NULL && mg_measures_merge(into->measures, part->measures, false, 0, 0, &e) != MG_OK) {
    mg_coord_fail(c, e.text);
  }
  mg_measures_free(part->measures);
  part->measures = NULL;
  mg_tally_merge(&into->tally, &part->tally);
  mg_digest_add(&into->digest, &part->digest);
  for (int i = 0; i < MG_MAX_LABELS; i++) into->labels[i] += part->labels[i];
}

/* A run that ends otherwise than by its rule keeps all that was counted. */
void mg_coord_merge_parts(mg_coordinator *c) {
  for (size_t i = 0; i < c->part_count; i++) {
    if (c->stopped)
      mg_measures_free(c->parts[i].measures);
    else
      merge(c, &c->parts[i]);
  }
  c->part_count = 0;
}

uint64_t mg_coord_counted(const mg_coordinator *c) {
  uint64_t n = c->total.tally.cases;
  for (size_t i = 0; i < c->part_count; i++) n += c->parts[i].tally.cases;
  return n;
}

/* How far the case and those after it are lost. */
static uint64_t lost_from(const mg_coordinator *c, uint64_t first) {
  uint64_t most = 0;
  for (size_t i = 0; i < c->lost_count; i++) {
    const mg_lost_range *l = &c->lost[i];
    if (l->first <= first && first < l->first + l->count && l->first + l->count - first > most) most = l->first + l->count - first;
  }
  return most;
}

/* Is every case below `end` counted or lost? */
static bool complete(const mg_coordinator *c, uint64_t end) {
  uint64_t first, count, from = 0;
  while (mg_case_set_gap(&c->counted, from, end, &first, &count)) {
    uint64_t lost = lost_from(c, first);
    if (lost == 0) return false;
    from = first + lost;
  }
  return true;
}

static void stop(mg_coordinator *c) {
  c->stopped = true;
  for (mg_entry_out *x = c->ledger.oldest, *next; x != NULL; x = next) {
    next = x->next;
    if (x->kind != MG_TASK_COUNT) continue;
    mg_coord_cancel(c, x);
    mg_coord_trace_end(c, x, NULL, "taken back: the run has ended early");
    mg_ledger_remove(&c->ledger, x);
  }
  mg_coord_event(c, "stopped_early", "stop %s: decided after %" PRIu64 " of %" PRIu64 " cases", mg_stop_name(c->plan->stop.plan.kind), c->looked, c->planned);
  mg_coord_begin_repeats(c);
}

void mg_coord_look(mg_coordinator *c) {
  while (mg_coord_sequential(c) && c->phase == MG_PHASE_RUNNING) {
    uint64_t next = mg_stop_next(&c->plan->stop, c->looked);
    if (next == 0 || !complete(c, next)) return;
    mg_coord_settle_lost(c, next);
    if (c->part_count > 0) { /* none: every case of it was lost */
      merge(c, &c->parts[0]);
      c->part_count--;
      for (size_t i = 0; i < c->part_count; i++) c->parts[i] = c->parts[i + 1];
    }
    c->looked = next;
    mg_tally sum = c->total.tally;
    mg_tally_merge(&sum, &c->lost_tally);
    c->answer = mg_stop_look(&c->plan->stop, next, &sum.pairs);
    if (c->answer.word != MG_GO_ON) stop(c);
  }
}
