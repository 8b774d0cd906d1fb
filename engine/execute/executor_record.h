/* executor_record.h - what the executor writes into the slot's arena: failed clauses, violations, labels, faults (slot.h tells their form). */
#ifndef MG_EXECUTE_EXECUTOR_RECORD_H
#define MG_EXECUTE_EXECUTOR_RECORD_H

#include "execute/executor_case.h"

#define MG_MESSAGE_BYTES 1024

void mg_record_fault(mg_runner *r, uint32_t index, const char *text);
void mg_record_failed(mg_runner *r, uint32_t index, mg_role role, mg_clause_mask mask);
/* Unless violation_cap of that clause and role are stored already. args2, out2: NULL where there are none. */
void mg_record_violation(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, int clause, const char *message, bool has_out,
                         const mg_tape *args2, const mg_tape *out2);
void mg_record_digest(mg_runner *r, uint32_t index); /* r->sum, of the task whose last case this is */
/* r->values of the role at hand; where the case belongs: NULL, "": no cluster, no group. */
void mg_record_values(mg_runner *r, uint32_t index, mg_role role);
void mg_record_place(mg_runner *r, uint32_t index, const uint64_t *cluster, mg_slice group);
void mg_record_labels(mg_runner *r, uint32_t index); /* those of the case at hand */

#endif
