/* Results that share a message, over the memory backend: what a worker's link puts together, and what a coordinator's link makes of it. */
#include "dispatch/link.h"
#include "tests/dispatch/link_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WAIT_MS = 20000, TASKS = 10, LARGE = 3, LARGE_BYTES = 5000 };

typedef struct bench {
  mg_link_bench at;
  uint64_t tokens[TASKS];
  size_t tasks, settled, results, bad, downs;
} bench;

static void on_event(void *owner, const mg_link_event *ev) {
  bench *b = owner;
  b->at.stopped = b->at.stopped || ev->kind == MG_EV_STOPPED;
  b->settled += ev->kind == MG_EV_SETTLED && ev->err == MG_OK;
  b->bad += ev->kind == MG_EV_BAD_MESSAGE;
  b->downs += ev->kind == MG_EV_DISCONNECTED;
  if (ev->kind == MG_EV_TASK && b->tasks < TASKS) b->tokens[b->tasks++] = ev->token;
  if (ev->kind == MG_EV_RESULT && b->results < TASKS) b->tokens[b->results++] = ev->token;
}

#define UNTIL(b, condition)                                                                                                                                    \
  do {                                                                                                                                                         \
    for (mg_ms end = mg_now_ms() + WAIT_MS; !(condition) && mg_now_ms() < end;) (void)uv_run(&(b)->at.loop, UV_RUN_ONCE);                                         \
    assert_true(condition);                                                                                                                                    \
  } while (0)

static void start(bench *b, bool worker, size_t most_bytes) {
  *b = (bench){0};
  mg_link_bench_open(&b->at, worker);
  mg_link_config *c = &b->at.config;
  c->backend = &resuming_backend;
  c->codec.max_bytes = most_bytes;
  c->lease_ms = 600000;
  c->beat_every_ms = 1000;
  c->poll_ms = 20;
  c->check_every_ms = 100;
  c->tick_limit_ms = MG_NEVER;
  c->event = on_event;
  c->owner = b;
  mg_link_bench_start(&b->at);
}

static void end(bench *b) { mg_link_bench_close(&b->at, WAIT_MS); }

static void publish(bench *b, const char *task, mg_slice body, bool result) {
  mg_codec plain = {0};
  mg_buf framed = {0};
  assert_int_equal(mg_frame_seal(&plain, body, &framed, NULL), MG_OK);
  mg_publish p = {.run = "r1", .task = task, .attempt = 1, .body = mg_buf_slice(&framed)};
  mg_err err = result ? mg_memory_backend.publish_results(b->at.other, &p, 1, mg_now_ms() + WAIT_MS, NULL)
                      : mg_memory_backend.publish_tasks(b->at.other, &p, 1, mg_now_ms() + WAIT_MS, NULL);
  assert_int_equal(err, MG_OK);
  mg_buf_fini(&framed);
}

/* All tasks are done at once: the link is away meanwhile. The bodies are their numbers, one of them may be a large one. */
static void finish_all(bench *b, size_t large_bytes) {
  static uint8_t large[LARGE_BYTES];
  mg_task t = {.run = "r1", .attempt = 1, .count = 1, .candidate = "v2"};
  for (int i = 0; i < TASKS; i++) {
    mg_buf body = {0};
    (void)snprintf(t.id, sizeof t.id, "1.%d", i);
    mg_task_encode(&body, &t);
    publish(b, t.id, mg_buf_slice(&body), false);
    mg_buf_fini(&body);
  }
  mg_link_want(b->at.link, TASKS);
  UNTIL(b, b->tasks == TASKS);
  atomic_store(&faulty.down, true);
  UNTIL(b, b->downs == 1);
  for (size_t i = 0; i < TASKS; i++) {
    uint8_t small[40] = {(uint8_t)i};
    mg_slice body = i == LARGE && large_bytes > 0 ? (mg_slice){large, large_bytes} : (mg_slice){small, sizeof small};
    assert_int_equal(mg_link_finish(b->at.link, b->tokens[i], "r1", body), MG_OK);
  }
  atomic_store(&faulty.down, false);
  UNTIL(b, b->settled == TASKS);
}

/* How many messages there are; what they hold must be every result, once. sizes: of each message, in order. */
static size_t read_all(bench *b, size_t sizes[TASKS]) {
  size_t messages = 0;
  bool seen[TASKS] = {false};
  mg_batch batch = {0};
  assert_int_equal(mg_memory_backend.fetch_results(b->at.other, 100, mg_now_ms() + WAIT_MS, &batch, NULL), MG_OK);
  for (size_t k = 0; k < batch.count; k++) {
    mg_codec plain = {0};
    mg_buf scratch = {0};
    mg_slice body, parts[MG_RESULTS_MOST];
    mg_frame_fault fault;
    size_t count = 0;
    assert_int_equal(mg_frame_open(&plain, batch.items[k].body, &scratch, &body, &fault, NULL), MG_OK);
    assert_int_equal(mg_results_split(body, parts, &count, NULL), MG_OK);
    for (size_t i = 0; i < count; i++) {
      size_t which = parts[i].len == LARGE_BYTES ? LARGE : parts[i].data[0];
      assert_true(which < TASKS && !seen[which]);
      seen[which] = true;
    }
    sizes[messages++] = count;
    mg_memory_backend.forget(b->at.other, batch.items[k].lease);
    mg_buf_fini(&scratch);
  }
  mg_batch_clear(&batch);
  for (size_t i = 0; i < TASKS; i++) assert_true(seen[i]);
  return messages;
}

static void what_is_ready_goes_together(void **state) {
  (void)state;
  bench b;
  size_t sizes[TASKS];
  start(&b, true, 0);
  finish_all(&b, LARGE_BYTES);
  assert_int_equal(read_all(&b, sizes), 3);
  assert_true(sizes[0] == LARGE && sizes[1] == 1 && sizes[2] == TASKS - LARGE - 1); /* a large one by itself */
  end(&b);
}

/* Together they are more than a message may have; each alone is not. */
static void what_is_refused_together_goes_alone(void **state) {
  (void)state;
  bench b;
  size_t sizes[TASKS];
  start(&b, true, 200);
  finish_all(&b, 0);
  assert_int_equal(read_all(&b, sizes), TASKS);
  assert_int_equal(b.bad, 0);
  end(&b);
}

static mg_depth depth(bench *b) {
  mg_depth d;
  assert_int_equal(mg_memory_backend.depth(b->at.other, "r1", mg_now_ms() + WAIT_MS, &d, NULL), MG_OK);
  return d;
}

/* The message goes when the last of its results is settled. */
static void settled_when_all_are(void **state) {
  (void)state;
  bench b;
  mg_buf body = {0};
  mg_slice parts[] = {mg_slice_of("one"), mg_slice_of("two"), mg_slice_of("three")};
  start(&b, false, 0);
  mg_results_encode(&body, parts, 3);
  publish(&b, "r.1", mg_buf_slice(&body), true);
  UNTIL(&b, b.results == 3);
  assert_true(b.tokens[0] == b.tokens[1] && b.tokens[1] == b.tokens[2]);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(depth(&b).results, 1);
    mg_link_settle_result(b.at.link, b.tokens[i]);
    UNTIL(&b, mg_link_backlog(b.at.link) == 0);
  }
  assert_int_equal(depth(&b).results, 0);
  publish(&b, "r.2", (mg_slice){body.data, body.len - 1}, true); /* cut: none of it is taken, and it does not come again */
  UNTIL(&b, b.bad == 1 && depth(&b).results == 0);
  assert_int_equal(b.results, 3);
  mg_buf_fini(&body);
  end(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_ready_goes_together),
      cmocka_unit_test(what_is_refused_together_goes_alone),
      cmocka_unit_test(settled_when_all_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
