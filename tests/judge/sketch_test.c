#include "judge/sketch.h"
#include "base/philox.h"
#include "tests/judge/near.h"

#include <float.h>
#include <stdlib.h>

static void the_oracles(void **state) {
  (void)state;
  mg_sketch s;
  assert_int_equal(mg_sketch_init(&s, .01, NULL), MG_OK);
  assert_int_equal(mg_sketch_index(&s, 12.1), 125);
  assert_digits(mg_sketch_value(&s, 125), 12.0616741790, 10);
  assert_int_equal(mg_sketch_index(&s, .001), -345);
  mg_sketch_fini(&s);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void quantiles_within_the_error(void **state) {
  (void)state;
  enum { N = 5000 };
  static double values[N];
  static const double errors[] = {.001, .01, .25}, qs[] = {0, .001, .1, .5, .9, .95, .999, 1};
  mg_philox random;
  mg_philox_init(&random, 3, 0, 0);
  print_message("seed 3\n");
  for (size_t k = 0; k < LENGTH(errors); k++) {
    mg_sketch s;
    assert_int_equal(mg_sketch_init(&s, errors[k], NULL), MG_OK);
    for (int i = 0; i < N; i++) {
      values[i] = i % 10 == 0 ? 0 : exp(20 * mg_philox_double(&random) - 10) * (i % 3 ? 1 : -1);
      assert_int_equal(mg_sketch_add(&s, values[i], NULL), MG_OK);
    }
    qsort(values, N, sizeof *values, by_value);
    for (size_t j = 0; j < LENGTH(qs); j++) {
      double rank = fmax(1, ceil(qs[j] * N)), exact = values[(int)rank - 1];
      near_check(mg_sketch_quantile(&s, qs[j]), exact, errors[k] * fabs(exact) * (1 + 1e-12), "quantile", __FILE__, __LINE__);
    }
    assert_true(mg_sketch_quantile(&s, 0) == values[0] && mg_sketch_quantile(&s, 1) == values[N - 1]);
    mg_sketch_fini(&s);
  }
}

typedef struct seen {
  int sign[4000];
  int64_t index[4000];
  uint64_t count[4000];
  int n;
} seen;

static void note(int sign, int64_t index, uint64_t count, void *context) {
  seen *s = context;
  s->sign[s->n] = sign;
  s->index[s->n] = index;
  s->count[s->n++] = count;
}

/* Any split, merged in any order, or sent bin by bin, is the same sketch. */
static void merging_is_exact(void **state) {
  (void)state;
  static seen whole_seen, merged_seen, sent_seen;
  mg_sketch whole, part[5], merged, sent;
  mg_philox random;
  mg_philox_init(&random, 4, 0, 0);
  print_message("seed 4\n");
  mg_sketch_init(&whole, .01, NULL);
  mg_sketch_init(&merged, .01, NULL);
  mg_sketch_init(&sent, .01, NULL);
  for (int i = 0; i < 5; i++) mg_sketch_init(&part[i], .01, NULL);
  for (int i = 0; i < 3000; i++) {
    double v = exp(30 * mg_philox_double(&random) - 15) * (mg_philox_below(&random, 4) ? 1 : -1);
    mg_sketch_add(&whole, v, NULL);
    mg_sketch_add(&part[mg_philox_below(&random, 4)], v, NULL); /* part 4 stays empty */
  }
  static const int order[] = {3, 4, 0, 2, 1};
  for (int i = 0; i < 5; i++) assert_int_equal(mg_sketch_merge(&merged, &part[order[i]], NULL), MG_OK);
  memset(&whole_seen, 0, sizeof whole_seen);
  memset(&merged_seen, 0, sizeof merged_seen);
  memset(&sent_seen, 0, sizeof sent_seen);
  mg_sketch_each(&whole, note, &whole_seen);
  mg_sketch_each(&merged, note, &merged_seen);
  assert_memory_equal(&whole_seen, &merged_seen, sizeof whole_seen);
  for (int i = 0; i < whole_seen.n; i++) assert_int_equal(mg_sketch_add_bin(&sent, whole_seen.sign[i], whole_seen.index[i], whole_seen.count[i], NULL), MG_OK);
  mg_sketch_add_extremes(&sent, whole.least, whole.greatest);
  mg_sketch_each(&sent, note, &sent_seen);
  assert_memory_equal(&whole_seen, &sent_seen, sizeof whole_seen);
  assert_true(merged.count == 3000 && merged.least == whole.least && merged.greatest == whole.greatest);
  for (double q = 0; q <= 1; q += .01) {
    assert_true(mg_sketch_quantile(&whole, q) == mg_sketch_quantile(&merged, q));
    assert_true(mg_sketch_quantile(&whole, q) == mg_sketch_quantile(&sent, q));
  }
  for (int i = 0; i < 5; i++) mg_sketch_fini(&part[i]);
  mg_sketch_fini(&whole);
  mg_sketch_fini(&merged);
  mg_sketch_fini(&sent);
}

static void extremes_and_refusals(void **state) {
  (void)state;
  mg_sketch s, other;
  mg_error e = {0};
  assert_int_equal(mg_sketch_init(&s, .0001, &e), MG_ARG);
  assert_non_null(strstr(e.text, "0.0001"));
  mg_sketch_init(&s, .01, NULL);
  mg_sketch_init(&other, .02, NULL);
  assert_nan(mg_sketch_quantile(&s, .5));
  assert_int_equal(mg_sketch_add(&s, NAN, NULL), MG_ARG);
  assert_int_equal(mg_sketch_add(&s, INFINITY, NULL), MG_ARG);
  assert_int_equal(mg_sketch_merge(&s, &other, NULL), MG_ARG);
  assert_int_equal(mg_sketch_add_bin(&s, 1, INT64_MAX, 1, NULL), MG_ARG);
  assert_int_equal(mg_sketch_add_bin(&s, -1, INT64_MIN, 1, NULL), MG_ARG);
  assert_true(s.count == 0);
  static const double values[] = {DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, -0.0, 1e-300};
  for (size_t i = 0; i < LENGTH(values); i++) assert_int_equal(mg_sketch_add(&s, values[i], NULL), MG_OK);
  assert_true(s.count == 6 && s.zeros == 3 && mg_sketch_quantile(&s, 0) == -DBL_MAX && mg_sketch_quantile(&s, 1) == DBL_MAX);
  assert_nan(mg_sketch_quantile(&s, 1.1));
  mg_sketch_fini(&s);
  mg_sketch_fini(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_oracles),
      cmocka_unit_test(quantiles_within_the_error),
      cmocka_unit_test(merging_is_exact),
      cmocka_unit_test(extremes_and_refusals),
  };
  return run_all(tests);
}
