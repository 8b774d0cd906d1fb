#include "dispatch/inputs.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CASES = 5000 };
static char path[] = "/tmp/mguard_inputs_XXXXXX";

static int make_file(void **state) {
  (void)state;
  int fd = mkstemp(path);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
  if (f == NULL) return -1;
  for (int i = 0; i < CASES; i++) {
    if (i % 7 == 0) (void)fputs(" \t\r\n", f);
    (void)fprintf(f, "[%d]%s", i, i == CASES - 1 ? "" : i % 2 == 0 ? "\n" : "\r\n");
  }
  return fclose(f);
}

static int drop_file(void **state) {
  (void)state;
  return unlink(path);
}

static void check(mg_inputs *in, uint64_t c) {
  const char *line;
  size_t len;
  uint64_t number;
  char expected[32];
  int n = snprintf(expected, sizeof expected, "[%" PRIu64 "]", c);
  assert_int_equal(mg_inputs_read(in, c, &line, &len, &number, NULL), MG_OK);
  assert_int_equal(len, n);
  assert_memory_equal(line, expected, len);
  assert_int_equal(number, c + 1 + c / 7 + 1);
}

static void in_order_and_at_random(void **state) {
  (void)state;
  mg_inputs *in;
  unsigned seed = (unsigned)time(NULL);
  printf("seed %u\n", seed);
  assert_int_equal(mg_inputs_open(&in, path, CASES, NULL), MG_OK);
  for (uint64_t c = 0; c < CASES; c++) check(in, c);
  for (int i = 0; i < 300; i++) check(in, (uint64_t)rand_r(&seed) % CASES);
  check(in, CASES - 1);
  check(in, 0);
  mg_inputs_free(in);
}

static void too_few(void **state) {
  (void)state;
  mg_inputs *in;
  mg_error e;
  assert_int_equal(mg_inputs_open(&in, path, CASES + 1, &e), MG_ARG);
  assert_non_null(strstr(e.text, "holds 5000 cases, not the 5001 of the plan"));
  assert_null(in);
  assert_int_equal(mg_inputs_open(&in, "/nonexistent/cases.jsonl", 1, &e), MG_ARG);
  assert_non_null(strstr(e.text, "/nonexistent/cases.jsonl"));
}

static void changed_meanwhile(void **state) {
  (void)state;
  mg_inputs *in;
  mg_error e;
  const char *line;
  size_t len;
  uint64_t number;
  assert_int_equal(mg_inputs_open(&in, path, CASES, NULL), MG_OK);
  assert_int_equal(truncate(path, 20000), 0);
  assert_int_equal(mg_inputs_read(in, CASES - 1, &line, &len, &number, &e), MG_ARG);
  assert_non_null(strstr(e.text, "changed"));
  check(in, 3);
  mg_inputs_free(in);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_order_and_at_random),
      cmocka_unit_test(too_few),
      cmocka_unit_test(changed_meanwhile),
  };
  return cmocka_run_group_tests(tests, make_file, drop_file);
}
