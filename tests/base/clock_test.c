/* Time. */
#include "base/clock.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void now_never_goes_back(void **state) {
  (void)state;
  int64_t last = mg_now_ns();
  mg_ms last_ms = mg_now_ms();
  assert_true(last > 0);
  for (int i = 0; i < 10000; i++) {
    int64_t now = mg_now_ns();
    mg_ms now_ms = mg_now_ms();
    assert_true(now >= last && now_ms >= last_ms);
    assert_true(now_ms >= now / 1000000 && now_ms - now / 1000000 < 1000);
    last = now;
    last_ms = now_ms;
  }
}

static void until_is_fit_for_poll(void **state) {
  (void)state;
  mg_ms now = mg_now_ms();
  assert_int_equal(mg_until_ms(MG_NEVER), -1);
  assert_int_equal(mg_until_ms(now), 0);
  assert_int_equal(mg_until_ms(now - 1), 0);
  assert_int_equal(mg_until_ms(INT64_MIN), 0);
  assert_int_equal(mg_until_ms(MG_NEVER - 1), INT_MAX);
  assert_in_range(mg_until_ms(now + 60000), 55000, 60000);
}

static void wall_time_is_written_in_utc(void **state) {
  (void)state;
  static const struct {
    int64_t ms;
    const char *text;
  } rows[] = {
      {0, "1970-01-01T00:00:00Z"},  {1795601472999, "2026-11-25T10:11:12Z"}, {951782400000, "2000-02-29T00:00:00Z"},
      {-1, "1969-12-31T23:59:59Z"}, {-1000, "1969-12-31T23:59:59Z"},
  };
  assert_int_equal(setenv("TZ", "Asia/Tokyo", 1), 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[21];
    mg_wall_text(rows[i].ms, text, sizeof text);
    assert_string_equal(text, rows[i].text);
  }
  char small[5] = "full";
  mg_wall_text(0, small, sizeof small);
  assert_string_equal(small, ""); /* no half a time */
  assert_true(mg_wall_ms() > 1700000000000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(now_never_goes_back),
      cmocka_unit_test(until_is_fit_for_poll),
      cmocka_unit_test(wall_time_is_written_in_utc),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
