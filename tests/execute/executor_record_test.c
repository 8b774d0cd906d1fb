/* What an executor records of its cases: however many violations fill the arena, what is counted still finds room. */
#include "execute/executor_record.h"
#include "execute/pool_records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void violations_leave_room_for_counts(void **state) {
  (void)state;
  static mg_runner r;
  char message[MG_MESSAGE_BYTES];
  int seen[MG_RECORD_PLACE + 1] = {0};
  r.slot = calloc(1, sizeof *r.slot);
  assert_non_null(r.slot);
  r.violation_cap = UINT8_MAX;
  r.measure = MG_MEASURE_LATENCY | MG_MEASURE_CPU | MG_MEASURE_MEMORY;
  r.checks.metric_count = MG_MAX_METRICS;
  memset(message, 'm', sizeof message);
  /* Long ones until none fits, then shorter ones, down to nothing. */
  for (size_t length = sizeof message - 1;; length /= 2) {
    uint32_t before;
    message[length] = '\0';
    do {
      before = atomic_load(&r.slot->arena_used);
      memset(r.stored, 0, sizeof r.stored);
      mg_record_violation(&r, 7, 7, MG_CANDIDATE, 1, message, false, NULL, NULL);
    } while (atomic_load(&r.slot->arena_used) > before);
    if (length == 0) break;
  }
  for (int role = 0; role < MG_ROLES; role++) {
    mg_record_failed(&r, 7, (mg_role)role, UINT64_MAX);
    mg_record_values(&r, 7, (mg_role)role);
  }
  mg_record_digest(&r, 7);
  memset(message, 'f', sizeof message - 1);
  message[sizeof message - 1] = '\0';
  mg_record_fault(&r, 8, message);

  mg_slice rest = {r.slot->arena, atomic_load(&r.slot->arena_used)};
  mg_record one;
  while (mg_record_next(&rest, &one)) seen[one.kind]++;
  assert_int_equal(rest.len, 0);
  assert_true(seen[MG_RECORD_VIOLATION] > 1000);
  assert_int_equal(seen[MG_RECORD_FAILED], MG_ROLES);
  assert_int_equal(seen[MG_RECORD_VALUES], MG_ROLES);
  assert_int_equal(seen[MG_RECORD_DIGEST], 1);
  assert_int_equal(seen[MG_RECORD_FAULT], 1);
  mg_buf_fini(&r.record);
  mg_buf_fini(&r.text);
  free(r.slot);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(violations_leave_room_for_counts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
