/* verify.h - what a journal says of its run, counted anew and without the coordinator's help: is every case there once, and is the digest right? Any thread. */
#ifndef MG_DISPATCH_VERIFY_H
#define MG_DISPATCH_VERIFY_H

#include "judge/outcome.h"
#include "journal/runfile.h"

typedef struct mg_audit {
  const char *run;     /* in: results of others are unexpected */
  uint64_t planned;    /* in */
  uint64_t recorded;   /* cases with a result */
  uint64_t lost;       /* given up, and no late result */
  uint64_t crashed;    /* given up because the candidate ran whenever a holder vanished: these count as its failures */
  uint64_t duplicated; /* cases recorded more than once */
  uint64_t unexpected; /* cases that the run does not have, and results of other runs */
  uint64_t missing;    /* neither recorded nor lost nor crashed */
  uint64_t dropped;    /* repeated deliveries */
  uint64_t recovered;  /* cases of tasks that were handed out again */
} mg_audit;

mg_err mg_audit_read(mg_audit *a, mg_runfile *f, mg_error *e);

/* The digest of what is recorded of the cases below `limit`. names: the plan's clauses without completes. */
mg_err mg_audit_digest(const mg_audit *a, mg_runfile *f, const char *const *names, int name_count, bool has_baseline, uint64_t limit, mg_digest *out,
                       mg_error *e);

#endif
