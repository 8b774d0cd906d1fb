#include "tests/backend_contract_env.h"
#include "tests/wall_clock.h"

#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void mg_need(const mg_env *v, uint32_t capability, const char *what) {
  if ((v->ops->capabilities & capability) != 0) return;
  print_message("             skipped: %s cannot %s\n", v->ops->name, what);
  skip();
}

void mg_ok(mg_err err, const mg_error *e) {
  if (err != MG_OK) fail_msg("%s: %s", mg_err_name(err), e->text);
}

void mg_may_lack(const mg_env *v, mg_err err, const mg_error *e, const char *what) {
  if (err == MG_UNSUPPORTED) {
    print_message("             skipped: %s cannot %s\n", v->ops->name, what);
    skip();
  }
  mg_ok(err, e);
}

mg_ms mg_soon(const mg_env *v) {
  return mg_now_ms() + v->c->patience_ms;
}

mg_backend *mg_env_open(mg_env *v, const char *identity, const char *run, int wake_fd) {
  mg_backend_config config = {.identity = identity, .run = run, .wake_fd = wake_fd};
  v->c->fill(v->c->owner, v->queue, &config);
  mg_error e = {0};
  mg_backend *b = NULL;
  mg_ok(v->ops->open(&b, &config, mg_soon(v), &e), &e);
  assert_non_null(b);
  assert_ptr_equal(b->ops, v->ops);
  for (size_t i = 0; i < sizeof v->open / sizeof *v->open; i++) {
    if (v->open[i] != NULL) continue;
    v->open[i] = b;
    return b;
  }
  v->ops->close(b);
  fail_msg("the case opens too many backends");
  return NULL;
}

void mg_env_close(mg_env *v, mg_backend *b) {
  for (size_t i = 0; i < sizeof v->open / sizeof *v->open; i++) {
    if (v->open[i] == b) v->open[i] = NULL;
  }
  v->ops->close(b);
}

/* "run/t7/1" */
static mg_slice body_of(char *out, size_t size, const char *run, int task, uint32_t attempt) {
  int n = snprintf(out, size, "%s/t%d/%u", run, task, (unsigned)attempt);
  return (mg_slice){(const uint8_t *)out, (size_t)n};
}

enum { BODY_SIZE = 96, NAME_SIZE = 16, MOST = 2000 };

void mg_publish_some(mg_env *v, const char *run, int first, int n, uint32_t attempt) {
  mg_publish *items = calloc((size_t)n, sizeof *items);
  char(*names)[NAME_SIZE] = calloc((size_t)n, sizeof *names);
  char(*bodies)[BODY_SIZE] = calloc((size_t)n, sizeof *bodies);
  assert_true(n <= MOST && items != NULL && names != NULL && bodies != NULL);
  for (int i = 0; i < n; i++) {
    (void)snprintf(names[i], NAME_SIZE, "t%d", first + i);
    mg_slice body = body_of(bodies[i], BODY_SIZE, run, first + i, attempt);
    items[i] = (mg_publish){.run = run, .task = names[i], .attempt = attempt, .body = body, .err = MG_FATAL};
  }
  mg_error e = {0};
  mg_ok(v->ops->publish_tasks(v->coordinator, items, (size_t)n, mg_soon(v), &e), &e);
  for (int i = 0; i < n; i++) assert_int_equal(items[i].err, MG_OK);
  free(items);
  free(names);
  free(bodies);
}

void mg_publish_body(mg_env *v, const char *task, mg_slice body) {
  mg_publish item = {.run = v->run, .task = task, .attempt = 1, .body = body, .err = MG_FATAL};
  mg_error e = {0};
  mg_ok(v->ops->publish_tasks(v->coordinator, &item, 1, mg_soon(v), &e), &e);
  assert_int_equal(item.err, MG_OK);
}

void mg_fetch_some(mg_env *v, mg_backend *b, mg_batch *out, size_t want, mg_ms lease_ms) {
  mg_ms end = mg_soon(v);
  while (out->count < want) {
    if (mg_now_ms() >= end) fail_msg("%zu of %zu tasks came", out->count, want);
    mg_fetch how = {.max = want - out->count, .lease_ms = lease_ms, .until = mg_now_ms() + 1000};
    mg_error e = {0};
    mg_ok(v->ops->fetch_tasks(b, &how, out, &e), &e);
  }
  assert_int_equal(out->count, want);
  for (size_t i = 0; i < out->count; i++) assert_non_null(out->items[i].lease);
}

void mg_fetch_results(mg_env *v, mg_backend *b, mg_batch *out, size_t want) {
  mg_ms end = mg_soon(v);
  while (out->count < want) {
    if (mg_now_ms() >= end) fail_msg("%zu of %zu results came", out->count, want);
    mg_error e = {0};
    mg_ok(v->ops->fetch_results(b, want - out->count, mg_now_ms() + 1000, out, &e), &e);
  }
  assert_int_equal(out->count, want);
  for (size_t i = 0; i < out->count; i++) assert_non_null(out->items[i].lease);
}

void mg_expect_no_task(mg_env *v, mg_backend *b) {
  mg_batch batch = {0};
  mg_fetch how = {.max = 10, .lease_ms = 60000, .until = mg_now_ms() + v->c->quiet_ms};
  mg_error e = {0};
  mg_ok(v->ops->fetch_tasks(b, &how, &batch, &e), &e);
  if (batch.count > 0) {
    fail_msg("a task came that should not: %.*s", (int)batch.items[0].body.len, (const char *)batch.items[0].body.data);
  }
  mg_batch_clear(&batch);
}

void mg_expect_no_result(mg_env *v, mg_backend *b) {
  mg_batch batch = {0};
  mg_error e = {0};
  mg_ok(v->ops->fetch_results(b, 10, mg_now_ms() + v->c->quiet_ms, &batch, &e), &e);
  assert_int_equal(batch.count, 0);
  mg_batch_clear(&batch);
}

void mg_settle_all(mg_env *v, mg_backend *b, mg_settle_call call, const mg_batch *batch, mg_ms ms) {
  mg_settle *items = calloc(batch->count + 1, sizeof *items);
  assert_non_null(items);
  for (size_t i = 0; i < batch->count; i++) {
    items[i] = (mg_settle){.lease = batch->items[i].lease, .ms = ms, .why = "a reason", .err = MG_FATAL};
  }
  mg_error e = {0};
  mg_ok(call(b, items, batch->count, mg_soon(v), &e), &e);
  for (size_t i = 0; i < batch->count; i++) assert_int_equal(items[i].err, MG_OK);
  free(items);
}

mg_err mg_settle_one(mg_env *v, mg_backend *b, mg_settle_call call, mg_lease *lease, mg_ms ms) {
  mg_settle item = {.lease = lease, .ms = ms, .why = "a reason", .err = MG_FATAL};
  mg_error e = {0};
  mg_ok(call(b, &item, 1, mg_soon(v), &e), &e);
  return item.err;
}

void mg_forget_all(mg_backend *b, mg_batch *batch) {
  for (size_t i = 0; i < batch->count; i++) b->ops->forget(b, batch->items[i].lease);
  mg_batch_clear(batch);
}

static bool same(mg_slice a, mg_slice b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

const mg_delivery *mg_find_item(const mg_batch *batch, const char *run, int task, uint32_t attempt) {
  char text[BODY_SIZE];
  mg_slice body = body_of(text, sizeof text, run, task, attempt);
  for (size_t i = 0; i < batch->count; i++) {
    if (same(batch->items[i].body, body)) return &batch->items[i];
  }
  return NULL;
}

void mg_expect_item(const mg_delivery *d, const char *run, int task, uint32_t attempt) {
  char text[BODY_SIZE], name[NAME_SIZE];
  (void)snprintf(name, sizeof name, "t%d", task);
  mg_slice body = body_of(text, sizeof text, run, task, attempt);
  assert_non_null(d);
  assert_int_equal(d->body.len, body.len);
  assert_memory_equal(d->body.data, body.data, body.len);
  assert_non_null(d->run);
  assert_non_null(d->task);
  if (d->run[0] != '\0') assert_string_equal(d->run, run);
  if (d->task[0] != '\0') {
    assert_string_equal(d->task, name);
    assert_int_equal(d->attempt, attempt);
  }
}

void mg_publish_result_of(mg_env *v, mg_backend *b, const char *run, int first, int n) {
  mg_publish *items = calloc((size_t)n, sizeof *items);
  char(*names)[NAME_SIZE] = calloc((size_t)n, sizeof *names);
  char(*bodies)[BODY_SIZE] = calloc((size_t)n, sizeof *bodies);
  assert_true(items != NULL && names != NULL && bodies != NULL);
  for (int i = 0; i < n; i++) {
    (void)snprintf(names[i], NAME_SIZE, "t%d", first + i);
    items[i] = (mg_publish){.run = run,
                            .task = names[i],
                            .attempt = 1,
                            .body = body_of(bodies[i], BODY_SIZE, run, first + i, 1),
                            .err = MG_FATAL};
  }
  mg_error e = {0};
  mg_ok(v->ops->publish_results(b, items, (size_t)n, mg_soon(v), &e), &e);
  for (int i = 0; i < n; i++) assert_int_equal(items[i].err, MG_OK);
  free(items);
  free(names);
  free(bodies);
}

mg_depth mg_depth_of(mg_env *v, const char *run) {
  mg_depth depth = {.pending = -7, .in_flight = -7, .dead = -7, .results = -7, .oldest_ms = -7};
  mg_error e = {0};
  mg_ok(v->ops->depth(v->coordinator, run, mg_soon(v), &depth, &e), &e);
  return depth;
}

mg_task_state mg_state_of(mg_env *v, int task, uint32_t attempt) {
  char name[NAME_SIZE];
  (void)snprintf(name, sizeof name, "t%d", task);
  mg_probe probe = {.task = name, .attempt = attempt, .state = (mg_task_state)99};
  mg_error e = {0};
  mg_ok(v->ops->probe(v->coordinator, v->run, &probe, 1, mg_soon(v), &e), &e);
  return probe.state;
}

typedef struct plan { /* a test's initial state */
  const mg_contract *c;
  void (*run)(mg_env *v);
} plan;

static int set_up(void **state) {
  const plan *p = *state;
  mg_env *v = calloc(1, sizeof *v);
  if (v == NULL) return -1;
  /* Names nobody used before, so that what an earlier run left on a real broker does not matter. */
  unsigned salt = (unsigned)mg_random64();
  v->c = p->c;
  v->ops = p->c->ops;
  (void)snprintf(v->queue, sizeof v->queue, "contract-%08x", salt);
  (void)snprintf(v->run, sizeof v->run, "run-%08x", salt);
  (void)snprintf(v->other_run, sizeof v->other_run, "other-%08x", salt);
  (void)snprintf(v->worker_name, sizeof v->worker_name, "worker-%08x", salt);
  (void)snprintf(v->other_name, sizeof v->other_name, "other-worker-%08x", salt);
  v->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  *state = v;
  if (v->wake_fd < 0) return -1;
  v->coordinator = mg_env_open(v, "coordinator", v->run, -1);
  v->worker = mg_env_open(v, v->worker_name, NULL, -1);
  return 0;
}

static int tear_down(void **state) {
  mg_env *v = *state;
  for (size_t i = 0; i < sizeof v->open / sizeof *v->open; i++) {
    if (v->open[i] != NULL) v->ops->close(v->open[i]);
  }
  if (v->c->end != NULL) v->c->end(v->c->owner, v->queue);
  mg_test_wall_ahead(0);
  (void)close(v->wake_fd);
  free(v);
  return 0;
}

/* cmocka hands a test only its state, which set_up has replaced: the case is found by the name that runs. */
static const plan *running;
static int set_up_plan(void **state) {
  running = *state;
  return set_up(state);
}

static void run_case(void **state) {
  running->run(*state);
}

int mg_contract_run(const mg_contract *c, int argc, char **argv) {
  const mg_contract_case *tables[] = {mg_contract_tasks, mg_contract_leases, mg_contract_results, mg_contract_upkeep};
  struct CMUnitTest tests[128];
  plan plans[128];
  size_t count = 0;
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
    for (const mg_contract_case *one = tables[t]; one->name != NULL && count < 128; one++) {
      if (argc > 1 && strstr(one->name, argv[1]) == NULL) continue;
      plans[count] = (plan){c, one->run};
      tests[count] = (struct CMUnitTest){one->name, run_case, set_up_plan, tear_down, &plans[count]};
      count++;
    }
  }
  char title[64];
  (void)snprintf(title, sizeof title, "contract of %s", c->ops->name);
  return _cmocka_run_group_tests(title, tests, count, NULL, NULL);
}
