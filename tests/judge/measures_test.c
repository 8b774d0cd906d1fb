/* Measures: whatever the order and the parts, the same comes out; and what they say of metrics and groups. */
#include "base/philox.h"
#include "judge/metric.h"
#include "tests/judge/near.h"

#include <stdlib.h>

enum { CASES = 30000 };

static double value_of(uint64_t i, mg_role role) {
  mg_philox random;
  mg_philox_init(&random, 11, (uint32_t)role, i);
  return 10 + mg_philox_double(&random) + (role == MG_CANDIDATE ? .1 : 0);
}

static mg_measures *empty(void) {
  mg_measures *m = NULL;
  assert_int_equal(mg_measures_new(&m, 2, NULL), MG_OK);
  return m;
}

/* Cases first .. first + count - 1, as a worker would send them: kept pairs by index. */
static mg_measures *part_of(uint64_t first, uint64_t count) {
  static const char *const names[] = {"de", "en", "fr"};
  mg_measures *m = empty();
  m->columns[1].keeps = true;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t at = first + i;
    bool pass = at % 7 != 0, missing = at % 100 == 3;
    mg_pairs p = {pass, 0, 0, !pass};
    assert_int_equal(mg_column_add(&m->columns[0], true, value_of(at, MG_BASELINE), missing ? NAN : value_of(at, MG_CANDIDATE), i, NULL), MG_OK);
    assert_int_equal(mg_column_add(&m->columns[1], true, value_of(at, MG_BASELINE), value_of(at, MG_CANDIDATE), i, NULL), MG_OK);
    assert_int_equal(mg_measures_group(m, names[at % 3], &p, NULL), MG_OK);
    assert_int_equal(mg_measures_cluster(m, at * UINT64_C(0x9e3779b97f4a7c15) % 1000, &(mg_cluster){at % 5 == 0, at % 5 == 1, 1}, NULL), MG_OK);
  }
  return m;
}

static void take(mg_measures *m, uint64_t first, uint64_t count) {
  mg_measures *part = part_of(first, count);
  assert_int_equal(mg_measures_merge(m, part, true, 42, first, NULL), MG_OK);
  mg_measures_free(part);
}

static void assert_same(const mg_measures *a, const mg_measures *b) {
  for (int i = 0; i < 2; i++) {
    mg_view v = {"x", i, i == 0 ? MG_VIEW_MEAN : MG_VIEW_RATIO, .95, false, NAN, NAN};
    mg_view_result x, y;
    assert_int_equal(mg_view_judge(&v, &a->columns[i], true, .95, 1, &x, NULL), MG_OK);
    assert_int_equal(mg_view_judge(&v, &b->columns[i], true, .95, 1, &y, NULL), MG_OK);
    assert_true(x.n == y.n && x.missing == y.missing && x.used == y.used);
    assert_true(x.estimate == y.estimate && x.interval.low == y.interval.low && x.interval.high == y.interval.high);
    assert_true(x.side[0].mean == y.side[0].mean && x.side[1].p95 == y.side[1].p95);
  }
  assert_int_equal(a->group_count, b->group_count);
  assert_memory_equal(a->groups, b->groups, (size_t)a->group_count * sizeof *a->groups);
  assert_int_equal(a->cluster_count, b->cluster_count);
  assert_memory_equal(a->clusters, b->clusters, a->cluster_count * sizeof *a->clusters);
}

static void order_and_parts_do_not_matter(void **state) {
  (void)state;
  mg_measures *forward = empty(), *backward = empty(), *whole = empty(), *left = empty(), *right = empty();
  for (uint64_t at = 0; at < CASES; at += 1000) take(forward, at, 1000);
  for (uint64_t at = CASES; at > 0; at -= 10000) take(backward, at - 10000, 10000);
  take(whole, 0, CASES / 3);
  take(whole, 2 * CASES / 3, CASES / 3);
  take(whole, CASES / 3, CASES / 3);
  assert_same(forward, backward);
  assert_same(forward, whole);
  for (uint64_t at = 0; at < CASES; at += 500) take(at % 1000 == 0 ? left : right, at, 500);
  assert_int_equal(mg_measures_merge(right, left, false, 0, 0, NULL), MG_OK);
  assert_same(forward, right);
  assert_int_equal(forward->columns[1].kept_count, MG_MEASURE_KEPT);
  assert_int_equal(forward->columns[0].kept_count, 0);
  assert_int_equal(forward->columns[0].missing, CASES / 100);
  assert_int_equal(forward->columns[0].n, CASES - CASES / 100);
  /* What is kept is what has the smallest hashes of all. */
  uint64_t largest = 0, smaller = 0;
  for (size_t i = 0; i < forward->columns[1].kept_count; i++) {
    if (forward->columns[1].kept[i].at > largest) largest = forward->columns[1].kept[i].at;
  }
  for (uint64_t i = 0; i < CASES; i++) smaller += mg_case_hash(42, i) <= largest;
  assert_int_equal(smaller, MG_MEASURE_KEPT);
  mg_measures *all[] = {forward, backward, whole, left, right};
  for (size_t i = 0; i < LENGTH(all); i++) mg_measures_free(all[i]);
}

static void a_mean_is_students(void **state) {
  (void)state;
  mg_measures *m = empty();
  const double d[] = {.5, -1, 2, 1.5, 0};
  for (int i = 0; i < 5; i++) assert_int_equal(mg_column_add(&m->columns[0], true, 7, 7 + d[i], (uint64_t)i, NULL), MG_OK);
  mg_view v = {"x", 0, MG_VIEW_MEAN, NAN, false, 2.5, NAN};
  mg_view_result r;
  assert_int_equal(mg_view_judge(&v, &m->columns[0], true, .95, 1, &r, NULL), MG_OK);
  /* mean .6, sd 1.193734, t(.975, 4) = 2.776445 */
  assert_relative(r.estimate, .6, 1e-12);
  assert_digits(r.interval.low, .6 - 2.776445 * 1.193734 / sqrt(5), 5);
  assert_digits(r.interval.high, .6 + 2.776445 * 1.193734 / sqrt(5), 5);
  assert_int_equal(r.holds, MG_RIGHT);
  v.margin = .7;
  assert_int_equal(mg_view_judge(&v, &m->columns[0], true, .95, 1, &r, NULL), MG_OK);
  assert_int_equal(r.holds, MG_ACROSS);
  v.margin = -1;
  v.limit = -.95; /* must be better by .95; it is worse for sure */
  assert_int_equal(mg_view_judge(&v, &m->columns[0], true, .95, 1, &r, NULL), MG_OK);
  assert_int_equal(r.holds, MG_WRONG);
  assert_true(r.alert);
  v.higher = true; /* then it is better for sure */
  v.margin = 1, v.limit = -3;
  assert_int_equal(mg_view_judge(&v, &m->columns[0], true, .95, 1, &r, NULL), MG_OK);
  assert_int_equal(r.holds, MG_RIGHT);
  assert_true(r.alert); /* better by 3 was asked */
  char said[320];
  mg_view_say(&v, &r, .95, true, said, sizeof said);
  assert_non_null(strstr(said, "difference of the means, candidate to baseline, is +0.6 over 5 pairs"));
  assert_non_null(strstr(said, "lies on the right side of the limit of -1"));
  mg_measures_free(m);
}

static void ratios_are_those_of_the_reference(void **state) {
  (void)state;
  const double x[] = {12.1, 14.3, 11.8, 19.5, 13.2, 15.1, 12.9, 30.4, 14.8, 13.7}, y[] = {13.0, 15.9, 12.2, 21.7, 13.9, 15.8, 14.1, 29.9, 16.6, 14.4};
  mg_measures *m = empty();
  m->columns[0].keeps = true;
  for (int i = 0; i < 10; i++) assert_int_equal(mg_column_add(&m->columns[0], true, x[i], y[i], (uint64_t)i, NULL), MG_OK);
  assert_int_equal(mg_column_add(&m->columns[0], true, 0, 5, 10, NULL), MG_OK); /* no ratio */
  mg_view v = {"latency", 0, MG_VIEW_RATIO, NAN, false, .1, .04};
  mg_view_result r;
  assert_int_equal(mg_view_judge(&v, &m->columns[0], true, .95, 1, &r, NULL), MG_OK);
  assert_relative(r.estimate, 1.0721843285, 1e-9);
  assert_interval(r.interval, 1.0401093046, 1.1024153320, 9);
  assert_int_equal(r.holds, MG_ACROSS); /* 1.1024 is above 1.1 */
  assert_true(r.alert);                 /* all of it lies above 1.04 */
  assert_true(r.n == 11 && r.used == 10);
  v.limit = .0402;
  assert_int_equal(mg_view_judge(&v, &m->columns[0], true, .95, 1, &r, NULL), MG_OK);
  assert_false(r.alert); /* the point is far above, the interval is not */
  char said[320];
  mg_view_say(&v, &r, .95, true, said, sizeof said);
  assert_non_null(strstr(said, "contains the limit of 1.1; at this spread "));
  assert_non_null(strstr(said, " pairs would decide"));
  v.margin = .0722; /* next to the estimate: more pairs would not be kept */
  assert_int_equal(mg_view_judge(&v, &m->columns[0], true, .95, 1, &r, NULL), MG_OK);
  mg_view_say(&v, &r, .95, true, said, sizeof said);
  assert_non_null(strstr(said, " pairs, and ratios stand on 10000 at the most"));
  mg_measures_free(m);
}

static void values_that_are_none_are_missing(void **state) {
  (void)state;
  mg_measures *m = empty();
  const double bad[] = {NAN, INFINITY, -INFINITY, 1e151};
  for (size_t i = 0; i < LENGTH(bad); i++) {
    assert_int_equal(mg_column_add(&m->columns[0], true, 1, bad[i], i, NULL), MG_OK);
    assert_int_equal(mg_column_add(&m->columns[0], true, bad[i], 1, i, NULL), MG_OK);
  }
  assert_int_equal(mg_column_add(&m->columns[0], false, NAN, 3, 9, NULL), MG_OK); /* no baseline is asked for */
  assert_int_equal(m->columns[0].missing, 8);
  assert_int_equal(m->columns[0].n, 1);
  mg_view v = {"x", 0, MG_VIEW_RATIO, NAN, false, .1, NAN};
  mg_view_result r;
  assert_int_equal(mg_view_judge(&v, &m->columns[0], false, .95, 1, &r, NULL), MG_OK);
  assert_true(r.estimate == 3 && isnan(r.side[MG_BASELINE].mean) && r.holds == MG_ACROSS);
  mg_measures_free(m);
}

static void group(mg_measures *m, const char *name, uint64_t passes, uint64_t n) {
  mg_pairs p = {passes, 0, 0, n - passes};
  assert_int_equal(mg_measures_group(m, name, &p, NULL), MG_OK);
}

static void gaps_are_bounded_over_all_pairs(void **state) {
  (void)state;
  mg_measures *m = empty();
  mg_fairness f;
  mg_fairness_judge(m, .95, .1, &f);
  assert_true(isnan(f.gap) && !f.alert);
  group(m, "b", 48, 80);
  mg_fairness_judge(m, .95, .01, &f);
  assert_true(isnan(f.gap) && !f.alert); /* one group has no gap */
  group(m, "a", 56, 70);
  mg_fairness_judge(m, .95, .05, &f);
  assert_relative(f.gap, .2, 1e-12);
  assert_interval(f.interval, .0524314724, .3338726540, 9); /* Newcombe's, of the reference: there is but one comparison */
  assert_true(f.alert);
  assert_string_equal(m->groups[f.best].name, "a");
  assert_string_equal(m->groups[f.worst].name, "b");
  mg_fairness_judge(m, .95, .06, &f);
  assert_false(f.alert); /* the gap of .2 is above, its interval reaches below */
  group(m, "c", 50, 70);
  mg_fairness_judge(m, .95, .05, &f);
  assert_false(f.alert); /* three comparisons at once widen the interval */
  assert_true(f.interval.low < .0524 && f.interval.high > .3338);
  mg_measures_free(m);
}

static void too_many_groups_are_not_compared(void **state) {
  (void)state;
  mg_measures *m = empty();
  char name[16];
  for (int i = 0; i <= MG_MAX_GROUPS; i++) {
    (void)snprintf(name, sizeof name, "g%d", i);
    group(m, name, i % 2 ? 100 : 0, 100);
  }
  mg_fairness f;
  mg_fairness_judge(m, .95, .05, &f);
  assert_int_equal(m->group_count, MG_MAX_GROUPS);
  assert_int_equal(m->ungrouped, 100);
  assert_true(isnan(f.gap) && !f.alert);
  mg_measures_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(order_and_parts_do_not_matter), cmocka_unit_test(a_mean_is_students),
                                     cmocka_unit_test(ratios_are_those_of_the_reference), cmocka_unit_test(values_that_are_none_are_missing),
                                     cmocka_unit_test(gaps_are_bounded_over_all_pairs), cmocka_unit_test(too_many_groups_are_not_compared)};
  return run_all(tests);
}
