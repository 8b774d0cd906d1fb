/* What the Redis backend keeps on the server: garbage in it, its expiry, the cost and the speed of waiting. Real servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/redis/redis.h"
#include "base/hash.h"
#include "tests/brokers/brokers.h"
#include "tests/brokers/sides.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const mg_backend_ops *const ops = &mg_redis_backend;

static mg_options *options_of(const mg_test_redis *r) {
  mg_options *o = mg_options_new();
  mg_test_redis_options(r, o);
  return o;
}

static const struct {
  char kind; /* Zset, Stream, Hash, List */
  const char *name;
} all_keys[] = {{'Z', "active"},      {'Z', "delayed"},     {'S', "wake"},       {'Z', "quarantine"},    {'Z', "runs"},
                {'H', "beats"},       {'Z', "beat-ends"},   {'H', "controls"},   {'Z', "control-ends"},  {'L', "pending:run"},
                {'H', "tasks:run"},   {'H', "holders:run"}, {'Z', "leases:run"}, {'H', "done:run"},      {'H', "done-before:run"},
                {'S', "results:run"}, {'H', "dead:run"},    {'H', "why:run"},    {'Z', "dead-order:run"}};
enum { ALL_KEYS = sizeof all_keys / sizeof all_keys[0] };

static void check(bool strict, const char *call, mg_err err, const mg_error *e) {
  if (strict && err != MG_OK) fail_msg("%s: %s: %s", call, mg_err_name(err), e->text);
}

/* Every call once. strict: none may fail; else what it says does not matter, that it comes back does. */
static void call_everything(mg_sides *s, bool strict) {
  mg_error e = {0};
  mg_batch tasks = {0}, other = {0};
  mg_depth d;
  size_t n;
  mg_publish item = {.run = "run", .task = "t0", .attempt = 1, .body = mg_slice_of("t0")};
  mg_probe probe = {.task = "t0", .attempt = 1};
  mg_settle items[MG_SIDES_MOST];
#define CALL(what) check(strict, #what, ops->what, &e)
  CALL(publish_tasks(s->coordinator, &item, 1, mg_sides_soon(), &e));
  CALL(publish_results(s->worker, &item, 1, mg_sides_soon(), &e));
  check(strict, "fetch_tasks", mg_sides_try_fetch(s->worker, 100, 5, &tasks, &e), &e);
  for (size_t i = 0; i < tasks.count; i++) items[i] = (mg_settle){.lease = tasks.items[i].lease, .ms = 60000, .why = "why"};
  CALL(extend(s->worker, items, tasks.count, mg_sides_soon(), &e));
  CALL(nack(s->worker, items, tasks.count / 3, mg_sides_soon(), &e));
  CALL(dead_letter(s->worker, items, tasks.count / 2, mg_sides_soon(), &e));
  CALL(ack(s->worker, items, tasks.count, mg_sides_soon(), &e));
  mg_sides_forget(s->worker, &tasks);
  CALL(beat(s->worker, mg_slice_of("b"), 1000, mg_sides_soon(), &e));
  CALL(control(s->coordinator, "s", mg_slice_of("c"), 1000, mg_sides_soon(), &e));
  CALL(quarantine(s->coordinator, "w", true, 10, mg_sides_soon(), &e));
  CALL(read_beats(s->coordinator, mg_sides_soon(), &other, &e));
  CALL(read_controls(s->worker, mg_sides_soon(), &other, &e));
  CALL(reclaim(s->coordinator, "run", NULL, NULL, 0, mg_sides_soon(), &other, &e));
  CALL(reclaim(s->coordinator, "run", "worker", NULL, 0, mg_sides_soon(), &other, &e));
  CALL(probe(s->coordinator, "run", &probe, 1, mg_sides_soon(), &e));
  CALL(depth(s->coordinator, NULL, mg_sides_soon(), &d, &e));
  mg_broker_stats told = {.lag = -1};
  CALL(stats(s->coordinator, mg_sides_soon(), &told, &e));
  if (strict) assert_true(told.node_count == 1 && told.nodes[0].memory_bytes > 100000 && told.nodes[0].memory_limit_bytes == 0);
  CALL(list_dead(s->coordinator, NULL, 100, mg_sides_soon(), &other, &e));
  CALL(redrive(s->coordinator, "run", NULL, 0, mg_sides_soon(), &n, &e));
  CALL(purge_dead(s->coordinator, "run", NULL, 0, mg_sides_soon(), &n, &e));
  mg_batch_clear(&other);
  CALL(fetch_results(s->coordinator, 100, mg_now_ms() + 5, &other, &e));
  for (size_t i = 0; i < other.count; i++) items[i] = (mg_settle){.lease = other.items[i].lease};
  CALL(ack_results(s->coordinator, items, other.count, mg_sides_soon(), &e));
  mg_sides_forget(s->coordinator, &other);
#undef CALL
}

static void push_garbage(const mg_test_redis *r, int at) {
  char out[400], key[64], text[40];
  static const char *const scores[] = {"0", "-1", "inf", "-inf", "1e300", "9999999999999", "0.5"};
  (void)snprintf(key, sizeof key, "{mguard:tasks}:%s", all_keys[at].name);
  for (size_t k = 0; k < sizeof text - 1; k++) text[k] = (char)(rand() % 255 + 1);
  text[rand() % (int)(sizeof text - 1)] = '\0';
  const char *member = rand() % 3 == 0 ? "run" : rand() % 2 == 0 ? "1:t0" : text;
  bool ok = true;
  switch (all_keys[at].kind) {
  case 'L': ok = mg_test_redis_cli(r, out, sizeof out, "RPUSH", key, text, "1:t0", "1:t0", "", (char *)NULL); break;
  case 'H': ok = mg_test_redis_cli(r, out, sizeof out, "HSET", key, member, text, (char *)NULL); break;
  case 'Z': ok = mg_test_redis_cli(r, out, sizeof out, "ZADD", key, scores[rand() % 7], member, (char *)NULL); break;
  default: ok = mg_test_redis_cli(r, out, sizeof out, "XADD", key, "*", rand() % 2 == 0 ? "b" : text, text, (char *)NULL);
  }
  if (!ok) fail_msg("%s: %s", key, out);
}

static void garbage_in_keys_is_survived(void **state) {
  (void)state;
  char out[400], key[64];
  mg_test_redis r;
  assert_true(mg_test_redis_start(&r, NULL));
  mg_sides s = mg_sides_open(ops, options_of(&r));
  uint64_t seed = mg_random64();
  print_message("             seed %llu\n", (unsigned long long)seed);
  srand((unsigned)seed);
  call_everything(&s, true);
  for (int i = 0; i < (mg_test_full() ? 1000 : 100); i++) {
    push_garbage(&r, i < ALL_KEYS ? i : rand() % ALL_KEYS);
    if (rand() % 2 == 0) push_garbage(&r, rand() % ALL_KEYS);
    call_everything(&s, true);
    if (i % 50 == 49) assert_true(mg_test_redis_cli(&r, out, sizeof out, "FLUSHALL", (char *)NULL));
  }
  for (int i = 0; i < ALL_KEYS; i++) { /* another kind of value altogether */
    (void)snprintf(key, sizeof key, "{mguard:tasks}:%s", all_keys[i].name);
    assert_true(mg_test_redis_cli(&r, out, sizeof out, "SET", key, "garbage", (char *)NULL));
    call_everything(&s, false);
    assert_true(mg_test_redis_cli(&r, out, sizeof out, "FLUSHALL", (char *)NULL));
  }
  /* And everything works again. */
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 5, false);
  mg_sides_fetch(s.worker, 5, &tasks);
  mg_sides_expect_each_once(&tasks, 5);
  assert_int_equal(mg_sides_settle(s.worker, ops->ack, &tasks), 5);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
  mg_test_redis_stop(&r);
}

static void what_is_left_expires(void **state) {
  (void)state;
  char out[400];
  mg_test_redis r;
  mg_error e = {0};
  assert_true(mg_test_redis_start(&r, NULL));
  mg_options *o = options_of(&r);
  (void)mg_options_set_int(o, "retention_seconds", 2);
  mg_sides s = mg_sides_open(ops, o);
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 30, false);
  mg_sides_fetch(s.worker, 8, &tasks);
  mg_settle items[8];
  for (size_t i = 0; i < 8; i++) items[i] = (mg_settle){.lease = tasks.items[i].lease, .ms = i == 0 ? 0 : 60000, .why = "why"};
  assert_int_equal(ops->ack(s.worker, items, 2, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(ops->nack(s.worker, items + 2, 2, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(ops->dead_letter(s.worker, items + 4, 2, mg_sides_soon(), &e), MG_OK);
  mg_sides_publish(s.worker, 0, 3, true);
  assert_int_equal(ops->beat(s.worker, mg_slice_of("b"), 1000, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(ops->control(s.coordinator, "s", mg_slice_of("c"), 1000, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(ops->quarantine(s.coordinator, "w", true, 1000, mg_sides_soon(), &e), MG_OK);
  /* The coordinator's calls keep it. */
  mg_batch results = {0};
  for (mg_ms end = mg_now_ms() + 3000; mg_now_ms() < end;) {
    assert_int_equal(ops->fetch_results(s.coordinator, 10, mg_now_ms() + 100, &results, &e), MG_OK);
  }
  mg_depth d = mg_sides_depth(s.coordinator);
  assert_int_equal(d.pending, 30 - 8 + 2);
  assert_int_equal(d.in_flight, 2);
  assert_int_equal(d.dead, 2);
  assert_int_equal(d.results, 3);
  mg_sides_forget(s.coordinator, &results);
  ops->close(s.coordinator);
  /* What a worker makes for a run whose coordinator has gone does not stay for ever either. */
  assert_int_equal(ops->ack(s.worker, items + 6, 2, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(items[6].err, MG_OK);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_fetch(s.worker, 3, &tasks);
  mg_sides_forget(s.worker, &tasks);
  mg_publish other = {.run = "other", .task = "t0", .attempt = 1, .body = mg_slice_of("x")};
  assert_int_equal(ops->publish_results(s.worker, &other, 1, mg_sides_soon(), &e), MG_OK);
  ops->close(s.worker);
  mg_options_free(s.options);
  for (mg_ms end = mg_now_ms() + 8000;; mg_test_pause(100)) {
    assert_true(mg_test_redis_cli(&r, out, sizeof out, "KEYS", "*", (char *)NULL));
    if (out[0] == '\0') break;
    if (mg_now_ms() >= end) fail_msg("still there: %s", out);
  }
  mg_test_redis_stop(&r);
}

static void *publish_now_and_then(void *arg) {
  mg_sides *s = arg;
  for (int i = 0; i < 50; i++) {
    mg_test_pause(5 + i % 7);
    char body[32], name[16];
    int len = snprintf(body, sizeof body, "%lld", (long long)mg_now_ns());
    (void)snprintf(name, sizeof name, "t%d", i);
    mg_publish item = {.run = "run", .task = name, .attempt = 1, .body = {(const uint8_t *)body, (size_t)len}};
    if (ops->publish_tasks(s->coordinator, &item, 1, mg_sides_soon(), NULL) != MG_OK) break;
  }
  return NULL;
}

static int by_size(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void an_idle_worker_wakes_at_once(void **state) {
  (void)state;
  mg_test_redis r;
  assert_true(mg_test_redis_start(&r, NULL));
  mg_sides s = mg_sides_open(ops, options_of(&r));
  pthread_t thread;
  int64_t waits[50];
  mg_batch tasks = {0};
  mg_error e = {0};
  assert_int_equal(pthread_create(&thread, NULL, publish_now_and_then, &s), 0);
  for (size_t i = 0; i < 50;) {
    size_t before = tasks.count;
    if (mg_sides_try_fetch(s.worker, 10, 3000, &tasks, &e) != MG_OK) fail_msg("%s", e.text);
    int64_t now = mg_now_ns();
    if (tasks.count == before) fail_msg("no task came within 3 s");
    for (; before < tasks.count; before++) waits[i++] = now - strtoll((const char *)tasks.items[before].body.data, NULL, 10);
    if (i % 5 == 0) assert_int_equal(mg_sides_settle(s.worker, ops->ack, &tasks), tasks.count);
    if (i % 5 == 0) mg_sides_forget(s.worker, &tasks);
  }
  (void)pthread_join(thread, NULL);
  qsort(waits, 50, sizeof *waits, by_size);
  print_message("             median %.2f ms, worst %.2f ms\n", (double)waits[25] / 1e6, (double)waits[49] / 1e6);
  assert_true(waits[25] < 200 * 1000000); /* were it a poll, half a second and more */
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
  mg_test_redis_stop(&r);
}

static void idle_workers_do_not_storm(void **state) {
  (void)state;
  char before[4000], after[4000];
  mg_test_redis r;
  assert_true(mg_test_redis_start(&r, NULL));
  mg_sides s = mg_sides_open(ops, options_of(&r));
  mg_batch none = {0};
  mg_error e = {0};
  assert_true(mg_test_redis_cli(&r, before, sizeof before, "INFO", "stats", (char *)NULL));
  assert_int_equal(mg_sides_try_fetch(s.worker, 1, 3000, &none, &e), MG_OK);
  assert_true(mg_test_redis_cli(&r, after, sizeof after, "INFO", "stats", (char *)NULL));
  static const char field[] = "total_commands_processed:";
  long n = atol(strstr(after, field) + sizeof field - 1) - atol(strstr(before, field) + sizeof field - 1);
  print_message("             %ld commands in 3 s\n", n);
  assert_true(n < 40); /* a claim script is about seven */
  mg_sides_close(&s);
  mg_test_redis_stop(&r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(garbage_in_keys_is_survived),
    cmocka_unit_test(what_is_left_expires),
    cmocka_unit_test(an_idle_worker_wakes_at_once),
    cmocka_unit_test(idle_workers_do_not_storm),
};
enum { TESTS = sizeof tests / sizeof tests[0], LIMIT_S = 200 };

int main(int argc, char **argv) { return mg_sides_group("redis:", tests, TESTS, argc > 1 ? argv[1] : NULL, LIMIT_S); }
