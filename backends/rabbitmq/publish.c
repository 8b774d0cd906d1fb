/* Publishing with confirms: a window of messages is out at once, and what the broker says about each is noted by its tag. */
#include "backends/rabbitmq/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 512, UNSENT_BYTES = 4 << 20, WHY_BYTES = 1000, ROUNDS = 3 };

static void confirm(mg_rabbit *r, uint64_t tag, mg_err err) {
  if (tag < r->sending_tag || tag - r->sending_tag >= r->sending_count) return; /* of a call that gave up */
  mg_rabbit_out *m = &r->sending[tag - r->sending_tag];
  if (m->confirmed) return;
  m->confirmed = true;
  m->err = m->returned ? MG_LOST : err;
  r->confirmed++;
}

static void on_answer(mg_rabbit *r, uint64_t tag, bool multiple, mg_err err) {
  /* Confirms come out of order: "multiple" means all up to the tag that have not been answered yet. */
  mg_rabbit_late_answer(r, tag, multiple, err);
  if (multiple) {
    for (uint64_t t = r->sending_tag + r->low; t < tag; t++) confirm(r, t, err);
  }
  confirm(r, tag, err);
  while (r->low < r->sending_count && r->sending[r->low].confirmed) r->low++;
}

void mg_rabbit_on_publisher(void *owner, const mg_rabbit_news *news) {
  mg_rabbit *r = owner;
  if (news->id == AMQP_CHANNEL_CLOSE_METHOD) {
    const amqp_channel_close_t *m = news->method;
    if (news->channel == MG_RABBIT_CONFIRMED) r->publish_fault = m->reply_code;
    if (m->reply_code == AMQP_NOT_FOUND) r->declared = false; /* an exchange was deleted */
    const char *most = NULL;
    char text[256];
    (void)snprintf(text, sizeof text, "%.*s", (int)m->reply_text.len, (const char *)m->reply_text.bytes);
    most = strstr(text, "max size ");
    if (m->reply_code == AMQP_PRECONDITION_FAILED && most != NULL) r->largest = strtoll(most + strlen("max size "), NULL, 10);
    return;
  }
  if (news->channel != MG_RABBIT_CONFIRMED) return;
  if (news->id == AMQP_BASIC_ACK_METHOD) {
    const amqp_basic_ack_t *m = news->method;
    on_answer(r, m->delivery_tag, m->multiple, MG_OK);
  } else if (news->id == AMQP_BASIC_NACK_METHOD) {
    const amqp_basic_nack_t *m = news->method;
    on_answer(r, m->delivery_tag, m->multiple, MG_AGAIN);
  } else if (news->id == AMQP_BASIC_RETURN_METHOD && (news->properties->_flags & AMQP_BASIC_CORRELATION_ID_FLAG) != 0) {
    char id[24]; /* the return comes before the message's own ack, and names no tag */
    (void)snprintf(id, sizeof id, "%.*s", (int)news->properties->correlation_id.len, (const char *)news->properties->correlation_id.bytes);
    uint64_t tag = strtoull(id, NULL, 10);
    if (tag >= r->sending_tag && tag - r->sending_tag < r->sending_count) r->sending[tag - r->sending_tag].returned = true;
    else mg_rabbit_late_return(r, tag);
  }
}

static void put_message(mg_rabbit *r, uint16_t channel, const mg_rabbit_out *m, const char *from, const char *id) {
  amqp_table_entry_t headers[5];
  char ttl[24], why[WHY_BYTES + 1];
  int n = 0;
  if (m->run != NULL) headers[n++] = mg_amqp_entry_text("run", m->run);
  if (m->task != NULL) headers[n++] = mg_amqp_entry_text("task", m->task);
  if (m->task != NULL) headers[n++] = mg_amqp_entry_int("attempt", m->attempt);
  if (from != NULL) headers[n++] = mg_amqp_entry_text("from", from);
  if (m->why != NULL) {
    (void)snprintf(why, sizeof why, "%s", m->why);
    headers[n++] = mg_amqp_entry_text("why", why);
  }
  amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = r->settings.durable && channel == MG_RABBIT_CONFIRMED ? 2 : 1};
  if (n > 0) {
    p._flags |= AMQP_BASIC_HEADERS_FLAG;
    p.headers = (amqp_table_t){n, headers};
  }
  if (m->ttl_ms > 0) {
    (void)snprintf(ttl, sizeof ttl, "%" PRId64, m->ttl_ms < 2000000000 ? m->ttl_ms : 2000000000);
    p._flags |= AMQP_BASIC_EXPIRATION_FLAG;
    p.expiration = mg_amqp_text(ttl);
  }
  if (id != NULL) {
    p._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
    p.correlation_id = mg_amqp_text(id);
  }
  amqp_basic_publish_t method = {.exchange = mg_amqp_text(m->exchange), .routing_key = mg_amqp_text(m->key), .mandatory = m->mandatory};
  mg_rabbit_put(r->publisher, channel, AMQP_BASIC_PUBLISH_METHOD, &method);
  mg_rabbit_put_content(r->publisher, channel, &p, m->body);
}

void mg_rabbit_put_plain(mg_rabbit *r, const char *exchange, const char *key, const char *from, mg_slice body, mg_ms ttl_ms) {
  if (r->publisher == NULL || mg_rabbit_blocked(r->publisher) || !mg_rabbit_channel_is_open(r->publisher, MG_RABBIT_PLAIN)) return;
  mg_rabbit_out m = {.exchange = exchange, .key = key, .ttl_ms = ttl_ms, .body = body};
  put_message(r, MG_RABBIT_PLAIN, &m, from, NULL);
}

mg_err mg_rabbit_throw(mg_rabbit *r, const char *exchange, const char *key, const char *from, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  if (mg_rabbit_blocked(r->publisher)) return mg_rabbit_blocked_fault(r->publisher, e);
  mg_rabbit_put_plain(r, exchange, key, from, body, ttl_ms);
  mg_err err = mg_rabbit_flush(r->publisher, until, e);
  if (err == MG_CONN || err == MG_FATAL) mg_rabbit_drop(r, r->publisher);
  return err;
}

/* --- the window --- */

static mg_err too_large(const mg_rabbit *r, const mg_rabbit_out *m, mg_error *e) {
  return mg_fail(e, MG_ARG,
                 "a message of %zu bytes is above the %" PRId64 " that RabbitMQ takes: raise max_message_size on the broker, or use a smaller "
                 "max_batch_size",
                 m->body.len, r->largest);
}

/* Sends those of items whose err is MG_AGAIN at the start, waits for the answers. What is unanswered keeps MG_TIMEOUT, or what it returns. */
static mg_err send_window(mg_rabbit *r, mg_rabbit_out *items, size_t count, mg_ms until, mg_error *e) {
  char id[24];
  mg_err err = MG_OK;
  size_t sent = 0;
  bool waits = false; /* the channel stands, the answers are to come */
  r->sending = items;
  r->sending_count = 0;
  r->sending_tag = r->next_tag;
  r->confirmed = r->low = 0;
  for (size_t i = 0; i < count; i++) items[i].err = MG_TIMEOUT;
  while (r->confirmed < count) {
    err = mg_rabbit_pump(r->publisher, e);
    if (err != MG_OK) {
      mg_rabbit_drop(r, r->publisher);
      err = err == MG_FATAL ? MG_FATAL : MG_CONN;
      break;
    }
    if (!mg_rabbit_channel_is_open(r->publisher, MG_RABBIT_CONFIRMED)) {
      err = mg_rabbit_channel_fault(r->publisher, MG_RABBIT_CONFIRMED, e);
      break;
    }
    bool blocked = mg_rabbit_blocked(r->publisher);
    if (blocked && sent == 0) {
      err = mg_rabbit_blocked_fault(r->publisher, e);
      break;
    }
    if (!blocked && sent < count && sent - r->confirmed < WINDOW && mg_rabbit_unsent(r->publisher) < UNSENT_BYTES) {
      while (sent < count && sent - r->confirmed < WINDOW && mg_rabbit_unsent(r->publisher) < UNSENT_BYTES) {
        (void)snprintf(id, sizeof id, "%" PRIu64, r->next_tag);
        r->sending_count = ++sent;
        r->next_tag++;
        put_message(r, MG_RABBIT_CONFIRMED, &items[sent - 1], items[sent - 1].subject, id);
      }
      continue;
    }
    if (r->confirmed == count) break;
    if (mg_rabbit_wait(r->publisher, NULL, until, -1) != MG_TIMEOUT) continue;
    waits = true;
    if (blocked)
      err = mg_rabbit_blocked_fault(r->publisher, e);
    else
      err = mg_fail(e, MG_TIMEOUT, "%s has not confirmed %zu of %zu messages in time", mg_rabbit_where(r->publisher), count - r->confirmed, count);
    break;
  }
  r->sending = NULL;
  r->sending_count = 0;
  for (size_t i = 0; i < count && err != MG_OK; i++) {
    if (items[i].confirmed) continue;
    items[i].err = err;
    if (i < sent && waits) mg_rabbit_left_behind(r, &items[i], r->sending_tag + i);
  }
  return err;
}

/* Takes out those that were sent before and are answered now; waits for the others of them as long as there is nothing else to do. How many are left to
 * be sent. */
static size_t wait_for_answers(mg_rabbit *r, mg_rabbit_out **left, size_t count, mg_ms until, mg_error *e) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    mg_rabbit_out *m = left[i];
    while ((m->err = mg_rabbit_sent_before(r, m)) == MG_TIMEOUT) {
      mg_err err = mg_rabbit_pump(r->publisher, e);
      if (err != MG_OK) {
        mg_rabbit_drop(r, r->publisher);
        err = err == MG_FATAL ? MG_FATAL : MG_CONN;
        for (size_t k = 0; k < count; k++) left[k]->err = k < n || k >= i ? err : left[k]->err;
        return 0;
      }
      if ((m->err = mg_rabbit_sent_before(r, m)) != MG_TIMEOUT) break;
      if (mg_rabbit_wait(r->publisher, NULL, until, -1) != MG_TIMEOUT) continue;
      m->err = mg_rabbit_blocked(r->publisher) ? mg_rabbit_blocked_fault(r->publisher, e)
                                               : mg_fail(e, MG_AGAIN, "%s has not confirmed a message yet", mg_rabbit_where(r->publisher));
      break;
    }
    if (m->err == MG_LOST) left[n++] = m;
  }
  return n;
}

/* Moves those that are to be sent (again) to the front; how many. */
static size_t gather(mg_rabbit *r, mg_rabbit_out **from, mg_rabbit_out *to, size_t count, mg_error *e) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    mg_rabbit_out *m = from[i];
    if (r->largest > 0 && m->body.len > (uint64_t)r->largest) {
      m->err = too_large(r, m, e);
      continue;
    }
    m->confirmed = m->returned = false;
    to[n] = *m;
    from[n++] = m;
  }
  return n;
}

mg_err mg_rabbit_send(mg_rabbit *r, mg_rabbit_out *items, size_t count, mg_ms until, mg_error *e) {
  if (count == 0) return MG_OK;
  mg_error ours = {0};
  mg_rabbit_out **left = malloc(count * sizeof(mg_rabbit_out *));
  mg_rabbit_out *window = malloc(count * sizeof *window);
  mg_err err = MG_OK;
  if (left == NULL || window == NULL) {
    err = mg_fail(&ours, MG_NOMEM, "no memory to publish %zu messages", count);
    for (size_t i = 0; i < count; i++) items[i].err = err;
    goto out;
  }
  for (size_t i = 0; i < count; i++) left[i] = &items[i];
  size_t n = wait_for_answers(r, left, count, until, &ours);
  for (int round = 0; round < ROUNDS && n > 0; round++) {
    n = gather(r, left, window, n, &ours);
    int64_t largest = r->largest;
    err = n == 0 ? MG_OK : send_window(r, window, n, until, &ours);
    size_t again = 0;
    bool shut = err == MG_ARG || err == MG_AGAIN, learnt = r->largest != largest;
    for (size_t i = 0; i < n; i++) {
      left[i]->err = window[i].err;
      bool returned = window[i].err == MG_LOST && window[i].ours && round == 0;
      bool retry = returned || (shut && r->publish_fault != 0 && !window[i].confirmed && (learnt || r->publish_fault == AMQP_NOT_FOUND));
      if (retry) left[again++] = left[i];
      if (returned) r->declared = false;
    }
    n = again;
    if (n == 0) break;
    err = mg_rabbit_ready(r, until, &ours); /* opens the channel again, declares what is missing */
    if (err != MG_OK) {
      for (size_t i = 0; i < n; i++) left[i]->err = err;
      break;
    }
  }
  size_t failed = 0, same = 0;
  for (size_t i = 0; i < count; i++) {
    failed += items[i].err != MG_OK;
    same += items[i].err == items[0].err;
  }
  err = failed == count && same == count && items[0].err != MG_ARG && items[0].err != MG_LOST ? items[0].err : MG_OK;
  for (size_t i = 0; i < count; i++) {
    if (items[i].err == MG_FATAL) err = MG_FATAL;
  }
out:
  if (e != NULL && ours.text[0] != '\0') *e = ours;
  free(left);
  free(window);
  return err;
}

/* --- the contract --- */

typedef mg_err fill_out(mg_rabbit *r, const mg_publish *p, mg_rabbit_out *m, char queue[256], mg_ms until, mg_error *e);

static mg_err publish(mg_rabbit *r, mg_publish *items, size_t count, fill_out *fill, mg_ms until, mg_error *e) {
  if (count == 0) return MG_OK;
  mg_error ours = {0};
  mg_rabbit_out *out = calloc(count, sizeof *out);
  char(*queues)[256] = malloc(count * sizeof *queues);
  mg_err err = mg_rabbit_ready(r, until, &ours);
  if (out == NULL || queues == NULL) err = mg_fail(&ours, MG_NOMEM, "no memory to publish %zu messages", count);
  for (size_t i = 0; i < count && err == MG_OK; i++) {
    out[i] = (mg_rabbit_out){.exchange = "", .run = items[i].run, .task = items[i].task, .attempt = items[i].attempt, .mandatory = true, .ours = true};
    out[i].body = items[i].body;
    out[i].key = queues[i];
    err = mg_rabbit_check_names(items[i].run, items[i].task, &ours);
    if (err == MG_OK) err = fill(r, &items[i], &out[i], queues[i], until, &ours);
  }
  if (err == MG_OK) {
    err = mg_rabbit_send(r, out, count, until, &ours);
    for (size_t i = 0; i < count; i++) items[i].err = out[i].err;
  } else {
    for (size_t i = 0; i < count; i++) items[i].err = err;
  }
  for (size_t i = 0; i < count && err == MG_OK; i++) {
    if (items[i].err == MG_LOST && out[i].ours) items[i].err = mg_fail(&ours, MG_AGAIN, "the broker has no queue %s", out[i].key);
  }
  if (e != NULL && ours.text[0] != '\0') *e = ours;
  free(out);
  free(queues);
  return err;
}

static mg_err fill_task(mg_rabbit *r, const mg_publish *p, mg_rabbit_out *m, char queue[256], mg_ms until, mg_error *e) {
  if (p->delay_ms > 0) return mg_rabbit_retry_queue(r, p->delay_ms, until, queue, e);
  (void)snprintf(queue, 256, "%s", r->settings.routing_key);
  m->exchange = r->settings.exchange;
  m->ttl_ms = r->settings.retention_ms;
  return MG_OK;
}

static mg_err fill_result(mg_rabbit *r, const mg_publish *p, mg_rabbit_out *m, char queue[256], mg_ms until, mg_error *e) {
  (void)until, (void)e;
  m->ours = false;
  mg_rabbit_results_queue(r, p->run, queue);
  return MG_OK;
}

static mg_err fill_dead(mg_rabbit *r, const mg_publish *p, mg_rabbit_out *m, char queue[256], mg_ms until, mg_error *e) {
  (void)until, (void)e;
  mg_rabbit_dead_queue(r, queue);
  m->why = p->why != NULL ? p->why : "";
  return MG_OK;
}

mg_err mg_rabbit_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  return publish(mg_rabbit_of(b), items, count, fill_task, until, e);
}

mg_err mg_rabbit_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  return publish(mg_rabbit_of(b), items, count, fill_dead, until, e);
}

/* The run has no results queue. A control about it came: it is closed, and its results are dropped as its coordinator would drop them. Else the
 * queue was deleted, or its coordinator is still to come: it is made. */
static mg_err make_room(mg_rabbit *r, mg_publish *item, mg_ms until, mg_error *e) {
  char queue[256];
  if (mg_newest_find(&r->notes, item->run, mg_now_ms()) != NULL) {
    item->err = MG_OK;
    return MG_OK;
  }
  mg_rabbit_results_queue(r, item->run, queue);
  return mg_rabbit_declare_results(r, queue, until, e);
}

mg_err mg_rabbit_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  mg_error ours = {0};
  mg_err err = publish(r, items, count, fill_result, until, e);
  const char *made = "";
  for (size_t i = 0; i < count && err == MG_OK; i++) {
    if (items[i].err != MG_LOST) continue;
    if (strcmp(items[i].run, made) != 0) err = make_room(r, &items[i], until, &ours);
    if (err != MG_OK || items[i].err == MG_OK) continue;
    made = items[i].run;
    err = publish(r, &items[i], 1, fill_result, until, &ours);
    if (items[i].err == MG_LOST) items[i].err = mg_fail(&ours, MG_AGAIN, "the broker has no queue for the results of %s", items[i].run);
  }
  for (size_t i = 0; i < count && err != MG_OK; i++) items[i].err = err;
  if (e != NULL && ours.text[0] != '\0') *e = ours;
  return err;
}
