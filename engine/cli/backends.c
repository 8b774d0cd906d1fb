/* backends.c - the only place that names every broker. */
#include "cli/cli.h"

#include "backends/memory/memory.h"
#include "backends/redis/redis.h"
#include "backends/sqs/sqs.h"
#ifdef MG_HAVE_RABBITMQ
#include "backends/rabbitmq/rabbitmq.h"
#endif
#ifdef MG_HAVE_KAFKA
#include "backends/kafka/kafka.h"
#endif
#include <string.h>

void *mg_local_broker_new(void) { return mg_memory_broker_new(); }
void mg_local_broker_free(void *broker) { mg_memory_broker_free(broker); }

/* What the Makefile leaves out where its library is not there (BROKER_LIBS). */
static const struct {
  const char *name, *left_out;
} optional[] = {
    {"rabbitmq", "this mguard was built without librabbitmq: install librabbitmq-dev and build it again"},
    {"kafka", "this mguard was built without librdkafka: install librdkafka-dev and build it again"},
};

const mg_backend_ops *mg_backend_find(const char *name, const char **left_out) {
  static const mg_backend_ops *const known[] = {
      &mg_memory_backend,
      &mg_redis_backend,
      &mg_sqs_backend,
#ifdef MG_HAVE_RABBITMQ
      &mg_rabbitmq_backend,
#endif
#ifdef MG_HAVE_KAFKA
      &mg_kafka_backend,
#endif
  };
  *left_out = NULL;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strcmp(known[i]->name, name) == 0) return known[i];
  }
  *left_out = "this build of mguard does not have it";
  for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
    if (strcmp(optional[i].name, name) == 0) *left_out = optional[i].left_out;
  }
  return NULL;
}
