#include "base/philox.h"
#include "judge/stats/sum.h"
#include "tests/judge/near.h"

static double drawn(mg_philox *random) {
  double v = ldexp(mg_philox_double(random) - .5, (int)mg_philox_below(random, 600) - 300);
  return v;
}

static void sums_exactly(void **state) {
  (void)state;
  mg_sum s = {{0}, 0};
  const double list[] = {1e100, 1, -1e100, 1e-300, 3.5, -1e-300, 5e-324, -5e-324};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) mg_sum_add(&s, list[i]);
  assert_true(mg_sum_value(&s) == 4.5L);
  mg_sum_add(&s, -4.5);
  assert_true(mg_sum_value(&s) == 0);
  mg_sum_add(&s, -1e150);
  assert_true(mg_sum_value(&s) == (long double)-1e150);
}

static void does_not_depend_on_order(void **state) {
  (void)state;
  mg_sum forward = {{0}, 0}, backward = {{0}, 0}, parts[3] = {{{0}, 0}, {{0}, 0}, {{0}, 0}}, merged = {{0}, 0};
  double list[1000];
  mg_philox random;
  mg_philox_init(&random, 7, 0, 0);
  for (int i = 0; i < 1000; i++) list[i] = drawn(&random);
  for (int i = 0; i < 1000; i++) mg_sum_add(&forward, list[i]);
  for (int i = 999; i >= 0; i--) mg_sum_add(&backward, list[i]);
  for (int i = 0; i < 1000; i++) mg_sum_add(&parts[i % 3], list[i]);
  for (int i = 2; i >= 0; i--) mg_sum_merge(&merged, &parts[i]);
  long double a = mg_sum_value(&forward), b = mg_sum_value(&backward), c = mg_sum_value(&merged);
  assert_true(a == b);
  assert_true(a == c);
}

static void squares_keep_a_small_variance(void **state) {
  (void)state;
  mg_sum sum = {{0}, 0}, squares = {{0}, 0};
  /* Values 1e3 + .001, 1e3 + .002, 1e3 + .003 (as doubles): n S2 - S1^2 loses nothing but what long double cannot say. */
  for (int i = 1; i <= 3; i++) {
    mg_sum_add(&sum, 1e3 + i / 1000.0);
    mg_sum_square(&squares, 1e3 + i / 1000.0);
  }
  long double variance = (mg_sum_value(&squares) - mg_sum_value(&sum) * mg_sum_value(&sum) / 3) / 2;
  assert_relative((double)variance, 1e-6, 1e-4);
  mg_sum tiny = {{0}, 0};
  mg_sum_square(&tiny, 1 + ldexp(1, -52));
  assert_true(mg_sum_value(&tiny) - 1 == ldexpl(1, -51) + ldexpl(1, -104) || mg_sum_value(&tiny) - 1 == ldexpl(1, -51)); /* the second: 64 bits */
  mg_sum_add(&tiny, -1);
  mg_sum_add(&tiny, -ldexp(1, -51));
  assert_true(mg_sum_value(&tiny) == ldexpl(1, -104));
}

static void travels(void **state) {
  (void)state;
  mg_philox random;
  mg_philox_init(&random, 8, 0, 0);
  for (int round = 0; round < 100; round++) {
    mg_sum s = {{0}, 0}, other = {{0}, 0};
    for (int i = 0; i < round; i++) mg_sum_add(&s, drawn(&random));
    bool negative;
    int first;
    uint32_t limbs[MG_SUM_LIMBS];
    int count = mg_sum_pack(&s, &negative, &first, limbs);
    assert_true(mg_sum_unpack(&other, negative, first, limbs, count));
    assert_true(mg_sum_value(&s) == mg_sum_value(&other));
    mg_sum_add(&other, 1);
    mg_sum_add(&s, 1);
    assert_true(mg_sum_value(&s) == mg_sum_value(&other));
    assert_false(mg_sum_unpack(&other, false, MG_SUM_LIMBS - count, limbs, count + 1));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sums_exactly), cmocka_unit_test(does_not_depend_on_order), cmocka_unit_test(squares_keep_a_small_variance),
                                     cmocka_unit_test(travels)};
  return run_all(tests);
}
