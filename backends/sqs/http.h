/* http.h - HTTP exchanges by libcurl's multi interface: several at once on kept connections, waits that end in time and see wake_fd.
 *
 * One thread owns an mg_sqs_http and its exchanges. Bytes move only inside wait. */
#ifndef MG_SQS_HTTP_H
#define MG_SQS_HTTP_H

#include "backends/sqs/sign.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

typedef struct mg_sqs_http mg_sqs_http;

typedef struct mg_sqs_exchange {
  mg_buf body;  /* sent; to be filled before start */
  mg_buf reply; /* what came */
  bool done;    /* status or fault below is valid */
  long status;  /* 0: no answer, fault says why */
  bool timed_out;
  char fault[300];
  char headers[600]; /* those of the answer that are asked for below, as "name: value\n" */
  mg_ms done_ms;
  int64_t server_ms; /* the answer's Date since 1970; 0: none */
} mg_sqs_exchange;

typedef struct mg_sqs_request {
  const char *method, *url;
  const char *content_type, *target; /* NULL: none */
  const char *header;                /* another one, "Name: value"; or NULL */
  const char *service, *region;      /* signed for this service; NULL: not signed */
  const mg_sqs_keys *keys;           /* to sign with */
  int64_t skew_ms;                   /* added to our wall clock then */
  mg_ms timeout_ms;
  bool direct; /* by no proxy: an address of the machine's own network */
} mg_sqs_request;

mg_sqs_http *mg_sqs_http_new(void);    /* NULL where memory ended */
void mg_sqs_http_free(mg_sqs_http *h); /* with all its exchanges */

/* An empty exchange; NULL where memory ended. */
mg_sqs_exchange *mg_sqs_exchange_new(mg_sqs_http *h);
mg_err mg_sqs_exchange_start(mg_sqs_http *h, mg_sqs_exchange *x, const mg_sqs_request *r, mg_error *e);
/* Back into the pool; one that is under way is broken off. NULL is fine. */
void mg_sqs_exchange_end(mg_sqs_http *h, mg_sqs_exchange *x);

/* Until an exchange is done: MG_OK. MG_AGAIN: wake_fd (-1: none) is readable. MG_TIMEOUT: until has passed. */
mg_err mg_sqs_http_wait(mg_sqs_http *h, mg_ms until, int wake_fd);
/* Starts x, waits for it alone. MG_CONN: no answer. */
mg_err mg_sqs_http_ask(mg_sqs_http *h, mg_sqs_exchange *x, const mg_sqs_request *r, mg_ms until, mg_error *e);

#endif
