#include "tests/brokers/kafka.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READY_MS = 90000 };

bool mg_test_kafka_again(mg_test_kafka *k) {
  char log[MG_TEST_PATH_BYTES + 16], port[16], controller[16], secure[16];
  (void)snprintf(log, sizeof log, "%s/log", k->folder);
  (void)snprintf(port, sizeof port, "%d", k->port);
  (void)snprintf(controller, sizeof controller, "%d", k->controller);
  (void)snprintf(secure, sizeof secure, "%d", k->secure_port);
  const char *argv[] = {"tests/brokers/kafka/start", k->folder, port, controller, secure, k->config, NULL};
  k->pid = mg_test_spawn(log, argv);
  const int ports[] = {k->port, k->secure_port};
  if (mg_test_listens(&k->pid, ports, 2, READY_MS)) return true;
  fprintf(stderr, "the Kafka broker on port %d did not start:\n", k->port);
  mg_test_show_tail(log);
  mg_test_kafka_kill(k);
  return false;
}

bool mg_test_kafka_start(mg_test_kafka *k, bool secure, const char *config) {
  *k = (mg_test_kafka){.config = config};
  if (!mg_test_folder(k->folder) || (secure && !mg_test_certificates(k->folder))) return false;
  k->port = mg_test_port();
  do k->controller = mg_test_port();
  while (k->controller == k->port);
  do k->secure_port = secure ? mg_test_port() : 0;
  while (secure && (k->secure_port == k->port || k->secure_port == k->controller));
  return k->port != 0 && k->controller != 0 && (!secure || k->secure_port != 0) && mg_test_kafka_again(k);
}

void mg_test_kafka_stop(mg_test_kafka *k) { mg_test_end(&k->pid, SIGTERM); }

void mg_test_kafka_kill(mg_test_kafka *k) { mg_test_end(&k->pid, SIGKILL); }

void mg_test_kafka_options(const mg_test_kafka *k, bool secure, mg_options *o) {
  char text[MG_TEST_PATH_BYTES + 16];
  (void)snprintf(text, sizeof text, secure ? "localhost:%d" : "127.0.0.1:%d", secure ? k->secure_port : k->port);
  (void)mg_options_set_text(o, "bootstrap_servers", text);
  (void)mg_options_set_int(o, "session_timeout_ms", 6000);
  (void)mg_options_set_text(o, "librdkafka.heartbeat.interval.ms", "200");
  if (!secure) return;
  (void)mg_options_set_text(o, "security_protocol", "sasl_ssl");
  (void)mg_options_set_text(o, "sasl_mechanism", "PLAIN");
  (void)mg_options_set_text(o, "sasl_username", "tester");
  (void)mg_options_set_text(o, "sasl_password", "secret");
  (void)snprintf(text, sizeof text, "%s/ca.crt", k->folder);
  (void)mg_options_set_text(o, "ssl_ca_location", text);
}

mg_options *mg_test_kafka_queue(const mg_test_kafka *k, const char *prefix, int partitions) {
  static int count;
  static const char *const keys[][2] = {{"topic", ""}, {"results_topic", "_results"}, {"dead_letter_topic", "_dead"}, {"consumer_group", "_workers"}};
  char name[100];
  mg_options *o = mg_options_new();
  if (o == NULL) abort();
  mg_test_kafka_options(k, false, o);
  count++;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    (void)snprintf(name, sizeof name, "%s-%d-%d%s", prefix, (int)getpid(), count, keys[i][1]);
    (void)mg_options_set_text(o, keys[i][0], name);
  }
  (void)mg_options_set_int(o, "partitions", partitions);
  return o;
}
