#include "dispatch/outcomes_csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const mg_clause clauses[] = {{"completes", "implicit", MG_MODE_HARD}, {"sorted", "property", MG_MODE_HARD}, {"a, \"b\"", "property", MG_MODE_HARD}};
static char dir[] = "/tmp/mguard_csv_XXXXXX";

static int make_dir(void **state) {
  (void)state;
  return mkdtemp(dir) == NULL ? -1 : 0;
}
static int drop_dir(void **state) {
  (void)state;
  return rmdir(dir); /* fails where anything was left behind */
}

static void expect_file(const char *path, const char *text) {
  static char got[1 << 16];
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  size_t n = fread(got, 1, sizeof got - 1, f);
  got[n] = '\0';
  (void)fclose(f);
  assert_string_equal(got, text);
}

static void any_order_gives_case_order(void **state) {
  (void)state;
  char path[64];
  mg_outcomes_csv *o;
  (void)snprintf(path, sizeof path, "%s/o.csv", dir);
  assert_int_equal(mg_outcomes_csv_open(&o, path, clauses, 3, NULL), MG_OK);
  uint8_t late[2] = {MG_PASS | MG_FAIL << 4, MG_CRASH | MG_PASS << 4};
  mg_failed failed[2] = {{0, MG_CANDIDATE, 0x6}, {1, MG_BASELINE, 0x1}};
  assert_int_equal(mg_outcomes_csv_put(o, 5, 2, late, failed, 2, NULL), MG_OK);
  uint8_t early[2] = {MG_PASS | MG_PASS << 4, MG_ABSENT | MG_CASE_LOST << 4};
  assert_int_equal(mg_outcomes_csv_put(o, 0, 2, early, NULL, 0, NULL), MG_OK);
  uint8_t again[1] = {MG_DISCARD | MG_DISCARD << 4};
  assert_int_equal(mg_outcomes_csv_put(o, 6, 1, again, NULL, 0, NULL), MG_OK); /* replaces, with its clauses */
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(mg_outcomes_csv_write(o, NULL), MG_OK);
  mg_outcomes_csv_free(o);
  expect_file(path, "case,role,outcome,failed\n0,baseline,pass,\n0,candidate,pass,\n1,candidate,lost,\n5,baseline,pass,\n"
                    "5,candidate,fail,\"a, \"\"b\"\";sorted\"\n6,baseline,discard,\n6,candidate,discard,\n");
  assert_int_equal(unlink(path), 0);
}

static void many(void **state) {
  (void)state;
  enum { N = 20000 };
  static uint8_t outcomes[N];
  char path[64], line[64];
  mg_outcomes_csv *o;
  (void)snprintf(path, sizeof path, "%s/m.csv", dir);
  assert_int_equal(mg_outcomes_csv_open(&o, path, clauses, 1, NULL), MG_OK);
  memset(outcomes, MG_ABSENT | MG_PASS << 4, sizeof outcomes);
  for (int at = N - 100; at >= 0; at -= 100) assert_int_equal(mg_outcomes_csv_put(o, (uint64_t)at, 100, outcomes, NULL, 0, NULL), MG_OK);
  assert_int_equal(mg_outcomes_csv_write(o, NULL), MG_OK);
  mg_outcomes_csv_free(o);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  assert_non_null(fgets(line, sizeof line, f));
  for (int i = 0; i < N; i++) {
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%d,candidate,pass,\n", i);
    assert_non_null(fgets(line, sizeof line, f));
    assert_string_equal(line, expected);
  }
  assert_null(fgets(line, sizeof line, f));
  (void)fclose(f);
  assert_int_equal(unlink(path), 0);
}

static void nowhere_to_write(void **state) {
  (void)state;
  mg_outcomes_csv *o;
  mg_error e;
  assert_int_equal(mg_outcomes_csv_open(&o, "/nonexistent/o.csv", clauses, 3, &e), MG_ARG);
  assert_non_null(strstr(e.text, "/nonexistent/o.csv"));
  assert_null(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(any_order_gives_case_order), cmocka_unit_test(many), cmocka_unit_test(nowhere_to_write)};
  return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
