/* pool_records.h - reads the arena of a slot: the records listed in slot.h. Any thread.
 *
 * The arena was written by a process that may have gone wrong: nothing in it is trusted. Texts borrow from the arena. */
#ifndef MG_EXECUTE_POOL_RECORDS_H
#define MG_EXECUTE_POOL_RECORDS_H

#include "base/buf.h"
#include "judge/outcome.h"
#include <stdbool.h>

typedef enum mg_record_kind { MG_RECORD_FAILED = 0, MG_RECORD_VIOLATION, MG_RECORD_LABEL, MG_RECORD_FAULT, MG_RECORD_TIME, MG_RECORD_DIGEST, MG_RECORD_VALUES, MG_RECORD_PLACE } mg_record_kind;

typedef struct mg_record {
  mg_record_kind kind;
  uint32_t index;        /* in the RUN */
  mg_role role;          /* failed, violation, values */
  mg_clause_mask mask;   /* failed; values: those whose pairs are kept */
  uint64_t case_number;  /* violation */
  uint8_t clause;        /* violation */
  mg_slice text;         /* violation: message; label: name; fault: text; values: doubles; place: the group */
  mg_slice values[4];    /* violation: input, output, input2, output2 */
  uint64_t ns[MG_ROLES]; /* time */
  mg_digest digest;
  bool has_cluster; /* place */
  uint64_t cluster;
} mg_record;

/* Takes one record from the front of *rest. false at its end (rest->len 0) and where it is malformed (rest->len not 0). */
bool mg_record_next(mg_slice *rest, mg_record *out);

#endif
