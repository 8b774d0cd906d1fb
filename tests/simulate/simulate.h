/* simulate.h - do the intervals cover, and do the verdicts err as rarely as they say? By trying it out.
 *
 * simulate_test runs a small grid and judges it; `simulate_test --table PART [REPLICATES]` prints a part of the grid of
 * docs/concepts/statistics.md, which `make simulate` writes anew.
 * Every number comes from a seed: replicate r of cell k draws from Philox stream k, case r of SIMULATE_SEED, so any cell
 * can be repeated alone. Single-threaded. */
#ifndef MG_TESTS_SIMULATE_H
#define MG_TESTS_SIMULATE_H

#include "base/philox.h"
#include "judge/stop.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SIMULATE_SEED 20251125u

/* Counts of n independent cases; base_rate is P(baseline passes), which must be at least p_b and leave room for p_c. */
mg_pairs simulate_pairs(mg_philox *random, uint64_t n, double p_b, double p_c, double base_rate);
uint64_t simulate_passes(mg_philox *random, uint64_t n, double rate);

typedef struct simulate_coverage {
  const char *method;
  double coverage, width; /* share of intervals that hold the truth; mean width, NAN where it may be infinite */
} simulate_coverage;

#define SIMULATE_PAIRED 7 /* tango, newcombe, bootstrap, bca, bayes, any-time, tang (of the ratio) */
void simulate_paired(uint32_t cell, uint64_t replicates, uint64_t n, double p_b, double p_c, double base_rate, simulate_coverage out[SIMULATE_PAIRED]);
#define SIMULATE_UNPAIRED 8 /* wilson, clopper-pearson (of the first); newcombe, agresti-caffo, bayes, katz, koopman, both */
void simulate_unpaired(uint32_t cell, uint64_t replicates, uint64_t n, double rate1, double rate2, simulate_coverage out[SIMULATE_UNPAIRED]);
/* Clusters of ten cases that mostly agree with each other; robust and bootstrap intervals, both as a verdict takes them, and Tango's, which ignores it. */
#define SIMULATE_CLUSTERED 5
void simulate_clustered(uint32_t cell, uint64_t replicates, uint64_t clusters, double p_b, double p_c, simulate_coverage out[SIMULATE_CLUSTERED]);

typedef struct simulate_decisions {
  double adopted, rejected; /* shares of the replicates */
  double cases;             /* mean number of cases until the decision */
} simulate_decisions;
simulate_decisions simulate_stop(uint32_t cell, uint64_t replicates, const mg_stop_plan *plan, double p_b, double p_c);

/* Pairs of times whose ratio is 1.1; stalls: a few of either side take 20 times as long. */
#define SIMULATE_METRICS 4 /* difference of the means; ratio, ratio of p50, ratio of p95 */
void simulate_metrics(uint32_t cell, uint64_t replicates, uint64_t n, bool stalls, simulate_coverage out[SIMULATE_METRICS]);
/* Share of adopts by a goal and two endpoints; bits of at_limit: pass rate, cost, time lie on their limits, the rest well within. */
double simulate_endpoints(uint32_t cell, uint64_t replicates, uint64_t n, unsigned at_limit);

#define SIMULATE_RELATIONS 20
typedef struct simulate_claims {
  double any_false, false_share, found; /* runs with a false claim; share of false ones among the claims of a run; share of the worse relations */
} simulate_claims;
/* how: of mg_correction, -1: none. */
simulate_claims simulate_relations(uint32_t cell, uint64_t replicates, uint64_t n, int worse, int how);
/* The first group's pass rate is `gap` below the others'; the limit of the alert is the gap. */
simulate_coverage simulate_gap(uint32_t cell, uint64_t replicates, uint64_t n, int groups, double gap, double *alerts);
/* Chance that absolute(rate) adopts at that very rate; exact, nothing is drawn. */
double simulate_absolute(double rate, uint64_t n, bool clopper_pearson);

/* What the parts share. */
void simulate_note(simulate_coverage *c, mg_interval i, double truth);
void simulate_average(simulate_coverage *out, int count, uint64_t replicates);
void simulate_head(FILE *out, const char *first, const simulate_coverage *c, int count);
void simulate_row(FILE *out, const char *cell, const simulate_coverage *c, int count);
void simulate_measures_tables(FILE *out, uint64_t replicates);

/* part: "seed" (the line above the tables), "paired", "unpaired", "clusters", "decisions", "measures". false: there is no such part. */
bool simulate_table(FILE *out, uint64_t replicates, const char *part);

#endif
