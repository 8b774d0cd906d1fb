#include "judge/stats/paired.h"
#include "judge/stats/bayes.h"
#include "judge/stats/distributions.h"
#include "tests/judge/near.h"

static void one_rate(void **state) {
  (void)state;
  assert_interval(mg_wilson(81, 263, .95), .2552885199, .3662095770, 10);
  assert_interval(mg_wilson(0, 20, .95), 0, .1611251581, 10);
  assert_interval(mg_wilson(388, 400, .95), .9483014643, .9827569790, 10);
  assert_interval(mg_wilson(81, 263, .99), .2401369027, .3852825023, 10);
  assert_interval(mg_clopper_pearson(0, 20, .95), 0, .1684334710, 10);
  assert_interval(mg_clopper_pearson(400, 400, .95), .9908201954, 1, 10);
  assert_true(mg_wilson(20, 20, .95).high == 1 && mg_wilson(0, 20, .95).low == 0);
  assert_interval(mg_wilson(0, 0, .95), 0, 1, 15);
  assert_interval(mg_clopper_pearson(0, 0, .95), 0, 1, 15);
  assert_nan(mg_wilson(3, 2, .95).low);
  assert_nan(mg_clopper_pearson(1, 2, 1.5).high);
}

static void newcombe_and_tango(void **state) {
  (void)state;
  static const struct {
    mg_pairs p;
    mg_interval newcombe, tango;
  } rows[] = {
      {{53, 8, 16, 9}, {-.0201040769, .2039158353}, {-.0196589227, .2069107706}},
      {{54, 0, 0, 0}, {-.0664135881, .0664135881}, {-.0664135881, .0664135881}},
      {{900, 25, 12, 63}, {-.0257054438, -.0008100831}, {-.0259538096, -.0011354059}},
      {{392, 0, 8, 0}, {.0063199283, .0389634158}, {.0101683868, .0389634158}},
  };
  for (size_t i = 0; i < LENGTH(rows); i++) {
    assert_interval(mg_newcombe_paired(&rows[i].p, .95), rows[i].newcombe.low, rows[i].newcombe.high, 10);
    assert_interval(mg_tango(&rows[i].p, .95), rows[i].tango.low, rows[i].tango.high, 10);
  }
}

static void tango_against_a_margin(void **state) {
  (void)state;
  double t;
  mg_pairs p = {386, 11, 3, 0};
  assert_digits(mg_tango_test(&p, -.05, &t), .0060475945, 10);
  assert_digits(t, 2.5093549156, 10);
  p = (mg_pairs){188, 0, 0, 0};
  mg_tango_test(&p, -.02, &t);
  assert_digits(t, 1.9587584573, 10);
  p.both = 189;
  mg_tango_test(&p, -.02, &t);
  assert_digits(t, 1.9639610121, 10);
  p = (mg_pairs){0, 0, 0, 0};
  assert_true(mg_tango_test(&p, -.02, NULL) == 1);
  assert_nan(mg_tango_test(&(mg_pairs){1, 1, 1, 1}, 2, NULL));
}

/* The ends of the interval are where the test turns, at any size; swapping the roles mirrors it. */
static void tango_ends_are_where_the_test_turns(void **state) {
  (void)state;
  static const mg_pairs rows[] = {{53, 8, 16, 9},       {900, 25, 12, 63}, {400, 1, 0, 0}, {0, 5, 0, 0}, {900000000, 50000000, 1000, 0},
                                  {999999999, 0, 1, 0}, {1, 0, 0, 0}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    mg_pairs p = rows[i], swapped = {p.both, p.cand_only, p.base_only, p.neither};
    mg_interval ends = mg_tango(&p, .95), mirror = mg_tango(&swapped, .95);
    double t;
    if (ends.low > -1) {
      mg_tango_test(&p, ends.low, &t);
      assert_relative(t, 1.959963984540054, 1e-5);
    }
    if (ends.high < 1) {
      mg_tango_test(&p, ends.high, &t);
      assert_relative(t, -1.959963984540054, 1e-5);
    }
    assert_digits(mirror.low, -ends.high, 14);
    assert_digits(mirror.high, -ends.low, 14);
    assert_true(ends.low <= mg_pairs_delta(&p) && mg_pairs_delta(&p) <= ends.high);
  }
}

static void nothing_to_go_on(void **state) {
  (void)state;
  mg_pairs none = {0, 0, 0, 0}, clean = {1000000000, 0, 0, 0};
  assert_interval(mg_tango(&none, .95), -1, 1, 15);
  assert_interval(mg_newcombe_paired(&none, .95), -1, 1, 15);
  assert_true(mg_pairs_delta(&none) == 0);
  double half = 1.959963984540054 * 1.959963984540054 / (1e9 + 1.959963984540054 * 1.959963984540054);
  assert_relative(mg_tango(&clean, .95).high, half, 1e-9);
  assert_relative(mg_newcombe_paired(&clean, .95).low, -half, 1e-6);
  assert_nan(mg_tango(&clean, 0).low);
  assert_nan(mg_newcombe_paired(&clean, 1).low);
}

static void mcnemar(void **state) {
  (void)state;
  static const struct {
    uint64_t b, c;
    double exact, midp;
  } rows[] = {{1, 6, .125, .0703125}, {2, 12, .0129394531, .0073852539}, {11, 3, .0573730469, .0351562500}, {5, 5, 1, .8769531250}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    assert_digits(mg_mcnemar_exact(rows[i].b, rows[i].c), rows[i].exact, 10);
    assert_digits(mg_mcnemar_midp(rows[i].b, rows[i].c), rows[i].midp, 10);
    assert_digits(mg_mcnemar_midp(rows[i].c, rows[i].b), rows[i].midp, 10);
  }
  assert_true(mg_mcnemar_exact(0, 0) == 1 && mg_mcnemar_midp(0, 0) == 1 && mg_mcnemar_worse(0, 0) == 1);
  assert_digits(mg_mcnemar_worse(6, 1), .0625, 12);
}

static void bootstrap(void **state) {
  (void)state;
  static const struct {
    uint64_t b, c, n;
    double low, high, z0, acc, bca_low, bca_high;
  } rows[] = {
      {2, 12, 50, 3, 17, .00976154, .00962250, 4, 17},
      {11, 3, 400, -16, -1, -.02331213, -.02319774, -16, -1},
      {25, 12, 1000, -25, -1, -.00866025, -.00862062, -25, -2},
  };
  for (size_t i = 0; i < LENGTH(rows); i++) {
    mg_pairs p = {rows[i].n - rows[i].b - rows[i].c, rows[i].b, rows[i].c, 0};
    mg_interval plain, bca;
    double z0, acc, n = (double)rows[i].n;
    assert_true(mg_bootstrap(&p, .95, &plain) && mg_bootstrap_bca(&p, .95, &bca, &z0, &acc));
    assert_digits(plain.low * n, rows[i].low, 9);
    assert_digits(plain.high * n, rows[i].high, 9);
    assert_digits(z0, rows[i].z0, 8);
    assert_digits(acc, rows[i].acc, 8);
    assert_digits(bca.low * n, rows[i].bca_low, 9);
    assert_digits(bca.high * n, rows[i].bca_high, 9);
  }
}

/* P(D* <= k) by the double sum over the trinomial, the slow way the header's one must agree with. */
static double slow_quantile(int b, int c, int n, double p) {
  double total = 0;
  for (int k = -n; k <= n; k++) {
    for (int x = k < 0 ? -k : 0; 2 * x + k <= n; x++) {
      int y = x + k, rest = n - x - y;
      if ((b == 0 && x) || (c == 0 && y) || (n == b + c && rest)) continue;
      double e = lgamma(n + 1) - lgamma(x + 1) - lgamma(y + 1) - lgamma(rest + 1);
      if (x) e += x * log((double)b / n);
      if (y) e += y * log((double)c / n);
      if (rest) e += rest * log((double)(n - b - c) / n);
      total += exp(e);
    }
    if (total >= p - 1e-12) return k;
  }
  return n;
}

static void bootstrap_equals_the_double_sum(void **state) {
  (void)state;
  for (int n = 1; n <= 40; n += 3)
    for (int b = 0; b <= n; b += 1 + n / 7)
      for (int c = 0; b + c <= n; c += 1 + n / 5) {
        mg_pairs p = {(uint64_t)(n - b - c), (uint64_t)b, (uint64_t)c, 0};
        mg_interval i;
        assert_true(mg_bootstrap(&p, .9, &i) == (b + c > 0));
        if (b + c == 0) continue;
        assert_digits(i.low * n, slow_quantile(b, c, n, .05), 9);
        assert_digits(i.high * n, slow_quantile(b, c, n, .95), 9);
      }
}

static void bootstrap_without_discordant_pairs_is_tango(void **state) {
  (void)state;
  mg_interval i;
  mg_pairs p = {54, 0, 0, 3};
  assert_false(mg_bootstrap(&p, .95, &i));
  assert_interval(i, mg_tango(&p, .95).low, mg_tango(&p, .95).high, 15);
  assert_false(mg_bootstrap_bca(&p, .95, &i, NULL, NULL));
  assert_interval(i, mg_tango(&p, .95).low, mg_tango(&p, .95).high, 15);
  p = (mg_pairs){0, 0, 50, 0};
  assert_true(mg_bootstrap_bca(&p, .95, &i, NULL, NULL));
  assert_interval(i, 1, 1, 15);
  /* Without a concordant pair D* has the parity of n: D* = 2 X - n with X binomial. */
  for (uint64_t n = 1000; n <= 1001; n++) {
    p = (mg_pairs){0, n / 2, n - n / 2, 0};
    double x = 0;
    while (mg_binomial_cdf(x, (double)n, (double)p.cand_only / (double)n) < .025) x++;
    assert_true(mg_bootstrap(&p, .95, &i));
    assert_digits(i.low * (double)n, 2 * x - (double)n, 9);
  }
  /* At n = 1e9 it is the normal interval. */
  p = (mg_pairs){900000000, 50000000, 50000000, 0};
  assert_true(mg_bootstrap(&p, .95, &i));
  assert_relative(i.high, 1.959963984540054 * sqrt(.1 / 1e9), 1e-4);
}

static void bayes(void **state) {
  (void)state;
  assert_digits(mg_bayes_better(&(mg_pairs){36, 2, 12, 0}), .9973912850, 10);
  assert_digits(mg_bayes_better(&(mg_pairs){386, 11, 3, 0}), .0143087850, 10);
  assert_digits(mg_bayes_unpaired_better(45, 50, 40, 50), .92003015, 8);
  assert_interval(mg_bayes_unpaired(45, 50, 40, 50, .95), -.03963343, .23891619, 8);
  /* scipy: quadrature of betainc over a beta density, to 1e-12. */
  assert_interval(mg_bayes_paired(&(mg_pairs){53, 8, 16, 9}, .95), -.0179751930, .2010954480, 10);
  assert_interval(mg_bayes_paired(&(mg_pairs){54, 0, 0, 0}, .95), -.0387357303, .0387357303, 10);
  assert_interval(mg_bayes_paired(&(mg_pairs){0, 0, 10, 0}, .95), .4981265152, .9873873060, 10);
  assert_digits(mg_bayes_unpaired(50, 50, 0, 50, .95).high, .9994962645, 10);
  mg_interval prior = mg_bayes_paired(&(mg_pairs){0, 0, 0, 0}, .95), big = mg_bayes_paired(&(mg_pairs){900000000, 1000, 900, 0}, .95);
  assert_digits(prior.low, -prior.high, 9);
  mg_interval tango = mg_tango(&(mg_pairs){900000000, 1000, 900, 0}, .95);
  assert_relative(big.low, tango.low, .01);
  assert_nan(mg_bayes_unpaired(3, 2, 1, 2, .95).low);
  assert_nan(mg_bayes_unpaired(1, 2, 3, 2, .95).low);
  assert_nan(mg_bayes_unpaired_better(3, 2, 1, 2));
  assert_nan(mg_bayes_unpaired_better(1, 2, 3, 2));
  assert_digits(mg_bayes_unpaired_better(2, 2, 2, 2), .5, 9);
  assert_nan(mg_bayes_paired(&(mg_pairs){1, 1, 1, 1}, 7).low);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_rate),
      cmocka_unit_test(newcombe_and_tango),
      cmocka_unit_test(tango_against_a_margin),
      cmocka_unit_test(tango_ends_are_where_the_test_turns),
      cmocka_unit_test(nothing_to_go_on),
      cmocka_unit_test(mcnemar),
      cmocka_unit_test(bootstrap),
      cmocka_unit_test(bootstrap_equals_the_double_sum),
      cmocka_unit_test(bootstrap_without_discordant_pairs_is_tango),
      cmocka_unit_test(bayes),
  };
  return run_all(tests);
}
