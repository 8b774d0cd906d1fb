/* Dead letters, and tasks of a run that is purged: walked through with basic.get on the admin channel; what is not to go is given back. */
#include "backends/rabbitmq/parts.h"

#include <stdlib.h>
#include <string.h>

typedef enum purpose { LIST, REDRIVE, PURGE, PURGE_TASKS } purpose;

typedef struct walk {
  const char *run;
  const char *const *tasks; /* NULL: all */
  size_t count, max;
  purpose purpose;
  mg_batch *out; /* LIST */
  mg_batch seen; /* run and task of those that matched: repeats are one entry */
  size_t moved;
} walk;

static bool wanted(const walk *w, const mg_delivery *d) {
  if (w->run != NULL && strcmp(d->run, w->run) != 0) return false;
  if (w->tasks == NULL) return true;
  for (size_t i = 0; i < w->count; i++) {
    if (strcmp(d->task, w->tasks[i]) == 0) return true;
  }
  return false;
}

static bool is_repeat(const walk *w, const mg_delivery *d) {
  for (size_t i = 0; i < w->seen.count; i++) {
    if (strcmp(w->seen.items[i].task, d->task) == 0 && strcmp(w->seen.items[i].run, d->run) == 0) return true;
  }
  return false;
}

static mg_err get(mg_rabbit *r, const char *queue, mg_ms until, bool *got, mg_error *e) {
  amqp_basic_get_t g = {.queue = mg_amqp_text(queue)};
  mg_rabbit_reply reply;
  mg_batch_clear(&r->gets);
  mg_err err = mg_rabbit_ask(r->receiver, MG_RABBIT_ADMIN, AMQP_BASIC_GET_METHOD, &g, AMQP_BASIC_GET_OK_METHOD, AMQP_BASIC_GET_EMPTY_METHOD, until, &reply, e);
  *got = err == MG_OK && reply.id == AMQP_BASIC_GET_OK_METHOD;
  if (*got && r->gets.count == 0) return mg_fail(e, MG_NOMEM, "no memory for a dead letter");
  return err;
}

static mg_err put_back_on(mg_rabbit *r, const mg_delivery *d, mg_ms until, mg_error *e) {
  mg_rabbit_out out = {.exchange = r->settings.exchange,
                       .key = r->settings.routing_key,
                       .run = d->run,
                       .task = d->task,
                       .attempt = d->attempt,
                       .ttl_ms = r->settings.retention_ms,
                       .mandatory = true,
                       .ours = true,
                       .body = d->body};
  mg_err err = mg_rabbit_send(r, &out, 1, until, e);
  if (err != MG_OK) return err;
  return out.err == MG_LOST ? mg_fail(e, MG_AGAIN, "the broker has no queue %s", r->settings.queue) : out.err;
}

/* *gone: the letter is to leave the queue. */
static mg_err look_at(mg_rabbit *r, walk *w, const mg_delivery *d, mg_ms until, bool *gone, mg_error *e) {
  *gone = false;
  if (!wanted(w, d)) return MG_OK;
  if (w->purpose == PURGE_TASKS) {
    *gone = true;
    w->moved++;
    return MG_OK;
  }
  bool repeat = is_repeat(w, d);
  mg_delivery name = {.run = d->run, .task = d->task, .from = ""};
  mg_err err = MG_OK;
  if (w->purpose == LIST) {
    if (repeat) return MG_OK;
    if (!mg_batch_add(w->out, d)) return mg_fail(e, MG_NOMEM, "no memory to list dead letters");
  } else if (w->purpose == REDRIVE && !repeat) {
    err = put_back_on(r, d, until, e);
  }
  if (err != MG_OK) return err;
  *gone = w->purpose != LIST;
  if (repeat) return MG_OK;
  w->moved++;
  return mg_batch_add(&w->seen, &name) ? MG_OK : mg_fail(e, MG_NOMEM, "no memory to go through dead letters");
}

static mg_err go_through(mg_rabbit *r, const char *queue, walk *w, mg_ms until, mg_error *e) {
  mg_error ours = {0};
  mg_err err = mg_rabbit_ready(r, until, &ours);
  if (err == MG_OK) err = mg_rabbit_admin(r, until, &ours);
  bool kept = false, got = true;
  while (err == MG_OK && w->moved < w->max) {
    err = get(r, queue, until, &got, &ours);
    if (err != MG_OK || !got) break;
    uint64_t tag = r->got_tag;
    bool gone = false;
    mg_batch letter = r->gets; /* what follows may bring others */
    r->gets = (mg_batch){0};
    err = look_at(r, w, &letter.items[0], until, &gone, &ours);
    mg_batch_clear(&letter);
    if (gone && r->receiver != NULL) {
      amqp_basic_ack_t a = {.delivery_tag = tag};
      mg_rabbit_put(r->receiver, MG_RABBIT_ADMIN, AMQP_BASIC_ACK_METHOD, &a);
    } else {
      kept = true;
    }
    if (err == MG_OK && mg_now_ms() >= until) err = mg_fail(&ours, MG_TIMEOUT, "not all messages of %s could be looked at in time", queue);
  }
  if (kept && r->receiver != NULL && mg_rabbit_channel_is_open(r->receiver, MG_RABBIT_ADMIN)) {
    amqp_basic_nack_t n = {.delivery_tag = 0, .multiple = 1, .requeue = 1}; /* all that came on this channel */
    mg_rabbit_put(r->receiver, MG_RABBIT_ADMIN, AMQP_BASIC_NACK_METHOD, &n);
  }
  if (r->receiver != NULL) (void)mg_rabbit_flush(r->receiver, until, NULL);
  mg_batch_clear(&w->seen);
  err = mg_rabbit_after(r, err);
  if (err != MG_OK && e != NULL) *e = ours;
  return err;
}

static mg_err go_through_dead(mg_rabbit *r, walk *w, mg_ms until, mg_error *e) {
  char queue[256];
  mg_rabbit_dead_queue(r, queue);
  return go_through(r, queue, w, until, e);
}

mg_err mg_rabbit_purge_tasks(mg_rabbit *r, const char *queue, const char *run, mg_ms until, size_t *removed, mg_error *e) {
  walk w = {.run = run, .max = SIZE_MAX, .purpose = PURGE_TASKS};
  mg_err err = go_through(r, queue, &w, until, e);
  *removed += w.moved;
  return err;
}

mg_err mg_rabbit_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  walk w = {.run = run, .max = max, .purpose = LIST, .out = out};
  return go_through_dead(mg_rabbit_of(b), &w, until, e);
}

mg_err mg_rabbit_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  walk w = {.run = run, .tasks = tasks, .count = count, .max = SIZE_MAX, .purpose = REDRIVE};
  mg_err err = go_through_dead(mg_rabbit_of(b), &w, until, e);
  *moved = w.moved;
  return err;
}

mg_err mg_rabbit_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  walk w = {.run = run, .tasks = tasks, .count = count, .max = SIZE_MAX, .purpose = PURGE};
  mg_err err = go_through_dead(mg_rabbit_of(b), &w, until, e);
  *moved = w.moved;
  return err;
}
