/* executor_case.h - runs one case: arguments, both roles, every clause. What executor.c does for each case of a task.
 *
 * Thread: the executor's only one; mg_runner_interrupt alone comes from its signal handler. */
#ifndef MG_EXECUTE_EXECUTOR_CASE_H
#define MG_EXECUTE_EXECUTOR_CASE_H

#include "execute/implementation.h"
#include "execute/slot.h"
#include "script/checks.h"
#include "script/generator.h"
#include "wire/message.h"
#include <signal.h>

/* Values of the case: flat, and (at != 0) on the checks' stack from there on. */
typedef struct mg_values {
  mg_tape tape;
  int at;
} mg_values;

typedef struct mg_runner {
  mg_slot *slot;
  const char *path; /* script */
  mg_slice overrides;
  volatile sig_atomic_t stop;          /* the running phase's time is up */
  mg_script *volatile running;         /* the state a call is made into; NULL outside */
  mg_script *script;                   /* of the checks */
  mg_checks checks;
  mg_generator generator;
  int base;                            /* the checks' functions stand on their stack up to here, see mg_place() */
  mg_implementation *roles[MG_ROLES];  /* NULL: none, or not loaded */
  char names[MG_ROLES][MG_NAME_MAX + 1];
  uint32_t memory_mb;
  mg_digester *digester;
  mg_digest sum;
  /* the case at hand */
  uint64_t seed;
  uint32_t violation_cap;
  bool explain;                        /* records every clause, failed or not */
  uint8_t measure;                     /* of the task, see message.h */
  bool measures;                       /* anything is measured: then every other case runs its candidate first */
  bool places;                         /* cases have clusters or groups */
  double values[MG_MAX_COLUMNS];       /* of the role at hand: times and memory, then the checks' metrics */
  uint8_t stored[MG_ROLES][MG_EXPLAINED_MOST + 1]; /* violations of the task so far */
  bool careful;                        /* some clause function changes what it is lent: every call gets a copy */
  mg_values args, out;
  mg_values args2[MG_MAX_CLAUSES + 1], out2[MG_MAX_CLAUSES + 1];
  bool applies[MG_MAX_CLAUSES + 1];
  bool has_out2[MG_MAX_CLAUSES + 1];
  mg_buf record, text;
} mg_runner;

/* Loads the script's checks and runs setup. MG_ARG with file and line. */
mg_err mg_runner_open(mg_runner *r, mg_error *e);
void mg_runner_close(mg_runner *r); /* teardown too; r may be opened again */
/* Loads the roles the task names, unless they are there; fresh: closes and opens everything first. */
mg_err mg_runner_prepare(mg_runner *r, const mg_task *t, bool fresh, mg_error *e);
void mg_runner_interrupt(mg_runner *r); /* async-signal-safe */

/* Generates case_number only, to see that the checks work. MG_ARG, MG_TIMEOUT with file and line. Discards are fine. */
mg_err mg_runner_preflight(mg_runner *r, uint64_t seed, uint64_t case_number, mg_error *e);

/* Runs the case and writes its outcomes and records at index. input: MessagePack array of the arguments, empty to generate. half: 1 + the role whose outcome
 * stands already (half_outcome), else 0. MG_OK; MG_ARG: the checks are at fault, e says where, a fault record is written and the case is not done. */
mg_err mg_runner_case(mg_runner *r, uint32_t index, uint64_t case_number, mg_slice input, unsigned half, mg_outcome half_outcome, mg_error *e);

#endif
