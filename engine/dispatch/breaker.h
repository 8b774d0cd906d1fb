/* breaker.h - the workers by their beats: who is there, who fell silent, who is kept from work until it beats steadily again. One owner.
 *
 * A beat is a counter and is stamped with the coordinator's clock on arrival; nobody's wall clock is compared with another's. Silence is measured up to the
 * moment beats were last read, so that a link that reads nothing makes nobody silent. */
#ifndef MG_DISPATCH_BREAKER_H
#define MG_DISPATCH_BREAKER_H

#include "judge/run.h"
#include "wire/message.h"

typedef struct mg_peer {
  uint64_t counter;
  uint8_t fingerprint[32];
  bool draining, gone; /* gone: said so itself, or lost and silent since */
  uint32_t steady;     /* beats since it came back */
  mg_ms since_ms;      /* first beat after it came, or came back */
  mg_beat_task *tasks; /* of its last beat, owned */
  size_t task_count;
} mg_peer;

typedef struct mg_breaker {
  mg_ms timeout_ms, interval_ms;
  uint32_t threshold;   /* missed beats */
  mg_worker_seen *seen; /* one beside the other with peers */
  mg_peer *peers;
  size_t count, cap;
} mg_breaker;

typedef enum mg_beat_news {
  MG_BEAT_OLD = 0, /* heard before: no sign of life */
  MG_BEAT_FIRST,   /* of a worker not known */
  MG_BEAT_AGAIN,
  MG_BEAT_BACK,     /* of a worker that was lost */
  MG_BEAT_PARDONED, /* it has beaten steadily: its quarantine is over */
  MG_BEAT_LEAVING,  /* its last one */
  MG_BEAT_NOMEM
} mg_beat_news;

void mg_breaker_fini(mg_breaker *b);
/* *worker gets its index. The beat's tasks are taken over (beat->tasks is then NULL). */
mg_beat_news mg_breaker_beat(mg_breaker *b, mg_beat *beat, mg_ms at_ms, int *worker);
int mg_breaker_find(const mg_breaker *b, const char *name); /* -1: not known */

/* Which workers are silent by upto_ms; indices into lost (room for count of them). *all: nobody else is left. Changes nothing. */
size_t mg_breaker_silent(const mg_breaker *b, mg_ms upto_ms, int *lost, bool *all);
/* Was it ever there? A single beat may be what a worker of earlier runs left behind. */
bool mg_breaker_was_here(const mg_breaker *b, int worker);
/* Marks it lost; true where it is to be quarantined too (enough beats missed, and not the last worker). */
bool mg_breaker_lose(mg_breaker *b, int worker, mg_ms upto_ms);
/* A quarantined worker that beats, where no other worker is left: its quarantine ends (never the last). -1: none. */
int mg_breaker_spare(mg_breaker *b);
/* Timers of all start anew: after a reconnect or a gap of the loop. */
void mg_breaker_restart(mg_breaker *b, mg_ms now_ms);

/* Executors of the workers that are there and may work. */
uint32_t mg_breaker_executors(const mg_breaker *b);
size_t mg_breaker_alive(const mg_breaker *b);
bool mg_breaker_is_alive(const mg_breaker *b, int worker);

#endif
