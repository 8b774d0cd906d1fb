/* survey.h - what is on a queue, run by run, and which workers beat, as seen from outside: for `mguard status` and `mguard top`. Main thread. */
#ifndef MG_CLI_SURVEY_H
#define MG_CLI_SURVEY_H

#include "cli/console.h"

typedef struct mg_heard { /* a worker */
  char name[MG_NAME_MAX + 1];
  mg_beat beat;     /* the last one */
  mg_ms changed_ms; /* when the counter rose last; 0: never while we watched */
} mg_heard;

typedef struct mg_survey {
  mg_console console; /* opened by the caller */
  const char *only;   /* this run alone; NULL: all */
  bool looked;
  mg_heard *workers;
  size_t worker_count;
  uint64_t unreadable; /* beats, of the first look */
  char (*runs)[MG_NAME_MAX + 1];
  mg_depth *depths;
  size_t run_count;
  mg_depth whole;
  mg_endings ends;
  mg_ms watched_ms; /* by the last look */
} mg_survey;

/* Hears beats for up to so long (0: those that are there), until each worker has beaten; then counts. May be called again and again. */
mg_err mg_survey_look(mg_survey *s, mg_ms watch_ms, mg_error *e);
/* The object of `mguard status --json`. */
json_t *mg_survey_json(const mg_survey *s);
/* "live", "draining", "left", "quiet" (beat before, but not while we watched, or not lately); "open", "ended", "interrupted". */
const char *mg_survey_worker_state(const mg_survey *s, const mg_heard *w);
const char *mg_survey_run_state(const mg_survey *s, const char *run);
void mg_survey_fini(mg_survey *s); /* closes the console too */

#endif
