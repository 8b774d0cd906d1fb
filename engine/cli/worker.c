/* worker.c - `mguard worker`: serves plans that run elsewhere, until it is told to stop. */
#include "execute/worker.h"
#include "base/ident.h"
#include "base/log.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/monitor.h"
#include "cli/telling.h"
#include "script/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const mg_flag flags[] = {{"script", "FILE", "the checks, or the plan, whose cases it runs", NULL},
                                {"task", "NAME|FILE", "the same as in mguard evaluate, in place of --script", NULL},
                                {"baseline", "NAME|FILE", "as given to the run", "baseline"},
                                {"candidate", "NAME|FILE", "as given to the run", "candidate"},
                                {"backend", "NAME", "redis, rabbitmq, kafka or sqs; wins over the script's queue", "backend"},
                                {"queue-config", "FILE|JSON", "queue configuration, a file or JSON text", "queue_config"},
                                {"executors", "N", "processes that run cases (default: one a core)", NULL},
                                {"drain-timeout", "S", "after SIGTERM, seconds to finish what is held (default 300)", NULL},
                                {"poll-interval", "S", "longest wait of one fetch in seconds (default 1)", NULL},
                                {"default-timeout-s", "S", "time limit of one role of a case for plans that set none (default 2)", NULL},
                                {"default-mem-mb", "N", "memory limit of an implementation for plans that set none (default 512)", NULL},
                                {"name", "NAME", "name of this worker (default: host-pid-random)", NULL},
                                MG_MONITOR_FLAGS,
                                MG_TRACE_FLAGS,
                                {"log-json", NULL, "log JSON lines to standard output", NULL},
                                {"log-file", "FILE", "log JSON lines to a file (reopened on SIGHUP)", NULL},
                                {"show-output", NULL, "let through what implementations print", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {
    "worker",
    "",
    "Runs the cases of plans that were started elsewhere: mguard worker --script checks.lua --backend redis --queue-config queue.json",
    "Start as many as you like, before or after `mguard run`. SIGTERM or Ctrl-C: it finishes what it holds and leaves with exit\n"
    "code 0; a second one: it leaves at once.",
    flags,
    0,
    0};

typedef struct server {
  uv_loop_t loop;
  uv_signal_t signals[3];
  uv_timer_t refresh;
  mg_worker *worker;
  mg_monitor *monitor;
  mg_trace *trace;
  const char *backend; /* its name */
  bool stopping;
  int code;
} server;

static void close_handles(server *s) {
  if (!uv_is_closing((uv_handle_t *)&s->refresh)) uv_close((uv_handle_t *)&s->refresh, NULL);
  for (int i = 0; i < 3; i++) {
    if (!uv_is_closing((uv_handle_t *)&s->signals[i])) uv_close((uv_handle_t *)&s->signals[i], NULL);
  }
}

static void on_ready(void *owner, const char *fault) {
  server *s = owner;
  if (fault == NULL) {
    mg_log(MG_LOG_INFO, "worker_ready", MG_FIELDS(MG_LT("worker_id", mg_worker_name(s->worker))), "worker %s serves", mg_worker_name(s->worker));
    return;
  }
  s->code = mg_complain("worker", MG_EXIT_USAGE, "%s", fault);
  mg_worker_stop(s->worker, true);
}

static void on_stopped(void *owner, const char *failed) {
  server *s = owner;
  s->worker = NULL;
  if (failed != NULL && s->code == 0) s->code = mg_complain("worker", MG_EXIT_FAILURE, "%s", failed);
  close_handles(s);
}

static void on_signal(uv_signal_t *handle, int number) {
  server *s = handle->data;
  mg_error e;
  if (number == SIGHUP) {
    if (mg_log_reopen(&e) != MG_OK) mg_log(MG_LOG_WARN, "log_reopen_failed", MG_NO_FIELDS, "%s", e.text);
    return;
  }
  if (s->worker == NULL) return;
  mg_log(MG_LOG_INFO, "worker_stopping", MG_FIELDS(MG_LT("worker_id", mg_worker_name(s->worker)), MG_LB("at_once", s->stopping)),
         s->stopping ? "leaving at once" : "finishing what is held; a second signal leaves at once");
  mg_worker_stop(s->worker, s->stopping);
  s->stopping = true;
}

static void on_refresh(uv_timer_t *timer) {
  server *s = timer->data;
  mg_log_flush();
  mg_trace_tick(s->trace);
  if (s->worker != NULL) mg_monitor_worker(s->monitor, s->worker, s->backend);
}

static mg_err serve(server *s, const mg_plan *plan, const mg_worker_config *config, mg_error *e) {
  static const int numbers[3] = {SIGINT, SIGTERM, SIGHUP};
  (void)plan;
  if (uv_loop_init(&s->loop) != 0) return mg_fail(e, MG_FATAL, "no event loop can be made");
  for (int i = 0; i < 3; i++) {
    (void)uv_signal_init(&s->loop, &s->signals[i]);
    s->signals[i].data = s;
    (void)uv_signal_start(&s->signals[i], on_signal, numbers[i]);
  }
  (void)uv_timer_init(&s->loop, &s->refresh);
  s->refresh.data = s;
  (void)uv_timer_start(&s->refresh, on_refresh, 100, 100);
  mg_err err = mg_worker_start(&s->worker, &s->loop, config, e);
  if (err != MG_OK) close_handles(s);
  (void)uv_run(&s->loop, UV_RUN_DEFAULT);
  (void)uv_loop_close(&s->loop);
  return err;
}

int mg_cli_worker(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  const char *script = mg_args_get(&a, &command, "script"), *task = mg_args_get(&a, &command, "task");
  char built_in[80];
  if ((script == NULL) == (task == NULL)) {
    return mg_complain("worker", MG_EXIT_USAGE,
                       script != NULL ? "--script and --task name the same thing: give one of them"
                                      : "--script is missing: the checks or the plan whose cases it runs");
  }
  if (script == NULL) script = mg_cli_task(task, built_in, sizeof built_in);
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  double executors, drain, poll, timeout, memory;
  if (!mg_args_number(&a, &command, "executors", 1, 1024, cores > 0 ? (double)cores : 1, &executors) ||
      !mg_args_number(&a, &command, "drain-timeout", 0, 86400, 300, &drain) || !mg_args_number(&a, &command, "poll-interval", 0.001, 60, 1, &poll) ||
      !mg_args_number(&a, &command, "default-timeout-s", 0.001, 86400, 0, &timeout) ||
      !mg_args_number(&a, &command, "default-mem-mb", 8, 1048576, 0, &memory)) {
    return MG_EXIT_USAGE;
  }
  mg_error e;
  const char *log_file = mg_args_get(&a, &command, "log-file");
  bool json = log_file != NULL || mg_args_get(&a, &command, "log-json") != NULL;
  mg_log_config log = {.people = MG_LOG_INFO, .machines = json ? MG_LOG_INFO : MG_LOG_OFF, .file = log_file, .gathers = true};
  if (mg_log_open(&log, &e) != MG_OK) return mg_complain("worker", MG_EXIT_USAGE, "%s", e.text);
  mg_buf overrides = {0};
  mg_plan *plan = NULL;
  mg_args_overrides(&a, &command, &overrides);
  mg_err err = mg_plan_load(&plan, script, overrides.data, overrides.len, &e);
  const mg_backend_ops *backend = NULL;
  const char *name = err == MG_OK ? mg_options_text(plan->queue, "backend", "memory") : NULL, *why = NULL;
  if (err == MG_OK && strcmp(name, "memory") == 0) {
    err = mg_fail(&e, MG_ARG, "the memory backend has no other machines: give --backend and --queue-config, or queue in the plan");
  }
  if (err == MG_OK && (backend = mg_backend_find(name, &why)) == NULL) err = mg_fail(&e, MG_UNSUPPORTED, "backend %s: %s", name, why);
  if (err == MG_OK) {
    if (timeout > 0) plan->default_timeout_ms = (uint32_t)(timeout * 1000);
    if (memory > 0) plan->default_memory_mb = (uint32_t)memory;
    err = mg_backend_check_hold(plan->queue, plan->timeout_given ? plan->case_timeout_ms : plan->default_timeout_ms, 2, (int)executors, &e);
  }
  server s = {.code = 0};
  if (err == MG_OK) {
    const char *given = mg_args_get(&a, &command, "name");
    char made[MG_NAME_MAX + 1];
    mg_worker_name_make(made, sizeof made);
    mg_worker_config config = {.backend = backend,
                               .options = plan->queue,
                               .name = given != NULL ? given : made,
                               .program = mg_program_path(),
                               .script = script,
                               .overrides = mg_buf_slice(&overrides),
                               .executors = (int)executors,
                               .show_output = mg_args_get(&a, &command, "show-output") != NULL,
                               .default_timeout_ms = plan->default_timeout_ms,
                               .default_memory_mb = plan->default_memory_mb,
                               .poll_interval_ms = (mg_ms)(poll * 1000),
                               .drain_timeout_ms = (mg_ms)(drain * 1000),
                               .retry_for_ms = MG_NEVER,
                               .ready = on_ready,
                               .stopped = on_stopped,
                               .owner = &s};
    err = mg_monitor_start(&s.monitor, &a, &command, &e);
    if (err == MG_OK) err = mg_telling_trace_start(&s.trace, &a, &command, "worker", config.name, &e);
    config.trace = s.trace;
    s.backend = backend->name;
    config.stats_every_ms = mg_monitor_stats_every_ms(s.monitor);
    if (err == MG_OK) err = serve(&s, plan, &config, &e);
    mg_telling_trace_stop(s.trace);
    mg_monitor_stop(s.monitor);
  }
  if (err != MG_OK) s.code = mg_complain("worker", err == MG_CONN || err == MG_FATAL ? MG_EXIT_FAILURE : MG_EXIT_USAGE, "%s", e.text);
  mg_plan_free(plan);
  mg_buf_fini(&overrides);
  mg_log_close();
  return s.code;
}
