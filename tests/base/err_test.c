/* The error convention. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_failure_carries_code_and_text(void **state) {
  (void)state;
  mg_error e = {.detail = 9};
  assert_int_equal(mg_fail(&e, MG_CONN, "host %s\nport %d", "a", 1), MG_CONN);
  assert_int_equal(e.code, MG_CONN);
  assert_int_equal(e.detail, 0);
  assert_string_equal(e.text, "host a port 1"); /* one line */
  assert_int_equal(mg_fail_in(&e, "redis %d", 7), MG_CONN);
  assert_string_equal(e.text, "redis 7: host a port 1");
  assert_int_equal(mg_fail_errno(&e, MG_ARG, ENOENT, "file %s", "x"), MG_ARG);
  assert_int_equal(e.detail, ENOENT);
  assert_string_equal(e.text, "file x: No such file or directory");
  assert_int_equal(mg_fail(NULL, MG_LOST, "x"), MG_LOST);
  assert_int_equal(mg_fail_errno(NULL, MG_LOST, 1, "x"), MG_LOST);
}

static void long_texts_are_cut(void **state) {
  (void)state;
  mg_error e;
  char text[2000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  (void)mg_fail(&e, MG_ARG, "%s", text);
  assert_int_equal(strlen(e.text), sizeof e.text - 1);
  (void)mg_fail_in(&e, "%s", text);
  assert_int_equal(strlen(e.text), sizeof e.text - 1);
  (void)mg_fail(&e, MG_ARG, "short");
  (void)mg_fail_in(&e, "%.505s", text);
  assert_int_equal(strlen(e.text), sizeof e.text - 1); /* the cause is cut, not the place */
  (void)mg_fail_errno(&e, MG_ARG, ENOENT, "%s", text);
  assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void every_code_has_a_name(void **state) {
  (void)state;
  for (int a = MG_OK; a <= MG_FATAL; a++) {
    for (int b = MG_OK; b < a; b++) assert_string_not_equal(mg_err_name((mg_err)a), mg_err_name((mg_err)b));
  }
  assert_string_equal(mg_err_name((mg_err)99), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_failure_carries_code_and_text),
      cmocka_unit_test(long_texts_are_cut),
      cmocka_unit_test(every_code_has_a_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
