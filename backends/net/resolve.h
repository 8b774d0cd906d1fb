/* resolve.h - addresses of a host name, by a deadline. Any thread. */
#ifndef MG_NET_RESOLVE_H
#define MG_NET_RESOLVE_H

#include "base/clock.h"
#include "base/err.h"
#include <netdb.h>

/* Addresses for a TCP connection, in the order the system prefers; freeaddrinfo() them. MG_CONN: unknown, or no answer. */
mg_err mg_resolve(const char *service, const char *host, int port, mg_ms until, struct addrinfo **out, mg_error *e);

#endif
