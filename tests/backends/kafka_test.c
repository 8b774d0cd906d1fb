/* The contract on a Kafka broker, plain and with SASL over TLS, each way in a process of its own beside the other on one broker, since the cases
 * mostly wait. Arguments: [name of a way, [case]]. */
#include "backends/kafka/kafka.h"
#include "tests/backend_contract.h"
#include "tests/brokers/kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct way {
  const char *name;
  bool secure;
  int partitions;
  const mg_test_kafka *server;
  mg_options *options[64]; /* of the case that runs */
  size_t option_count;
} way;

static void fill(void *owner, const char *queue, mg_backend_config *config) {
  way *w = owner;
  char topic[128];
  mg_options *o = mg_options_new();
  if (o == NULL || w->option_count == sizeof w->options / sizeof *w->options) abort();
  mg_test_kafka_options(w->server, w->secure, o);
  (void)mg_options_set_text(o, "topic", queue);
  (void)snprintf(topic, sizeof topic, "%s_results", queue);
  (void)mg_options_set_text(o, "results_topic", topic);
  (void)snprintf(topic, sizeof topic, "%s_dead", queue);
  (void)mg_options_set_text(o, "dead_letter_topic", topic);
  (void)snprintf(topic, sizeof topic, "%s_workers", queue);
  (void)mg_options_set_text(o, "consumer_group", topic);
  (void)mg_options_set_int(o, "partitions", w->partitions);
  w->options[w->option_count++] = o;
  config->options = o;
}

static void end(void *owner, const char *queue) {
  way *w = owner;
  (void)queue;
  while (w->option_count > 0) mg_options_free(w->options[--w->option_count]);
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

static int run_beside(int i, void *owner) {
  char *argv[] = {owner, NULL};
  return run(&ways[i], 1, argv);
}

int main(int argc, char **argv) {
  const char *names[WAYS];
  mg_test_kafka server;
  int failed = 0, alone = -1;
  if (!mg_test_kafka_start(&server, true, NULL)) return 99;
  for (int i = 0; i < WAYS; i++) {
    names[i] = ways[i].name;
    ways[i].server = &server;
    if (argc > 1 && strcmp(names[i], argv[1]) == 0) alone = i;
  }
  if (alone >= 0)
    failed = run(&ways[alone], argc - 1, argv + 1);
  else
    failed = mg_test_beside("kafka", names, WAYS, run_beside, argv[0], LIMIT_S);
  mg_test_kafka_kill(&server);
  return failed;
}
