/* The contract on a RabbitMQ server, plain and with TLS and a client certificate, each way in a process of its own beside the other on one
 * node, since the cases mostly wait. Arguments: [name of a way, [case]]. */
#include "backends/rabbitmq/rabbitmq.h"
#include "tests/backend_contract.h"
#include "tests/brokers/rabbitmq.h"
#include "tests/brokers/ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct way {
  const char *name;
  bool tls, durable;
  const char *exchange;
  const mg_test_rabbit *server;
  mg_test_option_list options; /* of the case that runs */
} way;

static void fill(void *owner, const char *queue, mg_backend_config *config) {
  way *w = owner;
  mg_options *o = mg_test_options_new(&w->options);
  mg_test_rabbit_options(w->server, w->tls, o);
  (void)mg_options_set_text(o, "queue_name", queue);
  (void)mg_options_set_int(o, "prefetch_count", 2000);
  (void)mg_options_set_bool(o, "durable", w->durable);
  if (w->exchange != NULL) {
    (void)mg_options_set_text(o, "exchange", w->exchange);
    (void)mg_options_set_text(o, "routing_key", queue);
  }
  config->options = o;
}

static void end(void *owner, const char *queue) {
  way *w = owner;
  (void)queue;
  mg_test_options_end(&w->options);
}

static int run(way *w, int argc, char **argv) {
  mg_contract c = {
      .ops = &mg_rabbitmq_backend,
      .owner = w,
      .fill = fill,
      .end = end,
      .lease_ms = 300,
      .quiet_ms = 200,
      .patience_ms = 30000,
      .slack_ms = 5000,
      .wake_ms = 5000,
      .large_bytes = 8u << 20,
      .ordered = true,
  };
  return mg_contract_run(&c, argc, argv);
}

static way ways[] = {
    {.name = "plain", .durable = true},
    {.name = "tls", .tls = true, .durable = true},
    {.name = "memory", .exchange = "contract-exchange"},
};
enum { WAYS = sizeof ways / sizeof ways[0], LIMIT_S = 240 };

static int run_way(int i, int argc, char **argv) { return run(&ways[i], argc, argv); }

int main(int argc, char **argv) {
  const char *names[WAYS];
  mg_test_rabbit server;
  if (!mg_test_rabbit_start(&server, NULL)) return 99;
  for (int i = 0; i < WAYS; i++) {
    names[i] = ways[i].name;
    ways[i].server = &server;
  }
  int failed = mg_test_ways_run(&(mg_test_ways){.title = "rabbitmq", .names = names, .count = WAYS, .run = run_way, .limit_s = LIMIT_S}, argc, argv);
  mg_test_rabbit_end(&server);
  return failed;
}
