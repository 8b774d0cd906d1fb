/* Names of runs and workers. */
#include "base/ident.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void run_ids_tell_their_time(void **state) {
  (void)state;
  char id[MG_RUN_ID_BYTES], other[MG_RUN_ID_BYTES];
  mg_run_id_make(1795601472999, id);
  assert_int_equal(strlen(id), 20);
  assert_memory_equal(id, "20261125-101112-", 16);
  assert_int_equal(strspn(id + 16, "0123456789abcdef"), 4);
  assert_true(mg_ident_ok(id, 64, NULL));
  int same = 0;
  for (int i = 0; i < 20; i++) {
    mg_run_id_make(1795601472999, other);
    same += strcmp(id, other) == 0;
  }
  assert_true(same < 5);
}

static void worker_names_are_fit_for_keys(void **state) {
  (void)state;
  char name[129], other[129], small[48];
  mg_worker_name_make(name, sizeof name);
  mg_worker_name_make(other, sizeof other);
  assert_string_not_equal(name, other);
  assert_true(mg_ident_ok(name, 128, "."));
  mg_worker_name_make(small, sizeof small);
  assert_true(strlen(small) < sizeof small);
  assert_int_equal(strspn(small + strlen(small) - 8, "0123456789abcdef"), 8); /* the random end is never cut */
}

static void ids_are_checked(void **state) {
  (void)state;
  static const char *const good[] = {"a", "A-b_9", "0", "_x", "12345678"};
  static const char *const bad[] = {"",    "-a",  ".",   "..",       ".a",        "a b", "a/b",
                                    "a\n", "a:b", "a.b", "\xC3\xA9", "123456789", "a*",  "{a}"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(mg_ident_ok(good[i], 8, NULL));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(mg_ident_ok(bad[i], 8, NULL));
  assert_false(mg_ident_ok(NULL, 8, NULL));
  assert_true(mg_ident_ok("a.b", 8, "."));
  assert_false(mg_ident_ok(".b", 8, "."));
  assert_true(mg_ident_ok_bytes((const uint8_t *)"ab/", 2, 8, NULL));
  assert_false(mg_ident_ok_bytes((const uint8_t *)"a\0b", 3, 8, "."));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(run_ids_tell_their_time),
      cmocka_unit_test(worker_names_are_fit_for_keys),
      cmocka_unit_test(ids_are_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
