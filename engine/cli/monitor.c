#include "cli/monitor.h"

#include "base/log.h"
#include "observe/http.h"
#include "observe/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY_MS = 500, WORKER_STATES_MAX = 8 };

/* What a coordinator shows; the order is that of the page. */
typedef enum run_metric {
  PENDING_TASKS,
  BACKLOG_CASES,
  OLDEST_TASK,
  INFLIGHT_CASES,
  ACTIVE_WORKERS,
  WORKERS,
  CASES_PLANNED,
  CASES_DISPATCHED,
  CASES_COMPLETED,
  CASES_REQUEUED,
  TASKS_PUBLISHED,
  TASKS_COMPLETED,
  TASKS_REQUEUED,
  HEARTBEATS,
  TIMEOUTS,
  SERIALIZATION,
  DEAD_LETTERS,
  REPEATS,
  HEDGES,
  BATCH,
  RECONNECTS,
  CONNECTED,
  CASES,
  TASK_SECONDS,
  CASE_SECONDS,
  RUN_METRICS
} run_metric;

static const mg_metric_info run_metrics[RUN_METRICS] = {
    [PENDING_TASKS] = {MG_GAUGE, "metamorphic_queue_pending_tasks", "Tasks planned and not yet with a worker, published or not.", {NULL}, 1},
    [BACKLOG_CASES] = {MG_GAUGE, "metamorphic_queue_backlog_cases", "Cases planned and not yet with a worker.", {NULL}, 1},
    [OLDEST_TASK] = {MG_GAUGE, "metamorphic_queue_oldest_task_seconds", "Age of the oldest published task without a result; 0 where there is none.", {NULL}, 1},
    [INFLIGHT_CASES] = {MG_GAUGE, "metamorphic_queue_inflight_cases", "Cases with a worker, by the last beats.", {NULL}, 1},
    [ACTIVE_WORKERS] = {MG_GAUGE, "metamorphic_queue_active_workers", "Workers that beat.", {NULL}, 1},
    [WORKERS] = {MG_GAUGE,
                 "metamorphic_queue_idled_workers",
                 "Workers out of service: silent (lost), kept from work by the circuit breaker (quarantined), with other files (refused).",
                 {"state"},
                 WORKER_STATES_MAX},
    [CASES_PLANNED] = {MG_GAUGE, "metamorphic_queue_planned_cases", "Cases of the run.", {NULL}, 1},
    [CASES_DISPATCHED] = {MG_COUNTER, "metamorphic_queue_cases_dispatched_total", "Cases given to the queue for the first time.", {NULL}, 1},
    [CASES_COMPLETED] = {MG_COUNTER, "metamorphic_queue_cases_completed_total", "Cases counted.", {NULL}, 1},
    [CASES_REQUEUED] = {MG_COUNTER, "metamorphic_queue_cases_requeued_total", "Cases given to the queue again because their worker vanished.", {NULL}, 1},
    [TASKS_PUBLISHED] = {MG_COUNTER, "metamorphic_queue_tasks_published_total", "Tasks given to the queue, again counts too.", {NULL}, 1},
    [TASKS_COMPLETED] = {MG_COUNTER, "metamorphic_queue_tasks_completed_total", "Tasks answered.", {NULL}, 1},
    [TASKS_REQUEUED] = {MG_COUNTER, "metamorphic_queue_tasks_requeued_total", "Tasks given to the queue again because their worker vanished.", {NULL}, 1},
    [HEARTBEATS] = {MG_COUNTER, "metamorphic_queue_worker_heartbeats_total", "Beats of all workers.", {NULL}, 1},
    [TIMEOUTS] = {MG_COUNTER, "metamorphic_queue_timeout_failures_total", "Roles of cases that ended by their time limit.", {NULL}, 1},
    [SERIALIZATION] = {MG_COUNTER, "metamorphic_queue_serialization_errors_total", "Messages that could not be read.", {NULL}, 1},
    [DEAD_LETTERS] = {MG_COUNTER, "metamorphic_queue_dead_letters_total", "Tasks given up.", {NULL}, 1},
    [REPEATS] = {MG_COUNTER, "metamorphic_queue_repeats_dropped_total", "Results of cases that were counted before.", {NULL}, 1},
    [HEDGES] = {MG_COUNTER, "metamorphic_queue_hedged_tasks_total", "Second copies of stragglers.", {NULL}, 1},
    [BATCH] = {MG_GAUGE, "metamorphic_queue_batch_cases", "Cases of a task in mid-run.", {NULL}, 1},
    [RECONNECTS] = {MG_COUNTER, "metamorphic_queue_broker_reconnects_total", "Connections to the broker made again.", {NULL}, 1},
    [CONNECTED] = {MG_GAUGE, "metamorphic_queue_broker_connected", "1 while the broker is reached.", {NULL}, 1},
    [CASES] = {MG_COUNTER, "metamorphic_cases_total", "Cases counted, by role and outcome.", {"role", "status"}, 2 * MG_OUTCOMES},
    [TASK_SECONDS] = {MG_HISTOGRAM, "metamorphic_queue_task_duration_seconds", "From the publishing of a task to its result.", {NULL}, 1},
    [CASE_SECONDS] = {MG_HISTOGRAM, "metamorphic_case_duration_seconds", "Executor time of a case, both roles: the mean over its task.", {NULL}, 1},
};

typedef enum worker_metric {
  W_CASES,
  W_TASKS,
  W_HELD,
  W_REFUSED,
  W_DEAD,
  W_BAD,
  W_BEATS,
  W_EXECUTORS,
  W_RESTARTS,
  W_RECONNECTS,
  W_CONNECTED,
  W_BREAKER,
  W_FAILING,
  W_TASK_SECONDS,
  W_CASE_SECONDS,
  WORKER_METRICS
} worker_metric;

static const mg_metric_info worker_metrics[WORKER_METRICS] = {
    [W_CASES] = {MG_COUNTER, "metamorphic_worker_cases_completed_total", "Cases this worker has run.", {NULL}, 1},
    [W_TASKS] = {MG_COUNTER, "metamorphic_worker_tasks_completed_total", "Tasks this worker has run.", {NULL}, 1},
    [W_HELD] = {MG_GAUGE, "metamorphic_worker_held_tasks", "Tasks this worker holds.", {NULL}, 1},
    [W_REFUSED] =
        {MG_COUNTER, "metamorphic_worker_refused_tasks_total", "Tasks given back because this worker has other files or lacks the implementation.", {NULL}, 1},
    [W_DEAD] = {MG_COUNTER, "metamorphic_worker_dead_letters_total", "Tasks this worker put among the dead letters.", {NULL}, 1},
    [W_BAD] = {MG_COUNTER, "metamorphic_worker_serialization_errors_total", "Messages that could not be read.", {NULL}, 1},
    [W_BEATS] = {MG_COUNTER, "metamorphic_worker_heartbeats_total", "Beats sent.", {NULL}, 1},
    [W_EXECUTORS] = {MG_GAUGE, "metamorphic_worker_executors", "Executors that are up.", {NULL}, 1},
    [W_RESTARTS] = {MG_COUNTER, "metamorphic_worker_executor_restarts_total", "Executors started in place of one that crashed or hung.", {NULL}, 1},
    [W_RECONNECTS] = {MG_COUNTER, "metamorphic_worker_broker_reconnects_total", "Connections to the broker made again.", {NULL}, 1},
    [W_CONNECTED] = {MG_GAUGE, "metamorphic_worker_broker_connected", "1 while the broker is reached.", {NULL}, 1},
    [W_BREAKER] = {MG_GAUGE, "metamorphic_worker_quarantined", "1 while the circuit breaker keeps tasks away from this worker.", {NULL}, 1},
    [W_FAILING] = {MG_GAUGE, "metamorphic_worker_failing", "1 while executors crash in a row and no tasks are taken.", {NULL}, 1},
    [W_TASK_SECONDS] = {MG_HISTOGRAM, "metamorphic_worker_task_duration_seconds", "Executor time of a task.", {NULL}, 1},
    [W_CASE_SECONDS] = {MG_HISTOGRAM, "metamorphic_worker_case_duration_seconds", "Executor time of a case, both roles: the mean over its task.", {NULL}, 1},
};

struct mg_monitor {
  mg_http *http;
  mg_metrics *metrics;
  mg_metric *handles[(int)RUN_METRICS > (int)WORKER_METRICS ? (int)RUN_METRICS : (int)WORKER_METRICS];
  bool declared;
  mg_buf text;
  mg_ms next_ms;
};

/* ---- start and stop ---- */

mg_err mg_monitor_start(mg_monitor **out, const mg_args *a, const mg_command *command, mg_error *e) {
  const char *text = mg_args_get(a, command, "metrics-port"), *host = mg_args_get(a, command, "metrics-host");
  *out = NULL;
  if (text == NULL) {
    return host == NULL ? MG_OK : mg_fail(e, MG_ARG, "--metrics-host says where, but not on which port: give --metrics-port too");
  }
  char *end;
  long port = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || port < 0 || port > 65535)
    return mg_fail(e, MG_ARG, "--metrics-port must be a whole number from 0 to 65535, got %s", text);
  mg_monitor *m = calloc(1, sizeof *m);
  if (m == NULL) return mg_fail(e, MG_NOMEM, "no memory for metrics");
  mg_http_config config = {.host = host, .port = (int)port, .token = getenv("MGUARD_METRICS_TOKEN")};
  mg_err err = MG_OK;
  m->metrics = mg_metrics_new();
  if (m->metrics == NULL) err = mg_fail(e, MG_NOMEM, "no memory for metrics");
  if (err == MG_OK) err = mg_http_start(&m->http, &config, e);
  if (err != MG_OK) {
    mg_monitor_stop(m);
    return err;
  }
  mg_metric_info build = {MG_GAUGE, "metamorphic_build_info", "Always 1; the version of mguard.", {"version"}, 1};
  mg_metric_set(mg_metrics_add(m->metrics, &build), 1, MG_VERSION);
  mg_log(MG_LOG_INFO, "metrics_listening", MG_FIELDS(MG_LT("host", host != NULL ? host : "127.0.0.1"), MG_LI("port", mg_http_port(m->http))),
         "metrics, health and readiness on port %d", mg_http_port(m->http));
  *out = m;
  return MG_OK;
}

void mg_monitor_stop(mg_monitor *m) {
  if (m == NULL) return;
  mg_http_stop(m->http);
  mg_metrics_free(m->metrics);
  mg_buf_fini(&m->text);
  free(m);
}

static void declare(mg_monitor *m, const mg_metric_info *infos, int count) {
  if (m->declared) return;
  m->declared = true;
  for (int i = 0; i < count; i++) m->handles[i] = mg_metrics_add(m->metrics, &infos[i]);
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

static double seconds(mg_ms ms) { return ms > 0 ? (double)ms / 1000 : 0; }

/* ---- a run ---- */

static void fill_workers(mg_metric *x, const mg_run_state *s) {
  uint64_t lost = 0, quarantined = 0, refused = 0;
  for (size_t i = 0; i < s->worker_count; i++) {
    lost += s->workers[i].lost;
    quarantined += s->workers[i].quarantined;
    refused += s->workers[i].refused;
  }
  mg_metric_set(x, (double)lost, "lost");
  mg_metric_set(x, (double)quarantined, "quarantined");
  mg_metric_set(x, (double)refused, "refused");
}

static void fill_tally(mg_monitor *m, const mg_tally *t) {
  uint64_t timeouts = 0;
  for (int r = 0; r < MG_ROLES; r++) {
    timeouts += t->outcomes[r][MG_TIMED_OUT];
    for (int o = 0; o < MG_OUTCOMES; o++) {
      mg_metric_set(m->handles[CASES], (double)t->outcomes[r][o], mg_role_name((mg_role)r), mg_outcome_name((mg_outcome)o));
    }
  }
  mg_metric_set(m->handles[TIMEOUTS], (double)timeouts);
}

static void fill_run(mg_monitor *m, const mg_run_state *s) {
  uint64_t beats = 0, held = s->held_tasks, waiting = s->outstanding_tasks - held;
  for (size_t i = 0; i < s->worker_count; i++) beats += s->workers[i].beats;
  uint64_t inflight = s->outstanding_tasks > 0 ? s->outstanding_cases * held / s->outstanding_tasks : 0;
  uint32_t batch = s->batch > 0 ? s->batch : 1;
  const double values[RUN_METRICS] = {
      [PENDING_TASKS] = (double)(waiting + (s->unsent_cases + batch - 1) / batch),
      [BACKLOG_CASES] = (double)(s->unsent_cases + s->outstanding_cases - inflight),
      [OLDEST_TASK] = s->oldest_ms > 0 ? seconds(s->now_ms - s->oldest_ms) : 0,
      [INFLIGHT_CASES] = (double)inflight,
      [ACTIVE_WORKERS] = s->active_workers,
      [CASES_PLANNED] = (double)s->planned,
      [CASES_DISPATCHED] = (double)s->dispatched_cases,
      [CASES_COMPLETED] = (double)s->counted,
      [CASES_REQUEUED] = (double)s->requeued_cases,
      [TASKS_PUBLISHED] = (double)s->tasks_published,
      [TASKS_COMPLETED] = (double)s->tasks_done,
      [TASKS_REQUEUED] = (double)s->requeued_tasks,
      [HEARTBEATS] = (double)beats,
      [SERIALIZATION] = (double)s->bad_messages,
      [DEAD_LETTERS] = (double)s->dead_lettered,
      [REPEATS] = (double)s->repeats_dropped,
      [HEDGES] = (double)s->hedges,
      [BATCH] = batch,
      [RECONNECTS] = s->reconnects,
      [CONNECTED] = s->connected,
  };
  for (int i = 0; i < RUN_METRICS; i++) {
    if (run_metrics[i].labels[0] == NULL && run_metrics[i].kind != MG_HISTOGRAM && i != TIMEOUTS) mg_metric_set(m->handles[i], values[i]);
  }
  fill_workers(m->handles[WORKERS], s);
  fill_tally(m, s->tally);
  mg_metric_timing(m->handles[TASK_SECONDS], s->task_seconds);
  mg_metric_timing(m->handles[CASE_SECONDS], s->case_seconds);
}

void mg_monitor_run(mg_monitor *m, const mg_run_state *s) {
  if (!due(m)) return;
  declare(m, run_metrics, RUN_METRICS);
  if (s != NULL) fill_run(m, s);
  publish(m, s == NULL ? "the run has not begun" : s->connected ? NULL : "no connection to the broker");
}

/* ---- a worker ---- */

void mg_monitor_worker(mg_monitor *m, const mg_worker_stats *s, const char *name) {
  if (!due(m)) return;
  if (!m->declared) {
    mg_metric_info info = {MG_GAUGE, "metamorphic_worker_info", "Always 1; the name of this worker.", {"worker_id"}, 1};
    mg_metric_set(mg_metrics_add(m->metrics, &info), 1, name);
  }
  declare(m, worker_metrics, WORKER_METRICS);
  const double values[WORKER_METRICS] = {
      [W_CASES] = (double)s->cases_done, [W_TASKS] = (double)s->tasks_done,   [W_HELD] = s->held,
      [W_REFUSED] = (double)s->refused,  [W_DEAD] = (double)s->dead_lettered, [W_BAD] = (double)s->bad_messages,
      [W_BEATS] = (double)s->beats,      [W_EXECUTORS] = s->executors_up,     [W_RESTARTS] = s->restarts,
      [W_RECONNECTS] = s->reconnects,    [W_CONNECTED] = s->connected,        [W_BREAKER] = s->quarantined,
      [W_FAILING] = s->failing,
  };
  for (int i = 0; i < WORKER_METRICS; i++) mg_metric_set(m->handles[i], values[i]); /* histograms take no single value */
  mg_metric_timing(m->handles[W_TASK_SECONDS], &s->task_seconds);
  mg_metric_timing(m->handles[W_CASE_SECONDS], &s->case_seconds);
  publish(m, s->stopping ? "stopping" : !s->connected ? "no connection to the broker" : s->executors_up == 0 ? "no executor is up" : NULL);
}
