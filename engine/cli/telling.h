/* telling.h - what a run tells others while it goes: traces to a collector, alerts and the verdict to webhooks, how it goes on a live page. Main thread.
 *
 * Nobody who is told can hold a run up: posts go out from threads of their own, and the end waits for them only so long. */
#ifndef MG_CLI_TELLING_H
#define MG_CLI_TELLING_H

#include "cli/args.h"
#include "dispatch/coordinator.h"
#include "observe/report.h"
#include "observe/trace.h"

#define MG_TRACE_FLAGS                                                                                                                                         \
  {"otlp-endpoint", "URL", "send traces there, as OTLP over HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT; none: no traces)", NULL}
/* Of `mguard run`, and of `mguard evaluate`, which hands them on. */
#define MG_TELLING_FLAGS                                                                                                                                       \
  MG_TRACE_FLAGS, {"trace-share", "X", "share of the tasks that are traced, 0 to 1 (default 1; never more than 100 a second)", NULL},                          \
      {"live-port", "P", "show the run on a page at this port while it goes (0: a free one)", NULL},                                                           \
      {"live-host", "HOST", "address of that port (default 127.0.0.1; *: every address); others than this machine need MGUARD_LIVE_TOKEN", NULL},              \
      {"webhook", "URL", "post alerts and the verdict there, as JSON; MGUARD_WEBHOOK_SECRET signs them", NULL}, {                                              \
    "webhook-format", "FORMAT", "json, or slack for Slack and those who take its posts (default json)", NULL                                                   \
  }

typedef struct mg_telling mg_telling;

/* Asked by `mguard run` and `mguard worker` both. *out NULL where nothing asks for traces. MG_ARG with what is wrong. */
mg_err mg_telling_trace_start(mg_trace **out, const mg_args *a, const mg_command *command, const char *side, const char *instance, mg_error *e);
/* Sends the rest, and says what could not be sent. */
void mg_telling_trace_stop(mg_trace *t);

mg_err mg_telling_start(mg_telling **out, const mg_args *a, const mg_command *command, mg_plan *plan, const char *run,
                        const char *backend, mg_error *e);
struct mg_trace *mg_telling_trace(const mg_telling *t); /* for a worker in this process */
/* What the coordinator asks and tells of its tasks, where mg_telling_trace is not NULL. */
bool mg_telling_traces_task(mg_telling *t);
void mg_telling_traced(mg_telling *t, const mg_task_span *s);
/* What happened: a line of the live page's log, and some of it is an alert. Routine events are neither. */
void mg_telling_event(mg_telling *t, const mg_coordinator_event *ev);
/* Call ten times a second. s NULL: the run has not begun. */
void mg_telling_tick(mg_telling *t, const mg_run_state *s);
/* The run is over: report NULL where there is none, then failed says why. Waits for nobody. */
void mg_telling_over(mg_telling *t, const mg_report *report, const char *failed);
/* Ends all of it within the bounds; NULL is fine. */
void mg_telling_stop(mg_telling *t);

#endif
