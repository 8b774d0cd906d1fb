/* sketch.h - DDSketch: quantiles of a stream with a bounded relative error, in little memory, merging exactly.
 *
 * Masson, Rim & Lee (2019), VLDB 12(12). A value x > 0 falls into bin i = ceil(log_g x), g = (1+e)/(1-e), and is given
 * back as 2 g^i/(g+1), at most the share e away; negative values have bins of their own, zero is counted. Bins are never
 * collapsed, so two sketches merged in any order hold the same counts and give the same answers to the last bit. Memory:
 * 8 bytes for every bin between the least and the greatest (latencies from 1 us to 1 h at e = .01: 9 kB).
 * Owns its heap memory; one thread at a time. */
#ifndef MG_JUDGE_SKETCH_H
#define MG_JUDGE_SKETCH_H

#include "base/err.h"

#include <stdint.h>

typedef struct mg_sketch_bins {
  int64_t first;    /* index of counts[0] */
  uint64_t *counts; /* NULL where size is 0 */
  int64_t size;
} mg_sketch_bins;

typedef struct mg_sketch {
  double error, log_gamma;
  mg_sketch_bins positive, negative;
  uint64_t zeros, count;
  double least, greatest; /* exact; INFINITY and -INFINITY where empty */
} mg_sketch;

/* error in [.001, .25]; MG_ARG otherwise. Allocates nothing yet. */
mg_err mg_sketch_init(mg_sketch *s, double error, mg_error *e);
void mg_sketch_fini(mg_sketch *s);

/* The bin of a value above 0, and the value a bin stands for. Magnitudes below 1e-300 count as zero. */
int64_t mg_sketch_index(const mg_sketch *s, double value);
double mg_sketch_value(const mg_sketch *s, int64_t index);

/* MG_ARG for a value that is not finite, MG_NOMEM; the sketch is unchanged then. */
mg_err mg_sketch_add(mg_sketch *s, double value, mg_error *e);
/* MG_ARG where the errors differ. After MG_NOMEM s is unchanged. */
mg_err mg_sketch_merge(mg_sketch *s, const mg_sketch *more, mg_error *e);

/* The q-quantile, rank ceil(q n), between least and greatest; NAN where empty or q is outside [0, 1]. */
double mg_sketch_quantile(const mg_sketch *s, double q);

/* For sending: calls each for every bin that holds something, in order of value. sign is -1, 0 (zeros, index 0) or 1. */
typedef void (*mg_sketch_visitor)(int sign, int64_t index, uint64_t count, void *context);
void mg_sketch_each(const mg_sketch *s, mg_sketch_visitor each, void *context);
/* For receiving: adds a bin as sent, then its extremes. MG_ARG for a bin that no finite value falls into. */
mg_err mg_sketch_add_bin(mg_sketch *s, int sign, int64_t index, uint64_t count, mg_error *e);
void mg_sketch_add_extremes(mg_sketch *s, double least, double greatest);

#endif
