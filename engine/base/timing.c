#include "base/timing.h"

const double mg_timing_bounds[MG_TIMING_BUCKETS] = {1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600};

void mg_timing_add(mg_timing *t, double seconds, uint64_t times) {
  int i = 0;
  if (!(seconds >= 0)) return;
  while (i < MG_TIMING_BUCKETS && seconds > mg_timing_bounds[i]) i++;
  t->counts[i] += times;
  t->sum_seconds += seconds * (double)times;
}
