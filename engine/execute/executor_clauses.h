/* executor_clauses.h - every clause over what a role's calls gave.
 *
 * Clause functions are lent the values themselves, not copies: nearly all only look. Afterwards the values are held against their tapes; where a function
 * changed one, the clauses are judged again with a copy for every call, and so from then on. The outcome is that of copying always. */
#ifndef MG_EXECUTE_EXECUTOR_CLAUSES_H
#define MG_EXECUTE_EXECUTOR_CLAUSES_H

#include "execute/executor_case.h"

/* Streams of Philox: 0 generates and 1 + r transforms (generator.h); math.random of each call has one of its own. */
enum { MG_RANDOM_CHECKS = 0x40000000, MG_RANDOM_CALL = 0x50000000, MG_RANDOM_CLAUSE = 0x60000000, MG_RANDOM_METRIC = 0x70000000 };

/* Functions that are called for every case stand at fixed places of the checks' stack, below all else: a lookup by reference would cost more. */
enum { MG_AT_GENERATE = 1, MG_AT_G, MG_AT_EQUAL, MG_AT_CLAUSES };
enum { MG_CHECK = 0, MG_TRANSFORM, MG_GIVEN, MG_PLACES };
static inline int mg_place(int clause, int what) { return MG_AT_CLAUSES + MG_PLACES * (clause - 1) + what; }

/* A call into the checks' state; everything but MG_OK leaves the stack as it was before the function was pushed. */
mg_err mg_checks_call(mg_runner *r, int nargs, int nresults, mg_error *e);
/* Pushes the values, lent or copied. */
mg_err mg_push_values(mg_runner *r, const mg_values *v, mg_error *e);

/* Judges the role's clauses; records violations. has_out: the main call returned. MG_TIMEOUT: the time was up in one, why says in which. */
mg_err mg_judge_clauses(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, bool has_out, mg_clause_mask *failed, char *why, size_t why_size);

#endif
