#include "script/value_order.h"

#include <stdlib.h>
#include <string.h>

static int key_rank(const mg_cell *c) {
  return c->kind == MG_CELL_STRING ? 2 : c->kind == MG_CELL_INT || c->kind == MG_CELL_FLOAT ? 1 : 0;
}

static int compare_keys(const void *a, const void *b) {
  const mg_cell *x = *(const mg_cell *const *)a, *y = *(const mg_cell *const *)b;
  int rx = key_rank(x), ry = key_rank(y);
  if (rx != ry) return rx < ry ? -1 : 1;
  if (rx == 2) {
    int c = memcmp(x->u.text, y->u.text, x->length < y->length ? x->length : y->length);
    return c != 0 ? c : x->length < y->length ? -1 : x->length > y->length ? 1 : 0;
  }
  if (rx == 1) {
    if (x->kind == MG_CELL_INT && y->kind == MG_CELL_INT) return x->u.integer < y->u.integer ? -1 : x->u.integer > y->u.integer;
    double u = x->kind == MG_CELL_INT ? (double)x->u.integer : x->u.number;
    double v = y->kind == MG_CELL_INT ? (double)y->u.integer : y->u.number;
    return u < v ? -1 : u > v ? 1 : 0;
  }
  return (x->kind == MG_CELL_TRUE) - (y->kind == MG_CELL_TRUE);
}

const mg_cell **mg_cells_sorted(const mg_cell *c) {
  const mg_cell **keys = malloc((c->count > 0 ? c->count : 1) * sizeof *keys);
  if (keys == NULL) return NULL;
  const mg_cell *k = c + 1;
  for (uint32_t i = 0; i < c->count; i++) {
    keys[i] = k;
    k = mg_cell_next(mg_cell_next(k));
  }
  qsort(keys, c->count, sizeof *keys, compare_keys);
  return keys;
}
