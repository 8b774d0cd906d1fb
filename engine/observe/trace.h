/* trace.h - spans of a run, its tasks and what workers do with them, sent to an OpenTelemetry collector: OTLP over HTTP, as JSON. Owner: the loop's thread.
 *
 * One trace a run. A task that is traced carries the trace's id; its span's id follows from that and the task's id, so that coordinator and workers name
 * the same parent without a word between them:
 *   run > task > publish (coordinator), wait, execute, settle (the worker that held it, once for each attempt)
 * The run's span is always sent; of the tasks a share, and never more than MG_TRACED_TASKS_PER_S. Spans are gathered and posted by a thread of their own; what
 * finds no room is dropped and counted, so that a dead or slow collector costs nothing but its spans. */
#ifndef MG_OBSERVE_TRACE_H
#define MG_OBSERVE_TRACE_H

#include "base/log.h"
#include "observe/outbox.h"

enum { MG_TRACE_BYTES = 16, MG_TRACED_TASKS_PER_S = 100, MG_TRACE_END_MS = 2000 /* longest wait for the collector at the end */ };

typedef struct mg_trace mg_trace;

/* What the environment and the command line ask for (trace_settings.c). Owns its texts. */
typedef struct mg_trace_settings {
  bool wanted;
  char *url;            /* with its path */
  char **headers;       /* "Name: value", ends with NULL */
  char *service;        /* service.name */
  char **attributes;    /* more of the resource: key, value, key, value, NULL */
  char *ca_file, *client_certificate, *client_key;
  mg_ms timeout_ms, delay_ms; /* of one export; longest time a span waits for others */
  size_t batch, queue;        /* spans of one export; that wait */
  double share;               /* of the tasks; < 0: nothing at all is traced */
  bool has_parent;            /* TRACEPARENT: this run is part of a larger trace */
  uint8_t trace[MG_TRACE_BYTES];
  uint64_t parent;
  char ignored[200]; /* what was asked for and cannot be had; "" */
} mg_trace_settings;

/* endpoint: --otlp-endpoint, share: --trace-share; NULL: the OTEL_ variables say it. MG_ARG names the flag or the variable that is wrong. */
mg_err mg_trace_settings_read(mg_trace_settings *out, const char *endpoint, const char *share, mg_error *e);
void mg_trace_settings_fini(mg_trace_settings *s);

/* side: "coordinator" or "worker"; instance: the run's id or the worker's name. */
mg_err mg_trace_start(mg_trace **out, const mg_trace_settings *s, const char *side, const char *instance, mg_error *e);
/* Sends what stands; returns within MG_TRACE_END_MS and a little. counts: of posts; NULL. t NULL is fine, here and below. */
void mg_trace_stop(mg_trace *t, mg_outbox_counts *counts);
/* Spans that were dropped so far because the collector was too slow or not there. */
uint64_t mg_trace_dropped(const mg_trace *t);

/* The run's trace: the id that its tasks carry. */
const uint8_t *mg_trace_id(const mg_trace *t);
/* Is one more task to be traced? */
bool mg_trace_samples(mg_trace *t);
/* Call now and then (ten times a second): spans that have waited long enough go out. */
void mg_trace_tick(mg_trace *t);

typedef enum mg_span_kind { MG_SPAN_INTERNAL = 1, MG_SPAN_CLIENT = 3, MG_SPAN_PRODUCER = 4, MG_SPAN_CONSUMER = 5 } mg_span_kind; /* OTLP's numbers */

typedef struct mg_span { /* texts are borrowed during the call */
  const char *name;
  mg_span_kind kind;
  const uint8_t *trace; /* MG_TRACE_BYTES */
  uint64_t id, parent;  /* id 0: one is made up; parent 0: none */
  int64_t begin_ns, end_ns; /* mg_now_ns */
  const char *error;    /* NULL: it went well */
  const mg_log_field *fields;
  size_t field_count;
} mg_span;
void mg_trace_add(mg_trace *t, const mg_span *s);

/* The span of a task, by the trace it carries and its id. */
uint64_t mg_span_of_task(const uint8_t trace[MG_TRACE_BYTES], const char *task);
/* Of the run itself. */
uint64_t mg_span_of_run(const mg_trace *t);
uint64_t mg_span_above_run(const mg_trace *t); /* 0: none */
bool mg_trace_is_set(const uint8_t trace[MG_TRACE_BYTES]); /* all zero: the task is not traced */

#endif
