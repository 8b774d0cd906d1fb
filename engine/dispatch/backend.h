/* backend.h - the contract every queue backend keeps; tests/backend_contract.c runs the same cases against all of them.
 *
 * A backend belongs to one thread, the link thread of its process. Calls are synchronous, take arrays, report an mg_err for
 * each entry (brokers fail in part), end by `until` (mg_ms, never MG_NEVER), and return early with what they have when wake_fd
 * becomes readable (they never read from it). A call returns MG_CONN where the connection failed as a whole: entries are then MG_CONN too and may
 * have taken effect, so every call may be repeated: publishes carry ids, settles carry leases.
 *
 * Life of a task: published (pending) -> fetched under a lease by one worker -> extended while it runs -> acked, or nacked
 * (pending again after a delay), or dead-lettered. A lease that ends is not handed out again by brokers with
 * MG_CAP_RECLAIM: the coordinator takes the task back with reclaim() and publishes it anew; without it the broker redelivers.
 * extend, ack, nack and dead_letter on a lease that is no longer the task's give MG_LOST and change nothing.
 *
 * Without MG_CAP_RECLAIM (RabbitMQ, Kafka, SQS) nobody can take a task back, and of one task several messages may be about:
 * - A task that was lost is published anew under the same id with attempt + 1, each time, whether it had begun or not. Results are told by the id alone, the
 *   first one counts. A copy for a straggler has an id of its own.
 * - Tasks nobody waits for any more (answered by another message, cut into pieces, given up) are named by the control MG_TASKS_DROPPED; whoever gets one
 *   settles it unrun. The control holds the last of them, a newer one replaces it; its subject is the run and "/dropped".
 * - Attempts are counted from the last beat of the worker that fell silent. So that a task which kills each worker at once is counted too, the backend marks a
 *   delivery as `again` where somebody may have had it before; the worker then says so in a beat, and reads controls, before it runs the task.
 * - A task is taken for lost where nobody names it for lease_seconds and depth is 0 (pending counts tasks that wait for a delay too), or (not with
 *   MG_CAP_UNORDERED) a worker had what was published a lease later. Both are looked at twice.
 * - purge_run removes what can be told from other runs' messages, and gives MG_UNSUPPORTED where tasks that wait can not: the workers that get them drop
 *   them, for the control MG_RUN_CLOSED or MG_RUN_CANCELLED. */
#ifndef MG_DISPATCH_BACKEND_H
#define MG_DISPATCH_BACKEND_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mg_backend mg_backend;
typedef struct mg_lease mg_lease; /* opaque receipt; belongs to the backend that gave it; freed by forget() or close() */

enum { /* capabilities */
  MG_CAP_RECLAIM = 1 << 0,     /* reclaim() and probe() work: the coordinator hands out again */
  MG_CAP_EXACT_DEPTH = 1 << 1, /* depth is exact, pending and in flight */
  MG_CAP_LIST_DEAD = 1 << 2,   /* list_dead, redrive, purge_dead */
  MG_CAP_SKIP_RUNS = 1 << 3,   /* fetch honours skip_runs */
  MG_CAP_NACK_DELAY = 1 << 4,  /* nack's delay is kept */
  MG_CAP_SHARED = 1 << 5,      /* reaches other processes */
  MG_CAP_DEDUPE = 1 << 6,      /* a repeated publish of the same run, task and attempt is dropped */
  MG_CAP_EXTEND = 1 << 7,      /* leases have an end and can be extended */
  MG_CAP_UNORDERED = 1 << 9,   /* without MG_CAP_RECLAIM: a task may wait while others that came a lease later are handed out (partitions) */
  MG_CAP_RESUMES = 1 << 8      /* receipts outlive a lost connection: after MG_CONN the next call connects anew, and they are as good as their lease */
};

typedef struct mg_backend_config {
  const mg_options *options; /* borrowed while open; keys of docs/reference/configuration.md */
  const char *identity;      /* this worker or coordinator, names the holder of leases */
  const char *run;           /* the coordinator's run; NULL in a worker */
  int wake_fd;               /* -1: none */
  void *shared;              /* memory backend: the mg_memory_broker both sides share; others ignore it */
} mg_backend_config;

typedef struct mg_publish { /* a task to publish */
  const char *run, *task;
  uint32_t attempt;
  uint32_t delay_ms;
  mg_slice body;   /* a frame */
  mg_err err;      /* out */
  const char *why; /* publish_dead alone: the reason, one line */
} mg_publish;

typedef struct mg_delivery {
  const char *run, *task; /* "" where the broker does not say (the frame does) */
  uint32_t attempt;
  bool again;       /* tasks, without MG_CAP_RECLAIM: somebody had it before, or the broker does not say that nobody had */
  const char *why;  /* dead letters: the reason; else NULL */
  const char *from; /* beats: the worker; controls, results: "" */
  mg_slice body;
  mg_lease *lease; /* NULL for beats, controls and dead letters */
} mg_delivery;

/* What a call brought. Zero-initialised is empty; owns items, texts and bodies (not the leases) until mg_batch_clear. */
typedef struct mg_batch {
  mg_delivery *items;
  size_t count, cap;
  void **blocks; /* memory the items point into */
  size_t block_count, block_cap;
} mg_batch;
void mg_batch_clear(mg_batch *b); /* keeps nothing */
/* Appends an item with copies of its strings and body; false where memory ended. */
bool mg_batch_add(mg_batch *b, const mg_delivery *d);

typedef struct mg_fetch {
  size_t max;
  mg_ms lease_ms;
  mg_ms until;
  const char *const *skip_runs;
  size_t skip_count;
  const char *const *over_runs; /* what waits here, not at the broker, for a delay of theirs is given at once: it is to be dropped */
  size_t over_count;
} mg_fetch;

typedef struct mg_settle { /* ack, nack, dead_letter, extend */
  mg_lease *lease;
  mg_ms ms;        /* nack: delay; extend: new lease from now; else ignored */
  const char *why; /* dead_letter: reason, one line, no payload in it */
  mg_err err;      /* out: MG_OK, MG_LOST, MG_CONN */
} mg_settle;

typedef enum mg_task_state { MG_TASK_ABSENT = 0, MG_TASK_PENDING, MG_TASK_LEASED, MG_TASK_DEAD } mg_task_state;

typedef struct mg_probe {
  const char *task;
  uint32_t attempt;
  mg_task_state state; /* out; a task with neither a place in the queue nor a lease is ABSENT and has been removed */
} mg_probe;

typedef struct mg_depth {
  int64_t pending, in_flight, dead, results; /* -1 where the broker does not tell; pending: with those that wait for a delay */
  int64_t oldest_ms;                         /* age of the oldest pending task; -1 unknown */
} mg_depth;

/* What a broker tells of itself, for metrics and alerts: numbers and the names of its servers, never of what is in a queue. */
enum { MG_STATS_NODES = 16, MG_STATS_PARTITIONS = 64 };

typedef struct mg_node_stats { /* a server of the broker that this backend uses */
  char name[64];               /* host:port, or what the broker calls it */
  int64_t memory_bytes;        /* -1: it does not tell */
  int64_t memory_limit_bytes;  /* where it begins to refuse; 0: nowhere; -1: it does not tell */
} mg_node_stats;

typedef struct mg_partition_stats { /* of the topic of tasks */
  int32_t partition;
  int32_t leader; /* the broker's number of the node that leads it; -1: none does */
  int64_t lag;    /* messages published and not settled by the consumer group; -1: not known */
} mg_partition_stats;

typedef struct mg_broker_stats {
  mg_node_stats nodes[MG_STATS_NODES];
  mg_partition_stats partitions[MG_STATS_PARTITIONS]; /* the lowest numbers where there are more */
  size_t node_count, partition_count;
  int64_t lag;        /* over all partitions; -1: the broker has no such thing, or does not tell */
  uint64_t throttled; /* calls since open() that the broker refused for now and the backend repeated by itself */
} mg_broker_stats;

/* One thing that examine() looked at. Texts end when the sink returns. */
typedef enum mg_finding_level { MG_FINDING_OK = 0, MG_FINDING_WARN, MG_FINDING_FAIL } mg_finding_level;
typedef struct mg_finding {
  mg_finding_level level;
  const char *check; /* "persistence": one word or two, the same for one check whatever is found */
  const char *text;  /* what was found, one line */
  const char *mend;  /* the command or the key that mends it; NULL where nothing is to be mended */
} mg_finding;
typedef void mg_finding_sink(void *owner, const mg_finding *f);

typedef struct mg_findings { /* where an examination tells what it finds */
  mg_finding_sink *sink;
  void *owner;
} mg_findings;
void mg_finding_tell(const mg_findings *f, mg_finding_level level, const char *check, const char *mend, const char *format, ...) __attribute__((format(printf, 5, 6)));

typedef struct mg_backend_ops {
  const char *name;
  uint32_t capabilities;
  /* Connects. MG_CONN: may be tried again; MG_FATAL, MG_ARG: will not get better (wrong password, TLS against a plain port). */
  mg_err (*open)(mg_backend **out, const mg_backend_config *config, mg_ms until, mg_error *e);
  void (*close)(mg_backend *b); /* frees every lease too; NULL is fine */

  mg_err (*publish_tasks)(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
  /* Appends to out. MG_OK with nothing new where until passed or wake_fd became readable. */
  mg_err (*fetch_tasks)(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e);
  mg_err (*extend)(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
  mg_err (*ack)(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
  mg_err (*nack)(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
  mg_err (*dead_letter)(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
  void (*forget)(mg_backend *b, mg_lease *lease); /* frees a receipt without telling the broker; NULL is fine */

  /* Results go to their run; only that run's coordinator fetches them, leased until ack_results. */
  mg_err (*publish_results)(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
  mg_err (*fetch_results)(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e);
  mg_err (*ack_results)(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);

  /* Signs of life, the newest of each worker replaces the older; expire after ttl_ms. */
  mg_err (*beat)(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
  mg_err (*read_beats)(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);
  /* Control messages, from coordinators to all workers, expire after ttl_ms; subject names what it is about and a newer one on the same subject replaces it. */
  mg_err (*control)(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
  mg_err (*read_controls)(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);

  /* MG_CAP_RECLAIM. Takes back tasks of the run whose lease has ended by the broker's clock, or (worker not NULL) that worker holds, or
   * (tasks not NULL) the named ones whoever holds them, pending or leased. They are then no longer on the queue; out gets run, task, attempt, from. */
  mg_err (*reclaim)(mg_backend *b, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out, mg_error *e);
  mg_err (*probe)(mg_backend *b, const char *run, mg_probe *items, size_t count, mg_ms until, mg_error *e);

  mg_err (*depth)(mg_backend *b, const char *run /* NULL: the whole queue */, mg_ms until, mg_depth *out, mg_error *e);
  mg_err (*list_dead)(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e);
  /* The named dead letters of the run, all where tasks is NULL, become pending again / are deleted; *moved counts them. */
  mg_err (*redrive)(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
  mg_err (*purge_dead)(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
  /* Removes everything of the run but its dead letters: tasks, leases, results. *removed counts unsettled tasks. */
  mg_err (*purge_run)(mg_backend *b, const char *run, mg_ms until, size_t *removed, mg_error *e);
  /* Marks or clears a worker's quarantine where the broker can refuse it claims; others return MG_UNSUPPORTED. */
  mg_err (*quarantine)(mg_backend *b, const char *worker, bool on, mg_ms ttl_ms, mg_ms until, mg_error *e);

  /* Keeps the connection alive (heartbeats, polls); returns when there is something to do, at until, or when wake_fd is readable. */
  mg_err (*service)(mg_backend *b, mg_ms until, mg_error *e);

  /* Puts tasks that nobody holds straight on the dead list, for the coordinator that gave them up. Repeats of the same run and task are one entry. NULL
   * where the broker has no dead list that can be written to. */
  mg_err (*publish_dead)(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);

  /* The runs that have anything on the queue: run of each item. NULL where the broker does not tell. */
  mg_err (*list_runs)(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);

  /* Asked every few seconds where metrics are wanted, in coordinators and workers: must be cheap for the broker. out comes with nothing known (counts 0,
   * lag -1); what cannot be told is left so. MG_CONN: the connection failed; any other error leaves the last answer. NULL where there is nothing to tell. */
  mg_err (*stats)(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e);
  /* Looks at how the broker is set up, for `mguard doctor`: what may lose tasks, refuse them, or let others in. Changes nothing. NULL where there is nothing to
   * look at. What this user may not read is a finding, not an error. */
  mg_err (*examine)(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e);

  /* A worker that will fetch nothing for a while, since it cannot run what comes: what the broker keeps for it alone (partitions) goes to the others, with what it
   * holds once that is settled or some seconds have passed. May be called each turn, served by service(); the next fetch takes its share again. NULL where
   * nothing is kept that is not fetched. */
  void (*step_back)(mg_backend *b);
} mg_backend_ops;

struct mg_backend {
  const mg_backend_ops *ops; /* first member of every backend's own struct */
};

#endif
