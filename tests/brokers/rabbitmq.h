/* rabbitmq.h - a real RabbitMQ node for tests: private, on free ports of 127.0.0.1, in a temporary folder, with an epmd of its own. One a
 * process (its environment names the node); it dies with the process. Functions print why and return false where they cannot. One thread. */
#ifndef MG_TESTS_RABBITMQ_H
#define MG_TESTS_RABBITMQ_H

#include "tests/brokers/brokers.h"

typedef struct mg_test_rabbit {
  pid_t pid, epmd; /* 0: not running */
  int port, tls_port;
  char folder[MG_TEST_PATH_BYTES];
} mg_test_rabbit;

/* Listens plain and with TLS (a client certificate is asked for). config: more lines for its file, or NULL; one of management.
 * enables that plugin. */
bool mg_test_rabbit_start(mg_test_rabbit *r, const char *config);
bool mg_test_rabbit_again(mg_test_rabbit *r); /* after stop or kill: same folder, ports and data */
void mg_test_rabbit_stop(mg_test_rabbit *r);  /* SIGTERM to the node; epmd stays */
void mg_test_rabbit_kill(mg_test_rabbit *r);  /* SIGKILL to the node; epmd stays */
void mg_test_rabbit_end(mg_test_rabbit *r);   /* the node and epmd */
/* rabbitmqctl with these arguments up to NULL; takes about a second. */
bool mg_test_rabbit_ctl(const mg_test_rabbit *r, char *out, size_t size, ...) __attribute__((sentinel));
void mg_test_rabbit_options(const mg_test_rabbit *r, bool tls, mg_options *o);

#endif
