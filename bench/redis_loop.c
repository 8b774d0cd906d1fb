/* redis_loop.c - how many single-case tasks a second go through the Redis backend's calls.
 *
 * usage: redis_loop PORT [TASKS [BATCH [BODY_BYTES [WORKERS]]]]
 * A coordinator's thread publishes tasks and settles results, each worker's thread fetches, publishes a result and settles; prints a line
 * of JSON. Also the time from a publish to an idle worker's fetch. The server is the caller's. */
#include "backends/redis/redis.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_BATCH = 1024, MAX_WORKERS = 16 };

static const mg_backend_ops *const ops = &mg_redis_backend;
static mg_options *options;
static size_t batch_size = 128, body_bytes = 120;
static long todo = 200000;
static char run[32];
static atomic_bool over;

static void die(const char *what, mg_err err, const mg_error *e) {
  fprintf(stderr, "%s: %s: %s\n", what, mg_err_name(err), e->text);
  exit(1);
}

static mg_backend *open_backend(const char *identity, const char *of_run) {
  mg_backend_config config = {.options = options, .identity = identity, .run = of_run, .wake_fd = -1};
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_err err = ops->open(&b, &config, mg_now_ms() + 5000, &e);
  if (err != MG_OK) die("open", err, &e);
  return b;
}

static void forget_all(mg_backend *b, mg_batch *batch) {
  for (size_t i = 0; i < batch->count; i++) ops->forget(b, batch->items[i].lease);
  mg_batch_clear(batch);
}

static void *work(void *arg) {
  mg_backend *b = open_backend(arg, NULL);
  mg_settle settles[MAX_BATCH];
  mg_publish results[MAX_BATCH];
  mg_error e = {0};
  while (!atomic_load(&over)) {
    mg_batch batch = {0};
    mg_fetch how = {.max = batch_size, .lease_ms = 60000, .until = mg_now_ms() + 200};
    mg_err err = ops->fetch_tasks(b, &how, &batch, &e);
    if (err != MG_OK) die("fetch_tasks", err, &e);
    for (size_t i = 0; i < batch.count; i++) {
      const mg_delivery *d = &batch.items[i];
      results[i] = (mg_publish){.run = d->run, .task = d->task, .attempt = d->attempt, .body = d->body};
      settles[i] = (mg_settle){.lease = d->lease};
    }
    err = ops->publish_results(b, results, batch.count, mg_now_ms() + 5000, &e);
    if (err == MG_OK) err = ops->ack(b, settles, batch.count, mg_now_ms() + 5000, &e);
    if (err != MG_OK) die("publish_results, ack", err, &e);
    forget_all(b, &batch);
  }
  ops->close(b);
  return NULL;
}

static void publish(mg_backend *b, long first, size_t count, const uint8_t *body) {
  static char names[MAX_BATCH][24];
  mg_publish items[MAX_BATCH];
  mg_error e = {0};
  for (size_t i = 0; i < count; i++) {
    (void)snprintf(names[i], sizeof names[i], "t%ld", first + (long)i);
    items[i] = (mg_publish){.run = run, .task = names[i], .attempt = 1, .body = {body, body_bytes}};
  }
  mg_err err = ops->publish_tasks(b, items, count, mg_now_ms() + 5000, &e);
  if (err != MG_OK) die("publish_tasks", err, &e);
}

static size_t collect(mg_backend *b, mg_ms until) {
  mg_settle settles[MAX_BATCH];
  mg_batch batch = {0};
  mg_error e = {0};
  mg_err err = ops->fetch_results(b, MAX_BATCH, until, &batch, &e);
  size_t count = batch.count;
  for (size_t i = 0; i < count; i++) settles[i] = (mg_settle){.lease = batch.items[i].lease};
  if (err == MG_OK) err = ops->ack_results(b, settles, count, mg_now_ms() + 5000, &e);
  if (err != MG_OK) die("fetch_results, ack_results", err, &e);
  forget_all(b, &batch);
  return count;
}

static int by_size(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* From a publish into an empty queue to the result's arrival: two idle waits and six calls. */
static void latency(mg_backend *b, const uint8_t *body, double *median_ms, double *worst_ms) {
  int64_t ns[200];
  for (int i = 0; i < 200; i++) {
    struct timespec pause = {.tv_nsec = 3 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
    int64_t start = mg_now_ns();
    publish(b, 1000000000 + i, 1, body);
    while (collect(b, mg_now_ms() + 1000) == 0) {
    }
    ns[i] = mg_now_ns() - start;
  }
  qsort(ns, 200, sizeof *ns, by_size);
  *median_ms = (double)ns[100] / 1e6;
  *worst_ms = (double)ns[199] / 1e6;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s PORT [TASKS [BATCH [BODY_BYTES [WORKERS]]]]\n", argv[0]);
    return 4;
  }
  int workers = argc > 5 ? atoi(argv[5]) : 1;
  if (argc > 2) todo = atol(argv[2]);
  if (argc > 3) batch_size = (size_t)atol(argv[3]);
  if (argc > 4) body_bytes = (size_t)atol(argv[4]);
  if (batch_size < 1 || batch_size > MAX_BATCH || workers < 1 || workers > MAX_WORKERS) return 4;
  options = mg_options_new();
  (void)mg_options_set_int(options, "connection.port", atoi(argv[1]));
  (void)mg_options_set_text(options, "queue_name", "bench");
  (void)snprintf(run, sizeof run, "bench-%08x", (unsigned)mg_random64());
  uint8_t *body = calloc(1, body_bytes + 1);
  mg_random_bytes(body, body_bytes);

  pthread_t threads[MAX_WORKERS];
  char names[MAX_WORKERS][16];
  for (int i = 0; i < workers; i++) {
    (void)snprintf(names[i], sizeof names[i], "worker-%d", i);
    if (pthread_create(&threads[i], NULL, work, names[i]) != 0) return 5;
  }
  mg_backend *b = open_backend("bench", run);
  double median_ms, worst_ms;
  latency(b, body, &median_ms, &worst_ms);

  long sent = 0, back = 0;
  long most_out = 4 * (long)batch_size * workers;
  int64_t start = mg_now_ns();
  while (back < todo) {
    while (sent < todo && sent - back < most_out) {
      size_t n = (size_t)(todo - sent) < batch_size ? (size_t)(todo - sent) : batch_size;
      publish(b, sent, n, body);
      sent += (long)n;
    }
    back += (long)collect(b, mg_now_ms() + 1000);
  }
  double seconds = (double)(mg_now_ns() - start) / 1e9;
  atomic_store(&over, true);
  for (int i = 0; i < workers; i++) (void)pthread_join(threads[i], NULL);
  struct rusage u;
  (void)getrusage(RUSAGE_SELF, &u);
  double cpu = (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  printf("{\"tasks\": %ld, \"batch\": %zu, \"body_bytes\": %zu, \"workers\": %d, \"seconds\": %.3f, \"tasks_per_second\": %.0f, "
         "\"own_cpu_seconds\": %.2f, \"round_trip_median_ms\": %.3f, \"round_trip_worst_ms\": %.3f}\n",
         todo, batch_size, body_bytes, workers, seconds, (double)todo / seconds, cpu, median_ms, worst_ms);
  size_t removed;
  (void)ops->purge_run(b, run, mg_now_ms() + 5000, &removed, NULL);
  ops->close(b);
  mg_options_free(options);
  free(body);
  return 0;
}
