#include "execute/pool_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void take_values(mg_case_values *v, const mg_record *r, uint32_t index, uint32_t count) {
  int columns = (int)(r->text.len / sizeof(double));
  if (columns < 1 || columns > MG_MAX_COLUMNS) return;
  if (v->values == NULL) {
    size_t n = (size_t)count * MG_ROLES * (size_t)columns;
    v->values = malloc(n * sizeof *v->values);
    if (v->values == NULL) return;
    for (size_t i = 0; i < n; i++) v->values[i] = NAN;
    v->columns = columns;
  }
  if (columns != v->columns) return;
  v->keeps = (uint32_t)r->mask;
  memcpy(&v->values[((size_t)index * MG_ROLES + r->role) * (size_t)columns], r->text.data, r->text.len);
}

/* 1 + the place of a name; 0 where there is no room for one more. */
static uint8_t group_of(mg_case_values *v, mg_slice name) {
  size_t len = name.len <= MG_GROUP_NAME ? name.len : MG_GROUP_NAME;
  for (int i = 0; i < v->name_count; i++) {
    if (strlen(v->names[i]) == len && memcmp(v->names[i], name.data, len) == 0) return (uint8_t)(i + 1);
  }
  if (v->name_count > MG_MAX_GROUPS) return 0; /* one more than are counted, so that the coordinator sees that there are too many */
  if (v->names == NULL) v->names = calloc(MG_MAX_GROUPS + 1, sizeof *v->names);
  if (v->names == NULL) return 0;
  memcpy(v->names[v->name_count], name.data, len);
  return (uint8_t)++v->name_count;
}

static void take_place(mg_case_values *v, const mg_record *r, uint32_t index, uint32_t count) {
  if (r->has_cluster) {
    if (v->clusters == NULL) v->clusters = calloc(count, sizeof *v->clusters);
    if (v->clusters != NULL) v->clusters[index] = r->cluster;
  }
  if (r->text.len == 0) return;
  if (v->groups == NULL) v->groups = calloc(count, sizeof *v->groups);
  if (v->groups != NULL) v->groups[index] = group_of(v, r->text);
}

void mg_case_values_take(mg_case_values *v, const mg_record *r, uint32_t index, uint32_t count) {
  if (index >= count) return;
  if (r->kind == MG_RECORD_VALUES)
    take_values(v, r, index, count);
  else
    take_place(v, r, index, count);
}

static mg_pairs pair_of(mg_outcome baseline, mg_outcome candidate) {
  bool b = baseline == MG_PASS, c = candidate == MG_PASS;
  return (mg_pairs){.both = b && c, .base_only = b && !c, .cand_only = !b && c, .neither = !b && !c};
}

static mg_err add_case(mg_case_values *v, uint32_t i, mg_outcome baseline, mg_outcome candidate, mg_error *e) {
  mg_err err = MG_OK;
  mg_pairs p = pair_of(baseline, candidate);
  const double *values = v->values != NULL ? &v->values[(size_t)i * MG_ROLES * (size_t)v->columns] : NULL;
  for (int k = 0; k < v->columns && err == MG_OK; k++) {
    mg_column *c = &v->made->columns[k];
    c->keeps = (v->keeps >> k & 1) != 0;
    err = mg_column_add(c, baseline != MG_ABSENT, values[k], values[v->columns + k], i, e);
  }
  if (err == MG_OK && v->clusters != NULL) err = mg_measures_cluster(v->made, v->clusters[i], &(mg_cluster){p.base_only, p.cand_only, 1}, e);
  if (err == MG_OK && v->groups != NULL && v->groups[i] > 0) err = mg_measures_group(v->made, v->names[v->groups[i] - 1], &p, e);
  return err;
}

mg_measures *mg_case_values_make(mg_case_values *v, const uint8_t *outcomes, uint32_t done) {
  mg_error e;
  mg_measures_free(v->made);
  v->made = NULL;
  if (v->values == NULL && v->clusters == NULL && v->groups == NULL) return NULL;
  mg_err err = mg_measures_new(&v->made, v->columns, &e);
  for (uint32_t i = 0; i < done && err == MG_OK; i++) {
    mg_outcome baseline = (mg_outcome)(outcomes[i] & 15), candidate = (mg_outcome)(outcomes[i] >> 4);
    if (baseline != MG_DISCARD && candidate != MG_DISCARD) err = add_case(v, i, baseline, candidate, &e);
  }
  if (err != MG_OK) {
    mg_measures_free(v->made);
    v->made = NULL;
  }
  return v->made;
}

void mg_case_values_fini(mg_case_values *v) {
  free(v->values);
  free(v->clusters);
  free(v->groups);
  free(v->names);
  mg_measures_free(v->made);
  memset(v, 0, sizeof *v);
}
