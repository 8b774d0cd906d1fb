/* timing.h - how long things took: counts in fixed buckets, for histograms. One owner. */
#ifndef MG_BASE_TIMING_H
#define MG_BASE_TIMING_H

#include <stdint.h>

#define MG_TIMING_BUCKETS 16

/* Upper ends of the buckets in seconds, ascending; what is above the last is in counts[MG_TIMING_BUCKETS]. */
extern const double mg_timing_bounds[MG_TIMING_BUCKETS];

typedef struct mg_timing {
  uint64_t counts[MG_TIMING_BUCKETS + 1];
  double sum_seconds;
} mg_timing;

/* times things that took that long each. */
void mg_timing_add(mg_timing *t, double seconds, uint64_t times);

#endif
