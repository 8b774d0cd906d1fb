/* measures.h - what was measured besides outcomes: values of metrics, times, groups of cases, clusters. Grows by cases or by
 * merging; what comes out depends on neither the order nor the parts. Memory does not grow with the number of cases.
 *
 * A column holds one value a role for each case: latency, cpu, memory, or what a metric's function gave. A pair counts where
 * both roles have one (candidate alone where the plan has no baseline). Means come from exact sums (stats/sum.h), quantiles of
 * one side from sketches; ratios and quantile ratios need the pairs themselves and get the MG_MEASURE_KEPT whose cases
 * have the smallest hash of seed and case - a sample that chance drew and that is the same in every run.
 * Owns heap memory; any thread, one owner. */
#ifndef MG_JUDGE_MEASURES_H
#define MG_JUDGE_MEASURES_H

#include "base/err.h"
#include "judge/outcome.h"
#include "judge/sketch.h"
#include "judge/stats/clusters.h"
#include "judge/stats/sum.h"

#include <stdbool.h>
#include <stddef.h>

#define MG_MAX_COLUMNS 24
#define MG_MEASURE_KEPT 10000
#define MG_MAX_GROUPS 64
#define MG_GROUP_NAME 64
#define MG_MAX_CLUSTERS (UINT32_C(1) << 20)
#define MG_SKETCH_ERROR 0.01
#define MG_VALUE_MOST 1e150 /* larger sizes count as missing */

typedef struct mg_kept_pair {
  uint64_t at; /* in a task's result: the index of the case; in a run: its hash */
  double baseline, candidate;
} mg_kept_pair;

typedef struct mg_column {
  uint64_t n, missing; /* pairs; cases of which a side has no value though both count */
  mg_sum baseline, candidate, difference, squares; /* squares: of the differences; of the candidate's values where there is no baseline */
  mg_sketch sketch[MG_ROLES];
  bool keeps;
  mg_kept_pair *kept; /* owned; a heap by at, the largest first, once it is full */
  size_t kept_count, kept_cap;
} mg_column;

typedef struct mg_group {
  char name[MG_GROUP_NAME + 1];
  mg_pairs pairs; /* without a baseline: passes are cand_only, all else neither */
} mg_group;

typedef struct mg_cluster_count {
  uint64_t key; /* hash of the cluster's name */
  mg_cluster counts;
} mg_cluster_count;

typedef struct mg_measures {
  int count;          /* columns, MG_MAX_COLUMNS at most */
  mg_column *columns; /* owned */
  mg_group *groups;   /* owned, by name */
  int group_count;
  uint64_t ungrouped; /* pairs of groups beyond MG_MAX_GROUPS */
  mg_cluster_count *clusters; /* owned, by key */
  size_t cluster_count, cluster_cap;
  bool too_many_clusters;
} mg_measures;

mg_err mg_measures_new(mg_measures **out, int columns, mg_error *e);
void mg_measures_free(mg_measures *m);

/* Whether a value can be counted. */
bool mg_measure_fits(double value);
/* A case whose roles both count; NAN: that role has no value. has_baseline false: the baseline's is not asked for. */
mg_err mg_column_add(mg_column *c, bool has_baseline, double baseline, double candidate, uint64_t at, mg_error *e);
/* Keeps the pair unless MG_MEASURE_KEPT with smaller `at` are kept. */
mg_err mg_column_keep(mg_column *c, const mg_kept_pair *pair, mg_error *e);
/* A group's or cluster's cases. */
mg_err mg_measures_group(mg_measures *m, const char *name, const mg_pairs *pairs, mg_error *e);
mg_err mg_measures_cluster(mg_measures *m, uint64_t key, const mg_cluster *counts, mg_error *e);

/* more's kept pairs are of case `first` on where rehash is true, and get their hashes; else they have them. After MG_NOMEM m is of no use. */
mg_err mg_measures_merge(mg_measures *m, const mg_measures *more, bool rehash, uint64_t seed, uint64_t first, mg_error *e);

/* Depends on seed and case alone; another case, another value. */
uint64_t mg_case_hash(uint64_t seed, uint64_t case_number);

#endif
