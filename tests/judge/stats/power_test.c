#include "judge/stats/power.h"
#include "judge/stats/distributions.h"
#include "tests/judge/near.h"

static void formulas(void **state) {
  (void)state;
  assert_digits(mg_n_mcnemar(.05, .10, .05, .8), 468.567979, 6);
  assert_digits(mg_n_unpaired(.9, .92, .05, .8), 3212.937062, 6);
  assert_digits(mg_n_noninferiority(0, .04, .02, .05, .8), 784.887973, 6);
  assert_int_equal(mg_n_clean(.02, .05), 189);
  assert_nan(mg_n_mcnemar(.05, .05, .05, .8));
  assert_nan(mg_n_unpaired(.9, .9, .05, .8));
  assert_nan(mg_n_unpaired(1.2, .9, .05, .8));
  assert_nan(mg_n_unpaired(.9, -.1, .05, .8));
  assert_nan(mg_n_noninferiority(-.02, .04, .02, .05, .8));
  assert_int_equal(mg_n_clean(0, .05), 0);
}

static void exact_powers(void **state) {
  (void)state;
  assert_digits(mg_power_mcnemar(200, .05, .10, .05, false), .37332746, 8);
  assert_digits(mg_power_mcnemar(200, .05, .10, .05, true), .43465333, 8);
  assert_digits(mg_power_tango(785, .02, .02, -.02, INFINITY, .05), .759723, 6);
  assert_nan(mg_power_mcnemar(200, .6, .6, .05, false));
  assert_nan(mg_power_tango(200, .1, .1, .1, -.1, .05));
  assert_true(mg_power_tango(0, .1, .1, -.1, .1, .05) == 0 && mg_power_mcnemar(0, .1, .1, .05, false) == 0);
  assert_true(mg_power_tango(188, 0, 0, -.02, INFINITY, .05) == 0 && mg_power_tango(189, 0, 0, -.02, INFINITY, .05) == 1);
}

/* Every table of n pairs, one by one. */
static double enumerated(int n, double pb, double pc, double low, double high, int which) {
  double sum = 0;
  for (int b = 0; b <= n; b++)
    for (int c = 0; b + c <= n; c++) {
      mg_pairs p = {(uint64_t)(n - b - c), (uint64_t)b, (uint64_t)c, 0};
      mg_interval i = mg_tango(&p, .95);
      bool hit = which == 0   ? i.low > low && i.high < high
                 : which == 1 ? mg_mcnemar_exact((uint64_t)b, (uint64_t)c) <= .05
                              : mg_mcnemar_midp((uint64_t)b, (uint64_t)c) <= .05;
      if (hit) sum += mg_binomial_pmf(b, n, pb) * mg_binomial_pmf(c, n - b, pc / (1 - pb));
    }
  return sum;
}

static void exact_powers_equal_enumeration(void **state) {
  (void)state;
  static const double shares[][2] = {{.05, .1}, {.02, .02}, {.3, .4}, {0, .2}, {.25, 0}};
  for (size_t i = 0; i < LENGTH(shares); i++)
    for (int n = 5; n <= 65; n += 20) {
      double pb = shares[i][0], pc = shares[i][1];
      uint64_t N = (uint64_t)n;
      assert_digits(mg_power_mcnemar(N, pb, pc, .05, false), enumerated(n, pb, pc, 0, 0, 1), 12);
      assert_digits(mg_power_mcnemar(N, pb, pc, .05, true), enumerated(n, pb, pc, 0, 0, 2), 12);
      assert_digits(mg_power_tango(N, pb, pc, 0, INFINITY, .05), enumerated(n, pb, pc, 0, INFINITY, 0), 12);
      assert_digits(mg_power_tango(N, pb, pc, -.1, INFINITY, .05), enumerated(n, pb, pc, -.1, INFINITY, 0), 12);
      assert_digits(mg_power_tango(N, pb, pc, -.3, .25, .05), enumerated(n, pb, pc, -.3, .25, 0), 12);
    }
}

static void smallest_n_keeps_its_power(void **state) {
  (void)state;
  uint64_t n = mg_n_tango(.02, .02, -.02, INFINITY, .05, .8);
  for (uint64_t ahead = 0; ahead <= 32; ahead++) assert_true(mg_power_tango(n + ahead, .02, .02, -.02, INFINITY, .05) >= .8);
  assert_true(mg_power_tango(n - 1, .02, .02, -.02, INFINITY, .05) < .8);
  assert_int_equal(mg_n_tango(0, 0, -.02, INFINITY, .05, .8), 189);
  assert_int_equal(mg_n_tango(.05, .02, -.02, INFINITY, .05, .8), 0); /* delta -.03 is beyond the margin */
  assert_int_equal(mg_n_tango(.6, .6, -.02, INFINITY, .05, .8), 0);
  assert_int_equal(mg_n_tango(.02, .02, -.02, INFINITY, 0, .8), 0);
  assert_int_equal(mg_n_tango(.02, .02, -.02, INFINITY, .05, 1), 0);
  assert_int_equal(mg_n_tango(.05, .05 + 1e-7, 0, INFINITY, .05, .8), 0); /* beyond 1e9 */
  n = mg_n_tango(.015, .035, 0, INFINITY, .05, .8);
  assert_true(mg_power_tango(n, .015, .035, 0, INFINITY, .05) >= .8 && n > 700 && n < 1300);
}

static void n_that_would_decide(void **state) {
  (void)state;
  /* Clean so far: the oracle's 189. */
  assert_int_equal(mg_n_to_decide(&(mg_pairs){100, 0, 0, 0}, -.02, INFINITY, .05, .5), 189);
  /* Counts scaled to that n decide, scaled to 2 % less they do not. */
  static const struct {
    mg_pairs p;
    double low, high;
    bool adopt;
  } rows[] = {{{3000, 30, 40, 200}, -.01, INFINITY, true}, {{3000, 30, 40, 200}, 0, INFINITY, true}, {{3000, 60, 20, 200}, -.01, INFINITY, false},
              {{3000, 30, 40, 200}, -.01, .01, true},      {{3000, 30, 90, 200}, -.01, .01, false},  {{40, 3, 16, 50}, .1, INFINITY, true},
              {{30, 16, 3, 50}, -INFINITY, -.1, true}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    double total = (double)mg_pairs_total(&rows[i].p);
    uint64_t n = mg_n_to_decide(&rows[i].p, rows[i].low, rows[i].high, .05, .5);
    if (n == mg_pairs_total(&rows[i].p) + 1) continue;
    for (int less = 0; less < 2; less++) {
      double by = (double)n / total * (less ? .98 : 1.001) * 1e6;
      mg_pairs p = {(uint64_t)((double)rows[i].p.both * by), (uint64_t)((double)rows[i].p.base_only * by), (uint64_t)((double)rows[i].p.cand_only * by),
                    (uint64_t)((double)rows[i].p.neither * by)};
      /* A million times as many cases with z a thousand times as large: the same test without rounding of counts. */
      mg_interval t = mg_tango_z(&p, 1959.963984540054);
      bool decided = rows[i].adopt ? t.low > rows[i].low && t.high < rows[i].high : t.high < rows[i].low || t.low > rows[i].high;
      assert_int_equal(decided, !less);
    }
  }
  assert_int_equal(mg_n_to_decide(&(mg_pairs){90, 10, 0, 0}, -.1, INFINITY, .05, .8), 0); /* exactly on the limit */
  assert_int_equal(mg_n_to_decide(&(mg_pairs){0, 0, 0, 0}, -.1, INFINITY, .05, .8), 0);
  assert_int_equal(mg_n_to_decide(&(mg_pairs){9, 1, 0, 0}, 0, INFINITY, 0, .8), 0);
  assert_int_equal(mg_n_to_decide(&(mg_pairs){9, 1, 0, 0}, 0, INFINITY, .05, 1), 0);
  assert_int_equal(mg_n_to_decide(&(mg_pairs){9, 1, 0, 0}, .1, -.1, .05, .8), 0);
  assert_true(mg_n_to_decide(&(mg_pairs){300, 3, 4, 20}, -.01, INFINITY, .05, .8) > mg_n_to_decide(&(mg_pairs){300, 3, 4, 20}, -.01, INFINITY, .05, .5));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(formulas),
      cmocka_unit_test(exact_powers),
      cmocka_unit_test(exact_powers_equal_enumeration),
      cmocka_unit_test(smallest_n_keeps_its_power),
      cmocka_unit_test(n_that_would_decide),
  };
  return run_all(tests);
}
