/* What verify finds in journals that are made by hand, right ones and wrong ones. */
#include "dispatch/verify.h"
#include "journal/journal.h"
#include "tests/brokers/brokers.h"
#include "wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PLANNED = 100, OUTCOMES = 50 };

typedef struct world {
  char dir[MG_TEST_PATH_BYTES];
  mg_journal *journal;
  mg_runfile *file;
} world;

static int set_up(void **state) {
  world *w = calloc(1, sizeof *w);
  mg_error e = {0};
  assert_true(mg_test_folder(w->dir));
  mg_journal_config config = {.dir = w->dir, .run = "run-1"};
  if (mg_journal_start(&w->journal, &config, &e) != MG_OK) fail_msg("%s", e.text);
  *state = w;
  return 0;
}

static int tear_down(void **state) {
  world *w = *state;
  mg_runfile_close(w->file);
  free(w);
  return 0;
}

/* A result of a task of `count` cases from first on: all pass, but every seventh candidate fails clause 1. ranges: what it brought first. */
static void put(world *w, const char *run, uint64_t first, uint32_t count, const mg_case_range *ranges, size_t range_count) {
  uint8_t outcomes[OUTCOMES] = {0};
  mg_failed failed[OUTCOMES];
  mg_result r = {.id = "1.1", .attempt = 1, .worker = "w", .count = count, .outcomes = outcomes, .failed = failed};
  (void)snprintf(r.run, sizeof r.run, "%s", run);
  for (uint32_t i = 0; i < count; i++) {
    if ((first + i) % 7 != 0) continue;
    outcomes[i] = MG_FAIL << 4;
    failed[r.failed_count++] = (mg_failed){.index = i, .role = MG_CANDIDATE, .mask = 2};
  }
  mg_buf body = {0};
  mg_result_encode(&body, &r);
  (void)mg_journal_put(
      w->journal, &(mg_record){.kind = MG_RECORD_RESULT, .seq = 1, .first = first, .ranges = ranges, .range_count = range_count, .body = mg_buf_slice(&body)},
      0);
  mg_buf_fini(&body);
}

static void put_lost(world *w, uint64_t first, uint64_t count, bool crashed) {
  (void)mg_journal_put(w->journal, &(mg_record){.kind = MG_RECORD_LOST, .first = first, .count = count, .flag = crashed}, 0);
}

static mg_audit audit(world *w) {
  mg_error e = {0};
  mg_audit a = {.run = "run-1", .planned = PLANNED};
  mg_journal_free(w->journal);
  if (mg_runfile_open(&w->file, w->dir, "run-1", false, &e) != MG_OK || mg_audit_read(&a, w->file, &e) != MG_OK) fail_msg("%s", e.text);
  return a;
}

static mg_digest digest(world *w, const mg_audit *a, uint64_t limit) {
  static const char *const names[] = {"sorted"};
  mg_error e = {0};
  mg_digest d;
  if (mg_audit_digest(a, w->file, names, 1, true, limit, &d, &e) != MG_OK) fail_msg("%s", e.text);
  return d;
}

static void add_terms(mg_digester *d, mg_digest *sum, uint64_t k) {
  mg_digester_add(d, sum, k, MG_BASELINE, MG_PASS, 0);
  mg_digester_add(d, sum, k, MG_CANDIDATE, k % 7 == 0 ? MG_FAIL : MG_PASS, k % 7 == 0 ? 2 : 0);
}

static void test_a_whole_run(void **state) {
  world *w = *state;
  /* Overlapping answers, each with what it brought first. */
  put(w, "run-1", 0, 40, (mg_case_range[]){{0, 40}}, 1);
  put(w, "run-1", 50, 50, (mg_case_range[]){{50, 50}}, 1);
  put(w, "run-1", 30, 30, (mg_case_range[]){{40, 10}}, 1);
  (void)mg_journal_put(w->journal, &(mg_record){.kind = MG_RECORD_COUNTS, .counts = {1, 2, 3, 4, 500, 6}, .count_count = 6}, 0);
  mg_audit a = audit(w);
  assert_int_equal(a.recorded, PLANNED);
  assert_true(a.lost == 0 && a.crashed == 0 && a.duplicated == 0 && a.unexpected == 0 && a.missing == 0);
  assert_int_equal(a.recovered, 500);
  assert_int_equal(a.dropped, 6);
  static const char *const names[] = {"sorted"};
  mg_digester *d = mg_digester_new(names, 1);
  mg_digest sum = {0}, half = {0};
  for (uint64_t k = 0; k < PLANNED; k++) {
    add_terms(d, &sum, k);
    if (k < 45) add_terms(d, &half, k);
  }
  mg_digest got = digest(w, &a, PLANNED), got_half = digest(w, &a, 45);
  assert_memory_equal(&got, &sum, sizeof sum);
  assert_memory_equal(&got_half, &half, sizeof half);
  mg_digester_free(d);
}

static void test_counted_twice(void **state) {
  world *w = *state;
  put(w, "run-1", 0, 50, (mg_case_range[]){{0, 50}}, 1);
  put(w, "run-1", 40, 30, (mg_case_range[]){{47, 23}}, 1);
  mg_audit a = audit(w);
  assert_int_equal(a.duplicated, 3);
  assert_int_equal(a.recorded, 70);
  assert_int_equal(a.missing, 30);
}

static void test_foreign_cases(void **state) {
  world *w = *state;
  put(w, "run-1", 90, 20, (mg_case_range[]){{90, 20}}, 1);
  put(w, "run-2", 0, 10, (mg_case_range[]){{0, 10}}, 1);
  put_lost(w, 98, 5, false);
  mg_audit a = audit(w);
  assert_int_equal(a.unexpected, 10 + 10 + 3);
  assert_int_equal(a.recorded, 10);
  assert_int_equal(a.lost, 0); /* 98 and 99 came all the same */
}

static void test_lost_ones(void **state) {
  world *w = *state;
  put_lost(w, 10, 10, false);
  put_lost(w, 20, 2, true);
  put(w, "run-1", 0, 15, (mg_case_range[]){{0, 15}}, 1); /* late: replaces five of them */
  put(w, "run-1", 22, 50, (mg_case_range[]){{22, 50}}, 1);
  put(w, "run-1", 72, 28, (mg_case_range[]){{72, 28}}, 1);
  mg_audit a = audit(w);
  assert_int_equal(a.lost, 5);
  assert_int_equal(a.crashed, 2);
  assert_int_equal(a.recorded, 93);
  assert_int_equal(a.missing, 0);
  static const char *const names[] = {"sorted"};
  mg_digester *d = mg_digester_new(names, 1);
  mg_digest sum = {0};
  for (uint64_t k = 0; k < PLANNED; k++) {
    bool crashed = k == 20 || k == 21, lost = k >= 15 && k < 20;
    if (!crashed && !lost) add_terms(d, &sum, k);
    if (lost) mg_digester_add(d, &sum, k, MG_BASELINE, MG_CASE_LOST, 0);
    if (lost) mg_digester_add(d, &sum, k, MG_CANDIDATE, MG_CASE_LOST, 0);
    if (crashed) mg_digester_add(d, &sum, k, MG_BASELINE, MG_PASS, 0);
    if (crashed) mg_digester_add(d, &sum, k, MG_CANDIDATE, MG_CRASH, MG_COMPLETES);
  }
  mg_digest got = digest(w, &a, PLANNED);
  assert_memory_equal(&got, &sum, sizeof sum);
  mg_digester_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_whole_run, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_counted_twice, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_foreign_cases, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_lost_ones, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
