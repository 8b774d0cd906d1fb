/* The contract on the stand-ins for SQS: standard and FIFO queues, each way in a process of its own beside the others, since the cases mostly wait.
 * Arguments: [name of a way, [case]]. Short polls, since a long one that a case leaves open would take what another worker of the case is to get. */
#include "backends/sqs/sqs.h"
#include "tests/backend_contract.h"
#include "tests/brokers/sqs.h"
#include "tests/brokers/ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct way {
  const char *name;
  mg_test_sqs_kind kind;
  bool fifo;
  int long_poll_s;
  const char *only; /* cases; NULL: all */
  mg_test_sqs server;
  mg_test_option_list options; /* of the case that runs */
  char queue[64], url[256];
} way;

static void fill(void *owner, const char *queue, mg_backend_config *config) {
  way *w = owner;
  char name[80];
  mg_options *o = mg_test_options_new(&w->options);
  (void)snprintf(name, sizeof name, "%s%s", queue, w->fifo ? ".fifo" : "");
  if (strcmp(w->queue, queue) != 0 && !mg_test_sqs_queue(&w->server, name, w->fifo ? "{\"FifoQueue\":\"true\"}" : NULL, w->url, sizeof w->url)) abort();
  (void)snprintf(w->queue, sizeof w->queue, "%s", queue);
  mg_test_sqs_options(&w->server, w->url, o);
  (void)mg_options_set_int(o, "long_polling_seconds", w->long_poll_s);
  config->options = o;
}

static void end(void *owner, const char *queue) {
  way *w = owner;
  (void)queue;
  mg_test_options_end(&w->options);
}

static int run(way *w, int argc, char **argv) {
  mg_contract c = {
      .ops = &mg_sqs_backend,
      .owner = w,
      .fill = fill,
      .end = end,
      .lease_ms = 1000, /* SQS counts whole seconds */
      .quiet_ms = 300,
      .patience_ms = 150000, /* moto is slow where others run too */
      .slack_ms = 3000,
      .wake_ms = 3000,
      .large_bytes = 700000,
      .late_ack_may_settle = true,
      .delayed_counts_as_held = true,
  };
  if (!mg_test_sqs_start(&w->server, w->kind, NULL)) return 99;
  int failed = mg_contract_run(&c, argc, argv);
  mg_test_sqs_stop(&w->server);
  return failed;
}

static way ways[] = {
    {.name = "moto", .kind = MG_TEST_MOTO},
    {.name = "moto-fifo", .kind = MG_TEST_MOTO, .fifo = true},
    {.name = "fauxqs", .kind = MG_TEST_FAUXQS},
    {.name = "fauxqs-fifo", .kind = MG_TEST_FAUXQS, .fifo = true},
    {.name = "moto-long-polls", .kind = MG_TEST_MOTO, .long_poll_s = 20, .only = "wait"},
};
enum { WAYS = sizeof ways / sizeof ways[0], LIMIT_S = 240 };

static int run_way(int i, int argc, char **argv) { return run(&ways[i], argc, argv); }

int main(int argc, char **argv) {
  const char *names[WAYS], *only[WAYS];
  for (int i = 0; i < WAYS; i++) {
    names[i] = ways[i].name;
    only[i] = ways[i].only;
  }
  return mg_test_ways_run(&(mg_test_ways){.title = "sqs", .names = names, .only = only, .count = WAYS, .run = run_way, .limit_s = LIMIT_S}, argc, argv);
}
