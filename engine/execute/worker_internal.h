/* worker_internal.h - what worker*.c share. Inside execute/ only. Thread: the loop's. */
#ifndef MG_EXECUTE_WORKER_INTERNAL_H
#define MG_EXECUTE_WORKER_INTERNAL_H

#include "base/clock.h"
#include "dispatch/link.h"
#include "execute/worker.h"

/* A task by its token in the link: fetched -> in the pool -> settling (its result, or its return, was given to the link) -> settled, and then it is gone. */
typedef struct mg_kept {
  struct mg_kept *next_same;   /* of the same bucket */
  struct mg_kept *next, *prev; /* of all, oldest first */
  uint64_t token;
  uint64_t last_case; /* begun: the case and role that ran when it was last looked at */
  mg_role last_role;
  uint32_t attempt, epoch;
  uint8_t trace[16];             /* all zero: not traced, and then the times are not kept */
  int64_t taken_ns, finished_ns; /* mg_now_ns: when it came, when its executor was done */
  bool told;                     /* it begins once the beat with this number, or a later one, is on the broker */
  uint64_t told_number;          /* 0: none went yet */
  mg_ms again_ms;                /* when it came, where somebody may have had it before; 0: nobody had */
  bool in_pool, begun, unwanted /* its run is over: no result */;
  char run[MG_RUN_MAX + 1], id[MG_TASK_MAX + 1];
} mg_kept;

#define MG_KEPT_BUCKETS 1024

typedef struct mg_kept_table {
  mg_kept *buckets[MG_KEPT_BUCKETS];
  mg_kept *first, *last;
  size_t count, in_pool;
} mg_kept_table;

mg_kept *mg_kept_add(mg_kept_table *t, uint64_t token); /* NULL: memory ended */
mg_kept *mg_kept_find(const mg_kept_table *t, uint64_t token);
void mg_kept_remove(mg_kept_table *t, mg_kept *k); /* frees k */

/* What a worker remembers of runs. The oldest are forgotten. */
typedef struct mg_run_memory {
  char run[MG_RUN_MAX + 1];
  uint32_t epoch;      /* highest seen in its tasks */
  uint32_t over_until; /* tasks up to this epoch are dropped; 0: no end was told */
  bool purged;         /* an end without an epoch was told */
  mg_ms refuse_ms;     /* delay of the last refusal; 0: none */
  mg_ms refuse_until;  /* when that is over */
} mg_run_memory;

#define MG_RUN_MEMORIES 256
#define MG_DROPPED_TASKS 256

typedef struct mg_dropped_task { /* nobody waits for its result any more */
  char run[MG_RUN_MAX + 1], id[MG_TASK_MAX + 1];
} mg_dropped_task;

typedef struct mg_run_memories {
  mg_run_memory runs[MG_RUN_MEMORIES];
  size_t count, next;
  mg_dropped_task dropped[MG_DROPPED_TASKS]; /* the oldest are forgotten */
  size_t dropped_count, dropped_next;
} mg_run_memories;

mg_run_memory *mg_run_remember(mg_run_memories *m, const char *run); /* never NULL */
/* An end was told; whether that is news. It may be late, or told again after a reconnect, and by then the run may have been resumed: the epoch tells. Epoch 0
 * means all that there were, and counts once. */
bool mg_run_end(mg_run_memory *m, uint32_t epoch);
/* Whether tasks of the run with this epoch are to be dropped. */
bool mg_run_is_over(mg_run_memory *m, uint32_t epoch);
bool mg_task_is_dropped(const mg_run_memories *m, const char *run, const char *id);
void mg_task_drop(mg_run_memories *m, const char *run, const char *id);
/* Delay of the next refusal: 1, 2, 4 ... 60 s. */
mg_ms mg_run_refuse(mg_run_memory *m, mg_ms now);

typedef enum mg_worker_state {
  MG_WORKER_SERVING,
  MG_WORKER_DRAINING,  /* fetches no more, finishes what has begun */
  MG_WORKER_RETURNING, /* everything is given back; the link still has to say so to the broker */
  MG_WORKER_LEAVING    /* link and pool are being closed */
} mg_worker_state;

struct mg_worker {
  mg_worker_config config; /* without its texts */
  char name[MG_NAME_MAX + 1];
  uv_loop_t *loop;
  uv_timer_t timer;
  mg_link *link;
  mg_pool *pool;
  mg_keyring *keys;

  mg_worker_state state;
  bool ready, cannot_serve, connected, quarantined;
  bool link_over, pool_over;
  mg_ms drain_until, return_until;
  char *failed; /* why it ends by itself */

  uint8_t fingerprint[32];
  mg_kept_table kept;
  mg_run_memories runs;
  mg_ms pause_until; /* fetches nothing before: executors fail, or what came cannot be run here and the broker keeps no delay */
  char paused_for[MG_RUN_MAX + 1]; /* the run that could not be run here */
  mg_ms failing_ms;  /* length of the last pause for failing executors; 0: they work */
  double task_ns;    /* moving mean of an executor's time for a task; 0: unknown */

  mg_buf encoded, beat_bytes, task_bytes;
  mg_beat beat;
  size_t beat_cap;
  bool beat_changed; /* tasks came or went since the last one that was sent at once */
  mg_ms beat_sent_ms;
  uint64_t beaten; /* number of the last beat that is known to be on the broker */
  mg_worker_stats stats;
};

/* --- worker_trace.c --- */
enum { MG_TRACE_TEXT_BYTES = 33 };
const char *mg_worker_trace_id(const mg_kept *k, char out[MG_TRACE_TEXT_BYTES]); /* for the log; NULL where the task is not traced */
void mg_worker_trace_taken(mg_kept *k, const mg_task *t);
void mg_worker_trace_finished(mg_worker *w, mg_kept *k, const mg_result *r);
void mg_worker_trace_settled(mg_worker *w, const mg_kept *k, mg_err err);

/* --- worker_tasks.c --- */
void mg_worker_take(mg_worker *w, const mg_link_event *ev);                 /* MG_EV_TASK */
void mg_worker_finished(void *owner, void *task_owner, const mg_result *r); /* of the pool */
void mg_worker_settled(mg_worker *w, const mg_link_event *ev);              /* MG_EV_SETTLED */
void mg_worker_lease_lost(mg_worker *w, const mg_link_event *ev);
void mg_worker_run_is_over(mg_worker *w, const char *run, uint32_t epoch);
void mg_worker_tasks_dropped(mg_worker *w, const mg_control *c);
void mg_worker_return_waiting(mg_worker *w, mg_ms delay_ms); /* what no executor has begun */
void mg_worker_return_all(mg_worker *w, mg_ms delay_ms);
void mg_worker_want(mg_worker *w); /* tells the link how much more may come */

/* --- worker.c --- */
void mg_worker_look(mg_worker *w); /* goes on with ending where nothing is left to be done */

#endif
