#include "tests/brokers/sides.h"

#include "tests/brokers/brokers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mg_ms call_ms = 5000;
#define PATIENCE_MS (6 * call_ms)

bool mg_test_full(void) {
  const char *check = getenv("MGUARD_CHECK");
  return check != NULL && strcmp(check, "full") == 0;
}

mg_ms mg_sides_soon(void) { return mg_now_ms() + call_ms; }

void mg_sides_slow(mg_ms ms) { call_ms = ms; }

mg_backend *mg_sides_open_one(const mg_backend_ops *ops, mg_options *o, const char *identity, const char *run) {
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = identity, .run = run, .wake_fd = -1};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; mg_sides_away(ops->open(&b, &config, mg_sides_soon(), &e), &e, end);) {
  }
  return b;
}

mg_sides mg_sides_open(const mg_backend_ops *ops, mg_options *o) {
  return (mg_sides){ops, o, mg_sides_open_one(ops, o, "coordinator", "run"), mg_sides_open_one(ops, o, "worker", NULL)};
}

void mg_sides_close(mg_sides *s) {
  s->ops->close(s->coordinator);
  s->ops->close(s->worker);
  mg_options_free(s->options);
}

bool mg_sides_away(mg_err err, const mg_error *e, mg_ms end) {
  if (err == MG_OK) return false;
  if (err != MG_CONN && err != MG_TIMEOUT) fail_msg("%s: %s", mg_err_name(err), e->text);
  if (mg_now_ms() >= end) fail_msg("patience ended: %s", e->text);
  mg_test_pause(20);
  return true;
}

static char names[MG_SIDES_MOST][16];

mg_err mg_sides_try_publish(mg_backend *b, int first, int n, bool results, mg_error *e) {
  mg_publish items[MG_SIDES_MOST];
  for (int i = 0; i < n; i++) {
    (void)snprintf(names[i], sizeof names[i], "t%d", first + i);
    items[i] = (mg_publish){.run = "run", .task = names[i], .attempt = 1, .body = mg_slice_of(names[i]), .err = MG_FATAL};
  }
  mg_err err = results ? b->ops->publish_results(b, items, (size_t)n, mg_sides_soon(), e) : b->ops->publish_tasks(b, items, (size_t)n, mg_sides_soon(), e);
  for (int i = 0; i < n; i++) assert_int_equal(items[i].err, err);
  return err;
}

void mg_sides_publish(mg_backend *b, int first, int n, bool results) {
  mg_error e = {0};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; mg_sides_away(mg_sides_try_publish(b, first, n, results, &e), &e, end);) {
  }
}

mg_err mg_sides_try_fetch(mg_backend *b, size_t max, mg_ms wait_ms, mg_batch *out, mg_error *e) {
  mg_fetch how = {.max = max, .lease_ms = 60000, .until = mg_now_ms() + wait_ms};
  return b->ops->fetch_tasks(b, &how, out, e);
}

size_t mg_sides_fetch_once(mg_backend *b, mg_ms wait_ms, mg_batch *out) {
  mg_error e = {0};
  size_t before = out->count;
  assert_int_equal(mg_sides_try_fetch(b, 1000, wait_ms, out, &e), MG_OK);
  return out->count - before;
}

void mg_sides_fetch(mg_backend *b, size_t want, mg_batch *out) {
  mg_error e = {0};
  mg_ms end = mg_now_ms() + PATIENCE_MS;
  while (out->count < want) {
    if (mg_now_ms() >= end) fail_msg("%zu of %zu tasks came", out->count, want);
    (void)mg_sides_away(mg_sides_try_fetch(b, want - out->count, 500, out, &e), &e, end);
  }
}

void mg_sides_fetch_results(mg_backend *b, size_t want, mg_batch *out) {
  mg_error e = {0};
  mg_ms end = mg_now_ms() + PATIENCE_MS;
  while (out->count < want) {
    if (mg_now_ms() >= end) fail_msg("%zu of %zu results came", out->count, want);
    (void)mg_sides_away(b->ops->fetch_results(b, want - out->count, mg_now_ms() + 500, out, &e), &e, end);
  }
}

size_t mg_sides_settle(mg_backend *b, mg_sides_call *call, const mg_batch *batch) {
  mg_settle items[MG_SIDES_MOST];
  mg_error e = {0};
  size_t ok = 0;
  for (mg_ms end = mg_now_ms() + PATIENCE_MS;;) {
    for (size_t i = 0; i < batch->count; i++) items[i] = (mg_settle){.lease = batch->items[i].lease, .ms = 60000, .why = "why", .err = MG_FATAL};
    if (!mg_sides_away(call(b, items, batch->count, mg_sides_soon(), &e), &e, end)) break;
  }
  for (size_t i = 0; i < batch->count; i++) {
    assert_true(items[i].err == MG_OK || items[i].err == MG_LOST);
    ok += items[i].err == MG_OK;
  }
  return ok;
}

void mg_sides_expect_each_once(const mg_batch *batch, int n) {
  int seen[MG_SIDES_MOST] = {0};
  assert_int_equal(batch->count, n);
  for (size_t i = 0; i < batch->count; i++) {
    const mg_delivery *d = &batch->items[i];
    int k = atoi(d->task + 1);
    assert_in_range(k, 0, n - 1);
    assert_int_equal(d->body.len, strlen(d->task));
    assert_memory_equal(d->body.data, d->task, d->body.len);
    if (seen[k]++ > 0) fail_msg("%s came twice", d->task);
  }
}

void mg_sides_forget(mg_backend *b, mg_batch *batch) {
  for (size_t i = 0; i < batch->count; i++) b->ops->forget(b, batch->items[i].lease);
  mg_batch_clear(batch);
}

mg_depth mg_sides_depth(mg_backend *b) {
  mg_depth d = {0};
  mg_error e = {0};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; mg_sides_away(b->ops->depth(b, "run", mg_sides_soon(), &d, &e), &e, end);) {
  }
  return d;
}

void mg_sides_keep_alive(mg_backend *b, mg_ms ms) {
  mg_error e = {0};
  for (mg_ms end = mg_now_ms() + ms; mg_now_ms() < end;) assert_int_equal(b->ops->service(b, mg_now_ms() + 100, &e), MG_OK);
}

void mg_sides_expect_empty(mg_backend *coordinator, mg_backend *worker) {
  for (mg_ms end = mg_now_ms() + 2 * PATIENCE_MS; mg_sides_depth(coordinator).pending != 0; mg_sides_keep_alive(worker, 100)) assert_true(mg_now_ms() < end);
}

void mg_sides_go_round(mg_sides *s, void (*hurt)(void *broker), void *broker) {
  mg_batch tasks = {0}, results = {0};
  mg_sides_publish(s->coordinator, 0, 50, false);
  mg_sides_fetch(s->worker, 20, &tasks);
  mg_sides_publish(s->worker, 0, 20, true);
  hurt(broker);
  mg_sides_publish(s->coordinator, 50, 50, false);
  mg_sides_fetch(s->worker, 100, &tasks);
  mg_sides_expect_each_once(&tasks, 100);
  mg_sides_publish(s->worker, 20, 80, true);
  mg_sides_fetch_results(s->coordinator, 100, &results);
  mg_sides_expect_each_once(&results, 100);
  assert_int_equal(mg_sides_settle(s->worker, s->ops->ack, &tasks), 100);
  assert_int_equal(mg_sides_settle(s->coordinator, s->ops->ack_results, &results), 100);
  mg_error e = {0};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS;;) { /* settling may take effect a little later */
    mg_depth d = mg_sides_depth(s->coordinator);
    int64_t left = d.pending + (d.in_flight > 0 ? d.in_flight : 0) + (d.results > 0 ? d.results : 0);
    if (left == 0) break;
    if (mg_now_ms() > end) fail_msg("%lld are left", (long long)left);
    (void)mg_sides_away(s->ops->service(s->worker, mg_now_ms() + 100, &e), &e, end);
  }
  mg_sides_forget(s->worker, &tasks);
  mg_sides_forget(s->coordinator, &results);
}

static int run_one(int i, void *owner) {
  const struct CMUnitTest *tests = owner;
  return _cmocka_run_group_tests(tests[i].name, &tests[i], 1, NULL, NULL);
}

int mg_sides_group(const char *title, const struct CMUnitTest *tests, int count, const char *only, int limit_s) {
  enum { MOST = 32 };
  const char *titles[MOST];
  void *owner = (void *)(uintptr_t)tests;
  if (count > MOST) return count;
  for (int i = 0; i < count; i++) {
    titles[i] = tests[i].name;
    if (only != NULL && strcmp(titles[i], only) == 0) return run_one(i, owner);
  }
  return mg_test_beside(title, titles, count, run_one, owner, limit_s);
}
