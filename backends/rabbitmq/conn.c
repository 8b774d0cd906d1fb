#include "backends/rabbitmq/conn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 65536, READ_MOST = 1 << 20, KEEP_BYTES = 1 << 20, CLOSE_MS = 500, ANSWER_MS = 3000, FRAME_MAX = 131072, POOL_PAGE = 4096 };

typedef struct channel {
  bool open, made;              /* made: the pool is */
  amqp_pool_t pool;             /* what method and properties point into; recycled with the channel's next method */
  amqp_method_number_t content; /* of the method whose content is under way; 0: none */
  void *method;
  amqp_basic_properties_t *properties; /* NULL: the header has not come */
  uint64_t expected;
  mg_buf body;
  int shut_code; /* the broker shut it: why */
  char shut_text[320];
} channel;

struct mg_rabbit_conn {
  mg_transport *transport;
  const mg_rabbit_settings *settings;
  mg_rabbit_listener *listener;
  void *owner;
  mg_buf in, out;
  size_t in_at, out_at;
  short out_events; /* what the unsent bytes wait for */
  size_t frame_max;
  mg_ms heartbeat_ms, sent_ms, heard_ms; /* heartbeat_ms 0: none */
  bool blocked;
  char blocked_why[160];
  channel channels[MG_RABBIT_CHANNELS + 1]; /* 0: the connection itself */
  uint16_t asked_channel;
  amqp_method_number_t asked[2], answer; /* answer 0: not there yet */
  mg_rabbit_reply reply;
  char version[32];
  bool plain_offered;
  uint32_t offered_frame;
  uint16_t offered_heartbeat;
  mg_error dead; /* code MG_OK: alive */
};

const char *mg_rabbit_where(const mg_rabbit_conn *c) { return mg_transport_where(c->transport); }
int mg_rabbit_major(const mg_rabbit_conn *c) { return atoi(c->version); }
bool mg_rabbit_blocked(const mg_rabbit_conn *c) { return c->blocked; }
size_t mg_rabbit_unsent(const mg_rabbit_conn *c) { return c->out.len - c->out_at; }
bool mg_rabbit_channel_is_open(const mg_rabbit_conn *c, uint16_t n) { return c->channels[n].open; }

mg_err mg_rabbit_meaning(int code) {
  switch (code) {
  case AMQP_ACCESS_REFUSED:
  case AMQP_NOT_ALLOWED:
  case AMQP_NOT_IMPLEMENTED:
  case AMQP_FRAME_ERROR:
  case AMQP_SYNTAX_ERROR:
  case AMQP_COMMAND_INVALID: return MG_FATAL;
  case AMQP_CONTENT_TOO_LARGE:
  case AMQP_PRECONDITION_FAILED: return MG_ARG;
  case AMQP_NOT_FOUND:
  case AMQP_RESOURCE_LOCKED:
  case AMQP_RESOURCE_ERROR: return MG_AGAIN;
  default: return MG_CONN;
  }
}

/* "ACCESS_REFUSED - access to queue ..." without the name of the code, which helps nobody. */
static void copy_text(char *out, size_t size, amqp_bytes_t text) {
  const char *p = text.bytes;
  size_t len = text.len;
  for (size_t i = 0; i + 3 <= len && (p[i] == '_' || (p[i] >= 'A' && p[i] <= 'Z') || p[i] == ' '); i++) {
    if (memcmp(p + i, " - ", 3) != 0) continue;
    p += i + 3;
    len -= i + 3;
    break;
  }
  (void)snprintf(out, size, "%.*s", (int)len, len > 0 ? p : "");
  for (char *at = out; *at != '\0'; at++) {
    if ((unsigned char)*at < ' ') *at = ' ';
  }
}

static const char *advice(int code, const char *text) {
  if (code == AMQP_ACCESS_REFUSED && strncmp(text, "Login", 5) == 0) {
    return "; check connection.username and connection.password (guest may log in from the broker's own machine alone)";
  }
  if (code == AMQP_ACCESS_REFUSED) return "; give the user configure, write and read permissions on the queue's names (docs/operations/queue-dispatch.md)";
  if (code == AMQP_NOT_ALLOWED) return "; check connection.virtual_host, and the user's permissions in it";
  return "";
}

static mg_err kill_conn(mg_rabbit_conn *c, const mg_error *why) {
  if (c->dead.code == MG_OK) c->dead = *why;
  return c->dead.code;
}

static mg_err is_dead(const mg_rabbit_conn *c, mg_error *e) {
  if (e != NULL) *e = c->dead;
  return c->dead.code;
}

static mg_err bad_frames(mg_rabbit_conn *c) {
  mg_error e = {0};
  (void)mg_fail(&e, MG_CONN, "%s sent what is no AMQP 0-9-1: is it the right port%s?", mg_rabbit_where(c), c->settings->tls.on ? "" : ", and is TLS off there");
  return kill_conn(c, &e);
}

void mg_rabbit_put(mg_rabbit_conn *c, uint16_t n, amqp_method_number_t id, const void *method) { mg_amqp_put_method(&c->out, n, id, method); }

void mg_rabbit_put_content(mg_rabbit_conn *c, uint16_t n, const amqp_basic_properties_t *p, mg_slice body) {
  mg_amqp_put_content(&c->out, n, p, body, c->frame_max);
}

/* --- what comes in --- */

static void note_reply(mg_rabbit_conn *c, uint16_t n, amqp_method_number_t id, const void *method) {
  if (c->asked_channel != n || c->answer != 0 || (id != c->asked[0] && id != c->asked[1])) return;
  c->answer = id;
  c->reply = (mg_rabbit_reply){.id = id};
  switch (id) {
  case AMQP_QUEUE_DECLARE_OK_METHOD: {
    const amqp_queue_declare_ok_t *m = method;
    c->reply.messages = m->message_count;
    c->reply.consumers = m->consumer_count;
    (void)snprintf(c->reply.name, sizeof c->reply.name, "%.*s", (int)m->queue.len, (const char *)m->queue.bytes);
    break;
  }
  case AMQP_QUEUE_DELETE_OK_METHOD: c->reply.messages = ((const amqp_queue_delete_ok_t *)method)->message_count; break;
  case AMQP_CONNECTION_START_METHOD: {
    const amqp_connection_start_t *m = method;
    char mechanisms[256];
    (void)snprintf(mechanisms, sizeof mechanisms, " %.*s ", (int)m->mechanisms.len, (const char *)m->mechanisms.bytes);
    c->plain_offered = strstr(mechanisms, " PLAIN ") != NULL;
    mg_amqp_find_text(&m->server_properties, "version", c->version, sizeof c->version);
    break;
  }
  case AMQP_CONNECTION_TUNE_METHOD:
    c->offered_frame = ((const amqp_connection_tune_t *)method)->frame_max;
    c->offered_heartbeat = ((const amqp_connection_tune_t *)method)->heartbeat;
    break;
  default: break;
  }
}

static mg_err on_connection(mg_rabbit_conn *c, amqp_method_number_t id, const void *method) {
  if (id == AMQP_CONNECTION_BLOCKED_METHOD) {
    c->blocked = true;
    copy_text(c->blocked_why, sizeof c->blocked_why, ((const amqp_connection_blocked_t *)method)->reason);
  } else if (id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
    c->blocked = false;
  } else if (id == AMQP_CONNECTION_CLOSE_METHOD) {
    const amqp_connection_close_t *m = method;
    amqp_connection_close_ok_t ok = {0};
    size_t put = 0;
    short events;
    char text[320];
    mg_error e = {0};
    copy_text(text, sizeof text, m->reply_text);
    (void)mg_fail(&e, mg_rabbit_meaning(m->reply_code), "%s closed the connection: %s%s", mg_rabbit_where(c), text, advice(m->reply_code, text));
    e.detail = m->reply_code;
    c->out.len = c->out_at = 0;
    mg_rabbit_put(c, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    (void)mg_transport_write_some(c->transport, c->out.data, c->out.len, &put, &events, NULL);
    return kill_conn(c, &e);
  }
  return MG_OK;
}

static void tell(mg_rabbit_conn *c, uint16_t n, amqp_method_number_t id, const void *method, const amqp_basic_properties_t *p, mg_slice body) {
  mg_rabbit_news news = {.channel = n, .id = id, .method = method, .properties = p, .body = body};
  if (c->listener != NULL) c->listener(c->owner, &news);
}

static void on_shut(mg_rabbit_conn *c, uint16_t n, const amqp_channel_close_t *m) {
  amqp_channel_close_ok_t ok = {0};
  channel *ch = &c->channels[n];
  ch->open = false;
  ch->content = 0;
  ch->shut_code = m->reply_code;
  copy_text(ch->shut_text, sizeof ch->shut_text, m->reply_text);
  mg_rabbit_put(c, n, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
  tell(c, n, AMQP_CHANNEL_CLOSE_METHOD, m, NULL, (mg_slice){0});
}

static bool has_content(amqp_method_number_t id) { return id == AMQP_BASIC_DELIVER_METHOD || id == AMQP_BASIC_GET_OK_METHOD || id == AMQP_BASIC_RETURN_METHOD; }

/* A copy of the payload in the channel's pool: what is decoded points into it. */
static bool keep(channel *ch, mg_slice payload, size_t from, amqp_bytes_t *out) {
  amqp_pool_alloc_bytes(&ch->pool, payload.len - from + 1, out);
  if (out->bytes == NULL) return false;
  out->len = payload.len - from;
  memcpy(out->bytes, payload.data + from, out->len);
  return true;
}

static mg_err on_method(mg_rabbit_conn *c, uint16_t n, mg_slice payload) {
  channel *ch = &c->channels[n];
  amqp_bytes_t bytes;
  void *method = NULL;
  if (payload.len < 4 || ch->content != 0) return bad_frames(c);
  amqp_method_number_t id = mg_amqp_u32(payload.data);
  if (!ch->made)
    init_amqp_pool(&ch->pool, POOL_PAGE);
  else
    recycle_amqp_pool(&ch->pool);
  ch->made = true;
  if (!keep(ch, payload, 4, &bytes)) return MG_NOMEM;
  int status = amqp_decode_method(id, &ch->pool, bytes, &method);
  if (status == AMQP_STATUS_NO_MEMORY) return MG_NOMEM;
  if (status != AMQP_STATUS_OK) return n == 0 ? MG_OK : bad_frames(c); /* a newer broker may have news for the connection */
  if (has_content(id)) {
    ch->content = id;
    ch->method = method;
    ch->properties = NULL;
    mg_buf_clear(&ch->body);
    return MG_OK;
  }
  note_reply(c, n, id, method);
  if (n == 0) return on_connection(c, id, method);
  if (id == AMQP_CHANNEL_CLOSE_METHOD)
    on_shut(c, n, method);
  else if (id == AMQP_CHANNEL_OPEN_OK_METHOD)
    ch->open = true;
  else if (id == AMQP_BASIC_ACK_METHOD || id == AMQP_BASIC_NACK_METHOD || id == AMQP_BASIC_CANCEL_METHOD) {
    tell(c, n, id, method, NULL, (mg_slice){0});
  }
  return MG_OK;
}

static mg_err end_content(mg_rabbit_conn *c, uint16_t n) {
  channel *ch = &c->channels[n];
  amqp_method_number_t id = ch->content;
  ch->content = 0;
  if (ch->body.failed) return MG_NOMEM;
  note_reply(c, n, id, ch->method);
  tell(c, n, id, ch->method, ch->properties, mg_buf_slice(&ch->body));
  if (ch->body.cap > KEEP_BYTES) mg_buf_fini(&ch->body);
  return MG_OK;
}

static mg_err on_header(mg_rabbit_conn *c, uint16_t n, mg_slice payload) {
  channel *ch = &c->channels[n];
  amqp_bytes_t bytes;
  void *properties = NULL;
  if (ch->content == 0 || ch->properties != NULL || payload.len < 12) return bad_frames(c);
  ch->expected = mg_amqp_u64(payload.data + 4);
  if (!keep(ch, payload, 12, &bytes)) return MG_NOMEM;
  int status = amqp_decode_properties(AMQP_BASIC_CLASS, &ch->pool, bytes, &properties);
  if (status != AMQP_STATUS_OK) return status == AMQP_STATUS_NO_MEMORY ? MG_NOMEM : bad_frames(c);
  ch->properties = properties;
  if (!mg_buf_reserve(&ch->body, ch->expected < KEEP_BYTES ? (size_t)ch->expected : KEEP_BYTES)) return MG_NOMEM;
  return ch->expected == 0 ? end_content(c, n) : MG_OK;
}

static mg_err on_frame(mg_rabbit_conn *c, const mg_amqp_frame *f) {
  if (f->type == MG_AMQP_HEARTBEAT) return MG_OK;
  if (f->channel > MG_RABBIT_CHANNELS) return bad_frames(c);
  if (f->type == MG_AMQP_METHOD) return on_method(c, f->channel, f->payload);
  channel *ch = &c->channels[f->channel];
  if (!ch->open) return MG_OK; /* the rest of a content on a channel that was shut meanwhile */
  if (f->type == MG_AMQP_HEADER) return on_header(c, f->channel, f->payload);
  if (ch->content == 0 || ch->properties == NULL || ch->body.len + f->payload.len > ch->expected) return bad_frames(c);
  mg_buf_put(&ch->body, f->payload.data, f->payload.len);
  return ch->body.failed ? MG_NOMEM : ch->body.len == ch->expected ? end_content(c, f->channel) : MG_OK;
}

static mg_err read_frames(mg_rabbit_conn *c) {
  mg_amqp_frame f;
  size_t used;
  for (;;) {
    int n = mg_amqp_take((mg_slice){c->in.data + c->in_at, c->in.len - c->in_at}, c->frame_max, &f, &used);
    if (n < 0) return bad_frames(c);
    if (n == 0) break;
    c->in_at += used;
    mg_err err = on_frame(c, &f);
    if (err == MG_NOMEM) {
      mg_error e = {0};
      (void)mg_fail(&e, MG_CONN, "no memory left for a message from %s", mg_rabbit_where(c));
      return kill_conn(c, &e);
    }
    if (err != MG_OK) return err;
  }
  if (c->in_at > 0) {
    if (c->in_at < c->in.len) memmove(c->in.data, c->in.data + c->in_at, c->in.len - c->in_at);
    c->in.len -= c->in_at;
    c->in_at = 0;
  }
  return MG_OK;
}

static mg_err read_all(mg_rabbit_conn *c) {
  for (size_t total = 0; total < READ_MOST;) {
    size_t got = 0;
    mg_error e = {0};
    if (!mg_buf_reserve(&c->in, READ_BYTES)) {
      (void)mg_fail(&e, MG_CONN, "no memory left to read from %s", mg_rabbit_where(c));
      return kill_conn(c, &e);
    }
    mg_err err = mg_transport_read(c->transport, c->in.data + c->in.len, READ_BYTES, &got, 0, -1, &e);
    if (err == MG_TIMEOUT) return MG_OK;
    if (err != MG_OK) return kill_conn(c, &e);
    c->in.len += got;
    c->heard_ms = mg_now_ms();
    total += got;
    err = read_frames(c);
    if (err != MG_OK) return err;
    if (got < READ_BYTES / 2 && !mg_transport_pending(c->transport)) return MG_OK;
  }
  return MG_OK;
}

static mg_err write_all(mg_rabbit_conn *c) {
  mg_error e = {0};
  if (c->out.failed) {
    (void)mg_fail(&e, MG_CONN, "no memory left to write to %s", mg_rabbit_where(c));
    return kill_conn(c, &e);
  }
  while (c->out_at < c->out.len) {
    size_t put = 0;
    mg_err err = mg_transport_write_some(c->transport, c->out.data + c->out_at, c->out.len - c->out_at, &put, &c->out_events, &e);
    if (err != MG_OK) {
      (void)read_all(c); /* the broker may have said why */
      return kill_conn(c, &e);
    }
    if (put == 0) return MG_OK;
    c->out_at += put;
    c->sent_ms = mg_now_ms();
  }
  c->out_at = 0;
  if (c->out.cap > KEEP_BYTES)
    mg_buf_fini(&c->out);
  else
    mg_buf_clear(&c->out);
  return MG_OK;
}

mg_err mg_rabbit_pump(mg_rabbit_conn *c, mg_error *e) {
  if (c->dead.code != MG_OK) return is_dead(c, e);
  mg_ms now = mg_now_ms();
  if (c->heartbeat_ms > 0 && mg_rabbit_unsent(c) == 0 && now - c->sent_ms >= c->heartbeat_ms / 2) mg_amqp_put_heartbeat(&c->out);
  mg_err err = write_all(c);
  if (err == MG_OK) err = read_all(c);
  if (err == MG_OK && mg_rabbit_unsent(c) > 0) err = write_all(c); /* replies */
  if (err == MG_OK && c->heartbeat_ms > 0 && now - c->heard_ms > 2 * c->heartbeat_ms + 1000) {
    mg_error silent = {0};
    (void)mg_fail(&silent, MG_CONN, "%s has been silent for %lld s", mg_rabbit_where(c), (long long)(now - c->heard_ms) / 1000);
    err = kill_conn(c, &silent);
  }
  return err == MG_OK ? MG_OK : is_dead(c, e);
}

static void add(struct pollfd *p, mg_ms *until, const mg_rabbit_conn *c) {
  *p = (struct pollfd){.fd = -1};
  if (c == NULL || c->dead.code != MG_OK) return;
  *p = (struct pollfd){.fd = mg_transport_fd(c->transport), .events = POLLIN};
  if (mg_rabbit_unsent(c) > 0) p->events |= c->out_events != 0 ? c->out_events : POLLOUT;
  if (mg_transport_pending(c->transport)) *until = 0;
  if (c->heartbeat_ms == 0) return;
  mg_ms due = mg_rabbit_unsent(c) > 0 ? c->heard_ms + 2 * c->heartbeat_ms + 1100 : c->sent_ms + c->heartbeat_ms / 2;
  if (due < *until) *until = due;
}

mg_err mg_rabbit_wait(const mg_rabbit_conn *a, const mg_rabbit_conn *b, mg_ms until, int wake_fd) {
  struct pollfd p[3];
  mg_ms next = until;
  add(&p[0], &next, a);
  add(&p[1], &next, b);
  p[2] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
  int n = poll(p, 3, mg_until_ms(next));
  if (n > 0 && p[2].revents != 0) return MG_AGAIN;
  if (n > 0 || mg_now_ms() < until) return MG_OK;
  return MG_TIMEOUT;
}

mg_err mg_rabbit_flush(mg_rabbit_conn *c, mg_ms until, mg_error *e) {
  for (;;) {
    mg_err err = mg_rabbit_pump(c, e);
    if (err != MG_OK || mg_rabbit_unsent(c) == 0) return err;
    if (c->blocked) return mg_rabbit_blocked_fault(c, e);
    if (mg_rabbit_wait(c, NULL, until, -1) == MG_TIMEOUT) return mg_fail(e, MG_TIMEOUT, "%s took nothing more in time", mg_rabbit_where(c));
  }
}

mg_err mg_rabbit_blocked_fault(const mg_rabbit_conn *c, mg_error *e) {
  return mg_fail(e, MG_AGAIN, "%s takes no messages now (%s): free memory or disk space on the broker", mg_rabbit_where(c),
                 c->blocked_why[0] != '\0' ? c->blocked_why : "an alarm is set");
}

mg_err mg_rabbit_channel_fault(const mg_rabbit_conn *c, uint16_t n, mg_error *e) {
  const channel *ch = &c->channels[n];
  mg_err err = mg_rabbit_meaning(ch->shut_code);
  (void)mg_fail(e, err, "%s refused: %s%s", mg_rabbit_where(c), ch->shut_text, advice(ch->shut_code, ch->shut_text));
  if (e != NULL) e->detail = ch->shut_code;
  return err;
}

static mg_err await(mg_rabbit_conn *c, uint16_t n, amqp_method_number_t id, amqp_method_number_t other, mg_ms until, mg_error *e) {
  c->asked_channel = n;
  c->asked[0] = id;
  c->asked[1] = other != 0 ? other : id;
  c->answer = 0;
  if (until < mg_now_ms() + ANSWER_MS) until = mg_now_ms() + ANSWER_MS;
  const channel *ch = &c->channels[n];
  for (bool was_open = ch->open && ch != c->channels;;) {
    mg_err err = mg_rabbit_pump(c, e);
    if (err != MG_OK || c->answer != 0) {
      c->asked[0] = c->asked[1] = 0;
      return err;
    }
    if (was_open && !ch->open) return mg_rabbit_channel_fault(c, n, e);
    if (mg_rabbit_wait(c, NULL, until, -1) != MG_TIMEOUT) continue;
    mg_error silent = {0};
    (void)mg_fail(&silent, MG_CONN, "%s did not answer in time", mg_rabbit_where(c));
    (void)kill_conn(c, &silent);
    return is_dead(c, e);
  }
}

mg_err mg_rabbit_ask(mg_rabbit_conn *c, uint16_t n, amqp_method_number_t id, const void *method, amqp_method_number_t reply_id, amqp_method_number_t other_id,
                     mg_ms until, mg_rabbit_reply *reply, mg_error *e) {
  if (c->dead.code != MG_OK) return is_dead(c, e);
  const channel *ch = &c->channels[n];
  if (ch != c->channels && !ch->open && id != AMQP_CHANNEL_OPEN_METHOD) return mg_rabbit_channel_fault(c, n, e);
  mg_rabbit_put(c, n, id, method);
  mg_err err = await(c, n, reply_id, other_id, until, e);
  if (err == MG_OK && reply != NULL) *reply = c->reply;
  return err;
}

mg_err mg_rabbit_channel(mg_rabbit_conn *c, uint16_t n, mg_ms until, bool *opened, mg_error *e) {
  if (opened != NULL) *opened = false;
  if (c->dead.code != MG_OK) return is_dead(c, e);
  if (c->channels[n].open) return MG_OK;
  amqp_channel_open_t open = {0};
  mg_err err = mg_rabbit_ask(c, n, AMQP_CHANNEL_OPEN_METHOD, &open, AMQP_CHANNEL_OPEN_OK_METHOD, 0, until, NULL, e);
  if (opened != NULL) *opened = err == MG_OK;
  return err;
}

/* --- login --- */

static void put_start_ok(mg_rabbit_conn *c, const char *name) {
  amqp_table_entry_t can[] = {mg_amqp_entry_true("publisher_confirms"), mg_amqp_entry_true("consumer_cancel_notify"), mg_amqp_entry_true("basic.nack"),
                              mg_amqp_entry_true("connection.blocked"), mg_amqp_entry_true("authentication_failure_close")};
  amqp_table_entry_t who[] = {mg_amqp_entry_text("product", "mguard"),
                              mg_amqp_entry_text("version", MG_VERSION),
                              mg_amqp_entry_text("connection_name", name),
                              {.key = mg_amqp_text("capabilities")}};
  who[3].value.kind = AMQP_FIELD_KIND_TABLE;
  who[3].value.value.table = (amqp_table_t){sizeof can / sizeof *can, can};
  char response[1200];
  size_t user = strlen(c->settings->username), password = strlen(c->settings->password);
  if (user + password + 2 > sizeof response) user = password = 0; /* no such login can be right: the broker says so */
  response[0] = response[user + 1] = '\0';
  memcpy(response + 1, c->settings->username, user);
  memcpy(response + user + 2, c->settings->password, password);
  amqp_connection_start_ok_t ok = {.client_properties = {sizeof who / sizeof *who, who},
                                   .mechanism = mg_amqp_text("PLAIN"),
                                   .response = {user + password + 2, response},
                                   .locale = mg_amqp_text("en_US")};
  mg_rabbit_put(c, 0, AMQP_CONNECTION_START_OK_METHOD, &ok);
}

static mg_err log_in(mg_rabbit_conn *c, const char *name, mg_ms until, mg_error *e) {
  mg_buf_put(&c->out, "AMQP\0\0\11\1", 8);
  mg_err err = await(c, 0, AMQP_CONNECTION_START_METHOD, 0, until, e);
  if (err != MG_OK) return mg_fail_in(e, "no greeting; is it RabbitMQ's AMQP port%s?", c->settings->tls.on ? "" : ", or one that wants TLS (ssl = true)");
  if (!c->plain_offered) return mg_fail(e, MG_FATAL, "%s does not offer the login mechanism PLAIN: let it", mg_rabbit_where(c));
  put_start_ok(c, name);
  err = await(c, 0, AMQP_CONNECTION_TUNE_METHOD, 0, until, e);
  if (err != MG_OK) return err;
  if (c->offered_frame >= 4096 && c->offered_frame < FRAME_MAX) c->frame_max = c->offered_frame;
  uint16_t heartbeat = c->offered_heartbeat == 0 || c->offered_heartbeat > MG_RABBIT_HEARTBEAT_S ? MG_RABBIT_HEARTBEAT_S : c->offered_heartbeat;
  amqp_connection_tune_ok_t tune = {.channel_max = MG_RABBIT_CHANNELS, .frame_max = (uint32_t)c->frame_max, .heartbeat = heartbeat};
  mg_rabbit_put(c, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &tune);
  amqp_connection_open_t open = {.virtual_host = mg_amqp_text(c->settings->virtual_host)};
  err = mg_rabbit_ask(c, 0, AMQP_CONNECTION_OPEN_METHOD, &open, AMQP_CONNECTION_OPEN_OK_METHOD, 0, until, NULL, e);
  c->heartbeat_ms = heartbeat * 1000;
  return err;
}

mg_err mg_rabbit_conn_open(mg_rabbit_conn **out, const mg_rabbit_settings *s, const mg_rabbit_place *where, const char *name, mg_rabbit_listener *listener,
                           void *owner, mg_ms until, mg_error *e) {
  mg_endpoint at = {.service = "rabbitmq", .host = where->host, .port = where->port, .tls = s->tls};
  mg_rabbit_conn *c = calloc(1, sizeof *c);
  if (c == NULL) return mg_fail(e, MG_NOMEM, "no memory for a connection");
  c->settings = s;
  c->listener = listener;
  c->owner = owner;
  c->frame_max = FRAME_MAX;
  mg_err err = mg_transport_open(&c->transport, &at, until, e);
  c->sent_ms = c->heard_ms = mg_now_ms();
  if (err == MG_OK) err = log_in(c, name, until, e);
  if (err != MG_OK) {
    if (c->dead.code == MG_OK) c->dead.code = err; /* no good-bye */
    mg_rabbit_conn_close(c);
    return err;
  }
  *out = c;
  return MG_OK;
}

void mg_rabbit_conn_close(mg_rabbit_conn *c) {
  if (c == NULL) return;
  if (c->dead.code == MG_OK && !c->blocked) {
    amqp_connection_close_t bye = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = mg_amqp_text("bye")};
    c->listener = NULL;
    c->asked_channel = 0;
    c->asked[0] = c->asked[1] = AMQP_CONNECTION_CLOSE_OK_METHOD;
    c->answer = 0;
    mg_rabbit_put(c, 0, AMQP_CONNECTION_CLOSE_METHOD, &bye);
    mg_ms until = mg_now_ms() + CLOSE_MS;
    while (mg_rabbit_pump(c, NULL) == MG_OK && c->answer == 0 && mg_rabbit_wait(c, NULL, until, -1) != MG_TIMEOUT) continue;
  }
  mg_transport_close(c->transport);
  for (int i = 0; i <= MG_RABBIT_CHANNELS; i++) {
    if (c->channels[i].made) empty_amqp_pool(&c->channels[i].pool);
    mg_buf_fini(&c->channels[i].body);
  }
  mg_buf_fini(&c->in);
  mg_buf_fini(&c->out);
  free(c);
}
