/* spawn.h - starts a program cheaply (vfork) in a process group of its own, that dies with its parent and inherits only what it is given.
 *
 * Any thread, but the child lives no longer than the thread that started it. */
#ifndef MG_EXECUTE_SPAWN_H
#define MG_EXECUTE_SPAWN_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MG_SPAWN_FDS 5

typedef struct mg_spawn {
  char *const *argv;     /* NULL ended; argv[0] is looked up in PATH */
  char *const *env;      /* the whole environment, NULL ended; NULL: ours */
  const char *cwd;       /* NULL: ours */
  int fds[MG_SPAWN_FDS]; /* fds[i] becomes the child's descriptor i; -1: /dev/null for 0 to 2, else closed. All others are closed */
  uint32_t memory_mb;    /* RLIMIT_AS; 0: as ours */
} mg_spawn;

/* Signals are reset and unblocked in the child, no core is dumped, and its group's id is *pid. MG_FATAL: it cannot be started; the text names argv[0] or cwd. */
mg_err mg_spawn_start(const mg_spawn *s, pid_t *pid, mg_error *e);

/* "exited with status 3", "killed by signal 11 (SIGSEGV)" for a status of waitpid. */
void mg_spawn_status_text(int status, char *out, size_t size);

/* SIGKILL to the group; 0 is fine. */
void mg_spawn_kill_group(pid_t group);

#endif
