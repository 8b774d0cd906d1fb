/* transport.h - a byte stream to a broker: TCP, unix socket, TLS over TCP.
 *
 * Owned by one thread at a time. Non-blocking underneath: every call ends by `until`, survives EINTR and short writes,
 * and raises no SIGPIPE. Texts of errors name the service, the place and the cause. */
#ifndef MG_NET_TRANSPORT_H
#define MG_NET_TRANSPORT_H

#include "base/clock.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct mg_transport mg_transport;

typedef struct mg_tls_options {
  bool on;
  bool trust_any;          /* do not verify the server's certificate */
  const char *ca_file;     /* NULL: the system's authorities */
  const char *cert_file;   /* NULL: no client certificate */
  const char *key_file;    /* NULL: in cert_file */
  const char *server_name; /* NULL: the host */
} mg_tls_options;

typedef struct mg_endpoint {
  const char *service; /* for people: "redis" */
  const char *host;
  int port;
  const char *unix_path; /* not NULL: instead of host and port */
  mg_tls_options tls;
} mg_endpoint;

/* Connects, to the first of the host's addresses that answers (a second one is tried beside the first after 250 ms), and
 * ends the TLS handshake. MG_CONN: refused, unreachable, unknown host, no answer. MG_FATAL: the other side speaks no TLS,
 * or a certificate is refused. MG_ARG: a file or path that cannot be used. */
mg_err mg_transport_open(mg_transport **out, const mg_endpoint *at, mg_ms until, mg_error *e);
void mg_transport_close(mg_transport *t); /* NULL is fine */

/* All of it; as long as bytes move, until is put off to a second from then, or large messages would never pass a slow line.
 * MG_TIMEOUT and MG_CONN leave the stream useless. */
mg_err mg_transport_write(mg_transport *t, const void *data, size_t len, mg_ms until, mg_error *e);
/* What can be taken at once: *put of them, 0 where nothing can (*events: what to wait for then). MG_CONN: as above. */
mg_err mg_transport_write_some(mg_transport *t, const void *data, size_t len, size_t *put, short *events, mg_error *e);
/* At least a byte: *got of them. MG_TIMEOUT: none by until. MG_AGAIN: wake_fd (-1: none) became readable first; it is
 * never read. MG_CONN: closed or reset. What has already arrived is read even where until has passed. */
mg_err mg_transport_read(mg_transport *t, void *data, size_t size, size_t *got, mg_ms until, int wake_fd, mg_error *e);

int mg_transport_fd(const mg_transport *t);
bool mg_transport_pending(const mg_transport *t);      /* bytes are here that poll() on the descriptor does not see */
const char *mg_transport_where(const mg_transport *t); /* "redis at localhost:6379" */

/* Waits until fd (-1: none) has events (POLLIN, POLLOUT) or an error: MG_OK; wake_fd (-1: none) is readable: MG_AGAIN; or
 * until has passed: MG_TIMEOUT. */
mg_err mg_net_wait(int fd, short events, mg_ms until, int wake_fd);

#endif
