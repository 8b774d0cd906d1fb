/* The group of Kafka's workers: partitions that move, and members that are evicted. One real broker for all. Argument: [test]. */
#include "backends/kafka/kafka.h"
#include "tests/brokers/kafka.h"
#include "tests/brokers/sides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };
static mg_test_kafka server;

static mg_options *options(int partitions) { return mg_test_kafka_queue(&server, "group", partitions); }

static mg_sides sides(mg_options *o) { return mg_sides_open(&mg_kafka_backend, o); }

static mg_backend *worker_of(const mg_sides *s, const char *name) { return mg_sides_open_one(s->ops, s->options, name, NULL); }

/* --- partitions that move --- */

/* What the first worker holds when a second one joins does not come to that one, if it is settled in time; and what it gave away it serves again when the
 * other has left. */
static void held_tasks_stay_when_partitions_move(void **state) {
  (void)state;
  mg_sides s = sides(options(4));
  mg_batch held = {0}, others = {0}, rest = {0};
  mg_sides_publish(s.coordinator, 0, 40, false);
  mg_sides_fetch(s.worker, 40, &held);
  mg_sides_expect_each_once(&held, 40);
  mg_backend *second = worker_of(&s, "second");
  bool settled = false;
  for (mg_ms start = mg_now_ms(); others.count < 2;) { /* until it has partitions: new tasks come to it */
    char name[16];
    mg_error e = {0};
    static int next = 40;
    if (mg_now_ms() - start > PATIENCE_MS) fail_msg("the second worker gets no partition");
    (void)mg_sides_fetch_once(second, 50, &others);
    mg_sides_keep_alive(s.worker, 50);
    if (!settled && mg_now_ms() - start > 1500) {
      assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &held), 40); /* all are ours still */
      settled = true;
    }
    if (!settled) continue;
    for (int i = 0; i < 4; i++) {
      (void)snprintf(name, sizeof name, "t%d", next++);
      mg_publish p = {.run = "run", .task = name, .attempt = 1, .body = mg_slice_of(name), .err = MG_FATAL};
      assert_int_equal(s.ops->publish_tasks(s.coordinator, &p, 1, mg_sides_soon(), &e), MG_OK);
    }
  }
  for (size_t i = 0; i < others.count; i++) {
    if (atoi(others.items[i].task + 1) < 40) fail_msg("%s was held by the first worker", others.items[i].task);
  }
  (void)mg_sides_settle(second, s.ops->ack, &others);
  mg_sides_forget(second, &others);
  mg_error e = {0};
  for (size_t heard = 0; heard < 2; mg_batch_clear(&rest)) {
    assert_int_equal(s.ops->beat(s.worker, mg_slice_of("first"), 3000, mg_sides_soon(), &e), MG_OK);
    assert_int_equal(s.ops->beat(second, mg_slice_of("second"), 600000, mg_sides_soon(), &e), MG_OK);
    assert_int_equal(s.ops->read_beats(s.coordinator, mg_sides_soon(), &rest, &e), MG_OK);
    heard = rest.count;
  }
  mg_sides_keep_alive(s.coordinator, 1100); /* a third of what its beats live for, the first one is silent: what was lost goes to the other */
  for (int i = 0; i < 8; i++) {
    mg_publish p = {.run = "run", .task = "lost", .attempt = 2, .body = mg_slice_of("lost"), .err = MG_FATAL};
    assert_int_equal(s.ops->publish_tasks(s.coordinator, &p, 1, mg_sides_soon(), &e), MG_OK);
  }
  for (size_t lost = 0, seen = 0; lost < 8; seen = others.count) {
    mg_sides_fetch(second, seen + 1, &others);
    for (size_t i = seen; i < others.count; i++) lost += strcmp(others.items[i].task, "lost") == 0;
  }
  (void)mg_sides_settle(second, s.ops->ack, &others);
  mg_sides_forget(second, &others);
  s.ops->close(second);
  mg_sides_forget(s.worker, &held);
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; mg_sides_depth(s.coordinator).pending != 0;) { /* all four partitions are served again */
    assert_true(mg_now_ms() < end);
    (void)mg_sides_fetch_once(s.worker, 100, &rest);
    (void)mg_sides_settle(s.worker, s.ops->ack, &rest);
    mg_sides_forget(s.worker, &rest);
  }
  mg_sides_close(&s);
}

/* A worker that is busy for too long with what it holds gives the partition away all the same, and its receipt is void. */
static void nobody_waits_for_ever_for_what_is_held(void **state) {
  (void)state;
  mg_sides s = sides(options(2));
  mg_batch held = {0}, others = {0};
  mg_sides_publish(s.coordinator, 0, 20, false);
  mg_sides_fetch(s.worker, 20, &held);
  mg_backend *second = worker_of(&s, "second");
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; others.count < 10;) {
    if (mg_now_ms() > end) fail_msg("%zu of 10 tasks came to the second worker", others.count);
    (void)mg_sides_fetch_once(second, 100, &others);
    mg_sides_keep_alive(s.worker, 50);
  }
  for (size_t i = 0; i < others.count; i++) assert_true(others.items[i].again); /* somebody had them */
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &held), 10);
  assert_int_equal(mg_sides_settle(second, s.ops->ack, &others), 10);
  mg_sides_forget(s.worker, &held);
  mg_sides_forget(second, &others);
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; mg_sides_depth(s.coordinator).pending != 0; mg_sides_keep_alive(second, 50)) {
    assert_true(mg_now_ms() < end);
    mg_sides_keep_alive(s.worker, 50);
  }
  s.ops->close(second);
  mg_sides_close(&s);
}

static void workers_beyond_the_partitions_wait(void **state) {
  (void)state;
  mg_sides s = sides(options(1));
  mg_batch first = {0}, others = {0};
  mg_sides_publish(s.coordinator, 0, 10, false);
  mg_sides_fetch(s.worker, 10, &first);
  mg_backend *second = worker_of(&s, "second");
  for (int i = 0; i < 20; i++) {
    assert_int_equal(mg_sides_fetch_once(second, 50, &others), 0);
    mg_sides_keep_alive(s.worker, 20);
  }
  mg_batch none = {0};
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &first), 10);
  mg_sides_forget(s.worker, &first);
  mg_sides_publish(s.coordinator, 10, 10, false);
  s.ops->close(s.worker);
  s.worker = second;
  mg_sides_fetch(s.worker, 10, &others);
  for (size_t i = 0; i < others.count; i++) assert_in_range(atoi(others.items[i].task + 1), 10, 19);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &others), 10);
  mg_sides_forget(s.worker, &others);
  assert_int_equal(mg_sides_fetch_once(s.worker, 300, &none), 0);
  mg_sides_close(&s);
}

typedef enum leaving { GIVES_AWAY, CLOSES, STEPS_BACK } leaving;

/* A delayed task that waits in front of them keeps their place from being committed. However its partition goes to others, it alone comes there. */
static void settled_behind_a_delayed_task(leaving how_left) {
  mg_sides s = sides(options(2));
  mg_batch tasks = {0}, others = {0};
  mg_error e = {0};
  const char *const names[] = {"late0", "late1"}, *const over[] = {"run"};
  mg_publish late[2];
  for (int i = 0; i < 2; i++)
    late[i] = (mg_publish){.run = "run", .task = names[i], .attempt = 1, .delay_ms = 600000, .body = mg_slice_of(names[i]), .err = MG_FATAL};
  assert_int_equal(s.ops->publish_tasks(s.coordinator, late, 2, mg_sides_soon(), &e), MG_OK); /* one in each partition */
  mg_sides_publish(s.coordinator, 0, 20, false);
  mg_sides_fetch(s.worker, 20, &tasks);
  mg_sides_expect_each_once(&tasks, 20);
  mg_backend *second = NULL;
  if (how_left == GIVES_AWAY) { /* half of them go, with a task that is settled while they do */
    second = worker_of(&s, "second");
    for (mg_ms end = mg_now_ms() + 800; mg_now_ms() < end;) {
      assert_int_equal(mg_sides_fetch_once(second, 50, &others), 0);
      mg_sides_keep_alive(s.worker, 50);
    }
  }
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 20);
  mg_sides_forget(s.worker, &tasks);
  if (how_left == CLOSES) {
    s.ops->close(s.worker);
    s.worker = NULL;
  }
  if (second == NULL) second = worker_of(&s, "second");
  size_t wanted = how_left == GIVES_AWAY ? 1 : 2, late_ones = 0;
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; late_ones < wanted;) {
    mg_fetch how = {.max = 30, .lease_ms = 60000, .until = mg_now_ms() + 50, .over_runs = over, .over_count = 1};
    if (mg_now_ms() > end) fail_msg("%zu of %zu delayed tasks came to the second worker", late_ones, wanted);
    if (how_left == STEPS_BACK) s.ops->step_back(s.worker);
    if (how_left != CLOSES) mg_sides_keep_alive(s.worker, 50);
    assert_int_equal(s.ops->fetch_tasks(second, &how, &others, &e), MG_OK);
    for (late_ones = 0; late_ones < others.count; late_ones++) {
      if (others.items[late_ones].task[0] != 'l') fail_msg("%s was settled, and came again", others.items[late_ones].task);
    }
  }
  assert_int_equal(mg_sides_settle(second, s.ops->ack, &others), wanted);
  mg_sides_forget(second, &others);
  s.ops->close(second);
  mg_sides_close(&s);
}

static void a_delayed_task_alone_goes_with_its_partition(void **state) {
  (void)state;
  settled_behind_a_delayed_task(GIVES_AWAY);
}

static void a_delayed_task_alone_is_left_by_who_closes(void **state) {
  (void)state;
  settled_behind_a_delayed_task(CLOSES);
}

static void a_delayed_task_alone_is_left_by_who_steps_back(void **state) {
  (void)state;
  settled_behind_a_delayed_task(STEPS_BACK);
}

/* --- members that are evicted, and those that are not --- */

static mg_options *impatient(int partitions) {
  mg_options *o = options(partitions);
  (void)mg_options_set_int(o, "session_timeout_ms", 2000);
  (void)mg_options_set_int(o, "max_poll_interval_ms", 2000);
  return o;
}

static void a_task_longer_than_max_poll_interval_stays(void **state) {
  (void)state;
  mg_sides s = sides(impatient(1));
  mg_batch held = {0}, none = {0};
  mg_sides_publish(s.coordinator, 0, 1, false);
  mg_sides_fetch(s.worker, 1, &held);
  mg_sides_keep_alive(s.worker, 6000);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->extend, &held), 1);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &held), 1);
  mg_sides_forget(s.worker, &held);
  assert_int_equal(mg_sides_fetch_once(s.worker, 300, &none), 0);
  mg_sides_expect_empty(s.coordinator, s.worker);
  mg_sides_close(&s);
}

/* As when its process was stopped: the group goes on without it, its receipts are void, and it joins again. */
static void an_evicted_worker_begins_anew(void **state) {
  (void)state;
  mg_sides s = sides(impatient(1));
  mg_batch held = {0}, others = {0};
  mg_sides_publish(s.coordinator, 0, 5, false);
  mg_sides_fetch(s.worker, 5, &held);
  mg_backend *second = worker_of(&s, "second");
  mg_sides_fetch(second, 5, &others); /* while the first does nothing at all */
  mg_sides_expect_each_once(&others, 5);
  mg_sides_keep_alive(second, 100);
  mg_error e = {0};
  mg_settle item = {.lease = held.items[0].lease, .err = MG_OK};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; item.err != MG_LOST; mg_sides_keep_alive(second, 50)) {
    assert_true(mg_now_ms() < end);
    assert_int_equal(s.ops->service(s.worker, mg_now_ms() + 50, &e), MG_OK);
    assert_int_equal(s.ops->extend(s.worker, &item, 1, mg_sides_soon(), &e), MG_OK);
  }
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &held), 0);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->nack, &held), 0);
  mg_sides_forget(s.worker, &held);
  assert_int_equal(mg_sides_settle(second, s.ops->ack, &others), 5);
  mg_sides_forget(second, &others);
  s.ops->close(second);
  mg_sides_publish(s.coordinator, 5, 3, false);
  mg_sides_fetch(s.worker, 3, &held);
  for (size_t i = 0; i < held.count; i++) assert_in_range(atoi(held.items[i].task + 1), 5, 7); /* what the second had settled is settled */
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &held), 3);
  mg_sides_forget(s.worker, &held);
  mg_sides_close(&s);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(held_tasks_stay_when_partitions_move),       cmocka_unit_test(nobody_waits_for_ever_for_what_is_held),
      cmocka_unit_test(workers_beyond_the_partitions_wait),         cmocka_unit_test(a_delayed_task_alone_goes_with_its_partition),
      cmocka_unit_test(a_delayed_task_alone_is_left_by_who_closes), cmocka_unit_test(a_delayed_task_alone_is_left_by_who_steps_back),
      cmocka_unit_test(a_task_longer_than_max_poll_interval_stays), cmocka_unit_test(an_evicted_worker_begins_anew),
  };
  if (!mg_test_kafka_start(&server, false, NULL)) return 99;
  int failed = mg_sides_group("kafka group", tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL, 150);
  mg_test_kafka_kill(&server);
  return failed;
}
