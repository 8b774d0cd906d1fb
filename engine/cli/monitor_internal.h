/* monitor_internal.h - the families of metrics, shared by monitor*.c alone. Main thread. */
#ifndef MG_CLI_MONITOR_INTERNAL_H
#define MG_CLI_MONITOR_INTERNAL_H

#include "cli/monitor.h"
#include "observe/http.h"
#include "observe/metrics.h"

enum { MG_FAMILY_MAX = 32 };

typedef struct mg_family { /* metrics declared together, at their first filling */
  mg_metric *handles[MG_FAMILY_MAX];
  bool declared;
} mg_family;

struct mg_monitor {
  mg_http *http;
  mg_metrics *metrics;
  mg_family run, worker, broker;
  mg_buf text;
  mg_ms next_ms;
};

/* Its handles; declares infos at the first call. */
mg_metric **mg_family_of(mg_monitor *m, mg_family *f, const mg_metric_info *infos, int count);
double mg_monitor_seconds(mg_ms ms); /* 0 where negative */

void mg_monitor_fill_run(mg_monitor *m, const mg_run_state *s);
void mg_monitor_fill_worker(mg_monitor *m, const mg_worker_stats *s, const char *name);
void mg_monitor_fill_broker(mg_monitor *m, const mg_link_stats *s, const char *backend, bool connected, uint32_t reconnects);

#endif
