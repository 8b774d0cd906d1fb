/* coverage.c - how often each interval holds the truth. Intervals that are costly are computed once for each (b, c). */
#include "tests/simulate/simulate.h"

#include "judge/stats/anytime.h"
#include "judge/stats/bayes.h"
#include "judge/stats/clusters.h"
#include "judge/stats/relative.h"

#include <math.h>
#include <stdlib.h>

#define LEVEL .95
#define MEMO 512 /* counts below this are remembered */

/* Thresholds on 32 random bits: fine to 2e-10, and twice as fast as doubles. */
static uint32_t threshold(double p) { return (uint32_t)fmin(UINT32_MAX, p * 4294967296.0); }

mg_pairs simulate_pairs(mg_philox *random, uint64_t n, double p_b, double p_c, double base_rate) {
  uint32_t b = threshold(p_b), c = threshold(p_b + p_c), a = threshold(base_rate + p_c);
  mg_pairs p = {0, 0, 0, 0};
  for (uint64_t i = 0; i < n; i++) {
    uint32_t u = mg_philox_next32(random);
    if (u < b)
      p.base_only++;
    else if (u < c)
      p.cand_only++;
    else if (u < a)
      p.both++;
    else
      p.neither++;
  }
  return p;
}

uint64_t simulate_passes(mg_philox *random, uint64_t n, double rate) {
  uint32_t limit = threshold(rate);
  uint64_t passes = 0;
  for (uint64_t i = 0; i < n; i++) passes += mg_philox_next32(random) < limit;
  return passes;
}

void simulate_note(simulate_coverage *c, mg_interval i, double truth) {
  c->coverage += i.low <= truth + 1e-12 && truth - 1e-12 <= i.high;
  c->width += i.high - i.low;
}

void simulate_average(simulate_coverage *out, int count, uint64_t replicates) {
  for (int k = 0; k < count; k++) {
    out[k].coverage /= (double)replicates;
    out[k].width = isfinite(out[k].width) ? out[k].width / (double)replicates : NAN;
  }
}

/* Those that depend on b, c and n alone. */
typedef struct memo {
  bool known;
  mg_interval tango, bootstrap, bca, bayes, anytime;
} memo;

static void remember(memo *m, const mg_pairs *p) {
  m->known = true;
  m->tango = mg_tango(p, LEVEL);
  mg_bootstrap(p, LEVEL, &m->bootstrap);
  mg_bootstrap_bca(p, LEVEL, &m->bca, NULL, NULL);
  m->bayes = mg_bayes_paired(p, LEVEL);
  m->anytime = mg_anytime(p, LEVEL);
}

void simulate_paired(uint32_t cell, uint64_t replicates, uint64_t n, double p_b, double p_c, double base_rate, simulate_coverage out[SIMULATE_PAIRED]) {
  static const char *const names[] = {"tango", "newcombe", "bootstrap", "bca", "bayes", "any-time", "tang ratio"};
  memo *table = calloc((size_t)MEMO * MEMO, sizeof *table);
  if (!table) abort();
  for (int k = 0; k < SIMULATE_PAIRED; k++) out[k] = (simulate_coverage){names[k], 0, 0};
  double delta = p_c - p_b, ratio = (base_rate + delta) / base_rate;
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    mg_pairs p = simulate_pairs(&random, n, p_b, p_c, base_rate);
    memo spare = {0}, *m = p.base_only < MEMO && p.cand_only < MEMO ? &table[p.base_only * MEMO + p.cand_only] : &spare;
    if (!m->known) remember(m, &p);
    simulate_note(&out[0], m->tango, delta);
    simulate_note(&out[1], mg_newcombe_paired(&p, LEVEL), delta);
    simulate_note(&out[2], m->bootstrap, delta);
    simulate_note(&out[3], m->bca, delta);
    simulate_note(&out[4], m->bayes, delta);
    simulate_note(&out[5], m->anytime, delta);
    simulate_note(&out[6], mg_tang(&p, LEVEL), ratio);
  }
  simulate_average(out, SIMULATE_PAIRED, replicates);
  free(table);
}

void simulate_unpaired(uint32_t cell, uint64_t replicates, uint64_t n, double rate1, double rate2, simulate_coverage out[SIMULATE_UNPAIRED]) {
  static const char *const names[] = {"wilson", "clopper-pearson", "newcombe", "agresti-caffo", "bayes", "katz ratio", "koopman ratio", "katz or koopman"};
  for (int k = 0; k < SIMULATE_UNPAIRED; k++) out[k] = (simulate_coverage){names[k], 0, 0};
  mg_interval *bayes = NULL;
  if (n < MEMO) bayes = calloc((n + 1) * (n + 1), sizeof *bayes);
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    mg_two_rates t = {simulate_passes(&random, n, rate1), n, simulate_passes(&random, n, rate2), n};
    mg_interval spare = {0, 0}, *known = bayes ? &bayes[t.passes1 * (n + 1) + t.passes2] : &spare;
    if (known->low == known->high) *known = mg_bayes_unpaired(t.passes1, n, t.passes2, n, LEVEL);
    simulate_note(&out[0], mg_wilson(t.passes1, n, LEVEL), rate1);
    simulate_note(&out[1], mg_clopper_pearson(t.passes1, n, LEVEL), rate1);
    simulate_note(&out[2], mg_newcombe_unpaired(&t, LEVEL), rate1 - rate2);
    simulate_note(&out[3], mg_agresti_caffo(&t, LEVEL), rate1 - rate2);
    simulate_note(&out[4], *known, rate1 - rate2);
    simulate_note(&out[5], mg_katz(&t, LEVEL), rate1 / rate2);
    simulate_note(&out[6], mg_koopman(&t, LEVEL), rate1 / rate2);
    simulate_note(&out[7], mg_relative_unpaired(&t, LEVEL), rate1 / rate2);
  }
  simulate_average(out, SIMULATE_UNPAIRED, replicates);
  free(bayes);
}

void simulate_clustered(uint32_t cell, uint64_t replicates, uint64_t clusters, double p_b, double p_c, simulate_coverage out[SIMULATE_CLUSTERED]) {
  static const char *const names[] = {"robust alone", "bootstrap alone", "robust", "cluster-bootstrap", "tango (ignores clusters)"};
  for (int k = 0; k < SIMULATE_CLUSTERED; k++) out[k] = (simulate_coverage){names[k], 0, 0};
  mg_cluster *list = calloc(clusters, sizeof *list);
  if (!list) abort();
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    mg_pairs all = {0, 0, 0, 0};
    for (uint64_t g = 0; g < clusters; g++) {
      /* A case copies its cluster's own outcome with chance 1/2, else it draws one: correlation 1/4, design effect 3.25. */
      mg_pairs own = simulate_pairs(&random, 1, p_b, p_c, .9);
      list[g] = (mg_cluster){0, 0, 10};
      for (int i = 0; i < 10; i++) {
        bool copy = mg_philox_next32(&random) >> 31;
        mg_pairs p = copy ? own : simulate_pairs(&random, 1, p_b, p_c, .9);
        list[g].base_only += p.base_only;
        list[g].cand_only += p.cand_only;
      }
      all.base_only += list[g].base_only;
      all.cand_only += list[g].cand_only;
    }
    all.both = clusters * 10 - all.base_only - all.cand_only;
    mg_clustered c;
    mg_cluster_robust(list, clusters, LEVEL, &c);
    simulate_note(&out[2], mg_cluster_verdict(list, clusters, LEVEL, c.interval), p_c - p_b);
    simulate_note(&out[0], c.interval, p_c - p_b);
    if (mg_cluster_bootstrap(list, clusters, LEVEL, 1000, r, &c, NULL)) abort();
    simulate_note(&out[1], c.interval, p_c - p_b);
    simulate_note(&out[3], mg_cluster_verdict(list, clusters, LEVEL, c.interval), p_c - p_b);
    simulate_note(&out[4], mg_tango(&all, LEVEL), p_c - p_b);
  }
  simulate_average(out, SIMULATE_CLUSTERED, replicates);
  free(list);
}
