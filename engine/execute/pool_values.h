/* pool_values.h - what an executor measured of a task's cases, kept by case until the task ends and then made into measures.
 *
 * By case, since a case may be run half, interrupted and run on: what comes twice simply stands where it stood. Thread: the loop's. */
#ifndef MG_EXECUTE_POOL_VALUES_H
#define MG_EXECUTE_POOL_VALUES_H

#include "execute/pool_records.h"
#include "judge/measures.h"

typedef struct mg_case_values {
  int columns;      /* 0: nothing was measured yet */
  uint32_t keeps;   /* columns of which pairs are kept */
  double *values;   /* [case][role][column], NAN where there is none */
  uint64_t *clusters; /* by case; NULL: the checks have no clusters */
  uint8_t *groups;    /* by case, 1 + the place in names; 0: none */
  char (*names)[MG_GROUP_NAME + 1];
  int name_count;
  mg_measures *made;
} mg_case_values;

/* Takes a record of kind MG_RECORD_VALUES or MG_RECORD_PLACE; index and count are the task's. Memory that ends costs the record. */
void mg_case_values_take(mg_case_values *v, const mg_record *r, uint32_t index, uint32_t count);
/* Of the first `done` cases with these outcomes (as in mg_result); NULL where nothing was measured or memory ended. Owned by v. */
mg_measures *mg_case_values_make(mg_case_values *v, const uint8_t *outcomes, uint32_t done);
void mg_case_values_fini(mg_case_values *v);

#endif
