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
/* Clusters of ten cases that mostly agree with each other; robust and bootstrap intervals, and Tango's, which ignores it. */
#define SIMULATE_CLUSTERED 3
void simulate_clustered(uint32_t cell, uint64_t replicates, uint64_t clusters, double p_b, double p_c, simulate_coverage out[SIMULATE_CLUSTERED]);

typedef struct simulate_decisions {
  double adopted, rejected; /* shares of the replicates */
  double cases;             /* mean number of cases until the decision */
} simulate_decisions;
simulate_decisions simulate_stop(uint32_t cell, uint64_t replicates, const mg_stop_plan *plan, double p_b, double p_c);

/* part: "seed" (the line above the tables), "paired", "unpaired", "clusters", "decisions". false: there is no such part. */
bool simulate_table(FILE *out, uint64_t replicates, const char *part);

#endif
