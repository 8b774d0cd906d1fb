/* Delivery: workers vanish, answer twice, late, in part or wrongly; every case still counts once. No executor runs here: what is proven is the coordinator.
 *
 * Each test shows that its fault hit work in flight, by what the workers did and by the run's counters. */
#include "tests/brokers/brokers.h"
#include "tests/dispatch/run_fixture.h"

#include <setjmp.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The deed `what` for the first `times` tasks that hold case `at` (any task where at is UINT64_MAX), by worker `who` (any where NULL). */
typedef struct plan_of_faults {
  fake_deed what;
  uint64_t at;
  const char *who;
  atomic_int times;
} plan_of_faults;

static fake_deed by_plan(void *owner, const char *worker, const mg_task *t) {
  plan_of_faults *p = owner;
  if (t->kind != MG_TASK_COUNT || (p->who != NULL && strcmp(worker, p->who) != 0)) return FAKE_RUN;
  if (p->at != UINT64_MAX && (p->at < t->first || p->at >= t->first + t->count)) return FAKE_RUN;
  return atomic_fetch_sub(&p->times, 1) > 0 ? p->what : FAKE_RUN;
}

static void with(run_fixture *f, plan_of_faults *p, uint64_t cases) {
  fixture_init(f, cases);
  f->world.deed = by_plan;
  f->world.owner = p;
}

static unsigned executions(const run_fixture *f) {
  unsigned n = 0;
  for (uint64_t i = 0; i < f->world.cases; i++) n += f->world.runs[i];
  return n;
}

static void a_worker_vanishes(void **state) {
  (void)state;
  static const fake_deed deeds[] = {FAKE_VANISH, FAKE_VANISH_EARLY, FAKE_VANISH_IDLE};
  for (size_t i = 0; i < 3; i++) {
    run_fixture f;
    plan_of_faults p = {.what = deeds[i], .at = 1234, .times = 1};
    with(&f, &p, 5000);
    mg_options_set_real(f.options, "lease_seconds", 60);
    fixture_run(&f);
    fixture_expect_whole(&f);
    assert_int_equal(f.world.vanished, 1);
    assert_int_equal(f.state.requeued_tasks, 1);
    assert_int_equal(f.state.requeued_cases, 50);
    assert_int_equal(executions(&f), 5000);
    assert_int_equal(fixture_events(&f, "worker_lost"), 1);
    assert_int_equal(f.seen[0].lost + f.seen[1].lost, 1);
    assert_true(f.took_ms < 20000); /* silence of 600 ms tells, not the end of the lease; tests/faults measures how soon */
    fixture_fini(&f);
  }
}

static void replace_the_lost(run_fixture *f) {
  if (fixture_events(f, "worker_lost") > 0) fixture_replace_the_gone(f);
}

static void the_only_worker_vanishes(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_VANISH, .at = 1234, .times = 1};
  with(&f, &p, 3000);
  f.worker_count = 1;
  f.tick = replace_the_lost;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.requeued_tasks, 1);
  assert_false(f.seen[0].quarantined); /* never the last one */
  fixture_fini(&f);
}

static void many_vanish(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_VANISH, .at = UINT64_MAX, .times = 12};
  with(&f, &p, 5000);
  mg_options_set_int(f.options, "max_requeue_attempts", 30);
  f.worker_count = 3;
  f.tick = fixture_replace_the_gone;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.world.vanished, 12);
  assert_true(f.state.requeued_tasks >= 12);
  fixture_fini(&f);
}

/* Case 777 takes its worker along each time: it alone is given up, the others all count. */
static void poison(void **state) {
  (void)state;
  static const fake_deed deeds[] = {FAKE_VANISH, FAKE_VANISH_EARLY};
  for (size_t i = 0; i < 2; i++) {
    run_fixture f;
    plan_of_faults p = {.what = deeds[i], .at = 775, .times = 1000000};
    with(&f, &p, 2000);
    f.tick = fixture_replace_the_gone;
    mg_options_set_real(f.options, "heartbeat_timeout", 0.3); /* many die one after the other */
    mg_options_set_real(f.options, "heartbeat_interval", 0.1);
    fixture_run(&f);
    assert_string_equal(f.failed, "");
    assert_int_equal(f.state.dead_lettered, 1);
    assert_int_equal(f.left.dead, 1);
    assert_int_equal(f.tally.cases, 2000);
    for (uint64_t c = 0; c < 2000; c++) assert_int_equal(f.world.runs[c] >= 1, c != 775);
    uint64_t lost = f.tally.outcomes[MG_CANDIDATE][MG_CASE_LOST], crashed = f.tally.outcomes[MG_CANDIDATE][MG_CRASH];
    if (deeds[i] == FAKE_VANISH) {
      /* Named by every beat while the candidate ran: the candidate's failure, several times over. */
      assert_true(lost == 0 && crashed == 1);
      assert_int_equal(f.judgement.verdict, MG_REJECT);
      assert_int_equal(f.tally.outcomes[MG_BASELINE][MG_CASE_LOST], 0);
    } else {
      assert_true(lost == 1 && crashed == 0);
      assert_int_equal(f.judgement.verdict, MG_INVALID);
    }
    assert_true(f.world.vanished <= 12);
    fixture_fini(&f);
  }
}

static const uint64_t poisonous[] = {77, 775, 776};
enum { POISONOUS = sizeof poisonous / sizeof poisonous[0] };

static bool is_poisonous(uint64_t case_number) {
  for (size_t i = 0; i < POISONOUS; i++) {
    if (poisonous[i] == case_number) return true;
  }
  return false;
}

static fake_deed poisoned(void *owner, const char *worker, const mg_task *t) {
  (void)owner;
  (void)worker;
  for (uint32_t i = 0; t->kind == MG_TASK_COUNT && i < t->count; i++) {
    if (is_poisonous(t->first + i)) return FAKE_VANISH_EARLY;
  }
  return FAKE_RUN;
}

/* Each worker holds eight tasks and runs one at a time; what dies with a poisonous one before any beat has named anything is innocent, however often it
 * happens. Cases that kill stand alone, side by side, and near each other. */
static void poison_takes_no_neighbour_along(void **state) {
  (void)state;
  static const int batches[] = {8, 1}, requeues[] = {3, 1};
  for (size_t i = 0; i < 2; i++) {
    run_fixture f;
    plan_of_faults p = {.what = FAKE_RUN};
    with(&f, &p, 1600);
    f.world.deed = poisoned;
    f.world.hold = 8;
    mg_options_set_real(f.options, "heartbeat_timeout", 0.3); /* many die one after the other */
    mg_options_set_real(f.options, "heartbeat_interval", 0.1);
    f.executors = 1;
    f.tick = fixture_replace_the_gone;
    mg_options_set_int(f.options, "batch_size", batches[i]);
    mg_options_set_int(f.options, "max_requeue_attempts", requeues[i]);
    fixture_run(&f);
    assert_string_equal(f.failed, "");
    for (uint64_t c = 0; c < 1600; c++) {
      if ((f.world.runs[c] == 0) != is_poisonous(c)) fail_msg("case %d ran %u times", (int)c, f.world.runs[c]);
    }
    assert_int_equal(f.state.dead_lettered, POISONOUS);
    assert_int_equal(f.left.dead, POISONOUS);
    assert_int_equal(f.tally.cases, 1600);
    assert_int_equal(f.tally.outcomes[MG_CANDIDATE][MG_CASE_LOST], POISONOUS);
    assert_int_equal(f.judgement.verdict, MG_INVALID);
    fixture_fini(&f);
  }
}

static void no_requeue(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_VANISH_EARLY, .at = 1234, .times = 1};
  with(&f, &p, 5000);
  mg_options_set_bool(f.options, "enable_requeue", false);
  fixture_run(&f);
  assert_int_equal(f.tally.outcomes[MG_CANDIDATE][MG_CASE_LOST], 50);
  assert_int_equal(f.tally.cases, 5000);
  assert_int_equal(f.state.requeued_tasks, 0);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  fixture_fini(&f);
}

static void no_attempts(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_VANISH, .at = 1234, .times = 1};
  with(&f, &p, 5000);
  mg_options_set_int(f.options, "max_requeue_attempts", 0);
  fixture_run(&f);
  assert_int_equal(f.state.dead_lettered, 1);
  assert_int_equal(f.left.dead, 1);
  assert_int_equal(f.tally.cases, 5000);
  assert_int_equal(f.tally.outcomes[MG_CANDIDATE][MG_CRASH], 50);
  fixture_fini(&f);
}

/* A worker falls silent beyond its lease and answers after all, when others have done its task: the repeat is dropped. */
static void late_answer(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_LATE, .at = 20, .times = 1};
  with(&f, &p, 20000);
  f.world.late_ms = 1300;
  f.world.lease_ms = 400;
  f.world.pace_ms = 10;
  mg_options_set_real(f.options, "lease_seconds", 0.4);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_true(f.state.requeued_tasks >= 1);
  assert_int_equal(f.state.repeats_dropped, 1);
  assert_int_equal(executions(&f), 20050);
  assert_int_equal(fixture_events(&f, "worker_recovered"), 2); /* it beats again; later steadily */
  fixture_fini(&f);
}

/* The same with nobody else there: its answer counts, though its lease is gone and the task is out anew. */
static void late_answer_counts(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_LATE, .at = 20, .times = 1};
  with(&f, &p, 100);
  f.worker_count = 1;
  f.world.late_ms = 1300;
  f.world.lease_ms = 400;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_true(f.state.requeued_tasks >= 1);
  assert_true(executions(&f) <= 150); /* it may fetch the new attempt before that is taken back */
  fixture_fini(&f);
}

static fake_deed late_then_in_part_then_slow(void *owner, const char *worker, const mg_task *t) {
  static const fake_deed deeds[] = {FAKE_LATE, FAKE_PARTIAL, FAKE_SLOW};
  atomic_int *turn = owner;
  (void)worker;
  bool there = t->kind == MG_TASK_COUNT && t->first <= 149 && 149 < t->first + t->count;
  int n = there ? atomic_fetch_add(turn, 1) : 3;
  return n < 3 ? deeds[n] : FAKE_RUN;
}

/* A late answer to a task of which half was counted meanwhile: its other half counts, and whoever works on that is not waited for. */
static void late_answer_is_half_new(void **state) {
  (void)state;
  run_fixture f;
  atomic_int turn = 0;
  fixture_init(&f, 3000);
  f.world.deed = late_then_in_part_then_slow;
  f.world.owner = &turn;
  f.world.late_ms = 1300;
  f.world.slow_ms = 25000;
  f.world.lease_ms = 400;
  f.worker_count = 3;
  mg_options_set_real(f.options, "lease_seconds", 0.4);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(turn, 3);
  assert_int_equal(f.world.runs[149] + f.world.runs[101], 3); /* the second half once late; its slow second run saw that the run was over */
  assert_true(f.took_ms < 15000);
  fixture_fini(&f);
}

static void answered_twice(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_TWICE, .at = UINT64_MAX, .times = 30};
  with(&f, &p, 5000);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.repeats_dropped, 30);
  assert_int_equal(fixture_events(&f, "flaky_repeat"), 0);
  fixture_fini(&f);
}

static void answered_differently(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_DIFFERENT, .at = 120, .times = 1};
  with(&f, &p, 5000);
  fixture_run(&f);
  fixture_expect_whole(&f); /* the first one counts */
  assert_int_equal(f.state.repeats_dropped, 1);
  assert_int_equal(fixture_events(&f, "flaky_repeat"), 1);
  assert_non_null(strstr(f.notes, "cases 100 to 149 came out differently"));
  fixture_fini(&f);
}

static void answered_in_part(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_PARTIAL, .at = UINT64_MAX, .times = 40};
  with(&f, &p, 5000);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(executions(&f), 5000);
  assert_true(f.world.tasks > 100 + 2);
  fixture_fini(&f);
}

/* Settled without a result: the broker no longer has the task, and nobody else will say so. */
static void result_gone(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_DROP, .at = 1234, .times = 1};
  with(&f, &p, 5000);
  mg_options_set_real(f.options, "lease_seconds", 0.5);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.requeued_tasks, 1);
  assert_non_null(strstr(f.events, "the broker no longer has it"));
  fixture_fini(&f);
}

/* Whoever takes a task and drops it, each time, ends the run instead of keeping it for ever. */
static void results_never_come(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_DROP, .at = 30, .times = INT_MAX};
  with(&f, &p, 60);
  mg_options_set_real(f.options, "lease_seconds", 0.2);
  mg_options_set_real(f.options, "heartbeat_check_interval", 0.02);
  fixture_run(&f);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_non_null(strstr(f.judgement.reasons[0], "went from the queue 21 times without an answer"));
  fixture_fini(&f);
}

static void garbage(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_GARBAGE, .at = UINT64_MAX, .times = 10};
  with(&f, &p, 5000);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.bad_messages, 20);
  fixture_fini(&f);
}

static void lies(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_LIE, .at = UINT64_MAX, .times = 10};
  with(&f, &p, 5000);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.bad_messages, 10);
  fixture_fini(&f);
}

/* A worker puts a good task among the dead letters (its memory is bad, its key is wrong): it runs elsewhere. */
static void buried_alive(void **state) {
  (void)state;
  run_fixture f;
  plan_of_faults p = {.what = FAKE_BURY, .at = 1234, .times = 2};
  with(&f, &p, 5000);
  mg_options_set_real(f.options, "lease_seconds", 0.4);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.requeued_tasks, 2);
  assert_int_equal(f.left.dead, 2);
  fixture_fini(&f);
}

/* w0 refuses all; the others begin once it has. */
static fake_deed refuses_first(void *owner, const char *worker, const mg_task *t) {
  run_fixture *f = owner;
  (void)t;
  if (strcmp(worker, "w0") == 0) return FAKE_REFUSE;
  for (mg_ms end = mg_now_ms() + 10000; atomic_load(&f->world.refused) == 0 && mg_now_ms() < end;) mg_test_pause(1);
  return FAKE_RUN;
}

static void refused_by_one(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 5000);
  f.world.deed = refuses_first;
  f.world.owner = &f;
  /* one that waits does not beat */
  mg_options_set_real(f.options, "heartbeat_timeout", 15);
  mg_options_set_int(f.options, "circuit_breaker_threshold", 1000);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_true(f.world.refused > 0);
  assert_int_equal(fixture_events(&f, "worker_refused"), 1);
  assert_int_equal(f.state.requeued_tasks, 0); /* a refusal is no attempt */
  fixture_fini(&f);
}

/* The last task hangs with one worker, another is idle: a copy does it, and the run does not wait for the first. */
static void straggler(void **state) {
  (void)state;
  for (int paid = 0; paid < 2; paid++) {
    run_fixture f;
    plan_of_faults p = {.what = FAKE_SLOW, .at = 999, .times = 1};
    with(&f, &p, 1000);
    f.plan.hedge = !paid;
    f.plan.case_timeout_ms = 100;
    f.world.slow_ms = paid ? 3000 : 25000;
    fixture_run(&f);
    fixture_expect_whole(&f);
    assert_int_equal(f.state.hedges, !paid);
    assert_true(paid ? f.took_ms >= 3000 : f.took_ms < 15000);
    fixture_fini(&f);
  }
}

typedef struct quarantined {
  plan_of_faults faults;
  _Atomic mg_ms back_ms, again_ms;
} quarantined;

static fake_deed watch_quarantine(void *owner, const char *worker, const mg_task *t) {
  quarantined *q = owner;
  fake_deed deed = by_plan(&q->faults, worker, t);
  if (strcmp(worker, "w0") != 0) return deed;
  if (deed == FAKE_LATE)
    q->back_ms = mg_now_ms() + 1300;
  else if (q->again_ms == 0 && q->back_ms != 0)
    q->again_ms = mg_now_ms();
  return deed;
}

/* A worker that was lost and comes back gets work again only once it beats steadily. */
static void quarantine(void **state) {
  (void)state;
  run_fixture f;
  quarantined q = {.faults = {.what = FAKE_LATE, .at = UINT64_MAX, .who = "w0", .times = 1}};
  with(&f, &q.faults, 20000);
  f.world.late_ms = 1300;
  f.world.pace_ms = 10;
  f.world.deed = watch_quarantine;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(fixture_events(&f, "worker_lost"), 1);
  assert_int_equal(fixture_events(&f, "worker_recovered"), 2);
  /* Back after 1300 ms, pardoned after three beats 40 ms apart that were read every 25 ms: at least one interval of those without work. */
  assert_true(q.again_ms - q.back_ms > 60);
  fixture_fini(&f);
}

/* A signed run drops what is not signed. */
static void signed_run(void **state) {
  (void)state;
  run_fixture f;
  mg_keyring *keys;
  assert_int_equal(mg_keyring_parse(&keys, "k1:secret", NULL), MG_OK);
  mg_codec codec = {.compress = true, .threshold_bytes = 64, .keys = keys};
  plan_of_faults p = {.what = FAKE_GARBAGE, .at = UINT64_MAX, .times = 5};
  with(&f, &p, 3000);
  f.keys = keys;
  f.world.codec = &codec;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.state.bad_messages, 10);
  fixture_fini(&f);
  mg_keyring_free(keys);
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_worker_vanishes),
      cmocka_unit_test(the_only_worker_vanishes),
      cmocka_unit_test(many_vanish),
      cmocka_unit_test(poison),
      cmocka_unit_test(poison_takes_no_neighbour_along),
      cmocka_unit_test(no_requeue),
      cmocka_unit_test(no_attempts),
      cmocka_unit_test(late_answer),
      cmocka_unit_test(late_answer_counts),
      cmocka_unit_test(late_answer_is_half_new),
      cmocka_unit_test(answered_twice),
      cmocka_unit_test(answered_differently),
      cmocka_unit_test(answered_in_part),
      cmocka_unit_test(result_gone), cmocka_unit_test(results_never_come),
      cmocka_unit_test(garbage),
      cmocka_unit_test(lies),
      cmocka_unit_test(buried_alive),
      cmocka_unit_test(refused_by_one),
      cmocka_unit_test(straggler),
      cmocka_unit_test(quarantine),
      cmocka_unit_test(signed_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
