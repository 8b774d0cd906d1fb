#include "backends/net/transport.h"

#include "backends/net/resolve.h"
#include "backends/net/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_ATTEMPTS = 8, NEXT_ADDRESS_MS = 250, PROGRESS_MS = 1000 };

struct mg_transport {
  int fd;
  mg_tls *tls; /* NULL: plain */
  char where[320];
};

mg_err mg_net_wait(int fd, short events, mg_ms until, int wake_fd) {
  for (;;) {
    /* poll() ignores entries whose descriptor is negative. */
    struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = wake_fd, .events = POLLIN}};
    int n = poll(p, 2, mg_until_ms(until));
    if (n < 0 && errno != EINTR) return MG_OK; /* the call that follows says what is wrong with the descriptor */
    if (n > 0 && p[0].revents != 0) return MG_OK;
    if (n > 0 && p[1].revents != 0) return MG_AGAIN;
    if (n <= 0 && until != MG_NEVER && mg_now_ms() >= until) return MG_TIMEOUT;
  }
}

static void set_socket_options(int fd) {
  int on = 1, idle_s = 15, interval_s = 5, probes = 3;
  unsigned unacked_ms = 30000;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof unacked_ms);
}

typedef struct race {
  struct pollfd fds[MAX_ATTEMPTS];
  int count, failed_errno;
} race;

/* The connected socket, or -1. */
static int start_one(race *r, const struct addrinfo *a) {
  int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
  if (fd < 0) {
    r->failed_errno = errno;
    return -1;
  }
  if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) return fd;
  if (errno == EINPROGRESS || errno == EINTR) {
    r->fds[r->count++] = (struct pollfd){.fd = fd, .events = POLLOUT};
    return -1;
  }
  r->failed_errno = errno;
  close(fd);
  return -1;
}

static int look_at_all(race *r) {
  int kept = 0, won = -1;
  for (int i = 0; i < r->count; i++) {
    struct pollfd p = r->fds[i];
    if (p.revents == 0 || won >= 0) {
      r->fds[kept++] = p;
      continue;
    }
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    if (error == 0) {
      won = p.fd;
    } else {
      r->failed_errno = error;
      close(p.fd);
    }
  }
  r->count = kept;
  return won;
}

static int connect_any(const struct addrinfo *next, mg_ms until, int *error) {
  race r = {.failed_errno = ETIMEDOUT};
  int won = -1;
  mg_ms start_next = 0;
  while (won < 0) {
    mg_ms now = mg_now_ms();
    if (next != NULL && r.count < MAX_ATTEMPTS && (r.count == 0 || now >= start_next)) {
      won = start_one(&r, next);
      next = next->ai_next;
      start_next = now + NEXT_ADDRESS_MS;
      continue;
    }
    if (r.count == 0) break;
    if (now >= until) {
      r.failed_errno = ETIMEDOUT;
      break;
    }
    mg_ms end = next != NULL && r.count < MAX_ATTEMPTS && start_next < until ? start_next : until;
    if (poll(r.fds, (nfds_t)r.count, mg_until_ms(end)) > 0) won = look_at_all(&r);
  }
  for (int i = 0; i < r.count; i++) close(r.fds[i].fd);
  *error = r.failed_errno;
  return won;
}

static mg_err open_tcp(mg_transport *t, const mg_endpoint *at, mg_ms until, mg_error *e) {
  struct addrinfo *list = NULL;
  mg_err err = mg_resolve(at->service, at->host, at->port, until, &list, e);
  if (err != MG_OK) return err;
  int error = 0;
  t->fd = connect_any(list, until, &error);
  freeaddrinfo(list);
  if (t->fd < 0) {
    if (error == ECONNREFUSED) {
      mg_fail(e, MG_CONN, "cannot reach %s: connection refused; is it running, and is the port right?", t->where);
      if (e != NULL) e->detail = error;
      return MG_CONN;
    }
    return mg_fail_errno(e, MG_CONN, error, "cannot reach %s", t->where);
  }
  set_socket_options(t->fd);
  if (!at->tls.on) return MG_OK;
  return mg_tls_open(&t->tls, t->fd, at, until, e);
}

static mg_err open_unix(mg_transport *t, const mg_endpoint *at, mg_error *e) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  size_t len = strlen(at->unix_path);
  if (len == 0 || len >= sizeof a.sun_path) {
    return mg_fail(e, MG_ARG, "the path of the unix socket must have 1 to %zu bytes, \"%s\" has %zu", sizeof a.sun_path - 1, at->unix_path, len);
  }
  memcpy(a.sun_path, at->unix_path, len + 1);
  t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (t->fd < 0) return mg_fail_errno(e, MG_CONN, errno, "cannot make a socket");
  while (connect(t->fd, (const struct sockaddr *)&a, sizeof a) != 0) {
    if (errno != EINTR) return mg_fail_errno(e, MG_CONN, errno, "cannot reach %s", t->where);
  }
  return MG_OK;
}

mg_err mg_transport_open(mg_transport **out, const mg_endpoint *at, mg_ms until, mg_error *e) {
  mg_transport *t = calloc(1, sizeof *t);
  if (t == NULL) return mg_fail(e, MG_NOMEM, "no memory for a connection");
  t->fd = -1;
  mg_err err;
  if (at->unix_path != NULL) {
    (void)snprintf(t->where, sizeof t->where, "%s at %s", at->service, at->unix_path);
    err = open_unix(t, at, e);
  } else {
    bool v6 = strchr(at->host, ':') != NULL;
    (void)snprintf(t->where, sizeof t->where, "%s at %s%s%s:%d", at->service, v6 ? "[" : "", at->host, v6 ? "]" : "", at->port);
    err = open_tcp(t, at, until, e);
  }
  if (err != MG_OK) {
    mg_transport_close(t);
    return err;
  }
  *out = t;
  return MG_OK;
}

void mg_transport_close(mg_transport *t) {
  if (t == NULL) return;
  mg_tls_close(t->tls);
  if (t->fd >= 0) close(t->fd);
  free(t);
}

static mg_err write_some(mg_transport *t, const uint8_t *data, size_t len, size_t *put, short *events, mg_error *e) {
  if (t->tls != NULL) return mg_tls_write(t->tls, data, len, put, events, e);
  ssize_t n = send(t->fd, data, len, MSG_NOSIGNAL);
  if (n >= 0) {
    *put = (size_t)n;
    return MG_OK;
  }
  *events = POLLOUT;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return MG_AGAIN;
  return mg_fail_errno(e, MG_CONN, errno, "the connection to %s broke", t->where);
}

mg_err mg_transport_write(mg_transport *t, const void *data, size_t len, mg_ms until, mg_error *e) {
  const uint8_t *p = data;
  while (len > 0) {
    size_t put = 0;
    short events = POLLOUT;
    mg_err err = write_some(t, p, len, &put, &events, e);
    if (err == MG_OK) {
      p += put;
      len -= put;
      if (until < MG_NEVER - PROGRESS_MS && mg_now_ms() + PROGRESS_MS > until) until = mg_now_ms() + PROGRESS_MS;
    } else if (err != MG_AGAIN) {
      return err;
    } else if (mg_net_wait(t->fd, events, until, -1) == MG_TIMEOUT) {
      return mg_fail(e, MG_TIMEOUT, "%s took nothing more in time", t->where);
    }
  }
  return MG_OK;
}

mg_err mg_transport_write_some(mg_transport *t, const void *data, size_t len, size_t *put, short *events, mg_error *e) {
  *put = 0;
  *events = POLLOUT;
  mg_err err = write_some(t, data, len, put, events, e);
  return err == MG_AGAIN ? MG_OK : err;
}

static mg_err read_some(mg_transport *t, void *data, size_t size, size_t *got, short *events, mg_error *e) {
  if (t->tls != NULL) return mg_tls_read(t->tls, data, size, got, events, e);
  ssize_t n = recv(t->fd, data, size, 0);
  if (n > 0) {
    *got = (size_t)n;
    return MG_OK;
  }
  if (n == 0) return mg_fail(e, MG_CONN, "%s closed the connection", t->where);
  *events = POLLIN;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return MG_AGAIN;
  return mg_fail_errno(e, MG_CONN, errno, "the connection to %s broke", t->where);
}

mg_err mg_transport_read(mg_transport *t, void *data, size_t size, size_t *got, mg_ms until, int wake_fd, mg_error *e) {
  for (;;) {
    short events = POLLIN;
    mg_err err = read_some(t, data, size, got, &events, e);
    if (err != MG_AGAIN) return err;
    err = mg_net_wait(t->fd, events, until, wake_fd);
    if (err == MG_TIMEOUT) return mg_fail(e, MG_TIMEOUT, "%s did not answer in time", t->where);
    if (err == MG_AGAIN) return mg_fail(e, MG_AGAIN, "called away while waiting for %s", t->where);
  }
}

int mg_transport_fd(const mg_transport *t) { return t->fd; }

bool mg_transport_pending(const mg_transport *t) { return t->tls != NULL && mg_tls_pending(t->tls); }

const char *mg_transport_where(const mg_transport *t) { return t->where; }
