/* Metrics of a worker: `mguard worker`, and the one inside a run on one machine. */
#include "cli/monitor_internal.h"

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
    [W_BREAKER] = {MG_GAUGE, "metamorphic_worker_quarantined", "1 while the circuit breaker keeps tasks away from this worker.", {NULL}, 1},
    [W_FAILING] = {MG_GAUGE, "metamorphic_worker_failing", "1 while executors crash in a row and no tasks are taken.", {NULL}, 1},
    [W_TASK_SECONDS] = {MG_HISTOGRAM, "metamorphic_worker_task_duration_seconds", "Executor time of a task.", {NULL}, 1},
    [W_CASE_SECONDS] = {MG_HISTOGRAM, "metamorphic_worker_case_duration_seconds", "Executor time of a case, both roles: the mean over its task.", {NULL}, 1},
};

void mg_monitor_fill_worker(mg_monitor *m, const mg_worker_stats *s, const char *name) {
  static const mg_metric_info info = {MG_GAUGE, "metamorphic_worker_info", "Always 1; the name of this worker.", {"worker_id"}, 1};
  if (!m->worker.declared) mg_metric_set(mg_metrics_add(m->metrics, &info), 1, name);
  mg_metric **handles = mg_family_of(m, &m->worker, worker_metrics, WORKER_METRICS);
  const double values[WORKER_METRICS] = {
      [W_CASES] = (double)s->cases_done, [W_TASKS] = (double)s->tasks_done,   [W_HELD] = s->held,
      [W_REFUSED] = (double)s->refused,  [W_DEAD] = (double)s->dead_lettered, [W_BAD] = (double)s->bad_messages,
      [W_BEATS] = (double)s->beats,      [W_EXECUTORS] = s->executors_up,     [W_RESTARTS] = s->restarts,
      [W_BREAKER] = s->quarantined,      [W_FAILING] = s->failing,
  };
  for (int i = 0; i < WORKER_METRICS; i++) mg_metric_set(handles[i], values[i]); /* histograms take no single value */
  mg_metric_timing(handles[W_TASK_SECONDS], &s->task_seconds);
  mg_metric_timing(handles[W_CASE_SECONDS], &s->case_seconds);
}
