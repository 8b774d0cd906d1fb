#include "cli/telling.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/ident.h"
#include "observe/live.h"
#include "observe/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mg_telling {
  const mg_plan *plan;
  char run[MG_RUN_ID_BYTES];
  mg_trace *trace;
  mg_webhooks *webhooks;
  mg_live *live;
  int64_t begun_ns;
};

/* ---- traces ---- */

mg_err mg_telling_trace_start(mg_trace **out, const mg_args *a, const mg_command *command, const char *side, const char *instance, mg_error *e) {
  mg_trace_settings s;
  *out = NULL;
  mg_err err = mg_trace_settings_read(&s, mg_args_get(a, command, "otlp-endpoint"), mg_args_get(a, command, "trace-share"), e);
  if (err == MG_OK && s.ignored[0] != '\0') mg_log(MG_LOG_WARN, "trace_setting_ignored", MG_NO_FIELDS, "%s", s.ignored);
  if (err == MG_OK) err = mg_trace_start(out, &s, side, instance, e);
  mg_trace_settings_fini(&s);
  return err;
}

void mg_telling_trace_stop(mg_trace *t) {
  mg_outbox_counts counts = {0};
  uint64_t dropped = mg_trace_dropped(t);
  mg_trace_stop(t, &counts);
  if (counts.failed + counts.dropped + dropped == 0) return;
  mg_log(MG_LOG_WARN, "traces_lost", MG_FIELDS(MG_LI("posts", counts.failed + counts.dropped), MG_LT("reason", counts.last_error)),
         "%llu posts of spans did not reach the collector: %s", (unsigned long long)(counts.failed + counts.dropped),
         counts.last_error[0] != '\0' ? counts.last_error : "it was too slow");
}

struct mg_trace *mg_telling_trace(const mg_telling *t) {
  return t != NULL ? t->trace : NULL;
}

bool mg_telling_traces_task(mg_telling *t) { return t != NULL && mg_trace_samples(t->trace); }

void mg_telling_traced(mg_telling *t, const mg_task_span *s) {
  uint64_t task = mg_span_of_task(mg_trace_id(t->trace), s->id);
  mg_trace_add(t->trace, &(mg_span){.name = s->publishing ? "publish" : "task",
                                    .kind = s->publishing ? MG_SPAN_PRODUCER : MG_SPAN_INTERNAL,
                                    .trace = mg_trace_id(t->trace),
                                    .id = s->publishing ? 0 : task,
                                    .parent = s->publishing ? task : mg_span_of_run(t->trace),
                                    .begin_ns = s->begin_ns,
                                    .end_ns = s->end_ns,
                                    .error = s->error,
                                    .fields = (const mg_log_field[]){MG_LT("mguard.run_id", t->run), MG_LT("mguard.task_id", s->id),
                                                                     MG_LI("mguard.attempt", s->attempt), MG_LI("mguard.cases", s->count),
                                                                     MG_LI("mguard.first_case", s->first), MG_LT("mguard.worker_id", s->worker)},
                                    .field_count = 6});
}

static void trace_run(mg_telling *t, const mg_report *r, const char *failed) {
  mg_trace_add(t->trace, &(mg_span){.name = "run",
                                    .kind = MG_SPAN_INTERNAL,
                                    .trace = mg_trace_id(t->trace),
                                    .id = mg_span_of_run(t->trace),
                                    .parent = mg_span_above_run(t->trace),
                                    .begin_ns = t->begun_ns,
                                    .end_ns = mg_now_ns(),
                                    .error = failed,
                                    .fields = (const mg_log_field[]){MG_LT("mguard.run_id", t->run), MG_LT("mguard.plan", t->plan->name),
                                                                     MG_LT("mguard.baseline", t->plan->baseline), MG_LT("mguard.candidate", t->plan->candidate),
                                                                     MG_LI("mguard.seed", t->plan->seed), MG_LI("mguard.planned", t->plan->cases),
                                                                     MG_LT("mguard.verdict", r != NULL ? mg_verdict_name(r->judgement->verdict) : NULL),
                                                                     MG_LI("mguard.counted", r != NULL ? r->state->counted : 0)},
                                    .field_count = 8});
}

/* ---- alerts ---- */

/* Events somebody may have to do something about. */
static bool is_alert(const char *event) {
  static const char *const alerts[] = {"worker_lost", "worker_refused", "task_dead_lettered", "cases_lost",   "dead_letter_failed",
                                       "broker_lost", "global_timeout", "flaky_repeat",       "monitor_alert"};
  for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
    if (strcmp(alerts[i], event) == 0) return true;
  }
  return false;
}

void mg_telling_event(mg_telling *t, const mg_coordinator_event *ev) {
  if (t == NULL || ev->routine) return;
  mg_live_say(t->live, ev->level, ev->event, ev->text);
  if (is_alert(ev->event)) mg_webhooks_alert(t->webhooks, ev->event, ev->level, ev->text, ev->fields, ev->field_count);
}

/* ---- the live page ---- */

/* Nobody but this machine reaches the address. */
static bool is_here(const char *host) {
  return host == NULL || host[0] == '\0' || strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

/* Of the environment; else one is made where others than this machine can ask. "": none. */
static mg_err live_token(const char *host, char *out, size_t cap, mg_error *e) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  const char *given = getenv("MGUARD_LIVE_TOKEN");
  out[0] = '\0';
  if (given != NULL && given[0] != '\0') {
    if (given[strspn(given, allowed)] != '\0' || strlen(given) >= cap)
      return mg_fail(e, MG_ARG, "MGUARD_LIVE_TOKEN must be 1 to %zu letters, digits, and -._~, since it stands in a URL", cap - 1);
    (void)snprintf(out, cap, "%s", given);
  } else if (!is_here(host)) {
    uint8_t bytes[16];
    mg_random_bytes(bytes, sizeof bytes);
    mg_hex(bytes, sizeof bytes, out);
  }
  return MG_OK;
}

static mg_err start_live(mg_telling *t, const mg_args *a, const mg_command *command, const char *backend, mg_error *e) {
  const char *host = mg_args_get(a, command, "live-host");
  int port;
  mg_err err = mg_args_port(a, command, "live-port", (const char *const[]){"live-host", NULL}, &port, e);
  if (err != MG_OK || port < 0) return err;
  char token[129];
  err = live_token(host, token, sizeof token, e);
  if (err != MG_OK) return err;
  mg_live_config config = {.host = host, .port = port, .token = token[0] != '\0' ? token : NULL, .plan = t->plan, .run = t->run, .backend = backend};
  err = mg_live_start(&t->live, &config, e);
  if (err != MG_OK) return err;
  port = mg_live_port(t->live);
  mg_log(MG_LOG_INFO, "live_listening", MG_FIELDS(MG_LT("host", host != NULL ? host : "127.0.0.1"), MG_LI("port", port)), "live page on port %d", port);
  /* The log has no secrets: where a token was made for this run, it stands here alone. */
  bool made = token[0] != '\0' && (getenv("MGUARD_LIVE_TOKEN") == NULL || getenv("MGUARD_LIVE_TOKEN")[0] == '\0');
  if (made || mg_args_get(a, command, "quiet") == NULL) {
    (void)fprintf(stderr, "live: http://%s:%d/%s%s\n", host == NULL || host[0] == '\0' || strcmp(host, "*") == 0 ? "127.0.0.1" : host, port,
                  made ? "?token=" : "", made ? token : "");
  }
  return MG_OK;
}

/* ---- all of it ---- */

mg_err mg_telling_start(mg_telling **out, const mg_args *a, const mg_command *command, mg_plan *plan, const char *run, const char *backend, mg_error *e) {
  *out = NULL;
  mg_telling *t = calloc(1, sizeof *t);
  if (t == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  t->plan = plan;
  t->begun_ns = mg_now_ns();
  (void)snprintf(t->run, sizeof t->run, "%s", run);
  mg_err err = mg_telling_trace_start(&t->trace, a, command, "coordinator", run, e);
  if (err == MG_OK) err = mg_plan_webhooks(plan, mg_args_get(a, command, "webhook"), mg_args_get(a, command, "webhook-format"), e);
  if (err == MG_OK) err = mg_webhooks_start(&t->webhooks, plan->webhooks, plan->webhook_count, run, plan->name != NULL ? plan->name : plan->path, e);
  if (err == MG_OK) err = start_live(t, a, command, backend, e);
  if (err == MG_OK)
    *out = t;
  else
    mg_telling_stop(t);
  return err;
}

void mg_telling_tick(mg_telling *t, const mg_run_state *s) {
  if (t == NULL) return;
  mg_trace_tick(t->trace);
  mg_live_update(t->live, s);
}

void mg_telling_over(mg_telling *t, const mg_report *report, const char *failed) {
  if (t == NULL) return;
  trace_run(t, report, failed);
  if (report != NULL || failed != NULL) mg_live_over(t->live, report, failed);
  if (report != NULL)
    mg_webhooks_verdict(t->webhooks, report);
  else if (failed != NULL)
    mg_webhooks_failure(t->webhooks, failed);
}

void mg_telling_stop(mg_telling *t) {
  if (t == NULL) return;
  mg_telling_trace_stop(t->trace);
  mg_webhooks_stop(t->webhooks);
  mg_live_stop(t->live);
  free(t);
}
