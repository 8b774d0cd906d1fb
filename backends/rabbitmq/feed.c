/* Deliveries of one queue: what is here, who holds it, how much more may come. */
#include "backends/rabbitmq/parts.h"

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AMPLE_MS = 1000, REST_MS = 300, CONSUMERS = 16, LOOK_MS = 1000, FIRST_LUMP = 4 };

void mg_rabbit_feed_init(mg_rabbit_feed *f, uint16_t channel, const char *queue, uint32_t limit, uint32_t lump) {
  *f = (mg_rabbit_feed){.channel = channel, .limit = limit, .lump = lump, .epoch = 1, .first_tag = 1};
  (void)snprintf(f->queue, sizeof f->queue, "%s", queue);
}

static bool is_current(const mg_lease *l) { return l->epoch == l->feed->epoch && l->state != MG_RABBIT_SETTLED; }

static void unlink_lease(mg_lease *l) {
  mg_rabbit_feed *f = l->feed;
  if (f->stash == l) f->stash = l->next;
  if (l->previous != NULL)
    l->previous->next = l->next;
  else
    f->first = l->next;
  if (l->next != NULL)
    l->next->previous = l->previous;
  else
    f->last = l->previous;
  free(l->bytes);
  free(l);
}

/* The broker no longer counts it as ours. */
static void leave(mg_lease *l) {
  mg_rabbit_feed *f = l->feed;
  if (l->state == MG_RABBIT_STASHED)
    f->stashed--;
  else
    f->held--;
  if (l->generation == f->generation) f->out--;
}

void mg_rabbit_feed_take_in(mg_rabbit *r, mg_rabbit_feed *f, const mg_rabbit_news *news) {
  const amqp_basic_deliver_t *d = news->method;
  char run[260], task[260];
  const amqp_table_t *headers = &news->properties->headers;
  amqp_table_t none = {0};
  if ((news->properties->_flags & AMQP_BASIC_HEADERS_FLAG) == 0) headers = &none;
  mg_amqp_find_text(headers, "run", run, sizeof run);
  mg_amqp_find_text(headers, "task", task, sizeof task);
  size_t run_len = strlen(run) + 1, task_len = strlen(task) + 1;
  mg_lease *l = malloc(sizeof *l + run_len + task_len);
  uint8_t *bytes = malloc(news->body.len + 1);
  if (l == NULL || bytes == NULL) {
    free(l);
    free(bytes);
    r->no_memory = true;
    return;
  }
  *l = (mg_lease){.previous = f->last, .feed = f, .epoch = f->epoch, .tag = d->delivery_tag, .bytes = bytes, .len = news->body.len, .came_ms = mg_now_ms()};
  l->attempt = (uint32_t)mg_amqp_find_int(headers, "attempt", 0);
  l->again = d->redelivered;
  memcpy(l->texts, run, run_len);
  memcpy(l->texts + run_len, task, task_len);
  l->run = l->texts;
  l->task = l->texts + run_len;
  if (news->body.len > 0) memcpy(bytes, news->body.data, news->body.len);
  unsigned tag = d->consumer_tag.len > 1 && d->consumer_tag.len < 12 ? (unsigned)strtoul((const char *)d->consumer_tag.bytes + 1, NULL, 10) : 0;
  bool active = tag >= f->first_tag && tag < f->first_tag + f->consumers;
  l->generation = active ? f->generation : f->generation - 1;
  if (active) f->out++;
  if (f->last != NULL)
    f->last->next = l;
  else
    f->first = l;
  f->last = l;
  if (f->stash == NULL) f->stash = l;
  f->stashed++;
  f->moved_ms = l->came_ms;
  f->overdue = false;
}

void mg_rabbit_feed_cancelled(mg_rabbit_feed *f) {
  f->first_tag += f->consumers;
  f->consumers = 0;
  f->capacity = f->out = 0;
  f->generation++;
  f->ample_ms = 0;
}

void mg_rabbit_feed_lost(mg_rabbit_feed *f) {
  for (mg_lease *l = f->first, *next; l != NULL; l = next) {
    next = l->next;
    if (l->state == MG_RABBIT_STASHED || l->state == MG_RABBIT_FORGOTTEN) unlink_lease(l);
  }
  mg_rabbit_feed_cancelled(f);
  f->epoch++;
  f->held = f->stashed = 0;
  f->stash = NULL;
}

void mg_rabbit_feed_fini(mg_rabbit_feed *f) {
  while (f->first != NULL) unlink_lease(f->first);
}

static void tag_name(unsigned tag, char out[16]) { (void)snprintf(out, 16, "f%u", tag); }

static mg_err add_consumer(mg_rabbit *r, mg_rabbit_feed *f, size_t prefetch, mg_ms until, mg_error *e) {
  char tag[16];
  if (prefetch > UINT16_MAX) prefetch = UINT16_MAX;
  tag_name(f->first_tag + f->consumers, tag);
  amqp_basic_qos_t qos = {.prefetch_count = (uint16_t)prefetch};
  amqp_basic_consume_t consume = {.queue = mg_amqp_text(f->queue), .consumer_tag = mg_amqp_text(tag)};
  mg_rabbit_put(r->receiver, f->channel, AMQP_BASIC_QOS_METHOD, &qos);
  unsigned generation = f->generation;
  f->consumers++;
  f->capacity += prefetch;
  f->moved_ms = mg_now_ms();
  f->overdue = false;
  mg_err err = mg_rabbit_ask(r->receiver, f->channel, AMQP_BASIC_CONSUME_METHOD, &consume, AMQP_BASIC_CONSUME_OK_METHOD, 0, until, NULL, e);
  if (err == MG_OK) return MG_OK;
  if (e->detail == AMQP_NOT_FOUND) r->declared = false; /* deleted between the declaration and now: the next call declares it */
  if (f->generation == generation) mg_rabbit_feed_cancelled(f);
  return mg_rabbit_after(r, err);
}

static void cancel_all(mg_rabbit *r, mg_rabbit_feed *f) {
  for (unsigned i = 0; i < f->consumers; i++) {
    char tag[16];
    tag_name(f->first_tag + i, tag);
    amqp_basic_cancel_t cancel = {.consumer_tag = mg_amqp_text(tag), .nowait = 1};
    mg_rabbit_put(r->receiver, f->channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
  }
  mg_rabbit_feed_cancelled(f);
}

void mg_rabbit_feed_requeue(mg_rabbit *r, mg_lease *l) {
  amqp_basic_nack_t nack = {.delivery_tag = l->tag, .requeue = 1};
  mg_rabbit_put(r->receiver, l->feed->channel, AMQP_BASIC_NACK_METHOD, &nack);
  leave(l);
  l->state = MG_RABBIT_SETTLED;
}

static void give_back_stash(mg_rabbit *r, mg_rabbit_feed *f) {
  for (mg_lease *l = f->stash, *next; l != NULL; l = next) {
    next = l->next;
    mg_rabbit_feed_requeue(r, l);
    unlink_lease(l);
  }
  f->stash = NULL;
}

void mg_rabbit_feed_rest(mg_rabbit *r, mg_rabbit_feed *f) {
  if (r->receiver == NULL || !mg_rabbit_channel_is_open(r->receiver, f->channel)) return;
  if (f->stashed == 0 && f->capacity <= f->out) return;
  if (mg_now_ms() - f->asked_ms < REST_MS) return;
  cancel_all(r, f);
  give_back_stash(r, f);
}

/* How many of max have still to come. */
static size_t lacking(const mg_rabbit_feed *f, size_t max) {
  size_t room = f->limit > f->held ? f->limit - f->held : 0, want = max < room ? max : room;
  return want > f->stashed ? want - f->stashed : 0;
}

/* As many may come as are asked for: no more, or other workers would wait for what lies here. Nor are many asked for at once where few ever wait: only
 * when all that may come has come, as much again may. */
static mg_err open_for(mg_rabbit *r, mg_rabbit_feed *f, size_t max, mg_ms until, mg_error *e) {
  mg_err err = mg_rabbit_channel(r->receiver, f->channel, until, NULL, e);
  if (err != MG_OK) return mg_rabbit_after(r, err);
  mg_ms now = mg_now_ms();
  size_t want = lacking(f, max), credit = f->capacity - f->out;
  if (f->lump <= 1 && (credit > want || f->stashed > max)) {
    /* What is soon done here stays: given back it would come to others as what somebody had before, and they would begin it with care. But no beat names what
     * lies here: for long it must not, or it passes for lost. */
    bool stale = f->stashed > max && now - f->stash->came_ms >= AMPLE_MS;
    if (f->ample_ms == 0) f->ample_ms = now;
    if (!stale && now - f->ample_ms < AMPLE_MS) return MG_OK;
    if (f->consumers > 0) cancel_all(r, f);
    if (stale) give_back_stash(r, f);
    credit = 0;
    want = lacking(f, max);
  }
  f->ample_ms = 0;
  if (want <= credit || (f->lump <= 1 && credit > 0)) return MG_OK;
  size_t most = f->capacity > FIRST_LUMP ? f->capacity : FIRST_LUMP;
  if (f->consumers == CONSUMERS) cancel_all(r, f);
  size_t more = want - (f->capacity - f->out);
  if (f->lump <= 1 && more > most) more = most;
  return add_consumer(r, f, more < f->lump ? f->lump : more, until, e);
}

static size_t take(mg_rabbit_feed *f, size_t max, mg_batch *out, bool *no_memory) {
  size_t got = 0;
  while (got < max && f->stash != NULL && f->held < f->limit) {
    mg_lease *l = f->stash;
    mg_delivery d = {.run = l->run, .task = l->task, .attempt = l->attempt, .again = l->again, .from = "", .body = {l->bytes, l->len}, .lease = l};
    *no_memory = !mg_batch_add(out, &d);
    if (*no_memory) break;
    l->state = MG_RABBIT_HELD;
    f->stash = l->next;
    f->stashed--;
    f->held++;
    got++;
    if (f->channel != MG_RABBIT_TASKS) {
      free(l->bytes);
      l->bytes = NULL;
      l->len = 0;
    }
  }
  return got;
}

/* A quorum queue that was deleted and made again at once forgets its consumers without a word (RabbitMQ 3.10): messages wait, more of them may come here, and
 * nothing does. Where that is seen twice in a row the connection is made anew. */
static mg_err look_for_more(mg_rabbit *r, mg_rabbit_feed *f, mg_ms until, mg_error *e) {
  mg_ms now = mg_now_ms();
  int64_t waiting = 0;
  if (f->closed || f->capacity <= f->out || now - f->moved_ms < LOOK_MS || now < f->look_ms) return MG_OK;
  f->look_ms = now + LOOK_MS;
  mg_err err = mg_rabbit_count(r, f->queue, until, &waiting, e);
  if (err != MG_OK) return err;
  bool overdue = waiting > 0 && mg_now_ms() - f->moved_ms >= LOOK_MS;
  if (overdue && f->overdue && r->receiver != NULL) {
    mg_log(MG_LOG_WARN, "broker_notice", MG_FIELDS(MG_LT("queue_name", f->queue)), "nothing comes from the queue %s though %lld messages wait: connecting anew",
           f->queue, (long long)waiting);
    mg_rabbit_drop(r, r->receiver);
  }
  f->overdue = overdue;
  return MG_OK;
}

mg_err mg_rabbit_feed_fetch(mg_rabbit *r, mg_rabbit_feed *f, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  bool no_memory = false;
  for (;;) {
    mg_err err = mg_rabbit_ready(r, until, e);
    if (err != MG_OK || max == 0) return err;
    f->asked_ms = mg_now_ms();
    if (!f->closed) err = open_for(r, f, max, until, e);
    if (err != MG_OK) return err;
    size_t got = take(f, max, out, &no_memory);
    if (got > 0) return MG_OK;
    if (no_memory) return mg_fail(e, MG_NOMEM, "no memory left to fetch from %s", f->queue);
    if (mg_now_ms() >= until) return MG_OK;
    err = look_for_more(r, f, until, e);
    if (err != MG_OK) return err;
    if (r->receiver == NULL) continue;
    mg_ms end = f->ample_ms != 0 && f->ample_ms + AMPLE_MS < until ? f->ample_ms + AMPLE_MS : until;
    if (mg_rabbit_wait(r->receiver, r->publisher, end, r->wake_fd) == MG_AGAIN) return MG_OK;
  }
}

bool mg_rabbit_is_held(const mg_lease *l, const mg_rabbit_feed *f) { return l != NULL && l->feed == f && l->epoch == f->epoch && l->state == MG_RABBIT_HELD; }

static void put_ack(mg_rabbit *r, const mg_rabbit_feed *f, uint64_t tag, bool multiple) {
  amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple};
  mg_rabbit_put(r->receiver, f->channel, AMQP_BASIC_ACK_METHOD, &ack);
}

static void settled(mg_lease *l) {
  leave(l);
  l->state = MG_RABBIT_SETTLED;
  free(l->bytes);
  l->bytes = NULL;
  l->len = 0;
}

void mg_rabbit_feed_ack(mg_rabbit *r, mg_rabbit_feed *f, mg_settle *items, size_t count) {
  uint64_t together = 0;
  for (size_t i = 0; i < count; i++) {
    if (items[i].err == MG_OK) items[i].lease->state = MG_RABBIT_SETTLING;
  }
  for (mg_lease *l = f->first; l != NULL; l = l->next) {
    if (!is_current(l)) continue;
    if (l->state != MG_RABBIT_SETTLING) break;
    together = l->tag;
    settled(l);
  }
  if (together > 0) put_ack(r, f, together, true);
  for (size_t i = 0; i < count; i++) {
    mg_lease *l = items[i].lease;
    if (items[i].err != MG_OK || l->state != MG_RABBIT_SETTLING) continue;
    put_ack(r, f, l->tag, false);
    settled(l);
  }
}

void mg_rabbit_forget(mg_rabbit *r, mg_lease *l) {
  (void)r;
  if (l == NULL) return;
  if (!is_current(l)) {
    unlink_lease(l);
    return;
  }
  l->state = MG_RABBIT_FORGOTTEN;
  free(l->bytes);
  l->bytes = NULL;
  l->len = 0;
}
