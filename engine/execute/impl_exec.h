/* impl_exec.h - an implementation that is a program: one process kept and spoken to in lines, or a process a call.
 *
 * Owner: the executor, one mg_child for each role. Thread: the executor's only one; a call blocks. Knows bytes, no Lua and no JSON.
 * A child has a process group of its own, dies with its parent, inherits nothing but its three pipes, and its stderr is kept as a tail for messages.
 * mg_child_new sets SIGPIPE to ignored for the process. */
#ifndef MG_EXECUTE_IMPL_EXEC_H
#define MG_EXECUTE_IMPL_EXEC_H

#include "base/buf.h"
#include "base/err.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MG_CHILD_ANSWER_MAX (64u << 20) /* longest answer in bytes */

typedef struct mg_child mg_child;

typedef struct mg_child_config { /* copied by mg_child_new, but for group */
  const char *const *argv;       /* NULL ended; argv[0] is looked up in PATH */
  const char *const *env;        /* NAME=value, added to the environment or replacing there; NULL ended, or NULL */
  const char *cwd;               /* NULL: the caller's */
  bool once;                     /* a process a call: all of stdin, all of stdout, exit status 0 */
  uint32_t memory_mb;            /* RLIMIT_AS of the child; 0: none */
  _Atomic int32_t *group;        /* the slot's groups[role]: the running child's process group, else 0. May be NULL */
} mg_child_config;

/* Starts nothing yet. MG_ARG: argv empty; MG_NOMEM. */
mg_err mg_child_new(mg_child **out, const mg_child_config *c, mg_error *e);

/* Starts the child where none runs, sends request (a line without its newline, or all of stdin for once) and waits for the answer (a line without its
 * newline, or all of stdout for once). *answer borrows until the next call.
 * MG_TIMEOUT: *stop was or became nonzero, set by a handler of SIGUSR1, which is let in only while this waits, so that none is missed. stop may be NULL.
 * MG_LOST: the child died or closed its output: "exited with status 3: <last line of its stderr>", "killed by signal 11 (SIGSEGV)".
 * MG_ARG: protocol broken: a line feed in the request, a NUL in the answer line, output after it, an answer above MG_CHILD_ANSWER_MAX.
 * MG_FATAL: it cannot be started; the text names the program. MG_NOMEM.
 * After any failure the child and its whole group are killed, and the next call starts it anew. A kept child that died between two calls, before it
 * read anything of the second, is started anew without an error: its death is none of the second case's doing. */
mg_err mg_child_call(mg_child *c, mg_slice request, mg_slice *answer, volatile sig_atomic_t *stop, mg_error *e);

/* Whether a kept child runs that has neither died nor spoken out of turn: the next call would not start one. */
bool mg_child_running(const mg_child *c);
/* Its process id, 0 where none runs. */
int mg_child_pid(const mg_child *c);

/* Kills what runs; NULL is fine. A kept child is first given its end of input and up to 100 ms to leave by itself. */
void mg_child_free(mg_child *c);

#endif
