#include "observe/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text_of(const mg_metrics *m) {
  mg_buf b = {0};
  mg_metrics_render(m, &b);
  mg_buf_put(&b, "", 1);
  assert_false(b.failed);
  return (char *)b.data;
}

static void expect(const mg_metrics *m, const char *part, bool there) {
  char *text = text_of(m);
  if ((strstr(text, part) != NULL) != there) fail_msg("%s is %s in:\n%s", part, there ? "not" : "there", text);
  free(text);
}

static void shows_what_was_set(void **state) {
  (void)state;
  mg_metrics *m = mg_metrics_new();
  mg_metric_info counter = {MG_COUNTER, "a_total", "All of it.", {"role", "status"}, 4},
                 gauge = {MG_GAUGE, "b_seconds", "A back\\slash and\na line.", {NULL}, 1};
  mg_metric *a = mg_metrics_add(m, &counter), *b = mg_metrics_add(m, &gauge);
  assert_non_null(a);
  assert_non_null(b);
  expect(m, "a_total", false); /* nothing was set */
  mg_metric_set(a, 3, "candidate", "pass");
  mg_metric_set(a, 9007199254740991.0, "baseline", "say \"no\"\\\n");
  mg_metric_set(b, 0.25);
  char *text = text_of(m);
  assert_string_equal(text, "# HELP metamorphic_metrics_dropped_total Values dropped because a metric had all the label values it may have.\n"
                            "# TYPE metamorphic_metrics_dropped_total counter\n"
                            "metamorphic_metrics_dropped_total 0\n"
                            "# HELP a_total All of it.\n"
                            "# TYPE a_total counter\n"
                            "a_total{role=\"candidate\",status=\"pass\"} 3\n"
                            "a_total{role=\"baseline\",status=\"say \\\"no\\\"\\\\\\n\"} 9007199254740991\n"
                            "# HELP b_seconds A back\\\\slash and\\na line.\n"
                            "# TYPE b_seconds gauge\n"
                            "b_seconds 0.25\n");
  free(text);
  mg_metrics_free(m);
}

static void counters_never_fall(void **state) {
  (void)state;
  mg_metrics *m = mg_metrics_new();
  mg_metric_info counter = {MG_COUNTER, "a_total", "A.", {NULL}, 1}, gauge = {MG_GAUGE, "b", "B.", {NULL}, 1};
  mg_metric *a = mg_metrics_add(m, &counter), *b = mg_metrics_add(m, &gauge);
  const double values[] = {5, 4, NAN, INFINITY, -1};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    mg_metric_set(a, values[i]);
    mg_metric_set(b, values[i]);
  }
  expect(m, "\na_total 5\n", true);
  expect(m, "\nb -1\n", true);
  mg_metric_clear(b);
  expect(m, "\nb ", false);
  mg_metrics_free(m);
}

static void histograms_add_up(void **state) {
  (void)state;
  mg_metrics *m = mg_metrics_new();
  mg_metric_info info = {MG_HISTOGRAM, "t_seconds", "T.", {"kind"}, 1};
  mg_metric *x = mg_metrics_add(m, &info);
  mg_timing t = {0};
  mg_timing_add(&t, 0.001, 2); /* on a bound: below or at it */
  mg_timing_add(&t, 0.0011, 1);
  mg_timing_add(&t, 5000, 1); /* above all */
  mg_timing_add(&t, -1, 7);   /* a clock that went back */
  mg_timing_add(&t, NAN, 7);
  mg_metric_timing(x, &t, "k");
  mg_metric_set(x, 1, "k"); /* takes no single value */
  expect(m, "t_seconds_bucket{kind=\"k\",le=\"0.0005\"} 0\n", true);
  expect(m, "t_seconds_bucket{kind=\"k\",le=\"0.001\"} 2\n", true);
  expect(m, "t_seconds_bucket{kind=\"k\",le=\"0.005\"} 3\n", true);
  expect(m, "t_seconds_bucket{kind=\"k\",le=\"600\"} 3\n", true);
  expect(m, "t_seconds_bucket{kind=\"k\",le=\"+Inf\"} 4\nt_seconds_sum{kind=\"k\"} 5000.0031\nt_seconds_count{kind=\"k\"} 4\n", true);
  mg_metrics_free(m);
}

static void bounds_ascend(void **state) {
  (void)state;
  for (int i = 1; i < MG_TIMING_BUCKETS; i++) assert_true(mg_timing_bounds[i] > mg_timing_bounds[i - 1]);
}

static void label_values_are_bounded(void **state) {
  (void)state;
  mg_metrics *m = mg_metrics_new();
  mg_metric_info info = {MG_GAUGE, "g", "G.", {"worker"}, 3};
  mg_metric *x = mg_metrics_add(m, &info);
  char name[400];
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 10; i++) {
      (void)snprintf(name, sizeof name, "w%d", i);
      mg_metric_set(x, i, name);
    }
  }
  expect(m, "g{worker=\"w2\"} 2\n", true);
  expect(m, "w3", false);
  expect(m, "metamorphic_metrics_dropped_total 14\n", true);
  mg_metric_clear(x);
  memset(name, 'n', sizeof name - 1); /* cut, and found again under what was kept */
  name[sizeof name - 1] = '\0';
  for (int i = 0; i < 5; i++) mg_metric_set(x, i, name);
  expect(m, "metamorphic_metrics_dropped_total 14\n", true);
  mg_metrics_free(m);
}

static void wrong_declarations_are_refused(void **state) {
  (void)state;
  const mg_metric_info wrong[] = {
      {MG_COUNTER, "a", "No end.", {NULL}, 1},
      {MG_GAUGE, "a_total", "A counter's end.", {NULL}, 1},
      {MG_GAUGE, "1a", "A digit first.", {NULL}, 1},
      {MG_GAUGE, "a-b", "A dash.", {NULL}, 1},
      {MG_GAUGE, "", "No name.", {NULL}, 1},
      {MG_GAUGE, "a", "", {NULL}, 1},
      {MG_GAUGE, "a", NULL, {NULL}, 1},
      {MG_GAUGE, NULL, "No name.", {NULL}, 1},
      {MG_GAUGE, "a", "Label.", {"__name"}, 1},
      {MG_GAUGE, "a", "Label.", {"x y"}, 1},
      {MG_HISTOGRAM, "a", "No unit.", {NULL}, 1},
      {MG_HISTOGRAM, "a_seconds", "Label.", {"le"}, 1},
      {MG_GAUGE, "taken", "Twice.", {NULL}, 1},
  };
  mg_metrics *m = mg_metrics_new();
  mg_metric_info taken = {MG_GAUGE, "taken", "Once.", {NULL}, 1};
  assert_non_null(mg_metrics_add(m, &taken));
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    if (mg_metrics_add(m, &wrong[i]) != NULL) fail_msg("declaration %zu was taken", i);
  }
  mg_metric_set(NULL, 1); /* what could not be declared does nothing */
  mg_metric_timing(NULL, &(mg_timing){0});
  mg_metric_clear(NULL);
  mg_metrics_free(m);
  mg_metrics_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shows_what_was_set), cmocka_unit_test(counters_never_fall),      cmocka_unit_test(histograms_add_up),
      cmocka_unit_test(bounds_ascend),      cmocka_unit_test(label_values_are_bounded), cmocka_unit_test(wrong_declarations_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
