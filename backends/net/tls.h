/* tls.h - TLS 1.2 and above by OpenSSL 3 over a connected non-blocking socket. For transport.c; owned by its thread. */
#ifndef MG_NET_TLS_H
#define MG_NET_TLS_H

#include "backends/net/transport.h"

typedef struct mg_tls mg_tls;

/* Ends the handshake by until. fd is borrowed and stays the caller's. */
mg_err mg_tls_open(mg_tls **out, int fd, const mg_endpoint *at, mg_ms until, mg_error *e);
void mg_tls_close(mg_tls *t); /* says good-bye to the other side without waiting; NULL is fine */

/* Some bytes. MG_AGAIN: wait for *events of the socket first. MG_CONN: closed. MG_FATAL: refused by the other side. */
mg_err mg_tls_read(mg_tls *t, void *data, size_t size, size_t *got, short *events, mg_error *e);
mg_err mg_tls_write(mg_tls *t, const void *data, size_t len, size_t *put, short *events, mg_error *e);
bool mg_tls_pending(const mg_tls *t);

#endif
