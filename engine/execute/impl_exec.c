#include "execute/impl_exec.h"

#include "base/clock.h"
#include "execute/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAIL_BYTES 2048u             /* of stderr that are kept */
#define READ_BYTES (64u << 10)       /* one read of stdout */
#define ANSWER_KEEP_BYTES (4u << 20) /* a longer answer's memory is given back */
#define LAST_WORDS_MS 100            /* how long a child that closed its output, or is asked to leave, may take to exit */
#define NO_PIDFD_SLICE_MS 10         /* how often an exit is looked for where the kernel has no pidfd */

struct mg_child {
  char **argv, **env;
  char *cwd;
  bool once;
  uint32_t memory_mb;
  _Atomic int32_t *group;

  pid_t pid;         /* 0: none runs */
  int pidfd;         /* -1 on kernels without */
  int in, out, err;  /* our ends, not blocking; -1 once closed */
  uint64_t answered; /* by this process */
  mg_buf answer;
  uint8_t tail[TAIL_BYTES]; /* the end of this call's stderr */
  size_t tail_len;
};

/* --- configuration ------------------------------------------------------------------------------------------------------- */

static void free_list(char **list) {
  if (list == NULL) return;
  for (char **p = list; *p != NULL; p++) free(*p);
  free(list);
}

static size_t list_length(char *const *list) {
  size_t n = 0;
  while (list != NULL && list[n] != NULL) n++;
  return n;
}

static bool same_name(const char *a, const char *b) {
  size_t n = strcspn(a, "=");
  return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* base without what add replaces, then add. */
static char **join_lists(char *const *base, const char *const *add) {
  size_t cap = list_length(base) + list_length((char *const *)add) + 1, n = 0;
  char **out = calloc(cap, sizeof *out);
  if (out == NULL) return NULL;
  for (size_t i = 0; base != NULL && base[i] != NULL; i++) {
    bool replaced = false;
    for (size_t j = 0; add != NULL && add[j] != NULL && !replaced; j++) replaced = same_name(add[j], base[i]);
    if (replaced) continue;
    out[n] = strdup(base[i]);
    if (out[n++] == NULL) goto fail;
  }
  for (size_t j = 0; add != NULL && add[j] != NULL; j++) {
    out[n] = strdup(add[j]);
    if (out[n++] == NULL) goto fail;
  }
  return out;
fail:
  free_list(out);
  return NULL;
}

mg_err mg_child_new(mg_child **out, const mg_child_config *config, mg_error *e) {
  if (config->argv == NULL || config->argv[0] == NULL || config->argv[0][0] == '\0') return mg_fail(e, MG_ARG, "a program to run has no name");
  mg_child *c = calloc(1, sizeof *c);
  if (c == NULL) return mg_fail(e, MG_NOMEM, "no memory for %s", config->argv[0]);
  c->pidfd = c->in = c->out = c->err = -1;
  c->once = config->once;
  c->memory_mb = config->memory_mb;
  c->group = config->group;
  c->argv = join_lists(NULL, config->argv);
  c->env = join_lists(environ, config->env);
  if (config->cwd != NULL) c->cwd = strdup(config->cwd);
  if (c->argv == NULL || c->env == NULL || (config->cwd != NULL && c->cwd == NULL)) {
    mg_child_free(c);
    return mg_fail(e, MG_NOMEM, "no memory for %s", config->argv[0]);
  }
  (void)signal(SIGPIPE, SIG_IGN);
  *out = c;
  return MG_OK;
}

/* --- life of the process ------------------------------------------------------------------------------------------------- */

static void close_fd(int *fd) {
  if (*fd >= 0) (void)close(*fd);
  *fd = -1;
}

static void set_group(mg_child *c, pid_t group) {
  if (c->group != NULL) atomic_store(c->group, (int32_t)group);
}

/* The group is killed and forgotten before its leader is reaped: until then nobody else can have its number. */
static void end_child(mg_child *c) {
  if (c->pid == 0) return;
  mg_spawn_kill_group(c->pid);
  set_group(c, 0);
  while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) continue;
  c->pid = 0;
  close_fd(&c->pidfd);
  close_fd(&c->in);
  close_fd(&c->out);
  close_fd(&c->err);
}

static mg_err start_child(mg_child *c, mg_error *e) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  mg_err rc = MG_OK;
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    rc = mg_fail_errno(e, MG_FATAL, errno, "cannot start %s", c->argv[0]);
    goto out;
  }
  mg_spawn s = {.argv = c->argv, .env = c->env, .cwd = c->cwd, .fds = {in[0], out[1], err[1], -1, -1}, .memory_mb = c->memory_mb};
  rc = mg_spawn_start(&s, &c->pid, e);
  if (rc != MG_OK) {
    c->pid = 0;
    goto out;
  }
  set_group(c, c->pid);
  c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0u);
  c->in = in[1];
  c->out = out[0];
  c->err = err[0];
  in[1] = out[0] = err[0] = -1;
  (void)fcntl(c->in, F_SETFL, O_NONBLOCK);
  (void)fcntl(c->out, F_SETFL, O_NONBLOCK);
  (void)fcntl(c->err, F_SETFL, O_NONBLOCK);
  c->answered = 0;
out:
  for (int i = 0; i < 2; i++) {
    close_fd(&in[i]);
    close_fd(&out[i]);
    close_fd(&err[i]);
  }
  return rc;
}

/* Without reaping it: the process group must stay ours until it is killed. */
static bool has_exited(const mg_child *c) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == c->pid;
}

void mg_child_free(mg_child *c) {
  if (c == NULL) return;
  if (c->pid != 0 && !c->once) {
    close_fd(&c->in);
    mg_ms until = mg_now_ms() + LAST_WORDS_MS;
    while (!has_exited(c) && mg_now_ms() < until) {
      struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
      (void)poll(&p, 1, c->pidfd >= 0 ? mg_until_ms(until) : 1);
    }
  }
  end_child(c);
  free_list(c->argv);
  free_list(c->env);
  free(c->cwd);
  mg_buf_fini(&c->answer);
  free(c);
}

/* --- stderr -------------------------------------------------------------------------------------------------------------- */

static void drain_stderr(mg_child *c) {
  uint8_t bytes[TAIL_BYTES];
  while (c->err >= 0) {
    ssize_t n = read(c->err, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      close_fd(&c->err);
      return;
    }
    size_t keep = TAIL_BYTES - (size_t)n;
    if (keep > c->tail_len) keep = c->tail_len;
    memmove(c->tail, c->tail + c->tail_len - keep, keep);
    memcpy(c->tail + keep, bytes, (size_t)n);
    c->tail_len = keep + (size_t)n;
  }
}

static bool is_space(uint8_t b) { return b <= ' '; }

/* The last line with anything in it, printable ASCII as it is, other bytes as '?'. */
static void last_line(const mg_child *c, char *out, size_t size) {
  size_t end = c->tail_len;
  while (end > 0 && is_space(c->tail[end - 1])) end--;
  size_t begin = end;
  while (begin > 0 && c->tail[begin - 1] != '\n') begin--;
  while (begin < end && is_space(c->tail[begin])) begin++;
  size_t n = 0;
  for (size_t i = begin; i < end && n + 1 < size; i++) {
    uint8_t b = c->tail[i];
    out[n++] = (char)(b == '\t' ? ' ' : b < ' ' || b > '~' ? '?' : b);
  }
  out[n] = '\0';
}

/* how: said instead of the status where the child was alive. It is not reaped yet. */
static mg_err report_lost(mg_child *c, const char *how, mg_error *e) {
  char text[64] = "ended", line[300];
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (how == NULL && waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == c->pid) {
    mg_spawn_status_text(info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status, text, sizeof text);
  }
  drain_stderr(c);
  last_line(c, line, sizeof line);
  return mg_fail(e, MG_LOST, "%s%s%s", how != NULL ? how : text, line[0] != '\0' ? ": " : "", line);
}

/* --- one call ------------------------------------------------------------------------------------------------------------ */

typedef struct exchange {
  mg_slice request;
  size_t sent, total; /* total counts the line feed that a kept child gets */
  size_t scanned;     /* bytes of the answer without a line feed */
  bool line;          /* the answer's line feed is there, at scanned */
  bool deaf;          /* the child reads no more: what it answers, or dies of, decides */
} exchange;

static void send_request(mg_child *c, exchange *x) {
  while (!x->deaf && x->sent < x->total) {
    struct iovec v[2];
    int parts = 0;
    if (x->sent < x->request.len) {
      v[parts++] = (struct iovec){(void *)(uintptr_t)(x->request.data + x->sent), x->request.len - x->sent};
    }
    if (!c->once) v[parts++] = (struct iovec){(void *)(uintptr_t) "\n", 1};
    ssize_t n = writev(c->in, v, parts);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      x->deaf = true;
    } else {
      x->sent += (size_t)n;
    }
  }
  if (c->once) close_fd(&c->in); /* its end of input */
}

/* MG_AGAIN: more may come. MG_OK: end of output, or the answer's line is there. */
static mg_err read_answer(mg_child *c, exchange *x, mg_error *e) {
  while (c->out >= 0) {
    if (!mg_buf_reserve(&c->answer, READ_BYTES)) return mg_fail(e, MG_NOMEM, "no memory for an answer of %zu bytes", c->answer.len);
    ssize_t n = read(c->out, c->answer.data + c->answer.len, READ_BYTES);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return MG_AGAIN;
    if (n <= 0) {
      close_fd(&c->out);
      return MG_OK;
    }
    c->answer.len += (size_t)n;
    if (c->answer.len > (size_t)MG_CHILD_ANSWER_MAX + 1) return mg_fail(e, MG_ARG, "its answer is longer than %u MB", MG_CHILD_ANSWER_MAX >> 20);
    if (c->once) continue;
    const uint8_t *feed = memchr(c->answer.data + x->scanned, '\n', c->answer.len - x->scanned);
    x->scanned = feed != NULL ? (size_t)(feed - c->answer.data) : c->answer.len;
    x->line = feed != NULL;
    if (x->line) return MG_OK;
  }
  return MG_OK;
}

static mg_err check_line(const mg_child *c, const exchange *x, mg_error *e) {
  if (x->sent < x->total) return mg_fail(e, MG_ARG, "it answered before it had read its input");
  if (c->answer.len > x->scanned + 1) return mg_fail(e, MG_ARG, "it wrote %zu bytes after the line of its answer", c->answer.len - x->scanned - 1);
  if (memchr(c->answer.data, '\0', x->scanned) != NULL) return mg_fail(e, MG_ARG, "its answer contains a NUL byte");
  return MG_OK;
}

static bool left_well(const mg_child *c) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
}

static bool asked_to_stop(const volatile sig_atomic_t *stop) { return stop != NULL && *stop != 0; }

static mg_err exchange_with(mg_child *c, exchange *x, const volatile sig_atomic_t *stop, const sigset_t *while_waiting, mg_error *e) {
  mg_ms closed_at = MG_NEVER; /* when a kept child closed its output */
  for (;;) {
    bool exited = c->pidfd < 0 && has_exited(c);
    struct pollfd p[4] = {{.fd = c->out, .events = POLLIN},
                          {.fd = c->err, .events = POLLIN},
                          {.fd = !x->deaf && x->sent < x->total ? c->in : -1, .events = POLLOUT},
                          {.fd = c->pidfd, .events = POLLIN}};
    if (!exited) {
      struct timespec slice = {0, NO_PIDFD_SLICE_MS * 1000000L};
      struct timespec *limit = c->pidfd < 0 || closed_at != MG_NEVER ? &slice : NULL;
      int n = ppoll(p, 4, limit, while_waiting);
      if (asked_to_stop(stop)) return mg_fail(e, MG_TIMEOUT, "no answer in time");
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return mg_fail_errno(e, MG_FATAL, errno, "cannot wait for %s", c->argv[0]);
      exited = c->pidfd >= 0 && p[3].revents != 0;
    }
    if (p[2].revents != 0) send_request(c, x);
    drain_stderr(c);
    mg_err rc = read_answer(c, x, e);
    if (rc != MG_OK && rc != MG_AGAIN) return rc;
    if (x->line) return check_line(c, x, e);
    if (exited) return c->once && left_well(c) ? MG_OK : report_lost(c, NULL, e);
    if (c->out < 0 && !c->once) {
      if (closed_at == MG_NEVER) closed_at = mg_now_ms();
      if (mg_now_ms() - closed_at >= LAST_WORDS_MS) return report_lost(c, "closed its output", e);
    }
  }
}

/* A kept child that wrote or died since its last answer. */
static bool is_stale(const mg_child *c) {
  uint8_t byte;
  ssize_t n;
  do {
    n = read(c->out, &byte, 1);
  } while (n < 0 && errno == EINTR);
  return n >= 0 || errno != EAGAIN;
}

int mg_child_pid(const mg_child *c) { return (int)c->pid; }
bool mg_child_running(const mg_child *c) { return !c->once && c->pid != 0 && !is_stale(c); }

/* Whether all that was sent still stands in the pipe. */
static bool was_unread(const mg_child *c, const exchange *x) {
  int unread = 0;
  return x->sent == 0 || (ioctl(c->in, FIONREAD, &unread) == 0 && (size_t)unread == x->sent);
}

mg_err mg_child_call(mg_child *c, mg_slice request, mg_slice *answer, volatile sig_atomic_t *stop, mg_error *e) {
  sigset_t usr1, before, while_waiting;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  (void)pthread_sigmask(SIG_BLOCK, &usr1, &before);
  while_waiting = before;
  sigdelset(&while_waiting, SIGUSR1);

  exchange x;
  mg_err rc = MG_OK;
  if (asked_to_stop(stop)) {
    rc = mg_fail(e, MG_TIMEOUT, "no answer in time");
    goto out;
  }
  if (!c->once && request.len > 0 && memchr(request.data, '\n', request.len) != NULL) {
    rc = mg_fail(e, MG_ARG, "its input contains a line feed, which ends a request to a kept process: use once = true, or JSON");
    goto out;
  }
  if (c->pid != 0 && is_stale(c)) end_child(c);
  for (;;) {
    if (c->pid == 0) rc = start_child(c, e);
    if (rc != MG_OK) goto out;
    bool kept_on = c->answered > 0;
    x = (exchange){.request = request, .total = request.len + (c->once ? 0 : 1)};
    if (c->answer.cap > ANSWER_KEEP_BYTES) mg_buf_fini(&c->answer);
    mg_buf_clear(&c->answer);
    c->tail_len = 0;
    send_request(c, &x);
    rc = exchange_with(c, &x, stop, &while_waiting, e);
    if (rc != MG_LOST || !kept_on || !was_unread(c, &x)) break;
    end_child(c); /* it died of what came before, without a look at this request */
    rc = MG_OK;
  }
out:
  if (rc == MG_OK) {
    c->answered++;
    *answer = (mg_slice){c->answer.data, c->once ? c->answer.len : x.scanned};
  }
  if (rc != MG_OK || c->once) end_child(c);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}
