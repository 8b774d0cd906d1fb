#include "judge/stats/ranks.h"
#include "judge/stats/quantiles.h"
#include "judge/stats/sampling.h"
#include "base/philox.h"
#include "tests/judge/near.h"

#include <stdlib.h>

static const double xs[] = {12.1, 14.3, 11.8, 19.5, 13.2, 15.1, 12.9, 30.4, 14.8, 13.7};
static const double ys[] = {13.0, 15.9, 12.2, 21.7, 13.9, 15.8, 14.1, 29.9, 16.6, 14.4};

static void the_oracles(void **state) {
  (void)state;
  mg_rank_test r;
  assert_int_equal(mg_signed_rank_ratio(xs, ys, 10, .95, &r, NULL), MG_OK);
  assert_true(r.exact && r.statistic == 54);
  assert_digits(r.p, .00390625, 12);
  assert_digits(r.estimate, 1.0721843285, 10);
  assert_interval(r.interval, 1.0401093046, 1.1024153320, 10);
  assert_int_equal(mg_mann_whitney(xs, 10, ys, 10, .95, &r, NULL), MG_OK);
  assert_true(r.exact && r.statistic == 63);
  assert_digits(r.p, .3526813744, 10);
  assert_digits(r.estimate, 1.0, 12);
  assert_interval(r.interval, -1.3, 3.7, 12);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* All 2^n signs and all averages, made and sorted, against the counting of the source. */
static void signed_rank_by_enumeration(void **state) {
  (void)state;
  mg_philox random;
  mg_philox_init(&random, 7, 0, 0);
  print_message("seed 7\n");
  for (int n = 1; n <= 12; n++) {
    double base[12], cand[12], d[12], size[12], averages[78];
    for (int i = 0; i < n; i++) {
      base[i] = 1;
      cand[i] = exp(d[i] = mg_philox_double(&random) - .3);
      d[i] = log(cand[i]);
      size[i] = fabs(d[i]);
    }
    mg_rank_test r;
    assert_int_equal(mg_signed_rank_ratio(base, cand, (size_t)n, .9, &r, NULL), MG_OK);
    qsort(size, (size_t)n, sizeof *size, by_value);
    int v = 0, at_most = 0, at_least = 0, count = 0, counts[79] = {0};
    for (int i = 0; i < n; i++)
      for (int rank = 1; rank <= n; rank++)
        if (fabs(d[i]) == size[rank - 1] && d[i] > 0) v += rank;
    for (int signs = 0; signs < 1 << n; signs++) {
      int w = 0;
      for (int i = 0; i < n; i++) w += signs >> i & 1 ? i + 1 : 0;
      at_most += w <= v;
      at_least += w >= v;
      counts[w]++;
    }
    assert_true(r.statistic == v);
    assert_digits(r.p, fmin(1, 2. * (at_most < at_least ? at_most : at_least) / (1 << n)), 12);
    for (int i = 0; i < n; i++)
      for (int j = i; j < n; j++) averages[count++] = (d[i] + d[j]) / 2;
    qsort(averages, (size_t)count, sizeof *averages, by_value);
    assert_digits(log(r.estimate), (averages[(count - 1) / 2] + averages[count / 2]) / 2, 13);
    int k = 0, sum = counts[0];
    while (sum < .05 * (1 << n)) sum += counts[++k];
    k = k < 1 ? 1 : k;
    assert_digits(log(r.interval.low), averages[k - 1], 13);
    assert_digits(log(r.interval.high), averages[count - k], 13);
  }
}

static void mann_whitney_by_enumeration(void **state) {
  (void)state;
  mg_philox random;
  mg_philox_init(&random, 8, 0, 0);
  print_message("seed 8\n");
  for (int n1 = 1; n1 <= 6; n1++)
    for (int n2 = 1; n2 <= 6; n2++) {
      double x[6], y[6], differences[36];
      int w = 0, at_most = 0, at_least = 0, all = 0, count = 0;
      for (int i = 0; i < n1; i++) x[i] = mg_philox_double(&random);
      for (int j = 0; j < n2; j++) y[j] = mg_philox_double(&random) + .2;
      for (int i = 0; i < n1; i++)
        for (int j = 0; j < n2; j++) {
          w += y[j] > x[i];
          differences[count++] = y[j] - x[i];
        }
      for (int set = 0; set < 1 << (n1 + n2); set++) { /* which ranks are y's */
        if (__builtin_popcount((unsigned)set) != n2) continue;
        int u = 0;
        for (int i = 0; i < n1 + n2; i++)
          for (int j = 0; j < i; j++) u += (set >> i & 1) && !(set >> j & 1);
        all++;
        at_most += u <= w;
        at_least += u >= w;
      }
      mg_rank_test r;
      assert_int_equal(mg_mann_whitney(x, (size_t)n1, y, (size_t)n2, .95, &r, NULL), MG_OK);
      assert_true(r.statistic == w);
      assert_digits(r.p, fmin(1, 2. * (at_most < at_least ? at_most : at_least) / all), 12);
      qsort(differences, (size_t)count, sizeof *differences, by_value);
      assert_digits(r.estimate, (differences[(count - 1) / 2] + differences[count / 2]) / 2, 13);
    }
}

/* The normal branch, on values with ties and zeros: scipy wilcoxon(correction=True), mannwhitneyu(asymptotic). */
static void ties_and_many(void **state) {
  (void)state;
  double x[60], y[60];
  for (int i = 0; i < 60; i++) {
    x[i] = 10 + i % 7;
    y[i] = x[i] + (i % 5) - 1; /* every fifth is equal, differences of logarithms vary */
  }
  mg_rank_test r;
  assert_int_equal(mg_mann_whitney(x, 60, y, 60, .95, &r, NULL), MG_OK);
  assert_false(r.exact);
  static double all[3600];
  int count = 0;
  for (int i = 0; i < 60; i++)
    for (int j = 0; j < 60; j++) all[count++] = y[j] - x[i];
  qsort(all, 3600, sizeof *all, by_value);
  assert_interval(r.interval, all[1426 - 1], all[3600 - 1426], 12); /* floor(1800 - 1.96 x 190.5) */
  assert_true(r.statistic == 2227);
  assert_digits(r.p, .0240524921, 10);
  assert_int_equal(mg_signed_rank_ratio(x, y, 60, .95, &r, NULL), MG_OK);
  assert_false(r.exact);
  assert_true(r.estimate > 1 && r.interval.low > 1 && r.interval.low < r.estimate && r.estimate < r.interval.high);
  count = 0;
  for (int i = 0; i < 60; i++)
    for (int j = i; j < 60; j++) all[count++] = (log(y[i] / x[i]) + log(y[j] / x[j])) / 2;
  qsort(all, 1830, sizeof *all, by_value);
  assert_interval(r.interval, exp(all[648 - 1]), exp(all[1830 - 648]), 12); /* floor(915 - 1.96 x 135.8) */
  assert_true(r.statistic == 1008);
  assert_digits(r.p, 1.6829443e-05, 12);
  /* Few values with a tie across, or within: not exact either. */
  assert_int_equal(mg_mann_whitney(x, 5, x, 3, .95, &r, NULL), MG_OK);
  assert_false(r.exact);
  assert_int_equal(mg_signed_rank_ratio(x, y, 9, .95, &r, NULL), MG_OK);
  assert_false(r.exact);
  for (int i = 0; i < 60; i++) y[i] = x[i];
  assert_int_equal(mg_signed_rank_ratio(x, y, 60, .95, &r, NULL), MG_OK);
  assert_true(r.p == 1 && r.estimate == 1 && r.interval.low == 1 && r.interval.high == 1);
}

static void wrong_and_empty(void **state) {
  (void)state;
  mg_rank_test r;
  mg_error e = {0};
  double zero[] = {1, 0}, one[] = {1, 1}, odd[] = {1, NAN};
  assert_int_equal(mg_signed_rank_ratio(one, zero, 2, .95, &r, &e), MG_ARG);
  assert_non_null(strstr(e.text, "pair 2"));
  assert_int_equal(mg_mann_whitney(one, 2, odd, 2, .95, &r, &e), MG_ARG);
  assert_non_null(strstr(e.text, "value 2 of the second"));
  assert_int_equal(mg_signed_rank_ratio(one, one, 0, .95, &r, NULL), MG_OK);
  assert_true(r.p == 1 && isnan(r.estimate) && r.interval.high == INFINITY);
  assert_int_equal(mg_mann_whitney(one, 0, one, 2, .95, &r, NULL), MG_OK);
  assert_true(r.p == 1 && r.interval.low == -INFINITY);
  assert_int_equal(mg_signed_rank_ratio(one, one, 2, 0, &r, NULL), MG_ARG);
}

static void quantile_ranks(void **state) {
  (void)state;
  mg_rank_interval r = mg_quantile_ranks(100, .95, .95);
  assert_true(r.low == 90 && r.high == 100);
  r = mg_quantile_ranks(400, .95, .95);
  assert_true(r.low == 371 && r.high == 389);
  assert_digits(r.coverage, .9619203585, 10);
  r = mg_quantile_ranks(20, .95, .95);
  assert_true(r.low == 17 && r.high == 21 && r.coverage >= .95); /* open above: 20 values cannot bound it */
  r = mg_quantile_ranks(0, .5, .95);
  assert_true(r.low == 0 && r.high == 1);
  r = mg_quantile_ranks(1000000000, .5, .95);
  assert_true(r.coverage >= .95 && r.high - r.low < 62200);
}

static void quantile_ratios(void **state) {
  (void)state;
  double base[2000], cand[2000], ratio, again;
  mg_philox random;
  mg_philox_init(&random, 11, 0, 0);
  print_message("seeds 11 and 5\n");
  for (int i = 0; i < 2000; i++) {
    base[i] = -log(1 - mg_philox_double(&random)) + .1;
    cand[i] = base[i] * 1.2;
  }
  mg_interval i, j;
  /* Whatever is drawn, a constant factor is the ratio. */
  assert_int_equal(mg_quantile_ratio(base, cand, 2000, .95, .95, 500, 5, &ratio, &i, NULL), MG_OK);
  assert_digits(ratio, 1.2, 12);
  assert_interval(i, 1.2, 1.2, 12);
  for (int k = 0; k < 2000; k++) cand[k] = -log(1 - mg_philox_double(&random)) + .1;
  assert_int_equal(mg_quantile_ratio(base, cand, 2000, .95, .95, 500, 5, &ratio, &i, NULL), MG_OK);
  assert_int_equal(mg_quantile_ratio(base, cand, 2000, .95, .95, 500, 5, &again, &j, NULL), MG_OK);
  assert_true(i.low == j.low && i.high == j.high && ratio == again);
  assert_true(i.low < 1 && i.high > 1 && i.low < ratio && ratio < i.high && i.high - i.low < .4 && i.high - i.low > .1);
  /* Narrower at a lower level, by about the ratio of the normal quantiles (2.4). */
  assert_int_equal(mg_quantile_ratio(base, cand, 2000, .95, .6, 500, 5, &ratio, &j, NULL), MG_OK);
  double narrower = (i.high - i.low) / (j.high - j.low);
  assert_true(narrower > 1.8 && narrower < 3.2);
  assert_int_equal(mg_quantile_ratio(base, cand, 200, .5, .95, 0, 5, &again, &j, NULL), MG_OK);
  assert_true(j.low < again && again < j.high);
  qsort(base, 2000, sizeof *base, by_value);
  qsort(cand, 2000, sizeof *cand, by_value);
  assert_digits(ratio, mg_quantile(cand, 2000, .95) / mg_quantile(base, 2000, .95), 14);
  assert_int_equal(mg_quantile_ratio(base, cand, 1, .95, .95, 0, 5, &ratio, &i, NULL), MG_ARG);
  assert_int_equal(mg_quantile_ratio(base, cand, 2000, 0, .95, 10, 5, &ratio, &i, NULL), MG_ARG);
  assert_int_equal(mg_quantile_ratio(base, cand, 2000, .5, 1, 10, 5, &ratio, &i, NULL), MG_ARG);
  double few[] = {3, 5, 9};
  assert_true(mg_quantile(few, 3, 0) == 3 && mg_quantile(few, 3, 1. / 3) == 3 && mg_quantile(few, 3, .34) == 5 && mg_quantile(few, 3, 1) == 9);
  assert_nan(mg_quantile(few, 0, .5));
  base[0] = 0;
  assert_int_equal(mg_quantile_ratio(base, cand, 2000, .95, .95, 10, 5, &ratio, &i, NULL), MG_ARG);
}

static void flakiness(void **state) {
  (void)state;
  assert_digits(mg_flaky_bound(3, .95), .631597, 6);
  assert_digits(mg_flaky_bound(59, .95), .049508, 6);
  assert_true(mg_flaky_bound(0, .95) == 1 && mg_flaky_bound_seen(3, 3, .95) == 1);
  assert_digits(mg_flaky_bound_seen(1, 100, .95), mg_clopper_pearson(1, 100, .9).high, 12);
  assert_nan(mg_flaky_bound_seen(4, 3, .95));
}

static void coverage_of_labels(void **state) {
  (void)state;
  assert_int_equal(mg_cover_check(0, 0, .05), MG_COVER_OPEN);
  assert_int_equal(mg_cover_check(50, 1000, .05), MG_COVER_OPEN);
  assert_int_equal(mg_cover_check(5000, 100000, .05), MG_COVER_REACHED); /* exactly the share: 90 % of it is proven */
  assert_int_equal(mg_cover_check(4000, 100000, .05), MG_COVER_MISSED);
  assert_int_equal(mg_cover_check(0, 1000, .05), MG_COVER_MISSED);
  assert_int_equal(mg_cover_check(0, 10, 0), MG_COVER_REACHED);
  assert_int_equal(mg_cover_check(11, 10, .5), MG_COVER_OPEN);
  assert_int_equal(mg_cover_check(10, 10, NAN), MG_COVER_OPEN);
}

static void moments(void **state) {
  (void)state;
  mg_moments all = {0}, left = {0}, right = {0};
  for (int i = 0; i < 10; i++) {
    mg_moments_add(&all, ys[i] - xs[i]);
    mg_moments_add(i < 4 ? &left : &right, ys[i] - xs[i]);
  }
  mg_moments_merge(&left, &right);
  assert_digits(left.mean, all.mean, 14);
  assert_digits(left.m2, all.m2, 13);
  /* scipy ttest_1samp(y - x, 0).confidence_interval(.95) */
  assert_digits(all.mean, .97, 13);
  assert_interval(mg_moments_interval(&all, .95), .4178915132, 1.5221084868, 10);
  mg_moments one = {0};
  mg_moments_add(&one, 3);
  assert_nan(mg_moments_sd(&one));
  assert_true(mg_moments_interval(&one, .95).high == INFINITY);
  mg_moments_add(&one, 5);
  assert_digits(mg_moments_sd(&one), 1.4142135624, 10);
  assert_interval(mg_moments_interval(&one, .95), 4 - 12.7062047362, 4 + 12.7062047362, 9); /* t on 1 degree, se 1 */
  assert_nan(mg_moments_interval(&one, 1).low);
  assert_nan(mg_moments_interval(&one, 0).low);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_oracles),
      cmocka_unit_test(signed_rank_by_enumeration),
      cmocka_unit_test(mann_whitney_by_enumeration),
      cmocka_unit_test(ties_and_many),
      cmocka_unit_test(wrong_and_empty),
      cmocka_unit_test(quantile_ranks),
      cmocka_unit_test(quantile_ratios),
      cmocka_unit_test(flakiness),
      cmocka_unit_test(coverage_of_labels),
      cmocka_unit_test(moments),
  };
  return run_all(tests);
}
