/* sqs.h - stand-ins for SQS (moto with signatures checked, fauxqs), and what stands before and beside them, on free ports of 127.0.0.1; they die with the test's process. Functions print
 * why and return false where they cannot. One thread. */
#ifndef MG_TESTS_SQS_H
#define MG_TESTS_SQS_H

#include "tests/brokers/brokers.h"

#define MG_TEST_SQS_KEY "AKIATESTTESTTESTTEST"
#define MG_TEST_SQS_SECRET "tests/secret+that/nobody/elsewhere/knows"

typedef enum mg_test_sqs_kind { MG_TEST_MOTO, MG_TEST_FAUXQS } mg_test_sqs_kind;

typedef struct mg_test_sqs {
  pid_t pid; /* 0: not running */
  int port;
  mg_test_sqs_kind kind;
  char endpoint[64];
} mg_test_sqs;

/* policy: file with the IAM policy of the key (moto alone), or NULL for all. */
bool mg_test_sqs_start(mg_test_sqs *s, mg_test_sqs_kind kind, const char *policy);
void mg_test_sqs_stop(mg_test_sqs *s); /* with all its queues */

typedef struct mg_test_helper { /* a small server of ours, on a free port too */
  pid_t pid;
  int port;
  char endpoint[64];
} mg_test_helper;

/* A Python script that prints its port; its arguments may be NULL. */
bool mg_test_helper_start(mg_test_helper *h, const char *script, const char *arg, const char *arg2);
void mg_test_helper_stop(mg_test_helper *h);
/* POST of the JSON; the reply, false where its status is not 200. */
bool mg_test_helper_ask(const mg_test_helper *h, const char *path, const char *json, char *out, size_t size);
/* tests/brokers/sqs/disturber.py before the stand-in; asked by /_disturb and /_seen. */
bool mg_test_disturber_start(mg_test_helper *h, const mg_test_sqs *s);

/* One call of the API, signed, by the curl program; the reply, false where its status is not 200. */
bool mg_test_sqs_call(const mg_test_sqs *s, const char *action, const char *json, char *out, size_t size);
/* Makes a queue; attributes is a JSON object or NULL. url gets its QueueUrl. */
bool mg_test_sqs_queue(const mg_test_sqs *s, const char *name, const char *attributes, char *url, size_t size);
/* Options that reach it: queue_url, region, keys. */
void mg_test_sqs_options(const mg_test_sqs *s, const char *queue_url, mg_options *o);

#endif
