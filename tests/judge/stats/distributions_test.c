/* Values from scipy 1.17 (checked with mpmath at 40 digits where marked *). */
#include "judge/stats/distributions.h"
#include "tests/judge/near.h"

static void normal_quantiles(void **state) {
  (void)state;
  static const double rows[][2] = {{.975, 1.959963984540054},  {.5, 0}, {1e-300, -37.0470962993612}, {.8, .8416212335729143}, {.9999, 3.719016485455709},
                                   {1e-9, -5.9978070150076865}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    near_check(mg_normal_quantile(rows[i][0]), rows[i][1], 1e-13 * (1 + fabs(rows[i][1])), "quantile", __FILE__, __LINE__);
    assert_relative(mg_normal_cdf(rows[i][1]), rows[i][0], 1e-11);
  }
  assert_digits(mg_normal_z(.95), 1.959963984540054, 14);
  assert_relative(mg_normal_sf(8), 6.220960574271785e-16, 1e-13);
  assert_true(mg_normal_quantile(0) == -INFINITY && mg_normal_quantile(1) == INFINITY);
  assert_nan(mg_normal_quantile(1.5));
  assert_nan(mg_normal_z(1));
  assert_nan(mg_normal_z(NAN));
}

static void beta_tails_at_all_sizes(void **state) {
  (void)state;
  static const struct {
    double a, b, x, lower, upper;
  } rows[] = {
      {2, 3, .2, .1808, .8192},
      {.5, .5, .3, .36901011956554552, .63098988043445448},
      {54763854.937217236, .8717230312241354, .9999998739270689, .00070526913212735044, .99929473086787265} /* * */,
      {.8759325566234681, 94456594.11521928, 2.6343144310507236e-08, .934377081886818719, .065622918113181281} /* * */,
      {1e6, 2e6, .3333, .45131470497842291, .54868529502157709},
  };
  for (size_t i = 0; i < LENGTH(rows); i++) {
    assert_relative(mg_beta_cdf(rows[i].a, rows[i].b, rows[i].x), rows[i].lower, 1e-11);
    assert_relative(mg_beta_sf(rows[i].a, rows[i].b, rows[i].x), rows[i].upper, 1e-11);
  }
  assert_true(mg_beta_cdf(2, 3, 0) == 0 && mg_beta_sf(2, 3, 0) == 1 && mg_beta_cdf(2, 3, 1) == 1);
  assert_nan(mg_beta_cdf(0, 1, .5));
  assert_true(mg_beta_pdf(.5, 2, 0) == INFINITY && mg_beta_pdf(2, 1, 1) == 2 && mg_beta_pdf(2, 2, -1) == 0 && mg_beta_pdf(2, 2, 1.5) == 0);
  assert_digits(mg_beta_pdf(2, 3, .2), 1.536, 12);
}

static void beta_quantiles_invert(void **state) {
  (void)state;
  static const double shapes[] = {.5, 1, 3.25, 40, 1e4, 1e7, 1e9}, tails[] = {1e-12, .001, .025, .4, .5, .6, .975, .9999999};
  for (size_t i = 0; i < LENGTH(shapes); i++)
    for (size_t j = 0; j < LENGTH(shapes); j++)
      for (size_t k = 0; k < LENGTH(tails); k++) {
        double a = shapes[i], b = shapes[j], p = tails[k], x = mg_beta_quantile(a, b, p);
        /* One last place of x moves the tail by the density times that. */
        double back = mg_beta_cdf(a, b, x), noise = x < 1 ? mg_beta_pdf(a, b, x) * x * 4e-16 : 1;
        near_check(back, p, 1e-9 * fmin(p, 1 - p) + 2 * noise, "I(quantile(p))", __FILE__, __LINE__);
      }
  assert_digits(mg_beta_quantile(2, 3, .025), .0675859864885, 12);
  assert_true(mg_beta_quantile(2, 3, 0) == 0 && mg_beta_quantile(2, 3, 1) == 1);
}

static void binomial_sums(void **state) {
  (void)state;
  double sum = 0;
  for (int k = 0; k <= 30; k++) {
    sum += mg_binomial_pmf(k, 30, .37);
    assert_digits(mg_binomial_cdf(k, 30, .37), sum, 13);
    assert_digits(mg_binomial_sf(k, 30, .37), 1 - sum, 13);
  }
  assert_digits(sum, 1, 14);
  assert_relative(mg_binomial_pmf(5, 10, .5), 252. / 1024, 1e-14);
  assert_relative(mg_binomial_pmf(500000000, 1e9, .5), 2.5231325214e-05, 1e-9);
  assert_relative(mg_binomial_pmf(0, 1e9, 1e-12), .9990004998333750, 1e-12);
  assert_true(mg_binomial_pmf(2.5, 10, .5) == 0 && mg_binomial_cdf(-1, 10, .5) == 0 && mg_binomial_cdf(10, 10, .5) == 1);
  assert_true(mg_binomial_pmf(0, 0, .5) == 1 && mg_binomial_cdf(3, 10, 0) == 1 && mg_binomial_cdf(3, 10, 1) == 0);
  assert_nan(mg_binomial_cdf(1, 10, 1.1));
}

static void student(void **state) {
  (void)state;
  static const double rows[][3] = {
      {.975, 7, 2.3646242515927844}, {.975, 1, 12.706204736174698}, {.6, 3, .2766706623326898}, {.999, 30, 3.3851848668293045}, {1e-6, 4, -41.577854150450975}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    assert_relative(mg_student_quantile(rows[i][0], rows[i][1]), rows[i][2], 1e-10);
    assert_relative(mg_student_cdf(rows[i][2], rows[i][1]), rows[i][0], 1e-10);
    assert_digits(mg_student_sf(rows[i][2], rows[i][1]), 1 - rows[i][0], 11);
  }
  assert_true(mg_student_quantile(.5, 3) == 0 && mg_student_cdf(-INFINITY, 3) == 0);
  assert_digits(mg_student_quantile(.975, INFINITY), 1.959963984540054, 13);
  assert_nan(mg_student_quantile(.5, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normal_quantiles), cmocka_unit_test(beta_tails_at_all_sizes), cmocka_unit_test(beta_quantiles_invert), cmocka_unit_test(binomial_sums),
      cmocka_unit_test(student),
  };
  return run_all(tests);
}
