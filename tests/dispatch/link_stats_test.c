/* What links count: both sides of a queue on one loop, over the memory backend with a connection that can fail. */
#include "dispatch/link.h"
#include "tests/dispatch/faulty_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WAIT_MS = 20000, TASKS = 5, LEASE_MS = 3000, FILLER = 3000 };

typedef struct side {
  mg_link *link;
  uint64_t tokens[TASKS];
  size_t tasks, lost, settled, results, published, failed;
  bool stopped;
} side;

typedef struct bench {
  mg_memory_broker *broker;
  mg_options *options;
  uv_loop_t loop;
  uv_timer_t timer;
  side worker, coordinator;
  mg_link_stats stats;
} bench;

static void on_event(void *owner, const mg_link_event *ev) {
  side *s = owner;
  s->stopped = s->stopped || ev->kind == MG_EV_STOPPED;
  s->lost += ev->kind == MG_EV_LEASE_LOST;
  s->settled += ev->kind == MG_EV_SETTLED;
  s->published += ev->kind == MG_EV_PUBLISHED && ev->err == MG_OK;
  s->failed += ev->kind == MG_EV_FAILED;
  if (ev->kind == MG_EV_TASK && s->tasks < TASKS) s->tokens[s->tasks++] = ev->token;
  if (ev->kind == MG_EV_RESULT) {
    s->results++;
    mg_link_settle_result(s->link, ev->token);
  }
}

static void on_tick(uv_timer_t *t) {
  bench *b = t->data;
  mg_link_tick(b->worker.link);
  mg_link_tick(b->coordinator.link);
}

static void start(bench *b, side *s, bool worker) {
  mg_link_config c = {.backend = &faulty_backend,
                      .open = {.options = b->options, .identity = worker ? "w1" : "c1", .run = worker ? NULL : "r1", .shared = b->broker},
                      .codec = {.compress = true, .threshold_bytes = 100},
                      .worker = worker,
                      .lease_ms = LEASE_MS,
                      .beat_every_ms = 1000,
                      .beat_ttl_ms = 10000,
                      .poll_ms = 20,
                      .check_every_ms = 1000,
                      .retry_for_ms = MG_NEVER,
                      .tick_limit_ms = MG_NEVER,
                      .stats_every_ms = 20,
                      .event = on_event,
                      .owner = s};
  assert_int_equal(mg_link_start(&s->link, &b->loop, &c, NULL), MG_OK);
}

static int set_up(void **state) {
  bench *b = calloc(1, sizeof *b);
  assert_non_null(b);
  faulty_reset();
  b->options = mg_options_new();
  b->broker = mg_memory_broker_new();
  assert_int_equal(uv_loop_init(&b->loop), 0);
  start(b, &b->worker, true);
  start(b, &b->coordinator, false);
  (void)uv_timer_init(&b->loop, &b->timer);
  b->timer.data = b;
  (void)uv_timer_start(&b->timer, on_tick, 0, 5);
  *state = b;
  return 0;
}

#define UNTIL(b, condition)                                                                                                                                    \
  do {                                                                                                                                                         \
    for (mg_ms end = mg_now_ms() + WAIT_MS; !(condition) && mg_now_ms() < end;) {                                                                              \
      (void)uv_run(&(b)->loop, UV_RUN_ONCE);                                                                                                                   \
    }                                                                                                                                                          \
    assert_true(condition);                                                                                                                                    \
  } while (0)

static const mg_link_stats *of(bench *b, const side *s) {
  mg_link_read_stats(s->link, &b->stats);
  return &b->stats;
}

static int tear_down(void **state) {
  bench *b = *state;
  mg_link_stop(b->worker.link, mg_now_ms() + 1000);
  mg_link_stop(b->coordinator.link, mg_now_ms() + 1000);
  UNTIL(b, b->worker.stopped && b->coordinator.stopped);
  mg_link_free(b->worker.link);
  mg_link_free(b->coordinator.link);
  uv_close((uv_handle_t *)&b->timer, NULL);
  (void)uv_run(&b->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&b->loop), 0);
  mg_memory_broker_free(b->broker);
  mg_options_free(b->options);
  free(b);
  return 0;
}

static uint64_t calls(const mg_timing *t) {
  uint64_t n = 0;
  for (int i = 0; i <= MG_TIMING_BUCKETS; i++) n += t->counts[i];
  return n;
}

static void publish(bench *b) {
  static uint8_t payload[6 + FILLER] = {0x91, 0x92, 0, 0xc5, FILLER >> 8, FILLER & 0xff}; /* [[0, bin of zeros]]: compresses well */
  mg_buf body = {0};
  for (uint64_t i = 0; i < TASKS; i++) {
    mg_task t = {.run = "r1", .attempt = 1, .count = 1, .candidate = "v2", .payload = {payload, sizeof payload}};
    (void)snprintf(t.id, sizeof t.id, "t%u", (unsigned)i);
    mg_buf_clear(&body);
    mg_task_encode(&body, &t);
    assert_int_equal(mg_link_publish(b->coordinator.link, i + 1, "r1", t.id, 1, mg_buf_slice(&body)), MG_OK);
  }
  mg_buf_fini(&body);
}

static void messages_bytes_and_calls_are_counted(void **state) {
  bench *b = *state;
  publish(b);
  UNTIL(b, b->coordinator.published == TASKS);
  UNTIL(b, of(b, &b->coordinator)->published == TASKS && b->stats.depth.pending == TASKS);
  assert_true(calls(&b->stats.publish_seconds) >= 1 && b->stats.publish_seconds.sum_seconds > 0);
  assert_int_equal(calls(&b->stats.fetch_seconds), 0); /* nothing came: waiting is no fetch */
  assert_true(b->stats.sent_plain_bytes >= TASKS * FILLER);
  assert_true(b->stats.sent_bytes > 0 && b->stats.sent_bytes < b->stats.sent_plain_bytes / 4);
  uint64_t plain = b->stats.sent_plain_bytes, framed = b->stats.sent_bytes;

  mg_link_want(b->worker.link, TASKS);
  UNTIL(b, b->worker.tasks == TASKS);
  UNTIL(b, of(b, &b->worker)->extended >= TASKS); /* at a third of the lease */
  assert_int_equal(b->stats.fetched, TASKS);
  assert_true(calls(&b->stats.fetch_seconds) >= 1);
  assert_true(b->stats.received_plain_bytes == plain && b->stats.received_bytes == framed);
  UNTIL(b, of(b, &b->coordinator)->depth.in_flight == TASKS && b->stats.depth.pending == 0);

  for (size_t i = 0; i < TASKS; i++) assert_int_equal(mg_link_finish(b->worker.link, b->worker.tokens[i], "r1", mg_slice_of("result")), MG_OK);
  UNTIL(b, b->worker.settled == TASKS && b->coordinator.results == TASKS);
  UNTIL(b, of(b, &b->worker)->published == TASKS);
  UNTIL(b, of(b, &b->coordinator)->fetched == TASKS && calls(&b->stats.fetch_seconds) >= 1);
  assert_int_equal(b->stats.throttled, 0);
}

static void refusals_are_counted_through_reconnects(void **state) {
  bench *b = *state;
  assert_int_equal(of(b, &b->coordinator)->broker.lag, -1);
  atomic_store(&faulty.throttled, 3);
  UNTIL(b, of(b, &b->coordinator)->throttled == 3 && b->stats.broker.lag == 7);
  atomic_store(&faulty.throttled, 5);
  UNTIL(b, of(b, &b->coordinator)->throttled == 5);
  atomic_store(&faulty.down, true);
  unsigned opens = atomic_load(&faulty.opens);
  UNTIL(b, atomic_load(&faulty.opens) >= opens + 4);
  atomic_store(&faulty.throttled, 2); /* the backend counts anew */
  atomic_store(&faulty.down, false);
  UNTIL(b, of(b, &b->coordinator)->throttled == 7);
  atomic_store(&faulty.again, 2); /* what the link repeats itself */
  publish(b);
  UNTIL(b, b->coordinator.published == TASKS);
  UNTIL(b, of(b, &b->coordinator)->throttled > 7);
}

static void a_broker_that_tells_nothing_costs_no_connection(void **state) {
  bench *b = *state;
  UNTIL(b, of(b, &b->coordinator)->depth.pending == 0);
  unsigned before = atomic_load(&faulty.calls);
  UNTIL(b, atomic_load(&faulty.calls) > before + 40); /* stats gave MG_FATAL again and again */
  assert_int_equal(b->coordinator.failed + b->worker.failed, 0);
  assert_int_equal(mg_link_reconnects(b->coordinator.link), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(messages_bytes_and_calls_are_counted, set_up, tear_down),
      cmocka_unit_test_setup_teardown(refusals_are_counted_through_reconnects, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_broker_that_tells_nothing_costs_no_connection, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
