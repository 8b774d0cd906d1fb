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
#include <stdio.h>
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

bool mg_backend_is_name(const char *name) {
  static const char *const names[] = {"memory", "redis", "rabbitmq", "kafka", "sqs"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return false;
}

const mg_backend_ops *mg_backend_find(const char *name, const char **left_out) {
  static const mg_backend_ops *const known[] = {
      &mg_memory_backend,   &mg_redis_backend, &mg_sqs_backend,
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

/* From the first receive on, however often it is extended. */
static mg_err check_sqs_hold(const mg_options *queue, uint32_t case_timeout_ms, int roles, mg_error *e) {
  double limit = (double)mg_options_int(queue, "max_hold_seconds", 43200), task = (double)roles * case_timeout_ms / 1000;
  if (task <= limit) return MG_OK;
  return mg_fail(e, MG_ARG,
                 "a task may be held for %.0f s (a case that uses up its time limit), and SQS lets a worker hold it for %.0f s in all (max_hold_seconds): "
                 "set a smaller limits.case_timeout_ms, or a larger max_hold_seconds, 43200 at the most",
                 task, limit);
}

/* A worker takes up to prefetch_count tasks, and the last of them waits for those before it. */
static mg_err check_rabbitmq_hold(const mg_options *queue, uint32_t case_timeout_ms, int roles, int executors, mg_error *e) {
  double limit = mg_options_real(queue, "consumer_timeout_seconds", 1800), task = mg_options_real(queue, "max_task_seconds", 0);
  int64_t prefetch = mg_options_int(queue, "prefetch_count", 10);
  const char *longest = task > 0 ? "max_task_seconds" : "a case that uses up its time limit";
  if (task <= 0) task = (double)roles * case_timeout_ms / 1000 + 1;
  double each = executors > 0 && prefetch > executors ? (double)prefetch / executors : 1, held = task * each;
  if (held < limit) return MG_OK;
  char how[200] = "raise consumer_timeout on the broker and consumer_timeout_seconds here";
  if (task < limit)
    (void)snprintf(how, sizeof how, "set prefetch_count to %d, or raise consumer_timeout on the broker and consumer_timeout_seconds here", executors);
  char share[80] = "";
  if (each > 1) (void)snprintf(share, sizeof share, ", times %lld tasks (prefetch_count) by %d executors", (long long)prefetch, executors);
  return mg_fail(e, MG_ARG, "a task may be held for %.0f s (%s is %.1f s%s), and RabbitMQ takes back what is held for %.0f s (consumer_timeout_seconds): %s",
                 held, longest, task, share, limit, how);
}

mg_err mg_backend_check_hold(const mg_options *queue, uint32_t case_timeout_ms, int roles, int executors, mg_error *e) {
  const char *backend = mg_options_text(queue, "backend", "memory");
  if (strcmp(backend, "rabbitmq") == 0) return check_rabbitmq_hold(queue, case_timeout_ms, roles, executors, e);
  return strcmp(backend, "sqs") == 0 ? check_sqs_hold(queue, case_timeout_ms, roles, e) : MG_OK;
}
