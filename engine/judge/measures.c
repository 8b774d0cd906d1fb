#include "judge/measures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* splitmix64: a bijection of the case number, so no two cases meet. */
uint64_t mg_case_hash(uint64_t seed, uint64_t case_number) {
  uint64_t z = seed + (case_number + 1) * UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

mg_err mg_measures_new(mg_measures **out, int columns, mg_error *e) {
  mg_measures *m = calloc(1, sizeof *m);
  if (m != NULL) m->columns = calloc(columns > 0 ? (size_t)columns : 1, sizeof *m->columns);
  if (m == NULL || m->columns == NULL) {
    free(m);
    return mg_fail(e, MG_NOMEM, "no memory for %d measures", columns);
  }
  m->count = columns;
  for (int i = 0; i < columns; i++) {
    for (int r = 0; r < MG_ROLES; r++) (void)mg_sketch_init(&m->columns[i].sketch[r], MG_SKETCH_ERROR, NULL);
  }
  *out = m;
  return MG_OK;
}

void mg_measures_free(mg_measures *m) {
  if (m == NULL) return;
  for (int i = 0; i < m->count; i++) {
    for (int r = 0; r < MG_ROLES; r++) mg_sketch_fini(&m->columns[i].sketch[r]);
    free(m->columns[i].kept);
  }
  free(m->columns);
  free(m->groups);
  free(m->clusters);
  free(m);
}

bool mg_measure_fits(double value) { return isfinite(value) && fabs(value) <= MG_VALUE_MOST; }

/* --- columns --- */

static void sift_down(mg_kept_pair *heap, size_t count, size_t i) {
  for (;;) {
    size_t top = i, left = 2 * i + 1, right = left + 1;
    if (left < count && heap[left].at > heap[top].at) top = left;
    if (right < count && heap[right].at > heap[top].at) top = right;
    if (top == i) return;
    mg_kept_pair swap = heap[i];
    heap[i] = heap[top];
    heap[top] = swap;
    i = top;
  }
}

mg_err mg_column_keep(mg_column *c, const mg_kept_pair *pair, mg_error *e) {
  c->keeps = true;
  if (c->kept_count == MG_MEASURE_KEPT) {
    if (pair->at >= c->kept[0].at) return MG_OK;
    c->kept[0] = *pair;
    sift_down(c->kept, c->kept_count, 0);
    return MG_OK;
  }
  if (c->kept_count == c->kept_cap) {
    size_t cap = c->kept_cap == 0 ? 64 : 2 * c->kept_cap;
    mg_kept_pair *grown = realloc(c->kept, cap * sizeof *grown);
    if (grown == NULL) return mg_fail(e, MG_NOMEM, "no memory for %zu pairs of a measure", cap);
    c->kept = grown;
    c->kept_cap = cap;
  }
  c->kept[c->kept_count++] = *pair;
  if (c->kept_count == MG_MEASURE_KEPT) {
    for (size_t i = c->kept_count / 2; i-- > 0;) sift_down(c->kept, c->kept_count, i);
  }
  return MG_OK;
}

mg_err mg_column_add(mg_column *c, bool has_baseline, double baseline, double candidate, uint64_t at, mg_error *e) {
  if (!mg_measure_fits(candidate) || (has_baseline && !mg_measure_fits(baseline))) {
    c->missing++;
    return MG_OK;
  }
  mg_err err = mg_sketch_add(&c->sketch[MG_CANDIDATE], candidate, e);
  if (err == MG_OK && has_baseline) err = mg_sketch_add(&c->sketch[MG_BASELINE], baseline, e);
  if (err == MG_OK && c->keeps) err = mg_column_keep(c, &(mg_kept_pair){at, has_baseline ? baseline : NAN, candidate}, e);
  if (err != MG_OK) return err;
  c->n++;
  mg_sum_add(&c->candidate, candidate);
  if (has_baseline) {
    mg_sum_add(&c->baseline, baseline);
    mg_sum_add(&c->difference, candidate - baseline);
  }
  mg_sum_square(&c->squares, has_baseline ? candidate - baseline : candidate);
  return MG_OK;
}

/* --- groups and clusters --- */

mg_err mg_measures_group(mg_measures *m, const char *name, const mg_pairs *pairs, mg_error *e) {
  int at = 0;
  while (at < m->group_count && strcmp(m->groups[at].name, name) < 0) at++;
  bool there = at < m->group_count && strcmp(m->groups[at].name, name) == 0;
  if (!there && m->group_count == MG_MAX_GROUPS) {
    m->ungrouped += mg_pairs_total(pairs);
    return MG_OK;
  }
  if (!there) {
    mg_group *grown = realloc(m->groups, (size_t)(m->group_count + 1) * sizeof *grown);
    if (grown == NULL) return mg_fail(e, MG_NOMEM, "no memory for a group of cases");
    m->groups = grown;
    memmove(&grown[at + 1], &grown[at], (size_t)(m->group_count - at) * sizeof *grown);
    grown[at] = (mg_group){.name = ""};
    (void)strncpy(grown[at].name, name, MG_GROUP_NAME);
    m->group_count++;
  }
  mg_pairs *p = &m->groups[at].pairs;
  p->both += pairs->both;
  p->base_only += pairs->base_only;
  p->cand_only += pairs->cand_only;
  p->neither += pairs->neither;
  return MG_OK;
}

/* The place of a key among the clusters, or where it would stand. */
static size_t cluster_place(const mg_measures *m, uint64_t key) {
  size_t low = 0, high = m->cluster_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (m->clusters[middle].key < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static mg_err clusters_reserve(mg_measures *m, size_t count, mg_error *e) {
  if (count <= m->cluster_cap) return MG_OK;
  size_t cap = m->cluster_cap == 0 ? 16 : m->cluster_cap;
  while (cap < count) cap *= 2;
  mg_cluster_count *grown = realloc(m->clusters, cap * sizeof *grown);
  if (grown == NULL) return mg_fail(e, MG_NOMEM, "no memory for %zu clusters", cap);
  m->clusters = grown;
  m->cluster_cap = cap;
  return MG_OK;
}

static void add_counts(mg_cluster *c, const mg_cluster *more) {
  c->base_only += more->base_only;
  c->cand_only += more->cand_only;
  c->n += more->n;
}

mg_err mg_measures_cluster(mg_measures *m, uint64_t key, const mg_cluster *counts, mg_error *e) {
  size_t at = cluster_place(m, key);
  if (at < m->cluster_count && m->clusters[at].key == key) {
    add_counts(&m->clusters[at].counts, counts);
    return MG_OK;
  }
  if (m->cluster_count == MG_MAX_CLUSTERS) {
    m->too_many_clusters = true;
    return MG_OK;
  }
  mg_err err = clusters_reserve(m, m->cluster_count + 1, e);
  if (err != MG_OK) return err;
  memmove(&m->clusters[at + 1], &m->clusters[at], (m->cluster_count - at) * sizeof *m->clusters);
  m->clusters[at] = (mg_cluster_count){key, *counts};
  m->cluster_count++;
  return MG_OK;
}

/* Two sorted lists into one, from their ends, in place. */
static mg_err merge_clusters(mg_measures *m, const mg_measures *more, mg_error *e) {
  size_t fresh = 0;
  for (size_t i = 0; i < more->cluster_count; i++) {
    size_t at = cluster_place(m, more->clusters[i].key);
    fresh += at == m->cluster_count || m->clusters[at].key != more->clusters[i].key;
  }
  m->too_many_clusters = m->too_many_clusters || more->too_many_clusters || m->cluster_count + fresh > MG_MAX_CLUSTERS;
  if (m->too_many_clusters) return MG_OK;
  mg_err err = clusters_reserve(m, m->cluster_count + fresh, e);
  if (err != MG_OK) return err;
  size_t i = m->cluster_count, k = more->cluster_count, to = m->cluster_count + fresh;
  m->cluster_count = to;
  while (k > 0) {
    const mg_cluster_count *b = &more->clusters[k - 1];
    if (i > 0 && m->clusters[i - 1].key == b->key) {
      add_counts(&m->clusters[i - 1].counts, &b->counts);
      k--;
    } else if (i > 0 && m->clusters[i - 1].key > b->key) {
      m->clusters[--to] = m->clusters[--i];
    } else {
      m->clusters[--to] = *b;
      k--;
    }
  }
  return MG_OK;
}

static mg_err merge_column(mg_column *c, const mg_column *more, bool rehash, uint64_t seed, uint64_t first, mg_error *e) {
  mg_err err = MG_OK;
  for (int r = 0; r < MG_ROLES && err == MG_OK; r++) err = mg_sketch_merge(&c->sketch[r], &more->sketch[r], e);
  for (size_t i = 0; i < more->kept_count && err == MG_OK; i++) {
    mg_kept_pair p = more->kept[i];
    if (rehash) p.at = mg_case_hash(seed, first + p.at);
    err = mg_column_keep(c, &p, e);
  }
  c->keeps = c->keeps || more->keeps;
  c->n += more->n;
  c->missing += more->missing;
  mg_sum_merge(&c->baseline, &more->baseline);
  mg_sum_merge(&c->candidate, &more->candidate);
  mg_sum_merge(&c->difference, &more->difference);
  mg_sum_merge(&c->squares, &more->squares);
  return err;
}

mg_err mg_measures_merge(mg_measures *m, const mg_measures *more, bool rehash, uint64_t seed, uint64_t first, mg_error *e) {
  mg_err err = MG_OK;
  for (int i = 0; i < m->count && i < more->count && err == MG_OK; i++) err = merge_column(&m->columns[i], &more->columns[i], rehash, seed, first, e);
  for (int i = 0; i < more->group_count && err == MG_OK; i++) err = mg_measures_group(m, more->groups[i].name, &more->groups[i].pairs, e);
  m->ungrouped += more->ungrouped;
  return err == MG_OK ? merge_clusters(m, more, e) : err;
}
