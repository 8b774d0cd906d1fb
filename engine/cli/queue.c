/* queue.c - `mguard queue`: how much of a run is on the queue, away with it, and the queue's configuration for others. */
#include "cli/cli.h"
#include "cli/console.h"
#include "script/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TOLD_MS = 600000 };

static const mg_flag flags[] = {MG_CONSOLE_FLAGS,
                                {"plan", "FILE", "plan or checks whose queue is meant", NULL},
                                {"run", "RUN", "the run; depth and drain without it: the whole queue", NULL},
                                {"from", "FILE|JSON", "translate: the configuration to begin with", NULL},
                                {"to", "NAME", "translate: the backend it is for", NULL},
                                {"wait", "S", "drain: longest wait (default 3600)", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"queue",
                                   "depth|drain|purge|export|translate",
                                   "Counts what is on the queue, waits until it is empty, removes what a run left there, or writes its configuration.",
                                   "depth      pending tasks, tasks in flight, dead letters and results not yet read\n"
                                   "drain      waits until no task is pending or in flight\n"
                                   "purge      removes tasks, leases and results of --run, but not its dead letters (mguard dlq purge does)\n"
                                   "export     writes the configuration of --plan or --queue-config without secrets\n"
                                   "translate  writes the configuration of --from for the backend --to, and names what has no counterpart",
                                   flags,
                                   1,
                                   1};

static void count(const char *name, int64_t n) {
  if (n < 0)
    (void)printf("%-10s unknown to this broker\n", name);
  else
    (void)printf("%-10s %lld\n", name, (long long)n);
}

static int depth(mg_console *c, const char *run) {
  mg_depth d;
  mg_error e;
  if (c->ops->depth(c->backend, run, mg_console_until(c), &d, &e) != MG_OK) return mg_console_fail(c, &e);
  if (c->json) {
    json_t *o = json_pack("{s:o?, s:I, s:I, s:I, s:I, s:f}", "run", run != NULL ? mg_json_plain(run) : json_null(), "pending", (json_int_t)d.pending,
                          "in_flight", (json_int_t)d.in_flight, "dead", (json_int_t)d.dead, "results", (json_int_t)d.results, "oldest_seconds",
                          d.oldest_ms < 0 ? -1.0 : (double)d.oldest_ms / 1000);
    return mg_console_print(c, o);
  }
  count("pending", d.pending);
  count("in flight", d.in_flight);
  count("dead", d.dead);
  count("results", d.results);
  if (d.pending > 0 && d.oldest_ms >= 0) (void)printf("%-10s %.1f s\n", "oldest", (double)d.oldest_ms / 1000);
  return 0;
}

/* Where the broker hands out by itself, workers hold what nobody can take back, and may get more: they drop it once they know. */
static mg_err tell_workers(mg_console *c, const char *run, mg_error *e) {
  mg_control control = {.kind = MG_RUN_CANCELLED};
  mg_buf body = {0};
  (void)snprintf(control.subject, sizeof control.subject, "%s", run);
  mg_control_encode(&body, &control);
  mg_buf_clear(&c->scratch);
  mg_err err = body.failed ? mg_fail(e, MG_NOMEM, "memory ended") : mg_frame_seal(&c->codec, mg_buf_slice(&body), &c->scratch, e);
  mg_buf_fini(&body);
  return err == MG_OK ? c->ops->control(c->backend, run, mg_buf_slice(&c->scratch), TOLD_MS, mg_console_until(c), e) : err;
}

static int purge(mg_console *c, const char *run) {
  size_t removed = 0;
  mg_error e;
  bool reclaims = (c->ops->capabilities & MG_CAP_RECLAIM) != 0;
  if (run == NULL) return mg_complain("queue", MG_EXIT_USAGE, "purge needs --run RUN; mguard status lists the runs");
  if (!mg_ident_ok(run, MG_RUN_MAX, NULL)) return mg_complain("queue", MG_EXIT_USAGE, "--run is no id of a run");
  if (!reclaims && tell_workers(c, run, &e) != MG_OK) return mg_console_fail(c, &e);
  mg_err err = c->ops->purge_run(c->backend, run, mg_console_until(c), &removed, &e);
  if (err != MG_OK && (err != MG_UNSUPPORTED || reclaims)) return mg_console_fail(c, &e);
  if (c->json) return mg_console_print(c, json_pack("{s:o?, s:I}", "run", mg_json_plain(run), "removed", (json_int_t)removed));
  if (err == MG_OK) (void)printf("%zu task%s of run %s removed\n", removed, removed == 1 ? "" : "s", run);
  if (!reclaims) (void)printf("workers drop what they hold or get of run %s\n", run);
  return 0;
}

static int drain(mg_console *c, const char *run, double wait_s) {
  mg_ms end = mg_now_ms() + (mg_ms)(wait_s * 1000);
  int64_t said = -1;
  for (;;) {
    mg_depth d;
    mg_error e;
    if (c->ops->depth(c->backend, run, mg_console_until(c), &d, &e) != MG_OK) return mg_console_fail(c, &e);
    if (d.pending < 0) return mg_complain("queue", MG_EXIT_USAGE, "%s does not tell how much is pending", c->ops->name);
    int64_t left = d.pending + (d.in_flight > 0 ? d.in_flight : 0);
    if (left != said) (void)fprintf(stderr, "%" PRId64 " pending, %" PRId64 " in flight\n", d.pending, d.in_flight > 0 ? d.in_flight : 0);
    said = left;
    if (left == 0) return 0;
    if (mg_now_ms() >= end)
      return mg_complain("queue", MG_EXIT_FAILURE, "%" PRId64 " tasks are left after %g s; mguard status shows who works on them", left, wait_s);
    mg_console_pause(200);
  }
}

/* export and translate look at no broker. */
static int write_config(const char *function, const char *source, const char *backend) {
  mg_buf json = {0}, notes = {0};
  mg_error e;
  int code = 0;
  if (mg_render_translated(function, source, backend, &json, &notes, &e) != MG_OK) {
    code = mg_complain("queue", MG_EXIT_USAGE, "%s", e.text);
  } else {
    if (notes.len > 0) (void)fprintf(stderr, "%.*s\n", (int)notes.len, (const char *)notes.data);
    (void)fwrite(json.data, 1, json.len, stdout);
    if (fflush(stdout) != 0) code = mg_complain("queue", MG_EXIT_FAILURE, "the configuration cannot be written to standard output");
  }
  mg_buf_fini(&json);
  mg_buf_fini(&notes);
  return code;
}

static int translate(const mg_args *a) {
  const char *from = mg_args_get(a, &command, "from"), *to = mg_args_get(a, &command, "to");
  if (from == NULL || to == NULL) return mg_complain("queue", MG_EXIT_USAGE, "translate needs --from FILE and --to BACKEND");
  if (!mg_backend_is_name(to)) return mg_complain("queue", MG_EXIT_USAGE, "--to must be memory, redis, rabbitmq, kafka or sqs, got %s", to);
  return write_config("to", from, to);
}

static int export_config(const mg_args *a) {
  const char *plan = mg_args_get(a, &command, "plan"), *config = mg_args_get(a, &command, "queue-config");
  if ((plan == NULL) == (config == NULL)) return mg_complain("queue", MG_EXIT_USAGE, "export needs --plan FILE or --queue-config FILE|JSON");
  return write_config("export", plan != NULL ? plan : config, NULL);
}

int mg_cli_queue(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  const char *action = a.positional[0], *run = mg_args_get(&a, &command, "run");
  if (strcmp(action, "translate") == 0) return translate(&a);
  if (strcmp(action, "export") == 0) return export_config(&a);
  bool counts = strcmp(action, "depth") == 0, waits = strcmp(action, "drain") == 0;
  double wait_s;
  if (!counts && !waits && strcmp(action, "purge") != 0)
    return mg_complain("queue", MG_EXIT_USAGE, "\"%s\" is none of depth, drain, purge, export, translate", action);
  if (!mg_args_number(&a, &command, "wait", 0, 604800, 3600, &wait_s)) return MG_EXIT_USAGE;
  mg_console c;
  code = mg_console_open(&c, &command, &a, mg_args_get(&a, &command, "plan"), 0);
  if (code < 0) code = counts ? depth(&c, run) : waits ? drain(&c, run, wait_s) : purge(&c, run);
  mg_console_close(&c);
  return code;
}
