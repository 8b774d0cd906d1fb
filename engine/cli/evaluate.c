/* evaluate.c - `mguard evaluate`: flags of another spelling over `mguard run`, for those who have a task and two files but no plan. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/monitor.h"
#include "cli/recording.h"
#include "cli/telling.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const mg_flag flags[] = {{"task", "NAME|FILE", "built-in task (top_k) or a file that returns checks", NULL},
                                {"baseline", "FILE", "the implementation in use, a .lua or .py file or a name of the checks", NULL},
                                {"candidate", "FILE", "the one that may replace it", NULL},
                                {"dispatcher", "KIND", "local: this machine; queue: workers (default local)", NULL},
                                {"queue-config", "FILE|JSON", "queue configuration, for --dispatcher queue", NULL},
                                {"n", "N", "how many cases (default 10000)", NULL},
                                {"seed", "N", "seed of the generator (default 0)", NULL},
                                {"policy", "GOAL", "noninferiority:0.01, superiority:0.02 or equivalence:0.01 (default noninferiority:0.01)", NULL},
                                {"min-delta", "D", "adopt where the pass rate is shown to change by more than D, a loss where it is negative", NULL},
                                {"min-pass-rate", "R", "adopt only where the candidate's own pass rate is shown to be at least R", NULL},
                                {"alpha", "A", "two-sided error of the goal (default 0.05)", NULL},
                                {"ci-method", "METHOD", "how the interval of the difference is computed (default tango)", NULL},
                                {"parallel", "N", "executors on this machine (default: one a core)", NULL},
                                {"timeout-s", "S", "time limit of one role of a case (default 2)", NULL},
                                {"mem-mb", "N", "memory limit of an implementation (default 512)", NULL},
                                {"violation-cap", "N", "violations kept a clause (default 5)", NULL},
                                {"report-dir", "DIR", "write the report there, as report-TIME.json", NULL},
                                {"fail-fast", NULL, "end at the first violation that decides", NULL},
                                {"plan-power", NULL, "run the first 500 cases alone and say how many the goal needs", NULL},
                                {"outcomes", "FILE", "write case, role, outcome and failed clauses as CSV", NULL},
                                {"mirror", "FILE|JSON", "the same run over this queue, too, at the same time; the outcomes are compared", NULL},
                                {"drain-timeout", "S", "after Ctrl-C, seconds to collect what is in flight (default 300)", NULL},
                                MG_STATE_DIR_FLAG,
                                {"no-journal", NULL, "write no journal: the run cannot be resumed", NULL},
                                MG_MONITOR_FLAGS,
                                MG_TELLING_FLAGS,
                                {"quiet", NULL, "no progress, no summary; the exit code and the report tell", NULL},
                                {"show-output", NULL, "let through what implementations print", NULL},
                                {"log-json", NULL, "log JSON lines to standard output", NULL},
                                {"log-file", "FILE", "log JSON lines to a file (reopened on SIGHUP)", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"evaluate",
                                   "",
                                   "Compares two files by a task: mguard evaluate --task top_k --baseline old.lua --candidate new.py",
                                   "It is mguard run with the plan made from these options; exit codes as there. A plan says more.",
                                   flags,
                                   0,
                                   0};

const char *mg_cli_task(const char *task, char *buffer, size_t cap) {
  size_t n = strlen(task);
  bool file = strchr(task, '/') != NULL || (n > 4 && strcmp(task + n - 4, ".lua") == 0) || strncmp(task, "task:", 5) == 0;
  if (file || (size_t)snprintf(buffer, cap, "task:%s", task) >= cap) return task;
  return buffer;
}

enum { MOST = 2 * MG_MAX_FLAGS + 4 };
typedef struct line {
  char *argv[MOST];
  int argc;
  char names[MG_MAX_FLAGS][32];
} line;

static void put(line *l, const char *flag, const char *value) {
  if (l->argc + 3 > MOST) abort(); /* fewer flags than places */
  l->argv[l->argc++] = (char *)(uintptr_t)flag;
  if (value != NULL) l->argv[l->argc++] = (char *)(uintptr_t)value;
}

/* What `mguard run` calls the flag; NULL where it has no such flag. */
static const char *name_in_run(const char *flag) {
  static const char *const rows[][2] = {{"n", "cases"}, {"policy", "goal"},   {"ci-method", "interval"}, {"parallel", "workers"}, {"mem-mb", "memory-mb"},
                                        {"task", NULL}, {"dispatcher", NULL}, {"min-delta", NULL},       {"timeout-s", NULL},     {"report-dir", NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (strcmp(rows[i][0], flag) == 0) return rows[i][1];
  }
  return flag;
}

/* Hands on all flags that `mguard run` has too. */
static void put_shared(line *l, const mg_args *a) {
  for (int i = 0; flags[i].name != NULL; i++) {
    const char *name = name_in_run(flags[i].name);
    if (a->values[i] == NULL || name == NULL) continue;
    (void)snprintf(l->names[i], sizeof l->names[i], "--%s", name);
    put(l, l->names[i], flags[i].value != NULL ? a->values[i] : NULL);
  }
}

/* Made while it may still be refused at no cost. */
static int report_name(const char *dir, char *out, size_t cap) {
  char now[32];
  time_t seconds = time(NULL);
  struct tm tm;
  if (gmtime_r(&seconds, &tm) == NULL || strftime(now, sizeof now, "%Y%m%d-%H%M%S", &tm) == 0) now[0] = '\0';
  if (mkdir(dir, 0777) != 0 && errno != EEXIST) return mg_complain("evaluate", MG_EXIT_USAGE, "--report-dir %s cannot be made: %s", dir, strerror(errno));
  if ((size_t)snprintf(out, cap, "%s/report-%s.json", dir, now) >= cap) return mg_complain("evaluate", MG_EXIT_USAGE, "--report-dir is too long");
  return 0;
}

static int queue_flags(const mg_args *a, bool *queue) {
  const char *kind = mg_args_get(a, &command, "dispatcher"), *config = mg_args_get(a, &command, "queue-config");
  *queue = kind != NULL && strcmp(kind, "queue") == 0;
  if (kind != NULL && !*queue && strcmp(kind, "local") != 0) return mg_complain("evaluate", MG_EXIT_USAGE, "--dispatcher must be local or queue, got %s", kind);
  if (*queue && config == NULL) return mg_complain("evaluate", MG_EXIT_USAGE, "--dispatcher queue needs --queue-config: where the broker is");
  if (!*queue && config != NULL) return mg_complain("evaluate", MG_EXIT_USAGE, "--queue-config needs --dispatcher queue");
  return 0;
}

int mg_cli_evaluate(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  static const char *const needed[] = {"task", "baseline", "candidate"};
  for (size_t i = 0; i < 3; i++) {
    if (mg_args_get(&a, &command, needed[i]) == NULL) return mg_complain("evaluate", MG_EXIT_USAGE, "--%s is missing", needed[i]);
  }
  char script[80], report[4096], timeout_ms[24], goal[64];
  const char *task = mg_args_get(&a, &command, "task"), *dir = mg_args_get(&a, &command, "report-dir");
  bool queue;
  double seconds, delta, number;
  if ((code = queue_flags(&a, &queue)) != 0) return code;
  if (!mg_args_number(&a, &command, "timeout-s", 0.001, 86400, 0, &seconds) || !mg_args_number(&a, &command, "min-delta", -0.999999, 0.999999, 0, &delta))
    return MG_EXIT_USAGE;
  static const struct {
    const char *flag;
    double low, high;
  } ranges[] = {{"n", 1, 9007199254740992.}, {"parallel", 1, 1024}, {"mem-mb", 8, 1048576}, {"violation-cap", 1, 1000}, {"alpha", 1e-9, 0.5}, {"min-pass-rate", 1e-9, 1 - 1e-9}};
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    if (!mg_args_number(&a, &command, ranges[i].flag, ranges[i].low, ranges[i].high, 0, &number)) return MG_EXIT_USAGE;
  }
  line l = {.argc = 0};
  put(&l, "run", mg_cli_task(task, script, sizeof script));
  put_shared(&l, &a);
  if (seconds > 0) {
    (void)snprintf(timeout_ms, sizeof timeout_ms, "%.0f", seconds * 1000);
    put(&l, "--timeout-ms", timeout_ms);
  }
  if (mg_args_get(&a, &command, "min-delta") != NULL) {
    if (mg_args_get(&a, &command, "policy") != NULL)
      return mg_complain("evaluate", MG_EXIT_USAGE, "--min-delta and --policy both say the goal: give one of them");
    (void)snprintf(goal, sizeof goal, "%s:%.15g", delta < 0 ? "noninferiority" : "superiority", delta < 0 ? -delta : delta);
    put(&l, "--goal", goal);
  }
  if (dir != NULL) {
    if ((code = report_name(dir, report, sizeof report)) != 0) return code;
    put(&l, "--report-json", report);
  }
  if (queue) {
    (void)fprintf(stderr, "workers, as many as you like:\n  mguard worker --task %s --baseline %s --candidate %s --queue-config '%s'\n", task,
                  mg_args_get(&a, &command, "baseline"), mg_args_get(&a, &command, "candidate"), mg_args_get(&a, &command, "queue-config"));
  }
  l.argv[l.argc] = NULL;
  code = mg_cli_run(l.argc, l.argv);
  if (code == MG_EXIT_USAGE) { /* its message names the flags of `mguard run` */
    (void)fputs("mguard evaluate: that was mguard", stderr);
    for (int i = 0; i < l.argc; i++) (void)fprintf(stderr, " %s", l.argv[i]);
    (void)fputc('\n', stderr);
  }
  if (dir != NULL && code <= 3) (void)fprintf(stderr, "report: %s\n", report);
  return code;
}
