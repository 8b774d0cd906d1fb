#include "dispatch/batching.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static mg_batching with(void (*set)(mg_options *)) {
  mg_options *o = mg_options_new();
  mg_batching b;
  if (set != NULL) set(o);
  mg_batching_init(&b, o, 65536);
  mg_options_free(o);
  return b;
}

static void fixed_size(mg_options *o) {
  mg_options_set_int(o, "batch_size", 2500);
  mg_options_set_int(o, "max_batch_size", 1000);
}
static void bounds(mg_options *o) {
  mg_options_set_int(o, "min_batch_size", 4);
  mg_options_set_int(o, "initial_batch_size", 2);
  mg_options_set_int(o, "max_batch_size", 100000);
  mg_options_set_real(o, "inflight_factor", 2.5);
}

static void aims_at_a_quarter_second(void **state) {
  (void)state;
  mg_batching b = with(NULL);
  assert_int_equal(b.batch, 10);
  mg_batching_observe(&b, 10, 0.010, 0.02); /* 1 ms a case wants 250, in steps of four */
  assert_int_equal(b.batch, 40);
  mg_batching_observe(&b, 40, 0.040, 0.05);
  assert_int_equal(b.batch, 160);
  mg_batching_observe(&b, 160, 0.160, 0.17);
  assert_in_range(b.batch, 249, 250);
  for (int i = 0; i < 30; i++) mg_batching_observe(&b, b.batch, 0.1 * b.batch, 1); /* 100 ms a case */
  assert_in_range(b.batch, 2, 3);
  for (int i = 0; i < 60; i++) mg_batching_observe(&b, b.batch, 1e-7 * b.batch, 1);
  assert_int_equal(b.batch, 1000);
  for (int i = 0; i < 60; i++) mg_batching_observe(&b, b.batch, 10.0 * b.batch, 100);
  assert_int_equal(b.batch, 1);
}

static void nothing_measured_changes_nothing(void **state) {
  (void)state;
  mg_batching b = with(NULL);
  mg_batching_observe(&b, 0, 1, 1);
  mg_batching_observe(&b, 10, 0, 1);
  assert_int_equal(b.batch, 10);
}

static void keeps_bounds(void **state) {
  (void)state;
  mg_batching b = with(bounds);
  assert_int_equal(b.batch, 4);
  assert_int_equal(b.most, 65536);
  for (int i = 0; i < 60; i++) mg_batching_observe(&b, 4, 100, 100);
  assert_int_equal(b.batch, 4);
  assert_int_equal(mg_batching_limit(&b, 3), 30);
  mg_batching_set(&b, 1000000);
  assert_int_equal(b.batch, 65536);
  mg_batching_set(&b, 1);
  assert_int_equal(b.batch, 1);
}

static void fixed(void **state) {
  (void)state;
  mg_batching b = with(fixed_size);
  for (int i = 0; i < 9; i++) mg_batching_observe(&b, 10, 0.001, 0.002);
  assert_int_equal(b.batch, 2500);
  assert_int_equal(mg_batching_next(&b, 1000000, 8), 2500);
  assert_int_equal(mg_batching_next(&b, 3000, 8), 2500);
  assert_int_equal(mg_batching_next(&b, 7, 8), 7);
}

static void shrinks_towards_the_end(void **state) {
  (void)state;
  mg_batching b = with(NULL);
  b.batch = 1000;
  uint64_t remaining = 20000, tasks = 0;
  uint32_t last = 1000;
  while (remaining > 0) {
    uint32_t n = mg_batching_next(&b, remaining, 4);
    assert_true(n >= 1 && n <= last && n <= remaining);
    last = n;
    remaining -= n;
    tasks++;
  }
  assert_int_equal(last, 1);
  assert_in_range(tasks, 30, 90);
  assert_int_equal(mg_batching_next(&b, 20000, 0), 1000);
}

/* Workers that come to an idle queue find something, whatever the batch became. */
static void leaves_enough_out(void **state) {
  (void)state;
  mg_batching b = with(NULL);
  assert_int_equal(mg_batching_limit(&b, 0), 20);
  b.batch = 1;
  assert_int_equal(mg_batching_limit(&b, 2), 20);
  b.batch = 500;
  assert_int_equal(mg_batching_limit(&b, 0), 20);
  assert_int_equal(mg_batching_limit(&b, 3), 3000);
}

/* Where max_batch_size keeps tasks short, more of them may be out: the work is what is bounded. */
static void reaches_beyond_short_tasks(void **state) {
  (void)state;
  mg_batching b = with(NULL);
  for (int i = 0; i < 60; i++) mg_batching_observe(&b, b.batch, 25e-6 * b.batch, 1);
  assert_int_equal(b.batch, 1000);
  assert_in_range(mg_batching_limit(&b, 2), 39996, 40000);
  for (int i = 0; i < 60; i++) mg_batching_observe(&b, b.batch, 1e-7 * b.batch, 1);
  assert_int_equal(mg_batching_limit(&b, 2), 256000);
  for (int i = 0; i < 60; i++) mg_batching_observe(&b, b.batch, 0.01 * b.batch, 1);
  assert_in_range(mg_batching_limit(&b, 2), 96, 100);
  b = with(NULL);
  mg_batching_set(&b, 10);
  for (int i = 0; i < 60; i++) {
    mg_batching_observe(&b, 10, 25e-6 * 10, 1);
    mg_batching_set(&b, 10); /* a policy that says the same again changes nothing */
  }
  assert_int_equal(mg_batching_limit(&b, 2), 2 * 2 * 640);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(aims_at_a_quarter_second),
      cmocka_unit_test(nothing_measured_changes_nothing),
      cmocka_unit_test(keeps_bounds),
      cmocka_unit_test(fixed),
      cmocka_unit_test(shrinks_towards_the_end),
      cmocka_unit_test(leaves_enough_out),
      cmocka_unit_test(reaches_beyond_short_tasks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
