#include "tests/simulate/simulate.h"

#include "judge/stats/multiple.h"
#include "judge/stats/power.h"
#include "tests/judge/near.h"

#include <stdlib.h>

/* A share from so many replicates may miss what it estimates by this much: four standard errors. */
static double slack(double share, uint64_t replicates) { return 4 * sqrt(share * (1 - share) / (double)replicates); }

#define assert_at_least(actual, bound) near_check(fmin(actual, bound), bound, 0, #actual, __FILE__, __LINE__)
#define assert_at_most(actual, bound) near_check(fmax(actual, bound), bound, 0, #actual, __FILE__, __LINE__)

enum { TANGO, NEWCOMBE, BOOTSTRAP, BCA, BAYES, ANYTIME, TANG };

static void paired_intervals_cover(void **state) {
  (void)state;
  static const struct {
    double p_b, p_c;
    uint64_t n;
  } grid[] = {{.02, .02, 50}, {.05, .02, 200}, {.1, .2, 200}, {.1, .1, 500}};
  const uint64_t replicates = 2000;
  for (uint32_t i = 0; i < LENGTH(grid); i++) {
    simulate_coverage c[SIMULATE_PAIRED];
    simulate_paired(1 + i, replicates, grid[i].n, grid[i].p_b, grid[i].p_c, .85 - grid[i].p_c, c);
    double noise = slack(.95, replicates);
    /* Score intervals oscillate around their level; the any-time one may never fall below it. */
    assert_at_least(c[TANGO].coverage, .945 - noise);
    assert_at_least(c[NEWCOMBE].coverage, .945 - noise);
    assert_at_least(c[TANG].coverage, .945 - noise);
    assert_at_least(c[ANYTIME].coverage, .95 - noise);
    assert_true(c[ANYTIME].width > c[TANGO].width);
    /* Bootstraps and Bayes are asymptotic: held to their level where there are 20 discordant pairs and more. */
    if (grid[i].n * (grid[i].p_b + grid[i].p_c) < 20) continue;
    assert_at_least(c[BOOTSTRAP].coverage, .93 - noise);
    assert_at_least(c[BCA].coverage, .93 - noise);
    assert_at_least(c[BAYES].coverage, .935 - noise);
    assert_at_most(c[TANGO].coverage, .96 + noise);
  }
}

static void unpaired_intervals_cover(void **state) {
  (void)state;
  enum { WILSON, CLOPPER, NEWCOMBE_2, AGRESTI, BAYES_2, KATZ, KOOPMAN, EITHER };
  static const struct {
    double rate1, rate2;
    uint64_t n;
  } grid[] = {{.5, .5, 40}, {.9, .8, 100}, {.3, .1, 60}};
  const uint64_t replicates = 2000;
  for (uint32_t i = 0; i < LENGTH(grid); i++) {
    simulate_coverage c[SIMULATE_UNPAIRED];
    simulate_unpaired(20 + i, replicates, grid[i].n, grid[i].rate1, grid[i].rate2, c);
    double noise = slack(.95, replicates);
    assert_at_least(c[WILSON].coverage, .93 - noise);
    assert_at_least(c[CLOPPER].coverage, .95 - noise);
    for (int k = NEWCOMBE_2; k <= BAYES_2; k++) assert_at_least(c[k].coverage, .935 - noise);
    assert_at_least(c[KOOPMAN].coverage, .935 - noise);
    assert_at_least(c[EITHER].coverage, .935 - noise);
    assert_at_most(c[WILSON].coverage, .97 + noise);
  }
}

static void clusters_are_taken_into_account(void **state) {
  (void)state;
  enum { ROBUST_ALONE, BOOTSTRAP_ALONE, ROBUST, CLUSTER_BOOTSTRAP, IGNORING };
  simulate_coverage c[SIMULATE_CLUSTERED];
  const uint64_t replicates = 300;
  simulate_clustered(40, replicates, 40, .1, .1, c);
  double noise = slack(.95, replicates);
  for (int k = ROBUST_ALONE; k <= CLUSTER_BOOTSTRAP; k++) assert_at_least(c[k].coverage, (k % 2 ? .93 : .94) - noise);
  assert_at_most(c[IGNORING].coverage, .85);                          /* and Tango alone would be wrong by far */
  assert_at_most(c[ROBUST].width, 1.35 * c[ROBUST_ALONE].width); /* what it costs */
  /* Where few cases differ the sandwich knows of too few clusters, and often of none. */
  static const uint64_t clusters[] = {5, 20, 60};
  for (uint32_t i = 0; i < LENGTH(clusters); i++) {
    simulate_clustered(41 + i, replicates, clusters[i], .02, 0, c);
    assert_at_most(c[ROBUST_ALONE].coverage, .9);
    assert_at_least(c[ROBUST].coverage, .95 - noise);
    assert_at_least(c[CLUSTER_BOOTSTRAP].coverage, .95 - noise);
  }
}

static mg_stop_plan rule(mg_stop_kind kind, mg_spending spending, double low, double high, uint64_t max) {
  return (mg_stop_plan){.kind = kind, .max = max, .alpha = .05, .low = low, .high = high, .looks = 5, .spending = spending};
}

/* At the margin itself adopting is an error; each side may err with alpha/2 = .025. */
static void false_adoption_at_the_margin(void **state) {
  (void)state;
  static const struct { double low, high, p_b, p_c; } goals[] = {{-.02, INFINITY, .05, .03}, {0, INFINITY, .05, .05}, {-.04, .04, .03, .07}};
  static const mg_stop_kind kinds[] = {MG_STOP_FIXED, MG_STOP_GROUP, MG_STOP_GROUP, MG_STOP_ANYTIME};
  const uint64_t replicates = 2500;
  uint32_t cell = 50;
  for (size_t g = 0; g < LENGTH(goals); g++)
    for (size_t k = 0; k < LENGTH(kinds); k++, cell++) {
      mg_stop_plan plan = rule(kinds[k], k == 2 ? MG_SPEND_POCOCK : MG_SPEND_OBF, goals[g].low, goals[g].high, 512);
      simulate_decisions d = simulate_stop(cell, replicates, &plan, goals[g].p_b, goals[g].p_c);
      /* Tango's test is exact only in the limit: it may err by a tenth more. */
      double allowed = kinds[k] == MG_STOP_ANYTIME ? .025 : .0275;
      assert_at_most(d.adopted, allowed + slack(allowed, replicates));
    }
}

static void power_as_predicted(void **state) {
  (void)state;
  static const struct {
    double low, high, p_b, p_c;
    uint64_t n;
  } cases[] = {{-.02, INFINITY, .02, .02, 866}, {0, INFINITY, .02, .06, 400}, {-.05, .05, .03, .03, 500}, {0, INFINITY, .1, .1, 300}};
  const uint64_t replicates = 2000;
  for (uint32_t i = 0; i < LENGTH(cases); i++) {
    mg_stop_plan plan = rule(MG_STOP_FIXED, MG_SPEND_OBF, cases[i].low, cases[i].high, cases[i].n);
    simulate_decisions d = simulate_stop(80 + i, replicates, &plan, cases[i].p_b, cases[i].p_c);
    double exact = mg_power_tango(cases[i].n, cases[i].p_b, cases[i].p_c, cases[i].low, cases[i].high, .05);
    near_check(d.adopted, exact, slack(exact, replicates) + 1e-9, "simulated power", __FILE__, __LINE__);
  }
}

/* Stopping early is worth it: a good candidate needs fewer cases, a bad one too. */
static void early_stopping_saves_cases(void **state) {
  (void)state;
  mg_stop_plan plan = rule(MG_STOP_ANYTIME, MG_SPEND_OBF, -.05, INFINITY, 2000);
  simulate_decisions good = simulate_stop(90, 500, &plan, .01, .01), bad = simulate_stop(91, 500, &plan, .2, .02);
  assert_at_least(good.adopted, .99);
  assert_at_most(good.cases, 600);
  assert_at_least(bad.rejected, .99);
  assert_at_most(bad.cases, 600);
}

static void sprt_errors(void **state) {
  (void)state;
  mg_stop_plan plan = rule(MG_STOP_SPRT, MG_SPEND_OBF, 0, INFINITY, 20000);
  plan.theta0 = .5, plan.theta1 = .75, plan.beta = .2;
  const uint64_t replicates = 1000;
  simulate_decisions null = simulate_stop(95, replicates, &plan, .03, .03), real = simulate_stop(96, replicates, &plan, .015, .045);
  assert_at_most(null.adopted, .05 / .8 + slack(.0625, replicates));
  assert_at_most(real.rejected, .2 / .95 + slack(.21, replicates));
  assert_true(null.adopted + null.rejected == 1 && real.adopted + real.rejected == 1);
}

static void metrics_cover(void **state) {
  (void)state;
  const uint64_t replicates = 400;
  double noise = slack(.95, replicates);
  for (uint32_t stalls = 0; stalls < 2; stalls++) {
    simulate_coverage c[SIMULATE_METRICS];
    simulate_metrics(600 + stalls, replicates, 60, stalls == 1, c);
    /* Student's mean may feel the tail and the bootstrap of a far quantile has few values to draw from; ranks hold exactly. */
    assert_at_least(c[0].coverage, .93 - noise);
    assert_at_least(c[1].coverage, .95 - noise);
    assert_at_most(c[1].coverage, .95 + noise);
    assert_at_least(c[2].coverage, .94 - noise);
    assert_at_least(c[3].coverage, .93 - noise);
    if (stalls) assert_at_most(c[1].width * 10, c[0].width); /* a middle of ratios is what stalls cannot move */
  }
}

/* Whichever of the three lies at its limit, the candidate is adopted wrongly no more often than by one question alone. */
static void endpoints_together(void **state) {
  (void)state;
  const uint64_t replicates = 1000;
  double bound = .0275 + slack(.0275, replicates);
  for (uint32_t at = 0; at < 8; at++) {
    double adopted = simulate_endpoints(610 + at, replicates, 300, at);
    if (at == 0)
      assert_at_least(adopted, .98);
    else
      assert_at_most(adopted, bound);
  }
}

static void claims_about_relations(void **state) {
  (void)state;
  const uint64_t replicates = 2000;
  double noise = slack(.05, replicates);
  for (int how = MG_HOLM; how <= MG_BY; how++) {
    simulate_claims equal = simulate_relations(620 + (uint32_t)how, replicates, 500, 0, how), some = simulate_relations(630 + (uint32_t)how, replicates, 500, 5, how);
    assert_at_most(equal.any_false, .05 + noise);
    assert_at_most(some.false_share, .05 + noise);
    if (how == MG_HOLM || how == MG_HOCHBERG) assert_at_most(some.any_false, .05 + noise);
    assert_at_least(some.found, .2);
  }
  assert_at_least(simulate_relations(640, replicates, 500, 0, -1).any_false, .3); /* without a correction the claims would be worthless */
}

static void the_widest_gap_is_held(void **state) {
  (void)state;
  static const int groups[] = {2, 4, 8};
  const uint64_t replicates = 2000;
  for (uint32_t i = 0; i < LENGTH(groups); i++) {
    double alerts, allowed = .03; /* Newcombe's interval is exact in the limit alone */
    simulate_coverage c = simulate_gap(650 + i, replicates, 300, groups[i], .05, &alerts);
    assert_at_least(c.coverage, .945 - slack(.95, replicates));
    assert_at_most(alerts, allowed + slack(allowed, replicates));
  }
}

/* Over every seventh n: exact chances, so no slack. */
static void absolute_at_the_wanted_rate(void **state) {
  (void)state;
  static const double rates[] = {.5, .8, .9, .95, .99};
  for (size_t i = 0; i < LENGTH(rates); i++)
    for (uint64_t n = 10; n <= 1500; n += 7) {
      assert_at_most(simulate_absolute(rates[i], n, true), .025 + 1e-9);
      assert_at_most(simulate_absolute(rates[i], n, false), rates[i] < .8 ? .036 : .027);
    }
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "--table") == 0) {
    unsigned long long replicates = argc > 3 ? strtoull(argv[3], NULL, 10) : 20000;
    return simulate_table(stdout, replicates < 100 ? 100 : replicates, argv[2]) ? 0 : 1;
  }
  print_message("seed %u\n", SIMULATE_SEED);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paired_intervals_cover),
      cmocka_unit_test(unpaired_intervals_cover),
      cmocka_unit_test(clusters_are_taken_into_account),
      cmocka_unit_test(false_adoption_at_the_margin),
      cmocka_unit_test(power_as_predicted),
      cmocka_unit_test(early_stopping_saves_cases),
      cmocka_unit_test(sprt_errors),
      cmocka_unit_test(metrics_cover),
      cmocka_unit_test(endpoints_together),
      cmocka_unit_test(claims_about_relations),
      cmocka_unit_test(the_widest_gap_is_held),
      cmocka_unit_test(absolute_at_the_wanted_rate),
  };
  return run_all(tests);
}
