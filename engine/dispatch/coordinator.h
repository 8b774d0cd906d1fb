/* coordinator.h - one run: cuts the cases into tasks, keeps what is out, counts each case once, runs hard violations again, and ends with what the report needs.
 *
 * Thread: the libuv loop's; its link thread owns the backend. A run never hangs: every wait has an end. */
#ifndef MG_DISPATCH_COORDINATOR_H
#define MG_DISPATCH_COORDINATOR_H

#include "base/log.h"
#include "dispatch/link.h"
#include "journal/journal.h"
#include "judge/goal.h"
#include "judge/run.h"
#include "script/plan.h"
#include "wire/frame.h"
#include <uv.h>

typedef struct mg_coordinator mg_coordinator;

typedef struct mg_coordinator_event { /* valid during the call */
  mg_log_level level;
  const char *event; /* as in docs/operations/logging.md */
  const mg_log_field *fields;
  size_t field_count;
  const char *text; /* one line, for people */
  bool routine;     /* one of many a second, for machines alone; only made where mg_log_wants(MG_LOG_INFO) */
} mg_coordinator_event;

typedef struct mg_task_span { /* of a task that is traced; valid during the call; times are mg_now_ns */
  bool publishing; /* from handing it to the queue until the queue has it, once for each attempt; else the whole task, once */
  const char *id;
  uint64_t first;
  uint32_t count, attempt;
  int64_t begin_ns, end_ns;
  const char *worker; /* that answered; NULL */
  const char *error;  /* NULL: it went well */
} mg_task_span;

typedef struct mg_coordinator_config {
  mg_plan *plan;
  const char *run; /* run id */
  const mg_backend_ops *backend;
  const mg_options *options;
  void *shared;
  const mg_keyring *keys;
  const char *outcomes_path; /* --outcomes: CSV of case, role, outcome, failed clauses, in order of cases; NULL */
  mg_ms drain_timeout_ms;
  mg_ms stats_every_ms; /* how often the broker is asked about itself, for metrics; 0: never */
  mg_journal *journal; /* results are settled once they are durable there; NULL: none. Outlives the coordinator */
  uint32_t epoch;      /* of this coordinator, 0 is 1; above 1 the journal is replayed first */
  void (*log)(void *owner, const mg_coordinator_event *ev);
  /* Traces: the id that traced tasks carry (all zero: none), whether one more task is to be traced, and what became of it. */
  uint8_t trace[16];
  bool (*trace_task)(void *owner);
  void (*traced)(void *owner, const mg_task_span *s);
  /* The run is over. failed NULL: judge it; else a broker failure, exit 5. The coordinator stays readable until mg_coordinator_free. */
  void (*ended)(void *owner, const char *failed);
  void *owner;
} mg_coordinator_config;

mg_err mg_coordinator_start(mg_coordinator **out, uv_loop_t *loop, const mg_coordinator_config *config, mg_error *e);
/* SIGINT, SIGTERM: stop dispatching, collect what is in flight up to drain_timeout, then end. */
void mg_coordinator_stop(mg_coordinator *c);
void mg_coordinator_read(const mg_coordinator *c, mg_run_state *out);
void mg_coordinator_read_link(const mg_coordinator *c, mg_link_stats *out);
/* The verdict over what was counted; call after ended. */
void mg_coordinator_judge(const mg_coordinator *c, mg_judgement *out);
void mg_coordinator_free(mg_coordinator *c); /* after ended, from outside it */

#endif
