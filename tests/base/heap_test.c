/* The heap of due times, against a plain search of the least. */
#include "base/heap.h"

#include "base/philox.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct thing {
  int number;
  mg_heap_node due;
} thing;

static thing *of(mg_heap_node *n) {
  return n == NULL ? NULL : MG_HEAP_OWNER(n, thing, due);
}

static void the_earliest_comes_first(void **state) {
  (void)state;
  mg_heap h = {0};
  thing things[5] = {{0}};
  static const mg_ms dues[] = {50, 10, 40, 10, 30};
  assert_true(mg_heap_next(&h) == MG_NEVER);
  assert_null(mg_heap_first(&h));
  for (int i = 0; i < 5; i++) {
    things[i].number = i;
    assert_false(mg_heap_holds(&things[i].due));
    assert_true(mg_heap_put(&h, &things[i].due, dues[i]));
    assert_true(mg_heap_holds(&things[i].due));
  }
  assert_true(mg_heap_next(&h) == 10);
  static const int order[] = {1, 3, 4, 2, 0}; /* equal ones as they came */
  for (int i = 0; i < 5; i++) {
    mg_heap_node *n = mg_heap_first(&h);
    assert_int_equal(of(n)->number, order[i]);
    mg_heap_remove(&h, n);
    assert_false(mg_heap_holds(n));
  }
  assert_int_equal(h.count, 0);
  mg_heap_remove(&h, &things[0].due); /* in no heap: nothing happens */
  mg_heap_fini(&h);
}

/* seed 7: puts, moves and removals at random, the order checked after each. */
static void any_order_of_changes(void **state) {
  (void)state;
  enum { THINGS = 60, STEPS = 20000 };
  mg_heap h = {0};
  thing things[THINGS] = {{0}};
  uint64_t put_at[THINGS] = {0}, puts = 0;
  mg_philox p;
  mg_philox_init(&p, 7, 0, 0);
  for (int step = 0; step < STEPS; step++) {
    int i = (int)mg_philox_below(&p, THINGS);
    if (mg_philox_below(&p, 3) == 0) {
      mg_heap_remove(&h, &things[i].due);
      assert_false(mg_heap_holds(&things[i].due));
    } else {
      assert_true(mg_heap_put(&h, &things[i].due, (mg_ms)mg_philox_below(&p, 20)));
      put_at[i] = ++puts;
    }
    int least = -1, held = 0;
    for (int j = 0; j < THINGS; j++) {
      if (!mg_heap_holds(&things[j].due)) continue;
      held++;
      bool less = least < 0 || things[j].due.due < things[least].due.due ||
                  (things[j].due.due == things[least].due.due && put_at[j] < put_at[least]);
      if (less) least = j;
    }
    assert_int_equal(h.count, held);
    for (size_t j = 1; j < h.count; j++) assert_true(h.nodes[(j - 1) / 2]->due <= h.nodes[j]->due);
    assert_ptr_equal(of(mg_heap_first(&h)), least < 0 ? NULL : &things[least]);
    assert_true(mg_heap_next(&h) == (least < 0 ? MG_NEVER : things[least].due.due));
  }
  for (mg_ms last = INT64_MIN; h.count > 0;) {
    mg_heap_node *n = mg_heap_first(&h);
    assert_true(n->due >= last);
    mg_heap_remove(&h, n);
    last = n->due;
  }
  mg_heap_fini(&h);
}

static void fini_lets_nodes_go(void **state) {
  (void)state;
  mg_heap h = {0};
  thing t = {0};
  assert_true(mg_heap_put(&h, &t.due, 1));
  mg_heap_fini(&h);
  assert_false(mg_heap_holds(&t.due));
  assert_true(mg_heap_put(&h, &t.due, 2));
  assert_true(mg_heap_next(&h) == 2);
  mg_heap_fini(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_earliest_comes_first),
      cmocka_unit_test(any_order_of_changes),
      cmocka_unit_test(fini_lets_nodes_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
