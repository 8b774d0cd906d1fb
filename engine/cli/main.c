/* main.c - finds the subcommand. */
#include "cli/cli.h"

#include "execute/executor.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name, *summary;
  int (*run)(int argc, char **argv);
} commands[] = {
    {"run", "runs a plan and says whether the candidate may replace the baseline", mg_cli_run},
    {"evaluate", "compares two files by a task, without a plan", mg_cli_evaluate},
    {"init", "writes a plan that runs as it is, to be changed into one's own", mg_cli_init},
    {"check", "loads a plan and runs a few cases twice: is anything wrong or slow?", mg_cli_check},
    {"replay", "runs one case again and shows every clause", mg_cli_replay},
    {"doctor", "is this machine, this plan and this broker fit for a run?", mg_cli_doctor},
    {"worker", "runs the cases of plans that other machines started", mg_cli_worker},
    {"runs", "lists the runs that have a journal here, and removes old ones", mg_cli_runs},
    {"report", "shows the report of a run again, from its journal", mg_cli_report},
    {"verify", "is every case of a run recorded once, and nothing left on the broker?", mg_cli_verify},
    {"status", "what is on a queue, and which workers beat", mg_cli_status},
    {"top", "a run or a queue on the terminal, as it goes", mg_cli_top},
    {"dlq", "lists, shows, redrives and removes dead letters", mg_cli_dlq},
    {"queue", "counts or removes what a run has on a queue", mg_cli_queue},
    {"power", "how many cases a comparison needs", mg_cli_power},
    {"stats", "one statistical method over numbers of the command line", mg_cli_stats},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

int mg_complain(const char *command, int code, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  (void)fprintf(stderr, "mguard %s: ", command);
  (void)vfprintf(stderr, format, ap);
  (void)fputc('\n', stderr);
  va_end(ap);
  return code;
}

const char *mg_program_path(void) {
  static char path[4096];
  if (path[0] == '\0') {
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return "mguard";
    path[n] = '\0';
  }
  return path;
}

static int help(void) {
  (void)printf("mguard: may this candidate implementation replace the baseline?\n\nCommands:\n");
  for (size_t i = 0; i < COMMANDS; i++) (void)printf("  %-10s %s\n", commands[i].name, commands[i].summary);
  (void)printf("\nmguard COMMAND --help tells more; mguard --version.\n"
               "Exit codes: 0 adopt, 1 reject, 2 inconclusive, 3 invalid, 4 usage or configuration, 5 internal or broker failure, 130 interrupted.\n");
  return 0;
}

int main(int argc, char **argv) {
  (void)signal(SIGPIPE, SIG_IGN);
  if (argc < 2) {
    (void)help();
    return MG_EXIT_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) return help();
  if (strcmp(name, "--version") == 0) {
    (void)printf("mguard %s\n", MG_VERSION);
    return 0;
  }
  if (strcmp(name, "__executor") == 0) {
    if (argc != 4) return mg_complain(name, MG_EXIT_USAGE, "started by mguard itself only");
    return mg_executor_main((int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10));
  }
  for (size_t i = 0; i < COMMANDS; i++) {
    if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  }
  (void)fprintf(stderr, "mguard: there is no command \"%s\"; mguard --help lists them\n", name);
  return MG_EXIT_USAGE;
}
