/* Metrics of a run, as its coordinator counts. */
#include "cli/monitor_internal.h"

enum { WORKER_STATES_MAX = 8 };

/* The order is that of the page. */
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
  WORKERS_LOST,
  WORKERS_RECOVERED,
  JOURNAL_WAITING,
  JOURNAL_SECONDS,
  JOURNAL_COMMIT,
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
    [WORKERS_LOST] = {MG_COUNTER, "metamorphic_queue_workers_lost_total", "How often a worker fell silent and counted as lost.", {NULL}, 1},
    [WORKERS_RECOVERED] = {MG_COUNTER, "metamorphic_queue_workers_recovered_total", "How often a lost or quarantined worker came back.", {NULL}, 1},
    [JOURNAL_WAITING] = {MG_GAUGE, "metamorphic_queue_journal_waiting_records", "Records for the journal that are not on disk yet.", {NULL}, 1},
    [JOURNAL_SECONDS] = {MG_GAUGE, "metamorphic_queue_journal_lag_seconds", "How long the oldest of them has waited; 0 where none does.", {NULL}, 1},
    [JOURNAL_COMMIT] = {MG_GAUGE, "metamorphic_queue_journal_commit_seconds", "What the journal's last commit took.", {NULL}, 1},
    [CASES] = {MG_COUNTER, "metamorphic_cases_total", "Cases counted, by role and outcome.", {"role", "status"}, 2 * MG_OUTCOMES},
    [TASK_SECONDS] = {MG_HISTOGRAM, "metamorphic_queue_task_duration_seconds", "From the publishing of a task to its result.", {NULL}, 1},
    [CASE_SECONDS] = {MG_HISTOGRAM, "metamorphic_case_duration_seconds", "Executor time of a case, both roles: the mean over its task.", {NULL}, 1},
};

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

static void fill_tally(mg_metric *const *handles, const mg_tally *t) {
  uint64_t timeouts = 0;
  for (int r = 0; r < MG_ROLES; r++) {
    timeouts += t->outcomes[r][MG_TIMED_OUT];
    for (int o = 0; o < MG_OUTCOMES; o++) {
      mg_metric_set(handles[CASES], (double)t->outcomes[r][o], mg_role_name((mg_role)r), mg_outcome_name((mg_outcome)o));
    }
  }
  mg_metric_set(handles[TIMEOUTS], (double)timeouts);
}

void mg_monitor_fill_run(mg_monitor *m, const mg_run_state *s) {
  mg_metric **handles = mg_family_of(m, &m->run, run_metrics, RUN_METRICS);
  uint64_t beats = 0, inflight = mg_run_inflight_cases(s);
  for (size_t i = 0; i < s->worker_count; i++) beats += s->workers[i].beats;
  uint32_t batch = s->batch > 0 ? s->batch : 1;
  const double values[RUN_METRICS] = {
      [PENDING_TASKS] = (double)mg_run_pending_tasks(s),
      [BACKLOG_CASES] = (double)(s->unsent_cases + s->outstanding_cases - inflight),
      [OLDEST_TASK] = s->oldest_ms > 0 ? mg_monitor_seconds(s->now_ms - s->oldest_ms) : 0,
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
      [WORKERS_LOST] = (double)s->workers_lost,
      [WORKERS_RECOVERED] = (double)s->workers_recovered,
      [JOURNAL_WAITING] = (double)s->journal_waiting,
      [JOURNAL_SECONDS] = s->journal_oldest_ms > 0 ? mg_monitor_seconds(s->now_ms - s->journal_oldest_ms) : 0,
      [JOURNAL_COMMIT] = s->journal_commit_seconds,
  };
  for (int i = 0; i < RUN_METRICS; i++) {
    if (run_metrics[i].labels[0] == NULL && run_metrics[i].kind != MG_HISTOGRAM && i != TIMEOUTS) mg_metric_set(handles[i], values[i]);
  }
  fill_workers(handles[WORKERS], s);
  fill_tally(handles, s->tally);
  mg_metric_timing(handles[TASK_SECONDS], s->task_seconds);
  mg_metric_timing(handles[CASE_SECONDS], s->case_seconds);
}
