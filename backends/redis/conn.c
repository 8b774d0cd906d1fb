#include "backends/redis/conn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 64 * 1024, KEEP_BYTES = 1 << 20, PROGRESS_MS = 1000, PLAIN_MS = 500 };

struct mg_redis_conn {
  mg_transport *transport;
  redisReader *reader;
  mg_buf out;
  bool plain_tcp; /* TLS may be what is missing */
  bool answered;  /* at least a reply came */
  bool shut_out;  /* closed before anything came */
  char first_byte;
  uint8_t in[READ_BYTES];
};

void mg_redis_arg(mg_redis_args *a, const void *data, size_t len) {
  if (!mg_buf_reserve(&a->bytes, len + 32)) return;
  a->bytes.len += (size_t)snprintf((char *)a->bytes.data + a->bytes.len, 32, "$%zu\r\n", len);
  mg_buf_put(&a->bytes, data, len);
  mg_buf_put(&a->bytes, "\r\n", 2);
  a->count++;
}

void mg_redis_arg_text(mg_redis_args *a, const char *text) { mg_redis_arg(a, text, strlen(text)); }

void mg_redis_arg_int(mg_redis_args *a, int64_t n) {
  char text[24];
  int len = snprintf(text, sizeof text, "%lld", (long long)n);
  mg_redis_arg(a, text, (size_t)len);
}

void mg_redis_conn_put(mg_redis_conn *c, const mg_redis_args *first, const mg_redis_args *rest) {
  mg_buf_putf(&c->out, "*%d\r\n", first->count + rest->count);
  mg_buf_put(&c->out, first->bytes.data, first->bytes.len);
  mg_buf_put(&c->out, rest->bytes.data, rest->bytes.len);
  if (first->bytes.failed || rest->bytes.failed) c->out.failed = true;
}

mg_err mg_redis_no_answer(mg_err err, mg_error *e) {
  if (err != MG_TIMEOUT) return err;
  if (e != NULL) e->code = MG_CONN;
  return MG_CONN;
}

mg_err mg_redis_conn_send(mg_redis_conn *c, mg_ms until, mg_error *e) {
  if (c->out.failed) return mg_fail(e, MG_NOMEM, "no memory for commands to %s", mg_redis_conn_where(c));
  mg_err err = mg_transport_write(c->transport, c->out.data, c->out.len, until, e);
  mg_buf_clear(&c->out);
  if (c->out.cap > KEEP_BYTES) mg_buf_fini(&c->out);
  return mg_redis_no_answer(err, e);
}

static mg_err closed_at_once(mg_redis_conn *c, mg_error *e) {
  c->shut_out = true;
  const char *at = strstr(mg_redis_conn_where(c), " at ");
  return mg_fail(e, MG_CONN, "plain connection to %s was closed at once: is it a TLS port? set ssl = true", at != NULL ? at + 4 : mg_redis_conn_where(c));
}

static mg_err garbled(mg_redis_conn *c, mg_error *e) {
  /* 0x15 opens a TLS alert record: what a TLS port says to a plain client. */
  if (!c->answered && c->plain_tcp && c->first_byte == 0x15) {
    (void)closed_at_once(c, e);
    if (e != NULL) e->code = MG_FATAL;
    return MG_FATAL;
  }
  const char *why = c->reader->errstr;
  if (!c->answered) return mg_fail(e, MG_FATAL, "%s does not speak the Redis protocol: %s", mg_redis_conn_where(c), why);
  return mg_fail(e, MG_CONN, "%s sent what cannot be read: %s", mg_redis_conn_where(c), why);
}

mg_err mg_redis_conn_get(mg_redis_conn *c, redisReply **out, mg_ms until, int wake_fd, mg_error *e) {
  for (;;) {
    void *reply = NULL;
    if (redisReaderGetReply(c->reader, &reply) != REDIS_OK) return garbled(c, e);
    if (reply != NULL) {
      c->answered = true;
      *out = reply;
      return MG_OK;
    }
    size_t got = 0;
    mg_err err = mg_transport_read(c->transport, c->in, sizeof c->in, &got, until, wake_fd, e);
    if (err == MG_CONN && !c->answered && c->plain_tcp && c->first_byte == 0) return closed_at_once(c, e);
    if (err != MG_OK) return err;
    if (!c->answered && c->first_byte == 0) c->first_byte = (char)c->in[0];
    mg_ms now = mg_now_ms(); /* a large reply that is on its way is not given up */
    if (wake_fd < 0 && now + PROGRESS_MS > until) until = now + PROGRESS_MS;
    if (redisReaderFeed(c->reader, (const char *)c->in, got) != REDIS_OK) return garbled(c, e);
  }
}

mg_err mg_redis_conn_ask(mg_redis_conn *c, redisReply **out, mg_ms until, mg_error *e, ...) {
  mg_redis_args none = {0}, a = {0};
  va_list ap;
  va_start(ap, e);
  for (const char *p = va_arg(ap, const char *); p != NULL; p = va_arg(ap, const char *)) mg_redis_arg_text(&a, p);
  va_end(ap);
  mg_redis_conn_put(c, &none, &a);
  mg_buf_fini(&a.bytes);
  mg_err err = mg_redis_conn_send(c, until, e);
  if (err == MG_OK) err = mg_redis_conn_get(c, out, until, -1, e);
  return mg_redis_no_answer(err, e);
}

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* Errors inside a script are wrapped by older servers, so some words are looked for anywhere. */
mg_redis_reply_class mg_redis_classify(const redisReply *r) {
  if (r->type != REDIS_REPLY_ERROR) return MG_REPLY_FINE;
  static const char *const later[] = {"TRYAGAIN", "CLUSTERDOWN", "LOADING", "BUSY ", "MASTERDOWN"};
  const char *t = r->str;
  if (starts(t, "NOSCRIPT")) return MG_REPLY_NOSCRIPT;
  if (starts(t, "MOVED ")) return MG_REPLY_MOVED;
  if (starts(t, "ASK ")) return MG_REPLY_ASK;
  for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
    if (starts(t, later[i])) return MG_REPLY_LATER;
  }
  /* In the middle of a resharding a script that meets a key which has moved fails before its first write. */
  if (strstr(t, "non local key") != NULL || strstr(t, "cluster is down") != NULL) return MG_REPLY_LATER;
  if (strstr(t, "READONLY") != NULL || starts(t, "UNBLOCKED")) return MG_REPLY_NO_MASTER;
  if (strstr(t, "OOM command not allowed") != NULL || strstr(t, "MISCONF") != NULL || starts(t, "NOREPLICAS")) return MG_REPLY_FULL;
  return MG_REPLY_BAD;
}

static const char *user_of(const mg_redis_settings *s) { return s->username != NULL ? s->username : "default"; }

mg_err mg_redis_fault(const mg_redis_settings *s, const char *where, const redisReply *r, mg_error *e) {
  const char *t = r->str;
  if (starts(t, "WRONGPASS") || starts(t, "ERR invalid password")) {
    return mg_fail(e, MG_FATAL, "%s refuses the login of user \"%s\": check connection.username and connection.password", where, user_of(s));
  }
  if (starts(t, "NOAUTH")) {
    return mg_fail(e, MG_FATAL, "%s asks for a login: set connection.password (and connection.username)", where);
  }
  if (strstr(t, "without any password configured") != NULL || strstr(t, "no password is set") != NULL) {
    return mg_fail(e, MG_FATAL, "%s has no password for user \"%s\": remove connection.password, or set requirepass there", where, user_of(s));
  }
  if (starts(t, "NOPERM") || strstr(t, "user executing the script") != NULL) {
    return mg_fail(e, MG_FATAL,
                   "%s does not let user \"%s\" do this; it needs ~{%s:%s}:* +@read +@write +@scripting +@connection +info +time "
                   "+role +cluster|slots (ACL SETUSER). It said: %s",
                   where, user_of(s), s->prefix, s->queue, t);
  }
  switch (mg_redis_classify(r)) {
  case MG_REPLY_FULL:
    if (strstr(t, "OOM") != NULL) {
      return mg_fail(e, MG_AGAIN,
                     "%s is full: maxmemory is reached and maxmemory-policy noeviction refuses writes; raise maxmemory "
                     "or let workers drain the queue",
                     where);
    }
    return mg_fail(e, MG_AGAIN, "%s takes no writes now: %s", where, t);
  case MG_REPLY_LATER: return mg_fail(e, MG_CONN, "%s is not ready: %s", where, t);
  case MG_REPLY_NO_MASTER: return mg_fail(e, MG_CONN, "%s is a replica and takes no writes: %s", where, t);
  case MG_REPLY_MOVED:
  case MG_REPLY_ASK: return mg_fail(e, MG_FATAL, "%s is a node of a cluster: set connection.cluster = true (%s)", where, t);
  default: break;
  }
  if (starts(t, "WRONGTYPE") || strstr(t, "WRONGTYPE") != NULL) {
    return mg_fail(e, MG_FATAL, "a key of queue {%s:%s} on %s holds another kind of value than mguard writes there: %s", s->prefix, s->queue, where, t);
  }
  if (starts(t, "ERR max number of clients")) return mg_fail(e, MG_CONN, "%s takes no more clients: raise maxclients there", where);
  if (starts(t, "DENIED")) return mg_fail(e, MG_FATAL, "%s is in protected mode: it wants a password or a bind address (%s)", where, t);
  return mg_fail(e, MG_FATAL, "%s: %s", where, t);
}

/* AUTH, SELECT and a name for CLIENT LIST, in one round trip. */
static mg_err log_in(mg_redis_conn *c, const mg_redis_settings *s, mg_redis_kind kind, const char *name, mg_ms until, mg_error *e) {
  bool server = kind == MG_REDIS_SERVER;
  const char *user = server ? s->username : s->sentinel_username;
  const char *password = server ? s->password : s->sentinel_password;
  mg_redis_args none = {0}, a = {0};
  int replies = 0, optional;
  if (password != NULL || user != NULL) {
    mg_redis_arg_text(&a, "AUTH");
    if (user != NULL) mg_redis_arg_text(&a, user);
    mg_redis_arg_text(&a, password != NULL ? password : "");
    mg_redis_conn_put(c, &none, &a);
    replies++;
  }
  if (server && s->db != 0) {
    mg_buf_clear(&a.bytes);
    a.count = 0;
    mg_redis_arg_text(&a, "SELECT");
    mg_redis_arg_int(&a, s->db);
    mg_redis_conn_put(c, &none, &a);
    replies++;
  }
  mg_buf_clear(&a.bytes);
  a.count = 0;
  mg_redis_arg_text(&a, "CLIENT");
  mg_redis_arg_text(&a, "SETNAME");
  mg_redis_arg_text(&a, name);
  mg_redis_conn_put(c, &none, &a);
  optional = replies++;
  mg_buf_fini(&a.bytes);
  mg_err err = mg_redis_conn_send(c, until, e);
  for (int i = 0; i < replies && err == MG_OK; i++) {
    redisReply *r = NULL;
    err = mg_redis_conn_get(c, &r, until, -1, e);
    if (err != MG_OK) break;
    /* A user may lack the right to name its connection; being asked for a password is another matter. */
    bool matters = i != optional || starts(r->str != NULL ? r->str : "", "NOAUTH") || starts(r->str != NULL ? r->str : "", "DENIED") ||
                   starts(r->str != NULL ? r->str : "", "ERR max number");
    if (r->type == REDIS_REPLY_ERROR && matters) err = mg_redis_fault(s, mg_redis_conn_where(c), r, e);
    freeReplyObject(r);
  }
  return mg_redis_no_answer(err, e);
}

/* A plain Redis takes a TLS greeting for the beginning of a line and waits for more. Whether it is one shows a PING, which is
 * all that is ever sent in plain text. */
static bool answers_plain(const mg_endpoint *at) {
  mg_endpoint plain = *at;
  mg_transport *t = NULL;
  char reply[1] = {0};
  size_t got = 0;
  mg_ms until = mg_now_ms() + PLAIN_MS;
  plain.tls.on = false;
  bool yes = mg_transport_open(&t, &plain, until, NULL) == MG_OK && mg_transport_write(t, "PING\r\n", 6, until, NULL) == MG_OK &&
             mg_transport_read(t, reply, 1, &got, until, -1, NULL) == MG_OK && (reply[0] == '+' || reply[0] == '-');
  mg_transport_close(t);
  return yes;
}

/* Whether a port that closed our plain connection without a word speaks TLS: no certificate matters for that. */
static bool answers_tls(const mg_endpoint *at) {
  mg_endpoint tls = *at;
  mg_transport *t = NULL;
  tls.tls = (mg_tls_options){.on = true, .trust_any = true};
  mg_err err = mg_transport_open(&t, &tls, mg_now_ms() + PLAIN_MS, NULL);
  mg_transport_close(t);
  return err == MG_OK || err == MG_FATAL; /* it may refuse us for having no certificate */
}

mg_err mg_redis_conn_open(mg_redis_conn **out, const mg_redis_settings *s, const mg_redis_place *where, mg_redis_kind kind, const char *name, mg_ms until,
                          mg_error *e) {
  mg_err err = MG_OK;
  mg_endpoint at = {.service = kind == MG_REDIS_SERVER ? "redis" : "sentinel", .tls = s->tls};
  if (where != NULL) {
    at.host = where->host;
    at.port = where->port;
  } else {
    at.unix_path = s->unix_path;
  }
  mg_redis_conn *c = calloc(1, sizeof *c);
  if (c == NULL || (c->reader = redisReaderCreate()) == NULL) {
    free(c);
    return mg_fail(e, MG_NOMEM, "no memory for a connection to redis");
  }
  c->plain_tcp = where != NULL && !s->tls.on;
  mg_ms limit = mg_now_ms() + s->connect_timeout_ms;
  if (until > limit) until = limit;
  err = mg_transport_open(&c->transport, &at, until, e);
  if (err == MG_CONN && s->tls.on && answers_plain(&at)) {
    err = mg_fail(e, MG_FATAL, "%s:%d does not answer TLS: is it a plain port? set ssl = false", at.host, at.port);
  }
  if (err == MG_OK) err = log_in(c, s, kind, name, until, e);
  if (err == MG_CONN && c->shut_out && answers_tls(&at)) {
    err = MG_FATAL; /* the text is there already */
    if (e != NULL) e->code = err;
  }
  if (err != MG_OK) {
    mg_redis_conn_close(c);
    return err;
  }
  *out = c;
  return MG_OK;
}

void mg_redis_conn_close(mg_redis_conn *c) {
  if (c == NULL) return;
  mg_transport_close(c->transport);
  redisReaderFree(c->reader);
  mg_buf_fini(&c->out);
  free(c);
}

int mg_redis_conn_fd(const mg_redis_conn *c) { return mg_transport_fd(c->transport); }

const char *mg_redis_conn_where(const mg_redis_conn *c) { return mg_transport_where(c->transport); }
