#include "dispatch/violations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const mg_clause clauses[] = {{"completes", "implicit", MG_MODE_HARD},
                                    {"sorted", "property", MG_MODE_HARD},
                                    {"cheap", "property", MG_MODE_SOFT},
                                    {"never", "property", MG_MODE_ABSOLUTE}};

static void add(mg_violations *s, uint64_t c, mg_clause_mask baseline, mg_clause_mask candidate) {
  char text[32];
  (void)snprintf(text, sizeof text, "input of %d", (int)c);
  mg_first f = {.case_number = c, .outcomes = {baseline ? MG_FAIL : MG_PASS, candidate ? MG_FAIL : MG_PASS}, .masks = {baseline, candidate}};
  mg_violation texts[2] = {{.index = 3, .role = MG_BASELINE, .clause = 1, .input = mg_slice_of("not this")},
                           {.index = 3, .role = MG_CANDIDATE, .clause = 1, .input = mg_slice_of(text)}};
  mg_violations_add(s, &f, 3, texts, 2);
}

/* Any order of arrival keeps the same cases. */
static void lowest_cases(void **state) {
  (void)state;
  unsigned seed = (unsigned)time(NULL);
  printf("seed %u\n", seed);
  for (int round = 0; round < 50; round++) {
    uint64_t order[40];
    for (uint64_t i = 0; i < 40; i++) order[i] = i;
    for (int i = 39; i > 0; i--) {
      int k = rand_r(&seed) % (i + 1);
      uint64_t swap = order[i];
      order[i] = order[k];
      order[k] = swap;
    }
    mg_violations s;
    mg_violations_init(&s, clauses, 4, 3);
    for (int i = 0; i < 40; i++) add(&s, order[i], order[i] < 30 ? 2 : 0, order[i] < 2 ? 0 : 2); /* 2 .. 29 shared, 30 .. 39 not */
    size_t n;
    mg_stored_violation *list = mg_violations_list(&s, &n);
    assert_int_equal(n, 6);
    for (int i = 0; i < 3; i++) {
      char text[32];
      assert_true(list[i].role == MG_CANDIDATE && list[i].case_number == 30u + (unsigned)i && !list[i].shared);
      (void)snprintf(text, sizeof text, "input of %d", 30 + i);
      assert_string_equal(list[i].input, text);
      assert_null(list[i].output);
      assert_true(list[3 + i].role == MG_BASELINE && list[3 + i].case_number == (unsigned)i);
    }
    free(list);
    mg_violations_fini(&s);
  }
}

static void what_decides(void **state) {
  (void)state;
  mg_violations s;
  mg_violations_init(&s, clauses, 4, 5);
  add(&s, 1, 0, 1 << 1);      /* hard, not shared */
  add(&s, 2, 1 << 1, 1 << 1); /* shared */
  add(&s, 3, 1 << 3, 1 << 3); /* absolute, shared */
  add(&s, 4, 0, 1 << 2);      /* soft */
  add(&s, 5, 0, 1 << 1 | 1 << 2);
  uint32_t reproduced[MG_MAX_CLAUSES + 1], vanished[MG_MAX_CLAUSES + 1];
  mg_violations_repeated(&s, 1, 1 << 1);
  mg_violations_repeated(&s, 2, 1 << 1);
  mg_violations_repeated(&s, 3, 0);
  mg_violations_repeated(&s, 4, 1 << 2);
  mg_violations_repeated(&s, 5, 1 << 2);
  mg_violations_tell(&s, reproduced, vanished);
  assert_int_equal(reproduced[1], 1);
  assert_int_equal(vanished[1], 1);
  assert_int_equal(reproduced[2], 0);
  assert_int_equal(reproduced[3], 0);
  assert_int_equal(vanished[3], 1);
  mg_first f = {.masks = {1 << 1 | 1 << 3, 0xf}};
  assert_int_equal(mg_violations_deciding(&s, &f), 1 << 0 | 1 << 3);
  mg_violations_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(lowest_cases), cmocka_unit_test(what_decides)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
