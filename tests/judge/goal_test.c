/* The verdict and its deciding sentence, as a table over counts. */
#include "judge/goal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const mg_clause clauses[] = {{"completes", "implicit", MG_MODE_HARD},
                                    {"sorted", "property", MG_MODE_HARD},
                                    {"cheap", "property", MG_MODE_SOFT},
                                    {"never", "property", MG_MODE_ABSOLUTE}};

typedef struct mg_setup {
  uint32_t reproduced[4], vanished[4];
  mg_tally tally;
  mg_goal goal;
  mg_facts facts;
} mg_setup;

static void set_up(mg_setup *s, bool has_baseline) {
  memset(s, 0, sizeof *s);
  s->goal = (mg_goal){.kind = MG_NONINFERIORITY, .margin = 0.01, .alpha = 0.05, .min_pass_rate = has_baseline ? 0 : 0.95};
  s->facts =
      (mg_facts){.clauses = clauses, .clause_count = 4, .has_baseline = has_baseline, .max_discard = 0.5, .reproduced = s->reproduced, .vanished = s->vanished};
}

static void add(mg_setup *s, mg_outcome b, mg_outcome c, uint64_t n) {
  mg_tally_add_run(&s->tally, b, c, n);
  s->facts.planned += n;
}

static void judge(mg_setup *s, mg_verdict verdict, const char *first) {
  mg_judgement j;
  mg_judge(&j, &s->tally, &s->goal, &s->facts);
  for (int i = 0; i < j.reason_count; i++) printf("  %s: %s\n", mg_verdict_name(j.verdict), j.reasons[i]);
  assert_true(j.reason_count > 0);
  assert_string_equal(mg_verdict_name(j.verdict), mg_verdict_name(verdict));
  assert_string_equal(j.reasons[0], first);
}

static const struct {
  mg_goal_kind kind;
  double margin;
  uint64_t both, base_only, cand_only, neither;
  mg_verdict verdict;
  const char *reason;
} paired[] = {
    {MG_NONINFERIORITY, 0.01, 9850, 50, 60, 40, MG_ADOPT,
     "candidate passes 99.1 % of 10,000 pairs, baseline 99.0 %; the 95 % interval of the difference, -0.1 % to +0.3 %, lies above the margin of -1 %"},
    {MG_NONINFERIORITY, 0.01, 9000, 500, 100, 400, MG_REJECT,
     "candidate passes 91.0 % of 10,000 pairs, baseline 95.0 %; the 95 % interval of the difference, -4.5 % to -3.5 %, lies below the margin of -1 %"},
    /* 189 is the oracle's number for no discordant pair and a margin of 2 %. */
    {MG_NONINFERIORITY, 0.02, 188, 0, 0, 0, MG_INCONCLUSIVE,
     "candidate passes 100.0 % of 188 pairs, baseline 100.0 %; the 95 % interval of the difference, -2.002 % to +2.002 %, contains the margin of -2 %; at "
     "these rates 189 pairs would decide"},
    {MG_NONINFERIORITY, 0.02, 100, 0, 0, 0, MG_INCONCLUSIVE,
     "candidate passes 100.0 % of 100 pairs, baseline 100.0 %; the 95 % interval of the difference, -3.7 % to +3.7 %, contains the margin of -2 %; at these "
     "rates 189 pairs would decide"},
    {MG_NONINFERIORITY, 0.02, 189, 0, 0, 0, MG_ADOPT,
     "candidate passes 100.0 % of 189 pairs, baseline 100.0 %; the 95 % interval of the difference, -1.99 % to +1.99 %, lies above the margin of -2 %"},
    {MG_NONINFERIORITY, 0.01, 98, 2, 1, 0, MG_INCONCLUSIVE,
     "candidate passes 98.0 % of 101 pairs, baseline 99.0 %; the 95 % interval of the difference, -6.1 % to +3.6 %, contains the margin of -1 %; at these "
     "rates 11,700,000 pairs would decide"},
    {MG_SUPERIORITY, 0.0, 900, 10, 60, 30, MG_ADOPT,
     "candidate passes 96.0 % of 1,000 pairs, baseline 91.0 %; the 95 % interval of the difference, +3.5 % to +6.7 %, lies above the margin of 0 %"},
    {MG_SUPERIORITY, 0.0, 900, 60, 10, 30, MG_REJECT,
     "candidate passes 91.0 % of 1,000 pairs, baseline 96.0 %; the 95 % interval of the difference, -6.7 % to -3.5 %, lies below the margin of 0 %"},
    {MG_SUPERIORITY, 0.0, 1000, 0, 0, 0, MG_INCONCLUSIVE,
     "candidate passes 100.0 % of 1,000 pairs, baseline 100.0 %; the 95 % interval of the difference, -0.4 % to +0.4 %, contains the margin of 0 %; at these "
     "rates no number of pairs would decide"},
    {MG_EQUIVALENCE, 0.01, 1000, 0, 0, 0, MG_ADOPT,
     "candidate passes 100.0 % of 1,000 pairs, baseline 100.0 %; the 95 % interval of the difference, -0.4 % to +0.4 %, lies within the margins of -1 % and +1 "
     "%"},
    {MG_EQUIVALENCE, 0.01, 900, 10, 60, 30, MG_REJECT,
     "candidate passes 96.0 % of 1,000 pairs, baseline 91.0 %; the 95 % interval of the difference, +3.5 % to +6.7 %, lies outside the margins of -1 % and +1 "
     "%"},
};

static void goals(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof paired / sizeof paired[0]; i++) {
    mg_setup s;
    set_up(&s, true);
    s.goal.kind = paired[i].kind;
    s.goal.margin = paired[i].margin;
    add(&s, MG_PASS, MG_PASS, paired[i].both);
    add(&s, MG_PASS, MG_FAIL, paired[i].base_only);
    add(&s, MG_FAIL, MG_PASS, paired[i].cand_only);
    add(&s, MG_FAIL, MG_FAIL, paired[i].neither);
    judge(&s, paired[i].verdict, paired[i].reason);
  }
}

static void pass_rates(void **state) {
  (void)state;
  mg_setup s;
  set_up(&s, false);
  add(&s, MG_ABSENT, MG_PASS, 990);
  add(&s, MG_ABSENT, MG_FAIL, 10);
  judge(&s, MG_ADOPT, "candidate passes 99.0 % of 1,000 cases; the 95 % interval, 98.2 % to 99.5 %, does not fall below the wanted pass rate of 95 %");
  s.goal.min_pass_rate = 0.995;
  judge(&s, MG_REJECT, "candidate passes 99.0 % of 1,000 cases; the 95 % interval, 98.17 % to 99.46 %, lies below the wanted pass rate of 99.5 %");
  s.goal.min_pass_rate = 0.985;
  judge(&s, MG_INCONCLUSIVE,
        "candidate passes 99.0 % of 1,000 cases; the 95 % interval, 98.2 % to 99.5 %, contains the wanted pass rate of 98.5 %; at these rates 2,214 cases "
        "would decide");
  s.goal.min_pass_rate = 1;
  judge(&s, MG_REJECT, "candidate passes 990 of 1,000 cases; the goal is every one");
  set_up(&s, false);
  s.goal.min_pass_rate = 1;
  add(&s, MG_ABSENT, MG_PASS, 7);
  judge(&s, MG_ADOPT, "candidate passes 7 of 7 cases; the goal is every one");
}

/* A run that would adopt, until the clause says otherwise. */
/* A pass rate wanted besides the difference: both must hold, and what decided stands first. */
static void a_floor_besides(void **state) {
  (void)state;
  static const struct {
    double margin, floor;
    uint64_t both, base_only;
    mg_verdict verdict;
    bool rate_first;
  } rows[] = {{.05, .9, 9800, 0, MG_ADOPT, false},     {.05, .985, 9800, 0, MG_REJECT, true},  {.05, .98, 9800, 0, MG_INCONCLUSIVE, true},
              {.05, .9, 8300, 1500, MG_REJECT, false},  {.01, .5, 8300, 1500, MG_REJECT, false}, {.01, .83, 8300, 1500, MG_REJECT, false},
              {.15, .5, 8300, 1500, MG_INCONCLUSIVE, false}, {.15, .9, 8300, 1500, MG_REJECT, true}, {.05, 0, 9800, 0, MG_ADOPT, false}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    mg_setup s;
    set_up(&s, true);
    s.goal.margin = rows[i].margin;
    s.goal.min_pass_rate = rows[i].floor;
    add(&s, MG_PASS, MG_PASS, rows[i].both);
    add(&s, MG_PASS, MG_FAIL, rows[i].base_only);
    add(&s, MG_FAIL, MG_FAIL, 10000 - rows[i].both - rows[i].base_only);
    mg_judgement j;
    mg_judge(&j, &s.tally, &s.goal, &s.facts);
    printf("  row %zu: %s: %s\n", i, mg_verdict_name(j.verdict), j.reasons[0]);
    assert_string_equal(mg_verdict_name(j.verdict), mg_verdict_name(rows[i].verdict));
    assert_int_equal(j.reason_count, rows[i].floor > 0 ? 2 : 1);
    assert_int_equal(strstr(j.reasons[0], "the wanted pass rate of") != NULL, rows[i].rate_first);
    if (rows[i].floor > 0) assert_int_equal(strstr(j.reasons[1], "the wanted pass rate of") != NULL, !rows[i].rate_first);
  }
}

static void hard_clauses(void **state) {
  (void)state;
  mg_setup s;
  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 100000);
  s.facts.planned++;
  mg_tally_add(&s.tally, MG_PASS, MG_FAIL, 0, 1 << 1);
  s.reproduced[1] = 1;
  judge(&s, MG_REJECT, "candidate violates \"sorted\" in 1 case where baseline does not; 1 of those that were run again did so again");
  s.facts.fault = "checks.lua:3: boom"; /* a reproduced violation comes before whatever makes a run invalid */
  judge(&s, MG_REJECT, "candidate violates \"sorted\" in 1 case where baseline does not; 1 of those that were run again did so again");
  s.facts.fault = NULL;
  s.reproduced[1] = 0;
  s.vanished[1] = 1;
  judge(&s, MG_INVALID, "candidate violated \"sorted\" in 1 case, but none of the 1 that were run again did so again: its outcomes are not stable");
  s.vanished[1] = 0;
  judge(&s, MG_INVALID, "candidate violated \"sorted\" in 1 case that could not be run again");

  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 100000);
  s.facts.planned += 2;
  mg_tally_add(&s.tally, MG_PASS, MG_FAIL, 0, 1 << 2);      /* soft */
  mg_tally_add(&s.tally, MG_FAIL, MG_FAIL, 1 << 1, 1 << 1); /* shared */
  judge(&s, MG_ADOPT,
        "candidate passes 99.998 % of 100,002 pairs, baseline 99.999 %; the 95 % interval of the difference, -0.006 % to +0.003 %, lies above the margin of -1 "
        "%");
}

static void absolute_clause(void **state) {
  (void)state;
  mg_setup s;
  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 100000);
  s.facts.planned += 2;
  mg_tally_add(&s.tally, MG_FAIL, MG_FAIL, 1 << 3, 1 << 3);
  mg_tally_add(&s.tally, MG_FAIL, MG_FAIL, 1 << 3, 1 << 3);
  s.reproduced[3] = 1;
  s.vanished[3] = 1;
  judge(&s, MG_REJECT, "candidate violates \"never\" in 2 cases; 1 of those that were run again did so again, and 1 did not");
}

static void invalid_runs(void **state) {
  (void)state;
  mg_setup s;
  set_up(&s, true);
  s.facts.planned = 5;
  mg_tally_add_run(&s.tally, MG_DISCARD, MG_DISCARD, 5);
  judge(&s, MG_INVALID, "the generator discarded 5 of 5 cases, more than the 50 % that the plan allows");

  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 10000);
  add(&s, MG_CASE_LOST, MG_CASE_LOST, 3);
  judge(&s, MG_INVALID, "3 of 10,003 cases were lost on the way and have no outcome");

  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 10000);
  add(&s, MG_UNRUN, MG_UNRUN, 1234567);
  s.facts.interrupted = true;
  judge(&s, MG_INVALID, "the run was interrupted with 1,234,567 of 1,244,567 cases not run");
  s.facts.interrupted = false;
  s.facts.timed_out = true;
  judge(&s, MG_INVALID, "global_timeout ended the run with 1,234,567 of 1,244,567 cases not run");

  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 10000);
  s.facts.repeat_different = 2;
  judge(&s, MG_INVALID, "2 of the cases that were run twice came out differently the second time");
  s.facts.no_worker = "w1 has other files";
  judge(&s, MG_INVALID, "no worker could serve the run: w1 has other files");
  s.facts.fault = "checks.lua:3: boom";
  judge(&s, MG_INVALID, "the checks are at fault: checks.lua:3: boom");
}

static void rates_and_intervals(void **state) {
  (void)state;
  mg_setup s;
  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 53);
  add(&s, MG_PASS, MG_CRASH, 8);
  add(&s, MG_ERROR, MG_PASS, 16);
  add(&s, MG_TIMED_OUT, MG_FAIL, 9);
  add(&s, MG_DISCARD, MG_DISCARD, 10);
  mg_judgement j;
  mg_judge(&j, &s.tally, &s.goal, &s.facts);
  assert_true(j.has_difference);
  assert_true(fabs(j.difference.low - -.0196589227) < 1e-9 && fabs(j.difference.high - .2069107706) < 1e-9);
  assert_true(fabs(j.estimate - 8.0 / 86) < 1e-12);
  assert_true(fabs(j.rate[MG_BASELINE] - 61.0 / 86) < 1e-12 && fabs(j.rate[MG_CANDIDATE] - 69.0 / 86) < 1e-12);

  set_up(&s, false);
  add(&s, MG_ABSENT, MG_UNRUN, 4);
  mg_judge(&j, &s.tally, &s.goal, &s.facts);
  assert_false(j.has_difference);
  assert_true(isnan(j.rate[MG_BASELINE]) && isnan(j.rate[MG_CANDIDATE]));
  assert_int_equal(j.verdict, MG_INVALID);
}

static bool near(mg_interval i, double low, double high) { return fabs(i.low - low) < 1e-9 && fabs(i.high - high) < 1e-9; }

static mg_judgement judged(const mg_setup *s) {
  mg_judgement j;
  mg_judge(&j, &s->tally, &s->goal, &s->facts);
  return j;
}

static void the_plans_interval(void **state) {
  (void)state;
  mg_setup s;
  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 53);
  add(&s, MG_PASS, MG_FAIL, 8);
  add(&s, MG_FAIL, MG_PASS, 16);
  add(&s, MG_FAIL, MG_FAIL, 9);
  s.goal.difference_by = MG_BY_NEWCOMBE;
  mg_judgement j = judged(&s);
  assert_true(near(j.difference, -.0201040769, .2039158353));
  assert_string_equal(j.method, "newcombe-paired");
  assert_non_null(strstr(j.reasons[0], "the 95 % interval of the difference (newcombe-paired), -2.0 % to +20.4 %"));
  assert_true(fabs(j.level - 0.95) < 1e-15);

  set_up(&s, true);
  add(&s, MG_PASS, MG_PASS, 36);
  add(&s, MG_PASS, MG_FAIL, 2);
  add(&s, MG_FAIL, MG_PASS, 12);
  s.goal.difference_by = MG_BY_BOOTSTRAP;
  j = judged(&s);
  assert_true(near(j.difference, 3 / 50.0, 17 / 50.0));
  assert_string_equal(j.method, "bootstrap");
  s.goal.difference_by = MG_BY_BCA;
  j = judged(&s);
  assert_true(near(j.difference, 4 / 50.0, 17 / 50.0));
  assert_string_equal(j.method, "bootstrap-bca");
  s.goal.difference_by = MG_BY_BAYES;
  j = judged(&s);
  mg_interval bayes = mg_bayes_paired(&s.tally.pairs, 0.95);
  assert_true(near(j.difference, bayes.low, bayes.high) && bayes.low > 0);
  assert_string_equal(j.method, "bayes");

  set_up(&s, true); /* no discordant pair: a bootstrap knows nothing */
  add(&s, MG_PASS, MG_PASS, 188);
  s.goal.margin = 0.02;
  s.goal.difference_by = MG_BY_BOOTSTRAP;
  judge(&s, MG_INCONCLUSIVE, paired[2].reason);
}

/* An end of the interval that lies on the limit decides nothing; a hair beyond it does. */
static void at_the_edges(void **state) {
  (void)state;
  static const uint64_t counts[][3] = {{900, 25, 12}, {900, 12, 60}, {990, 0, 0}, {500, 60, 3}};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    mg_setup s;
    set_up(&s, true);
    add(&s, MG_PASS, MG_PASS, counts[i][0]);
    add(&s, MG_PASS, MG_FAIL, counts[i][1]);
    add(&s, MG_FAIL, MG_PASS, counts[i][2]);
    for (int by = 0; by < MG_DIFFERENCE_KINDS; by++) {
      s.goal.difference_by = (mg_difference_kind)by;
      mg_interval d = judged(&s).difference;
      s.goal.kind = MG_SUPERIORITY;
      s.goal.margin = d.low;
      assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
      s.goal.margin = d.low - 1e-9;
      assert_int_equal(judged(&s).verdict, MG_ADOPT);
      s.goal.margin = d.high;
      assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
      s.goal.margin = d.high + 1e-9;
      assert_int_equal(judged(&s).verdict, MG_REJECT);
      s.goal.kind = MG_NONINFERIORITY;
      s.goal.margin = -d.low;
      assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
      s.goal.margin = -d.low + 1e-9;
      assert_int_equal(judged(&s).verdict, MG_ADOPT);
      s.goal.kind = MG_EQUIVALENCE;
      double far = fmax(fabs(d.low), fabs(d.high)), close = fmin(fabs(d.low), fabs(d.high));
      s.goal.margin = far;
      assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
      s.goal.margin = far + 1e-9;
      assert_int_equal(judged(&s).verdict, MG_ADOPT);
      if (d.low > 0 || d.high < 0) { /* all of it on one side */
        s.goal.margin = close;
        assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
        s.goal.margin = close - 1e-9;
        assert_int_equal(judged(&s).verdict, MG_REJECT);
      }
      s.goal.kind = MG_NONINFERIORITY;
      s.goal.margin = 0.01;
    }
  }
}

static void rates_at_the_edges(void **state) {
  (void)state;
  mg_setup s;
  set_up(&s, false);
  add(&s, MG_ABSENT, MG_PASS, 388);
  add(&s, MG_ABSENT, MG_FAIL, 12);
  for (int by = 0; by < MG_RATE_KINDS; by++) {
    s.goal.rate_by = (mg_rate_kind)by;
    mg_interval i = judged(&s).rate_interval[MG_CANDIDATE];
    s.goal.min_pass_rate = i.low;
    assert_int_equal(judged(&s).verdict, MG_ADOPT);
    s.goal.min_pass_rate = i.low + 1e-9;
    assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
    s.goal.min_pass_rate = i.high;
    assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
    s.goal.min_pass_rate = i.high + 1e-9;
    assert_int_equal(judged(&s).verdict, MG_REJECT);
  }
  set_up(&s, false);
  add(&s, MG_ABSENT, MG_PASS, 400);
  s.goal.min_pass_rate = 0.9906; /* between the two: Wilson's .9905, Clopper and Pearson's .9908 */
  assert_int_equal(judged(&s).verdict, MG_INCONCLUSIVE);
  s.goal.rate_by = MG_BY_CLOPPER_PEARSON;
  assert_true(near(judged(&s).rate_interval[MG_CANDIDATE], .9908201954, 1));
  judge(&s, MG_ADOPT,
        "candidate passes 100.0 % of 400 cases; the 95 % interval (clopper-pearson), 99.08 % to 100.00 %, does not fall below the wanted pass rate of 99.06 %");
}

/* Five relations whose p the table names (of 11, 12, ... discordant cases), corrected; properties are left alone. */
static void relations_that_regressed(void **state) {
  (void)state;
  static const mg_clause six[] = {{"completes", "implicit", MG_MODE_HARD}, {"r1", "relation", MG_MODE_SOFT}, {"p1", "property", MG_MODE_SOFT},
                                  {"r2", "relation", MG_MODE_SOFT},        {"r3", "relation", MG_MODE_SOFT}};
  static const uint64_t counts[5][2] = {{0, 0}, {9, 1}, {9, 1}, {3, 3}, {7, 1}}; /* candidate only, baseline only */
  static const double p[5] = {1, 11.0 / 1024, 11.0 / 1024, 42.0 / 64, 9.0 / 256};
  mg_setup s;
  set_up(&s, true);
  s.facts.clauses = six;
  s.facts.clause_count = 5;
  uint32_t none[5] = {0};
  s.facts.reproduced = s.facts.vanished = none;
  for (int i = 0; i < 5; i++) {
    for (uint64_t k = 0; k < counts[i][0]; k++) mg_tally_add(&s.tally, MG_PASS, MG_FAIL, 0, (mg_clause_mask)1 << i);
    for (uint64_t k = 0; k < counts[i][1]; k++) mg_tally_add(&s.tally, MG_FAIL, MG_PASS, (mg_clause_mask)1 << i, 0);
  }
  mg_judgement j = judged(&s);
  for (int i = 0; i < 5; i++) assert_true(fabs(j.clause_p[i] - p[i]) < 1e-12 && isnan(j.clause_adjusted[i]) && !j.regressed[i]);
  mg_correction how = MG_HOLM;
  s.facts.correction = &how;
  j = judged(&s);
  assert_true(fabs(j.clause_adjusted[1] - 3 * p[1]) < 1e-12 && fabs(j.clause_adjusted[4] - 2 * p[4]) < 1e-12 && fabs(j.clause_adjusted[3] - p[3]) < 1e-12);
  assert_true(isnan(j.clause_adjusted[0]) && isnan(j.clause_adjusted[2]));
  assert_true(j.regressed[1] && !j.regressed[2] && !j.regressed[3] && !j.regressed[4]);
  how = MG_BH;
  j = judged(&s);
  assert_true(fabs(j.clause_adjusted[4] - 1.5 * p[4]) < 1e-12 && !j.regressed[4]);
  s.goal.alpha = 0.06;
  assert_true(judged(&s).regressed[4]);
}

static void labels_reach_their_shares(void **state) {
  (void)state;
  static const mg_cover_want cover[] = {{"empty", 0.05}, {"long", 0.1}};
  uint64_t labelled[2] = {100, 1100};
  mg_setup s;
  set_up(&s, true);
  s.facts.cover = cover;
  s.facts.labelled = labelled;
  s.facts.cover_count = 2;
  add(&s, MG_PASS, MG_PASS, 10000);
  add(&s, MG_DISCARD, MG_DISCARD, 1000); /* bear no labels */
  judge(&s, MG_INVALID, "label \"empty\" marks 100 of 10,000 cases, certainly fewer than the 5 % that cover asks for");
  labelled[0] = 600;
  mg_judgement j = judged(&s);
  assert_int_equal(j.verdict, MG_ADOPT);
  assert_int_equal(j.reason_count, 1);
  labelled[0] = 400; /* 4 %: not certain yet */
  j = judged(&s);
  assert_int_equal(j.verdict, MG_ADOPT);
  assert_int_equal(j.reason_count, 2);
  assert_string_equal(j.reasons[1], "label \"empty\" marks 400 of 10,000 cases: too few cases to be certain of the 5 % that cover asks for");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(goals),           cmocka_unit_test(pass_rates),   cmocka_unit_test(a_floor_besides), cmocka_unit_test(hard_clauses),
      cmocka_unit_test(absolute_clause), cmocka_unit_test(invalid_runs), cmocka_unit_test(rates_and_intervals),
      cmocka_unit_test(the_plans_interval), cmocka_unit_test(at_the_edges), cmocka_unit_test(rates_at_the_edges), cmocka_unit_test(relations_that_regressed), cmocka_unit_test(labels_reach_their_shares),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
