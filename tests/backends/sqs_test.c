/* The contract on the stand-ins for SQS: standard and FIFO queues, each way in a process of its own beside the others, since the cases mostly wait.
 * Arguments: [name of a way, [case]]. Short polls, since a long one that a case leaves open would take what another worker of the case is to get. */
#include "backends/sqs/sqs.h"
#include "tests/backend_contract.h"
#include "tests/brokers/sqs.h"

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
  mg_options *options[64]; /* of the case that runs */
  size_t option_count;
  char queue[64], url[256];
} way;

static void fill(void *owner, const char *queue, mg_backend_config *config) {
  way *w = owner;
  char name[80];
  mg_options *o = mg_options_new();
  if (o == NULL || w->option_count == sizeof w->options / sizeof *w->options) abort();
  (void)snprintf(name, sizeof name, "%s%s", queue, w->fifo ? ".fifo" : "");
  if (strcmp(w->queue, queue) != 0 && !mg_test_sqs_queue(&w->server, name, w->fifo ? "{\"FifoQueue\":\"true\"}" : NULL, w->url, sizeof w->url)) abort();
  (void)snprintf(w->queue, sizeof w->queue, "%s", queue);
  mg_test_sqs_options(&w->server, w->url, o);
  (void)mg_options_set_int(o, "long_polling_seconds", w->long_poll_s);
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
      .ops = &mg_sqs_backend,
      .owner = w,
      .fill = fill,
      .end = end,
      .lease_ms = 1000, /* SQS counts whole seconds */
      .quiet_ms = 300,
      .patience_ms = 60000,
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

static int run_beside(int i, void *owner) {
  char *argv[] = {owner, (char *)(uintptr_t)ways[i].only, NULL};
  return run(&ways[i], ways[i].only != NULL ? 2 : 1, argv);
}

int main(int argc, char **argv) {
  const char *names[WAYS];
  int alone = -1;
  for (int i = 0; i < WAYS; i++) {
    names[i] = ways[i].name;
    if (argc > 1 && strcmp(names[i], argv[1]) == 0) alone = i;
  }
  if (alone >= 0) return run(&ways[alone], argc - 1, argv + 1);
  return mg_test_beside("sqs", names, WAYS, run_beside, argv[0], LIMIT_S);
}
