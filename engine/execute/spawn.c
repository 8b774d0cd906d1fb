#include "execute/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum step { STEP_NONE = 0, STEP_CWD, STEP_FDS, STEP_EXEC } step;

typedef struct report {
  int what, error;
} report;

_Noreturn static void give_up(int report_fd, step what, int error) {
  report r = {(int)what, error};
  ssize_t n = write(report_fd, &r, sizeof r);
  (void)n;
  _exit(127);
}

/* Puts fds[] at 0 .. MG_SPAWN_FDS-1. All are first lifted above, so that none is overwritten before its turn. */
static bool place_descriptors(const mg_spawn *s, int *report_fd) {
  int lifted[MG_SPAWN_FDS];
  int up = fcntl(*report_fd, F_DUPFD_CLOEXEC, MG_SPAWN_FDS);
  if (up < 0) return false;
  *report_fd = up;
  for (int i = 0; i < MG_SPAWN_FDS; i++) {
    lifted[i] = -1;
    if (s->fds[i] >= 0) lifted[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, MG_SPAWN_FDS);
    if (i <= STDERR_FILENO && s->fds[i] < 0) lifted[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (lifted[i] >= 0 && lifted[i] < MG_SPAWN_FDS) lifted[i] = fcntl(lifted[i], F_DUPFD_CLOEXEC, MG_SPAWN_FDS);
    if (lifted[i] < 0 && (s->fds[i] >= 0 || i <= STDERR_FILENO)) return false;
  }
  for (int i = 0; i < MG_SPAWN_FDS; i++) {
    if (lifted[i] < 0) {
      (void)close(i);
    } else if (dup2(lifted[i], i) < 0) {
      return false;
    }
  }
  /* Ours are all CLOEXEC, but a library's or a script's (io.open) may not be. Where the kernel has no close_range, those stay. */
  (void)syscall(SYS_close_range, (unsigned)MG_SPAWN_FDS, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);
  return true;
}

/* Runs in the parent's memory, which stands still until exec: only system calls, nothing of the parent's is written. */
_Noreturn static void be_child(const mg_spawn *s, pid_t parent, int report_fd) {
  (void)setpgid(0, 0);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127); /* it died before prctl */

  struct sigaction def;
  memset(&def, 0, sizeof def);
  def.sa_handler = SIG_DFL;
  for (int i = 1; i < NSIG; i++) (void)sigaction(i, &def, NULL);

  if (!place_descriptors(s, &report_fd)) give_up(report_fd, STEP_FDS, errno);
  if (s->cwd != NULL && chdir(s->cwd) != 0) give_up(report_fd, STEP_CWD, errno);

  struct rlimit none = {0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
  if (s->memory_mb > 0) {
    struct rlimit memory = {(rlim_t)s->memory_mb << 20, (rlim_t)s->memory_mb << 20};
    (void)setrlimit(RLIMIT_AS, &memory);
  }
  sigset_t nothing;
  sigemptyset(&nothing);
  (void)sigprocmask(SIG_SETMASK, &nothing, NULL);
  if (s->env != NULL) {
    (void)execvpe(s->argv[0], s->argv, s->env);
  } else {
    (void)execvp(s->argv[0], s->argv);
  }
  give_up(report_fd, STEP_EXEC, errno);
}

__attribute__((noinline)) static pid_t fork_child(const mg_spawn *s, pid_t parent, int report_fd) {
  pid_t pid = vfork();
  if (pid == 0) be_child(s, parent, report_fd);
  return pid;
}

mg_err mg_spawn_start(const mg_spawn *s, pid_t *pid, mg_error *e) {
  int said[2];
  if (pipe2(said, O_CLOEXEC) != 0) return mg_fail_errno(e, MG_FATAL, errno, "cannot start %s", s->argv[0]);

  /* No handler of ours may run in the child while it shares our memory. */
  sigset_t all, before;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = fork_child(s, getpid(), said[1]);
  int fork_error = errno;
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  (void)close(said[1]);

  mg_err rc = MG_OK;
  report r = {STEP_NONE, 0};
  if (child < 0) {
    rc = mg_fail_errno(e, MG_FATAL, fork_error, "cannot start %s", s->argv[0]);
    goto out;
  }
  /* Empty at once after an exec: vfork has waited for it. */
  ssize_t n;
  do {
    n = read(said[0], &r, sizeof r);
  } while (n < 0 && errno == EINTR);
  if (n != (ssize_t)sizeof r) {
    *pid = child;
    goto out;
  }
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  if (r.what == STEP_CWD) {
    rc = mg_fail_errno(e, MG_FATAL, r.error, "cannot start %s in folder %s", s->argv[0], s->cwd);
  } else {
    rc = mg_fail_errno(e, MG_FATAL, r.error, "cannot start %s", s->argv[0]);
  }
out:
  (void)close(said[0]);
  return rc;
}

static const char *signal_name(int number) {
  switch (number) {
  case SIGHUP: return "SIGHUP";
  case SIGINT: return "SIGINT";
  case SIGQUIT: return "SIGQUIT";
  case SIGILL: return "SIGILL";
  case SIGTRAP: return "SIGTRAP";
  case SIGABRT: return "SIGABRT";
  case SIGBUS: return "SIGBUS";
  case SIGFPE: return "SIGFPE";
  case SIGKILL: return "SIGKILL";
  case SIGUSR1: return "SIGUSR1";
  case SIGSEGV: return "SIGSEGV";
  case SIGUSR2: return "SIGUSR2";
  case SIGPIPE: return "SIGPIPE";
  case SIGALRM: return "SIGALRM";
  case SIGTERM: return "SIGTERM";
  case SIGXCPU: return "SIGXCPU";
  case SIGXFSZ: return "SIGXFSZ";
  case SIGSYS: return "SIGSYS";
  default: return NULL;
  }
}

void mg_spawn_status_text(int status, char *out, size_t size) {
  if (WIFSIGNALED(status)) {
    const char *name = signal_name(WTERMSIG(status));
    if (name != NULL) {
      (void)snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(status), name);
    } else {
      (void)snprintf(out, size, "killed by signal %d", WTERMSIG(status));
    }
  } else {
    (void)snprintf(out, size, "exited with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : status);
  }
}

void mg_spawn_kill_group(pid_t group) {
  if (group > 1) (void)kill(-group, SIGKILL);
}
