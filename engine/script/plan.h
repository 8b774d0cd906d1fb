/* plan.h - a plan as plain data: what the coordinator needs to know without Lua. Filled by mg_plan_load (script/plan.c). Main thread. */
#ifndef MG_SCRIPT_PLAN_H
#define MG_SCRIPT_PLAN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/options.h"
#include "judge/goal.h"
#include "judge/run.h"
#include "judge/tally.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mg_webhook_plan { /* who is told of alerts and of the verdict */
  const char *url, *secret; /* secret NULL: posts are not signed */
  bool slack, on_verdict, on_alert;
  double timeout_s; /* of one try */
  int tries;
} mg_webhook_plan;

#define MG_MAX_WEBHOOKS 8

/* Owned by the mg_plan: every text. */
typedef struct mg_plan {
  bool is_plan; /* false: a checks file, only clauses and implementations are set */
  const char *path, *dir, *name;
  const char *baseline; /* NULL where there is none */
  const char *candidate;
  const char *baseline_given, *candidate_given; /* as the command line named them, a file perhaps; NULL: the plan's own */
  const char *inputs; /* JSON-lines file; NULL: generated */
  uint64_t cases;     /* of a file: its lines, counted */
  int64_t seed;
  mg_clause clauses[MG_MAX_CLAUSES + 1];
  int clause_count; /* with completes */
  uint32_t default_timeout_ms, default_memory_mb; /* for tasks of plans that set none; of checks too */
  uint32_t case_timeout_ms, memory_mb, violation_cap;
  bool timeout_given, memory_given; /* false: nobody set it, and a worker's own default counts */
  int workers; /* executors on this machine; 0: one a core */
  bool fail_fast;
  double max_discard;
  mg_goal goal;
  mg_cover_want cover[MG_MAX_LABELS]; /* by label */
  int cover_count;
  uint32_t flaky_reruns; /* 0: no sample is run again but the one of every run */
  double flaky_sample, flaky_limit;
  uint8_t measure;       /* MG_MEASURE_* of each task */
  int columns;           /* of a result's measures */
  mg_view views[MG_MAX_COLUMNS];
  int view_count;
  bool clustered, grouped;
  double fairness_limit; /* NAN: none */
  bool corrects; /* the relations' p values, by `correction` */
  mg_correction correction;
  mg_stop stop; /* plan.kind MG_STOP_FIXED (zeroed): at the end alone */
  const char *report_json;
  mg_webhook_plan webhooks[MG_MAX_WEBHOOKS]; /* once mg_plan_webhooks was called */
  int webhook_count;
  mg_options *queue;
  bool has_batching;
  bool hedge; /* false where an implementation is paid or says hedge = false */
  uint8_t fingerprint[32];
  const char *parts; /* what it is made of: label, tab, hash, a line each */
  struct mg_script *script; /* the plan's lua_State */
} mg_plan;

/* What `batching(s)` in Lua is given. */
typedef struct mg_batching_view {
  uint64_t remaining, outstanding;
  uint32_t executors, batch;
  double case_seconds, round_trip_seconds;
} mg_batching_view;

/* overrides: MessagePack map of the command line's settings, or empty. MG_ARG with file and line in e. */
mg_err mg_plan_load(mg_plan **out, const char *path, const void *overrides, size_t overrides_len, mg_error *e);
/* The queue of --backend and --queue-config alone (either may be NULL), for commands that need no plan. Free with mg_options_free. */
mg_err mg_queue_load(mg_options **out, const char *backend, const char *source, mg_error *e);
void mg_plan_free(mg_plan *p);
/* Fills the webhooks of the plan and of --webhook (url, format: NULL where absent), with what they take from the environment: only the side that tells them
 * needs that. MG_ARG with file and line, or the flag. */
mg_err mg_plan_webhooks(mg_plan *p, const char *url, const char *format, mg_error *e);
/* Calls the plan's batching function; MG_ARG with file and line where it raises or returns no whole number >= 1. */
mg_err mg_plan_batching(mg_plan *p, const mg_batching_view *view, uint32_t *batch, mg_error *e);
/* Appends the arguments of one line of the inputs file, as a MessagePack array; MG_ARG where the line is no JSON array. */
mg_err mg_plan_input(mg_plan *p, const char *line, size_t len, mg_buf *args, mg_error *e);

#endif
