/* Spans of the tasks that are traced, for whoever sends them on. */
#include "dispatch/coordinator_internal.h"

void mg_coord_trace_begin(mg_coordinator *c, mg_entry_out *e) {
  if (c->config.trace_task == NULL) return;
  bool first = e->first_ms == 0 && e->attempt == 1; /* pieces and copies are seen through what they came from */
  if (e->traced_ns == 0 && !(first && c->config.trace_task(c->config.owner))) return;
  e->published_ns = mg_now_ns();
  if (e->traced_ns == 0) e->traced_ns = e->published_ns;
}

static void tell(mg_coordinator *c, const mg_entry_out *e, mg_task_span *s) {
  char id[MG_TASK_MAX + 1];
  mg_task_id_make(id, e->epoch, e->seq);
  s->id = id;
  s->first = e->list != NULL && e->count > 0 ? e->list[0] : e->first;
  s->count = e->count;
  s->attempt = e->attempt;
  s->end_ns = mg_now_ns();
  c->config.traced(c->config.owner, s);
}

void mg_coord_trace_published(mg_coordinator *c, const mg_entry_out *e, const char *error) {
  if (e->traced_ns == 0) return;
  mg_task_span s = {.publishing = true, .begin_ns = e->published_ns, .error = error};
  tell(c, e, &s);
}

void mg_coord_trace_end(mg_coordinator *c, mg_entry_out *e, const char *worker, const char *error) {
  if (e->traced_ns == 0) return;
  mg_task_span s = {.begin_ns = e->traced_ns, .worker = worker, .error = error};
  tell(c, e, &s);
  e->traced_ns = 0;
}

void mg_coord_trace_over(mg_coordinator *c) {
  for (mg_entry_out *e = c->ledger.oldest; e != NULL; e = e->next) mg_coord_trace_end(c, e, NULL, "the run ended first");
}
