/* Against a plain array of bytes, with random ranges. */
#include "dispatch/case_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { CASES = 30000 };

static void same_as_bytes(mg_case_set *s, const uint8_t *model) {
  uint64_t total = 0, frontier = CASES;
  for (uint64_t i = CASES; i-- > 0;) {
    total += model[i];
    if (!model[i]) frontier = i;
    assert_int_equal(mg_case_set_has(s, i), model[i]);
  }
  assert_int_equal(s->count, total);
  assert_int_equal(s->frontier, frontier);
}

static void random_ranges(void **state) {
  (void)state;
  unsigned seed = (unsigned)time(NULL);
  printf("seed %u\n", seed);
  for (int round = 0; round < 20; round++) {
    mg_case_set s = {0};
    static uint8_t model[CASES];
    memset(model, 0, sizeof model);
    for (int step = 0; step < 400; step++) {
      uint64_t first = (uint64_t)rand_r(&seed) % CASES;
      uint64_t most = step % 5 == 0 ? 9000 : 70;
      uint64_t count = 1 + (uint64_t)rand_r(&seed) % most;
      if (first + count > CASES) count = CASES - first;
      uint64_t expected = 0, within = 0, added = 0;
      for (uint64_t i = first; i < first + count; i++) within += model[i];
      assert_int_equal(mg_case_set_within(&s, first, count), within);
      uint64_t gap = first, gap_first = 0, gap_count = 0;
      while (gap < first + count && model[gap]) gap++;
      bool any = mg_case_set_gap(&s, first, first + count, &gap_first, &gap_count);
      assert_int_equal(any, gap < first + count);
      if (any) {
        assert_int_equal(gap_first, gap);
        uint64_t n = 0;
        while (gap + n < first + count && !model[gap + n]) n++;
        assert_int_equal(gap_count, n);
      }
      for (uint64_t i = first; i < first + count; i++) {
        expected += !model[i];
        model[i] = 1;
      }
      assert_true(mg_case_set_add(&s, first, count, &added));
      assert_int_equal(added, expected);
      if (step % 50 == 0) same_as_bytes(&s, model);
    }
    same_as_bytes(&s, model);
    mg_case_set_fini(&s);
  }
}

/* What is counted in order holds no pages, whatever the number of cases; a straggler holds the span behind it. */
static void memory_follows_the_span(void **state) {
  (void)state;
  mg_case_set s = {0};
  uint64_t added = 0;
  assert_true(mg_case_set_add(&s, 1, 999, &added));
  for (uint64_t at = 1000; at < 50000000; at += 1000) assert_true(mg_case_set_add(&s, at, 1000, &added));
  assert_int_equal(s.frontier, 0);
  assert_true(s.page_cap < 20000);
  assert_true(mg_case_set_add(&s, 0, 1, &added));
  assert_int_equal(s.frontier, 50000000);
  assert_true(s.page_count <= 1);
  assert_int_equal(added, 50000000);
  mg_case_set_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_ranges),
      cmocka_unit_test(memory_follows_the_span),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
