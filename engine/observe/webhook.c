#include "observe/webhook.h"

#include "base/hash.h"
#include "observe/outbox.h"
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POSTS_MAX = 64, PAUSE_MS = 500, NAMES_MAX = 32, EVERY_MS = 60000, HOST_BYTES = 128 };

typedef struct hook {
  mg_outbox *outbox;
  const mg_webhook_plan *plan; /* the plan's */
  char host[HOST_BYTES];       /* the rest of a URL may be a secret */
} hook;

typedef struct told { /* an alert's name */
  char name[48];
  mg_ms at_ms;
  uint64_t suppressed;
} told;

struct mg_webhooks {
  hook hooks[MG_MAX_WEBHOOKS];
  int count;
  const char *plan;
  char run[64];
  told names[NAMES_MAX];
  int name_count;
};

/* ---- posting ---- */

static void post(hook *h, const char *event, mg_buf *body) {
  char kind[64], delivery[64], signature[160], id[33];
  uint8_t random[16], mac[MG_SHA256_BYTES];
  const char *headers[4] = {kind, delivery, NULL, NULL};
  mg_random_bytes(random, sizeof random);
  mg_hex(random, sizeof random, id);
  (void)snprintf(kind, sizeof kind, "X-Mguard-Event: %s", event);
  (void)snprintf(delivery, sizeof delivery, "X-Mguard-Delivery: %s", id);
  if (h->plan->secret != NULL) {
    char when[32], hex[2 * MG_SHA256_BYTES + 1];
    (void)snprintf(when, sizeof when, "%" PRId64, mg_wall_ms() / 1000);
    const mg_slice pieces[3] = {mg_slice_of(when), mg_slice_of("."), mg_buf_slice(body)};
    if (!mg_hmac_sha256(mg_slice_of(h->plan->secret), pieces, 3, mac)) { /* better untold than unsigned */
      mg_log(MG_LOG_ERROR, "webhook_failed", MG_FIELDS(MG_LT("host", h->host), MG_LI("posts", 1), MG_LT("reason", "it cannot be signed")),
             "%s was not told: the post cannot be signed", h->host);
      mg_buf_fini(body);
      return;
    }
    mg_hex(mac, sizeof mac, hex);
    (void)snprintf(signature, sizeof signature, "X-Mguard-Signature: t=%s,v1=%s", when, hex);
    headers[2] = signature;
  }
  (void)mg_outbox_put(h->outbox, body, headers);
}

/* ---- bodies ---- */

static void put_text(mg_buf *out, const char *key, const char *text) {
  mg_buf_putf(out, ",\"%s\":", key);
  if (text == NULL)
    mg_buf_puts(out, "null");
  else
    mg_log_json_text(out, text);
}

static void put_number(mg_buf *out, const char *key, double v) {
  if (isfinite(v))
    mg_buf_putf(out, ",\"%s\":%.17g", key, v);
  else
    mg_buf_putf(out, ",\"%s\":null", key);
}

static void open_body(mg_buf *out, const mg_webhooks *w, const char *event) {
  char when[32];
  mg_wall_text(mg_wall_ms(), when, sizeof when);
  mg_buf_puts(out, "{\"event\":");
  mg_log_json_text(out, event);
  put_text(out, "time", when);
  put_text(out, "run_id", w->run);
  put_text(out, "plan", w->plan);
}

/* Slack's three. */
static void put_slack_text(mg_buf *out, const char *text) {
  for (const char *c = text; *c != '\0'; c++) {
    if (*c == '&')
      mg_buf_puts(out, "&amp;");
    else if (*c == '<')
      mg_buf_puts(out, "&lt;");
    else if (*c == '>')
      mg_buf_puts(out, "&gt;");
    else
      mg_buf_put(out, c, 1);
  }
}

/* title in bold, then lines; colour: good, warning, danger. */
static void slack(hook *h, const mg_webhooks *w, const char *event, const char *colour, const char *title, const char *const *lines, int count) {
  mg_buf text = {0}, more = {0}, body = {0};
  mg_buf_puts(&text, "*");
  put_slack_text(&text, title);
  mg_buf_puts(&text, "* ");
  put_slack_text(&text, w->plan);
  mg_buf_put(&text, "", 1);
  for (int i = 0; i < count; i++) {
    if (i > 0) mg_buf_puts(&more, "\n");
    put_slack_text(&more, lines[i]);
  }
  mg_buf_putf(&more, "\nrun %s", w->run);
  mg_buf_put(&more, "", 1);
  body.failed = text.failed || more.failed;
  if (!body.failed) {
    mg_buf_puts(&body, "{\"text\":");
    mg_log_json_text(&body, (const char *)text.data);
    mg_buf_puts(&body, ",\"attachments\":[{\"color\":");
    mg_log_json_text(&body, colour);
    mg_buf_puts(&body, ",\"fallback\":");
    mg_log_json_text(&body, (const char *)text.data);
    mg_buf_puts(&body, ",\"text\":");
    mg_log_json_text(&body, (const char *)more.data);
    mg_buf_puts(&body, "}]}");
  }
  mg_buf_fini(&text);
  mg_buf_fini(&more);
  post(h, event, &body);
}

static void verdict_body(mg_buf *out, const mg_webhooks *w, const mg_report *r) {
  const mg_judgement *v = r->judgement;
  const mg_run_state *s = r->state;
  open_body(out, w, "verdict");
  put_text(out, "verdict", mg_verdict_name(v->verdict));
  mg_buf_putf(out, ",\"exit_code\":%d,\"interrupted\":%s", r->exit_code, r->exit_code == 130 ? "true" : "false");
  put_text(out, "baseline", r->plan->baseline);
  put_text(out, "candidate", r->plan->candidate);
  mg_buf_puts(out, ",\"reasons\":[");
  for (int i = 0; i < v->reason_count; i++) {
    if (i > 0) mg_buf_puts(out, ",");
    mg_log_json_text(out, v->reasons[i]);
  }
  mg_buf_putf(out, "],\"planned\":%" PRIu64 ",\"counted\":%" PRIu64, s->planned, s->counted);
  put_number(out, "seconds", (double)(s->now_ms - s->started_ms) / 1000);
  if (v->has_difference) {
    mg_buf_puts(out, ",\"difference\":{\"method\":");
    mg_log_json_text(out, v->method);
    put_number(out, "estimate", v->estimate);
    put_number(out, "low", v->difference.low);
    put_number(out, "high", v->difference.high);
    put_number(out, "level", v->level);
    mg_buf_puts(out, "}");
  } else {
    mg_buf_puts(out, ",\"difference\":null");
  }
  put_number(out, "baseline_rate", v->rate[MG_BASELINE]);
  put_number(out, "candidate_rate", v->rate[MG_CANDIDATE]);
  mg_buf_putf(out, ",\"outcome_digest\":\"%016" PRIx64 "%016" PRIx64 "\"", s->digest.high, s->digest.low);
  put_text(out, "report", r->path);
  mg_buf_puts(out, "}\n");
}

void mg_webhooks_verdict(mg_webhooks *w, const mg_report *r) {
  static const char *const colours[] = {[MG_ADOPT] = "good", [MG_REJECT] = "danger", [MG_INCONCLUSIVE] = "warning", [MG_INVALID] = "warning"};
  const mg_judgement *v = r->judgement;
  for (int i = 0; w != NULL && i < w->count; i++) {
    hook *h = &w->hooks[i];
    if (!h->plan->on_verdict) continue;
    if (h->plan->slack) {
      const char *lines[MG_MAX_REASONS];
      char title[32];
      for (int k = 0; k < v->reason_count; k++) lines[k] = v->reasons[k];
      (void)snprintf(title, sizeof title, "%s", r->exit_code == 130 ? "interrupted" : mg_verdict_name(v->verdict));
      for (char *c = title; *c != '\0'; c++) *c = (char)toupper((unsigned char)*c);
      slack(h, w, "verdict", colours[v->verdict], title, lines, v->reason_count);
    } else {
      mg_buf body = {0};
      verdict_body(&body, w, r);
      post(h, "verdict", &body);
    }
  }
}

void mg_webhooks_failure(mg_webhooks *w, const char *why) {
  for (int i = 0; w != NULL && i < w->count; i++) {
    hook *h = &w->hooks[i];
    if (!h->plan->on_verdict) continue;
    if (h->plan->slack) {
      slack(h, w, "failure", "danger", "NO VERDICT", &why, 1);
    } else {
      mg_buf body = {0};
      open_body(&body, w, "failure");
      put_text(&body, "reason", why);
      mg_buf_puts(&body, "}\n");
      post(h, "failure", &body);
    }
  }
}

/* ---- alerts ---- */

static told *told_of(mg_webhooks *w, const char *name) {
  for (int i = 0; i < w->name_count; i++) {
    if (strcmp(w->names[i].name, name) == 0) return &w->names[i];
  }
  if (w->name_count == NAMES_MAX) return NULL;
  told *t = &w->names[w->name_count++];
  *t = (told){.at_ms = mg_now_ms() - EVERY_MS};
  (void)snprintf(t->name, sizeof t->name, "%s", name);
  return t;
}

static void put_field(mg_buf *out, const mg_log_field *f) {
  switch (f->kind) {
  case MG_FIELD_TEXT: put_text(out, f->key, f->text); break;
  case MG_FIELD_INT: mg_buf_putf(out, ",\"%s\":%" PRId64, f->key, f->integer); break;
  case MG_FIELD_REAL: put_number(out, f->key, f->real); break;
  case MG_FIELD_BOOL: mg_buf_putf(out, ",\"%s\":%s", f->key, f->integer != 0 ? "true" : "false"); break;
  }
}

void mg_webhooks_alert(mg_webhooks *w, const char *name, mg_log_level level, const char *text, const mg_log_field *fields, size_t field_count) {
  told *t = w != NULL ? told_of(w, name) : NULL;
  mg_ms now = mg_now_ms();
  if (t == NULL) return;
  if (now - t->at_ms < EVERY_MS) {
    t->suppressed++;
    return;
  }
  for (int i = 0; i < w->count; i++) {
    hook *h = &w->hooks[i];
    if (!h->plan->on_alert) continue;
    if (h->plan->slack) {
      slack(h, w, "alert", level >= MG_LOG_ERROR ? "danger" : "warning", name, &text, 1);
    } else {
      mg_buf body = {0};
      open_body(&body, w, "alert");
      put_text(&body, "alert", name);
      put_text(&body, "severity", level >= MG_LOG_ERROR ? "error" : "warning");
      put_text(&body, "text", text);
      mg_buf_putf(&body, ",\"suppressed\":%" PRIu64 ",\"fields\":{\"event\":", t->suppressed);
      mg_log_json_text(&body, name);
      for (size_t k = 0; k < field_count; k++) put_field(&body, &fields[k]);
      mg_buf_puts(&body, "}}\n");
      post(h, "alert", &body);
    }
  }
  t->at_ms = now;
  t->suppressed = 0;
}

/* ---- start and stop ---- */

static void host_of(const char *url, char out[HOST_BYTES]) {
  const char *from = strstr(url, "://");
  from = from != NULL ? from + 3 : url;
  size_t len = strcspn(from, "/?#");
  for (size_t i = 0; i < len; i++) { /* user:password@ */
    if (from[i] == '@') {
      from += i + 1;
      len -= i + 1;
      i = 0;
    }
  }
  (void)snprintf(out, HOST_BYTES, "%.*s", (int)(len < HOST_BYTES ? len : HOST_BYTES - 1), from);
}

mg_err mg_webhooks_start(mg_webhooks **out, const mg_webhook_plan *hooks, int count, const char *run, const char *plan, mg_error *e) {
  static const char *const headers[] = {"Content-Type: application/json", NULL};
  *out = NULL;
  if (count == 0) return MG_OK;
  mg_webhooks *w = calloc(1, sizeof *w);
  if (w == NULL) return mg_fail(e, MG_NOMEM, "no memory for webhooks");
  w->plan = plan;
  (void)snprintf(w->run, sizeof w->run, "%s", run);
  mg_err err = MG_OK;
  for (int i = 0; i < count && i < MG_MAX_WEBHOOKS && err == MG_OK; i++) {
    hook *h = &w->hooks[i];
    h->plan = &hooks[i];
    host_of(hooks[i].url, h->host);
    mg_outbox_config config = {.url = hooks[i].url,
                               .headers = headers,
                               .posts_max = POSTS_MAX,
                               .tries = hooks[i].tries,
                               .try_ms = (mg_ms)ceil(hooks[i].timeout_s * 1000),
                               .pause_ms = PAUSE_MS};
    err = mg_outbox_start(&h->outbox, &config, e);
    if (err == MG_OK)
      w->count++;
    else if (err == MG_ARG) /* its own text shows the URL, which may be a secret */
      err = mg_fail(e, MG_ARG, "webhooks: the URL of %s cannot be posted to", h->host);
  }
  if (err == MG_OK)
    *out = w;
  else
    mg_webhooks_stop(w);
  return err;
}

void mg_webhooks_stop(mg_webhooks *w) {
  if (w == NULL) return;
  mg_ms until = mg_now_ms() + MG_WEBHOOK_END_MS;
  for (int i = 0; i < w->count; i++) {
    mg_outbox_counts c = {0};
    hook *h = &w->hooks[i];
    mg_outbox_stop(h->outbox, until, &c);
    if (c.failed + c.dropped == 0) continue;
    mg_log(MG_LOG_ERROR, "webhook_failed", MG_FIELDS(MG_LT("host", h->host), MG_LI("posts", c.failed + c.dropped), MG_LT("reason", c.last_error)),
           "webhook: %s was not told (%" PRIu64 " of %" PRIu64 " posts): %s", h->host, c.failed + c.dropped, c.failed + c.dropped + c.delivered,
           c.failed > 0 ? c.last_error : "too much waited");
  }
  free(w);
}
