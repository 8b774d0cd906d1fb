/* The coordinator over a connection that fails: everything still counts once, and a broker that stays away ends the run. */
#include "tests/dispatch/faulty_backend.h"
#include "tests/dispatch/run_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void fragile(run_fixture *f, uint64_t cases) {
  faulty_reset();
  fixture_init(f, cases);
  f->backend = &faulty_backend;
}

/* Each so many-th call fails, some before, some after they took effect. */
static void calls_fail(void **state) {
  (void)state;
  static const int every[] = {7, 10, 23};
  for (size_t i = 0; i < 3; i++) {
    run_fixture f;
    fragile(&f, 10000);
    mg_options_set_real(f.options, "lease_seconds", 0.5);
    atomic_store(&faulty.lose_every, every[i]);
    f.world.pace_ms = 5;
    fixture_run(&f);
    fixture_expect_whole(&f);
    printf("  every %d: %u calls failed, %u reconnects, %d requeued, %d repeats dropped\n", every[i], faulty.failed, f.state.reconnects,
           (int)f.state.requeued_tasks, (int)f.state.repeats_dropped);
    assert_true(faulty.failed >= 10);
    assert_true(f.state.reconnects >= 10);
    assert_int_equal(fixture_events(&f, "worker_lost"), 0);
    fixture_fini(&f);
  }
}

typedef struct outage {
  mg_ms from_ms, to_ms; /* since the beginning */
} outage;

static void in_and_out(run_fixture *f) {
  const outage *o = f->mine;
  mg_ms at = mg_now_ms() - f->begun_ms;
  atomic_store(&faulty.down, at >= o->from_ms && at < o->to_ms);
}

/* Silence during an outage is nobody's, however long. */
static void an_outage(void **state) {
  (void)state;
  run_fixture f;
  outage o = {200, 1200};
  fragile(&f, 20000);
  f.world.pace_ms = 5;
  f.tick = in_and_out;
  f.mine = &o;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(fixture_events(&f, "broker_lost"), 1);
  assert_int_equal(fixture_events(&f, "broker_connected"), 1);
  assert_int_equal(fixture_events(&f, "worker_lost"), 0);
  assert_int_equal(f.state.reconnects, 1);
  assert_true(f.took_ms > 1200);
  fixture_fini(&f);
}

/* Nobody beats from the outage's beginning until 150 ms after the coordinator is back. */
static void mute_in_and_out(run_fixture *f) {
  static mg_ms back_ms;
  const outage *o = f->mine;
  mg_run_state s;
  mg_ms at = mg_now_ms() - f->begun_ms;
  in_and_out(f);
  mg_coordinator_read(f->coordinator, &s);
  if (at < o->to_ms || !s.connected) back_ms = at;
  atomic_store(&f->world.mute, at >= o->from_ms && at < back_ms + 150);
}

/* Workers that cannot beat for want of a broker come back a little later than the coordinator: they get their time. */
static void an_outage_for_all(void **state) {
  (void)state;
  run_fixture f;
  outage o = {200, 2000};
  fragile(&f, 20000);
  mg_options_set_real(f.options, "heartbeat_timeout", 1);
  mg_options_set_real(f.options, "heartbeat_interval", 0.33);
  f.world.pace_ms = 5;
  f.tick = mute_in_and_out;
  f.mine = &o;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.reconnects, 1);
  assert_int_equal(fixture_events(&f, "worker_lost"), 0);
  fixture_fini(&f);
}

static void up_at_the_fifth(run_fixture *f) {
  (void)f;
  if (faulty.opens >= 5) atomic_store(&faulty.down, false);
}

static void from_the_beginning(void **state) {
  (void)state;
  run_fixture f;
  fragile(&f, 1000);
  atomic_store(&faulty.down, true);
  f.tick = up_at_the_fifth;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.reconnects, 0);
  assert_true(f.took_ms >= 25 + 50 + 100 + 200); /* it backs off, by half of 50, 100, 200, 400 ms at least */
  fixture_fini(&f);
}

static void for_ever(void **state) {
  (void)state;
  run_fixture f;
  outage o = {200, 1000000};
  fragile(&f, 1000000);
  mg_options_set_real(f.options, "broker_patience_seconds", 0.6);
  f.tick = in_and_out;
  f.mine = &o;
  fixture_run(&f);
  assert_non_null(strstr(f.failed, "no broker for"));
  assert_non_null(strstr(f.failed, "connection refused"));
  assert_true(f.took_ms > 700 && f.took_ms < 15000);
  assert_int_equal(f.tally.cases, 1000000);
  fixture_fini(&f);
}

static void hopeless(void **state) {
  (void)state;
  run_fixture f;
  fragile(&f, 1000);
  atomic_store(&faulty.refuse_open, true);
  fixture_run(&f);
  assert_string_equal(f.failed, "wrong password");
  assert_true(f.took_ms < 15000);
  fixture_fini(&f);
}

/* A broker that is full for a while: the run waits and says so. */
static void out_of_memory(void **state) {
  (void)state;
  run_fixture f;
  fragile(&f, 2000);
  atomic_store(&faulty.again, 4);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_non_null(strstr(f.notes, "the broker is out of memory"));
  fixture_fini(&f);
}

/* global_timeout holds without a broker too. */
static void timeout_in_an_outage(void **state) {
  (void)state;
  run_fixture f;
  outage o = {100, 1000000};
  fragile(&f, 1000000);
  mg_options_set_real(f.options, "global_timeout", 0.5);
  f.tick = in_and_out;
  f.mine = &o;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_true(f.took_ms >= 500 && f.took_ms < 15000);
  fixture_fini(&f);
}

/* --- a broker that hands out again by itself: nothing is taken back, another message stands in --- */

static fake_deed vanish_at_1234(void *owner, const char *worker, const mg_task *t) {
  (void)worker;
  bool there = t->kind == MG_TASK_COUNT && t->first <= 1234 && 1234 < t->first + t->count;
  return there && atomic_fetch_sub((atomic_int *)owner, 1) > 0 ? FAKE_VANISH : FAKE_RUN;
}

static fake_deed drop_at_1234(void *owner, const char *worker, const mg_task *t) { return vanish_at_1234(owner, worker, t) == FAKE_RUN ? FAKE_RUN : FAKE_DROP; }

static fake_deed slow_at_1234(void *owner, const char *worker, const mg_task *t) { return vanish_at_1234(owner, worker, t) == FAKE_RUN ? FAKE_RUN : FAKE_SLOW; }

static void without_reclaim(void **state) {
  (void)state;
  for (int dropped = 0; dropped < 3; dropped++) { /* the last time from a queue without an order: found missing when nothing waits any more */
    run_fixture f;
    atomic_int times = 1;
    fragile(&f, 5000);
    f.backend = dropped < 2 ? &plain_backend : &unordered_backend;
    mg_options_set_real(f.options, "lease_seconds", 0.5);
    f.world.deed = dropped > 0 ? drop_at_1234 : vanish_at_1234;
    f.world.owner = &times;
    fixture_run(&f);
    fixture_expect_whole(&f);
    assert_int_equal(f.state.hedges, 0);
    assert_int_equal(f.state.requeued_tasks, 1);
    assert_int_equal(f.state.repeats_dropped, 0);
    assert_non_null(strstr(f.events, dropped > 0 ? "the broker no longer has it" : "its worker vanished"));
    fixture_fini(&f);
  }
}

/* The one who has it lives: it is neither lost nor sent again, whatever the depth. Nor is it with others' tasks on the queue. */
static void held_without_reclaim(void **state) {
  (void)state;
  run_fixture f;
  atomic_int times = 1;
  fragile(&f, 3000);
  f.backend = &plain_backend;
  mg_options_set_real(f.options, "lease_seconds", 0.3);
  f.world.deed = slow_at_1234;
  f.world.owner = &times;
  f.world.slow_ms = 1500;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.requeued_tasks, 0);
  fixture_fini(&f);
}

/* A case that takes its worker along each time, as the beats tell: its task is cut, it alone is given up, and the workers are told to drop the others. */
static void poison_without_reclaim(void **state) {
  (void)state;
  run_fixture f;
  atomic_int times = 1000;
  fragile(&f, 2000);
  f.backend = &plain_backend;
  mg_options_set_real(f.options, "lease_seconds", 0.5);
  f.world.deed = vanish_at_1234;
  f.world.owner = &times;
  f.tick = fixture_replace_the_gone;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_int_equal(f.state.dead_lettered, 1);
  assert_int_equal(f.tally.cases, 2000);
  for (uint64_t i = 0; i < 2000; i++) assert_int_equal(f.world.runs[i], i != 1234);
  assert_true(f.world.vanished <= 12);
  assert_true(f.world.told_dropped > 0);
  fixture_fini(&f);
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_fail),
      cmocka_unit_test(an_outage),
      cmocka_unit_test(an_outage_for_all),
      cmocka_unit_test(from_the_beginning),
      cmocka_unit_test(for_ever),
      cmocka_unit_test(hopeless),
      cmocka_unit_test(out_of_memory),
      cmocka_unit_test(timeout_in_an_outage),
      cmocka_unit_test(without_reclaim),
      cmocka_unit_test(held_without_reclaim),
      cmocka_unit_test(poison_without_reclaim),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
