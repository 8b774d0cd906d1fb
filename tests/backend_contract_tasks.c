/* Publishing and fetching: what goes in comes out, whole, once, in time. */
#include "tests/backend_contract_env.h"

#include "base/hash.h"
#include "tests/brokers/brokers.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void a_task_is_fetched_once_and_acked(mg_env *v) {
  mg_batch batch = {0};
  mg_publish_some(v, v->run, 0, 3, 1);
  mg_fetch_some(v, v->worker, &batch, 3, 60000);
  for (int i = 0; i < 3; i++) mg_expect_item(mg_find_item(&batch, v->run, i, 1), v->run, i, 1);
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_expect_no_task(v, v->worker);
  mg_forget_all(v->worker, &batch);
}

static void tasks_come_in_order(mg_env *v) {
  if (!v->c->ordered) {
    print_message("             skipped: %s keeps no order\n", v->ops->name);
    skip();
  }
  mg_batch batch = {0};
  mg_publish_some(v, v->run, 0, 50, 1);
  mg_publish_some(v, v->run, 50, 50, 1);
  mg_fetch_some(v, v->worker, &batch, 100, 60000);
  for (int i = 0; i < 100; i++) mg_expect_item(&batch.items[i], v->run, i, 1);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

static void attempts_travel(mg_env *v) {
  mg_batch batch = {0};
  mg_publish_some(v, v->run, 5, 1, 4000000000u);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  mg_expect_item(&batch.items[0], v->run, 5, 4000000000u);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

static void expect_body(mg_env *v, const char *task, mg_slice body) {
  mg_batch batch = {0};
  mg_publish_body(v, task, body);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  assert_int_equal(batch.items[0].body.len, body.len);
  if (body.len > 0) assert_memory_equal(batch.items[0].body.data, body.data, body.len);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

static void bodies_are_bytes(mg_env *v) {
  uint8_t bytes[512];
  for (int i = 0; i < 512; i++) bytes[i] = (uint8_t)(i < 256 ? i : 511 - i);
  expect_body(v, "every-byte", (mg_slice){bytes, sizeof bytes});
  expect_body(v, "zeros", (mg_slice){(const uint8_t *)"\0\0\0", 3});
  expect_body(v, "line", (mg_slice){(const uint8_t *)"\r\n", 2});
  expect_body(v, "empty", (mg_slice){0});
}

static void large_bodies_come_whole(mg_env *v) {
  size_t len = v->c->large_bytes;
  uint8_t *bytes = malloc(len);
  assert_non_null(bytes);
  mg_random_bytes(bytes, len);
  expect_body(v, "large", (mg_slice){bytes, len});
  expect_body(v, "large-less-one", (mg_slice){bytes, len - 1});
  free(bytes);
}

static void no_more_than_max_are_fetched(mg_env *v) {
  mg_batch batch = {0};
  mg_error e = {0};
  mg_publish_some(v, v->run, 0, 10, 1);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  while (batch.count < 10) {
    size_t before = batch.count;
    mg_fetch how = {.max = 4, .lease_ms = 60000, .until = mg_soon(v)};
    mg_ok(v->ops->fetch_tasks(v->worker, &how, &batch, &e), &e);
    assert_in_range(batch.count - before, 1, 4);
  }
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

static void two_workers_share(mg_env *v) {
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_backend *workers[2] = {v->worker, other};
  mg_batch batches[2] = {{0}, {0}};
  mg_error e = {0};
  mg_ms end = mg_soon(v);
  mg_publish_some(v, v->run, 0, 40, 1);
  for (int turn = 0; batches[0].count + batches[1].count < 40; turn = 1 - turn) {
    if (mg_now_ms() >= end) fail_msg("%zu and %zu of 40 tasks came", batches[0].count, batches[1].count);
    mg_fetch how = {.max = 2, .lease_ms = 60000, .until = mg_now_ms() + 200};
    size_t before = batches[turn].count;
    mg_ok(v->ops->fetch_tasks(workers[turn], &how, &batches[turn], &e), &e);
    for (size_t i = before; i < batches[turn].count; i++) {
      assert_int_equal(mg_settle_one(v, workers[turn], v->ops->ack, batches[turn].items[i].lease, 0), MG_OK);
    }
  }
  for (int i = 0; i < 40; i++) {
    bool first = mg_find_item(&batches[0], v->run, i, 1) != NULL,
         second = mg_find_item(&batches[1], v->run, i, 1) != NULL;
    assert_true(first != second);
  }
  mg_forget_all(v->worker, &batches[0]);
  mg_forget_all(other, &batches[1]);
}

static void a_repeated_publish_is_dropped(mg_env *v) {
  mg_need(v, MG_CAP_DEDUPE, "drop a repeated publish");
  mg_batch batch = {0};
  mg_error e = {0};
  mg_publish twice[2];
  for (int i = 0; i < 2; i++)
    twice[i] = (mg_publish){.run = v->run, .task = "t0", .attempt = 1, .body = mg_slice_of("x"), .err = MG_FATAL};
  mg_publish_some(v, v->run, 0, 2, 1);
  mg_publish_some(v, v->run, 0, 2, 1);
  mg_ok(v->ops->publish_tasks(v->coordinator, twice, 2, mg_soon(v), &e), &e);
  assert_int_equal(twice[0].err, MG_OK);
  assert_int_equal(twice[1].err, MG_OK);
  mg_fetch_some(v, v->worker, &batch, 2, 60000);
  mg_expect_item(mg_find_item(&batch, v->run, 0, 1), v->run, 0, 1); /* the first body stays */
  mg_expect_item(mg_find_item(&batch, v->run, 1, 1), v->run, 1, 1);
  mg_expect_no_task(v, v->worker);
  mg_publish_some(v, v->run, 0, 2, 1); /* while they are held */
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_expect_no_task(v, v->worker);
  mg_forget_all(v->worker, &batch);
}

static void a_delayed_publish_waits(mg_env *v) {
  mg_need(v, MG_CAP_NACK_DELAY, "delay a task");
  mg_batch batch = {0};
  mg_error e = {0};
  mg_ms start = mg_now_ms();
  mg_publish late = {.run = v->run,
                     .task = "late",
                     .attempt = 1,
                     .delay_ms = (uint32_t)v->c->lease_ms,
                     .body = mg_slice_of("late"),
                     .err = MG_FATAL};
  mg_publish soon = {.run = v->run, .task = "soon", .attempt = 1, .body = mg_slice_of("soon"), .err = MG_FATAL};
  mg_ok(v->ops->publish_tasks(v->coordinator, &late, 1, mg_soon(v), &e), &e);
  mg_ok(v->ops->publish_tasks(v->coordinator, &soon, 1, mg_soon(v), &e), &e);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  assert_memory_equal(batch.items[0].body.data, "soon", 4);
  mg_fetch_some(v, v->worker, &batch, 2, 60000);
  assert_memory_equal(batch.items[1].body.data, "late", 4);
  assert_true(mg_now_ms() - start >= v->c->lease_ms - 50); /* brokers may count in coarse steps */
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

static void an_empty_fetch_ends_in_time(mg_env *v) {
  mg_error e = {0};
  mg_batch batch = {0};
  for (mg_ms wait = 0; wait <= 300; wait += 300) {
    mg_ms start = mg_now_ms();
    mg_fetch how = {.max = 1, .lease_ms = 60000, .until = start + wait};
    mg_ok(v->ops->fetch_tasks(v->worker, &how, &batch, &e), &e);
    assert_in_range(mg_now_ms() - start, wait, wait + v->c->slack_ms);
    start = mg_now_ms();
    mg_ok(v->ops->fetch_results(v->coordinator, 1, start + wait, &batch, &e), &e);
    assert_in_range(mg_now_ms() - start, wait, wait + v->c->slack_ms);
    start = mg_now_ms();
    mg_ok(v->ops->service(v->worker, start + wait, &e), &e);
    assert_true(mg_now_ms() - start <= wait + v->c->slack_ms);
    assert_int_equal(batch.count, 0);
  }
  mg_fetch none = {
      .max = 0, .lease_ms = 60000, .until = mg_now_ms() + 60000}; /* asks for nothing: does not wait for it */
  mg_publish_some(v, v->run, 0, 1, 1);
  mg_ms start = mg_now_ms();
  mg_ok(v->ops->fetch_tasks(v->worker, &none, &batch, &e), &e);
  assert_true(mg_now_ms() - start <= v->c->slack_ms);
  assert_int_equal(batch.count, 0);
}

/* Until the thread sleeps, as it does inside a call that waits: seen three times in a row. */
static void until_it_waits(pid_t thread) {
  char path[64], line[256];
  int asleep = 0;
  (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
  for (mg_ms end = mg_now_ms() + 10000; asleep < 3 && mg_now_ms() < end; mg_test_pause(5)) {
    FILE *f = fopen(path, "r");
    const char *state = f != NULL && fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
    if (f != NULL) (void)fclose(f);
    asleep = state != NULL && state[2] == 'S' ? asleep + 1 : 0;
  }
}

typedef struct mg_writer {
  pid_t waits;
  int fd;
} mg_writer;

static void *write_later(void *given) {
  const mg_writer *w = given;
  until_it_waits(w->waits);
  uint64_t one = 1;
  ssize_t n = write(w->fd, &one, sizeof one);
  (void)n;
  return NULL;
}

static void wake_fd_ends_a_wait(mg_env *v) {
  mg_error e = {0};
  mg_batch batch = {0};
  mg_backend *worker = mg_env_open(v, v->other_name, NULL, v->wake_fd);
  mg_backend *coordinator = mg_env_open(v, "coordinator", v->other_run, v->wake_fd);
  for (int call = 0; call < 4; call++) {
    for (int early = 0; early < 2; early++) { /* readable before the call, and only while it waits */
      uint64_t count = 1;
      pthread_t writer;
      mg_writer later = {gettid(), v->wake_fd};
      if (early == 1) assert_int_equal(write(v->wake_fd, &count, sizeof count), sizeof count);
      else assert_int_equal(pthread_create(&writer, NULL, write_later, &later), 0);
      mg_ms start = mg_now_ms(), until = start + v->c->wake_ms + 20000;
      mg_fetch how = {.max = 1, .lease_ms = 60000, .until = until};
      mg_err err;
      if (call == 0) err = v->ops->fetch_tasks(worker, &how, &batch, &e);
      else if (call == 1) err = v->ops->fetch_results(coordinator, 1, until, &batch, &e);
      else err = v->ops->service(call == 2 ? worker : coordinator, until, &e);
      mg_ms took = mg_now_ms() - start;
      if (early == 0) (void)pthread_join(writer, NULL);
      mg_ok(err, &e);
      assert_int_equal(batch.count, 0);
      if (took > v->c->wake_ms) fail_msg("call %d took %lld ms", call, (long long)took);
      assert_int_equal(read(v->wake_fd, &count, sizeof count), sizeof count); /* it was left readable */
    }
  }
}

typedef struct later { /* one publish by a thread; the backend is the thread's while it runs */
  mg_env *v;
  mg_backend *from;
  mg_err (*call)(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
  uint32_t attempt;
  pid_t waits;
  mg_err err;
} later;

static void *publish_later(void *given) {
  later *l = given;
  until_it_waits(l->waits);
  mg_publish item = {
      .run = l->v->run, .task = "late", .attempt = l->attempt, .body = mg_slice_of("late"), .err = MG_FATAL};
  l->err = l->call(l->from, &item, 1, mg_soon(l->v), NULL);
  if (l->err == MG_OK) l->err = item.err;
  return NULL;
}

/* Waits of 20 s that must end when something comes: were a wake-up lost, they would not. */
static void a_wait_ends_when_something_comes(mg_env *v) {
  mg_error e = {0};
  mg_batch tasks = {0}, results = {0};
  for (uint32_t i = 1; i <= 6; i++) {
    bool task = i % 2 == 1;
    later l = {.v = v,
               .attempt = i,
               .waits = gettid(),
               .from = task ? v->coordinator : v->worker,
               .call = task ? v->ops->publish_tasks : v->ops->publish_results};
    pthread_t publisher;
    assert_int_equal(pthread_create(&publisher, NULL, publish_later, &l), 0);
    mg_ms start = mg_now_ms(), until = start + 20000;
    mg_fetch how = {.max = 1, .lease_ms = 60000, .until = until};
    mg_err err = task ? v->ops->fetch_tasks(v->worker, &how, &tasks, &e)
                      : v->ops->fetch_results(v->coordinator, 1, until, &results, &e);
    mg_ms took = mg_now_ms() - start;
    (void)pthread_join(publisher, NULL);
    mg_ok(err, &e);
    assert_int_equal(l.err, MG_OK);
    assert_true(took < 10000);
    assert_int_equal(tasks.count + results.count, i);
  }
  mg_settle_all(v, v->worker, v->ops->ack, &tasks, 0);
  mg_settle_all(v, v->coordinator, v->ops->ack_results, &results, 0);
  mg_forget_all(v->worker, &tasks);
  mg_forget_all(v->coordinator, &results);
}

static void arrays_of_a_thousand(mg_env *v) {
  mg_batch batch = {0}, results = {0};
  mg_publish_some(v, v->run, 0, 1000, 1);
  mg_fetch_some(v, v->worker, &batch, 1000, 60000);
  for (int i = 0; i < 1000; i++) assert_non_null(mg_find_item(&batch, v->run, i, 1));
  mg_publish_result_of(v, v->worker, v->run, 0, 1000);
  if ((v->ops->capabilities & MG_CAP_EXTEND) != 0) mg_settle_all(v, v->worker, v->ops->extend, &batch, 60000);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
  mg_fetch_results(v, v->coordinator, &results, 1000);
  for (int i = 0; i < 1000; i++) assert_non_null(mg_find_item(&results, v->run, i, 1));
  mg_settle_all(v, v->coordinator, v->ops->ack_results, &results, 0);
  mg_forget_all(v->coordinator, &results);
  mg_expect_no_task(v, v->worker);
}

/* A worker on a thread of its own: asserts may not be used there, what went wrong stands in wrong. */
typedef struct shift {
  mg_env *v;
  int todo;
  const char *wrong;
} shift;

static void *work_a_shift(void *given) {
  shift *s = given;
  const mg_backend_ops *ops = s->v->ops;
  mg_ms end = mg_soon(s->v);
  while (s->todo > 0 && s->wrong == NULL) {
    if (mg_now_ms() >= end) s->wrong = "patience ended";
    mg_batch batch = {0};
    mg_fetch how = {.max = 17, .lease_ms = 60000, .until = mg_now_ms() + 500};
    if (ops->fetch_tasks(s->v->worker, &how, &batch, NULL) != MG_OK) s->wrong = "fetch_tasks";
    for (size_t i = 0; i < batch.count && s->wrong == NULL; i++) {
      mg_publish result = {.run = s->v->run, .task = "t", .attempt = 1, .body = batch.items[i].body};
      if (ops->publish_results(s->v->worker, &result, 1, mg_soon(s->v), NULL) != MG_OK || result.err != MG_OK)
        s->wrong = "publish_results";
      mg_settle settle = {.lease = batch.items[i].lease};
      if (ops->ack(s->v->worker, &settle, 1, mg_soon(s->v), NULL) != MG_OK || settle.err != MG_OK) s->wrong = "ack";
      s->todo--;
    }
    mg_forget_all(s->v->worker, &batch);
  }
  return NULL;
}

static void worker_and_coordinator_at_once(mg_env *v) {
  enum { TASKS = 1000, STEP = 50 };
  shift s = {.v = v, .todo = TASKS};
  pthread_t thread;
  mg_batch results = {0};
  mg_error e = {0};
  assert_int_equal(pthread_create(&thread, NULL, work_a_shift, &s), 0);
  mg_err err = MG_OK;
  mg_ms end = mg_soon(v);
  for (int sent = 0; err == MG_OK && results.count < TASKS && mg_now_ms() < end;) {
    if (sent < TASKS) mg_publish_some(v, v->run, sent, STEP, 1), sent += STEP;
    size_t before = results.count;
    err = v->ops->fetch_results(v->coordinator, 100, mg_now_ms() + (sent < TASKS ? 0 : 500), &results, &e);
    for (size_t i = before; i < results.count && err == MG_OK; i++) {
      mg_settle settle = {.lease = results.items[i].lease};
      err = v->ops->ack_results(v->coordinator, &settle, 1, mg_soon(v), &e);
    }
  }
  (void)pthread_join(thread, NULL);
  mg_ok(err, &e);
  if (s.wrong != NULL) fail_msg("the worker: %s", s.wrong);
  for (int i = 0; i < TASKS; i++) assert_non_null(mg_find_item(&results, v->run, i, 1));
  mg_forget_all(v->coordinator, &results);
  mg_expect_no_task(v, v->worker);
}

#define CASE(f)                                                                                                        \
  { #f, f }
const mg_contract_case mg_contract_tasks[] = {
    CASE(a_task_is_fetched_once_and_acked),
    CASE(tasks_come_in_order),
    CASE(attempts_travel),
    CASE(bodies_are_bytes),
    CASE(large_bodies_come_whole),
    CASE(no_more_than_max_are_fetched),
    CASE(two_workers_share),
    CASE(a_repeated_publish_is_dropped),
    CASE(a_delayed_publish_waits),
    CASE(an_empty_fetch_ends_in_time),
    CASE(wake_fd_ends_a_wait),
    CASE(a_wait_ends_when_something_comes),
    CASE(arrays_of_a_thousand),
    CASE(worker_and_coordinator_at_once),
    {0},
};
