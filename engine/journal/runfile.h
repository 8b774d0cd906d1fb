/* runfile.h - the file of one run: an SQLite database (WAL, synchronous=FULL) with facts by name and rows of records. One thread at a time.
 *
 * A row is what one commit brought: records (record.h) one after the other, as an LZ4 block where that is shorter, with their hash. Rows are numbered from 1
 * without a gap. Whoever writes holds a lock on the file as long as it is open, so a run has one coordinator; reading needs no lock. */
#ifndef MG_JOURNAL_STORE_H
#define MG_JOURNAL_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "journal/record.h"

#define MG_RUNFILE_FORMAT 1

typedef struct mg_runfile mg_runfile;

typedef struct mg_fact {
  const char *key;
  mg_slice value;
} mg_fact;

/* Makes dir where it is not there, and in it RUN.db, which must not be there yet. MG_ARG: it cannot be written there. */
mg_err mg_runfile_create(mg_runfile **out, const char *dir, const char *run, const mg_fact *facts, size_t count, mg_error *e);
/* MG_ARG: there is none; MG_AGAIN: (write) another process holds it; MG_UNSUPPORTED: of a newer mguard; MG_LOST: it was never finished being made, nothing
 * is in it; MG_FATAL: it is damaged. */
mg_err mg_runfile_open(mg_runfile **out, const char *dir, const char *run, bool write, mg_error *e);
void mg_runfile_close(mg_runfile *s); /* NULL is fine */
const char *mg_runfile_path(const mg_runfile *s);

/* Durable when they return MG_OK. MG_FATAL: the disk is full, or fails. */
mg_err mg_runfile_set(mg_runfile *s, const mg_fact *facts, size_t count, mg_error *e);
mg_err mg_runfile_append(mg_runfile *s, mg_slice records, uint64_t record_count, uint64_t cases, mg_error *e);

/* Appends the fact; nothing where it is not there. */
mg_err mg_runfile_get(mg_runfile *s, const char *key, mg_buf *out, mg_error *e);
/* Every record in order; ends with the first error of each. MG_FATAL where the file is damaged, with the row. */
typedef mg_err mg_runfile_each(void *owner, const mg_record *r, mg_error *e);
mg_err mg_runfile_read(mg_runfile *s, mg_runfile_each *each, void *owner, mg_error *e);
/* Cases counted, by what the rows say of themselves. */
mg_err mg_runfile_cases(mg_runfile *s, uint64_t *cases, mg_error *e);

/* Does a process write to it now? */
bool mg_runfile_held(const char *dir, const char *run);
/* Run ids in dir, oldest first: names of its *.db files; free each and the array. A folder that is not there has none. */
mg_err mg_runfile_list(const char *dir, char ***runs, size_t *count, mg_error *e);
/* Removes the run's files. MG_AGAIN where it is held. */
mg_err mg_runfile_remove(const char *dir, const char *run, mg_error *e);

#endif
