/* executor_values.h - what is measured of a case besides its outcome: times and memory of a role's main call, metrics, cluster and group.
 *
 * Thread: the executor's only one. Nothing here is called where nothing is measured. */
#ifndef MG_EXECUTE_EXECUTOR_VALUES_H
#define MG_EXECUTE_EXECUTOR_VALUES_H

#include "execute/executor_case.h"

int mg_builtin_columns(uint8_t measure);
int mg_columns_of(const mg_runner *r);

/* Before and after the main call. returned: it gave a result; else nothing of it counts. */
void mg_values_begin(mg_runner *r, mg_role role);
void mg_values_end(mg_runner *r, mg_role role, bool returned);
/* The checks' metrics of the result at hand; one that raises, or gives no number, has no value. MG_TIMEOUT: the time was up in one. */
mg_err mg_values_metrics(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, mg_error *e);
/* Cluster and group of the case at hand, recorded. MG_ARG, MG_TIMEOUT: the checks are at fault; *what says in which function. */
mg_err mg_values_place(mg_runner *r, uint32_t index, uint64_t case_number, const char **what, mg_error *e);

#endif
