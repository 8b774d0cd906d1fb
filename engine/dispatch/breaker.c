#include "dispatch/breaker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most workers that are remembered; those that are gone make room first. */
enum { PEERS_MAX = 4096 };

void mg_breaker_fini(mg_breaker *b) {
  for (size_t i = 0; i < b->count; i++) free(b->peers[i].tasks);
  free(b->peers);
  free(b->seen);
  b->peers = NULL;
  b->seen = NULL;
  b->count = b->cap = 0;
}

int mg_breaker_find(const mg_breaker *b, const char *name) {
  for (size_t i = 0; i < b->count; i++) {
    if (strcmp(b->seen[i].name, name) == 0) return (int)i;
  }
  return -1;
}

static int add(mg_breaker *b, const char *name) {
  if (b->count >= PEERS_MAX) return -1;
  if (b->count == b->cap) {
    size_t cap = b->cap == 0 ? 8 : 2 * b->cap;
    mg_worker_seen *seen = realloc(b->seen, cap * sizeof *seen);
    if (seen == NULL) return -1;
    b->seen = seen;
    mg_peer *peers = realloc(b->peers, cap * sizeof *peers);
    if (peers == NULL) return -1;
    b->peers = peers;
    b->cap = cap;
  }
  int i = (int)b->count++;
  b->seen[i] = (mg_worker_seen){0};
  b->peers[i] = (mg_peer){0};
  (void)snprintf(b->seen[i].name, sizeof b->seen[i].name, "%s", name);
  return i;
}

static bool working(const mg_breaker *b, size_t i) { return !b->seen[i].lost && !b->seen[i].quarantined && !b->peers[i].gone; }

bool mg_breaker_is_alive(const mg_breaker *b, int worker) { return worker >= 0 && !b->seen[worker].lost && !b->peers[worker].gone; }

size_t mg_breaker_alive(const mg_breaker *b) {
  size_t n = 0;
  for (size_t i = 0; i < b->count; i++) n += mg_breaker_is_alive(b, (int)i);
  return n;
}

uint32_t mg_breaker_executors(const mg_breaker *b) {
  uint32_t n = 0;
  for (size_t i = 0; i < b->count; i++) {
    if (working(b, i) && !b->peers[i].draining && !b->seen[i].refused) n += b->seen[i].executors;
  }
  return n;
}

/* What its last beat says of its tasks, for those who watch. */
static void see_tasks(mg_worker_seen *s, const mg_peer *p) {
  s->draining = p->draining;
  s->gone = p->gone;
  s->held = (uint32_t)p->task_count;
  s->task[0] = '\0';
  for (size_t i = 0; i < p->task_count; i++) {
    if (!p->tasks[i].running) continue;
    memcpy(s->task, p->tasks[i].id, sizeof s->task);
    s->at_case = p->tasks[i].case_number;
    s->at_role = p->tasks[i].role;
    return;
  }
}

mg_beat_news mg_breaker_beat(mg_breaker *b, mg_beat *beat, mg_ms at_ms, int *worker) {
  int i = mg_breaker_find(b, beat->worker);
  bool first = i < 0;
  *worker = i;
  if (first && beat->leaving) return MG_BEAT_OLD; /* what a worker of earlier runs left behind */
  if (first) *worker = i = add(b, beat->worker);
  if (i < 0) return MG_BEAT_NOMEM;
  mg_worker_seen *s = &b->seen[i];
  mg_peer *p = &b->peers[i];
  if (!first && beat->counter <= p->counter) return MG_BEAT_OLD;
  bool near = s->last_beat_ms != 0 && at_ms - s->last_beat_ms <= 2 * b->interval_ms;
  bool back = s->lost;
  p->counter = beat->counter;
  memcpy(p->fingerprint, beat->fingerprint, sizeof p->fingerprint);
  p->draining = beat->draining;
  p->gone = beat->leaving;
  free(p->tasks);
  p->tasks = beat->tasks;
  p->task_count = beat->task_count;
  beat->tasks = NULL;
  beat->task_count = 0;
  s->beats++;
  see_tasks(s, p);
  s->executors = beat->executors;
  s->last_beat_ms = at_ms;
  s->lost = false;
  if (first || back) p->since_ms = at_ms;
  p->steady = back || first || !near ? 1 : p->steady + 1;
  if (beat->leaving) return MG_BEAT_LEAVING;
  if (beat->quarantined) s->quarantined = true; /* maybe by a coordinator that is gone: who hears it judges it */
  if (s->quarantined && !first && p->steady >= b->threshold) {
    s->quarantined = false;
    p->steady = 0; /* a pardon that it does not hear is said again after as many beats */
    return MG_BEAT_PARDONED;
  }
  return first ? MG_BEAT_FIRST : back ? MG_BEAT_BACK : MG_BEAT_AGAIN;
}

static bool missed(const mg_breaker *b, size_t i, mg_ms upto_ms) { return upto_ms - b->seen[i].last_beat_ms >= (mg_ms)b->threshold * b->interval_ms; }

size_t mg_breaker_silent(const mg_breaker *b, mg_ms upto_ms, int *lost, bool *all) {
  size_t n = 0, others = 0;
  for (size_t i = 0; i < b->count; i++) {
    if (!mg_breaker_is_alive(b, (int)i)) continue;
    /* Half an interval of grace: a beat on its way is not a beat missed. */
    bool silent = upto_ms - b->seen[i].last_beat_ms > b->timeout_ms || missed(b, i, upto_ms - b->interval_ms / 2);
    if (silent)
      lost[n++] = (int)i;
    else
      others++;
  }
  *all = n > 0 && others == 0;
  return n;
}

bool mg_breaker_was_here(const mg_breaker *b, int worker) {
  return b->seen[worker].beats > 1 || b->seen[worker].tasks_done > 0 || b->peers[worker].task_count > 0;
}

bool mg_breaker_lose(mg_breaker *b, int worker, mg_ms upto_ms) {
  b->seen[worker].lost = true;
  b->peers[worker].steady = 0;
  size_t others = 0;
  for (size_t i = 0; i < b->count; i++) others += i != (size_t)worker && working(b, i);
  if (others == 0 || b->seen[worker].quarantined || !missed(b, (size_t)worker, upto_ms)) return false;
  return b->seen[worker].quarantined = true;
}

int mg_breaker_spare(mg_breaker *b) {
  int found = -1;
  for (size_t i = 0; i < b->count; i++) {
    if (working(b, i)) return -1;
    if (b->seen[i].quarantined && mg_breaker_is_alive(b, (int)i)) found = (int)i;
  }
  if (found >= 0) b->seen[found].quarantined = false;
  return found;
}

void mg_breaker_restart(mg_breaker *b, mg_ms now_ms) {
  for (size_t i = 0; i < b->count; i++) {
    if (mg_breaker_is_alive(b, (int)i)) b->seen[i].last_beat_ms = now_ms;
  }
}
