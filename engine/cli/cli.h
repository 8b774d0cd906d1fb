/* cli.h - the subcommands. Each takes its own argv (argv[0] its name) and returns the exit code. */
#ifndef MG_CLI_CLI_H
#define MG_CLI_CLI_H

#include "dispatch/backend.h"

enum { MG_EXIT_USAGE = 4, MG_EXIT_FAILURE = 5, MG_EXIT_INTERRUPTED = 130 };

int mg_cli_init(int argc, char **argv);
int mg_cli_evaluate(int argc, char **argv);
int mg_cli_run(int argc, char **argv);
int mg_cli_runs(int argc, char **argv);
int mg_cli_report(int argc, char **argv);
int mg_cli_verify(int argc, char **argv);
int mg_cli_worker(int argc, char **argv);
int mg_cli_replay(int argc, char **argv);
int mg_cli_check(int argc, char **argv);
int mg_cli_doctor(int argc, char **argv);
int mg_cli_power(int argc, char **argv);
int mg_cli_stats(int argc, char **argv);
int mg_cli_status(int argc, char **argv);
int mg_cli_top(int argc, char **argv);
int mg_cli_dlq(int argc, char **argv);
int mg_cli_queue(int argc, char **argv);

/* Script that --task NAME|FILE means: the file, or "task:NAME" in the buffer for one that is built in. */
const char *mg_cli_task(const char *task, char *buffer, size_t cap);

/* Whether mguard has a backend of that name, in this build or another. */
bool mg_backend_is_name(const char *name);
/* The backend called name, or NULL; *left_out says why where this build lacks it. */
const mg_backend_ops *mg_backend_find(const char *name, const char **left_out);

/* MG_ARG where tasks may be held longer than the broker lets a worker hold them. case_timeout_ms: of one role of one case, `roles` of them; executors of the
 * worker, 0: not known here. */
mg_err mg_backend_check_hold(const mg_options *queue, uint32_t case_timeout_ms, int roles, int executors, mg_error *e);

/* What the two sides of this process share where the backend reaches no other (mg_backend_config.shared). NULL where memory ended. */
void *mg_local_broker_new(void);
void mg_local_broker_free(void *broker);

/* The path this program can be started by again. */
const char *mg_program_path(void);

/* "mguard run: text" on stderr; returns code. */
int mg_complain(const char *command, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
