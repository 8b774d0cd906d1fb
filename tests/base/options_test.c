/* Flat settings. */
#include "base/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mg_options *filled(void) {
  mg_options *o = mg_options_new();
  assert_non_null(o);
  assert_true(mg_options_set_text(o, "backend", "redis"));
  assert_true(mg_options_set_int(o, "connection.port", 6379));
  assert_true(mg_options_set_real(o, "inflight_factor", 0.1));
  assert_true(mg_options_set_bool(o, "compress", true));
  return o;
}

static void values_are_read_by_their_type(void **state) {
  (void)state;
  mg_options *o = filled();
  assert_string_equal(mg_options_text(o, "backend", "x"), "redis");
  assert_true(mg_options_int(o, "connection.port", 1) == 6379);
  assert_true(mg_options_real(o, "inflight_factor", 1) == 0.1);
  assert_true(mg_options_real(o, "connection.port", 1) == 6379); /* an int reads as a real too */
  assert_true(mg_options_bool(o, "compress", false));
  assert_true(mg_options_has(o, "compress"));
  assert_false(mg_options_has(o, "compres"));
  assert_string_equal(mg_options_text(o, "absent", "otherwise"), "otherwise");
  assert_null(mg_options_text(o, "connection.port", NULL));
  assert_true(mg_options_int(o, "backend", -5) == -5);
  assert_true(mg_options_int(o, "inflight_factor", -5) == -5);
  assert_true(mg_options_real(o, "compress", 2.5) == 2.5);
  assert_false(mg_options_bool(o, "connection.port", false));
  mg_options_free(o);
}

static void later_settings_replace(void **state) {
  (void)state;
  mg_options *o = filled();
  assert_true(mg_options_set_text(o, "connection.port", "sixthousand")); /* of another type even */
  assert_true(mg_options_set_int(o, "backend", 3));
  assert_string_equal(mg_options_text(o, "connection.port", ""), "sixthousand");
  assert_true(mg_options_int(o, "connection.port", -1) == -1);
  assert_true(mg_options_int(o, "backend", -1) == 3);
  assert_null(mg_options_text(o, "backend", NULL));
  mg_options_free(o);
}

static void entries_are_told_in_order(void **state) {
  (void)state;
  mg_options *o = filled();
  assert_true(mg_options_set_real(o, "tenth", 1e300));
  assert_true(mg_options_set_int(o, "least", INT64_MIN));
  assert_true(mg_options_set_text(o, "backend", "again, in its old place"));
  static const char *const rows[][2] = {{"backend", "again, in its old place"},
                                        {"connection.port", "6379"},
                                        {"inflight_factor", "0.1"},
                                        {"compress", "true"},
                                        {"tenth", "1e+300"},
                                        {"least", "-9223372036854775808"}};
  const char *key;
  char value[64];
  size_t i = 0;
  for (; mg_options_at(o, i, &key, value, sizeof value); i++) {
    assert_string_equal(key, rows[i][0]);
    assert_string_equal(value, rows[i][1]);
  }
  assert_int_equal(i, 6);
  assert_true(mg_options_at(o, 0, &key, value, 6));
  assert_string_equal(value, "again");
  mg_options_free(o);
}

static void many_keys(void **state) {
  (void)state;
  mg_options *o = mg_options_new();
  char key[16];
  for (int i = 0; i < 500; i++) {
    assert_true(snprintf(key, sizeof key, "k%d", i) > 0);
    assert_true(mg_options_set_int(o, key, i));
  }
  for (int i = 0; i < 500; i++) {
    assert_true(snprintf(key, sizeof key, "k%d", i) > 0);
    assert_true(mg_options_int(o, key, -1) == i);
  }
  mg_options_free(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_read_by_their_type),
      cmocka_unit_test(later_settings_replace),
      cmocka_unit_test(entries_are_told_in_order),
      cmocka_unit_test(many_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
