/* Beats and controls: fanned out, kept here by sender or subject until a newer one comes or they expire. */
#include "backends/rabbitmq/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELLO "hello" /* routing key of a new coordinator's word to workers */
#define DELAY "delay" /* of a word to coordinators: tasks wait in the queue that it is from */
enum { PROBE_MS = 5000, CALM_MS = 5000, LEAVES_MS = 5000 };

static void drop_note(mg_rabbit_notes *n, size_t i) {
  free(n->items[i].subject);
  free(n->items[i].body);
  n->items[i] = n->items[--n->count];
}

static void expire(mg_rabbit_notes *n, mg_ms now) {
  for (size_t i = n->count; i > 0; i--) {
    if (n->items[i - 1].expires <= now) drop_note(n, i - 1);
  }
}

/* *fresh: nothing was known under the subject. */
static bool put(mg_rabbit_notes *n, const char *subject, mg_slice body, mg_ms expires, bool *fresh) {
  size_t i = 0;
  while (i < n->count && strcmp(n->items[i].subject, subject) != 0) i++;
  *fresh = i == n->count;
  uint8_t *copy = malloc(body.len + 1);
  char *name = *fresh ? strdup(subject) : NULL;
  if (copy == NULL || (*fresh && name == NULL)) goto no_memory;
  if (*fresh && n->count == n->cap) {
    size_t cap = n->cap == 0 ? 16 : 2 * n->cap;
    mg_rabbit_note *grown = realloc(n->items, cap * sizeof *grown);
    if (grown == NULL) goto no_memory;
    n->items = grown;
    n->cap = cap;
  }
  if (*fresh)
    n->items[n->count++] = (mg_rabbit_note){.subject = name};
  else
    free(n->items[i].body);
  if (body.len > 0) memcpy(copy, body.data, body.len);
  n->items[i].body = copy;
  n->items[i].len = body.len;
  n->items[i].expires = expires;
  return true;
no_memory:
  free(copy);
  free(name);
  return false;
}

bool mg_rabbit_notes_have(const mg_rabbit_notes *n, const char *subject) {
  for (size_t i = 0; i < n->count; i++) {
    if (strcmp(n->items[i].subject, subject) == 0) return true;
  }
  return false;
}

void mg_rabbit_notes_fini(mg_rabbit_notes *n) {
  while (n->count > 0) drop_note(n, n->count - 1);
  free(n->items);
  *n = (mg_rabbit_notes){0};
}

void mg_rabbit_note_take_in(mg_rabbit *r, const mg_rabbit_news *news) {
  char from[260] = "", ttl_text[24] = "";
  const amqp_basic_properties_t *p = news->properties;
  const amqp_basic_deliver_t *d = news->method;
  if (d->routing_key.len == strlen(HELLO) && memcmp(d->routing_key.bytes, HELLO, strlen(HELLO)) == 0) {
    r->say_again = true;
    return;
  }
  if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) == 0 || (p->_flags & AMQP_BASIC_EXPIRATION_FLAG) == 0) return; /* not ours, or a probe of our own */
  mg_amqp_find_text(&p->headers, "from", from, sizeof from);
  (void)snprintf(ttl_text, sizeof ttl_text, "%.*s", (int)p->expiration.len, (const char *)p->expiration.bytes);
  bool fresh = false;
  if (d->routing_key.len == strlen(DELAY) && memcmp(d->routing_key.bytes, DELAY, strlen(DELAY)) == 0) {
    (void)put(&r->delays, from, (mg_slice){0}, mg_now_ms() + strtoll(ttl_text, NULL, 10), &fresh);
    return;
  }
  /* One that memory does not suffice for is lost like one the network lost: the next one comes. */
  if (put(&r->notes, from, news->body, mg_now_ms() + strtoll(ttl_text, NULL, 10), &fresh) && fresh && r->run != NULL) r->say_again = true;
}

static mg_err give(mg_rabbit *r, bool from, mg_batch *out, mg_error *e) {
  expire(&r->notes, mg_now_ms());
  for (size_t i = 0; i < r->notes.count; i++) {
    const mg_rabbit_note *n = &r->notes.items[i];
    mg_delivery d = {.run = "", .task = "", .from = from ? n->subject : "", .body = {n->body, n->len}};
    if (!mg_batch_add(out, &d)) return mg_fail(e, MG_NOMEM, "no memory left to read beats or controls");
  }
  return MG_OK;
}

static mg_err say(mg_rabbit *r, const char *kind, const char *from, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  char exchange[256];
  (void)snprintf(exchange, sizeof exchange, "%s.%s", r->settings.queue, kind);
  return mg_rabbit_throw(r, exchange, "", from, body, ttl_ms, until, e);
}

mg_err mg_rabbit_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  bool fresh;
  (void)put(&r->said, r->identity, body, mg_now_ms() + ttl_ms, &fresh);
  mg_err err = mg_rabbit_ready(r, until, e);
  return err == MG_OK ? say(r, "beats", r->identity, body, ttl_ms, until, e) : err;
}

void mg_rabbit_tell_delay(mg_rabbit *r, const char *queue, mg_ms ttl_ms) {
  char exchange[256];
  (void)snprintf(exchange, sizeof exchange, "%s.beats", r->settings.queue);
  mg_rabbit_put_plain(r, exchange, DELAY, queue, (mg_slice){0}, ttl_ms + LEAVES_MS);
}

mg_err mg_rabbit_count_delayed(mg_rabbit *r, mg_ms until, int64_t *out, mg_error *e) {
  mg_err err = MG_OK;
  *out = 0;
  expire(&r->delays, mg_now_ms());
  for (size_t i = 0; i < r->delays.count && err == MG_OK; i++) {
    char queue[256];
    int64_t n;
    (void)snprintf(queue, sizeof queue, "%s", r->delays.items[i].subject); /* what comes while the broker answers may move them */
    err = mg_rabbit_count(r, queue, until, &n, e);
    if (err == MG_OK && n > 0) *out += n;
  }
  return err;
}

mg_err mg_rabbit_hello(mg_rabbit *r, mg_ms until, mg_error *e) {
  char exchange[256];
  (void)snprintf(exchange, sizeof exchange, "%s.controls", r->settings.queue);
  return mg_rabbit_throw(r, exchange, HELLO, NULL, (mg_slice){0}, 0, until, e);
}

/* An alarm of the broker stops everybody's beats, and a connection that publishes nothing is not told of it: something is published now and
 * then, to our own queue. While the alarm lasts, and for a moment after it, silence means nothing: the read fails with MG_AGAIN. */
static mg_err check_alarm(mg_rabbit *r, mg_ms until, mg_error *e) {
  mg_ms now = mg_now_ms();
  if (mg_rabbit_blocked(r->publisher)) {
    r->unblocked_ms = now;
    return mg_rabbit_blocked_fault(r->publisher, e);
  }
  if (now - r->probed_ms >= PROBE_MS) {
    r->probed_ms = now;
    mg_err err = mg_rabbit_throw(r, "", r->notes_queue, NULL, (mg_slice){0}, 0, until, e);
    if (err != MG_OK) return err;
  }
  if (r->unblocked_ms != 0 && now - r->unblocked_ms < CALM_MS) {
    return mg_fail(e, MG_AGAIN, "%s takes messages again; waiting for the workers' beats", mg_rabbit_where(r->publisher));
  }
  return MG_OK;
}

mg_err mg_rabbit_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  if (r->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator reads beats: this backend was opened without a run");
  mg_err err = mg_rabbit_ready(r, until, e);
  if (err == MG_OK) err = check_alarm(r, until, e);
  return err == MG_OK ? give(r, true, out, e) : err;
}

/* What was said before is fanned out once more: a coordinator's controls for a worker that is new, a worker's beat for a coordinator. */
mg_err mg_rabbit_say_again(mg_rabbit *r, mg_ms until, mg_error *e) {
  mg_ms now = mg_now_ms();
  mg_err err = MG_OK;
  r->say_again = false;
  expire(&r->said, now);
  for (size_t i = 0; i < r->said.count && (err == MG_OK || err == MG_AGAIN || err == MG_TIMEOUT); i++) {
    const mg_rabbit_note *note = &r->said.items[i];
    err = say(r, r->run != NULL ? "controls" : "beats", note->subject, (mg_slice){note->body, note->len}, note->expires - now, until, e);
  }
  return err == MG_AGAIN || err == MG_TIMEOUT ? MG_OK : err; /* the next one will do */
}

mg_err mg_rabbit_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  char exchange[256];
  bool fresh;
  if (strlen(subject) > 255) return mg_fail(e, MG_ARG, "the subject of a control must have at most 255 bytes");
  mg_err err = mg_rabbit_ready(r, until, e);
  if (err != MG_OK) return err;
  (void)snprintf(exchange, sizeof exchange, "%s.controls", r->settings.queue);
  mg_rabbit_out out = {.exchange = exchange, .key = "", .subject = subject, .ttl_ms = ttl_ms, .body = body};
  (void)put(&r->said, subject, body, mg_now_ms() + ttl_ms, &fresh);
  err = mg_rabbit_send(r, &out, 1, until, e);
  return err == MG_OK && out.err != MG_OK ? out.err : err;
}

mg_err mg_rabbit_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  mg_err err = mg_rabbit_ready(r, until, e);
  return err == MG_OK ? give(r, false, out, e) : err;
}
