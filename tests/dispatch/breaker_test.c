#include "dispatch/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mg_breaker breaker(void) { return (mg_breaker){.timeout_ms = 300, .interval_ms = 100, .threshold = 3}; }

static mg_beat_news beat(mg_breaker *b, const char *name, uint64_t counter, mg_ms at) {
  mg_beat m = {.counter = counter, .executors = 2, .executors_up = 2};
  int worker;
  (void)snprintf(m.worker, sizeof m.worker, "%s", name);
  return mg_breaker_beat(b, &m, at, &worker);
}

static void counters_are_signs_of_life(void **state) {
  (void)state;
  mg_breaker b = breaker();
  assert_int_equal(beat(&b, "a", 5, 1000), MG_BEAT_FIRST);
  assert_int_equal(beat(&b, "a", 6, 1100), MG_BEAT_AGAIN);
  assert_int_equal(beat(&b, "a", 6, 1200), MG_BEAT_OLD); /* the same one, read twice */
  assert_int_equal(beat(&b, "a", 5, 1300), MG_BEAT_OLD);
  assert_int_equal(b.seen[0].last_beat_ms, 1100);
  assert_int_equal(mg_breaker_executors(&b), 2);
  mg_breaker_fini(&b);
}

static void silence(void **state) {
  (void)state;
  mg_breaker b = breaker();
  int lost[4];
  bool all;
  beat(&b, "a", 1, 1000);
  beat(&b, "b", 1, 1200);
  assert_int_equal(mg_breaker_silent(&b, 1300, lost, &all), 0);
  assert_false(all);
  assert_int_equal(mg_breaker_silent(&b, 1301, lost, &all), 1);
  assert_int_equal(lost[0], 0);
  assert_false(all);
  assert_int_equal(mg_breaker_silent(&b, 1501, lost, &all), 2);
  assert_true(all);
  mg_breaker_restart(&b, 1400);
  assert_int_equal(mg_breaker_silent(&b, 1501, lost, &all), 0);
  mg_breaker_fini(&b);
}

static void quarantine_until_steady(void **state) {
  (void)state;
  mg_breaker b = breaker();
  beat(&b, "a", 1, 1000);
  beat(&b, "b", 1, 1000);
  beat(&b, "b", 2, 1290);
  assert_true(mg_breaker_lose(&b, 0, 1301));
  assert_true(b.seen[0].lost && b.seen[0].quarantined);
  assert_int_equal(mg_breaker_executors(&b), 2);
  assert_int_equal(mg_breaker_alive(&b), 1);
  assert_int_equal(mg_breaker_spare(&b), -1);
  assert_int_equal(beat(&b, "a", 2, 2000), MG_BEAT_BACK);
  assert_false(b.seen[0].lost);
  assert_int_equal(mg_breaker_executors(&b), 2); /* still kept from work */
  assert_int_equal(beat(&b, "a", 3, 2100), MG_BEAT_AGAIN);
  assert_int_equal(beat(&b, "a", 4, 2400), MG_BEAT_AGAIN); /* three intervals: not steady, counts anew */
  assert_int_equal(beat(&b, "a", 5, 2500), MG_BEAT_AGAIN);
  assert_int_equal(beat(&b, "a", 6, 2600), MG_BEAT_PARDONED);
  assert_int_equal(mg_breaker_executors(&b), 4);
  mg_breaker_fini(&b);
}

/* By a coordinator that is gone: the one that there is now hears of it, and ends it. */
static void quarantine_of_another(void **state) {
  (void)state;
  mg_breaker b = breaker();
  int worker;
  beat(&b, "b", 1, 1000);
  for (uint64_t i = 1; i <= 7; i++) {
    mg_beat m = {.worker = "a", .counter = i, .executors = 2, .executors_up = 2, .quarantined = true};
    mg_beat_news news = mg_breaker_beat(&b, &m, 1000 + 100 * (mg_ms)i, &worker);
    assert_int_equal(news, i == 3 || i == 6 ? MG_BEAT_PARDONED : i == 1 ? MG_BEAT_FIRST : MG_BEAT_AGAIN); /* it may have missed the first pardon */
  }
  assert_int_equal(mg_breaker_executors(&b), 2);
  assert_int_equal(beat(&b, "a", 8, 1800), MG_BEAT_AGAIN);
  assert_int_equal(beat(&b, "a", 9, 1900), MG_BEAT_PARDONED);
  assert_int_equal(beat(&b, "a", 10, 2000), MG_BEAT_AGAIN);
  assert_int_equal(mg_breaker_executors(&b), 4);
  mg_breaker_fini(&b);
}

static void never_the_last(void **state) {
  (void)state;
  mg_breaker b = breaker();
  beat(&b, "a", 1, 1000);
  assert_false(mg_breaker_lose(&b, 0, 5000));
  assert_true(b.seen[0].lost);
  assert_false(b.seen[0].quarantined);
  /* Two workers: the quarantined one is let in when the other goes. */
  mg_breaker_fini(&b);
  b = breaker();
  beat(&b, "a", 1, 1000);
  beat(&b, "b", 1, 1400);
  assert_true(mg_breaker_lose(&b, 0, 1400));
  beat(&b, "a", 2, 1500);
  assert_int_equal(mg_breaker_spare(&b), -1);
  assert_false(mg_breaker_lose(&b, 1, 1800));
  assert_int_equal(mg_breaker_spare(&b), 0);
  assert_int_equal(mg_breaker_executors(&b), 2);
  mg_breaker_fini(&b);
}

static void leaving_is_no_loss(void **state) {
  (void)state;
  mg_breaker b = breaker();
  int lost[1], worker;
  bool all;
  beat(&b, "a", 1, 1000);
  mg_beat m = {.counter = 2, .leaving = true, .worker = "a"};
  assert_int_equal(mg_breaker_beat(&b, &m, 1100, &worker), MG_BEAT_LEAVING);
  assert_int_equal(mg_breaker_silent(&b, 9000, lost, &all), 0);
  assert_int_equal(mg_breaker_alive(&b), 0);
  assert_int_equal(mg_breaker_executors(&b), 0);
  mg_breaker_fini(&b);
}

/* Beats of earlier runs' workers stand on a shared queue for a while. */
static void strangers(void **state) {
  (void)state;
  mg_breaker b = breaker();
  int worker;
  mg_beat m = {.counter = 9, .leaving = true, .worker = "left"};
  assert_int_equal(mg_breaker_beat(&b, &m, 1000, &worker), MG_BEAT_OLD);
  assert_int_equal(b.count, 0);
  beat(&b, "stale", 7, 1000);
  assert_false(mg_breaker_was_here(&b, 0));
  beat(&b, "stale", 8, 1100);
  assert_true(mg_breaker_was_here(&b, 0));
  mg_breaker_fini(&b);
}

/* One missed beat of a threshold of one is told from a beat that is on its way. */
static void grace(void **state) {
  (void)state;
  mg_breaker b = {.timeout_ms = 10000, .interval_ms = 100, .threshold = 1};
  int lost[1];
  bool all;
  beat(&b, "a", 1, 1000);
  assert_int_equal(mg_breaker_silent(&b, 1140, lost, &all), 0);
  assert_int_equal(mg_breaker_silent(&b, 1150, lost, &all), 1);
  mg_breaker_fini(&b);
}

static void takes_the_tasks(void **state) {
  (void)state;
  mg_breaker b = breaker();
  int worker;
  mg_beat m = {.worker = "a", .counter = 1, .task_count = 2, .tasks = calloc(2, sizeof *m.tasks)};
  (void)mg_breaker_beat(&b, &m, 1000, &worker);
  assert_null(m.tasks);
  assert_int_equal(b.peers[worker].task_count, 2);
  beat(&b, "a", 2, 1100);
  assert_int_equal(b.peers[worker].task_count, 0);
  assert_int_equal(mg_breaker_find(&b, "a"), 0);
  assert_int_equal(mg_breaker_find(&b, "b"), -1);
  mg_breaker_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counters_are_signs_of_life), cmocka_unit_test(silence), cmocka_unit_test(quarantine_until_steady),
      cmocka_unit_test(quarantine_of_another), cmocka_unit_test(never_the_last),
      cmocka_unit_test(leaving_is_no_loss),         cmocka_unit_test(grace),   cmocka_unit_test(takes_the_tasks),         cmocka_unit_test(strangers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
