#include "observe/trace.h"

#include "base/clock.h"
#include "base/hash.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BURST = 2 * MG_TRACED_TASKS_PER_S, PAUSE_MS = 500, TRIES = 3, BATCH_BYTES = 4 << 20 };

struct mg_trace {
  mg_outbox *outbox;
  uint8_t id[MG_TRACE_BYTES];
  uint64_t run, above;
  char *head; /* of every export: resource and scope */
  mg_buf spans;
  size_t span_count, batch;
  mg_ms first_ms; /* when the oldest span in it came */
  mg_ms delay_ms;
  int64_t wall_ns;      /* to be added to mg_now_ns: time since 1970 */
  double share, tokens; /* tasks that may be traced now */
  int64_t filled_ns;
  uint64_t dropped;
};

/* ---- encoding: https://opentelemetry.io/docs/specs/otlp/, JSON: ids in hex, 64-bit numbers as texts ---- */

static void put_attribute(mg_buf *out, const mg_log_field *f) {
  if (f->kind == MG_FIELD_TEXT && f->text == NULL) return;
  if (out->len > 0 && out->data[out->len - 1] == '}') mg_buf_puts(out, ",");
  mg_buf_puts(out, "{\"key\":");
  mg_log_json_text(out, f->key);
  mg_buf_puts(out, ",\"value\":{");
  switch (f->kind) {
  case MG_FIELD_TEXT:
    mg_buf_puts(out, "\"stringValue\":");
    mg_log_json_text(out, f->text);
    break;
  case MG_FIELD_INT: mg_buf_putf(out, "\"intValue\":\"%" PRId64 "\"", f->integer); break;
  case MG_FIELD_REAL: mg_buf_putf(out, "\"doubleValue\":%.17g", isfinite(f->real) ? f->real : 0); break;
  case MG_FIELD_BOOL: mg_buf_putf(out, "\"boolValue\":%s", f->integer != 0 ? "true" : "false"); break;
  }
  mg_buf_puts(out, "}}");
}

static void put_span(mg_buf *out, const mg_trace *t, const mg_span *s) {
  char trace[2 * MG_TRACE_BYTES + 1];
  uint64_t id = s->id;
  while (id == 0) id = mg_random64();
  mg_hex(s->trace, MG_TRACE_BYTES, trace);
  mg_buf_putf(out, "{\"traceId\":\"%s\",\"spanId\":\"%016" PRIx64 "\"", trace, id);
  if (s->parent != 0) mg_buf_putf(out, ",\"parentSpanId\":\"%016" PRIx64 "\"", s->parent);
  mg_buf_puts(out, ",\"name\":");
  mg_log_json_text(out, s->name);
  int64_t end_ns = s->end_ns < s->begin_ns ? s->begin_ns : s->end_ns;
  mg_buf_putf(out, ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64 "\",\"endTimeUnixNano\":\"%" PRId64 "\",\"attributes\":[", (int)s->kind,
              s->begin_ns + t->wall_ns, end_ns + t->wall_ns);
  for (size_t i = 0; i < s->field_count; i++) put_attribute(out, &s->fields[i]);
  mg_buf_puts(out, "],\"status\":{");
  if (s->error != NULL) {
    mg_buf_puts(out, "\"code\":2,\"message\":");
    mg_log_json_text(out, s->error);
  }
  mg_buf_puts(out, "}}");
}

static char *head_of(const mg_trace_settings *s, const char *side, const char *instance) {
  mg_buf b = {0};
  char host[256] = "";
  (void)gethostname(host, sizeof host - 1);
  mg_buf_puts(&b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
  const mg_log_field fields[] = {MG_LT("service.name", s->service), MG_LT("service.version", MG_VERSION), MG_LT("service.instance.id", instance),
                                 MG_LT("host.name", host),          MG_LI("process.pid", getpid()),       MG_LT("mguard.side", side)};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) put_attribute(&b, &fields[i]);
  for (char **a = s->attributes; a != NULL && *a != NULL; a += 2) put_attribute(&b, &(mg_log_field)MG_LT(a[0], a[1]));
  mg_buf_puts(&b, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"mguard\",\"version\":\"" MG_VERSION "\"},\"spans\":[");
  mg_buf_put(&b, "", 1);
  if (!b.failed) return (char *)b.data;
  mg_buf_fini(&b);
  return NULL;
}

static void hand_over(mg_trace *t) {
  size_t count = t->span_count;
  if (count == 0) return;
  mg_buf_puts(&t->spans, "]}]}]}");
  t->span_count = 0;
  if (!mg_outbox_put(t->outbox, &t->spans, NULL)) t->dropped += count; /* empties spans in both cases */
}

void mg_trace_add(mg_trace *t, const mg_span *s) {
  if (t == NULL || !mg_trace_is_set(s->trace)) return;
  if (t->span_count == 0) {
    mg_buf_puts(&t->spans, t->head);
    t->first_ms = mg_now_ms();
  } else {
    mg_buf_puts(&t->spans, ",");
  }
  put_span(&t->spans, t, s);
  t->span_count++;
  if (t->span_count >= t->batch || t->spans.len >= BATCH_BYTES || t->spans.failed) hand_over(t);
}

void mg_trace_tick(mg_trace *t) {
  if (t != NULL && t->span_count > 0 && mg_now_ms() - t->first_ms >= t->delay_ms) hand_over(t);
}

/* ---- which ---- */

bool mg_trace_samples(mg_trace *t) {
  if (t == NULL || t->share <= 0) return false;
  int64_t now = mg_now_ns();
  t->tokens += (double)(now - t->filled_ns) / 1e9 * MG_TRACED_TASKS_PER_S;
  if (t->tokens > BURST) t->tokens = BURST;
  t->filled_ns = now;
  if (t->tokens < 1 || (t->share < 1 && (double)(mg_random64() >> 11) * 0x1p-53 >= t->share)) return false;
  t->tokens -= 1;
  return true;
}

const uint8_t *mg_trace_id(const mg_trace *t) {
  static const uint8_t none[MG_TRACE_BYTES] = {0};
  return t != NULL ? t->id : none;
}

uint64_t mg_span_of_task(const uint8_t trace[MG_TRACE_BYTES], const char *task) {
  uint8_t both[MG_TRACE_BYTES + 128];
  size_t n = strlen(task) < 128 ? strlen(task) : 128;
  uint64_t low, high;
  memcpy(both, trace, MG_TRACE_BYTES);
  memcpy(both + MG_TRACE_BYTES, task, n);
  mg_xxh3_128(both, MG_TRACE_BYTES + n, &low, &high);
  return low != 0 ? low : 1;
}

uint64_t mg_span_of_run(const mg_trace *t) { return t != NULL ? t->run : 0; }
uint64_t mg_span_above_run(const mg_trace *t) { return t != NULL ? t->above : 0; }

bool mg_trace_is_set(const uint8_t trace[MG_TRACE_BYTES]) {
  static const uint8_t none[MG_TRACE_BYTES] = {0};
  return memcmp(trace, none, sizeof none) != 0;
}

uint64_t mg_trace_dropped(const mg_trace *t) { return t != NULL ? t->dropped : 0; }

/* ---- start and stop ---- */

mg_err mg_trace_start(mg_trace **out, const mg_trace_settings *s, const char *side, const char *instance, mg_error *e) {
  *out = NULL;
  if (!s->wanted || s->share < 0) return MG_OK;
  mg_trace *t = calloc(1, sizeof *t);
  if (t == NULL || (t->head = head_of(s, side, instance)) == NULL) {
    free(t);
    return mg_fail(e, MG_NOMEM, "no memory for traces");
  }
  mg_outbox_config config = {.url = s->url,
                             .headers = (const char *const *)s->headers,
                             .ca_file = s->ca_file,
                             .client_certificate = s->client_certificate,
                             .client_key = s->client_key,
                             .posts_max = s->queue > s->batch ? s->queue / s->batch : 1,
                             .tries = TRIES,
                             .try_ms = s->timeout_ms,
                             .pause_ms = PAUSE_MS};
  mg_err err = mg_outbox_start(&t->outbox, &config, e);
  if (err != MG_OK) {
    free(t->head);
    free(t);
    return mg_fail_in(e, "traces");
  }
  if (s->has_parent)
    memcpy(t->id, s->trace, sizeof t->id);
  else
    do mg_random_bytes(t->id, sizeof t->id);
    while (!mg_trace_is_set(t->id));
  do t->run = mg_random64();
  while (t->run == 0);
  t->above = s->has_parent ? s->parent : 0;
  t->batch = s->batch;
  t->delay_ms = s->delay_ms;
  t->share = s->share;
  t->tokens = BURST;
  t->filled_ns = mg_now_ns();
  t->wall_ns = mg_wall_ms() * 1000000 - t->filled_ns;
  *out = t;
  return MG_OK;
}

void mg_trace_stop(mg_trace *t, mg_outbox_counts *counts) {
  if (t == NULL) return;
  hand_over(t);
  mg_outbox_stop(t->outbox, mg_now_ms() + MG_TRACE_END_MS, counts);
  mg_buf_fini(&t->spans);
  free(t->head);
  free(t);
}
