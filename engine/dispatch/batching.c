#include "dispatch/batching.h"

#include <math.h>

/* One answer may change the batch by this factor at most: the first ones are measured on cold caches. */
#define LARGEST_STEP 4.0
#define SMOOTHING 0.3
/* Tasks that are kept short: so many of them may stand for the one that was wanted. */
#define LARGEST_REACH 64.0
/* A task is never cut below so much work: the executors' ends would differ by less than a message takes. */
#define LEAST_SECONDS 0.01

static uint32_t bounded(const mg_batching *b, double cases) {
  if (!(cases > b->least)) return b->least; /* NaN too */
  return cases >= b->most ? b->most : (uint32_t)cases;
}

static uint32_t at_most(int64_t value, uint32_t most) { return value < 1 ? 1 : value > (int64_t)most ? most : (uint32_t)value; }

void mg_batching_init(mg_batching *b, const mg_options *options, uint32_t hard_most) {
  *b = (mg_batching){.adaptive = mg_options_bool(options, "adaptive_batching", true), .inflight_factor = mg_options_real(options, "inflight_factor", 2)};
  b->most = at_most(mg_options_int(options, "max_batch_size", 1000), hard_most);
  b->least = at_most(mg_options_int(options, "min_batch_size", 1), b->most);
  b->initial = at_most(mg_options_int(options, "initial_batch_size", 10), b->most);
  if (mg_options_has(options, "batch_size")) {
    b->adaptive = false;
    b->initial = at_most(mg_options_int(options, "batch_size", 1), hard_most);
  } else if (b->initial < b->least) {
    b->initial = b->least;
  }
  if (b->inflight_factor < 1) b->inflight_factor = 1;
  b->batch = b->initial;
}

static void smooth(double *value, double sample) { *value = *value == 0 ? sample : (1 - SMOOTHING) * *value + SMOOTHING * sample; }

void mg_batching_observe(mg_batching *b, uint32_t count, double busy_seconds, double elapsed_seconds) {
  if (count == 0) return;
  if (busy_seconds > 0) smooth(&b->case_seconds, busy_seconds / count);
  if (elapsed_seconds > busy_seconds) smooth(&b->round_trip_seconds, elapsed_seconds - busy_seconds);
  if (b->case_seconds <= 0) return;
  double wanted = MG_BATCH_AIM_SECONDS / b->case_seconds;
  if (b->adaptive) {
    double low = b->batch / LARGEST_STEP, high = b->batch * LARGEST_STEP;
    b->batch = bounded(b, wanted < low ? low : wanted > high ? high : wanted);
  }
  /* Short tasks, whether by max_batch_size, batch_size or the user's policy: more of them may be out, or each would wait for the one before it. */
  bool held_down = !b->adaptive || b->batch == b->most;
  b->reach = held_down ? (uint64_t)fmin(fmax(wanted, b->batch), LARGEST_REACH * b->batch) : b->batch;
}

void mg_batching_set(mg_batching *b, uint32_t batch) {
  uint32_t before = b->batch;
  b->adaptive = false;
  b->batch = batch > b->most ? b->most : batch < 1 ? 1 : batch;
  if (b->batch != before) b->reach = 0;
}

uint32_t mg_batching_next(const mg_batching *b, uint64_t remaining, uint32_t executors) {
  uint64_t n = b->batch;
  if (b->adaptive && executors > 0) {
    uint64_t share = (remaining + 2 * (uint64_t)executors - 1) / (2 * (uint64_t)executors);
    uint64_t floor = b->case_seconds > 0 ? (uint64_t)fmin(LEAST_SECONDS / b->case_seconds, b->most) : 0;
    if (floor < b->least) floor = b->least;
    if (share < floor) share = floor;
    if (n > share) n = share;
  }
  if (n > remaining) n = remaining;
  return (uint32_t)(n < 1 ? 1 : n);
}

uint64_t mg_batching_limit(const mg_batching *b, uint32_t executors) {
  double each = (double)(b->reach > b->batch ? b->reach : b->batch);
  double at_work = ceil(b->inflight_factor * (double)executors * each);
  double wake = ceil(b->inflight_factor * (double)b->initial);
  return (uint64_t)(at_work > wake ? at_work : wake);
}
