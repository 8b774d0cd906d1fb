/* pool_job.h - a task in the pool with what is known of its cases, and a bundle: the tasks of one RUN.
 *
 * A job waits, is bundled, run, perhaps interrupted by a death of its executor and bundled again, and ends as an mg_result. What an executor left in its
 * slot is read here, and what a death means is decided here. Thread: the loop's. */
#ifndef MG_EXECUTE_POOL_JOB_H
#define MG_EXECUTE_POOL_JOB_H

#include "base/buf.h"
#include "base/err.h"
#include "execute/pool_values.h"
#include "execute/slot.h"
#include "wire/message.h"

/* Whether the world was told that a task with care is about to begin. */
typedef enum mg_told { MG_TOLD_NO = 0, MG_TOLD_ASKED /* an executor is kept free for it */, MG_TOLD_YES } mg_told;

typedef struct mg_job {
  struct mg_job *next; /* in the pool's list of waiting jobs */
  mg_task task;        /* its payload is in bytes */
  mg_buf bytes;        /* as it goes to the executor */
  void *owner;

  bool dropped;             /* nobody wants its result */
  mg_told told;
  bool begun;               /* an executor was given it */
  bool resumed;             /* was begun more than once: its digest is the coordinator's to compute */
  uint32_t done;            /* cases whose outcomes stand */
  uint8_t half;             /* 1 + a role of case `done`: its outcome, its labels and its records are here already; the other role is to come. Else 0 */
  uint8_t half_outcome;     /* of that role */
  uint64_t last_case;       /* the case that ran last, by the slot */

  uint8_t *outcomes; /* task.count bytes as in mg_result */
  mg_failed *failed;
  size_t failed_count, failed_cap;
  mg_violation *violations; /* texts: only their lengths, the bytes stand in text from violation_at on, one after another */
  size_t *violation_at;
  size_t violation_count, violation_cap;
  uint32_t completes_count[MG_ROLES]; /* violations of `completes` */
  mg_label *labels;                   /* names likewise */
  size_t *label_at;
  size_t label_count, label_cap;
  mg_case_values values;
  mg_buf text;
  mg_buf fault, refused;
  mg_digest digest;
  bool has_digest;
  uint64_t busy_ns, role_ns[MG_ROLES];
} mg_job;

mg_err mg_job_new(mg_job **out, const mg_task *task, mg_slice bytes, void *owner, mg_error *e);
void mg_job_free(mg_job *j);
static inline bool mg_job_is_over(const mg_job *j) { return j->done == j->task.count || j->fault.len > 0 || j->refused.len > 0; }
/* Whether both may go in one RUN, more after first. */
bool mg_job_goes_with(const mg_job *first, const mg_job *more);
/* Takes one record of the arena, index being the case's in the task. Memory that ends costs the record, not the run. */
void mg_job_take(mg_job *j, const mg_record *r, uint32_t index);
/* Adds role's failed clauses of a case; cases come in order. */
void mg_job_fail(mg_job *j, uint32_t index, mg_role role, mg_clause_mask mask);
/* *r borrows from the job. r->worker is empty. */
void mg_job_result(mg_job *j, mg_result *r);

typedef struct mg_bundle {
  mg_job **jobs;  /* owned array; the jobs too until mg_bundle_free */
  uint32_t *base; /* index of each job's first case */
  int count, cap;
  uint32_t cases;     /* of all jobs */
  uint32_t resume;    /* index at which it began */
  uint32_t collected; /* outcomes below are in the jobs */
  int64_t started_ns;
} mg_bundle;

mg_bundle *mg_bundle_new(void); /* NULL: memory ended */
bool mg_bundle_add(mg_bundle *b, mg_job *j);
/* RUN's body; marks the jobs as begun and puts the slot right. */
void mg_bundle_start(mg_bundle *b, mg_slot *s, mg_buf *run);
/* The job of a case and the index of the job's first; NULL past the end. base may be NULL. */
mg_job *mg_bundle_job_at(const mg_bundle *b, uint32_t index, uint32_t *base);
/* Frees b, not its jobs. */
void mg_bundle_free(mg_bundle *b);

/* After DONE: takes what stands in the slot. MG_ARG where it makes no sense, and then nothing after that place is taken. */
mg_err mg_bundle_collect(mg_bundle *b, const mg_slot *s, mg_error *e);

typedef enum mg_death_kind {
  MG_DEATH_CRASH = 0, /* by itself, or by a stranger's hand */
  MG_DEATH_HUNG,      /* the watchdog killed it in phase hung_seq */
  MG_DEATH_INNOCENT   /* killed for reasons that are not the case's: it is run again */
} mg_death_kind;

typedef struct mg_death {
  mg_death_kind kind;
  uint64_t hung_seq;
  const char *how;    /* "killed by signal 11 (SIGSEGV)" */
  const char *script; /* for faults of the checks */
} mg_death;

/* After the executor's death: the same, then the running case gets what it deserves. true: the death was a case's (or the checks') and is accounted for. */
bool mg_bundle_bury(mg_bundle *b, const mg_slot *s, const mg_death *d);

/* Each job's share of the executor's time. */
void mg_bundle_account(mg_bundle *b, int64_t now_ns);

#endif
