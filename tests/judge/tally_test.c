#include "judge/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint64_t row_sum(const mg_tally *t, mg_role r) {
  uint64_t sum = 0;
  for (int o = 0; o < MG_OUTCOMES; o++) sum += t->outcomes[r][o];
  return sum;
}

static void every_pair_of_outcomes(void **state) {
  (void)state;
  mg_tally t = {0};
  for (int b = 0; b < MG_OUTCOMES; b++) {
    for (int c = 0; c < MG_OUTCOMES; c++) mg_tally_add(&t, (mg_outcome)b, (mg_outcome)c, 0, 0);
  }
  assert_int_equal(t.cases, MG_OUTCOMES * MG_OUTCOMES);
  assert_int_equal(row_sum(&t, MG_BASELINE), t.cases);
  assert_int_equal(row_sum(&t, MG_CANDIDATE), t.cases);
  /* Five outcomes on each side make a pair: pass, fail, error, timeout, crash. */
  assert_int_equal(mg_pairs_total(&t.pairs), 25);
  assert_int_equal(t.pairs.both, 1);
  assert_int_equal(t.pairs.base_only, 4);
  assert_int_equal(t.pairs.cand_only, 4);
  assert_int_equal(t.pairs.neither, 16);
}

static void clauses(void **state) {
  (void)state;
  mg_tally t = {0};
  mg_tally_add(&t, MG_FAIL, MG_FAIL, 1 << 1 | 1 << 2, 1 << 2 | 1 << 3);
  mg_tally_add(&t, MG_PASS, MG_CRASH, 0, MG_COMPLETES);
  mg_tally_add(&t, MG_PASS, MG_FAIL, 0, 1ull << 63);
  mg_tally_add(&t, MG_CASE_LOST, MG_FAIL, 0, 1 << 3); /* no pair, no count */
  assert_int_equal(t.clauses[1].baseline_only, 1);
  assert_int_equal(t.clauses[2].both, 1);
  assert_int_equal(t.clauses[3].candidate_only, 1);
  assert_int_equal(t.clauses[0].candidate_only, 1);
  assert_int_equal(t.clauses[63].candidate_only, 1);
  assert_int_equal(t.clauses[3].both + t.clauses[3].baseline_only, 0);
}

static void without_baseline(void **state) {
  (void)state;
  mg_tally t = {0};
  mg_tally_add(&t, MG_ABSENT, MG_PASS, 0, 0);
  mg_tally_add(&t, MG_ABSENT, MG_FAIL, 0, 1 << 1);
  mg_tally_add(&t, MG_ABSENT, MG_DISCARD, 0, 1 << 1);
  assert_int_equal(t.cases, 3);
  assert_int_equal(row_sum(&t, MG_BASELINE), 0);
  assert_int_equal(row_sum(&t, MG_CANDIDATE), 3);
  assert_int_equal(mg_pairs_total(&t.pairs), 0);
  assert_int_equal(t.clauses[1].candidate_only, 1);
  assert_int_equal(t.clauses[1].both + t.clauses[1].baseline_only, 0);
}

/* A run of cases counts as the cases one by one, and merging as adding. */
static void runs_and_merges(void **state) {
  (void)state;
  mg_tally one = {0}, run = {0}, half = {0}, merged = {0};
  for (int i = 0; i < 1000; i++) mg_tally_add(&one, MG_PASS, MG_FAIL, 0, 0);
  mg_tally_add_run(&run, MG_PASS, MG_FAIL, 1000);
  assert_memory_equal(&one, &run, sizeof one);
  mg_tally_add_run(&half, MG_PASS, MG_FAIL, 500);
  mg_tally_merge(&merged, &half);
  mg_tally_merge(&merged, &half);
  assert_memory_equal(&merged, &run, sizeof run);
  mg_tally twice = {0}, whole = {0};
  mg_tally_add(&twice, MG_FAIL, MG_ERROR, 6, 3);
  mg_tally_merge(&whole, &twice);
  mg_tally_merge(&whole, &twice);
  mg_tally_add(&twice, MG_FAIL, MG_ERROR, 6, 3);
  assert_memory_equal(&whole, &twice, sizeof whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_pair_of_outcomes),
      cmocka_unit_test(clauses),
      cmocka_unit_test(without_baseline),
      cmocka_unit_test(runs_and_merges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
