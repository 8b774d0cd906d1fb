/* The contract suite on the memory backend. */
#include "backends/memory/memory.h"

#include "tests/backend_contract.h"
#include <stdlib.h>

/* A broker lives as long as its case. */
typedef struct owner {
  mg_memory_broker *broker;
} owner;

static void fill(void *given, const char *queue, mg_backend_config *config) {
  (void)queue;
  owner *o = given;
  if (o->broker == NULL) o->broker = mg_memory_broker_new();
  if (o->broker == NULL) abort();
  config->shared = o->broker;
}

static void end(void *given, const char *queue) {
  (void)queue;
  owner *o = given;
  mg_memory_broker_free(o->broker);
  *o = (owner){0};
}

int main(int argc, char **argv) {
  owner o = {0};
  const mg_contract contract = {
      .ops = &mg_memory_backend,
      .owner = &o,
      .fill = fill,
      .end = end,
      .lease_ms = 200,
      .quiet_ms = 50,
      .patience_ms = 30000,
      .slack_ms = 5000,
      .wake_ms = 5000,
      .large_bytes = 1 << 20,
      .ordered = true,
  };
  return mg_contract_run(&contract, argc, argv);
}
