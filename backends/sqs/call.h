/* call.h - calls of the SQS API: signed, several at once, made again where they fail for now. Owned by the link thread. */
#ifndef MG_SQS_CALL_H
#define MG_SQS_CALL_H

#include "backends/sqs/credentials.h"
#include "backends/sqs/http.h"
#include "backends/sqs/settings.h"
#include <jansson.h>

typedef struct mg_sqs_client {
  mg_sqs_http *http;
  mg_sqs_credentials *credentials;
  mg_sqs_settings *settings; /* borrowed */
  int64_t skew_ms;           /* what is added to our wall clock when we sign */
  int64_t offset_ms;         /* the service's clock less our monotonic one, by the last Date; by our wall clock before */
  mg_ms good_ms;             /* the last answer that was no failure; 0: none yet */
  mg_ms slow_until;          /* throttled: nothing is sent before */
  unsigned slow;             /* how often in a row */
  uint64_t throttled;        /* answers that asked for fewer requests */
} mg_sqs_client;

mg_err mg_sqs_client_init(mg_sqs_client *c, mg_sqs_settings *settings, mg_error *e);
void mg_sqs_client_fini(mg_sqs_client *c);

int64_t mg_sqs_server_ms(const mg_sqs_client *c); /* the service's wall clock, to a second or so */

/* Puts text as a JSON string with its quotes. */
void mg_sqs_put_string(mg_buf *out, const char *text);
/* Starts the request whose JSON stands in x->body. */
mg_err mg_sqs_start(mg_sqs_client *c, mg_sqs_exchange *x, const char *action, mg_ms timeout_ms, mg_ms until, mg_error *e);

/* What came of a request that is done: MG_OK with *reply (to be given back by json_decref) · MG_AGAIN throttled, a fault of the service or of the
 * network, ended credentials: may be made again · MG_LOST there is no such queue · MG_FATAL refused · MG_ARG the service does not like it. e->text
 * names action, queue and cause; code (64 bytes, may be NULL) gets the service's word for it. */
mg_err mg_sqs_judge(mg_sqs_client *c, const mg_sqs_exchange *x, const char *action, const char *queue, json_t **reply, char *code, mg_error *e);
/* MG_AGAIN becomes MG_CONN where nothing has answered for a while. */
mg_err mg_sqs_settled(const mg_sqs_client *c, mg_err err);

typedef struct mg_sqs_job {
  const char *action;
  const char *queue;                                     /* QueueUrl; NULL: the call has none */
  void (*fill)(void *owner, size_t index, mg_buf *body); /* the rest of the object: `,"Key":value` ...; NULL: nothing */
  void *owner;
  size_t index;
  mg_err err;    /* out: as mg_sqs_judge says, MG_AGAIN at the end of time */
  json_t *reply; /* out, owned; NULL unless MG_OK */
  char code[64]; /* out */
  /* private */
  mg_sqs_exchange *x;
  mg_ms due;
  unsigned tries;
  bool done;
} mg_sqs_job;

/* Makes the calls by until. MG_OK where each was; else the worst of them, with e. */
mg_err mg_sqs_run(mg_sqs_client *c, mg_sqs_job *jobs, size_t count, mg_ms until, mg_error *e);
void mg_sqs_jobs_fini(mg_sqs_job *jobs, size_t count);
/* One call. *reply may be NULL: not wanted. */
mg_err mg_sqs_call(mg_sqs_client *c, const char *action, const char *queue, void (*fill)(void *, size_t, mg_buf *), void *owner, mg_ms until, json_t **reply,
                   char *code, mg_error *e);

/* How long to wait after so many failures: doubled each time, half of it by chance. */
mg_ms mg_sqs_back_off(unsigned failures);

#endif
