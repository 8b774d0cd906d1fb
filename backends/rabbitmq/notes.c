/* Beats and controls: fanned out, kept here by sender or subject until a newer one comes or they expire. */
#include "backends/rabbitmq/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELLO "hello" /* routing key of a new coordinator's word to workers */
#define DELAY "delay" /* of a word to coordinators: tasks wait in the queue that it is from */
enum { CALM_MS = 5000, LEAVES_MS = 5000 };

void mg_rabbit_note_take_in(mg_rabbit *r, const mg_rabbit_news *news) {
  char from[260] = "", ttl_text[24] = "";
  const amqp_basic_properties_t *p = news->properties;
  const amqp_basic_deliver_t *d = news->method;
  if (d->routing_key.len == strlen(HELLO) && memcmp(d->routing_key.bytes, HELLO, strlen(HELLO)) == 0) {
    r->say_again = true;
    return;
  }
  if (d->exchange.len == 0) { /* not fanned out: a probe of our own */
    r->probe_back = r->probe_back || (news->body.len == sizeof r->probe && memcmp(news->body.data, &r->probe, sizeof r->probe) == 0);
    return;
  }
  if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) == 0 || (p->_flags & AMQP_BASIC_EXPIRATION_FLAG) == 0) return; /* not ours */
  mg_amqp_find_text(&p->headers, "from", from, sizeof from);
  (void)snprintf(ttl_text, sizeof ttl_text, "%.*s", (int)p->expiration.len, (const char *)p->expiration.bytes);
  bool fresh = false;
  if (d->routing_key.len == strlen(DELAY) && memcmp(d->routing_key.bytes, DELAY, strlen(DELAY)) == 0) {
    (void)mg_newest_put(&r->delays, from, (mg_slice){0}, mg_now_ms() + strtoll(ttl_text, NULL, 10), NULL);
    return;
  }
  /* One that memory does not suffice for is lost like one the network lost: the next one comes. */
  if (mg_newest_put(&r->notes, from, news->body, mg_now_ms() + strtoll(ttl_text, NULL, 10), &fresh) && fresh && r->run != NULL) r->say_again = true;
}

static mg_err say(mg_rabbit *r, const char *kind, const char *from, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  char exchange[256];
  (void)snprintf(exchange, sizeof exchange, "%s.%s", r->settings.queue, kind);
  return mg_rabbit_throw(r, exchange, "", from, body, ttl_ms, until, e);
}

mg_err mg_rabbit_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  (void)mg_newest_put(&r->said, r->identity, body, mg_now_ms() + ttl_ms, NULL);
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
  mg_newest_expire(&r->delays, mg_now_ms());
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

static mg_err probe(mg_rabbit *r, mg_ms until, mg_error *e) {
  r->probe++;
  r->probe_back = false;
  r->probe_out = true;
  return mg_rabbit_throw(r, "", r->notes_queue, NULL, (mg_slice){(const uint8_t *)&r->probe, sizeof r->probe}, 0, until, e);
}

/* Silence means something once a message of our own has come through the queue that the beats come through: all beats before it are here, and the
 * broker takes messages. An alarm of it stops everybody's beats, and a connection that publishes nothing is not told of it. While the alarm lasts,
 * and for a moment after it, the read fails with MG_AGAIN. */
static mg_err check_alarm(mg_rabbit *r, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  r->probe_out = false;
  do {
    if (!mg_rabbit_blocked(r->publisher) && !r->probe_out) err = probe(r, until, e);
    if (mg_rabbit_blocked(r->publisher)) {
      r->unblocked_ms = mg_now_ms();
      return mg_rabbit_blocked_fault(r->publisher, e);
    }
    if (err != MG_OK) return err;
    if (mg_rabbit_wait(r->receiver, r->publisher, until, -1) == MG_TIMEOUT) {
      return mg_fail(e, MG_TIMEOUT, "%s did not bring a message back in time", mg_rabbit_where(r->receiver));
    }
    err = mg_rabbit_ready(r, until, e);
    if (err != MG_OK) return err;
  } while (!r->probe_back);
  if (r->unblocked_ms != 0 && mg_now_ms() - r->unblocked_ms < CALM_MS) {
    return mg_fail(e, MG_AGAIN, "%s takes messages again; waiting for the workers' beats", mg_rabbit_where(r->publisher));
  }
  return MG_OK;
}

mg_err mg_rabbit_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  if (r->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator reads beats: this backend was opened without a run");
  mg_err err = mg_rabbit_ready(r, until, e);
  if (err == MG_OK) err = check_alarm(r, until, e);
  return err == MG_OK ? mg_newest_give(&r->notes, true, out, e) : err;
}

/* What was said before is fanned out once more: a coordinator's controls for a worker that is new, a worker's beat for a coordinator. */
mg_err mg_rabbit_say_again(mg_rabbit *r, mg_ms until, mg_error *e) {
  mg_ms now = mg_now_ms();
  mg_err err = MG_OK;
  r->say_again = false;
  mg_newest_expire(&r->said, now);
  for (size_t i = 0; i < r->said.count && (err == MG_OK || err == MG_AGAIN || err == MG_TIMEOUT); i++) {
    const mg_newest_item *note = &r->said.items[i];
    err = say(r, r->run != NULL ? "controls" : "beats", note->subject, (mg_slice){note->body, note->len}, note->expires - now, until, e);
  }
  return err == MG_AGAIN || err == MG_TIMEOUT ? MG_OK : err; /* the next one will do */
}

mg_err mg_rabbit_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  char exchange[256];
  if (strlen(subject) > 255) return mg_fail(e, MG_ARG, "the subject of a control must have at most 255 bytes");
  mg_err err = mg_rabbit_ready(r, until, e);
  if (err != MG_OK) return err;
  (void)snprintf(exchange, sizeof exchange, "%s.controls", r->settings.queue);
  mg_rabbit_out out = {.exchange = exchange, .key = "", .subject = subject, .ttl_ms = ttl_ms, .body = body};
  (void)mg_newest_put(&r->said, subject, body, mg_now_ms() + ttl_ms, NULL);
  err = mg_rabbit_send(r, &out, 1, until, e);
  return err == MG_OK && out.err != MG_OK ? out.err : err;
}

mg_err mg_rabbit_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  mg_err err = mg_rabbit_ready(r, until, e);
  return err == MG_OK ? mg_newest_give(&r->notes, false, out, e) : err;
}
