/* queue.c - `mguard queue depth|purge`: how much of a run is on the queue, and away with it. */
#include "cli/cli.h"
#include "cli/console.h"

#include <stdio.h>
#include <string.h>

static const mg_flag flags[] = {MG_CONSOLE_FLAGS,
                                {"plan", "FILE", "plan or checks whose queue is meant", NULL},
                                {"run", "RUN", "the run; depth without it: the whole queue", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"queue",
                                   "depth|purge",
                                   "Counts what is on the queue, or removes what a run left there.",
                                   "depth   pending tasks, tasks in flight, dead letters and results not yet read\n"
                                   "purge   removes tasks, leases and results of --run, but not its dead letters (mguard dlq purge does)",
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

static int purge(mg_console *c, const char *run) {
  size_t removed = 0;
  mg_error e;
  if (run == NULL) return mg_complain("queue", MG_EXIT_USAGE, "purge needs --run RUN; mguard status lists the runs");
  if (c->ops->purge_run(c->backend, run, mg_console_until(c), &removed, &e) != MG_OK) return mg_console_fail(c, &e);
  if (c->json) return mg_console_print(c, json_pack("{s:o?, s:I}", "run", mg_json_plain(run), "removed", (json_int_t)removed));
  (void)printf("%zu task%s of run %s removed\n", removed, removed == 1 ? "" : "s", run);
  return 0;
}

int mg_cli_queue(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  const char *action = a.positional[0];
  bool counts = strcmp(action, "depth") == 0;
  if (!counts && strcmp(action, "purge") != 0) return mg_complain("queue", MG_EXIT_USAGE, "\"%s\" is none of depth, purge", action);
  mg_console c;
  const char *run = mg_args_get(&a, &command, "run");
  code = mg_console_open(&c, &command, &a, mg_args_get(&a, &command, "plan"), 0);
  if (code < 0) code = counts ? depth(&c, run) : purge(&c, run);
  mg_console_close(&c);
  return code;
}
