/* monitor.h - metrics and probes of `mguard run` and `mguard worker`: fills a registry from snapshots and publishes its text. Main thread. */
#ifndef MG_CLI_MONITOR_H
#define MG_CLI_MONITOR_H

#include "cli/args.h"
#include "execute/worker.h"
#include "judge/run.h"

#define MG_MONITOR_FLAGS                                                                                                                                       \
  {"metrics-port", "P", "answer /metrics, /healthz and /readyz on this port (0: a free one, which the log names)", NULL}, {                                    \
    "metrics-host", "HOST", "address of that port (default 127.0.0.1; *: every address); MGUARD_METRICS_TOKEN: bearer token of /metrics", NULL                 \
  }

typedef struct mg_monitor mg_monitor;

/* *out NULL where the flags ask for nothing. MG_ARG with what is wrong. */
mg_err mg_monitor_start(mg_monitor **out, const mg_args *a, const mg_command *command, mg_error *e);
void mg_monitor_stop(mg_monitor *m); /* NULL is fine, here and below */

/* Call as often as you like: each renders at most twice a second. A run without a coordinator yet (s NULL) is not ready. */
void mg_monitor_run(mg_monitor *m, const mg_run_state *s);
void mg_monitor_worker(mg_monitor *m, const mg_worker_stats *s, const char *name);

#endif
