#include "dispatch/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWERED = 4096, FIRST_BUCKETS = 256 };

bool mg_ledger_init(mg_ledger *l) {
  *l = (mg_ledger){.bucket_count = FIRST_BUCKETS, .next_seq = 1, .epoch = 1};
  l->buckets = calloc(l->bucket_count, sizeof *l->buckets);
  l->answered = calloc(ANSWERED, sizeof *l->answered);
  if (l->buckets != NULL && l->answered != NULL) return true;
  mg_ledger_fini(l);
  return false;
}

void mg_ledger_fini(mg_ledger *l) {
  for (mg_entry_out *e = l->oldest, *next; e != NULL; e = next) {
    next = e->next;
    free(e->list);
    free(e);
  }
  for (mg_entry_out *e = l->spare, *next; e != NULL; e = next) {
    next = e->chain;
    free(e);
  }
  free(l->buckets);
  free(l->answered);
  *l = (mg_ledger){0};
}

static size_t bucket(const mg_ledger *l, uint64_t seq) { return (size_t)(seq & (l->bucket_count - 1)); }

static void grow(mg_ledger *l) {
  size_t count = 2 * l->bucket_count;
  mg_entry_out **buckets = calloc(count, sizeof *buckets);
  if (buckets == NULL) return; /* slower, no less right */
  free(l->buckets);
  l->buckets = buckets;
  l->bucket_count = count;
  for (mg_entry_out *e = l->oldest; e != NULL; e = e->next) {
    e->chain = buckets[bucket(l, e->seq)];
    buckets[bucket(l, e->seq)] = e;
  }
}

mg_entry_out *mg_ledger_add(mg_ledger *l, mg_task_kind kind, uint64_t first, uint32_t count, uint64_t *list) {
  mg_entry_out *e = l->spare;
  if (e != NULL)
    l->spare = e->chain;
  else
    e = malloc(sizeof *e);
  if (e == NULL) return NULL;
  if (l->count >= 2 * l->bucket_count) grow(l);
  *e = (mg_entry_out){.seq = l->next_seq++,
                      .epoch = l->epoch,
                      .kind = kind,
                      .first = first,
                      .count = count,
                      .list = list,
                      .attempt = 1,
                      .candidate_ran = true,
                      .holder = -1,
                      .answerer = -1};
  e->chain = l->buckets[bucket(l, e->seq)];
  l->buckets[bucket(l, e->seq)] = e;
  e->prev = l->newest;
  if (l->newest != NULL)
    l->newest->next = e;
  else
    l->oldest = e;
  l->newest = e;
  l->count++;
  if (kind == MG_TASK_COUNT) l->cases += count;
  return e;
}

mg_entry_out *mg_ledger_restore(mg_ledger *l, uint32_t epoch, uint64_t seq, uint64_t first, uint32_t count) {
  uint64_t next = l->next_seq;
  l->next_seq = seq;
  mg_entry_out *e = mg_ledger_add(l, MG_TASK_COUNT, first, count, NULL);
  if (e != NULL) e->epoch = epoch;
  if (l->next_seq < next) l->next_seq = next;
  return e;
}

mg_entry_out *mg_ledger_find(const mg_ledger *l, uint64_t seq) {
  mg_entry_out *e = l->buckets[bucket(l, seq)];
  while (e != NULL && e->seq != seq) e = e->chain;
  return e;
}

void mg_ledger_pair(mg_ledger *l, mg_entry_out *e, mg_entry_out *original) {
  e->original = original->seq;
  original->copy = e->seq;
  if (e->kind == MG_TASK_COUNT) l->cases -= e->count;
}

void mg_ledger_remove(mg_ledger *l, mg_entry_out *e) {
  mg_entry_out **at = &l->buckets[bucket(l, e->seq)];
  while (*at != e) at = &(*at)->chain;
  *at = e->chain;
  if (e->prev != NULL)
    e->prev->next = e->next;
  else
    l->oldest = e->next;
  if (e->next != NULL)
    e->next->prev = e->prev;
  else
    l->newest = e->prev;
  l->count--;
  mg_entry_out *other = e->original != 0 ? mg_ledger_find(l, e->original) : e->copy != 0 ? mg_ledger_find(l, e->copy) : NULL;
  bool counts = e->kind == MG_TASK_COUNT;
  if (e->original != 0 && other != NULL) {
    other->copy = 0;
  } else {
    if (counts && e->original == 0) l->cases -= e->count;
    if (other != NULL) {
      other->original = 0;
      if (counts) l->cases += other->count;
    }
  }
  free(e->list);
  e->list = NULL;
  e->chain = l->spare;
  l->spare = e;
}

void mg_ledger_answer(mg_ledger *l, mg_entry_out *e, const mg_digest *digest) {
  l->answered[e->seq % ANSWERED] = (mg_answered){.seq = e->seq,
                                                 .epoch = e->epoch,
                                                 .first = e->first,
                                                 .count = e->count,
                                                 .answerer = e->answerer,
                                                 .compare = digest != NULL,
                                                 .digest = digest == NULL ? (mg_digest){0} : *digest};
  mg_ledger_remove(l, e);
}

const mg_answered *mg_ledger_answered(const mg_ledger *l, uint32_t epoch, uint64_t seq) {
  const mg_answered *a = &l->answered[seq % ANSWERED];
  return a->seq == seq && a->epoch == epoch && seq != 0 ? a : NULL;
}

void mg_task_id_make(char out[MG_TASK_MAX + 1], uint32_t epoch, uint64_t seq) { (void)snprintf(out, MG_TASK_MAX + 1, "%" PRIu32 ".%" PRIu64, epoch, seq); }

bool mg_task_id_parse(const char *id, uint32_t *epoch, uint64_t *seq) {
  char *end;
  unsigned long long e = strtoull(id, &end, 10);
  if (end == id || *end != '.' || e > UINT32_MAX) return false;
  const char *rest = end + 1;
  if (*rest < '0' || *rest > '9') return false;
  *seq = strtoull(rest, &end, 10);
  *epoch = (uint32_t)e;
  return *end == '\0' && *id >= '0' && *id <= '9';
}
