/* The contract on a Kafka broker, plain and with SASL over TLS, each way in a process of its own beside the other on one broker, since the cases
 * mostly wait. Arguments: [name of a way, [case]]. */
#include "backends/kafka/kafka.h"
#include "tests/backend_contract.h"
#include "tests/brokers/kafka.h"
#include "tests/brokers/ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct way {
  const char *name;
  bool secure;
  int partitions;
  const mg_test_kafka *server;
  mg_test_option_list options; /* of the case that runs */
} way;

static void fill(void *owner, const char *queue, mg_backend_config *config) {
  way *w = owner;
  char topic[128];
  mg_options *o = mg_test_options_new(&w->options);
  mg_test_kafka_options(w->server, w->secure, o);
  (void)mg_options_set_text(o, "topic", queue);
  (void)snprintf(topic, sizeof topic, "%s_results", queue);
  (void)mg_options_set_text(o, "results_topic", topic);
  (void)snprintf(topic, sizeof topic, "%s_dead", queue);
  (void)mg_options_set_text(o, "dead_letter_topic", topic);
  (void)snprintf(topic, sizeof topic, "%s_workers", queue);
  (void)mg_options_set_text(o, "consumer_group", topic);
  (void)mg_options_set_int(o, "partitions", w->partitions);
  config->options = o;
}

static void end(void *owner, const char *queue) {
  way *w = owner;
  (void)queue;
  mg_test_options_end(&w->options);
}

static int run(way *w, int argc, char **argv) {
  mg_contract c = {
      .ops = &mg_kafka_backend,
      .owner = w,
      .fill = fill,
      .end = end,
      .lease_ms = 300,
      .quiet_ms = 300,
      .patience_ms = 30000,
      .slack_ms = 2000,
      .wake_ms = 1000,
      .large_bytes = 900000,
      .pending_counts_held = true,
  };
  return mg_contract_run(&c, argc, argv);
}

static way ways[] = {
    {.name = "plain", .partitions = 4},
    {.name = "secure", .secure = true, .partitions = 2},
};
enum { WAYS = sizeof ways / sizeof ways[0], LIMIT_S = 220 };

static int run_way(int i, int argc, char **argv) { return run(&ways[i], argc, argv); }

int main(int argc, char **argv) {
  const char *names[WAYS];
  mg_test_kafka server;
  if (!mg_test_kafka_start(&server, true, NULL)) return 99;
  for (int i = 0; i < WAYS; i++) {
    names[i] = ways[i].name;
    ways[i].server = &server;
  }
  int failed = mg_test_ways_run(&(mg_test_ways){.title = "kafka", .names = names, .count = WAYS, .run = run_way, .limit_s = LIMIT_S}, argc, argv);
  mg_test_kafka_kill(&server);
  return failed;
}
