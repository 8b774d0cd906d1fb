/* batching.h - how many cases a task holds and how many may be out. Pure; one owner.
 *
 * A task shall take 250 ms of an executor. Towards the end tasks shrink (guided self-scheduling), so that the executors finish together. */
#ifndef MG_DISPATCH_BATCHING_H
#define MG_DISPATCH_BATCHING_H

#include "base/options.h"

#define MG_BATCH_AIM_SECONDS 0.25

typedef struct mg_batching {
  bool adaptive;
  uint32_t initial, least, most;
  double inflight_factor;
  uint32_t batch;            /* cases of a task in mid-run */
  uint64_t reach;            /* cases of the aim's length, bounded, where the batch is held below it; else batch */
  double case_seconds;       /* executor time of a case, smoothed; 0: nothing known yet */
  double round_trip_seconds; /* publishing to result, less the executor's time, smoothed */
} mg_batching;

/* hard_most bounds max_batch_size (MG_TASK_CASES). */
void mg_batching_init(mg_batching *b, const mg_options *options, uint32_t hard_most);
/* A task of count cases took busy_seconds of an executor (0: not measured) and came back elapsed_seconds after it was published. Adjusts batch. */
void mg_batching_observe(mg_batching *b, uint32_t count, double busy_seconds, double elapsed_seconds);
/* What a policy of the user's said; bounded like our own. */
void mg_batching_set(mg_batching *b, uint32_t batch);
/* Cases of the next task when `remaining` are not yet cut and so many executors are at work. At least 1, at most remaining. */
uint32_t mg_batching_next(const mg_batching *b, uint64_t remaining, uint32_t executors);
/* Cases that may be out at once. */
uint64_t mg_batching_limit(const mg_batching *b, uint32_t executors);

#endif
