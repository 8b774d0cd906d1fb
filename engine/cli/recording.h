/* recording.h - the journal of `mguard run`: where it stands, what it says of the run besides the records, and how one is taken up again. Main thread.
 *
 * Facts in it: run, version, plan (absolute path), given (the path as it was given), flags (of the command line, as name NUL value NUL ...), name, backend, baseline, candidate, cases, seed, timeout_ms,
 * memory_mb, fingerprint, parts (what the fingerprint is made of: label TAB hash, a line each), started_ms, epoch, state (running, interrupted, failed, ended),
 * why, verdict, exit_code, report (JSON). */
#ifndef MG_CLI_RECORDING_H
#define MG_CLI_RECORDING_H

#include "base/ident.h"
#include "cli/args.h"
#include "journal/journal.h"
#include "script/plan.h"

#define MG_STATE_DIR "./.mguard/runs"
#define MG_STATE_DIR_FLAG                                                                                                                                      \
  { "state-dir", "DIR", "folder of the journals (default ./.mguard/runs)", NULL }
#define MG_RECORDING_FLAGS                                                                                                                                     \
  {"resume", "RUN", "go on with a run that was interrupted or killed; latest: the last such run", NULL}, MG_STATE_DIR_FLAG, {                                  \
    "no-journal", NULL, "write no journal: the run cannot be resumed", NULL                                                                                    \
  }

typedef struct mg_recording {
  const char *dir;
  char run[MG_RUN_ID_BYTES];
  bool off, dir_given;
  bool nothing; /* no task of it was ever on a queue: where it did not end its file goes */
  bool goes;    /* so it does, when it is closed */
  bool config_given; /* --queue-config held JSON text, which is not kept: it may hold passwords */
  uint32_t epoch;
  int64_t started_ms;   /* wall clock; of the run's first coordinator */
  mg_runfile *file;     /* to be resumed, until mg_recording_begin */
  mg_journal *journal;  /* NULL: none */
  mg_buf script, flags; /* of a run that is resumed */
} mg_recording;

/* A fact, with a NUL added; "" where it is not there. */
mg_err mg_recording_fact(mg_runfile *f, const char *key, mg_buf *out, mg_error *e);
mg_err mg_recording_number(mg_runfile *f, const char *key, int64_t *out, mg_error *e);
/* Adds to a what the fact `flags` holds and the command knows; the values point into it. */
void mg_recording_add_flags(mg_slice flags, mg_args *a, const mg_command *command);

/* Reads the flags. With --resume opens the run's file, sets run, and adds to a what the run was started with. MG_ARG, MG_AGAIN, MG_FATAL. */
mg_err mg_recording_open(mg_recording *r, mg_args *a, const mg_command *command, mg_error *e);
/* The script of the run that is resumed; NULL where none is. */
const char *mg_recording_script(const mg_recording *r);
/* MG_ARG where the plan is not the one that the resumed run was started with; e says what changed. */
mg_err mg_recording_compare(mg_recording *r, const mg_plan *p, mg_error *e);
/* Starts the journal, or goes on in the one that is resumed. begin_after_ms as in journal.h. */
mg_err mg_recording_begin(mg_recording *r, const mg_plan *p, const mg_args *a, const mg_command *command, const char *backend, mg_ms begin_after_ms,
                          mg_error *e);
/* What became of the run. report is empty where there is none. */
mg_err mg_recording_end(mg_recording *r, const char *state, const char *why, const char *verdict, int exit_code, mg_slice report, mg_error *e);
/* "run RUN ... resume with: ..." on standard error, where there is something to resume. */
void mg_recording_hint(const mg_recording *r);
const char *mg_recording_path(const mg_recording *r); /* of the journal; NULL where there is none */
void mg_recording_close(mg_recording *r);

#endif
