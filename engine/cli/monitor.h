/* monitor.h - metrics and probes of `mguard run` and `mguard worker`: fills a registry from what both tell and publishes its text. Main thread. */
#ifndef MG_CLI_MONITOR_H
#define MG_CLI_MONITOR_H

#include "cli/args.h"
#include "dispatch/coordinator.h"
#include "execute/worker.h"

#define MG_MONITOR_FLAGS                                                                                                                                       \
  {"metrics-port", "P", "answer /metrics, /healthz and /readyz on this port (0: a free one, which the log names)", NULL}, {                                    \
    "metrics-host", "HOST", "address of that port (default 127.0.0.1; *: every address); MGUARD_METRICS_TOKEN: bearer token of /metrics", NULL                 \
  }, {"metrics-cert", "FILE", "answer there over TLS, with this certificate (PEM, its chain behind it)", NULL}, {                                              \
    "metrics-key", "FILE", "its private key (PEM)", NULL                                                                                                       \
  }

typedef struct mg_monitor mg_monitor;

/* *out NULL where the flags ask for nothing. MG_ARG with what is wrong. */
mg_err mg_monitor_start(mg_monitor **out, const mg_args *a, const mg_command *command, mg_error *e);
int mg_monitor_port(const mg_monitor *m); /* the one it answers on */
void mg_monitor_stop(mg_monitor *m); /* NULL is fine, here and below */

/* How often links should ask the broker about itself; 0 where nobody looks. */
mg_ms mg_monitor_stats_every_ms(const mg_monitor *m);
/* Call as often as you like: each renders at most twice a second. c NULL: not ready yet. local: the worker inside the run, or NULL. backend: its name. */
void mg_monitor_run(mg_monitor *m, const mg_coordinator *c, mg_worker *local, const char *backend);
void mg_monitor_worker(mg_monitor *m, mg_worker *w, const char *backend);

#endif
