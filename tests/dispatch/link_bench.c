#include "tests/dispatch/link_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void on_tick(uv_timer_t *t) { mg_link_tick(((mg_link_bench *)t->data)->link); }

void mg_link_bench_open(mg_link_bench *b, bool worker) {
  *b = (mg_link_bench){.options = mg_options_new(), .broker = mg_memory_broker_new()};
  faulty_reset();
  mg_backend_config other = {.identity = worker ? "coordinator" : "other", .run = "r1", .wake_fd = -1, .shared = b->broker};
  assert_int_equal(mg_memory_backend.open(&b->other, &other, mg_now_ms() + 20000, NULL), MG_OK);
  b->config = (mg_link_config){.open = {.options = b->options, .identity = worker ? "w1" : "c1", .run = worker ? NULL : "r1", .shared = b->broker},
                               .worker = worker,
                               .beat_ttl_ms = 10000,
                               .retry_for_ms = MG_NEVER};
}

void mg_link_bench_start(mg_link_bench *b) {
  assert_int_equal(uv_loop_init(&b->loop), 0);
  (void)uv_timer_init(&b->loop, &b->timer);
  b->timer.data = b;
  assert_int_equal(mg_link_start(&b->link, &b->loop, &b->config, NULL), MG_OK);
  (void)uv_timer_start(&b->timer, on_tick, 0, 5);
}

void mg_link_bench_close(mg_link_bench *b, mg_ms limit_ms) {
  if (!b->stopped) mg_link_stop(b->link, mg_now_ms() + 1000);
  for (mg_ms end = mg_now_ms() + limit_ms; !b->stopped && mg_now_ms() < end;) (void)uv_run(&b->loop, UV_RUN_ONCE);
  assert_true(b->stopped);
  mg_link_free(b->link);
  uv_close((uv_handle_t *)&b->timer, NULL);
  (void)uv_run(&b->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&b->loop), 0);
  mg_memory_backend.close(b->other);
  mg_memory_broker_free(b->broker);
  mg_options_free(b->options);
}
