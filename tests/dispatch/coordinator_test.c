/* The coordinator over the memory backend with workers that behave. Delivery under misbehaviour is in delivery_test.c. */
#include "tests/dispatch/run_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void each_case_once(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 20000);
  fixture_run(&f);
  fixture_expect_whole(&f);
  for (uint64_t i = 0; i < 20000; i++) assert_int_equal(f.world.runs[i], 1);
  assert_int_equal(f.state.repeated_cases, 20);
  assert_int_equal(f.state.different_count, 0);
  assert_int_equal(f.state.requeued_tasks + f.state.repeats_dropped + f.state.bad_messages + f.state.dead_lettered, 0);
  assert_int_equal(f.judgement.verdict, MG_ADOPT);
  fixture_fini(&f);
}

static void any_batch_size_one_digest(void **state) {
  (void)state;
  static const int sizes[] = {1, 7, 1000, 65536};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    run_fixture f;
    fixture_init(&f, 3001);
    mg_options_set_int(f.options, "batch_size", sizes[i]);
    f.worker_count = 1 + (int)i % 3;
    fixture_run(&f);
    fixture_expect_whole(&f);
    fixture_fini(&f);
  }
}

static void adaptive(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 200000);
  mg_options *o = mg_options_new();
  mg_options_set_int(o, "initial_batch_size", 10);
  mg_options_set_int(o, "max_batch_size", 5000);
  mg_options_free(f.options);
  f.options = o;
  f.world.busy_us = 10;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_true(f.state.tasks_done < 600); /* of 10 they would be 20,000 */
  fixture_fini(&f);
}

static void few_cases(void **state) {
  (void)state;
  for (uint64_t n = 1; n <= 21; n += 5) {
    run_fixture f;
    fixture_init(&f, n);
    fixture_run(&f);
    fixture_expect_whole(&f);
    assert_int_equal(f.state.repeated_cases, n < 20 ? n : 20);
    for (uint64_t i = 0; i < n; i++) assert_true(f.world.runs[i] == 1 && f.world.repeats[i] <= 1);
    assert_true(f.world.repeats[0] == 1 && f.world.repeats[n - 1] == 1);
    fixture_fini(&f);
  }
}

static void without_baseline(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 5000);
  f.plan.baseline = NULL;
  f.plan.clauses[1].mode = MG_MODE_SOFT; /* nobody shares a violation here */
  f.plan.goal = (mg_goal){.kind = MG_ABSOLUTE, .min_pass_rate = 0.9, .alpha = 0.05};
  f.world.has_baseline = false;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_int_equal(f.judgement.verdict, MG_ADOPT);
  fixture_fini(&f);
}

/* Workers that come late find something to do, and no more is out than the bound. */
typedef struct late {
  uint64_t most;
  bool hired;
} late;

static void watch_outstanding(run_fixture *f) {
  late *l = f->mine;
  mg_run_state s;
  mg_coordinator_read(f->coordinator, &s);
  if (s.outstanding_cases > l->most) l->most = s.outstanding_cases;
  if (!l->hired && mg_now_ms() - f->begun_ms > 200) {
    assert_int_equal(l->most, 100); /* inflight_factor batches, nobody there yet */
    l->hired = true;
    (void)fixture_hire(f, "late");
  }
}

static void backpressure(void **state) {
  (void)state;
  run_fixture f;
  late l = {0};
  fixture_init(&f, 20000);
  f.worker_count = 0;
  f.executors = 3;
  f.tick = watch_outstanding;
  f.mine = &l;
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_true(l.most <= 2 * 3 * 50);
  fixture_fini(&f);
}

/* --- violations, repeats, fail fast --- */

static void one_violation(void *owner, uint64_t c, bool repeat, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]) {
  (void)repeat;
  const uint64_t *which = owner;
  if (c == *which) out[1] = MG_FAIL, masks[1] = 1 << 1;
}

static void only_once(void *owner, uint64_t c, bool repeat, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]) {
  if (!repeat) one_violation(owner, c, repeat, out, masks);
}

static void hard_violation_rejects(void **state) {
  (void)state;
  uint64_t which = 777;
  run_fixture f;
  fixture_init(&f, 5000);
  f.world.outcome = one_violation;
  f.world.owner = &which;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_int_equal(f.judgement.verdict, MG_REJECT);
  assert_int_equal(f.world.repeats[777], 1);
  bool found = false;
  for (size_t i = 0; i < f.violation_count; i++) {
    const mg_stored_violation *v = &f.violations[i];
    if (v->case_number != 777) continue;
    found = true;
    assert_true(v->role == MG_CANDIDATE && v->clause == 1 && !v->shared && v->reproduced == 1);
  }
  assert_true(found);
  fixture_fini(&f);
}

static void one_that_vanishes_is_flaky(void **state) {
  (void)state;
  uint64_t which = 777;
  run_fixture f;
  fixture_init(&f, 5000);
  f.world.outcome = only_once;
  f.world.owner = &which;
  fixture_run(&f);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_int_equal(f.state.different_count, 1);
  assert_true(f.different[0].case_number == 777 && f.different[0].role == MG_CANDIDATE);
  assert_true(f.different[0].first == MG_FAIL && f.different[0].again == MG_PASS);
  assert_int_equal(f.state.repeated_cases, 21);
  fixture_fini(&f);
}

static void fail_fast_ends(void **state) {
  (void)state;
  uint64_t which = 777;
  run_fixture f;
  fixture_init(&f, 1000000);
  f.plan.fail_fast = true;
  f.world.outcome = one_violation;
  f.world.owner = &which;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_int_equal(f.judgement.verdict, MG_REJECT);
  assert_true(f.tally.outcomes[MG_CANDIDATE][MG_UNRUN] > 900000);
  assert_int_equal(f.tally.cases, 1000000);
  assert_int_equal(f.left.pending + f.left.results, 0);
  fixture_fini(&f);
}

static void fail_fast_goes_on_where_it_vanishes(void **state) {
  (void)state;
  uint64_t which = 777;
  run_fixture f;
  fixture_init(&f, 5000);
  f.plan.fail_fast = true;
  f.world.outcome = only_once;
  f.world.owner = &which;
  fixture_run(&f);
  assert_int_equal(f.tally.outcomes[MG_CANDIDATE][MG_UNRUN], 0);
  assert_int_equal(f.tally.cases, 5000);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  fixture_fini(&f);
}

/* --- ends --- */

static fake_deed always_fault(void *owner, const char *worker, const mg_task *t) {
  (void)owner, (void)worker;
  return t->first <= 500 && 500 < t->first + t->count ? FAKE_FAULT : FAKE_RUN;
}

static void fault_of_the_checks(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 1000000);
  f.world.deed = always_fault;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_string_equal(f.judgement.reasons[0], "the checks are at fault: checks.lua:7: generate raised: boom");
  assert_int_equal(f.tally.cases, 1000000);
  fixture_fini(&f);
}

static fake_deed all_slow(void *owner, const char *worker, const mg_task *t) {
  (void)owner, (void)worker, (void)t;
  return FAKE_SLOW;
}

static void global_timeout(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 1);
  f.plan.cases = UINT64_C(9007199254740992);
  mg_options_set_real(f.options, "global_timeout", 1);
  f.world.deed = all_slow;
  f.world.slow_ms = 60;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_true(f.took_ms >= 1000 && f.took_ms < 15000);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_true(f.tally.cases == f.plan.cases && f.state.counted > 0);
  fixture_fini(&f);
}

static void stop_once(run_fixture *f) {
  mg_run_state s;
  bool *stopped = f->mine;
  mg_coordinator_read(f->coordinator, &s);
  if (*stopped || s.counted < 1000) return;
  *stopped = true;
  mg_coordinator_stop(f->coordinator);
}

/* What a worker holds is collected, what nobody fetched is taken back, nothing is left. */
static void interrupt_drains(void **state) {
  (void)state;
  run_fixture f;
  bool stopped = false;
  fixture_init(&f, 1000000);
  mg_options_set_real(f.options, "inflight_factor", 20);
  f.world.busy_us = 10; /* thousands of tasks are out */
  f.world.deed = all_slow;
  f.world.slow_ms = 60;
  f.drain_ms = 25000;
  f.tick = stop_once;
  f.mine = &stopped;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_true(f.took_ms < 15000); /* no drain_timeout needed */
  uint64_t counted = 0;
  for (uint64_t i = 0; i < 1000000; i++) counted += f.world.runs[i];
  assert_int_equal(f.state.counted, counted); /* every execution counts */
  assert_int_equal(f.tally.outcomes[MG_CANDIDATE][MG_UNRUN], 1000000 - counted);
  assert_int_equal(f.left.pending + f.left.in_flight + f.left.results, 0);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  fixture_fini(&f);
}

static fake_deed one_very_slow(void *owner, const char *worker, const mg_task *t) {
  (void)owner;
  return strcmp(worker, "w0") == 0 && t->first > 0 ? FAKE_SLOW : FAKE_RUN;
}

static void drain_has_an_end(void **state) {
  (void)state;
  run_fixture f;
  bool stopped = false;
  fixture_init(&f, 1000000);
  f.world.deed = one_very_slow;
  f.world.slow_ms = 25000;
  f.drain_ms = 200;
  f.tick = stop_once;
  f.mine = &stopped;
  fixture_run(&f);
  assert_true(f.took_ms < 15000);
  assert_int_equal(f.tally.cases, 1000000);
  fixture_fini(&f);
}

static fake_deed all_refuse(void *owner, const char *worker, const mg_task *t) {
  (void)owner, (void)worker, (void)t;
  return FAKE_REFUSE;
}

static void nobody_able(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 1000);
  mg_options_set_real(f.options, "no_worker_seconds", 1.5);
  f.world.deed = all_refuse;
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_non_null(strstr(f.judgement.reasons[0], "every worker refused"));
  assert_non_null(strstr(f.notes, "abababababab"));              /* theirs */
  assert_non_null(strstr(f.notes, "those of the run 00000000")); /* ours */
  assert_int_equal(fixture_events(&f, "worker_refused"), 2);     /* once a worker */
  assert_true(f.took_ms < 15000);
  fixture_fini(&f);
}

static void nobody_at_all(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 1000);
  mg_options_set_real(f.options, "no_worker_seconds", 0.3);
  f.worker_count = 0;
  fixture_run(&f);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_non_null(strstr(f.judgement.reasons[0], "there was no worker"));
  assert_int_equal(f.tally.outcomes[MG_CANDIDATE][MG_UNRUN], 1000);
  fixture_fini(&f);
}

/* --- outcomes --- */

static void outcomes_file(void **state) {
  (void)state;
  char path[] = "/tmp/mguard_outcomes_XXXXXX", line[128], expected[128];
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  (void)close(fd);
  run_fixture f;
  fixture_init(&f, 2000);
  f.outcomes_path = path;
  fixture_run(&f);
  fixture_expect_whole(&f);
  FILE *csv = fopen(path, "r");
  assert_non_null(csv);
  assert_non_null(fgets(line, sizeof line, csv));
  for (uint64_t i = 0; i < 2000; i++) {
    mg_outcome out[MG_ROLES];
    mg_clause_mask masks[MG_ROLES];
    fake_outcome(i, out, masks);
    for (int r = 0; r < MG_ROLES; r++) {
      const char *failed = masks[r] == 6 ? "cheap;sorted" : masks[r] == 4 ? "cheap" : masks[r] == 2 ? "sorted" : "";
      assert_non_null(fgets(line, sizeof line, csv));
      (void)snprintf(expected, sizeof expected, "%d,%s,%s,%s\n", (int)i, mg_role_name((mg_role)r), mg_outcome_name(out[r]), failed);
      assert_string_equal(line, expected);
    }
  }
  (void)fclose(csv);
  assert_int_equal(unlink(path), 0);
  fixture_fini(&f);
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_case_once),
      cmocka_unit_test(any_batch_size_one_digest),
      cmocka_unit_test(adaptive),
      cmocka_unit_test(few_cases),
      cmocka_unit_test(without_baseline),
      cmocka_unit_test(backpressure),
      cmocka_unit_test(hard_violation_rejects),
      cmocka_unit_test(one_that_vanishes_is_flaky),
      cmocka_unit_test(fail_fast_ends),
      cmocka_unit_test(fail_fast_goes_on_where_it_vanishes),
      cmocka_unit_test(fault_of_the_checks),
      cmocka_unit_test(global_timeout),
      cmocka_unit_test(interrupt_drains),
      cmocka_unit_test(drain_has_an_end),
      cmocka_unit_test(nobody_able),
      cmocka_unit_test(nobody_at_all),
      cmocka_unit_test(outcomes_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
