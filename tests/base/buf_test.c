/* Buffers and slices. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void appends_keep_every_byte(void **state) {
  (void)state;
  mg_buf b = {0};
  for (int i = 0; i < 100000; i++) mg_buf_put(&b, &(uint8_t){(uint8_t)i}, 1);
  assert_int_equal(b.len, 100000);
  assert_true(b.cap >= b.len && b.cap < 4 * b.len);
  for (int i = 0; i < 100000; i++) assert_int_equal(b.data[i], (uint8_t)i);
  mg_buf_put(&b, NULL, 0);
  assert_int_equal(b.len, 100000);
  size_t cap = b.cap;
  mg_buf_clear(&b);
  assert_int_equal(b.len, 0);
  assert_int_equal(b.cap, cap);
  mg_buf_fini(&b);
  assert_null(b.data);
  mg_buf_puts(&b, "usable again");
  assert_int_equal(mg_buf_slice(&b).len, 12);
  mg_buf_fini(&b);
}

static void formatting_grows_as_needed(void **state) {
  (void)state;
  mg_buf b = {0};
  char text[500];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  mg_buf_puts(&b, "a");
  mg_buf_putf(&b, "%d-%s", 42, text);
  mg_buf_putf(&b, "%s", "");
  assert_int_equal(b.len, 1 + 3 + 499);
  assert_memory_equal(b.data, "a42-xxx", 7);
  assert_int_equal(b.data[b.len - 1], 'x');
  mg_buf_fini(&b);
}

static void a_failure_stays_until_it_is_cleared(void **state) {
  (void)state;
  mg_buf b = {0};
  mg_buf_puts(&b, "kept");
  assert_false(mg_buf_reserve(&b, SIZE_MAX - 10)); /* would overflow */
  assert_true(b.failed);
  mg_buf_puts(&b, "not appended");
  mg_buf_putf(&b, "%d", 1);
  assert_int_equal(b.len, 4);
  assert_false(mg_buf_reserve(&b, 1));
  mg_buf_clear(&b);
  mg_buf_puts(&b, "x");
  assert_int_equal(b.len, 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they end the program instead of returning NULL  \
                                                                     */
  assert_false(mg_buf_reserve(&b, SIZE_MAX / 4));                   /* no such memory */
  assert_true(b.failed);
#endif
  mg_buf_fini(&b);
}

static void slices_borrow(void **state) {
  (void)state;
  const char *text = "abc";
  mg_slice s = mg_slice_of(text);
  assert_ptr_equal(s.data, text);
  assert_int_equal(s.len, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(appends_keep_every_byte),
      cmocka_unit_test(formatting_grows_as_needed),
      cmocka_unit_test(a_failure_stays_until_it_is_cleared),
      cmocka_unit_test(slices_borrow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
