/* Spans of what this worker does with a task: wait until an executor takes it, execute, settle with the broker. */
#include "execute/worker_internal.h"

#include "base/hash.h"
#include "observe/trace.h"

#include <string.h>

const char *mg_worker_trace_id(const mg_kept *k, char out[MG_TRACE_TEXT_BYTES]) {
  if (!mg_trace_is_set(k->trace)) return NULL;
  mg_hex(k->trace, sizeof k->trace, out);
  return out;
}

void mg_worker_trace_taken(mg_kept *k, const mg_task *t) {
  if (!mg_trace_is_set(t->trace)) return;
  memcpy(k->trace, t->trace, sizeof k->trace);
  k->taken_ns = mg_now_ns();
}

static void add(mg_worker *w, const mg_kept *k, const char *name, mg_span_kind kind, int64_t begin_ns, int64_t end_ns, uint32_t cases, const char *error) {
  mg_trace_add(w->config.trace, &(mg_span){.name = name,
                                           .kind = kind,
                                           .trace = k->trace,
                                           .parent = mg_span_of_task(k->trace, k->id),
                                           .begin_ns = begin_ns,
                                           .end_ns = end_ns,
                                           .error = error,
                                           .fields = (const mg_log_field[]){MG_LT("mguard.run_id", k->run), MG_LT("mguard.task_id", k->id),
                                                                            MG_LI("mguard.attempt", k->attempt), MG_LT("mguard.worker_id", w->name),
                                                                            MG_LI("mguard.cases", cases)},
                                           .field_count = 5});
}

/* The executor says how long it was busy, not when it began; small tasks reach it several at a time. */
void mg_worker_trace_finished(mg_worker *w, mg_kept *k, const mg_result *r) {
  if (k->taken_ns == 0) return;
  k->finished_ns = mg_now_ns();
  int64_t began_ns = k->finished_ns - (int64_t)r->busy_ns;
  if (began_ns < k->taken_ns) began_ns = k->taken_ns;
  add(w, k, "wait", MG_SPAN_INTERNAL, k->taken_ns, began_ns, r->count, NULL);
  add(w, k, "execute", MG_SPAN_CONSUMER, began_ns, k->finished_ns, r->count, r->fault.len > 0 ? "the checks are at fault" : NULL);
}

void mg_worker_trace_settled(mg_worker *w, const mg_kept *k, mg_err err) {
  if (k->finished_ns == 0) return;
  /* Its result is out. Where the run was over by that, or another worker had it too, the broker does not know the task any more, and nothing is wrong. */
  add(w, k, "settle", MG_SPAN_CLIENT, k->finished_ns, mg_now_ns(), 0, err == MG_OK || err == MG_LOST ? NULL : mg_err_name(err));
}
