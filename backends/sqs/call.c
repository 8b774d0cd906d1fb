#include "backends/sqs/call.h"

#include "base/hash.h"
#include "base/log.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 8, ATTEMPT_MS = 5000, BACK_OFF_MIN_MS = 50, BACK_OFF_MAX_MS = 5000, AWAY_MS = 5000, SKEW_MS = 60000, REFRESHES = 3 };

mg_err mg_sqs_client_init(mg_sqs_client *c, mg_sqs_settings *settings, mg_error *e) {
  *c = (mg_sqs_client){.settings = settings, .offset_ms = mg_wall_ms() - mg_now_ms()};
  c->http = mg_sqs_http_new();
  if (c->http == NULL) return mg_fail(e, MG_NOMEM, "no memory for connections to SQS");
  return mg_sqs_credentials_new(&c->credentials, settings, e);
}

void mg_sqs_client_fini(mg_sqs_client *c) {
  mg_sqs_http_free(c->http);
  mg_sqs_credentials_free(c->credentials);
  *c = (mg_sqs_client){0};
}

int64_t mg_sqs_server_ms(const mg_sqs_client *c) { return mg_now_ms() + c->offset_ms; }

mg_ms mg_sqs_back_off(unsigned failures) {
  mg_ms ms = BACK_OFF_MIN_MS << (failures < 7 ? failures : 7);
  if (ms > BACK_OFF_MAX_MS) ms = BACK_OFF_MAX_MS;
  return ms / 2 + (mg_ms)(mg_random64() % (uint64_t)(ms / 2 + 1));
}

void mg_sqs_put_string(mg_buf *out, const char *text) {
  mg_buf_put(out, "\"", 1);
  for (const char *p = text; *p != '\0';) {
    size_t run = strcspn(p, "\"\\\b\f\n\r\t");
    mg_buf_put(out, p, run);
    p += run;
    if (*p == '\0') break;
    mg_buf_putf(out, "\\u%04x", (unsigned)(unsigned char)*p++);
  }
  mg_buf_put(out, "\"", 1);
}

mg_err mg_sqs_start(mg_sqs_client *c, mg_sqs_exchange *x, const char *action, mg_ms timeout_ms, mg_ms until, mg_error *e) {
  char target[100];
  mg_sqs_keys keys;
  mg_err err = mg_sqs_credentials_get(c->credentials, until, &keys, e);
  if (err != MG_OK) return err;
  (void)snprintf(target, sizeof target, "AmazonSQS.%s", action);
  mg_sqs_request r = {.method = "POST",
                      .url = c->settings->endpoint,
                      .content_type = "application/x-amz-json-1.0",
                      .target = target,
                      .service = "sqs",
                      .region = c->settings->region,
                      .keys = &keys,
                      .skew_ms = c->skew_ms,
                      .timeout_ms = timeout_ms};
  return mg_sqs_exchange_start(c->http, x, &r, e);
}

/* --- what an answer means --- */

/* Code and message of an error, in JSON or XML. */
static void read_fault(const mg_sqs_exchange *x, char code[64], char message[300]) {
  json_error_t ignored;
  json_t *root = json_loadb((const char *)x->reply.data, x->reply.len, 0, &ignored);
  const char *type = json_string_value(json_object_get(root, "__type"));
  const char *text = json_string_value(json_object_get(root, "message"));
  if (text == NULL) text = json_string_value(json_object_get(root, "Message"));
  if (type != NULL && strchr(type, '#') != NULL) type = strchr(type, '#') + 1;
  (void)snprintf(code, 64, "%s", type != NULL ? type : "");
  (void)snprintf(message, 300, "%s", text != NULL ? text : "");
  json_decref(root);
  if (code[0] != '\0') return;
  static const char *const tags[][2] = {{"<Code>", "</Code>"}, {"<Message>", "</Message>"}};
  for (int i = 0; i < 2 && x->reply.len > 0; i++) {
    const char *data = (const char *)x->reply.data;
    const char *from = memmem(data, x->reply.len, tags[i][0], strlen(tags[i][0]));
    const char *to = from == NULL ? NULL : memmem(from, x->reply.len - (size_t)(from - data), tags[i][1], strlen(tags[i][1]));
    if (to == NULL) continue;
    from += strlen(tags[i][0]);
    (void)snprintf(i == 0 ? code : message, i == 0 ? 64 : 300, "%.*s", (int)(to - from), from);
  }
}

static bool has(const char *code, const char *part) { return strstr(code, part) != NULL; }

/* The service's clock and ours differ: we sign by its clock from now on. */
static bool correct_skew(mg_sqs_client *c, const mg_sqs_exchange *x) {
  if (x->server_ms == 0) return false;
  int64_t skew = x->server_ms - mg_wall_ms();
  if (llabs(skew - c->skew_ms) < SKEW_MS) return false;
  static mg_log_limit limit;
  mg_log_rarely(&limit, 600000, MG_LOG_WARN, "clock_skew", MG_FIELDS(MG_LI("skew_seconds", skew / 1000)),
                "this machine's clock and that of SQS differ by %lld s; requests are signed by the clock of SQS", (long long)(skew / 1000));
  c->skew_ms = skew;
  return true;
}

static mg_err throttled(mg_sqs_client *c, const mg_sqs_exchange *x, const char *where, const char *code, mg_error *e) {
  const char *after = strcasestr(x->headers, "retry-after:");
  mg_ms wait = mg_sqs_back_off(c->slow++);
  mg_ms asked = after == NULL ? 0 : 1000 * (mg_ms)strtol(after + 12, NULL, 10);
  if (asked > wait) wait = asked < BACK_OFF_MAX_MS ? asked : BACK_OFF_MAX_MS;
  c->throttled++;
  c->slow_until = mg_now_ms() + wait;
  return mg_fail(e, MG_AGAIN, "%s: SQS asks for fewer requests (%s)", where, code);
}

static mg_err refused(mg_sqs_client *c, const mg_sqs_exchange *x, const char *action, const char *queue, const char *code, const char *message, mg_error *e) {
  char where[MG_SQS_URL_BYTES + 100];
  (void)snprintf(where, sizeof where, "%s on %.400s", action, queue != NULL ? queue : c->settings->endpoint);
  if (has(code, "NonExistentQueue") || has(code, "QueueDoesNotExist")) return mg_fail(e, MG_LOST, "%s: there is no such queue", where);
  if (x->status == 429 || x->status == 503 || has(code, "Throttl") || has(code, "TooManyRequests") || has(code, "SlowDown") || has(code, "RequestLimit")) {
    return throttled(c, x, where, code[0] != '\0' ? code : "503", e);
  }
  if (has(code, "OverLimit")) return mg_fail(e, MG_AGAIN, "%s: the queue has as many messages in flight as SQS allows (120,000)", where);
  if (x->status >= 500 || x->status == 408) return mg_fail(e, MG_AGAIN, "%s: SQS answered %ld %s", where, x->status, code);
  if (has(code, "ExpiredToken") || has(code, "TokenRefreshRequired")) {
    mg_sqs_credentials_refused(c->credentials);
    return mg_fail(e, MG_AGAIN, "%s: the credentials of %s have ended", where, mg_sqs_credentials_source(c->credentials));
  }
  if ((has(code, "Signature") || has(code, "Skew") || has(code, "RequestExpired") || x->status == 403) && correct_skew(c, x)) {
    return mg_fail(e, MG_AGAIN, "%s: the clocks differ", where);
  }
  const char *from = mg_sqs_credentials_source(c->credentials);
  if (has(code, "AccessDenied") || has(code, "AccessDeniedException") || has(code, "NotAuthorized")) {
    /* In the words of policies, which know no batches. */
    const char *batch = strstr(action, "Batch");
    return mg_fail(e, MG_FATAL, "access denied: the identity of %s may not do sqs:%.*s on %.300s; its policy must allow it", from,
                   (int)(batch != NULL ? batch - action : (ptrdiff_t)strlen(action)), action, queue != NULL ? queue : "*");
  }
  if (has(code, "Signature") || has(code, "InvalidClientTokenId") || has(code, "UnrecognizedClient") || has(code, "InvalidAccessKeyId") || x->status == 403) {
    return mg_fail(e, MG_FATAL, "%s: the credentials of %s were refused (%s): is the key right, and the region %s?", where, from, code, c->settings->region);
  }
  return mg_fail(e, MG_ARG, "%s: SQS answered %ld %s: %.200s", where, x->status, code, message);
}

mg_err mg_sqs_judge(mg_sqs_client *c, const mg_sqs_exchange *x, const char *action, const char *queue, json_t **reply, char *code, mg_error *e) {
  char own_code[64], message[300];
  if (code == NULL) code = own_code;
  code[0] = '\0';
  *reply = NULL;
  if (x->server_ms != 0) c->offset_ms = x->server_ms + 500 - mg_now_ms();
  if (x->status == 0) {
    return mg_fail(e, MG_AGAIN, "%s: %s does not answer: %s", action, c->settings->endpoint, x->fault);
  }
  if (x->status == 200) {
    json_error_t ignored;
    *reply = x->reply.len == 0 ? json_object() : json_loadb((const char *)x->reply.data, x->reply.len, JSON_ALLOW_NUL, &ignored);
    if (!json_is_object(*reply)) {
      json_decref(*reply);
      *reply = NULL;
      return mg_fail(e, MG_AGAIN, "%s: the answer of %s is no JSON object", action, c->settings->endpoint);
    }
    c->good_ms = mg_now_ms();
    c->slow = 0;
    return MG_OK;
  }
  read_fault(x, code, message);
  return refused(c, x, action, queue, code, message, e);
}

mg_err mg_sqs_settled(const mg_sqs_client *c, mg_err err) {
  if (err != MG_AGAIN) return err;
  return c->good_ms == 0 || mg_now_ms() - c->good_ms >= AWAY_MS ? MG_CONN : MG_AGAIN;
}

/* --- jobs --- */

static mg_err begin(mg_sqs_client *c, mg_sqs_job *j, mg_ms until, mg_error *e) {
  mg_ms now = mg_now_ms(), left = until - now;
  j->x = mg_sqs_exchange_new(c->http);
  if (j->x == NULL) return mg_fail(e, MG_NOMEM, "no memory for a request");
  mg_buf *body = &j->x->body;
  if (j->queue != NULL) {
    mg_buf_puts(body, "{\"QueueUrl\":");
    mg_sqs_put_string(body, j->queue);
  } else {
    mg_buf_puts(body, "{");
  }
  if (j->fill != NULL) j->fill(j->owner, j->index, body);
  if (j->queue == NULL && body->len > 1 && !body->failed) { /* without the comma before the first key */
    memmove(body->data + 1, body->data + 2, body->len - 2);
    body->len--;
  }
  mg_buf_puts(body, "}");
  return mg_sqs_start(c, j->x, j->action, left < ATTEMPT_MS ? left : ATTEMPT_MS, until, e);
}

static void finish(mg_sqs_client *c, mg_sqs_job *j, mg_err err) {
  j->err = err;
  j->done = true;
  mg_sqs_exchange_end(c->http, j->x);
  j->x = NULL;
}

/* An answer came, or the request could not be made. */
static void look(mg_sqs_client *c, mg_sqs_job *j, mg_err err, mg_error *e) {
  if (err == MG_OK) err = mg_sqs_judge(c, j->x, j->action, j->queue, &j->reply, j->code, e);
  bool ended = has(j->code, "Token"), mended = ended || has(j->code, "Signature") || has(j->code, "Skew") || has(j->code, "RequestExpired");
  if ((err != MG_AGAIN && err != MG_CONN) || (ended && j->tries >= REFRESHES)) {
    finish(c, j, err);
    return;
  }
  mg_sqs_exchange_end(c->http, j->x);
  j->x = NULL;
  j->err = MG_AGAIN;
  j->due = mg_now_ms() + (j->tries == 0 && mended ? 0 : mg_sqs_back_off(j->tries));
  j->tries++;
}

/* Starts what is due; the time at which more will be. */
static mg_ms start_due(mg_sqs_client *c, mg_sqs_job *jobs, size_t count, mg_ms until, mg_error *e) {
  mg_ms now = mg_now_ms(), next = until;
  size_t active = 0;
  for (size_t i = 0; i < count; i++) active += jobs[i].x != NULL;
  for (size_t i = 0; i < count && active < WIDTH; i++) {
    mg_sqs_job *j = &jobs[i];
    if (j->done || j->x != NULL) continue;
    mg_ms due = j->due > c->slow_until ? j->due : c->slow_until;
    if (due > now) {
      if (due < next) next = due;
      continue;
    }
    mg_err err = begin(c, j, until, e);
    if (err != MG_OK)
      look(c, j, err, e);
    else
      active++;
    if (!j->done && j->x == NULL && j->due < next) next = j->due;
  }
  return next;
}

mg_err mg_sqs_run(mg_sqs_client *c, mg_sqs_job *jobs, size_t count, mg_ms until, mg_error *e) {
  mg_error own = {0};
  size_t left = count;
  while (left > 0) {
    mg_ms next = start_due(c, jobs, count, until, &own);
    (void)mg_sqs_http_wait(c->http, next, -1);
    left = 0;
    for (size_t i = 0; i < count; i++) {
      if (jobs[i].x != NULL && jobs[i].x->done) look(c, &jobs[i], MG_OK, &own);
      left += !jobs[i].done;
    }
    if (left == 0 || mg_now_ms() < until) continue;
    for (size_t i = 0; i < count; i++) {
      if (jobs[i].done) continue;
      if (own.text[0] == '\0') (void)mg_fail(&own, MG_AGAIN, "%s: %s did not answer in time", jobs[i].action, c->settings->endpoint);
      finish(c, &jobs[i], MG_AGAIN);
    }
    break;
  }
  mg_err worst = MG_OK;
  for (size_t i = 0; i < count; i++) {
    jobs[i].err = mg_sqs_settled(c, jobs[i].err);
    if (jobs[i].err > worst) worst = jobs[i].err;
  }
  if (worst != MG_OK && e != NULL) *e = own;
  return worst;
}

void mg_sqs_jobs_fini(mg_sqs_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) json_decref(jobs[i].reply);
}

mg_err mg_sqs_call(mg_sqs_client *c, const char *action, const char *queue, void (*fill)(void *, size_t, mg_buf *), void *owner, mg_ms until, json_t **reply,
                   char *code, mg_error *e) {
  mg_sqs_job j = {.action = action, .queue = queue, .fill = fill, .owner = owner};
  mg_err err = mg_sqs_run(c, &j, 1, until, e);
  if (code != NULL) (void)snprintf(code, 64, "%s", j.code);
  if (reply != NULL)
    *reply = j.reply;
  else
    json_decref(j.reply);
  return err;
}
