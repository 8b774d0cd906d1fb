/* link_internal.h - the link's insides, shared by link*.c alone.
 *
 * Lock order: only `lock`, held for copies, never during a call of the backend or of the owner. Fields say who may touch them. */
#ifndef MG_DISPATCH_LINK_INTERNAL_H
#define MG_DISPATCH_LINK_INTERNAL_H

#include "dispatch/link.h"
#include "dispatch/parcel.h"
#include <stdatomic.h>

typedef enum mg_job_kind {
  MG_JOB_FINISH, /* worker: publish a result, then ack */
  MG_JOB_GIVE_BACK,
  MG_JOB_DEAD_LETTER,
  MG_JOB_PUBLISH, /* coordinator */
  MG_JOB_PUBLISH_DEAD,
  MG_JOB_SETTLE,
  MG_JOB_RECLAIM,
  MG_JOB_PROBE,
  MG_JOB_CONTROL,
  MG_JOB_QUARANTINE,
  MG_JOB_DEPTH,
  MG_JOB_PURGE
} mg_job_kind;

enum {
  MG_LINK_CALL_ITEMS = 1024, /* most entries of one call */
  MG_LINK_EVENTS_MAX = 8192, /* events up that stop the fetching */
  MG_LINK_EVENT_BYTES_MAX = 64 << 20,
  MG_LINK_JOBS_MAX = 1 << 20, /* jobs down beyond which mg_link_publish says MG_AGAIN */
  MG_LINK_BACKOFF_MIN_MS = 50,
  MG_LINK_BACKOFF_MAX_MS = 5000,
  MG_LINK_RETRY_MS = 200, /* an entry that the broker refused for now */
  MG_LINK_SKIPS = 64,
  MG_LINK_OVER = 32 /* runs that are over and not forgotten */
};

typedef struct mg_held { /* a lease, named to the loop by a token: generation << 32 | index + 1 */
  uint32_t generation;
  bool used;
  mg_lease *lease; /* NULL: it went with its connection */
  size_t parts;    /* coordinator: results of the message that are not settled yet */
  /* Worker only. */
  mg_ms fetched_ms, extend_ms;
  uint32_t attempt;
  char run[MG_RUN_MAX + 1], task[MG_TASK_MAX + 1];
} mg_held;

typedef struct mg_skip {
  char run[MG_RUN_MAX + 1];
  mg_ms until;
} mg_skip;

typedef struct mg_seen { /* bodies that a read brought, so that the next read hands up only what is new */
  uint64_t *now, *before;
  size_t now_count, now_cap, before_count, before_cap;
} mg_seen;

struct mg_link {
  mg_link_config config;
  uv_loop_t *loop;
  uv_async_t async;
  uv_thread_t thread;
  int wake_fd;

  atomic_bool woken;
  _Atomic mg_ms tick_ms;
  atomic_size_t backlog;
  _Atomic uint32_t reconnects;
  atomic_bool stepping_back;
  atomic_size_t want, undelivered; /* changed under the lock; read freely */

  uv_mutex_t lock; /* guards what follows up to the next heading */
  mg_parcel inbox, outbox;
  mg_buf beat; /* as given by the worker */
  bool beat_given, beat_now;
  uint64_t beats_given;
  bool stopping;
  mg_ms stop_by;
  mg_skip skips[MG_LINK_SKIPS];
  size_t skip_count;
  mg_link_stats shown; /* a copy of stats, not older than some turns */

  /* The loop's thread. */
  mg_parcel reading;
  mg_ms beats_ms;
  bool joined, running;

  /* The link thread. */
  mg_backend *backend;
  bool away; /* it has lost its connection, and is kept for the receipts (MG_CAP_RESUMES) */
  mg_parcel work, spare, post;
  mg_held *held;
  size_t held_count, held_cap;
  uint32_t *free_held;
  size_t free_count;
  mg_ms next_extend, next_beat, next_read, outage_since, next_trouble;
  mg_beat beat_message;
  bool beat_ready, beat_due, beat_asked; /* there is a beat to send; send it at once; say when it is there */
  uint64_t beat_number;                  /* of beat_message */
  _Atomic uint64_t beats_sent; /* written by the link thread */
  mg_seen seen;
  mg_buf frames, scratch;
  mg_publish publishes[MG_LINK_CALL_ITEMS];
  mg_settle settles[MG_LINK_CALL_ITEMS];
  size_t picked[MG_LINK_CALL_ITEMS], at[MG_LINK_CALL_ITEMS + 1]; /* index of the job behind an entry; where its frame begins */
  size_t first[MG_LINK_CALL_ITEMS + 1];                          /* worker: which of picked is the first of an entry that holds several results */
  char names[MG_LINK_CALL_ITEMS / 2][MG_TASK_MAX + 1];           /* and the names of such entries */
  mg_batch batch;
  uint32_t timeouts;   /* calls in a row that met their deadline */
  uint64_t good_calls; /* on this connection */
  mg_ms backoff_ms;
  uint32_t give_backs; /* messages in a row that could not be read */
  mg_ms fetch_after;   /* not before, where the broker keeps no delay of a task given back */
  mg_skip skipping[MG_LINK_SKIPS];
  const char *skip_names[MG_LINK_SKIPS];
  char over[MG_LINK_OVER][MG_RUN_MAX + 1]; /* closed or purged: what cannot be read of them is nobody's */
  const char *over_names[MG_LINK_OVER];
  size_t over_count, over_next;
  mg_link_stats stats;
  mg_ms next_stats, next_show;
  uint64_t throttled_before; /* as the backend told last, since its open() */
  bool failed, stop_seen;
  unsigned jitter;
};

/* --- link.c: both threads --- */
void mg_link_wake(mg_link *l);

/* --- link_thread.c: the link thread --- */
void mg_link_main(void *arg);
/* Takes what main gave; false once the link is to end. */
void mg_link_take(mg_link *l);
bool mg_link_up(mg_link *l); /* connects, waiting as long as it takes; false where it stopped or failed meanwhile */
void mg_link_down(mg_link *l, const mg_error *why);
/* Looks at what a call as a whole returned: MG_OK, or what the caller's entries should be taken for. A failed connection is taken down here. */
mg_err mg_link_outcome(mg_link *l, mg_err err, mg_error *e);
mg_ms mg_link_call_until(const mg_link *l);
mg_ms mg_link_wait_until(const mg_link *l, mg_ms now); /* the earliest of what is due */
void mg_link_trouble(mg_link *l, const char *text);    /* says it, but not each time */
void mg_link_job_done(mg_link *l, mg_item *job);
void mg_link_sweep(mg_link *l); /* drops the jobs that are done */
mg_item *mg_link_say(mg_link *l, mg_link_event_kind kind, const char *text);
void mg_link_flush(mg_link *l);                              /* hands the events to main */
bool mg_link_room(mg_link *l);                               /* may more be fetched? */
mg_err mg_link_seal(mg_link *l, mg_slice body, mg_error *e); /* appends to frames */
/* Opens a delivery's frame into scratch. */
mg_err mg_link_open_frame(mg_link *l, mg_slice frame, mg_slice *body, mg_frame_fault *fault, mg_error *e);
void mg_link_count_call(mg_timing *t, int64_t from_ns);
void mg_link_show(mg_link *l); /* under the lock: refreshes shown where it is time */
bool mg_link_ask_stats(mg_link *l); /* where it is time; false where the connection went */

uint64_t mg_link_hold(mg_link *l, mg_lease *lease); /* 0 where memory ended */
mg_held *mg_link_held(mg_link *l, uint64_t token);  /* NULL where it is free */
void mg_link_release(mg_link *l, uint64_t token);
void mg_link_drop_leases(mg_link *l); /* the connection is gone */

bool mg_link_is_new(mg_link *l, mg_slice body); /* since the last read */
void mg_link_read_over(mg_link *l);

/* --- link_worker.c, link_coordinator.c: one turn each --- */
void mg_link_worker_turn(mg_link *l);
void mg_link_worker_leave(mg_link *l);
void mg_link_coordinator_turn(mg_link *l);

#endif
