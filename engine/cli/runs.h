/* runs.h - journals as the commands see them that only read: runs, report, verify. Main thread. */
#ifndef MG_CLI_RUNS_H
#define MG_CLI_RUNS_H

#include "cli/args.h"
#include "cli/recording.h"
#include "script/state.h"

/* Where a run stands. */
typedef enum mg_run_standing {
  MG_STANDS_RUNNING, /* a coordinator is at work */
  MG_STANDS_BROKEN,  /* its coordinator went without a word */
  MG_STANDS_INTERRUPTED,
  MG_STANDS_FAILED,
  MG_STANDS_ENDED,
  MG_STANDS_EMPTY, /* its making was cut short */
  MG_STANDS_DAMAGED
} mg_run_standing;
const char *mg_standing_name(mg_run_standing s);

typedef struct mg_run_entry { /* zeroed but for the first two before mg_run_entry_read */
  const char *dir, *run;
  mg_run_standing standing;
  mg_runfile *file; /* NULL where it is empty or damaged: then why says it */
  mg_error why;
  mg_buf name, backend, verdict, plan, report; /* with a NUL at the end, "" where there is none */
  int64_t started_ms, planned, epoch;
  uint64_t recorded;
} mg_run_entry;
void mg_run_entry_read(mg_run_entry *r);
void mg_run_entry_fini(mg_run_entry *r);

/* The summary of a JSON report on standard output, as wide as the terminal. */
mg_err mg_show_summary(mg_script *s, mg_slice report, mg_error *e);

/* The run that `name` names, or latest: the last in the folder, into out. MG_ARG where there is none. */
mg_err mg_run_find(const char *dir, const char *name, char out[MG_RUN_ID_BYTES], mg_error *e);

#endif
