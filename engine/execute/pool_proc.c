#include "execute/pool_proc.h"

#include "base/clock.h"
#include "execute/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_WORDS_MS 200
#define SECRET "MGUARD_SIGNING_KEY=" /* implementations have no business with it */

struct mg_proc {
  mg_proc_config config;
  pid_t pid;     /* 0: reaped */
  mg_slot *slot; /* NULL: gone */
  uv_pipe_t pipe;
  bool reading;
  bool asked;        /* to leave */
  mg_ms ended_ms;    /* when its end of the socket was seen; 0: open */
  const char *wrong; /* it broke the protocol, and was killed for that */
  mg_buf in;
  size_t in_taken;
};

typedef struct write_job {
  uv_write_t req;
  uv_buf_t buf;
} write_job;

static char **environment_without_secret(void) {
  size_t n = 0, kept = 0;
  while (environ[n] != NULL) n++;
  char **env = malloc((n + 1) * sizeof *env);
  if (env == NULL) return NULL;
  for (size_t i = 0; i < n; i++) {
    if (strncmp(environ[i], SECRET, sizeof SECRET - 1) != 0) env[kept++] = environ[i];
  }
  env[kept] = NULL;
  return env;
}

static void give_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  mg_proc *p = h->data;
  (void)suggested;
  if (p->in_taken > 0) {
    memmove(p->in.data, p->in.data + p->in_taken, p->in.len - p->in_taken);
    p->in.len -= p->in_taken;
    p->in_taken = 0;
  }
  bool ok = mg_buf_reserve(&p->in, 4096);
  *buf = uv_buf_init(ok ? (char *)p->in.data + p->in.len : NULL, ok ? (unsigned)(p->in.cap - p->in.len) : 0);
}

static void broke_protocol(mg_proc *p, const char *how) {
  if (p->wrong == NULL) p->wrong = how;
  mg_proc_kill(p);
}

/* Gives every whole frame. The owner may kill p from within, but never frees it there. */
static void give_frames(mg_proc *p) {
  while (p->wrong == NULL && p->in.len - p->in_taken >= 5) {
    const uint8_t *at = p->in.data + p->in_taken;
    size_t len = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if (len < 1 || len > MG_PROC_FRAME_MAX) {
      broke_protocol(p, "wrote to the engine's own socket");
      return;
    }
    if (p->in.len - p->in_taken < 4 + len) return;
    p->in_taken += 4 + len;
    p->config.events.frame(p->config.owner, (mg_frame_type)at[4], (mg_slice){at + 5, len - 1});
  }
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
  mg_proc *p = s->data;
  (void)buf;
  if (n < 0) {
    (void)uv_read_stop(s);
    p->reading = false;
    p->ended_ms = mg_now_ms(); /* mostly it is dying; mg_proc_reap waits a little to see of what */
    return;
  }
  p->in.len += (size_t)n;
  give_frames(p);
}

mg_err mg_proc_start(mg_proc **out, uv_loop_t *loop, const mg_proc_config *config, mg_error *e) {
  int ends[2] = {-1, -1}, slot_fd = -1;
  char **env = NULL;
  mg_err rc = MG_OK;
  mg_proc *p = calloc(1, sizeof *p);
  if (p == NULL) return mg_fail(e, MG_NOMEM, "no memory for an executor");
  p->config = *config;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    rc = mg_fail_errno(e, MG_FATAL, errno, "cannot start an executor");
    goto out;
  }
  rc = mg_slot_create(&p->slot, &slot_fd, e);
  if (rc != MG_OK) goto out;
  env = environment_without_secret();
  char *argv[] = {(char *)(uintptr_t)config->program, "__executor", "3", "4", NULL};
  mg_spawn s = {.argv = argv, .env = env, .fds = {-1, config->show_output ? STDOUT_FILENO : -1, STDERR_FILENO, ends[1], slot_fd}};
  rc = mg_spawn_start(&s, &p->pid, e);
  if (rc != MG_OK) goto out;
  p->pipe.data = p;
  (void)uv_pipe_init(loop, &p->pipe, 0);
  int failed = uv_pipe_open(&p->pipe, ends[0]);
  if (failed == 0) {
    ends[0] = -1; /* the handle's now */
    p->reading = true;
    failed = uv_read_start((uv_stream_t *)&p->pipe, give_room, on_read);
  }
  if (failed != 0) p->wrong = "could not be spoken to";
  if (failed != 0) mg_proc_kill(p);
out:
  free(env);
  if (ends[0] >= 0) (void)close(ends[0]);
  if (ends[1] >= 0) (void)close(ends[1]);
  if (slot_fd >= 0) (void)close(slot_fd);
  if (rc == MG_OK) {
    *out = p;
  } else {
    mg_slot_unmap(p->slot);
    free(p);
  }
  return rc;
}

mg_slot *mg_proc_slot(mg_proc *p) { return p->slot; }

static void written(uv_write_t *req, int status) {
  write_job *w = (write_job *)(void *)req;
  (void)status; /* a failure is followed by the death that it comes from */
  free(w->buf.base);
  free(w);
}

mg_err mg_proc_send(mg_proc *p, mg_frame_type type, mg_slice body, mg_error *e) {
  size_t len = body.len + 1;
  if (len > UINT32_MAX) return mg_fail(e, MG_ARG, "%zu bytes are too many for an executor", len);
  write_job *w = malloc(sizeof *w);
  char *bytes = w != NULL ? malloc(4 + len) : NULL;
  if (bytes == NULL) {
    free(w);
    return mg_fail(e, MG_NOMEM, "no memory for %zu bytes to an executor", len);
  }
  for (int i = 0; i < 4; i++) bytes[i] = (char)(len >> 8 * i & 0xff);
  bytes[4] = (char)type;
  if (body.len > 0) memcpy(bytes + 5, body.data, body.len);
  w->buf = uv_buf_init(bytes, (unsigned)(4 + len));
  if (uv_write(&w->req, (uv_stream_t *)&p->pipe, &w->buf, 1, written) != 0) {
    free(bytes);
    free(w);
  }
  return MG_OK;
}

void mg_proc_signal(mg_proc *p) {
  if (p->pid > 0) (void)kill(p->pid, SIGUSR1);
}

static void kill_groups(mg_proc *p) {
  for (int i = 0; i < MG_ROLES; i++) mg_spawn_kill_group(atomic_load(&p->slot->groups[i]));
  mg_spawn_kill_group(p->pid);
}

void mg_proc_kill(mg_proc *p) {
  if (p->pid > 0) kill_groups(p);
}

void mg_proc_hang_up(mg_proc *p) {
  uv_os_fd_t fd;
  p->asked = true;
  if (uv_fileno((uv_handle_t *)&p->pipe, &fd) == 0) (void)shutdown(fd, SHUT_WR);
}

static void closed(uv_handle_t *h) {
  mg_proc *p = h->data;
  mg_proc_events events = p->config.events;
  void *owner = p->config.owner;
  mg_buf_fini(&p->in);
  free(p);
  events.freed(owner);
}

/* What it wrote before it died and the loop has not read yet. A grandchild may hold the socket open, so its end is not waited for. */
static void read_rest(mg_proc *p) {
  uv_os_fd_t fd;
  if (!p->reading || uv_fileno((uv_handle_t *)&p->pipe, &fd) != 0) return;
  (void)uv_read_stop((uv_stream_t *)&p->pipe);
  for (;;) {
    uv_buf_t room;
    give_room((uv_handle_t *)&p->pipe, 0, &room);
    ssize_t n = room.len > 0 ? recv(fd, room.base, room.len, MSG_DONTWAIT) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    p->in.len += (size_t)n;
    give_frames(p);
  }
}

void mg_proc_reap(mg_proc *p) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (p->pid <= 0) return;
  if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != p->pid) {
    if (p->ended_ms != 0 && !p->asked && mg_now_ms() - p->ended_ms > LAST_WORDS_MS) broke_protocol(p, "closed the engine's own socket");
    return;
  }
  kill_groups(p); /* before the number is free for others */
  int status = 0;
  while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) continue;
  p->pid = 0;
  read_rest(p);
  char how[64];
  mg_spawn_status_text(status, how, sizeof how);
  const char *said = p->wrong != NULL && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? p->wrong : how;
  p->config.events.gone(p->config.owner, said);
  mg_slot_unmap(p->slot);
  p->slot = NULL;
  uv_close((uv_handle_t *)&p->pipe, closed);
}
