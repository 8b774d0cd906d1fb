/* What comes: receive calls that stay open, what they brought, and its way back where nobody asks for it. */
#include "backends/sqs/parts.h"

#include "base/hash.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_EVERY_MS = 100, HELD_WAIT_S = 2, REST_MS = 1000, GRACE_MS = 2000, ANSWER_MS = 10000, MARGIN_MS = 200 };
enum { FULL_AFTER_MS = 10000, FULL_EVERY_MS = 60000, FULL = 119000 };

void mg_sqs_feed_init(mg_sqs_feed *f, const char *queue) {
  *f = (mg_sqs_feed){.width = 1};
  (void)snprintf(f->queue, sizeof f->queue, "%s", queue);
}

/* --- leases --- */

void mg_sqs_lease_free(mg_lease *l) {
  mg_sqs_feed *f = l->feed;
  if (l->state == MG_SQS_HELD) f->held--;
  if (l->state == MG_SQS_STASHED) f->stashed--;
  if (l->previous != NULL)
    l->previous->next = l->next;
  else
    f->first = l->next;
  if (l->next != NULL)
    l->next->previous = l->previous;
  else
    f->last = l->previous;
  free(l);
}

static void stash(mg_sqs_feed *f, const char *receipt, const char *text, size_t len, unsigned receives, mg_ms came_ms, int visible_s) {
  size_t receipt_len = strlen(receipt);
  mg_lease *l = malloc(sizeof *l + receipt_len + 1 + len + 1);
  if (l == NULL) return; /* it comes again */
  *l = (mg_lease){.previous = f->last, .feed = f, .came_ms = came_ms, .ends_ms = came_ms + 1000 * (mg_ms)visible_s, .receives = receives};
  memcpy(l->bytes, receipt, receipt_len + 1);
  l->receipt = l->bytes;
  memcpy(l->bytes + receipt_len + 1, text, len);
  l->bytes[receipt_len + 1 + len] = '\0';
  l->text = l->bytes + receipt_len + 1;
  l->len = len;
  if (f->last != NULL)
    f->last->next = l;
  else
    f->first = l;
  f->last = l;
  f->stashed++;
}

/* --- what a poll brought --- */

static int64_t attribute(json_t *message, const char *name) {
  const char *text = json_string_value(json_object_get(json_object_get(message, "Attributes"), name));
  return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static void put_off(mg_sqs *s, mg_sqs_feed *f, const char *receipt, int64_t ms) {
  mg_sqs_change c = {f->queue, receipt, (int)((ms + 999) / 1000 < 43200 ? (ms + 999) / 1000 : 43200), MG_OK};
  (void)mg_sqs_change_all(s, &c, 1, mg_now_ms() + GRACE_MS, NULL);
}

static void take_message(mg_sqs *s, mg_sqs_feed *f, json_t *message, mg_ms came_ms, int visible_s) {
  mg_sqs_envelope v;
  json_t *body = json_object_get(message, "Body");
  const char *text = json_string_value(body), *receipt = json_string_value(json_object_get(message, "ReceiptHandle"));
  if (text == NULL || receipt == NULL) return;
  mg_slice slice = {(const uint8_t *)text, json_string_length(body)};
  int64_t sent_ms = attribute(message, "SentTimestamp"), receives = attribute(message, "ApproximateReceiveCount");
  if (f == &s->tasks) {
    (void)mg_sqs_envelope_read(&v, slice, NULL);
    if (v.kind == 't' && v.run[0] != '\0') mg_sqs_peer_seen(s, v.run, 120000, false);
    int64_t early = v.not_before_ms - mg_sqs_server_ms(&s->client);
    if (v.not_before_ms != 0 && early > MARGIN_MS) {
      put_off(s, f, receipt, early);
      return;
    }
  } else {
    (void)mg_sqs_envelope_read(&v, slice, &s->scratch);
    bool ours = s->run != NULL && strcmp(v.run, s->run) == 0;
    if (v.kind != 'r' || !ours) { /* a beat, or what belongs to a run that used this queue before */
      if (v.kind == 'b' && ours) mg_sqs_take_beat(s, &v, mg_buf_slice(&s->scratch), sent_ms);
      mg_sqs_discard(s, f->queue, receipt);
      return;
    }
  }
  stash(f, receipt, text, slice.len, receives > 0 ? (unsigned)receives : 1, came_ms, visible_s);
}

/* SQS may have taken the call, and hides its messages for their whole visibility timeout: on a FIFO queue the same call is answered by the same messages. */
static void ask_again(mg_sqs_feed *f, const mg_sqs_poll *p) {
  bool lost = p->x->status == 0 || p->x->status >= 500;
  if (!lost || p->ask.attempt[0] == '\0' || f->again_count == MG_SQS_POLLS) return;
  mg_sqs_ask *a = &f->again[f->again_count++];
  *a = p->ask;
  if (a->expires == 0) a->expires = p->x->done_ms + 1000 * (mg_ms)a->visible_s;
}

static void take_poll(mg_sqs *s, mg_sqs_feed *f, const mg_sqs_poll *p) {
  json_t *reply = NULL, *message;
  mg_error why = {0};
  size_t k, n = 0;
  mg_err err = mg_sqs_judge(&s->client, p->x, "ReceiveMessage", f->queue, &reply, NULL, &why);
  mg_ms now = mg_now_ms();
  if (err != MG_OK) {
    f->fault = err == MG_AGAIN ? mg_sqs_settled(&s->client, err) : err;
    f->why = why;
    f->pause++;
    f->failures++;
    f->next_poll = now + mg_sqs_back_off(f->pause - 1);
    ask_again(f, p);
    return;
  }
  f->fault = MG_OK;
  f->pause = f->failures = 0;
  json_array_foreach(json_object_get(reply, "Messages"), k, message) {
    n++;
    take_message(s, f, message, p->x->done_ms, p->ask.visible_s);
  }
  json_decref(reply);
  if (n > 0) f->empty_ms = 0;
  if (n == 0 && f->empty_ms == 0) f->empty_ms = now;
  f->width = n == p->ask.max ? (f->width * 2 < MG_SQS_POLLS ? f->width * 2 : MG_SQS_POLLS) : 1;
  f->next_poll = n == 0 && s->settings.long_poll_s == 0 ? now + SHORT_EVERY_MS : 0;
}

void mg_sqs_feed_take(mg_sqs *s, mg_sqs_feed *f) {
  for (size_t i = 0; i < f->open;) {
    if (!f->polls[i].x->done) {
      i++;
      continue;
    }
    mg_sqs_poll p = f->polls[i];
    f->polls[i] = f->polls[--f->open];
    take_poll(s, f, &p);
    mg_sqs_exchange_end(s->client.http, p.x);
  }
}

/* --- polls --- */

/* One whose answer was lost, else a new one. */
static mg_sqs_ask next_ask(const mg_sqs *s, mg_sqs_feed *f, unsigned max, int visible_s) {
  mg_sqs_ask a = {.max = max, .visible_s = visible_s};
  mg_ms now = mg_now_ms();
  while (f->again_count > 0) {
    mg_sqs_ask lost = f->again[--f->again_count];
    if (lost.expires > now) return lost;
  }
  if (f == &s->tasks && s->settings.fifo)
    (void)snprintf(a.attempt, sizeof a.attempt, "%016llx%016llx", (unsigned long long)mg_random64(), (unsigned long long)mg_random64());
  return a;
}

static mg_err open_poll(mg_sqs *s, mg_sqs_feed *f, const mg_sqs_ask *ask, int wait_s, mg_ms until) {
  mg_sqs_poll p = {.x = mg_sqs_exchange_new(s->client.http), .ask = *ask};
  if (p.x == NULL) return MG_NOMEM;
  mg_buf *body = &p.x->body;
  mg_buf_puts(body, "{\"QueueUrl\":");
  mg_sqs_put_string(body, f->queue);
  mg_buf_putf(body, ",\"MaxNumberOfMessages\":%u,\"VisibilityTimeout\":%d,\"WaitTimeSeconds\":%d", ask->max, ask->visible_s, wait_s);
  if (ask->attempt[0] != '\0') mg_buf_putf(body, ",\"ReceiveRequestAttemptId\":\"%s\"", ask->attempt);
  mg_buf_puts(body, ",\"MessageSystemAttributeNames\":[\"SentTimestamp\",\"ApproximateReceiveCount\"]}");
  mg_err err = mg_sqs_start(&s->client, p.x, "ReceiveMessage", 1000 * (mg_ms)wait_s + ANSWER_MS, until, &f->why);
  if (err != MG_OK) {
    mg_sqs_exchange_end(s->client.http, p.x);
    if (ask->expires != 0) f->again[f->again_count++] = *ask; /* as it was */
    f->fault = err;
    f->next_poll = mg_now_ms() + mg_sqs_back_off(f->pause++);
    return err;
  }
  f->polls[f->open++] = p;
  return MG_OK;
}

mg_err mg_sqs_feed_poll(mg_sqs *s, mg_sqs_feed *f, size_t max, mg_ms lease_ms, bool wait, mg_ms until) {
  size_t coming = f->stashed;
  mg_ms now = mg_now_ms();
  for (size_t i = 0; i < f->open; i++) coming += f->polls[i].ask.max;
  int visible_s = (int)((lease_ms + 999) / 1000);
  if (visible_s < 1) visible_s = 1;
  if (visible_s > 43200) visible_s = 43200;
  while (coming < max && f->open < f->width && now >= f->next_poll && now >= s->client.slow_until) {
    size_t left = max - coming;
    unsigned n = left < MG_SQS_BATCH ? (unsigned)left : MG_SQS_BATCH;
    /* A poll outlives the process that made it, and may take a task along: the one that waits long is that of an idle worker. */
    int longest = f->held > 0 || f->open > 0 ? HELD_WAIT_S : s->settings.long_poll_s;
    int wait_s = !wait ? 0 : longest < s->settings.long_poll_s ? longest : s->settings.long_poll_s;
    mg_sqs_ask ask = next_ask(s, f, n, visible_s);
    mg_err err = open_poll(s, f, &ask, wait_s, until);
    if (err != MG_OK) return err;
    coming += ask.max;
  }
  return MG_OK;
}

/* --- fetching --- */

/* MG_AGAIN: not now. MG_NOMEM: no memory. */
static mg_err deliver(mg_sqs *s, mg_lease *l, mg_ms until, mg_batch *out) {
  mg_sqs_envelope v;
  mg_error why = {0};
  mg_slice text = {(const uint8_t *)l->text, l->len};
  (void)mg_sqs_envelope_read(&v, text, &s->scratch);
  if (v.object[0] != '\0') {
    mg_err err = mg_sqs_unspill(s, &v, until, &s->scratch, &why);
    if (err != MG_OK) { /* for ever: its body is empty, which nobody can read, and it goes to the dead letters */
      static mg_log_limit limit;
      mg_log_rarely(&limit, 10000, MG_LOG_WARN, "spill_missing", MG_NO_FIELDS, "%s", why.text);
      if (err != MG_LOST) return MG_AGAIN;
      mg_buf_clear(&s->scratch);
    }
  }
  mg_delivery d = {.run = v.kind != 0 ? v.run : "",
                   .task = v.kind != 0 ? v.task : "",
                   .attempt = v.attempt,
                   .again = l->receives > 1,
                   .from = "",
                   .body = mg_buf_slice(&s->scratch),
                   .lease = l};
  if (s->scratch.failed || !mg_batch_add(out, &d)) return MG_NOMEM;
  l->state = MG_SQS_HELD;
  l->feed->held++;
  l->feed->stashed--;
  return MG_OK;
}

/* From the stash. What cannot be read for now stays there; what cannot be handed up, or whose time is nearly over, is dropped: it comes again. */
static size_t take_stash(mg_sqs *s, mg_sqs_feed *f, size_t max, mg_ms until, mg_batch *out) {
  size_t n = 0;
  mg_ms now = mg_now_ms();
  for (mg_lease *l = f->first, *next; l != NULL && n < max && f->stashed > 0; l = next) {
    next = l->next;
    if (l->state != MG_SQS_STASHED) continue;
    mg_err err = l->ends_ms - now > MARGIN_MS ? deliver(s, l, until, out) : MG_LOST;
    n += err == MG_OK;
    if (err == MG_LOST || err == MG_NOMEM) mg_sqs_lease_free(l);
  }
  return n;
}

/* With 120,000 messages in flight long polls come back empty without a word: then the counts tell. */
static void check_full(mg_sqs *s, mg_sqs_feed *f, mg_ms until) {
  mg_ms now = mg_now_ms();
  int64_t pending, in_flight;
  mg_error ignored = {0};
  if (f != &s->tasks || f->empty_ms == 0 || now - f->empty_ms < FULL_AFTER_MS || now < s->inflight_next) return;
  s->inflight_next = now + FULL_EVERY_MS;
  if (mg_sqs_count(s, f->queue, until, &pending, &in_flight, &ignored) != MG_OK) return;
  s->inflight_full = pending > 0 && in_flight >= FULL;
}

static mg_err fault_of(const mg_sqs *s, mg_sqs_feed *f, mg_error *e) {
  mg_err err = f->fault;
  if (err == MG_OK && s->inflight_full && f == &s->tasks)
    return mg_fail(e, MG_AGAIN, "%s has as many messages in flight as SQS allows (120,000): nothing comes until some are settled", f->queue);
  if (err == MG_OK) return MG_OK;
  if (e != NULL) *e = f->why;
  if (err == MG_LOST) return MG_CONN;                   /* opening again will tell */
  if (err == MG_AGAIN && f->failures < 3) return MG_OK; /* it is being tried again */
  f->fault = MG_OK;
  return err;
}

mg_err mg_sqs_feed_fetch(mg_sqs *s, mg_sqs_feed *f, size_t max, mg_ms lease_ms, mg_ms until, mg_batch *out, mg_error *e) {
  bool lasting = s->settings.long_poll_s > 0;
  bool asked = false;
  if (max == 0 || f->closed) {
    if (f->closed) (void)mg_sqs_http_wait(s->client.http, until, s->wake_fd);
    return MG_OK;
  }
  f->asked_ms = mg_now_ms();
  for (;;) {
    mg_sqs_feed_take(s, f);
    if (take_stash(s, f, max, until, out) > 0) return MG_OK;
    mg_err err = fault_of(s, f, e);
    if (err != MG_OK) return err;
    if (asked && mg_now_ms() >= until && (lasting || f->open == 0)) return MG_OK;
    if (!asked || mg_now_ms() < until) (void)mg_sqs_feed_poll(s, f, max, lease_ms, lasting, until + GRACE_MS);
    asked = true;
    check_full(s, f, until);
    /* Short polls are waited for, so that none is left open that would take what is meant for somebody else. */
    mg_ms end = until;
    if (!lasting && f->open > 0)
      end = until + GRACE_MS;
    else if (f->open < f->width && f->next_poll > mg_now_ms() && f->next_poll < until)
      end = f->next_poll;
    mg_err waited = mg_sqs_http_wait(s->client.http, end, !lasting && f->open > 0 ? -1 : s->wake_fd);
    if (waited == MG_AGAIN || (waited == MG_TIMEOUT && mg_now_ms() >= until)) {
      mg_sqs_feed_take(s, f);
      (void)take_stash(s, f, max, until, out);
      return MG_OK;
    }
    f->asked_ms = mg_now_ms();
  }
}

void mg_sqs_feed_rest(mg_sqs *s, mg_sqs_feed *f, mg_ms until, bool all) {
  mg_ms now = mg_now_ms();
  mg_sqs_feed_take(s, f);
  while (f->stashed > 0) {
    mg_sqs_change changes[MG_SQS_BATCH];
    mg_lease *leases[MG_SQS_BATCH];
    size_t n = 0;
    for (mg_lease *l = f->first; l != NULL && n < MG_SQS_BATCH; l = l->next) {
      if (l->state != MG_SQS_STASHED || (!all && (now - l->came_ms < REST_MS || now - f->asked_ms < REST_MS))) continue;
      changes[n] = (mg_sqs_change){f->queue, l->receipt, 0, MG_OK};
      leases[n++] = l;
    }
    if (n == 0) return;
    (void)mg_sqs_change_all(s, changes, n, until, NULL);
    for (size_t i = 0; i < n; i++) mg_sqs_lease_free(leases[i]);
  }
}

void mg_sqs_feed_fini(mg_sqs *s, mg_sqs_feed *f) {
  for (size_t i = 0; i < f->open; i++) mg_sqs_exchange_end(s->client.http, f->polls[i].x);
  f->open = 0;
  while (f->first != NULL) mg_sqs_lease_free(f->first);
}
