#include "judge/run.h"

uint64_t mg_run_pending_tasks(const mg_run_state *s) {
  uint64_t batch = s->batch > 0 ? s->batch : 1;
  return s->outstanding_tasks - s->held_tasks + (s->unsent_cases + batch - 1) / batch;
}

uint64_t mg_run_inflight_cases(const mg_run_state *s) {
  return s->outstanding_tasks > 0 ? s->outstanding_cases * s->held_tasks / s->outstanding_tasks : 0;
}
