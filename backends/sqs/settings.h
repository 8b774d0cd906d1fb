/* settings.h - what the options say about the queues. Immutable once read, but for what the service says about the queue; borrows texts
 * from the options. */
#ifndef MG_SQS_SETTINGS_H
#define MG_SQS_SETTINGS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"

enum { MG_SQS_URL_BYTES = 512, MG_SQS_NAME_BYTES = 81, MG_SQS_REGION_BYTES = 64 };

typedef struct mg_sqs_settings {
  char queue[MG_SQS_URL_BYTES]; /* QueueUrl of the tasks */
  char base[MG_SQS_URL_BYTES];  /* what stands before the name in it, with the "/" */
  char name[MG_SQS_NAME_BYTES]; /* without .fifo */
  bool fifo;
  char endpoint[MG_SQS_URL_BYTES];     /* where requests go */
  char region[MG_SQS_REGION_BYTES];    /* "": the profile may know it */
  const char *results;                 /* results_queue_url; NULL: a queue a run */
  const char *dead;                    /* dead_letter_queue_url; NULL: as the redrive policy says, else Q-dead */
  const char *profile;                 /* NULL: AWS_PROFILE, else "default" */
  const char *key_id, *secret, *token; /* NULL: not given */
  const char *spill;                   /* NULL: none */
  const char *spill_endpoint;          /* endpoint_url where it was given: S3 is asked there too */
  int long_poll_s;
  size_t max_message; /* bytes; 0: as the queue says */
  int64_t retention_s;
  mg_ms lease_ms;
  mg_ms results_lease_ms; /* how long a coordinator may take to record a result */
  mg_ms hold_ms;          /* how long a message may be held in all */
} mg_sqs_settings;

/* MG_ARG names the key that cannot be used. */
mg_err mg_sqs_settings_init(mg_sqs_settings *s, const mg_options *o, mg_error *e);
/* URL of the queue NAME beside the queue of tasks. */
void mg_sqs_beside(const mg_sqs_settings *s, const char *name, char out[MG_SQS_URL_BYTES]);
/* The name of a queue that belongs to this one: Q-suffix, shortened with a hash where it would be too long or has other letters. */
void mg_sqs_name(const mg_sqs_settings *s, const char *suffix, bool fifo, char out[MG_SQS_NAME_BYTES]);

#endif
