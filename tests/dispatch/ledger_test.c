#include "dispatch/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void adds_and_finds(void **state) {
  (void)state;
  mg_ledger l;
  assert_true(mg_ledger_init(&l));
  for (uint64_t i = 0; i < 5000; i++) {
    mg_entry_out *e = mg_ledger_add(&l, MG_TASK_COUNT, 10 * i, 10, NULL);
    assert_non_null(e);
    assert_int_equal(e->seq, i + 1);
    assert_int_equal(e->holder, -1);
  }
  assert_int_equal(l.count, 5000);
  assert_int_equal(l.cases, 50000);
  for (uint64_t seq = 1; seq <= 5000; seq += 2) mg_ledger_remove(&l, mg_ledger_find(&l, seq));
  assert_int_equal(l.cases, 25000);
  for (uint64_t seq = 1; seq <= 5000; seq++) {
    const mg_entry_out *e = mg_ledger_find(&l, seq);
    if (seq % 2 == 1)
      assert_null(e);
    else
      assert_int_equal(e->first, 10 * (seq - 1));
  }
  uint64_t before = 0;
  size_t n = 0;
  for (const mg_entry_out *e = l.oldest; e != NULL; e = e->next, n++) {
    assert_true(e->seq > before);
    before = e->seq;
  }
  assert_int_equal(n, 2500);
  mg_ledger_fini(&l);
}

/* The cases of a copy are those of its original, whichever of the two goes first. */
static void copies(void **state) {
  (void)state;
  for (int copy_first = 0; copy_first < 2; copy_first++) {
    mg_ledger l;
    assert_true(mg_ledger_init(&l));
    mg_entry_out *a = mg_ledger_add(&l, MG_TASK_COUNT, 0, 7, NULL);
    mg_entry_out *b = mg_ledger_add(&l, MG_TASK_COUNT, 0, 7, NULL);
    mg_ledger_pair(&l, b, a);
    assert_int_equal(l.cases, 7);
    assert_int_equal(a->copy, b->seq);
    mg_ledger_remove(&l, copy_first ? b : a);
    assert_int_equal(l.cases, 7);
    const mg_entry_out *left = copy_first ? a : b;
    assert_true(left->copy == 0 && left->original == 0);
    mg_ledger_remove(&l, copy_first ? a : b);
    assert_int_equal(l.cases, 0);
    assert_int_equal(l.count, 0);
    mg_ledger_fini(&l);
  }
}

static void lists_count_nowhere(void **state) {
  (void)state;
  mg_ledger l;
  assert_true(mg_ledger_init(&l));
  uint64_t *list = calloc(3, sizeof *list);
  mg_entry_out *e = mg_ledger_add(&l, MG_TASK_REPEAT, 0, 3, list);
  assert_int_equal(l.cases, 0);
  assert_ptr_equal(e->list, list);
  mg_ledger_fini(&l); /* frees the list */
}

static void answers(void **state) {
  (void)state;
  mg_ledger l;
  assert_true(mg_ledger_init(&l));
  mg_digest d = {1, 2};
  for (int i = 0; i < 10000; i++) {
    mg_ledger_answer(&l, mg_ledger_add(&l, MG_TASK_COUNT, 5, 6, NULL), i % 2 == 0 ? &d : NULL);
  }
  const mg_answered *a = mg_ledger_answered(&l, 1, 9999);
  assert_non_null(a);
  assert_true(a->first == 5 && a->count == 6 && a->compare && a->digest.low == 1 && a->digest.high == 2);
  assert_false(mg_ledger_answered(&l, 1, 10000)->compare);
  assert_null(mg_ledger_answered(&l, 1, 1));
  assert_null(mg_ledger_answered(&l, 1, 10001));
  assert_null(mg_ledger_answered(&l, 1, 0));
  assert_int_equal(l.count, 0);
  mg_ledger_fini(&l);
}

static void ids(void **state) {
  (void)state;
  char id[MG_TASK_MAX + 1];
  uint32_t epoch;
  uint64_t seq;
  mg_task_id_make(id, UINT32_MAX, UINT64_MAX);
  assert_string_equal(id, "4294967295.18446744073709551615");
  assert_true(mg_task_id_parse(id, &epoch, &seq));
  assert_true(epoch == UINT32_MAX && seq == UINT64_MAX);
  const char *bad[] = {"", ".", "1", "1.", ".1", "1.x", "x.1", "1.2x", "4294967296.1", "-1.2", "1.-2", " 1.2"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(mg_task_id_parse(bad[i], &epoch, &seq));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(adds_and_finds), cmocka_unit_test(copies), cmocka_unit_test(lists_count_nowhere), cmocka_unit_test(answers), cmocka_unit_test(ids),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
