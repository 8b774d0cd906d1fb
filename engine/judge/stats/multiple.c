#include "judge/stats/multiple.h"

#include <math.h>
#include <stdlib.h>

static int by_pointed_value(const void *a, const void *b) {
  const double *x = *(const double *const *)a, *y = *(const double *const *)b;
  if (*x != *y) return *x < *y ? -1 : 1;
  return (x > y) - (x < y);
}

mg_err mg_adjust(mg_correction how, const double *p, double *adjusted, size_t count, mg_error *e) {
  if (count == 0) return MG_OK;
  for (size_t i = 0; i < count; i++)
    if (!(p[i] >= 0 && p[i] <= 1)) return mg_fail(e, MG_ARG, "p value %zu is %g, it must be in [0, 1]", i + 1, p[i]);
  const double **order = malloc(count * sizeof *order);
  if (!order) return mg_fail(e, MG_NOMEM, "no memory to order %zu p values", count);
  double m = (double)count, harmonic = 0, reached;
  for (size_t i = 0; i < count; i++) {
    order[i] = &p[i];
    harmonic += 1 / (double)(i + 1);
  }
  qsort(order, count, sizeof *order, by_pointed_value);
  /* Each p is read just before its own place is written, so p and adjusted may be one array. */
  if (how == MG_HOLM) {
    reached = 0;
    for (size_t i = 0; i < count; i++) {
      reached = fmax(reached, fmin(1, (m - (double)i) * *order[i]));
      adjusted[order[i] - p] = reached;
    }
  } else {
    reached = 1;
    for (size_t i = count; i-- > 0;) {
      double rank = (double)(i + 1), factor = how == MG_HOCHBERG ? m - rank + 1 : m / rank;
      if (how == MG_BY) factor *= harmonic;
      reached = fmin(reached, factor * *order[i]);
      adjusted[order[i] - p] = reached;
    }
  }
  free(order);
  return MG_OK;
}
