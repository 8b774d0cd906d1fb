/* clusters.h - intervals of delta where cases come in groups that are alike (same document, same customer).
 *
 * Counts are summed per cluster by the caller. Below 2 clusters nothing can be said and false is returned (the fields
 * are NAN); below MG_CLUSTERS_FEW the report should warn. Any thread; mg_cluster_bootstrap allocates one copy of the
 * clusters' sums and a list of its resamples. */
#ifndef MG_JUDGE_STATS_CLUSTERS_H
#define MG_JUDGE_STATS_CLUSTERS_H

#include "base/err.h"
#include "judge/stats/paired.h"

#include <stddef.h>

#define MG_CLUSTERS_FEW 20

typedef struct mg_cluster {
  uint64_t base_only, cand_only, n; /* of one cluster; n counts all its pairs */
} mg_cluster;

typedef struct mg_clustered {
  double delta, se;
  mg_interval interval;
  double design_effect; /* variance against that of as many independent cases; 1 where clusters do not matter */
  size_t clusters;      /* those with n > 0 */
} mg_clustered;

/* Robust (sandwich) standard error with Student's t on clusters - 1 degrees of freedom. */
bool mg_cluster_robust(const mg_cluster *clusters, size_t count, double level, mg_clustered *out);

/* Percentile interval over resamples of whole clusters, the same for the same seed; other fields as above. resamples 0
 * means 10,000, fewer where clusters are many (never below 1,000). MG_ARG below 2 clusters. */
mg_err mg_cluster_bootstrap(const mg_cluster *clusters, size_t count, double level, size_t resamples, uint64_t seed, mg_clustered *out, mg_error *e);

/* What a verdict may rest on: `by` (one of the above), widened on each side where Tango's interval reaches further, with Student's quantile of clusters - 1
 * degrees of freedom times the root of the design effect. A sandwich knows of the clusters that it has seen to differ alone, and has no width where none
 * does; here a quarter of a cluster of usual size whose cases all differ alike counts as not yet seen, so that without any differing case clusters
 * count as single cases do, and the more of them differ the less it matters. [-1, 1] below 2 clusters. */
mg_interval mg_cluster_verdict(const mg_cluster *clusters, size_t count, double level, mg_interval by);

#endif
