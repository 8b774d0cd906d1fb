#include "cli/monitor_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY_MS = 500, STATS_EVERY_MS = 5000 };

/* ---- start and stop ---- */

mg_err mg_monitor_start(mg_monitor **out, const mg_args *a, const mg_command *command, mg_error *e) {
  const char *host = mg_args_get(a, command, "metrics-host");
  const char *certificate = mg_args_get(a, command, "metrics-cert"), *key = mg_args_get(a, command, "metrics-key");
  int port;
  *out = NULL;
  mg_err err = mg_args_port(a, command, "metrics-port", (const char *const[]){"metrics-host", "metrics-cert", "metrics-key", NULL}, &port, e);
  if (err != MG_OK || port < 0) return err;
  mg_monitor *m = calloc(1, sizeof *m);
  if (m == NULL) return mg_fail(e, MG_NOMEM, "no memory for metrics");
  mg_http_config config = {.host = host, .port = port, .token = getenv("MGUARD_METRICS_TOKEN"), .certificate_file = certificate, .key_file = key};
  m->metrics = mg_metrics_new();
  if (m->metrics == NULL) err = mg_fail(e, MG_NOMEM, "no memory for metrics");
  if (err == MG_OK) err = mg_http_start(&m->http, &config, e);
  if (err != MG_OK) {
    mg_monitor_stop(m);
    return err;
  }
  mg_metric_info build = {MG_GAUGE, "metamorphic_build_info", "Always 1; the version of mguard.", {"version"}, 1};
  mg_metric_set(mg_metrics_add(m->metrics, &build), 1, MG_VERSION);
  mg_log(MG_LOG_INFO, "metrics_listening", MG_FIELDS(MG_LT("host", host != NULL ? host : "127.0.0.1"), MG_LI("port", mg_monitor_port(m))),
         "metrics, health and readiness on port %d", mg_monitor_port(m));
  *out = m;
  return MG_OK;
}

int mg_monitor_port(const mg_monitor *m) { return mg_http_port(m->http); }

void mg_monitor_stop(mg_monitor *m) {
  if (m == NULL) return;
  mg_http_stop(m->http);
  mg_metrics_free(m->metrics);
  mg_buf_fini(&m->text);
  free(m);
}

mg_metric **mg_family_of(mg_monitor *m, mg_family *f, const mg_metric_info *infos, int count) {
  for (int i = 0; i < count && !f->declared; i++) f->handles[i] = mg_metrics_add(m->metrics, &infos[i]);
  f->declared = true;
  return f->handles;
}

static bool due(mg_monitor *m) {
  mg_ms now = mg_now_ms();
  if (m == NULL || now < m->next_ms) return false;
  m->next_ms = now + EVERY_MS;
  return true;
}

static void publish(mg_monitor *m, const char *not_ready) {
  mg_buf_clear(&m->text);
  mg_metrics_render(m->metrics, &m->text);
  if (!m->text.failed) (void)mg_http_publish(m->http, mg_buf_slice(&m->text), not_ready);
}

double mg_monitor_seconds(mg_ms ms) { return ms > 0 ? (double)ms / 1000 : 0; }

mg_ms mg_monitor_stats_every_ms(const mg_monitor *m) { return m != NULL ? STATS_EVERY_MS : 0; }

void mg_monitor_run(mg_monitor *m, const mg_coordinator *c, mg_worker *local, const char *backend) {
  if (!due(m)) return;
  if (c == NULL) {
    publish(m, "the run has not begun");
    return;
  }
  mg_run_state s;
  mg_link_stats link;
  mg_worker_stats stats;
  mg_coordinator_read(c, &s);
  mg_coordinator_read_link(c, &link);
  if (local != NULL) {
    mg_worker_read(local, &stats);
    mg_monitor_fill_worker(m, &stats, mg_worker_name(local));
    link.extended += stats.link.extended; /* its leases are this process's */
    link.extend_lost += stats.link.extend_lost;
  }
  mg_monitor_fill_run(m, &s);
  mg_monitor_fill_broker(m, &link, backend, s.connected, s.reconnects);
  publish(m, s.connected ? NULL : "no connection to the broker");
}

void mg_monitor_worker(mg_monitor *m, mg_worker *w, const char *backend) {
  if (!due(m)) return;
  mg_worker_stats s;
  mg_worker_read(w, &s);
  mg_monitor_fill_worker(m, &s, mg_worker_name(w));
  mg_monitor_fill_broker(m, &s.link, backend, s.connected, s.reconnects);
  publish(m, s.stopping ? "stopping" : !s.connected ? "no connection to the broker" : s.executors_up == 0 ? "no executor is up" : NULL);
}
