/* outcome.h - what became of one role of one case, and the digest over all of them. Any thread. */
#ifndef MG_JUDGE_OUTCOME_H
#define MG_JUDGE_OUTCOME_H

#include <stdint.h>

typedef enum mg_outcome {
  MG_PASS = 0,  /* every clause that applied held */
  MG_FAIL,      /* it returned, and a clause did not hold */
  MG_ERROR,     /* it raised */
  MG_TIMED_OUT, /* longer than case_timeout_ms */
  MG_CRASH,     /* its process died */
  MG_DISCARD,   /* the generator gave the case up; both roles */
  MG_CASE_LOST, /* the queue gave up */
  MG_UNRUN,     /* early stop, global_timeout, interrupt */
  MG_OUTCOMES,
  MG_ABSENT = 15 /* the plan has no baseline */
} mg_outcome;

typedef enum mg_role { MG_BASELINE = 0, MG_CANDIDATE = 1, MG_ROLES = 2 } mg_role;

const char *mg_outcome_name(mg_outcome o); /* "pass", "fail", "error", "timeout", "crash", "discard", "lost", "unrun", "absent" */
const char *mg_role_name(mg_role r);       /* "baseline", "candidate" */

/* Failed clauses of one role of one case: bit 0 is the implicit clause `completes`, bit i the plan's i-th clause. */
typedef uint64_t mg_clause_mask;
#define MG_COMPLETES ((mg_clause_mask)1)
#define MG_MAX_CLAUSES 63 /* besides completes */

/* A sum mod 2^128. */
typedef struct mg_digest {
  uint64_t low, high;
} mg_digest;

/* Knows the clause names; makes the digest's terms: XXH3-128 (seed 0) over MessagePack
 * [case, "candidate", "fail", [sorted names of failed clauses]]. One owner: adding fills a cache. */
typedef struct mg_digester mg_digester;
mg_digester *mg_digester_new(const char *const *clause_names, int clauses); /* names without completes; NULL: memory ended */
void mg_digester_free(mg_digester *d);
/* MG_ABSENT has no term; bits of clauses that the digester does not know are ignored. */
void mg_digester_add(mg_digester *d, mg_digest *sum, uint64_t case_number, mg_role role, mg_outcome outcome, mg_clause_mask failed);
void mg_digest_add(mg_digest *sum, const mg_digest *more);
void mg_digest_hex(const mg_digest *sum, char out[33]); /* high word first */

#endif
