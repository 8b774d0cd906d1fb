/* violations.h - the stored violations: of each role and clause the lowest `cap` cases, those the baseline does not share first, in whatever order they come.
 *
 * One owner. A candidate's violation of a hard or absolute clause that counts is run again, and what came of it is kept here. */
#ifndef MG_DISPATCH_VIOLATIONS_H
#define MG_DISPATCH_VIOLATIONS_H

#include "judge/run.h"
#include "wire/message.h"

typedef struct mg_first { /* what a case came to the first time */
  uint64_t case_number;
  mg_outcome outcomes[MG_ROLES];
  mg_clause_mask masks[MG_ROLES];
} mg_first;

typedef struct mg_kept {
  mg_stored_violation v;
  mg_first first;
} mg_kept;

typedef struct mg_violations {
  const mg_clause *clauses;
  int clause_count;
  size_t cap;
  mg_kept *kept[MG_ROLES][MG_MAX_CLAUSES + 1]; /* ordered: not shared first, then by case */
  size_t count[MG_ROLES][MG_MAX_CLAUSES + 1];
  mg_clause_mask hard, absolute; /* clauses by mode */
} mg_violations;

void mg_violations_init(mg_violations *s, const mg_clause *clauses, int clause_count, size_t cap);
void mg_violations_fini(mg_violations *s);

/* Takes what a counted case violated; texts (may be NULL) are those of the result it came in, matched by index. */
void mg_violations_add(mg_violations *s, const mg_first *first, uint32_t index, const mg_violation *texts, size_t text_count);
/* The candidate's violations that decide by themselves: hard ones the baseline does not share, absolute ones. */
mg_clause_mask mg_violations_deciding(const mg_violations *s, const mg_first *first);
bool mg_violation_decides(const mg_violations *s, const mg_stored_violation *v);
/* The case was run again and violated `again`. */
void mg_violations_repeated(mg_violations *s, uint64_t case_number, mg_clause_mask again);
/* For each clause, deciding violations that were run again: how many did so again and how many did not. */
void mg_violations_tell(const mg_violations *s, uint32_t reproduced[MG_MAX_CLAUSES + 1], uint32_t vanished[MG_MAX_CLAUSES + 1]);

/* For each clause, deciding violations of cases from `from` on that were run again and did so again. */
void mg_violations_beyond(const mg_violations *s, uint64_t from, uint32_t reproduced[MG_MAX_CLAUSES + 1]);

/* All of them in a row, by clause, candidate first, then case; the array is the caller's, the texts are not. NULL where there is none or memory ended. */
mg_stored_violation *mg_violations_list(const mg_violations *s, size_t *count);

#endif
