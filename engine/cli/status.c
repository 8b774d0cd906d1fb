/* status.c - `mguard status`: what is on the queue, run by run, and which workers beat. */
#include "cli/cli.h"
#include "cli/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const mg_flag flags[] = {MG_CONSOLE_FLAGS,
                                {"run", "RUN", "this run alone", NULL},
                                {"watch", "S", "longest time to wait for the workers' next beats (default 2; 0: do not wait)", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"status",
                                   "[PLAN|CHECKS]",
                                   "Shows what is on a queue, run by run, and the workers that serve it.",
                                   "The queue is that of the plan or checks named, or of --backend and --queue-config. A worker is live when its next beat is\n"
                                   "heard while this command watches; workers that have nothing to do beat every heartbeat_interval.",
                                   flags,
                                   0,
                                   1};

static const char *number(char out[32], int64_t n) {
  if (n < 0)
    (void)snprintf(out, 32, "?");
  else
    (void)snprintf(out, 32, "%" PRId64, n);
  return out;
}

static void tell_depth(const mg_depth *d) {
  char a[32], b[32], x[32], y[32], oldest[32] = "-";
  if (d->pending > 0 && d->oldest_ms >= 0) (void)snprintf(oldest, sizeof oldest, "%.1f s", (double)d->oldest_ms / 1000);
  (void)printf("%9s %9s %6s %8s %10s", number(a, d->pending), number(b, d->in_flight), number(x, d->dead), number(y, d->results), oldest);
}

static void tell_worker(const mg_survey *s, const mg_heard *w, mg_ms now) {
  char name[MG_NAME_MAX + 1], beat[48] = "-";
  mg_console_plain(name, w->name, strlen(w->name));
  if (w->changed_ms != 0) (void)snprintf(beat, sizeof beat, "%.1f s ago", (double)(now - w->changed_ms) / 1000);
  (void)printf("%-32s %-9s %10s %7u/%-3u %6zu %11" PRIu64, name, mg_survey_worker_state(s, w), beat, w->beat.executors_up, w->beat.executors, w->beat.task_count,
               w->beat.cases_done);
  for (size_t i = 0; i < w->beat.task_count; i++) {
    const mg_beat_task *t = &w->beat.tasks[i];
    if (!t->running) continue;
    (void)printf("  case %" PRIu64 " of run %s", t->case_number, t->run); /* its letters were checked when it was decoded */
    break;
  }
  (void)printf("\n");
}

static int tell(const mg_survey *s) {
  const mg_console *c = &s->console;
  mg_ms now = mg_now_ms();
  size_t quiet = 0;
  (void)printf("%-22s %9s %9s %6s %8s %10s  %s\n", "RUN", "PENDING", "IN FLIGHT", "DEAD", "RESULTS", "OLDEST", "STATE");
  for (size_t i = 0; i < s->run_count; i++) {
    char run[MG_NAME_MAX + 1];
    mg_console_plain(run, s->runs[i], strlen(s->runs[i]));
    (void)printf("%-22s ", run);
    tell_depth(&s->depths[i]);
    (void)printf("  %s\n", mg_survey_run_state(s, s->runs[i]));
  }
  (void)printf("%-22s ", s->only != NULL ? "in all" : "whole queue");
  tell_depth(&s->whole);
  (void)printf("\n\n");
  if (s->worker_count == 0)
    (void)printf("no worker was heard in %.1f s (%s)\n", (double)s->watched_ms / 1000, c->ops->name);
  else
    (void)printf("%-32s %-9s %10s %11s %6s %11s  %s\n", "WORKER", "STATE", "LAST BEAT", "EXECUTORS", "TASKS", "CASES DONE", "AT");
  for (size_t i = 0; i < s->worker_count; i++) {
    tell_worker(s, &s->workers[i], now);
    quiet += s->workers[i].changed_ms == 0 && !s->workers[i].beat.leaving;
  }
  if (quiet > 0) {
    double every = mg_options_real(c->queue, "heartbeat_interval", mg_options_real(c->queue, "heartbeat_timeout", 30) / 3);
    (void)printf("quiet: beat before, not within the %.1f s watched; --watch %.0f waits for one whole heartbeat_interval\n", (double)s->watched_ms / 1000,
                 every + 1);
  }
  if (s->unreadable > 0) (void)printf("%" PRIu64 " beats could not be read (MGUARD_SIGNING_KEY, or another version of mguard)\n", s->unreadable);
  return 0;
}

static int look(mg_survey *s, double watch_s) {
  mg_console *c = &s->console;
  mg_error e;
  if (mg_survey_look(s, (mg_ms)(watch_s * 1000), &e) != MG_OK) return mg_console_fail(c, &e);
  return c->json ? mg_console_print(c, mg_survey_json(s)) : tell(s);
}

int mg_cli_status(int argc, char **argv) {
  mg_args a;
  mg_survey s = {0};
  double watch_s;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  if (!mg_args_number(&a, &command, "watch", 0, 3600, 2, &watch_s)) return MG_EXIT_USAGE;
  s.only = mg_args_get(&a, &command, "run");
  code = mg_console_open(&s.console, &command, &a, a.positional_count > 0 ? a.positional[0] : NULL, 0);
  if (code < 0) code = look(&s, watch_s);
  mg_survey_fini(&s);
  return code;
}
