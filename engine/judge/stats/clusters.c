#include "judge/stats/clusters.h"

#include "base/philox.h"
#include "judge/stats/distributions.h"

#include <math.h>
#include <stdlib.h>

static double cluster_sum(const mg_cluster *c) { return (double)c->cand_only - (double)c->base_only; }

bool mg_cluster_robust(const mg_cluster *clusters, size_t count, double level, mg_clustered *out) {
  *out = (mg_clustered){NAN, NAN, {NAN, NAN}, NAN, 0};
  double n = 0, sum = 0, discordant = 0, squares = 0;
  for (size_t i = 0; i < count; i++) {
    const mg_cluster *c = &clusters[i];
    if (c->n == 0) continue;
    out->clusters++;
    n += (double)c->n;
    sum += cluster_sum(c);
    discordant += (double)c->base_only + (double)c->cand_only;
  }
  if (out->clusters < 2 || isnan(mg_normal_z(level))) return false;
  double delta = sum / n, groups = (double)out->clusters;
  for (size_t i = 0; i < count; i++) {
    double miss = cluster_sum(&clusters[i]) - delta * (double)clusters[i].n;
    squares += miss * miss;
  }
  double variance = groups / (groups - 1) * squares / n / n, independent = (discordant / n - delta * delta) / n;
  double reach = mg_student_quantile((1 + level) / 2, groups - 1) * sqrt(variance);
  out->delta = delta;
  out->se = sqrt(variance);
  out->interval = (mg_interval){fmax(-1, delta - reach), fmin(1, delta + reach)};
  out->design_effect = independent > 0 ? variance / independent : 1;
  return true;
}

mg_interval mg_cluster_verdict(const mg_cluster *clusters, size_t count, double level, mg_interval by) {
  const double unseen = .25;
  mg_clustered c;
  mg_pairs all = {0, 0, 0, 0};
  double n = 0, sizes = 0, squares = 0;
  if (!mg_cluster_robust(clusters, count, level, &c)) return (mg_interval){-1, 1};
  for (size_t i = 0; i < count; i++) {
    double net = cluster_sum(&clusters[i]), size = (double)clusters[i].n;
    n += size;
    sizes += size * size;
    squares += net * net;
    all.base_only += clusters[i].base_only;
    all.cand_only += clusters[i].cand_only;
  }
  double discordant = (double)all.base_only + (double)all.cand_only, usual = sizes / n;
  double effect = (squares + unseen * usual * usual) / (discordant + unseen * usual);
  effect = fmax(1, fmax(effect, c.design_effect));
  all.both = (uint64_t)(n - discordant);
  mg_interval score = mg_tango_z(&all, mg_student_quantile((1 + level) / 2, (double)c.clusters - 1) * sqrt(effect));
  return (mg_interval){fmin(by.low, score.low), fmax(by.high, score.high)};
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

mg_err mg_cluster_bootstrap(const mg_cluster *clusters, size_t count, double level, size_t resamples, uint64_t seed, mg_clustered *out, mg_error *e) {
  mg_err err = MG_OK;
  double *deltas = NULL;
  const mg_cluster **used = NULL;
  if (!mg_cluster_robust(clusters, count, level, out))
    return mg_fail(e, MG_ARG,
                   "a cluster bootstrap needs at least 2 clusters and a level between 0 and 1; there are %zu "
                   "clusters, the level is %g",
                   out->clusters, level);
  if (resamples == 0) resamples = (size_t)fmax(1000, fmin(10000, 1e8 / (double)out->clusters));
  deltas = malloc(resamples * sizeof *deltas);
  used = malloc(out->clusters * sizeof *used);
  if (!deltas || !used) {
    err = mg_fail(e, MG_NOMEM, "no memory for %zu resamples of %zu clusters", resamples, out->clusters);
    goto out;
  }
  size_t groups = 0;
  for (size_t i = 0; i < count; i++)
    if (clusters[i].n) used[groups++] = &clusters[i];
  mg_philox random;
  for (size_t k = 0; k < resamples; k++) {
    mg_philox_init(&random, seed, 0, k); /* a stream each, for one has 2^34 words */
    double sum = 0, n = 0;
    for (size_t i = 0; i < groups; i++) {
      const mg_cluster *c = used[mg_philox_below(&random, groups)];
      sum += cluster_sum(c);
      n += (double)c->n;
    }
    deltas[k] = sum / n;
  }
  qsort(deltas, resamples, sizeof *deltas, by_value);
  /* Ranks ceil(p R) and its mirror image, so that swapping the roles mirrors the interval. */
  size_t rank = (size_t)ceil((1 - level) / 2 * (double)resamples - 1e-9);
  rank = rank ? rank - 1 : 0;
  out->interval = (mg_interval){deltas[rank], deltas[resamples - 1 - rank]};
out:
  free(used);
  free(deltas);
  return err;
}
