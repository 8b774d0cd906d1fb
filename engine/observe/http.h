/* http.h - what a probe or a scraper may ask of this process: /metrics, /healthz, /readyz. Over libmicrohttpd.
 *
 * The loop's thread publishes a text and whether the process is ready; the server's own thread answers from the last one published and reads nothing else.
 * /healthz is 200 while something was published lately: the loop turns. /readyz is 200 where the last one said ready, else 503 with the reason.
 * With a certificate and its key, over TLS alone. With a token, /metrics wants "Authorization: Bearer TOKEN"; the two probes never do.
 *
 * A server of pages answers what mg_http_page gave it in place of /metrics, and the probes. Its token may also come as ?token=TOKEN. Without a token
 * its pages go only to who asks by an address, localhost or the configured host: another name is 421. */
#ifndef MG_OBSERVE_HTTP_H
#define MG_OBSERVE_HTTP_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

typedef struct mg_http mg_http;

typedef struct mg_http_config {
  const char *host;  /* NULL: 127.0.0.1; "*": every address of this machine */
  int port;          /* 0: a free one */
  const char *token; /* NULL or "": none */
  const char *certificate_file, *key_file; /* PEM, the chain behind the certificate; both or neither */
  bool pages;        /* a server of pages */
  mg_ms stale_ms;    /* /healthz fails where nothing was published for so long; 0: one minute */
} mg_http_config;

/* Listens, and answers from then on. MG_ARG names host and port, or the file, where it cannot. */
mg_err mg_http_start(mg_http **out, const mg_http_config *config, mg_error *e);
int mg_http_port(const mg_http *h);
/* Copies both. not_ready NULL: ready. false where memory ended: the old text stays. */
bool mg_http_publish(mg_http *h, mg_slice metrics, const char *not_ready);
/* Answers path (a text that stays) with a copy of body from now on, in place of what it was answered with before; at most MG_HTTP_PAGES paths. */
enum { MG_HTTP_PAGES = 4 };
bool mg_http_page(mg_http *h, const char *path, const char *type, mg_slice body);
/* Whether a page was asked for at or after since_ms. Whoever asks again and again says who it is (?w=ID; all who do not count as one); with behind, only who
 * has not yet got a page whole since the last change counts. */
bool mg_http_watched(mg_http *h, mg_ms since_ms, bool behind);
void mg_http_stop(mg_http *h); /* NULL is fine; no answer is under way after this */

#endif
