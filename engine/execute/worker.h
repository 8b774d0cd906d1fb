/* worker.h - the worker: fetches tasks, has its pool run them, publishes results, then settles; beats while it holds anything.
 *
 * Thread: the libuv loop's; its link thread owns the backend. Runs inside `mguard worker` and, with the memory backend, inside `mguard run`. */
#ifndef MG_EXECUTE_WORKER_H
#define MG_EXECUTE_WORKER_H

#include "base/options.h"
#include "base/timing.h"
#include "dispatch/link.h"
#include "execute/pool.h"

typedef struct mg_worker mg_worker;

typedef struct mg_worker_config {
  const mg_backend_ops *backend;
  const mg_options *options; /* queue configuration; borrowed while the worker lives */
  void *shared;              /* mg_backend_config.shared */
  const char *name;          /* NULL: host-pid-random */
  const char *program, *script;
  mg_slice overrides;
  int executors;
  bool show_output;
  uint32_t default_timeout_ms, default_memory_mb; /* for tasks of plans that set none */
  mg_ms poll_interval_ms; /* longest wait of one fetch */
  mg_ms drain_timeout_ms;
  struct mg_trace *trace; /* where spans of traced tasks go; NULL: nowhere; borrowed while the worker lives */
  mg_ms stats_every_ms;   /* how often the broker is asked about itself, for metrics; 0: never */
  mg_ms retry_for_ms;     /* give up after so long without a broker; MG_NEVER: try for ever */
  /* Ready to serve, or cannot (fault). */
  void (*ready)(void *owner, const char *fault);
  /* Everything is settled and closed; the worker is freed after this. failed NULL or why it ended by itself. */
  void (*stopped)(void *owner, const char *failed);
  void *owner;
} mg_worker_config;

mg_err mg_worker_start(mg_worker **out, uv_loop_t *loop, const mg_worker_config *config, mg_error *e);
/* Stops fetching, finishes what is held (past drain_timeout_ms gives it back), publishes, settles, beats until the last. now: gives everything back at once. */
void mg_worker_stop(mg_worker *w, bool now);

typedef struct mg_worker_stats {
  uint64_t cases_done, tasks_done, beats;
  uint32_t executors_up, restarts, held, reconnects;
  uint64_t refused, dead_lettered, bad_messages; /* tasks given back unable, put among the dead letters; messages that could not be read */
  mg_timing task_seconds, case_seconds;           /* executor time of a task; of a case: the mean over its task */
  bool connected, quarantined, failing, stopping;
  mg_link_stats link;
} mg_worker_stats;
void mg_worker_read(mg_worker *w, mg_worker_stats *out);
const char *mg_worker_name(const mg_worker *w);

#endif
