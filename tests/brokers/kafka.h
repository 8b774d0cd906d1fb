/* kafka.h - a real Kafka broker for tests: one node, on free ports of 127.0.0.1, in a temporary folder; it dies with the process. Functions print why and
 * return false where they cannot. One thread. */
#ifndef MG_TESTS_KAFKA_H
#define MG_TESTS_KAFKA_H

#include "tests/brokers/brokers.h"

typedef struct mg_test_kafka {
  pid_t pid; /* 0: not running */
  int port, controller, secure_port;
  char folder[MG_TEST_PATH_BYTES];
  const char *config; /* a line more of server.properties, or NULL */
} mg_test_kafka;

/* Listens plain, and (secure) with SASL_SSL for user tester, password secret. config lives as long as the broker. */
bool mg_test_kafka_start(mg_test_kafka *k, bool secure, const char *config);
bool mg_test_kafka_again(mg_test_kafka *k); /* after stop or kill: same folder, ports and data */
void mg_test_kafka_stop(mg_test_kafka *k);  /* SIGTERM */
void mg_test_kafka_kill(mg_test_kafka *k);  /* SIGKILL */
/* Sets what reaches it, and times fit for tests. */
void mg_test_kafka_options(const mg_test_kafka *k, bool secure, mg_options *o);
/* Of a queue of its own, plain: topics and group begin with prefix. The caller's. */
mg_options *mg_test_kafka_queue(const mg_test_kafka *k, const char *prefix, int partitions);

#endif
