/* outbox.h - POSTs texts to one URL from a thread of its own, so that whoever has something to tell never waits for whoever is told. Over libcurl.
 *
 * What waits is bounded: a post that finds no room is dropped and counted. One post is under way at a time; it is tried again, with growing pauses, where
 * the other side was not reached, was too slow, or asked for patience (408, 425, 429, 5xx), and given up where it refused. Owner: the loop's thread. */
#ifndef MG_OBSERVE_OUTBOX_H
#define MG_OBSERVE_OUTBOX_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include <stdbool.h>

typedef struct mg_outbox mg_outbox;

typedef struct mg_outbox_config { /* texts are copied */
  const char *url;                /* http or https */
  const char *const *headers;     /* "Name: value", ends with NULL; NULL: none */
  const char *ca_file;            /* certificates to believe instead of the system's; NULL */
  const char *client_certificate, *client_key; /* PEM files; NULL: none */
  size_t posts_max;               /* that wait */
  int tries;                      /* of one post; 1: it is not tried again */
  mg_ms try_ms;                   /* longest time of one try */
  mg_ms pause_ms;                 /* before the second try; doubles from try to try, up to 30 s */
} mg_outbox_config;

typedef struct mg_outbox_counts {
  uint64_t delivered, failed, dropped; /* failed: all tries used, refused, or broken off at the end; dropped: there was no room */
  char last_error[256];                /* of the last try that failed; "" where none did */
} mg_outbox_counts;

/* MG_ARG where the URL is none that can be posted to. */
mg_err mg_outbox_start(mg_outbox **out, const mg_outbox_config *config, mg_error *e);
/* Takes body over (it is empty afterwards). headers: more of this post, ends with NULL; or NULL. false: dropped. */
bool mg_outbox_put(mg_outbox *o, mg_buf *body, const char *const *headers);
void mg_outbox_read(mg_outbox *o, mg_outbox_counts *out);
/* Goes on until everything is delivered or given up, or until that time: what is under way then is broken off. counts may be NULL; o NULL is fine. */
void mg_outbox_stop(mg_outbox *o, mg_ms until, mg_outbox_counts *counts);

#endif
