/* fake_worker.h - a worker without executors: a thread that speaks the contract over the memory backend and misbehaves on demand. For tests.
 *
 * What it says of a case depends on the case alone (fake_outcome), so that any run of the same cases has one digest and one tally. */
#ifndef MG_TESTS_DISPATCH_FAKE_WORKER_H
#define MG_TESTS_DISPATCH_FAKE_WORKER_H

#include "backends/memory/memory.h"
#include "wire/frame.h"
#include "wire/message.h"
#include <stdatomic.h>

typedef enum fake_deed {
  FAKE_RUN = 0,
  FAKE_VANISH,       /* the thread ends with the task held and begun, like a killed process; its beat named it */
  FAKE_VANISH_EARLY, /* the same before any beat named it */
  FAKE_VANISH_IDLE,  /* the same, and the last beat says that it was not begun */
  FAKE_TWICE,        /* publishes the result twice */
  FAKE_DIFFERENT,    /* the same, the second one with another outcome */
  FAKE_LATE,         /* lets the lease end, stays silent for late_ms, then answers */
  FAKE_PARTIAL,      /* answers half of the cases */
  FAKE_HALF_AND_ALL, /* the same, then all of them */
  FAKE_DROP,         /* acks without a result */
  FAKE_REFUSE,
  FAKE_GARBAGE, /* publishes garbage, then answers */
  FAKE_LIE,     /* publishes outcomes no executor gives, then answers */
  FAKE_BURY,    /* puts the task among the dead letters */
  FAKE_FAULT,
  FAKE_SLOW /* takes slow_ms, or until the run is over */
} fake_deed;

typedef struct fake_worker fake_worker;

typedef struct fake_world { /* shared by the workers of one test */
  mg_memory_broker *broker;
  bool has_baseline;
  bool labels; /* every third case bears "third" */
  uint64_t cases;
  atomic_uint *runs; /* times each case was run to count, `cases` of them */
  atomic_uint *repeats;
  atomic_uint vanished, tasks, refused, told_dropped /* most tasks that a control told the workers to drop */;
  atomic_bool mute; /* nobody beats */
  /* What to do with a task; called on the worker's thread. NULL: run. */
  fake_deed (*deed)(void *owner, const char *worker, const mg_task *t);
  /* Changes an outcome on its way (repeat says which kind of task); NULL: none. */
  void (*outcome)(void *owner, uint64_t case_number, bool repeat, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]);
  void *owner;
  mg_ms lease_ms, beat_ms;
  mg_ms late_ms, slow_ms; /* of FAKE_LATE and FAKE_SLOW */
  size_t hold;      /* fetches so many at a time, and runs one after the other; 0: one */
  mg_ms pace_ms;    /* rests so long after each task */
  uint32_t busy_us; /* executor time it claims for a case */
  const mg_codec *codec;
} fake_world;

/* pass, but: every 97th case fails both on clause 1; every 89th the baseline alone on clause 1; every 101st is discarded; every 83rd the candidate alone on
 * the soft clause 2. */
void fake_outcome(uint64_t case_number, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]);

fake_worker *fake_worker_start(fake_world *w, const char *name, uint32_t executors);
void fake_worker_stop(fake_worker *f); /* drains; joins and frees, also one that vanished */
bool fake_worker_gone(const fake_worker *f);

#endif
