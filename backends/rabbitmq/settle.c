/* Settling: acks and requeues need no answer; what goes to another queue is published there, confirmed, and acked then. */
#include "backends/rabbitmq/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* MG_OK: the receiver stands, and each item's err is MG_OK or, for receipts that are void, MG_LOST. */
static mg_err look(mg_rabbit *r, mg_rabbit_feed *f, mg_settle *items, size_t count, mg_error *e) {
  mg_error why = {0};
  mg_err err = r->receiver != NULL ? mg_rabbit_pump(r->receiver, &why) : MG_OK;
  if (err != MG_OK) {
    mg_rabbit_drop(r, r->receiver);
    if (e != NULL) *e = why;
    err = MG_CONN;
  }
  for (size_t i = 0; i < count; i++) {
    items[i].err = err != MG_OK ? err : mg_rabbit_is_held(items[i].lease, f) ? MG_OK : MG_LOST;
  }
  return err;
}

static mg_err send_off(mg_rabbit *r, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  if (r->receiver == NULL) return MG_OK; /* nothing was held */
  mg_error why = {0};
  mg_err err = mg_rabbit_flush(r->receiver, until, &why);
  if (err == MG_OK || err == MG_TIMEOUT || err == MG_AGAIN) return MG_OK; /* queued: it goes out with the next call */
  mg_rabbit_drop(r, r->receiver);
  for (size_t i = 0; i < count; i++) items[i].err = MG_CONN;
  if (e != NULL) *e = why;
  return MG_CONN;
}

static mg_err ack(mg_rabbit *r, mg_rabbit_feed *f, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_err err = look(r, f, items, count, e);
  if (err != MG_OK) return err;
  mg_rabbit_feed_ack(r, f, items, count);
  return send_off(r, items, count, until, e);
}

mg_err mg_rabbit_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  return ack(r, &r->tasks, items, count, until, e);
}

mg_err mg_rabbit_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  return ack(r, &r->results, items, count, until, e);
}

/* Publishes the chosen items to the queues, and acks those that were confirmed. */
static mg_err move(mg_rabbit *r, mg_settle *items, const size_t *chosen, char (*queues)[256], size_t count, bool dead, mg_ms until, mg_error *e) {
  mg_rabbit_out *out = calloc(count + 1, sizeof *out);
  mg_settle *done = calloc(count + 1, sizeof *done);
  mg_err err = MG_OK;
  if (out == NULL || done == NULL) {
    err = mg_fail(e, MG_NOMEM, "no memory to move %zu tasks", count);
    for (size_t i = 0; i < count; i++) items[chosen[i]].err = err;
    goto out;
  }
  for (size_t i = 0; i < count; i++) {
    const mg_settle *s = &items[chosen[i]];
    const mg_lease *l = s->lease;
    out[i] = (mg_rabbit_out){
        .exchange = "", .key = queues[i], .run = l->run, .task = l->task, .attempt = l->attempt, .mandatory = true, .ours = true, .body = {l->bytes, l->len}};
    if (dead) out[i].why = s->why != NULL ? s->why : "";
  }
  err = mg_rabbit_send(r, out, count, until, e);
  for (size_t i = 0; i < count; i++) {
    mg_settle *s = &items[chosen[i]];
    /* The receiver may have gone meanwhile: the task comes again, and its copy is one too many, which counts nothing twice. */
    s->err = out[i].err == MG_LOST ? MG_AGAIN : out[i].err == MG_OK && !mg_rabbit_is_held(s->lease, &r->tasks) ? MG_LOST : out[i].err;
    done[i] = *s;
  }
  mg_rabbit_feed_ack(r, &r->tasks, done, count);
out:
  free(out);
  free(done);
  return err;
}

static mg_err relocate(mg_backend *b, mg_settle *items, size_t count, bool dead, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  mg_error ours = {0};
  size_t *chosen = malloc((count + 1) * sizeof *chosen), n = 0;
  char(*queues)[256] = malloc((count + 1) * sizeof *queues);
  mg_err err = chosen == NULL || queues == NULL ? mg_fail(e, MG_NOMEM, "no memory to settle %zu tasks", count) : look(r, &r->tasks, items, count, e);
  if (err != MG_OK) goto out;
  mg_ms queue_ms = -1;
  for (size_t i = 0; i < count; i++) {
    if (items[i].err != MG_OK) continue;
    if (!dead && items[i].ms <= 0) {
      if (mg_rabbit_is_held(items[i].lease, &r->tasks))
        mg_rabbit_feed_requeue(r, items[i].lease);
      else
        items[i].err = MG_LOST; /* named twice */
      continue;
    }
    if (dead)
      mg_rabbit_dead_queue(r, queues[n]);
    else if (n > 0 && queue_ms == items[i].ms)
      memcpy(queues[n], queues[n - 1], sizeof queues[n]);
    else
      err = mg_rabbit_retry_queue(r, items[i].ms, until, queues[n], &ours);
    if (err != MG_OK) break;
    queue_ms = items[i].ms;
    chosen[n++] = i;
  }
  if (err == MG_OK && n > 0) err = mg_rabbit_ready(r, until, &ours); /* the publisher */
  if (err == MG_OK && n > 0) err = move(r, items, chosen, queues, n, dead, until, &ours);
  for (size_t i = 0; i < count && (err == MG_CONN || err == MG_FATAL); i++) items[i].err = err;
  if (err == MG_OK) err = send_off(r, items, count, until, &ours);
  if (e != NULL && ours.text[0] != '\0') *e = ours;
out:
  free(chosen);
  free(queues);
  return err;
}

mg_err mg_rabbit_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) { return relocate(b, items, count, false, until, e); }

mg_err mg_rabbit_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) { return relocate(b, items, count, true, until, e); }
