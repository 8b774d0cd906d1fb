/* run.h - one run as the report and the progress line see it: a view of what the coordinator counted. Read only; the coordinator owns all of it. */
#ifndef MG_JUDGE_RUN_H
#define MG_JUDGE_RUN_H

#include "base/clock.h"
#include "base/timing.h"
#include "judge/measures.h"
#include "judge/tally.h"
#include <stddef.h>

/* A stored violation, texts NULL where there is none. */
typedef struct mg_stored_violation {
  uint64_t case_number;
  mg_role role;
  int clause;
  char *message, *input, *output, *input2, *output2;
  bool shared;    /* the other role violates it on the same case */
  int reproduced; /* 1 yes, 0 no, -1 not run again */
} mg_stored_violation;

typedef struct mg_different { /* a case whose outcome did not repeat */
  uint64_t case_number;
  mg_role role;
  mg_outcome first, again; /* equal where only the failed clauses differ */
} mg_different;

typedef struct mg_reruns { /* a sample of the cases, each run again; reruns 0: the plan asks for none */
  uint32_t reruns;           /* of a case, fewer once it has differed */
  uint64_t cases, different;
} mg_reruns;

typedef struct mg_worker_seen {
  char name[129];
  uint64_t beats, tasks_done, cases_done;
  mg_ms last_beat_ms; /* by the coordinator's clock */
  uint32_t executors;
  bool lost, quarantined, refused;
  bool draining, gone; /* by its last beat; gone: it said so, or is lost and silent since */
  uint32_t held;       /* tasks, of any run; by its last beat, as what follows */
  char task[49];       /* one that runs; "": none does */
  uint64_t at_case;    /* the case of it that runs */
  mg_role at_role;
} mg_worker_seen;

typedef struct mg_label_count {
  const char *name;
  uint64_t count;
} mg_label_count;

#define MG_MAX_LABELS 64

typedef struct mg_run_state { /* valid until the loop runs on */
  const char *run;
  uint64_t planned, counted, outstanding_cases, dispatched_cases;
  mg_ms started_ms, now_ms;
  double cases_per_second; /* over the last seconds */
  const mg_tally *tally;
  mg_digest digest;
  const mg_measures *measures; /* NULL: nothing was measured */
  const mg_stored_violation *violations; /* by clause, candidate first, then case: the lowest violation_cap cases of each, those not shared first */
  size_t violation_count;
  uint64_t repeated_cases;
  const mg_different *different;
  size_t different_count;
  mg_reruns flaky;
  mg_label_count labels[MG_MAX_LABELS]; /* by name */
  int label_count;
  const mg_worker_seen *workers;
  size_t worker_count;
  uint64_t tasks_published, tasks_done, requeued_tasks, requeued_cases, repeats_dropped, dead_lettered, bad_messages, hedges;
  uint64_t outstanding_tasks; /* published or about to be, and not answered */
  uint64_t held_tasks;        /* of these, with a live worker by its last beat */
  uint64_t unsent_cases;      /* in no task yet */
  uint32_t batch;             /* cases of a task in mid-run */
  uint32_t active_workers;    /* neither lost nor gone */
  uint64_t workers_lost, workers_recovered; /* how often */
  uint64_t journal_waiting;   /* records that are not on disk yet; without a journal 0, and so below */
  mg_ms journal_oldest_ms;    /* when the oldest of these was put there; 0: there is none */
  double journal_commit_seconds; /* what the last commit took */
  mg_ms oldest_ms;            /* first publishing of the oldest task without an answer; 0: there is none */
  const mg_timing *task_seconds; /* publishing to result */
  const mg_timing *case_seconds; /* executor time of a case, both roles: the mean over its task */
  uint32_t reconnects;
  bool connected;
  const char *const *notes; /* sentences for the report */
  size_t note_count;
} mg_run_state;

/* Tasks planned and not yet with a worker, published or not; cases with a worker, by the last beats. */
uint64_t mg_run_pending_tasks(const mg_run_state *s);
uint64_t mg_run_inflight_cases(const mg_run_state *s);

#endif
