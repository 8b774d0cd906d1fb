#include "execute/worker_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE_FIRST_MS 1000
#define REFUSE_MOST_MS 60000

/* The low half of a token is a place in the link's table: spread well enough. */
static size_t bucket(uint64_t token) { return (size_t)(token ^ token >> 32) % MG_KEPT_BUCKETS; }

mg_kept *mg_kept_add(mg_kept_table *t, uint64_t token) {
  mg_kept *k = calloc(1, sizeof *k);
  if (k == NULL) return NULL;
  k->token = token;
  k->next_same = t->buckets[bucket(token)];
  t->buckets[bucket(token)] = k;
  k->prev = t->last;
  if (t->last != NULL) {
    t->last->next = k;
  } else {
    t->first = k;
  }
  t->last = k;
  t->count++;
  return k;
}

mg_kept *mg_kept_find(const mg_kept_table *t, uint64_t token) {
  mg_kept *k = t->buckets[bucket(token)];
  while (k != NULL && k->token != token) k = k->next_same;
  return k;
}

void mg_kept_remove(mg_kept_table *t, mg_kept *k) {
  mg_kept **at = &t->buckets[bucket(k->token)];
  while (*at != k) at = &(*at)->next_same;
  *at = k->next_same;
  *(k->prev != NULL ? &k->prev->next : &t->first) = k->next;
  *(k->next != NULL ? &k->next->prev : &t->last) = k->prev;
  t->count--;
  free(k);
}

mg_run_memory *mg_run_remember(mg_run_memories *m, const char *run) {
  for (size_t i = 0; i < m->count; i++) {
    if (strcmp(m->runs[i].run, run) == 0) return &m->runs[i];
  }
  mg_run_memory *r = &m->runs[m->next];
  m->next = (m->next + 1) % MG_RUN_MEMORIES;
  if (m->count < MG_RUN_MEMORIES) m->count++;
  memset(r, 0, sizeof *r);
  (void)strncpy(r->run, run, sizeof r->run - 1);
  return r;
}

bool mg_run_end(mg_run_memory *m, uint32_t epoch) {
  if (epoch == 0) {
    if (m->purged) return false;
    m->purged = true;
    epoch = m->epoch > 0 ? m->epoch : 1;
  }
  if (epoch <= m->over_until) return false;
  m->over_until = epoch;
  return true;
}

bool mg_run_is_over(mg_run_memory *m, uint32_t epoch) {
  if (epoch > m->epoch) m->epoch = epoch;
  return epoch <= m->over_until;
}

bool mg_task_is_dropped(const mg_run_memories *m, const char *run, const char *id) {
  for (size_t i = 0; i < m->dropped_count; i++) {
    if (strcmp(m->dropped[i].id, id) == 0 && strcmp(m->dropped[i].run, run) == 0) return true;
  }
  return false;
}

void mg_task_drop(mg_run_memories *m, const char *run, const char *id) {
  if (mg_task_is_dropped(m, run, id)) return;
  mg_dropped_task *d = &m->dropped[m->dropped_next];
  m->dropped_next = (m->dropped_next + 1) % MG_DROPPED_TASKS;
  if (m->dropped_count < MG_DROPPED_TASKS) m->dropped_count++;
  (void)snprintf(d->run, sizeof d->run, "%s", run);
  (void)snprintf(d->id, sizeof d->id, "%s", id);
}

mg_ms mg_run_refuse(mg_run_memory *m, mg_ms now) {
  if (m->refuse_ms > 0 && now < m->refuse_until) return m->refuse_until - now; /* it came together with one that was refused */
  m->refuse_ms = m->refuse_ms == 0 ? REFUSE_FIRST_MS : m->refuse_ms * 2;
  if (m->refuse_ms > REFUSE_MOST_MS) m->refuse_ms = REFUSE_MOST_MS;
  m->refuse_until = now + m->refuse_ms;
  return m->refuse_ms;
}
