#include "judge/stats/clusters.h"
#include "judge/stats/multiple.h"
#include "tests/judge/near.h"

static const mg_cluster eight[] = {{0, 2, 10}, {1, 1, 8}, {0, 0, 12}, {0, 3, 10}, {2, 1, 10}, {0, 0, 5}, {0, 1, 15}, {1, 4, 10}};

static void robust(void **state) {
  (void)state;
  mg_clustered r;
  assert_true(mg_cluster_robust(eight, 8, .95, &r));
  assert_digits(r.delta, .1, 12);
  assert_digits(r.se, .0527460222, 10);
  assert_interval(r.interval, -.0247245232, .2247245232, 10);
  assert_digits(r.design_effect, 1.171429, 6);
  assert_int_equal(r.clusters, 8);
}

static void refuses_fewer_than_two(void **state) {
  (void)state;
  mg_clustered r;
  mg_error e = {0};
  mg_cluster one_and_empty[] = {{0, 2, 10}, {0, 0, 0}};
  assert_false(mg_cluster_robust(one_and_empty, 2, .95, &r));
  assert_nan(r.delta);
  assert_int_equal(r.clusters, 1);
  assert_int_equal(mg_cluster_bootstrap(one_and_empty, 2, .95, 0, 1, &r, &e), MG_ARG);
  assert_non_null(strstr(e.text, "2 clusters"));
  assert_false(mg_cluster_robust(eight, 8, 1, &r));
}

/* Clusters of one case each are no clusters: the design effect is G/(G-1). */
static void single_cases(void **state) {
  (void)state;
  mg_cluster cases[400] = {0};
  for (int i = 0; i < 400; i++) cases[i] = (mg_cluster){i < 11, i >= 397, 1};
  mg_clustered r;
  assert_true(mg_cluster_robust(cases, 400, .95, &r));
  assert_relative(r.design_effect, 400. / 399, 1e-12);
}

/* What a verdict rests on is never narrower, and has a width where nothing differs: that of as many cases as there are clusters. */
static void for_a_verdict(void **state) {
  (void)state;
  mg_clustered r;
  mg_cluster same[30];
  for (int i = 0; i < 30; i++) same[i] = (mg_cluster){0, 0, 100};
  assert_true(mg_cluster_robust(same, 30, .95, &r));
  assert_true(r.interval.low == 0 && r.interval.high == 0);
  mg_interval v = mg_cluster_verdict(same, 30, .95, r.interval);
  double t = 2.045229642; /* Student's .975 quantile of 29 degrees; Tango without any differing pair reaches z^2/(n + z^2) */
  assert_digits(v.high, t * t / (30 + t * t), 8);
  assert_digits(v.low, -v.high, 12);
  assert_true(mg_cluster_robust(eight, 8, .95, &r));
  v = mg_cluster_verdict(eight, 8, .95, r.interval);
  assert_true(v.low <= r.interval.low && v.high >= r.interval.high && v.low > -.2 && v.high < .4);
  v = mg_cluster_verdict(eight, 1, .95, r.interval);
  assert_true(v.low == -1 && v.high == 1);
  /* Swapping the roles mirrors it. */
  mg_cluster swapped[8];
  for (int i = 0; i < 8; i++) swapped[i] = (mg_cluster){eight[i].cand_only, eight[i].base_only, eight[i].n};
  mg_interval a = mg_cluster_verdict(eight, 8, .95, (mg_interval){0, 0}), b = mg_cluster_verdict(swapped, 8, .95, (mg_interval){0, 0});
  assert_digits(a.low, -b.high, 9);
  assert_digits(a.high, -b.low, 9);
  /* Many clusters of which many differ: the sandwich's own, all but. */
  static mg_cluster many[2000];
  for (int i = 0; i < 2000; i++) many[i] = (mg_cluster){i % 3 == 0 ? 2 : 0, i % 4 == 0 ? 2 : 0, 10};
  assert_true(mg_cluster_robust(many, 2000, .95, &r));
  v = mg_cluster_verdict(many, 2000, .95, r.interval);
  assert_true(v.high - v.low < 1.05 * (r.interval.high - r.interval.low));
}

static void resampled(void **state) {
  (void)state;
  mg_clustered once, again, other;
  print_message("seeds 42 and 43\n");
  assert_int_equal(mg_cluster_bootstrap(eight, 8, .95, 0, 42, &once, NULL), MG_OK);
  assert_int_equal(mg_cluster_bootstrap(eight, 8, .95, 0, 42, &again, NULL), MG_OK);
  assert_int_equal(mg_cluster_bootstrap(eight, 8, .95, 0, 43, &other, NULL), MG_OK);
  assert_true(once.interval.low == again.interval.low && once.interval.high == again.interval.high);
  /* All 8^8 resamples enumerated give 0.000000 and 0.200000. */
  assert_digits(once.interval.low, 0, 2);
  assert_digits(once.interval.high, .2, 2);
  assert_digits(other.interval.high, .2, 2);
  /* Three clusters, drawn three times: all of them the lucky one with chance 1/27 < .05, two of them with 7/27. */
  static const mg_cluster lucky[] = {{0, 10, 10}, {0, 0, 10}, {0, 0, 10}};
  assert_int_equal(mg_cluster_bootstrap(lucky, 3, .9, 2000, 1, &once, NULL), MG_OK);
  assert_interval(once.interval, 0, 2. / 3, 12);
}

static void corrections(void **state) {
  (void)state;
  static const double p[] = {.01, .02, .03, .005, .2}, q[] = {.03, .04, .05};
  static const double expected[][5] = {{.04, .06, .06, .025, .2},
                                       {.04, .06, .06, .025, .2},
                                       {.025, .0333333333, .0375, .025, .2},
                                       {.0570833333, .0761111111, .085625, .0570833333, .4566666667}};
  static const double of_q[] = {.09, .05, .05};
  for (int how = MG_HOLM; how <= MG_BY; how++) {
    double a[5];
    assert_int_equal(mg_adjust((mg_correction)how, p, a, 5, NULL), MG_OK);
    for (int i = 0; i < 5; i++) assert_digits(a[i], expected[how][i], 10);
    if (how == MG_BY) continue;
    double b[3] = {q[0], q[1], q[2]}; /* in place */
    assert_int_equal(mg_adjust((mg_correction)how, b, b, 3, NULL), MG_OK);
    for (int i = 0; i < 3; i++) assert_digits(b[i], of_q[how], 12);
  }
  double wrong[] = {.1, NAN}, ones[] = {1, 1, 0};
  mg_error e = {0};
  assert_int_equal(mg_adjust(MG_HOLM, wrong, wrong, 2, &e), MG_ARG);
  assert_non_null(strstr(e.text, "p value 2"));
  assert_int_equal(mg_adjust(MG_BH, NULL, NULL, 0, NULL), MG_OK);
  assert_int_equal(mg_adjust(MG_HOLM, ones, ones, 3, NULL), MG_OK);
  assert_true(ones[0] == 1 && ones[1] == 1 && ones[2] == 0);
  double whole[] = {1, 1};
  assert_int_equal(mg_adjust(MG_BY, whole, whole, 2, NULL), MG_OK);
  assert_true(whole[0] == 1 && whole[1] == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(robust),      cmocka_unit_test(refuses_fewer_than_two), cmocka_unit_test(single_cases), cmocka_unit_test(for_a_verdict), cmocka_unit_test(resampled),
      cmocka_unit_test(corrections),
  };
  return run_all(tests);
}
