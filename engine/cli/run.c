/* run.c - `mguard run PLAN`: one evaluation from plan to verdict. */
#include "base/hash.h"
#include "base/ident.h"
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/mirror.h"
#include "cli/monitor.h"
#include "cli/pilot.h"
#include "cli/recording.h"
#include "cli/runs.h"
#include "cli/session.h"
#include "cli/telling.h"
#include "dispatch/coordinator.h"
#include "execute/worker.h"
#include "observe/progress.h"
#include "observe/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const mg_flag flags[] = {{"cases", "N", "how many cases", "cases"},
                                {"seed", "N", "seed of the generator", "seed"},
                                {"workers", "N", "executors on this machine (default: one a core)", "workers"},
                                {"timeout-ms", "N", "time limit of one role of a case", "timeout_ms"},
                                {"memory-mb", "N", "memory limit of an implementation", "memory_mb"},
                                {"baseline", "NAME|FILE", "another implementation, or a .lua or .py file, as baseline", "baseline"},
                                {"candidate", "NAME|FILE", "the same as candidate", "candidate"},
                                {"goal", "GOAL", "noninferiority:0.01, superiority:0.02, equivalence:0.01 or absolute:0.99", "goal"},
                                {"min-pass-rate", "R", "adopt only where the candidate's own pass rate is shown to be at least R", "min_pass_rate"},
                                {"alpha", "A", "two-sided error of the goal", "alpha"},
                                {"interval", "METHOD", "how the interval of the difference is computed", "interval"},
                                {"violation-cap", "N", "violations kept a clause", "violation_cap"},
                                {"fail-fast", NULL, "end at the first violation that decides", "fail_fast"},
                                {"report-json", "FILE", "write the report as JSON", "report_json"},
                                {"plan-power", NULL, "run the first 500 cases alone and say how many the goal needs", NULL},
                                {"outcomes", "FILE", "write case, role, outcome and failed clauses as CSV", NULL},
                                {"backend", "NAME", "memory (this machine), redis, rabbitmq, kafka or sqs", "backend"},
                                {"queue-config", "FILE|JSON", "queue configuration, a file or JSON text", "queue_config"},
                                {"mirror", "FILE|JSON", "the same run over this queue, too, at the same time; the outcomes are compared", NULL},
                                {"drain-timeout", "S", "after Ctrl-C, seconds to collect what is in flight (default 300)", NULL},
                                MG_RECORDING_FLAGS,
                                MG_MONITOR_FLAGS,
                                MG_TELLING_FLAGS,
                                {"quiet", NULL, "no progress, no summary; the exit code and the report tell", NULL},
                                {"show-output", NULL, "let through what implementations print", NULL},
                                {"log-json", NULL, "log JSON lines to standard output", NULL},
                                {"log-file", "FILE", "log JSON lines to a file (reopened on SIGHUP)", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {
    "run",
    "PLAN",
    "Runs baseline and candidate on the plan's cases and says whether the candidate may replace the baseline.",
    "PLAN may be a file that returns checks, or task:top_k, where --candidate says who is judged.\n"
    "Exit codes: 0 adopt, 1 reject, 2 inconclusive, 3 invalid, 4 usage or configuration, 5 internal or broker failure, 130 interrupted.",
    flags,
    0,
    1};

/* A run on this machine that is over before this leaves no journal, unless --state-dir asks for one. */
enum { JOURNAL_AFTER_MS = 2000 };

typedef struct evaluation {
  uv_loop_t loop;
  uv_signal_t signals[3];
  uv_timer_t refresh;
  uv_process_t *local; /* workers that this run started itself */
  int local_count, local_running;
  bool handles_open;
  mg_plan *plan;
  mg_args args;
  mg_slice overrides;
  mg_recording recording;
  char trace_id[2 * MG_TRACE_BYTES + 1]; /* "": no traces */
  const mg_backend_ops *backend;
  void *broker; /* of this process, with the memory backend */
  mg_keyring *keys;
  mg_worker *worker; /* with the memory backend */
  mg_coordinator *coordinator;
  mg_progress *progress;
  bool pilot; /* --plan-power */
  uint64_t planned;
  mg_monitor *monitor;
  mg_telling *telling;
  bool worker_ready, over, interrupted, quiet;
  bool left;        /* worker and local workers are gone */
  char fault[512];  /* the script cannot serve */
  char failed[512]; /* broker or internal failure */
  char digest[33];  /* of the outcomes; "": there is no report */
} evaluation;

static void close_handles(evaluation *v) {
  if (!v->handles_open) return;
  v->handles_open = false;
  for (int i = 0; i < 3; i++) uv_close((uv_handle_t *)&v->signals[i], NULL);
  uv_close((uv_handle_t *)&v->refresh, NULL);
}

static void stop_local(evaluation *v, int signal_number) {
  for (int i = 0; i < v->local_count; i++) {
    if (uv_is_active((uv_handle_t *)&v->local[i])) (void)uv_process_kill(&v->local[i], signal_number);
  }
}

static void leave_if_alone(evaluation *v) {
  if (v->over && v->worker == NULL && v->local_running == 0) v->left = true;
}

/* The run is over: what still runs is asked to leave, and the loop ends when it has. */
static void finish(evaluation *v) {
  v->over = true;
  if (v->worker != NULL) mg_worker_stop(v->worker, true);
  stop_local(v, SIGTERM);
  leave_if_alone(v);
}

static void on_note(void *owner, const char *event, const char *text) {
  evaluation *v = owner;
  const mg_log_field fields[] = {MG_LT("run_id", v->recording.run), MG_LT("trace_id", v->trace_id)};
  if (mg_log(MG_LOG_WARN, event, fields, v->trace_id[0] != '\0' ? 2 : 1, "%s", text)) mg_progress_say(v->progress, text);
}

static void on_log(void *owner, const mg_coordinator_event *ev) {
  evaluation *v = owner;
  mg_log_field fields[16] = {MG_LT("run_id", v->recording.run), MG_LT("trace_id", v->trace_id)};
  size_t own = v->trace_id[0] != '\0' ? 2 : 1, count = ev->field_count < 14 ? ev->field_count : 14;
  if (count > 0) memcpy(fields + own, ev->fields, count * sizeof *fields);
  if (!ev->routine) mg_telling_event(v->telling, ev);
  bool said = mg_log(ev->level, ev->event, fields, count + own, "%s", ev->text);
  if (said && !ev->routine) mg_progress_say(v->progress, ev->text);
}

static void on_ended(void *owner, const char *failed) {
  evaluation *v = owner;
  if (failed != NULL) (void)snprintf(v->failed, sizeof v->failed, "%s", failed);
  finish(v);
}

static bool on_trace_task(void *owner) { return mg_telling_traces_task(((evaluation *)owner)->telling); }

static void on_traced(void *owner, const mg_task_span *s) { mg_telling_traced(((evaluation *)owner)->telling, s); }

static void start_coordinator(evaluation *v) {
  double drain;
  (void)mg_args_number(&v->args, &command, "drain-timeout", 0, 86400, 300, &drain);
  mg_coordinator_config config = {.plan = v->plan,
                                  .run = v->recording.run,
                                  .backend = v->backend,
                                  .options = v->plan->queue,
                                  .shared = v->broker,
                                  .keys = v->keys,
                                  .outcomes_path = mg_args_get(&v->args, &command, "outcomes"),
                                  .drain_timeout_ms = (mg_ms)(drain * 1000),
                                  .stats_every_ms = mg_monitor_stats_every_ms(v->monitor),
                                  .journal = v->recording.journal,
                                  .epoch = v->recording.epoch,
                                  .log = on_log,
                                  .ended = on_ended,
                                  .owner = v};
  mg_trace *trace = mg_telling_trace(v->telling);
  if (trace != NULL) {
    memcpy(config.trace, mg_trace_id(trace), sizeof config.trace);
    mg_hex(config.trace, sizeof config.trace, v->trace_id);
    config.trace_task = on_trace_task;
    config.traced = on_traced;
  }
  mg_error e;
  mg_err err = mg_coordinator_start(&v->coordinator, &v->loop, &config, &e);
  if (err != MG_OK) {
    bool failed = err == MG_FATAL || err == MG_NOMEM;
    (void)snprintf(failed ? v->failed : v->fault, sizeof v->fault, "%s", e.text);
    finish(v);
  }
}

static void on_worker_ready(void *owner, const char *fault) {
  evaluation *v = owner;
  if (v->over) return;
  if (fault != NULL) {
    (void)snprintf(v->fault, sizeof v->fault, "%s", fault);
    finish(v);
    return;
  }
  if (!v->worker_ready) start_coordinator(v);
  v->worker_ready = true;
}

static void on_worker_stopped(void *owner, const char *failed) {
  evaluation *v = owner;
  v->worker = NULL;
  if (!v->over && failed != NULL) (void)snprintf(v->failed, sizeof v->failed, "%s", failed);
  v->over = true;
  leave_if_alone(v);
}

static void on_signal(uv_signal_t *handle, int number) {
  evaluation *v = handle->data;
  mg_error e;
  if (number == SIGHUP) {
    if (mg_log_reopen(&e) != MG_OK) mg_log(MG_LOG_WARN, "log_reopen_failed", MG_NO_FIELDS, "%s", e.text);
    return;
  }
  if (v->interrupted) { /* a second time: leave at once; children die with us */
    mg_recording_hint(&v->recording);
    stop_local(v, SIGKILL);
    mg_log_flush();
    _exit(MG_EXIT_INTERRUPTED);
  }
  v->interrupted = true;
  if (v->coordinator != NULL && !v->over) {
    on_note(v, "run_interrupted", "stopping: what is in flight is collected; once more leaves at once");
    mg_coordinator_stop(v->coordinator);
  } else {
    finish(v);
  }
}

static void on_refresh(uv_timer_t *timer) {
  evaluation *v = timer->data;
  mg_log_flush();
  mg_monitor_run(v->monitor, v->coordinator, v->worker, v->backend->name);
  if (v->over) return;
  mg_run_state state;
  if (v->coordinator != NULL) mg_coordinator_read(v->coordinator, &state);
  mg_telling_tick(v->telling, v->coordinator != NULL ? &state : NULL);
  if (v->coordinator != NULL) mg_progress_update(v->progress, &state);
}

static mg_err open_loop(evaluation *v, mg_error *e) {
  static const int numbers[3] = {SIGINT, SIGTERM, SIGHUP};
  if (uv_loop_init(&v->loop) != 0) return mg_fail(e, MG_FATAL, "no event loop can be made");
  for (int i = 0; i < 3; i++) {
    (void)uv_signal_init(&v->loop, &v->signals[i]);
    v->signals[i].data = v;
    (void)uv_signal_start(&v->signals[i], on_signal, numbers[i]);
  }
  (void)uv_timer_init(&v->loop, &v->refresh);
  v->refresh.data = v;
  (void)uv_timer_start(&v->refresh, on_refresh, 100, 100);
  v->handles_open = true;
  return MG_OK;
}

static int executors(const mg_plan *p) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return p->workers > 0 ? p->workers : cores > 0 ? (int)cores : 1;
}

/* ---- one machine ---- */

static mg_err start_here(evaluation *v, mg_error *e) {
  v->broker = mg_local_broker_new();
  if (v->broker == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  mg_worker_config config = {.backend = v->backend,
                             .options = v->plan->queue,
                             .shared = v->broker,
                             .name = "local",
                             .program = mg_program_path(),
                             .script = v->plan->path,
                             .overrides = v->overrides,
                             .executors = executors(v->plan),
                             .show_output = mg_args_get(&v->args, &command, "show-output") != NULL,
                             .default_timeout_ms = v->plan->default_timeout_ms,
                             .default_memory_mb = v->plan->default_memory_mb,
                             .poll_interval_ms = 1000,
                             .drain_timeout_ms = 0,
                             .trace = mg_telling_trace(v->telling),
                             .retry_for_ms = 10000,
                             .stats_every_ms = mg_monitor_stats_every_ms(v->monitor),
                             .ready = on_worker_ready,
                             .stopped = on_worker_stopped,
                             .owner = v};
  return mg_worker_start(&v->worker, &v->loop, &config, e);
}

/* ---- a queue ---- */

static void on_local_exit(uv_process_t *process, int64_t status, int signal_number) {
  evaluation *v = process->data;
  v->local_running--;
  if (!v->over && (status != 0 || signal_number != 0)) {
    char text[160];
    (void)snprintf(text, sizeof text, "a worker started by this run ended (status %lld, signal %d); others go on", (long long)status, signal_number);
    on_note(v, "worker_lost", text);
  }
  uv_close((uv_handle_t *)process, NULL);
  leave_if_alone(v);
}

/* spawn_local_workers: workers of this run on this machine, over the same queue, ended with the run. */
static mg_err spawn_local(evaluation *v, mg_error *e) {
  int wanted = (int)mg_options_int(v->plan->queue, "spawn_local_workers", 0);
  if (wanted <= 0) return MG_OK;
  v->local = calloc((size_t)wanted, sizeof *v->local);
  if (v->local == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  const char *backend = mg_args_get(&v->args, &command, "backend"), *queue = mg_args_get(&v->args, &command, "queue-config");
  const char *endpoint = mg_args_get(&v->args, &command, "otlp-endpoint");
  const char *argv[16] = {mg_program_path(), "worker", "--script", v->plan->path, "--executors", "1"};
  int n = 6;
  if (v->plan->baseline_given != NULL) argv[n++] = "--baseline", argv[n++] = v->plan->baseline_given;
  if (v->plan->candidate_given != NULL) argv[n++] = "--candidate", argv[n++] = v->plan->candidate_given;
  if (backend != NULL) argv[n++] = "--backend", argv[n++] = backend;
  if (queue != NULL) argv[n++] = "--queue-config", argv[n++] = queue;
  if (endpoint != NULL) argv[n++] = "--otlp-endpoint", argv[n++] = endpoint;
  for (int i = 0; i < wanted; i++) {
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t options = {.exit_cb = on_local_exit, .file = argv[0], .args = (char **)(uintptr_t)argv, .stdio_count = 3, .stdio = stdio};
    v->local[i].data = v;
    int rc = uv_spawn(&v->loop, &v->local[i], &options);
    v->local_count = i + 1;
    if (rc != 0) return mg_fail(e, MG_FATAL, "a local worker cannot be started: %s", uv_strerror(rc));
    v->local_running++;
  }
  return MG_OK;
}

static mg_err start_elsewhere(evaluation *v, mg_error *e) {
  mg_session *session = NULL; /* the plan must load and generate before anything is published */
  mg_err err = mg_session_open(&session, v->plan->path, v->overrides, true, e);
  mg_session_close(session);
  if (err == MG_OK) err = spawn_local(v, e);
  if (err == MG_OK) start_coordinator(v);
  return err;
}

/* ---- all of it ---- */

static mg_err find_backend(evaluation *v, mg_error *e) {
  const char *name = mg_options_text(v->plan->queue, "backend", "memory"), *why = NULL;
  v->backend = mg_backend_find(name, &why);
  return v->backend != NULL ? MG_OK : mg_fail(e, MG_UNSUPPORTED, "backend %s: %s", name, why);
}

static mg_err evaluate(evaluation *v, mg_error *e) {
  mg_err err = find_backend(v, e);
  if (err == MG_OK) err = mg_keyring_parse(&v->keys, getenv("MGUARD_SIGNING_KEY"), e);
  if (err == MG_OK) err = open_loop(v, e);
  if (err == MG_OK) err = mg_backend_check_hold(v->plan->queue, v->plan->case_timeout_ms, v->plan->baseline != NULL ? 2 : 1, 0, e);
  if (err == MG_OK) err = mg_monitor_start(&v->monitor, &v->args, &command, e);
  if (err == MG_OK) err = mg_telling_start(&v->telling, &v->args, &command, v->plan, v->recording.run, v->backend->name, e);
  bool here = (v->backend->capabilities & MG_CAP_SHARED) == 0;
  mg_ms begin_after_ms = here && !v->recording.dir_given ? JOURNAL_AFTER_MS : 0;
  if (err == MG_OK) err = mg_recording_begin(&v->recording, v->plan, &v->args, &command, v->backend->name, begin_after_ms, e);
  if (err != MG_OK) return err;
  err = here ? start_here(v, e) : start_elsewhere(v, e);
  if (err != MG_OK) finish(v);
  /* Not until the loop has no handles: the coordinator keeps its own until it is freed, and is still read after this. */
  while (!v->left && uv_run(&v->loop, UV_RUN_ONCE) != 0) {
  }
  return err;
}

static int fail(evaluation *v, int code, const char *text) {
  mg_error e;
  mg_run_state state = {.tasks_published = 0};
  if (v->coordinator != NULL) mg_coordinator_read(v->coordinator, &state);
  v->recording.nothing = state.tasks_published == 0;
  if (mg_recording_end(&v->recording, "failed", text, "", code, (mg_slice){0}, &e) != MG_OK) mg_log(MG_LOG_ERROR, "journal_failed", MG_NO_FIELDS, "%s", e.text);
  (void)mg_complain("run", code, "%s", text);
  mg_recording_hint(&v->recording);
  return code;
}

static int conclude(evaluation *v) {
  const char *failed = v->fault[0] != '\0' ? v->fault : v->failed[0] != '\0' ? v->failed : v->coordinator == NULL ? "it ended before it began" : NULL;
  if (failed != NULL) mg_telling_over(v->telling, NULL, failed);
  if (v->fault[0] != '\0') return fail(v, MG_EXIT_USAGE, v->fault);
  if (v->failed[0] != '\0') return fail(v, MG_EXIT_FAILURE, v->failed);
  if (v->coordinator == NULL) return v->interrupted ? MG_EXIT_INTERRUPTED : fail(v, MG_EXIT_FAILURE, "the run ended before it began");
  mg_run_state state;
  mg_judgement *judgement = calloc(1, sizeof *judgement);
  if (judgement == NULL) return mg_complain("run", MG_EXIT_FAILURE, "memory ended");
  mg_coordinator_read(v->coordinator, &state);
  v->recording.nothing = state.tasks_published == 0;
  mg_coordinator_judge(v->coordinator, judgement);
  int code = v->interrupted ? MG_EXIT_INTERRUPTED : (int)judgement->verdict;
  if (v->pilot && code != MG_INVALID && code != MG_EXIT_INTERRUPTED) {
    mg_telling_over(v->telling, NULL, NULL);
    mg_pilot_say(v->plan, v->planned, &state.tally->pairs, v->plan->clustered ? judgement->design_effect : 1);
    free(judgement);
    return 0;
  }
  mg_report r = {.plan = v->plan,
                 .state = &state,
                 .judgement = judgement,
                 .exit_code = code,
                 .started_wall_ms = v->recording.started_ms,
                 .backend = v->backend->name,
                 .path = v->plan->report_json};
  for (int i = 0; i < judgement->alert_count; i++) {
    on_note(v, "monitor_alert", judgement->alerts[i]);
    mg_telling_event(v->telling, &(mg_coordinator_event){.level = MG_LOG_WARN, .event = "monitor_alert", .text = judgement->alerts[i]});
  }
  mg_telling_over(v->telling, &r, NULL);
  mg_buf text = {0};
  mg_error e;
  mg_err err = mg_report_render(&text, &r, &e);
  /* First of all: a report that was seen must be there again. */
  if (err == MG_OK) {
    err = mg_recording_end(&v->recording, v->interrupted ? "interrupted" : "ended", "", mg_verdict_name(judgement->verdict), code, mg_buf_slice(&text), &e);
  }
  if (err == MG_OK && r.path != NULL) err = mg_report_write(r.path, mg_buf_slice(&text), &e);
  if (err == MG_OK && !v->quiet) err = mg_show_summary(v->plan->script, mg_buf_slice(&text), &e);
  if (err == MG_OK && !v->quiet && mg_recording_path(&v->recording) != NULL) (void)fprintf(stderr, "journal %s\n", mg_recording_path(&v->recording));
  if (err != MG_OK) code = mg_complain("run", MG_EXIT_FAILURE, "%s", e.text);
  if (err != MG_OK || v->interrupted) mg_recording_hint(&v->recording);
  mg_digest_hex(&state.digest, v->digest);
  mg_buf_fini(&text);
  free(judgement);
  return code;
}

static void free_all(evaluation *v) {
  if (v->coordinator != NULL) mg_coordinator_free(v->coordinator);
  if (v->handles_open || v->backend != NULL) {
    close_handles(v);
    while (uv_run(&v->loop, UV_RUN_NOWAIT) != 0) {
    }
    (void)uv_loop_close(&v->loop);
  }
  mg_recording_close(&v->recording);
  mg_monitor_stop(v->monitor);
  mg_telling_stop(v->telling);
  mg_progress_free(v->progress);
  mg_local_broker_free(v->broker);
  mg_keyring_free(v->keys);
  mg_plan_free(v->plan);
  free(v->local);
}

int mg_cli_run(int argc, char **argv) {
  evaluation v = {.plan = NULL};
  int code = mg_args_parse(&v.args, &command, argc, argv);
  if (code >= 0) return code;
  double ignored;
  if (!mg_args_number(&v.args, &command, "drain-timeout", 0, 86400, 300, &ignored)) return MG_EXIT_USAGE;
  mg_error e;
  const char *log_file = mg_args_get(&v.args, &command, "log-file");
  bool json = log_file != NULL || mg_args_get(&v.args, &command, "log-json") != NULL;
  mg_log_config log = {.people = MG_LOG_ERROR, .machines = json ? MG_LOG_INFO : MG_LOG_OFF, .file = log_file, .gathers = true};
  if (mg_log_open(&log, &e) != MG_OK) return mg_complain("run", MG_EXIT_USAGE, "%s", e.text);
  if (mg_args_get(&v.args, &command, "resume") == NULL && v.args.positional_count == 0)
    return mg_complain("run", MG_EXIT_USAGE, "missing: PLAN; mguard run --help lists the options");
  mg_buf overrides = {0};
  mg_err err = mg_recording_open(&v.recording, &v.args, &command, &e);
  mg_args_overrides(&v.args, &command, &overrides);
  v.overrides = mg_buf_slice(&overrides);
  v.quiet = mg_args_get(&v.args, &command, "quiet") != NULL;
  const char *script = v.args.positional_count > 0 ? v.args.positional[0] : mg_recording_script(&v.recording);
  if (err == MG_OK) err = mg_plan_load(&v.plan, script, overrides.data, overrides.len, &e);
  if (err == MG_OK && !v.plan->is_plan)
    err = mg_fail(&e, MG_ARG, "%s returns mg.checks { ... }; `mguard run` needs a plan, mg.plan { checks = \"%s\", ... }, or --candidate and --baseline",
                  script, script);
  v.pilot = mg_args_get(&v.args, &command, "plan-power") != NULL;
  if (err == MG_OK) err = mg_recording_compare(&v.recording, v.plan, &e);
  if (err == MG_OK && v.pilot) err = mg_pilot_cut(v.plan, &v.planned, &e);
  mg_mirror *mirror = NULL;
  if (err == MG_OK) err = mg_mirror_start(&mirror, &v.args, &command, &e);
  if (err == MG_OK) {
    v.progress = mg_progress_new(STDERR_FILENO, v.quiet ? MG_PROGRESS_QUIET : MG_PROGRESS_AUTO);
    err = evaluate(&v, &e);
    mg_progress_end(v.progress);
  }
  if (err != MG_OK)
    code = mg_complain("run", err == MG_FATAL || err == MG_NOMEM ? MG_EXIT_FAILURE : MG_EXIT_USAGE, "%s", e.text);
  else
    code = conclude(&v);
  free_all(&v);
  code = mg_mirror_end(mirror, v.digest[0] != '\0' && !v.interrupted ? v.digest : NULL, code, v.quiet); /* Ctrl-C ends both again */
  mg_buf_fini(&overrides);
  mg_log_close();
  return code;
}
