/* intervals.c - what the statistics cost at ten million cases. Prints two numbers: ms for all intervals from counts together, us for one any-time look.
 * bench/run compiles it against build/libmguard.a. */
#define _POSIX_C_SOURCE 200809L
#include "judge/stats/bayes.h"
#include "judge/stats/relative.h"
#include "judge/stop.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static double now_ms(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static volatile double sink;
static void keep(mg_interval i) { sink = i.low + i.high; }

int main(void) {
  /* 1 % of the pairs differ: the bootstraps' cost grows with the root of that, the others' does not. */
  const mg_pairs p = {.both = 9000000, .base_only = 52000, .cand_only = 48000, .neither = 900000};
  const mg_two_rates r = {9052000, 10000000, 9048000, 10000000};
  mg_interval i;
  double start = now_ms();
  keep(mg_tango(&p, .95));
  keep(mg_newcombe_paired(&p, .95));
  keep((mg_bootstrap(&p, .95, &i), i));
  keep((mg_bootstrap_bca(&p, .95, &i, NULL, NULL), i));
  keep(mg_bayes_paired(&p, .95));
  keep(mg_wilson(r.passes1, r.n1, .95));
  keep(mg_clopper_pearson(r.passes1, r.n1, .95));
  keep(mg_newcombe_unpaired(&r, .95));
  keep(mg_agresti_caffo(&r, .95));
  keep(mg_bayes_unpaired(r.passes1, r.n1, r.passes2, r.n2, .95));
  keep(mg_katz(&r, .95));
  keep(mg_koopman(&r, .95));
  keep(mg_tang(&p, .95));
  double all = now_ms() - start;

  const int looks = 1000;
  const mg_stop_plan plan = {.kind = MG_STOP_ANYTIME, .max = 10000000, .alpha = .05, .low = -.01, .high = INFINITY};
  mg_stop stop;
  if (mg_stop_init(&stop, &plan, NULL) != MG_OK) return 1;
  start = now_ms();
  for (int k = 0; k < looks; k++) {
    mg_pairs grown = p;
    grown.both += (uint64_t)k;
    keep(mg_stop_look(&stop, plan.max, &grown).interval);
  }
  double look = (now_ms() - start) / looks * 1e3;
  (void)printf("%.3f %.3f\n", all, look);
  return 0;
}
