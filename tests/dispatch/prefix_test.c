/* Early stopping over the memory backend: where a run ends, what it counts and its verdict depend on the cases alone. */
#include "tests/dispatch/run_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CASES = 20000 };

static void set_rule(run_fixture *f, mg_stop_plan rule) {
  mg_error e = {0};
  if (mg_goal_stop(&f->plan.stop, &rule, &f->plan.goal, f->plan.cases, &e) != MG_OK) fail_msg("%s", e.text);
}

/* What the run must come to, computed case by case: 64, 128, ... 6400, then each 1 % more; group: its own. */
typedef struct expected {
  uint64_t stop;
  mg_tally tally;
  mg_digest digest;
  mg_stop_word word;
} expected;

static bool is_look(const mg_stop_plan *p, uint64_t n) {
  if (n == p->max) return true;
  if (p->kind == MG_STOP_GROUP) return n * (uint64_t)p->looks % p->max == 0;
  uint64_t at = 6400;
  while (n > 6400 && at < n) at += at / 100;
  return n <= 6400 ? n % 64 == 0 : at == n;
}

static expected expect(const run_fixture *f) {
  const char *names[] = {"sorted", "cheap"};
  expected x = {0};
  mg_digester *d = mg_digester_new(names, 2);
  for (uint64_t i = 0; i < f->plan.cases && x.word == MG_GO_ON; i++) {
    mg_outcome out[MG_ROLES];
    mg_clause_mask masks[MG_ROLES];
    fake_outcome(i, out, masks);
    if (f->world.outcome != NULL) f->world.outcome(f->world.owner, i, false, out, masks);
    mg_tally_add(&x.tally, out[0], out[1], masks[0], masks[1]);
    for (int r = 0; r < MG_ROLES; r++) mg_digester_add(d, &x.digest, i, (mg_role)r, out[r], masks[r]);
    x.stop = i + 1;
    if (is_look(&f->plan.stop.plan, i + 1)) x.word = mg_stop_look(&f->plan.stop, i + 1, &x.tally.pairs).word;
  }
  mg_digester_free(d);
  uint64_t rest = f->plan.cases - x.stop;
  if (rest > 0) mg_tally_add_run(&x.tally, MG_UNRUN, MG_UNRUN, rest);
  return x;
}

static void check(const run_fixture *f, const expected *x) {
  if (f->failed[0] != '\0') fail_msg("failed: %s", f->failed);
  assert_int_equal(f->state.counted, x->stop);
  assert_memory_equal(&f->tally, &x->tally, sizeof x->tally);
  assert_true(f->state.digest.low == x->digest.low && f->state.digest.high == x->digest.high);
  assert_int_equal(f->left.pending + f->left.in_flight, 0); /* a worker may still have sent a result after the run had ended */
}

static const mg_stop_plan rules[] = {{.kind = MG_STOP_ANYTIME}, {.kind = MG_STOP_GROUP, .looks = 5}, {.kind = MG_STOP_GROUP, .looks = 10, .spending = MG_SPEND_POCOCK}};

static void one_end_for_all(void **state) {
  (void)state;
  static const int sizes[] = {1, 7, 50, 1000, 65536};
  for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      run_fixture f;
      fixture_init(&f, CASES);
      mg_options_set_int(f.options, "batch_size", sizes[i]);
      f.worker_count = 1 + (int)i % 4;
      f.plan.goal.margin = 0.02;
      set_rule(&f, rules[r]);
      expected x = expect(&f);
      assert_true(x.stop < CASES && x.word == MG_STOP_ADOPT);
      fixture_run(&f);
      check(&f, &x);
      assert_int_equal(f.judgement.verdict, MG_ADOPT);
      assert_string_equal(f.judgement.method, r == 0 ? "anytime" : "group");
      assert_true(f.state.repeated_cases >= 10 && f.state.different_count == 0);
      if (i == 0) printf("  %s: %d cases; %s\n", mg_stop_name(rules[r].kind), (int)x.stop, f.judgement.reasons[0]);
      fixture_fini(&f);
    }
  }
}

/* The first task takes long: everything else arrives before it, and nothing is decided until it has. */
static fake_deed first_slow(void *owner, const char *worker, const mg_task *t) {
  (void)owner, (void)worker;
  return t->first == 0 && t->kind == MG_TASK_COUNT ? FAKE_SLOW : FAKE_RUN;
}

static void out_of_order(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, CASES);
  mg_options_set_real(f.options, "inflight_factor", 20);
  f.world.deed = first_slow;
  f.world.slow_ms = 200;
  f.plan.goal.margin = 0.02;
  set_rule(&f, rules[0]);
  expected x = expect(&f);
  fixture_run(&f);
  check(&f, &x);
  uint64_t ran = 0;
  for (uint64_t i = 0; i < CASES; i++) ran += f.world.runs[i];
  assert_true(ran > x.stop + 500); /* they did come before the decision */
  assert_int_equal(f.state.repeats_dropped, 0);
  assert_int_equal(f.judgement.verdict, MG_ADOPT);
  fixture_fini(&f);
}

/* One case beyond the end violates a hard clause that the baseline keeps. */
static void worse_at(void *owner, uint64_t c, bool repeat, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]) {
  (void)repeat;
  if (c != *(const uint64_t *)owner) return;
  out[0] = MG_PASS, masks[0] = 0;
  out[1] = MG_FAIL, masks[1] = 1 << 1;
}

static void hard_violation_beyond(void **state) {
  (void)state;
  run_fixture f;
  uint64_t at = UINT64_MAX;
  fixture_init(&f, CASES);
  mg_options_set_real(f.options, "inflight_factor", 20);
  f.world.deed = first_slow;
  f.world.slow_ms = 200;
  f.world.outcome = worse_at;
  f.world.owner = &at;
  f.plan.goal.margin = 0.02;
  set_rule(&f, rules[0]);
  expected x = expect(&f);
  at = x.stop + 70;
  fixture_run(&f);
  check(&f, &x);
  assert_int_equal(f.judgement.verdict, MG_REJECT);
  assert_non_null(strstr(f.judgement.reasons[0], "candidate violates \"sorted\" in a case beyond the "));
  fixture_fini(&f);
}

static void never_decided(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 500);
  f.plan.goal.margin = 0.001;
  set_rule(&f, rules[0]);
  expected x = expect(&f);
  assert_int_equal(x.stop, 500);
  fixture_run(&f);
  check(&f, &x);
  assert_int_equal(f.judgement.verdict, MG_INCONCLUSIVE);
  assert_non_null(strstr(f.judgement.reasons[0], "(anytime)"));
  fixture_fini(&f);
}

static void worse_often(void *owner, uint64_t c, bool repeat, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]) {
  (void)owner, (void)repeat;
  if (c % 5 != 0 || out[0] == MG_DISCARD) return;
  out[1] = MG_FAIL, masks[1] = 1 << 2;
}

static void rejects_early(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, CASES);
  f.world.outcome = worse_often;
  set_rule(&f, rules[0]);
  expected x = expect(&f);
  assert_true(x.word == MG_STOP_REJECT && x.stop < 1000);
  fixture_run(&f);
  check(&f, &x);
  assert_int_equal(f.judgement.verdict, MG_REJECT);
  fixture_fini(&f);
}

static void sprt(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, CASES);
  f.plan.goal = (mg_goal){.kind = MG_SUPERIORITY, .margin = 0, .alpha = 0.05};
  set_rule(&f, (mg_stop_plan){.kind = MG_STOP_SPRT, .theta0 = 0.5, .theta1 = 0.75, .beta = 0.2});
  expected x = expect(&f);
  assert_int_equal(x.word, MG_STOP_REJECT); /* the baseline fails as often as the candidate */
  fixture_run(&f);
  check(&f, &x);
  assert_int_equal(f.judgement.verdict, MG_REJECT);
  assert_non_null(strstr(f.judgement.reasons[0], "the sequential test of 75 % against 50 % decides for 50 %"));
  fixture_fini(&f);
}

/* Cases lost within the prefix do not hold it up; the run is invalid by them. */
static fake_deed second_vanishes(void *owner, const char *worker, const mg_task *t) {
  (void)owner, (void)worker;
  return t->first == 50 ? FAKE_VANISH : FAKE_RUN;
}

static void lost_cases_hold_nothing_up(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, CASES);
  mg_options_set_bool(f.options, "enable_requeue", false);
  f.world.deed = second_vanishes;
  f.plan.goal.margin = 0.02;
  set_rule(&f, rules[0]);
  fixture_run(&f);
  assert_string_equal(f.failed, "");
  assert_int_equal(f.tally.cases, CASES);
  assert_int_equal(f.tally.outcomes[MG_CANDIDATE][MG_CASE_LOST], 14); /* 50 .. 63: no task crosses a look */
  assert_true(f.tally.outcomes[MG_CANDIDATE][MG_UNRUN] > CASES / 2);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  fixture_fini(&f);
}

static void outcomes_end_there(void **state) {
  (void)state;
  char path[] = "/tmp/mguard_prefix_XXXXXX", line[128];
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  (void)close(fd);
  run_fixture f;
  fixture_init(&f, CASES);
  mg_options_set_real(f.options, "inflight_factor", 20);
  f.world.deed = first_slow;
  f.world.slow_ms = 200;
  f.plan.goal.margin = 0.02;
  f.outcomes_path = path;
  set_rule(&f, rules[0]);
  expected x = expect(&f);
  fixture_run(&f);
  check(&f, &x);
  FILE *csv = fopen(path, "r");
  assert_non_null(csv);
  uint64_t rows = 0;
  while (fgets(line, sizeof line, csv) != NULL) rows++;
  (void)fclose(csv);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rows, 1 + 2 * x.stop);
  fixture_fini(&f);
}

/* Whatever the workers do: partial answers, answers twice, copies, workers that vanish. */
static fake_deed any_mischief(void *owner, const char *worker, const mg_task *t) {
  static const fake_deed deeds[] = {FAKE_RUN, FAKE_PARTIAL, FAKE_TWICE, FAKE_HALF_AND_ALL, FAKE_LATE, FAKE_HALF_AND_ALL};
  (void)owner, (void)worker;
  if (t->kind != MG_TASK_COUNT || t->attempt > 1) return FAKE_RUN;
  return deeds[t->first / 50 % (sizeof deeds / sizeof deeds[0])];
}

static void labels_are_counted_once(void **state) {
  (void)state;
  for (int early = 0; early < 2; early++) {
    run_fixture f;
    fixture_init(&f, 1500);
    mg_options_set_real(f.options, "lease_seconds", 0.2);
    mg_options_set_real(f.options, "heartbeat_timeout", 0.1);
    mg_options_set_real(f.options, "heartbeat_interval", 0.03);
    f.world.lease_ms = 200;
    f.world.beat_ms = 20;
    f.world.slow_ms = 300;
    f.world.labels = true;
    f.world.deed = any_mischief;
    f.worker_count = 4;
    f.plan.cover[0] = (mg_cover_want){"third", 0.3};
    f.plan.cover_count = 1;
    if (early) set_rule(&f, (mg_stop_plan){.kind = MG_STOP_GROUP, .looks = 3});
    expected x = expect(&f);
    fixture_run(&f);
    if (f.failed[0] != '\0') fail_msg("failed: %s", f.failed);
    assert_true(early ? x.stop < 1500 : f.state.counted == 1500);
    assert_int_equal(f.state.label_count, 1);
    assert_int_equal(f.state.labels[0].count, (f.state.counted + 2) / 3);
    assert_int_equal(f.judgement.verdict, MG_ADOPT);
    fixture_fini(&f);
  }
}

static void label_that_is_missed(void **state) {
  (void)state;
  run_fixture f;
  fixture_init(&f, 3000);
  f.world.labels = true;
  f.plan.cover[0] = (mg_cover_want){"rare", 0.2};
  f.plan.cover[1] = (mg_cover_want){"third", 0.5};
  f.plan.cover_count = 2;
  fixture_run(&f);
  assert_int_equal(f.judgement.verdict, MG_INVALID);
  assert_string_equal(f.judgement.reasons[0], "label \"rare\" marks 0 of 2,971 cases, certainly fewer than the 20 % that cover asks for");
  assert_string_equal(f.judgement.reasons[1], "label \"third\" marks 1,000 of 2,971 cases, certainly fewer than the 50 % that cover asks for");
  fixture_fini(&f);
}

/* Cases whose number ends with 7 come out differently when they are run again. */
static void sevens_differ(void *owner, uint64_t c, bool repeat, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]) {
  (void)owner;
  if (c % 10 != 7 || !repeat || out[1] != MG_PASS) return;
  out[1] = MG_FAIL, masks[1] = 1 << 2;
}

static void a_sample_runs_again(void **state) {
  (void)state;
  uint64_t chosen = 0, different = 0;
  for (int pass = 0; pass < 4; pass++) {
    run_fixture f;
    fixture_init(&f, 2000);
    f.plan.flaky_reruns = 3;
    f.plan.flaky_sample = 0.1;
    f.plan.flaky_limit = pass == 2 ? 0.3 : 0;
    f.worker_count = 1 + pass;
    mg_options_set_int(f.options, "batch_size", pass == 0 ? 7 : 300);
    if (pass > 0) f.world.outcome = sevens_differ;
    fixture_run(&f);
    assert_string_equal(f.failed, "");
    assert_int_equal(f.state.flaky.reruns, 3);
    uint64_t cases = 0, again = 0;
    for (uint64_t i = 0; i < 2000; i++) {
      unsigned n = f.world.repeats[i];
      mg_outcome out[MG_ROLES];
      mg_clause_mask masks[MG_ROLES];
      fake_outcome(i, out, masks);
      bool differs = pass > 0 && i % 10 == 7 && out[1] == MG_PASS;
      if (n > 0) assert_int_equal(n, differs ? 1 : 3);
      cases += n > 0;
      again += n > 0 && differs;
    }
    assert_int_equal(f.state.flaky.cases, cases);
    assert_int_equal(f.state.repeated_cases, cases);
    assert_int_equal(f.state.flaky.different, again);
    if (pass == 0) chosen = cases;
    if (pass == 1) different = again;
    assert_true(cases == chosen && cases > 150 && cases < 290); /* the same whoever runs them */
    assert_int_equal(again, pass == 0 ? 0 : different);
    assert_int_equal(f.judgement.verdict, pass == 0 || pass == 2 ? MG_ADOPT : MG_INVALID);
    if (pass == 1) {
      printf("  %s\n", f.judgement.reasons[0]);
      assert_non_null(strstr(f.judgement.reasons[0], "that were run up to 3 times again came out differently, more than the 0 % that flaky allows"));
    }
    fixture_fini(&f);
  }
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_end_for_all), cmocka_unit_test(out_of_order), cmocka_unit_test(hard_violation_beyond),
      cmocka_unit_test(never_decided),   cmocka_unit_test(rejects_early), cmocka_unit_test(sprt),
      cmocka_unit_test(lost_cases_hold_nothing_up), cmocka_unit_test(outcomes_end_there),
      cmocka_unit_test(labels_are_counted_once), cmocka_unit_test(label_that_is_missed), cmocka_unit_test(a_sample_runs_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
