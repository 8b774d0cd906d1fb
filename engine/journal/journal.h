/* journal.h - a run's record on disk: what is put is written by a thread of its own, many records a commit.
 *
 * Thread: one owner puts; the writer takes what has gathered within delay_ms and commits it as one row. What was put is durable once its number is not
 * above mg_journal_durable. Where writing fails nothing more is written, mg_journal_failed says why, and what is not durable never will be.
 *
 * With begin_after_ms the file is made only after that time: a run that is over sooner leaves none. A file that then cannot be made is no failure: the
 * journal is given up (mg_journal_given_up) and everything counts as durable. */
#ifndef MG_JOURNAL_JOURNAL_H
#define MG_JOURNAL_JOURNAL_H

#include "base/clock.h"
#include "journal/runfile.h"

typedef struct mg_journal mg_journal;

typedef struct mg_journal_config { /* copied */
  const char *dir, *run;
  const mg_fact *facts; /* of a new run */
  size_t fact_count;
  mg_ms begin_after_ms; /* 0: at once, and failing is an error of mg_journal_start */
  mg_ms delay_ms;       /* most time between put and commit; 0: the default */
} mg_journal_config;

/* A new run's. */
mg_err mg_journal_start(mg_journal **out, const mg_journal_config *config, mg_error *e);
/* Goes on in a store that was opened for writing, which it takes over. */
mg_err mg_journal_resume(mg_journal **out, mg_runfile *store, mg_error *e);

/* What stands in it; for one that was resumed, before anything is put. */
mg_err mg_journal_read(mg_journal *j, mg_runfile_each *each, void *owner, mg_error *e);

/* Called on the writer's thread when the durable number rose or writing failed; set it before the first put, NULL from when on no more calls are wanted. */
void mg_journal_wake(mg_journal *j, void (*wake)(void *owner), void *owner);

/* Copies the record. cases: how many it counts for the first time. Its number, from 1. */
uint64_t mg_journal_put(mg_journal *j, const mg_record *r, uint64_t cases);
uint64_t mg_journal_durable(const mg_journal *j);
/* Commits what was put and waits for that. MG_FATAL where it failed, now or before. */
mg_err mg_journal_sync(mg_journal *j, mg_error *e);
/* The same, and then the facts. Nothing happens where the file was never made. */
mg_err mg_journal_set(mg_journal *j, const mg_fact *facts, size_t count, mg_error *e);

bool mg_journal_failed(const mg_journal *j, mg_error *e); /* e may be NULL */
const char *mg_journal_given_up(const mg_journal *j);     /* why there is no file; NULL */
const char *mg_journal_path(const mg_journal *j);         /* NULL where there is no file (yet) */

typedef struct mg_journal_lag {
  uint64_t waiting_records;
  uint64_t unwritten_records; /* those, and what is being written */
  mg_ms oldest_ms;            /* when the oldest of them was put; 0: all are durable, or there is no file (yet) */
  size_t waiting_bytes;
  double last_commit_seconds; /* what it took */
  uint64_t commits, written_records, written_bytes /* before packing */;
} mg_journal_lag;
void mg_journal_lag_of(const mg_journal *j, mg_journal_lag *out);

/* Commits what was put, unless writing failed, and closes. NULL is fine. */
void mg_journal_free(mg_journal *j);

#endif
