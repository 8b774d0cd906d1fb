/* measures.c - what metrics, endpoints, groups and claims about relations are worth: through the functions that judge a run. */
#include "tests/simulate/simulate.h"

#include "judge/goal.h"
#include "judge/stats/distributions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVEL .95

static double normal(mg_philox *random) { return mg_normal_quantile(mg_philox_double(random) + 0x1p-54); }

static void need(mg_err err) {
  if (err != MG_OK) abort();
}

static void add_value(mg_measures *m, int column, double baseline, double candidate, uint64_t i) {
  m->columns[column].keeps = true;
  need(mg_column_add(&m->columns[column], true, baseline, candidate, i, NULL));
}

/* --- metrics --- */

#define STALL_SHARE .03
#define STALL_FACTOR 20
#define RATIO 1.1

/* The case's own size, shared by both sides, then each side's noise and perhaps a stall. */
static double drawn_time(mg_philox *random, double size, bool stalls) {
  double t = exp(size + .2 * normal(random));
  return stalls && mg_philox_double(random) < STALL_SHARE ? STALL_FACTOR * t : t;
}

void simulate_metrics(uint32_t cell, uint64_t replicates, uint64_t n, bool stalls, simulate_coverage out[SIMULATE_METRICS]) {
  static const char *const names[] = {"difference of means", "ratio", "ratio of p50", "ratio of p95"};
  static const mg_view views[SIMULATE_METRICS] = {{"mean", 0, MG_VIEW_MEAN, 0, false, NAN, NAN},
                                                  {"ratio", 0, MG_VIEW_RATIO, 0, false, NAN, NAN},
                                                  {"p50", 0, MG_VIEW_QUANTILE, .5, false, NAN, NAN},
                                                  {"p95", 0, MG_VIEW_QUANTILE, .95, false, NAN, NAN}};
  double mean = exp((1 + .04) / 2) * (stalls ? 1 + STALL_SHARE * (STALL_FACTOR - 1) : 1);
  for (int k = 0; k < SIMULATE_METRICS; k++) out[k] = (simulate_coverage){names[k], 0, 0};
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    mg_measures *m = NULL;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    need(mg_measures_new(&m, 1, NULL));
    for (uint64_t i = 0; i < n; i++) {
      double size = normal(&random), baseline = drawn_time(&random, size, stalls);
      add_value(m, 0, baseline, RATIO * drawn_time(&random, size, stalls), i);
    }
    for (int k = 0; k < SIMULATE_METRICS; k++) {
      mg_view_result v;
      need(mg_view_judge(&views[k], &m->columns[0], true, LEVEL, r, &v, NULL));
      simulate_note(&out[k], v.interval, k == 0 ? (RATIO - 1) * mean : RATIO);
    }
    mg_measures_free(m);
  }
  simulate_average(out, SIMULATE_METRICS, replicates);
}

/* --- a goal and two endpoints --- */

double simulate_endpoints(uint32_t cell, uint64_t replicates, uint64_t n, unsigned at_limit) {
  static const mg_clause clause = {"completes", "implicit", MG_MODE_HARD};
  static const uint32_t none[1] = {0};
  const mg_view views[] = {{"cost", 0, MG_VIEW_MEAN, 0, false, .2, NAN}, {"time", 1, MG_VIEW_RATIO, 0, false, .1, NAN}};
  const mg_goal goal = {.kind = MG_NONINFERIORITY, .margin = .04, .alpha = .05};
  double p_b = at_limit & 1 ? .05 : .005, p_c = at_limit & 1 ? .01 : .005, cost = at_limit & 2 ? .2 : -.3, time = at_limit & 4 ? log(1.1) : -.1;
  uint64_t adopted = 0;
  mg_judgement *j = malloc(sizeof *j);
  if (j == NULL) abort();
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    mg_measures *m = NULL;
    mg_tally t;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    mg_pairs p = simulate_pairs(&random, n, p_b, p_c, .9);
    memset(&t, 0, sizeof t);
    mg_tally_add_run(&t, MG_PASS, MG_PASS, p.both);
    mg_tally_add_run(&t, MG_PASS, MG_FAIL, p.base_only);
    mg_tally_add_run(&t, MG_FAIL, MG_PASS, p.cand_only);
    mg_tally_add_run(&t, MG_FAIL, MG_FAIL, p.neither);
    need(mg_measures_new(&m, 2, NULL));
    for (uint64_t i = 0; i < n; i++) {
      double base = 10 + normal(&random), size = normal(&random);
      add_value(m, 0, base, base + cost + normal(&random), i);
      add_value(m, 1, exp(size + .3 * normal(&random)), exp(size + time + .3 * normal(&random)), i);
    }
    const mg_facts f = {.clauses = &clause, .clause_count = 1, .has_baseline = true, .planned = n, .max_discard = 1, .reproduced = none, .vanished = none,
                        .measures = m, .views = views, .view_count = 2, .fairness_limit = NAN};
    mg_judge(j, &t, &goal, &f);
    adopted += j->verdict == MG_ADOPT;
    mg_measures_free(m);
  }
  free(j);
  return (double)adopted / (double)replicates;
}

/* --- relations --- */

simulate_claims simulate_relations(uint32_t cell, uint64_t replicates, uint64_t n, int worse, int how) {
  simulate_claims c = {0, 0, 0};
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    double p[SIMULATE_RELATIONS];
    int right = 0, wrong = 0;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    for (int i = 0; i < SIMULATE_RELATIONS; i++) {
      mg_pairs kept = simulate_pairs(&random, n, i < worse ? .05 : .02, .02, .9);
      p[i] = mg_mcnemar_worse(kept.base_only, kept.cand_only);
    }
    if (how >= 0) need(mg_adjust((mg_correction)how, p, p, SIMULATE_RELATIONS, NULL));
    for (int i = 0; i < SIMULATE_RELATIONS; i++) {
      if (p[i] > 1 - LEVEL) continue;
      right += i < worse;
      wrong += i >= worse;
    }
    c.any_false += wrong > 0;
    c.false_share += wrong > 0 ? wrong / (double)(wrong + right) : 0;
    c.found += worse > 0 ? right / (double)worse : 0;
  }
  double k = (double)replicates;
  return (simulate_claims){c.any_false / k, c.false_share / k, c.found / k};
}

/* --- groups --- */

simulate_coverage simulate_gap(uint32_t cell, uint64_t replicates, uint64_t n, int groups, double gap, double *alerts) {
  simulate_coverage c = {"widest gap", 0, 0};
  uint64_t alerted = 0;
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    mg_measures *m = NULL;
    mg_fairness f;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    need(mg_measures_new(&m, 0, NULL));
    for (int g = 0; g < groups; g++) {
      const char name[2] = {(char)('a' + g), '\0'};
      uint64_t passes = simulate_passes(&random, n, g == 0 ? .9 - gap : .9);
      need(mg_measures_group(m, name, &(mg_pairs){.both = passes, .neither = n - passes}, NULL));
    }
    mg_fairness_judge(m, LEVEL, gap, &f);
    simulate_note(&c, f.interval, gap);
    alerted += f.alert;
    mg_measures_free(m);
  }
  simulate_average(&c, 1, replicates);
  *alerts = (double)alerted / (double)replicates;
  return c;
}

/* --- a pass rate that is exactly what is wanted --- */

double simulate_absolute(double rate, uint64_t n, bool clopper_pearson) {
  uint64_t passes = (uint64_t)(rate * (double)n);
  while (passes <= n && (clopper_pearson ? mg_clopper_pearson : mg_wilson)(passes, n, LEVEL).low < rate) passes++;
  return passes > n ? 0 : mg_binomial_sf((double)passes - 1, (double)n, rate);
}

/* --- the tables --- */

static void metrics_table(FILE *out, uint64_t replicates) {
  static const uint64_t sizes[] = {20, 100, 500};
  uint32_t cell = 500;
  simulate_coverage c[SIMULATE_METRICS];
  for (int stalls = 0; stalls < 2; stalls++)
    for (size_t k = 0; k < 3; k++, cell++) {
      char name[80];
      simulate_metrics(cell, replicates / 20, sizes[k], stalls, c);
      if (cell == 500) simulate_head(out, "metric of n pairs (stream)", c, SIMULATE_METRICS);
      snprintf(name, sizeof name, "%llu%s (%u)", (unsigned long long)sizes[k], stalls ? ", with stalls" : "", cell);
      simulate_row(out, name, c, SIMULATE_METRICS);
    }
}

static void endpoints_table(FILE *out, uint64_t replicates) {
  static const char *const names[] = {"none", "the pass rate", "cost (mean)", NULL, "time (ratio)", NULL, NULL, "all three"};
  uint32_t cell = 520;
  fprintf(out, "\n| what lies at its limit, 300 cases (stream) | adopted |\n|---|---|\n");
  for (unsigned at = 0; at < 8; at++) {
    if (names[at] == NULL) continue;
    fprintf(out, "| %s (%u) | %.4f |\n", names[at], cell, simulate_endpoints(cell, replicates / 4, 300, at));
    cell++;
  }
}

static void relations_table(FILE *out, uint64_t replicates) {
  static const char *const names[] = {"none", "Holm", "Hochberg", "BH", "BY"};
  uint32_t cell = 530;
  fprintf(out, "\n| correction, 20 relations, 500 cases (stream) | none is worse: a false claim | 5 are worse: a false claim | share of false claims | found of the 5 |\n"
               "|---|---|---|---|---|\n");
  for (int how = 0; how < 5; how++, cell++) {
    simulate_claims equal = simulate_relations(cell, replicates, 500, 0, how - 1), some = simulate_relations(cell, replicates, 500, 5, how - 1);
    fprintf(out, "| %s (%u) | %.4f | %.4f | %.4f | %.3f |\n", names[how], cell, equal.any_false, some.any_false, some.false_share, some.found);
  }
}

static void groups_table(FILE *out, uint64_t replicates) {
  static const int groups[] = {2, 3, 8};
  uint32_t cell = 540;
  fprintf(out, "\n| groups of 300 cases, true gap (stream) | interval holds it | alerts with the gap as limit |\n|---|---|---|\n");
  for (size_t i = 0; i < 3; i++)
    for (int wide = 0; wide < 2; wide++, cell++) {
      double alerts, gap = wide ? .1 : .03;
      simulate_coverage c = simulate_gap(cell, replicates, 300, groups[i], gap, &alerts);
      fprintf(out, "| %d, %g (%u) | %.3f | %.4f |\n", groups[i], gap, cell, c.coverage, alerts);
    }
}

static void absolute_table(FILE *out) {
  static const double rates[] = {.5, .8, .9, .95, .99};
  static const uint64_t sizes[] = {100, 500, 2000};
  fprintf(out, "\n| wanted rate, which is the true one, n | wilson | clopper-pearson |\n|---|---|---|\n");
  for (size_t i = 0; i < 5; i++)
    for (size_t k = 0; k < 3; k++)
      fprintf(out, "| %g, %llu | %.4f | %.4f |\n", rates[i], (unsigned long long)sizes[k], simulate_absolute(rates[i], sizes[k], false),
              simulate_absolute(rates[i], sizes[k], true));
}

void simulate_measures_tables(FILE *out, uint64_t replicates) {
  absolute_table(out);
  metrics_table(out, replicates);
  endpoints_table(out, replicates);
  groups_table(out, replicates);
  relations_table(out, replicates);
}
