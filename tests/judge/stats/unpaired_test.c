#include "judge/stats/relative.h"
#include "judge/stats/unpaired.h"
#include "tests/judge/near.h"

static void differences(void **state) {
  (void)state;
  mg_two_rates first = {56, 70, 48, 80}, second = {9, 10, 3, 10}, third = {10, 10, 0, 20};
  assert_interval(mg_newcombe_unpaired(&first, .95), .0524314724, .3338726540, 10);
  assert_interval(mg_newcombe_unpaired(&second, .95), .1705227239, .8090179735, 10);
  assert_interval(mg_newcombe_unpaired(&third, .95), .6790860371, 1, 10);
  assert_interval(mg_agresti_caffo(&first, .95), .0524529266, .3357584555, 10);
  assert_interval(mg_agresti_caffo(&second, .95), .1600008011, .8399991989, 10);
  mg_two_rates turned = {0, 20, 10, 10};
  assert_true(mg_agresti_caffo(&third, .95).high == 1 && mg_agresti_caffo(&turned, .95).low == -1);
  assert_true(mg_newcombe_unpaired(&turned, .95).low == -1);
  assert_interval(mg_newcombe_unpaired(&(mg_two_rates){0, 0, 3, 4}, .95), -1, 1, 15);
  assert_nan(mg_newcombe_unpaired(&(mg_two_rates){5, 4, 3, 4}, .95).low);
  assert_nan(mg_agresti_caffo(&first, 0).low);
  mg_two_rates big = {900000000, 1000000000, 900000000, 1000000000};
  assert_relative(mg_newcombe_unpaired(&big, .95).high, 1.959963984540054 * sqrt(2 * .09 / 1e9), 1e-4);
}

static void ratios(void **state) {
  (void)state;
  mg_two_rates r = {45, 50, 40, 50}, zero = {5, 20, 0, 20};
  assert_digits(mg_relative_risk(&r), 1.125, 14);
  assert_interval(mg_katz(&r, .95), .95238885, 1.32889523, 8);
  assert_interval(mg_koopman(&r, .95), .94975849, 1.36289136, 8);
  assert_interval(mg_relative_unpaired(&r, .95), .95238885, 1.32889523, 8);
  assert_interval(mg_koopman(&zero, .95), 1.45291813, INFINITY, 8);
  assert_interval(mg_relative_unpaired(&zero, .95), 1.45291813, INFINITY, 8);
  assert_nan(mg_katz(&zero, .95).low);
  assert_nan(mg_katz(&(mg_two_rates){5, 4, 1, 4}, .95).low);
  assert_nan(mg_katz(&(mg_two_rates){1, 4, 5, 4}, .95).low);
  /* The other way round: the reciprocal. */
  assert_interval(mg_koopman(&(mg_two_rates){0, 20, 5, 20}, .95), 0, 1 / 1.45291813, 8);
  assert_interval(mg_koopman(&(mg_two_rates){0, 20, 0, 20}, .95), 0, INFINITY, 8);
  assert_nan(mg_relative_risk(&(mg_two_rates){0, 20, 0, 20}));
  assert_nan(mg_koopman(&(mg_two_rates){21, 20, 5, 20}, .95).low);
  assert_nan(mg_koopman(&r, 1).low);
}

static void paired_ratio(void **state) {
  (void)state;
  assert_interval(mg_tang(&(mg_pairs){54, 0, 0, 0}, .95), .9335864119, 1.0711381263, 10);
  /* Score at the ends = -+z with the restricted estimate found by a general optimiser (scipy, Nelder-Mead). */
  assert_interval(mg_tang(&(mg_pairs){53, 8, 16, 9}, .95), .9740405489, 1.3307787890, 9);
  assert_interval(mg_tang(&(mg_pairs){20, 3, 7, 10}, .95), .9037300914, 1.5718174138, 9);
  mg_interval one = mg_tang(&(mg_pairs){20, 3, 7, 10}, .95), other = mg_tang(&(mg_pairs){20, 7, 3, 10}, .95);
  assert_relative(one.low, 1 / other.high, 1e-12);
  assert_true(mg_tang(&(mg_pairs){0, 0, 5, 10}, .95).high == INFINITY && mg_tang(&(mg_pairs){0, 3, 0, 10}, .95).low == 0);
  assert_interval(mg_tang(&(mg_pairs){0, 0, 0, 10}, .95), 0, INFINITY, 10);
  assert_interval(mg_tang(&(mg_pairs){0, 0, 0, 0}, .95), 0, INFINITY, 10);
  assert_interval(mg_tang(&(mg_pairs){1000000000, 10, 10, 0}, .95), 1 - 9.55e-9, 1 + 9.55e-9, 9);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(differences), cmocka_unit_test(ratios), cmocka_unit_test(paired_ratio)};
  return run_all(tests);
}
