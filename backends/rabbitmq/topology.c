/* Connections and what must be declared on the broker. */
#include "backends/rabbitmq/parts.h"

#include "base/log.h"
#include <stdio.h>
#include <string.h>

enum { EXPIRES_EXTRA_MS = 120000, MOST_MS = 2000000000 };

void mg_rabbit_results_queue(const mg_rabbit *r, const char *run, char out[256]) { (void)snprintf(out, 256, "%s.results.%s", r->settings.queue, run); }

void mg_rabbit_dead_queue(const mg_rabbit *r, char out[256]) { (void)snprintf(out, 256, "%s.dead", r->settings.queue); }

mg_err mg_rabbit_check_names(const char *run, const char *task, mg_error *e) {
  if (run == NULL || run[0] == '\0' || strlen(run) > 45 || strpbrk(run, "\r\n") != NULL) {
    return mg_fail(e, MG_ARG, "a run's name must have 1 to 45 bytes and no line ends");
  }
  if (task == NULL || task[0] == '\0' || strlen(task) > 200 || strpbrk(task, "\r\n") != NULL) {
    return mg_fail(e, MG_ARG, "a task's name must have 1 to 200 bytes and no line ends");
  }
  return MG_OK;
}

/* --- connections --- */

static void on_receiver(void *owner, const mg_rabbit_news *news) {
  mg_rabbit *r = owner;
  mg_rabbit_feed *f = news->channel == MG_RABBIT_TASKS ? &r->tasks : news->channel == MG_RABBIT_RESULTS ? &r->results : NULL;
  switch (news->id) {
  case AMQP_BASIC_DELIVER_METHOD:
    if (f != NULL)
      mg_rabbit_feed_take_in(r, f, news);
    else
      mg_rabbit_note_take_in(r, news);
    break;
  case AMQP_BASIC_GET_OK_METHOD: {
    char run[260], task[260], why[1100];
    const amqp_table_t none = {0}, *h = (news->properties->_flags & AMQP_BASIC_HEADERS_FLAG) != 0 ? &news->properties->headers : &none;
    mg_amqp_find_text(h, "run", run, sizeof run);
    mg_amqp_find_text(h, "task", task, sizeof task);
    mg_amqp_find_text(h, "why", why, sizeof why);
    if (why[0] == '\0') mg_amqp_find_text(h, "x-first-death-reason", why, sizeof why); /* the broker's own doing: a policy */
    mg_delivery d = {.run = run, .task = task, .attempt = (uint32_t)mg_amqp_find_int(h, "attempt", 0), .why = why, .from = "", .body = news->body};
    r->got_tag = ((const amqp_basic_get_ok_t *)news->method)->delivery_tag;
    if (!mg_batch_add(&r->gets, &d)) r->no_memory = true;
    break;
  }
  case AMQP_BASIC_CANCEL_METHOD: /* the queue was deleted, or its node went */
    r->declared = false;
    if (f != NULL) {
      bool first = f->consumers > 0 && !f->closed;
      mg_rabbit_feed_cancelled(f);
      if (first) {
        mg_log(MG_LOG_WARN, "broker_notice", MG_FIELDS(MG_LT("queue_name", f->queue)), "the queue %s was deleted on the broker; it is made again", f->queue);
      }
    }
    break;
  case AMQP_CHANNEL_CLOSE_METHOD: {
    const amqp_channel_close_t *m = news->method;
    if (f != NULL)
      mg_rabbit_feed_lost(f);
    else if (news->channel == MG_RABBIT_NOTES)
      r->declared = false;
    if (f == &r->tasks && m->reply_code == AMQP_PRECONDITION_FAILED) {
      mg_log(MG_LOG_WARN, "broker_notice", MG_FIELDS(MG_LT("queue_name", f->queue)),
             "the broker took the tasks back: %.*s; a task must end within the broker's consumer_timeout (consumer_timeout_seconds is %.0f here)",
             (int)m->reply_text.len, (const char *)m->reply_text.bytes, r->settings.consumer_timeout_s);
    }
    break;
  }
  default: break;
  }
}

void mg_rabbit_drop(mg_rabbit *r, mg_rabbit_conn *c) {
  if (c == NULL) return;
  r->probe_out = false;
  if (c == r->receiver) {
    r->receiver = NULL;
    r->declared = false;
    r->no_memory = false;
    mg_rabbit_feed_lost(&r->tasks);
    mg_rabbit_feed_lost(&r->results);
  } else {
    r->publisher = NULL;
  }
  mg_rabbit_conn_close(c);
}

mg_err mg_rabbit_after(mg_rabbit *r, mg_err err) {
  mg_error why;
  if (err != MG_OK && r->receiver != NULL && mg_rabbit_pump(r->receiver, &why) != MG_OK) {
    mg_rabbit_drop(r, r->receiver);
    return err == MG_FATAL ? err : MG_CONN;
  }
  return err;
}

static mg_err connect_one(mg_rabbit *r, mg_rabbit_conn **out, const char *purpose, mg_rabbit_listener *listener, mg_ms until, mg_error *e) {
  char name[200];
  const mg_rabbit_settings *s = &r->settings;
  mg_err err = MG_CONN;
  (void)snprintf(name, sizeof name, "mguard %.150s %s", r->identity, purpose);
  for (size_t i = 0; i < s->host_count; i++) {
    size_t at = (r->turn + i) % s->host_count;
    mg_error one = {0};
    mg_ms now = mg_now_ms(), end = now + s->connect_timeout_ms;
    mg_ms share = until > now ? now + (until - now) / (mg_ms)(s->host_count - i) : now + 1000;
    mg_err this_err = mg_rabbit_conn_open(out, s, &s->hosts[at], name, listener, r, end < share ? end : share, &one);
    if (this_err == MG_OK) {
      r->turn = at;
      return MG_OK;
    }
    /* Of several hosts that fail, one that may come back decides: try again. */
    if (i == 0 || (this_err == MG_CONN && err != MG_CONN)) {
      err = this_err;
      if (e != NULL) *e = one;
    }
  }
  return err;
}

static mg_err connect_publisher(mg_rabbit *r, mg_ms until, mg_error *e) {
  if (r->publisher == NULL) {
    mg_err err = connect_one(r, &r->publisher, "publish", mg_rabbit_on_publisher, until, e);
    if (err != MG_OK) return err;
  }
  bool opened;
  mg_err err = mg_rabbit_channel(r->publisher, MG_RABBIT_PLAIN, until, NULL, e);
  if (err == MG_OK) err = mg_rabbit_channel(r->publisher, MG_RABBIT_CONFIRMED, until, &opened, e);
  if (err == MG_OK && opened) {
    amqp_confirm_select_t select = {0};
    r->next_tag = 1;
    r->unanswered_count = 0;
    r->publish_fault = 0;
    err = mg_rabbit_ask(r->publisher, MG_RABBIT_CONFIRMED, AMQP_CONFIRM_SELECT_METHOD, &select, AMQP_CONFIRM_SELECT_OK_METHOD, 0, until, NULL, e);
  }
  if (err != MG_OK) mg_rabbit_drop(r, r->publisher);
  return err;
}

/* --- declarations --- */

mg_err mg_rabbit_admin(mg_rabbit *r, mg_ms until, mg_error *e) {
  if (r->receiver == NULL) return mg_fail(e, MG_CONN, "the connection to RabbitMQ was lost");
  return mg_rabbit_after(r, mg_rabbit_channel(r->receiver, MG_RABBIT_ADMIN, until, NULL, e));
}

static mg_err declare(mg_rabbit *r, amqp_queue_declare_t *d, mg_ms until, mg_rabbit_reply *reply, mg_error *e) {
  mg_err err = mg_rabbit_admin(r, until, e);
  if (err != MG_OK) return err;
  return mg_rabbit_after(r, mg_rabbit_ask(r->receiver, MG_RABBIT_ADMIN, AMQP_QUEUE_DECLARE_METHOD, d, AMQP_QUEUE_DECLARE_OK_METHOD, 0, until, reply, e));
}

/* A queue that is there with other properties, or that we may use but not make, is taken as it is: an administrator made it so. */
static mg_err declare_queue(mg_rabbit *r, const char *name, amqp_table_entry_t *args, int count, mg_ms until, mg_error *e) {
  amqp_queue_declare_t d = {.queue = mg_amqp_text(name), .durable = r->settings.durable, .arguments = {count, args}};
  mg_err err = declare(r, &d, until, NULL, e);
  if (err == MG_OK || (e->detail != AMQP_PRECONDITION_FAILED && e->detail != AMQP_ACCESS_REFUSED)) return err;
  amqp_queue_declare_t look = {.queue = mg_amqp_text(name), .passive = 1};
  mg_error ignored = {0};
  mg_err found = declare(r, &look, until, NULL, &ignored);
  return found == MG_OK || found == MG_CONN ? found : err;
}

static mg_err declare_exchange(mg_rabbit *r, const char *name, const char *type, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  for (int passive = 1; passive >= 0; passive--) { /* looking first: it asks for no permission to make one */
    amqp_exchange_declare_t d = {.exchange = mg_amqp_text(name), .type = mg_amqp_text(type), .passive = passive, .durable = 1};
    err = mg_rabbit_admin(r, until, e);
    if (err != MG_OK) return err;
    err = mg_rabbit_ask(r->receiver, MG_RABBIT_ADMIN, AMQP_EXCHANGE_DECLARE_METHOD, &d, AMQP_EXCHANGE_DECLARE_OK_METHOD, 0, until, NULL, e);
    err = mg_rabbit_after(r, err);
    if (err == MG_OK || err == MG_CONN) return err;
  }
  return err;
}

static mg_err bind(mg_rabbit *r, uint16_t channel, const char *queue, const char *exchange, const char *key, mg_ms until, mg_error *e) {
  amqp_queue_bind_t b = {.queue = mg_amqp_text(queue), .exchange = mg_amqp_text(exchange), .routing_key = mg_amqp_text(key)};
  return mg_rabbit_after(r, mg_rabbit_ask(r->receiver, channel, AMQP_QUEUE_BIND_METHOD, &b, AMQP_QUEUE_BIND_OK_METHOD, 0, until, NULL, e));
}

static int kind(const mg_rabbit *r, amqp_table_entry_t *args) {
  args[0] = mg_amqp_entry_text("x-queue-type", r->settings.durable ? "quorum" : "classic");
  return 1;
}

static int64_t clipped(int64_t ms) { return ms < MOST_MS ? ms : MOST_MS; }

static mg_err declare_tasks(mg_rabbit *r, mg_ms until, mg_error *e) {
  char dead[256];
  amqp_table_entry_t args[4];
  mg_rabbit_dead_queue(r, dead);
  int n = kind(r, args);
  mg_err err = declare_queue(r, dead, args, n, until, e);
  if (err != MG_OK) return err;
  args[n++] = mg_amqp_entry_text("x-dead-letter-exchange", "");
  args[n++] = mg_amqp_entry_text("x-dead-letter-routing-key", dead);
  /* Since 4.0 a quorum queue gives up after 20 deliveries of its own accord; how often is the coordinator's affair. */
  if (r->settings.durable && mg_rabbit_major(r->receiver) >= 4) args[n++] = mg_amqp_entry_int("x-delivery-limit", -1);
  err = declare_queue(r, r->settings.queue, args, n, until, e);
  if (err != MG_OK || r->settings.exchange[0] == '\0') return err;
  err = declare_exchange(r, r->settings.exchange, "direct", until, e);
  return err == MG_OK ? bind(r, MG_RABBIT_ADMIN, r->settings.queue, r->settings.exchange, r->settings.routing_key, until, e) : err;
}

mg_err mg_rabbit_declare_results(mg_rabbit *r, const char *queue, mg_ms until, mg_error *e) {
  amqp_table_entry_t args[2];
  int n = kind(r, args);
  args[n++] = mg_amqp_entry_int("x-expires", clipped(r->settings.retention_ms));
  return declare_queue(r, queue, args, n, until, e);
}

/* An exclusive queue of our own behind the fanout exchange that the other side publishes to; it goes with the connection. */
static mg_err subscribe(mg_rabbit *r, const char *exchange, mg_ms until, mg_error *e) {
  bool opened;
  mg_rabbit_reply reply;
  mg_err err = mg_rabbit_channel(r->receiver, MG_RABBIT_NOTES, until, &opened, e);
  if (err != MG_OK) return mg_rabbit_after(r, err);
  if (!opened) return bind(r, MG_RABBIT_NOTES, r->notes_queue, exchange, "", until, e); /* the exchange may be a new one */
  amqp_table_entry_t args[] = {mg_amqp_entry_int("x-max-length", 100000)};
  amqp_queue_declare_t d = {.queue = mg_amqp_text(""), .exclusive = 1, .auto_delete = 1, .arguments = {1, args}};
  err = mg_rabbit_ask(r->receiver, MG_RABBIT_NOTES, AMQP_QUEUE_DECLARE_METHOD, &d, AMQP_QUEUE_DECLARE_OK_METHOD, 0, until, &reply, e);
  if (err == MG_OK) {
    (void)snprintf(r->notes_queue, sizeof r->notes_queue, "%s", reply.name);
    err = bind(r, MG_RABBIT_NOTES, r->notes_queue, exchange, "", until, e);
  }
  if (err == MG_OK && r->receiver != NULL) {
    amqp_basic_consume_t c = {.queue = mg_amqp_text(r->notes_queue), .consumer_tag = mg_amqp_text("notes"), .no_ack = 1, .exclusive = 1};
    err = mg_rabbit_ask(r->receiver, MG_RABBIT_NOTES, AMQP_BASIC_CONSUME_METHOD, &c, AMQP_BASIC_CONSUME_OK_METHOD, 0, until, NULL, e);
  }
  return mg_rabbit_after(r, err);
}

static mg_err declare_all(mg_rabbit *r, mg_ms until, mg_error *e) {
  char beats[256], controls[256];
  (void)snprintf(beats, sizeof beats, "%s.beats", r->settings.queue);
  (void)snprintf(controls, sizeof controls, "%s.controls", r->settings.queue);
  r->declared = true; /* what is found missing meanwhile says so again */
  mg_err err = declare_tasks(r, until, e);
  if (err == MG_OK) err = declare_exchange(r, beats, "fanout", until, e);
  if (err == MG_OK) err = declare_exchange(r, controls, "fanout", until, e);
  if (err == MG_OK && r->run != NULL && !r->results.closed) err = mg_rabbit_declare_results(r, r->results.queue, until, e);
  if (err == MG_OK) err = subscribe(r, r->run != NULL ? beats : controls, until, e);
  if (err != MG_OK) r->declared = false;
  return err;
}

mg_err mg_rabbit_ready(mg_rabbit *r, mg_ms until, mg_error *e) {
  mg_error ours = {0}; /* what follows looks into it */
  mg_err err = MG_OK;
  if (r->receiver != NULL) {
    err = mg_rabbit_pump(r->receiver, &ours);
    if (err == MG_OK && r->no_memory) err = mg_fail(&ours, MG_CONN, "no memory left for a message");
    if (err != MG_OK) {
      mg_rabbit_drop(r, r->receiver);
      goto out;
    }
  }
  if (r->publisher != NULL && mg_rabbit_pump(r->publisher, &ours) != MG_OK) mg_rabbit_drop(r, r->publisher);
  if (r->receiver == NULL) err = connect_one(r, &r->receiver, "receive", on_receiver, until, &ours);
  if (err == MG_OK &&
      (r->publisher == NULL || !mg_rabbit_channel_is_open(r->publisher, MG_RABBIT_CONFIRMED) || !mg_rabbit_channel_is_open(r->publisher, MG_RABBIT_PLAIN))) {
    err = connect_publisher(r, until, &ours);
  }
  if (err == MG_OK && !r->declared) {
    err = declare_all(r, until, &ours);
    if (err == MG_OK && r->run != NULL) err = mg_rabbit_hello(r, until, &ours);
    if (err == MG_AGAIN || err == MG_TIMEOUT) err = r->declared ? MG_OK : err;
  }
  if (err == MG_OK && r->say_again) err = mg_rabbit_say_again(r, until, &ours);
out:
  if (err != MG_OK && e != NULL) *e = ours;
  return err;
}

/* Delays in steps of an eighth of the next lower power of two: few queues, and at most 12.5 % later than asked. */
static mg_ms stepped(mg_ms ms) {
  mg_ms step = 1;
  while (step * 16 <= ms) step *= 2;
  return (ms + step - 1) / step * step;
}

mg_err mg_rabbit_retry_queue(mg_rabbit *r, mg_ms delay_ms, mg_ms until, char out[256], mg_error *e) {
  amqp_table_entry_t args[6];
  mg_ms ttl = stepped(clipped(delay_ms < 1 ? 1 : delay_ms));
  (void)snprintf(out, 256, "%s.retry.%lld", r->settings.queue, (long long)ttl);
  int n = kind(r, args);
  args[n++] = mg_amqp_entry_int("x-message-ttl", ttl);
  args[n++] = mg_amqp_entry_text("x-dead-letter-exchange", "");
  args[n++] = mg_amqp_entry_text("x-dead-letter-routing-key", r->settings.queue);
  /* Declaring counts as use, publishing does not: it is declared before each use and outlives what is put into it then. */
  args[n++] = mg_amqp_entry_int("x-expires", clipped(ttl + EXPIRES_EXTRA_MS));
  mg_err err = declare_queue(r, out, args, n, until, e);
  if (err == MG_OK) mg_rabbit_tell_delay(r, out, ttl);
  return err;
}

mg_err mg_rabbit_count(mg_rabbit *r, const char *queue, mg_ms until, int64_t *out, mg_error *e) {
  amqp_queue_declare_t d = {.queue = mg_amqp_text(queue), .passive = 1};
  mg_rabbit_reply reply = {0};
  mg_err err = declare(r, &d, until, &reply, e);
  *out = err == MG_OK ? (int64_t)reply.messages : -1;
  if (err == MG_OK || e->detail != AMQP_NOT_FOUND) return err;
  return MG_OK;
}
