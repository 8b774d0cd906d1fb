/* report.h - the JSON report of a run; docs/reference/report.schema.json says what stands in it. Main thread. */
#ifndef MG_OBSERVE_REPORT_H
#define MG_OBSERVE_REPORT_H

#include "base/buf.h"
#include "base/err.h"
#include "judge/goal.h"
#include "judge/run.h"
#include "script/plan.h"

typedef struct mg_report {
  const mg_plan *plan;
  const mg_run_state *state; /* of the ended run */
  const mg_judgement *judgement;
  int exit_code;
  int64_t started_wall_ms;
  const char *backend;
  const char *path; /* where the report will stand, for the commands that replay a case; NULL: they name the plan and the seed */
} mg_report;

/* Appends the report's text, ending with a newline. MG_NOMEM. */
mg_err mg_report_render(mg_buf *out, const mg_report *r, mg_error *e);
/* Writes text to path, whole or not at all: through another name in the same folder. MG_ARG with the path otherwise. */
mg_err mg_report_write(const char *path, mg_slice text, mg_error *e);

#endif
