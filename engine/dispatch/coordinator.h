/* coordinator.h - one run: cuts the cases into tasks, keeps what is out, counts each case once, runs hard violations again, and ends with what the report needs.
 *
 * Thread: the libuv loop's; its link thread owns the backend. A run never hangs: every wait has an end. */
#ifndef MG_DISPATCH_COORDINATOR_H
#define MG_DISPATCH_COORDINATOR_H

#include "dispatch/backend.h"
#include "judge/goal.h"
#include "judge/tally.h"
#include "script/plan.h"
#include "wire/frame.h"
#include <uv.h>

typedef struct mg_coordinator mg_coordinator;

/* A stored violation, texts owned by the coordinator, NULL where there is none. */
typedef struct mg_stored_violation {
  uint64_t case_number;
  mg_role role;
  int clause;
  char *message, *input, *output, *input2, *output2;
  bool shared;      /* the baseline violates it on the same case */
  int reproduced;   /* 1 yes, 0 no, -1 not run again */
} mg_stored_violation;

typedef struct mg_different { /* a case whose outcome did not repeat */
  uint64_t case_number;
  mg_role role;
  mg_outcome first, again;
} mg_different;

typedef struct mg_worker_seen {
  char name[129];
  uint64_t beats, tasks_done, cases_done;
  mg_ms last_beat_ms; /* by the coordinator's clock */
  uint32_t executors;
  bool lost, quarantined, refused;
} mg_worker_seen;

typedef struct mg_run_state { /* a view; valid until the loop runs on */
  const char *run;
  uint64_t planned, counted, outstanding_cases, dispatched_cases;
  mg_ms started_ms, now_ms;
  double cases_per_second; /* over the last seconds */
  const mg_tally *tally;
  mg_digest digest;
  const mg_stored_violation *violations; /* by clause, then case: the lowest violation_cap cases of each */
  size_t violation_count;
  uint64_t repeated_cases;
  const mg_different *different;
  size_t different_count;
  struct { const char *name; uint64_t count; } labels[64];
  int label_count;
  const mg_worker_seen *workers;
  size_t worker_count;
  uint64_t tasks_published, tasks_done, requeued_tasks, requeued_cases, repeats_dropped, dead_lettered, bad_messages, hedges;
  uint32_t reconnects;
  bool connected;
  const char *const *notes; /* sentences for the report */
  size_t note_count;
} mg_run_state;

typedef struct mg_coordinator_config {
  mg_plan *plan;
  const char *run;      /* run id */
  const mg_backend_ops *backend;
  const mg_options *options;
  void *shared;
  const mg_keyring *keys;
  const char *outcomes_path; /* --outcomes: CSV of case, role, outcome, failed clauses, in order of cases; NULL */
  mg_ms drain_timeout_ms;
  /* Events for people and logs: name as in docs/operations/logging.md, text one line. */
  void (*note)(void *owner, const char *event, const char *text);
  /* The run is over. failed NULL: judge it; else a broker failure, exit 5. The coordinator stays readable until mg_coordinator_free. */
  void (*ended)(void *owner, const char *failed);
  void *owner;
} mg_coordinator_config;

mg_err mg_coordinator_start(mg_coordinator **out, uv_loop_t *loop, const mg_coordinator_config *config, mg_error *e);
/* SIGINT, SIGTERM: stop dispatching, collect what is in flight up to drain_timeout, then end. */
void mg_coordinator_stop(mg_coordinator *c);
/* The checks are at fault, found outside a task (preflight): the run ends invalid. */
void mg_coordinator_read(const mg_coordinator *c, mg_run_state *out);
/* The verdict over what was counted; call after ended. */
void mg_coordinator_judge(const mg_coordinator *c, mg_judgement *out);
void mg_coordinator_free(mg_coordinator *c); /* after ended, from outside it */

#endif
