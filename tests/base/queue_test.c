/* The queue between two threads. */
#include "base/queue.h"

#include "base/clock.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int items[4096];

static void first_in_first_out_and_bounded(void **state) {
  (void)state;
  assert_null(mg_queue_new(0));
  mg_queue *q = mg_queue_new(3);
  assert_non_null(q);
  assert_null(mg_queue_pop(q));
  for (int round = 0; round < 5; round++) { /* around the ring */
    assert_int_equal(mg_queue_push(q, &items[0]), MG_OK);
    assert_int_equal(mg_queue_push(q, &items[1]), MG_OK);
    assert_ptr_equal(mg_queue_pop(q), &items[0]);
    assert_int_equal(mg_queue_push(q, &items[2]), MG_OK);
    assert_int_equal(mg_queue_push(q, &items[3]), MG_OK);
    assert_int_equal(mg_queue_push(q, &items[4]), MG_AGAIN);
    assert_int_equal(mg_queue_count(q), 3);
    for (int i = 1; i < 4; i++) assert_ptr_equal(mg_queue_pop(q), &items[i]);
    assert_null(mg_queue_pop(q));
  }
  mg_queue_free(q);
  mg_queue_free(NULL);
}

static void a_closed_queue_gives_what_it_has(void **state) {
  (void)state;
  mg_queue *q = mg_queue_new(2);
  assert_int_equal(mg_queue_push(q, &items[0]), MG_OK);
  assert_false(mg_queue_closed(q));
  mg_queue_close(q);
  assert_true(mg_queue_closed(q));
  assert_int_equal(mg_queue_push(q, &items[1]), MG_LOST);
  assert_ptr_equal(mg_queue_pop(q), &items[0]);
  assert_null(mg_queue_pop(q));
  mg_queue_free(q);
}

typedef struct party {
  mg_queue *q;
  int first, step, pushed;
  mg_ms end;
} party;

static void *push_all(void *given) {
  party *p = given;
  for (int i = p->first; i < (int)(sizeof items / sizeof *items); i += p->step) {
    while (mg_queue_push(p->q, &items[i]) != MG_OK) {
      if (mg_now_ms() > p->end) return NULL;
      (void)sched_yield();
    }
    p->pushed++;
  }
  return NULL;
}

static void nothing_is_lost_between_threads(void **state) {
  (void)state;
  enum { PUSHERS = 3, ALL = sizeof items / sizeof *items };
  mg_queue *q = mg_queue_new(7);
  party parties[PUSHERS];
  pthread_t threads[PUSHERS];
  int seen[ALL] = {0}, last[PUSHERS] = {-1, -1, -1}, got = 0;
  mg_ms end = mg_now_ms() + 30000;
  for (int i = 0; i < PUSHERS; i++) {
    parties[i] = (party){.q = q, .first = i, .step = PUSHERS, .end = end};
    assert_int_equal(pthread_create(&threads[i], NULL, push_all, &parties[i]), 0);
  }
  bool in_order = true;
  while (got < ALL && mg_now_ms() < end) {
    const int *item = mg_queue_pop(q);
    if (item == NULL) {
      (void)sched_yield();
      continue;
    }
    int i = (int)(item - items);
    seen[i]++;
    got++;
    in_order = in_order && i > last[i % PUSHERS];
    last[i % PUSHERS] = i;
  }
  for (int i = 0; i < PUSHERS; i++) (void)pthread_join(threads[i], NULL);
  assert_int_equal(got, ALL);
  assert_true(in_order);
  for (int i = 0; i < ALL; i++) assert_int_equal(seen[i], 1);
  mg_queue_free(q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_in_first_out_and_bounded),
      cmocka_unit_test(a_closed_queue_gives_what_it_has),
      cmocka_unit_test(nothing_is_lost_between_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
