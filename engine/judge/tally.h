/* tally.h - counts over cases, each counted once. Memory does not grow with the number of cases. Any thread, one owner. */
#ifndef MG_JUDGE_TALLY_H
#define MG_JUDGE_TALLY_H

#include "judge/outcome.h"
#include "judge/stats/paired.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum mg_mode { MG_MODE_HARD = 0, MG_MODE_ABSOLUTE, MG_MODE_SOFT } mg_mode;

typedef struct mg_clause {
  const char *name; /* clause 0 is "completes" */
  const char *kind; /* "implicit", "property", "relation" */
  mg_mode mode;
} mg_clause;

typedef struct mg_clause_count { /* cases whose pair counts */
  uint64_t both, baseline_only, candidate_only;
} mg_clause_count;

typedef struct mg_tally {
  uint64_t cases;                           /* counted so far */
  uint64_t outcomes[MG_ROLES][MG_OUTCOMES]; /* each row sums to cases (baseline row 0 where there is none) */
  mg_pairs pairs;                           /* neither side discarded, lost or unrun */
  mg_clause_count clauses[MG_MAX_CLAUSES + 1];
} mg_tally;

/* One case. baseline MG_ABSENT where the plan has none: then the clause counts use candidate_only alone and pairs stay 0. */
void mg_tally_add(mg_tally *t, mg_outcome baseline, mg_outcome candidate, mg_clause_mask baseline_failed, mg_clause_mask candidate_failed);
/* count cases with the same two outcomes and no failed clause. */
void mg_tally_add_run(mg_tally *t, mg_outcome baseline, mg_outcome candidate, uint64_t count);
void mg_tally_merge(mg_tally *t, const mg_tally *more);

#endif
