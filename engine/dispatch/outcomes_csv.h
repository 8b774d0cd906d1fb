/* outcomes_csv.h - every case's outcome in order of cases, in whatever order they come, with bounded memory. One owner.
 *
 * Outcomes wait in an unlinked file beside the CSV, one entry of fixed size a case; the CSV is written at the end, under another name first, so that it is
 * whole or not there. Cases without an outcome (unrun) have no row. Columns: case,role,outcome,failed; names of failed clauses sorted, joined by ';'. */
#ifndef MG_DISPATCH_OUTCOMES_CSV_H
#define MG_DISPATCH_OUTCOMES_CSV_H

#include "judge/tally.h"
#include "wire/message.h"

typedef struct mg_outcomes_csv mg_outcomes_csv;

/* MG_ARG where the folder cannot be written to. clauses is borrowed. */
mg_err mg_outcomes_csv_open(mg_outcomes_csv **out, const char *path, const mg_clause *clauses, int clause_count, mg_error *e);
/* Cases first .. first + count - 1: outcomes as in mg_result; failed counts from index 0 = first and is ascending. */
mg_err mg_outcomes_csv_put(mg_outcomes_csv *o, uint64_t first, uint32_t count, const uint8_t *outcomes, const mg_failed *failed, size_t failed_count,
                           mg_error *e);
/* Cases from `cases` on have no row. */
void mg_outcomes_csv_limit(mg_outcomes_csv *o, uint64_t cases);
mg_err mg_outcomes_csv_write(mg_outcomes_csv *o, mg_error *e);
void mg_outcomes_csv_free(mg_outcomes_csv *o);

#endif
