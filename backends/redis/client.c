#include "backends/redis/client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 3000, CONNECT_MS = 1000, FIRST_PAUSE_MS = 20, LONGEST_PAUSE_MS = 400, MAX_REDIRECTS = 16, SLACK_MS = 15000 };

void mg_redis_call_fini(mg_redis_call *c) {
  mg_buf_fini(&c->args.bytes);
  if (c->reply != NULL) freeReplyObject(c->reply);
  c->reply = NULL;
}

void mg_redis_call_script(mg_redis_client *c, mg_redis_call *call, mg_redis_script s, const char *run) {
  size_t count = 0;
  mg_redis_key key;
  mg_buf name = {0};
  call->command = NULL;
  call->script = s;
  while (mg_redis_script_key(s, count, &key)) count++;
  mg_redis_arg_int(&call->args, (int64_t)count);
  for (size_t i = 0; i < count; i++) {
    (void)mg_redis_script_key(s, i, &key);
    mg_buf_clear(&name);
    mg_redis_key_put(&name, c->base, key, run);
    mg_redis_arg(&call->args, name.data, name.len);
    if (name.failed) call->args.bytes.failed = true;
  }
  mg_buf_fini(&name);
}

mg_err mg_redis_client_init(mg_redis_client *c, const mg_options *o, const char *identity, mg_error *e) {
  *c = (mg_redis_client){0};
  mg_err err = mg_redis_settings_init(&c->settings, o, e);
  if (err != MG_OK) return err;
  (void)snprintf(c->base, sizeof c->base, "{%s:%s}:", c->settings.prefix, c->settings.queue);
  (void)snprintf(c->name, sizeof c->name, "mguard:%s", identity != NULL ? identity : "");
  for (char *p = c->name; *p != '\0'; p++) {
    if (*p <= ' ' || *p > '~') *p = '_'; /* CLIENT SETNAME takes nothing else */
  }
  c->slot = mg_redis_slot(c->base);
  return MG_OK;
}

void mg_redis_client_fini(mg_redis_client *c) {
  mg_redis_conn_close(c->conn);
  c->conn = NULL;
}

void mg_redis_client_drop(mg_redis_client *c) {
  mg_redis_conn_close(c->conn);
  c->conn = NULL;
}

mg_err mg_redis_find_server(mg_redis_client *c, mg_redis_conn **out, mg_ms until, mg_error *e) {
  const mg_redis_settings *s = &c->settings;
  if (s->cluster) return mg_redis_find_in_cluster(c, out, until, e);
  if (s->sentinel_count > 0) return mg_redis_find_by_sentinel(c, out, until, e);
  if (s->unix_path != NULL) return mg_redis_conn_open(out, s, NULL, MG_REDIS_SERVER, c->name, until, e);
  mg_err err = MG_CONN;
  /* turn stays at the host that answers, so that the waiters go where the main connection went. */
  for (size_t i = 0; i < s->host_count && err == MG_CONN && (i == 0 || mg_now_ms() < until); i++) {
    err = mg_redis_conn_open(out, s, &s->hosts[c->turn % s->host_count], MG_REDIS_SERVER, c->name, until, e);
    if (err != MG_OK) c->turn++;
  }
  return err;
}

static mg_ms at_least(mg_ms until, mg_ms ms) {
  mg_ms least = mg_now_ms() + ms;
  return until > least ? until : least;
}

mg_err mg_redis_client_connect(mg_redis_client *c, mg_ms until, mg_error *e) {
  if (c->conn != NULL) return MG_OK;
  mg_err err = mg_redis_find_server(c, &c->conn, at_least(until, CONNECT_MS), e);
  if (err != MG_OK) return err;
  c->generation++;
  c->used_ms = mg_now_ms();
  return MG_OK;
}

static void put_call(mg_redis_conn *conn, const mg_redis_call *call, bool whole_script) {
  mg_redis_args first = {0};
  if (call->command != NULL) {
    mg_redis_arg_text(&first, call->command);
  } else if (whole_script) {
    size_t len;
    const char *text = mg_redis_script_text(call->script, &len);
    mg_redis_arg_text(&first, "EVAL");
    if (text == NULL)
      first.bytes.failed = true;
    else
      mg_redis_arg(&first, text, len);
  } else {
    const char *sha = mg_redis_script_sha(call->script);
    mg_redis_arg_text(&first, "EVALSHA");
    if (sha == NULL)
      first.bytes.failed = true;
    else
      mg_redis_arg_text(&first, sha);
  }
  mg_redis_conn_put(conn, &first, &call->args);
  mg_buf_fini(&first.bytes);
}

static bool has_answer(const mg_redis_call *call) { return call->reply != NULL; }

static void forget_answer(mg_redis_call *call) {
  freeReplyObject(call->reply);
  call->reply = NULL;
}

/* What must be done before the calls without an answer are sent again. */
typedef struct again {
  bool any, pause, leave, load;
  mg_redis_place moved, asked; /* host "" where none */
} again;

/* "MOVED 866 host:port"; an empty host means the node that answered. */
static void redirect(mg_redis_place *out, const char *text, const mg_redis_client *c) {
  const char *at = strrchr(text, ' ');
  if (at == NULL) return;
  at++;
  if (at[0] == ':') {
    *out = c->owner;
    out->port = atoi(at + 1);
  } else if (!mg_redis_place_parse(out, at, strlen(at), 0)) {
    out->host[0] = '\0';
  }
}

/* One pass: everything without an answer goes out, replies come in; those that must be repeated have their reply taken away. */
static mg_err pass(mg_redis_client *c, mg_redis_conn *conn, mg_redis_call *calls, size_t count, bool asking, bool whole_script, again *a, mg_ms until,
                   mg_error *e) {
  mg_redis_args none = {0}, ask = {0};
  if (asking) mg_redis_arg_text(&ask, "ASKING");
  for (size_t i = 0; i < count; i++) {
    if (has_answer(&calls[i])) continue;
    if (asking) mg_redis_conn_put(conn, &none, &ask);
    put_call(conn, &calls[i], whole_script);
  }
  mg_buf_fini(&ask.bytes);
  mg_err err = mg_redis_conn_send(conn, until, e);
  for (size_t i = 0; i < count && err == MG_OK; i++) {
    if (has_answer(&calls[i])) continue;
    if (asking) {
      redisReply *ok = NULL;
      err = mg_redis_conn_get(conn, &ok, until, -1, e);
      if (err != MG_OK) break;
      freeReplyObject(ok);
    }
    err = mg_redis_conn_get(conn, &calls[i].reply, until, -1, e);
    if (err != MG_OK) break;
    bool cluster = c->settings.cluster;
    switch (mg_redis_classify(calls[i].reply)) {
    case MG_REPLY_NOSCRIPT: a->load = a->any = true; break;
    case MG_REPLY_LATER: a->pause = a->any = true; break;
    case MG_REPLY_NO_MASTER: a->leave = a->pause = a->any = true; break;
    case MG_REPLY_MOVED:
      if (!cluster) continue;
      redirect(&a->moved, calls[i].reply->str, c);
      a->any = true;
      break;
    case MG_REPLY_ASK:
      if (!cluster) continue;
      redirect(&a->asked, calls[i].reply->str, c);
      a->any = true;
      break;
    default: continue;
    }
  }
  return mg_redis_no_answer(err, e);
}

/* Takes the replies away that asked for a repetition; the last one stays in e, in case there is no time for it. */
static void prepare_again(mg_redis_client *c, mg_redis_call *calls, size_t count, const char *where, mg_error *e) {
  for (size_t i = 0; i < count; i++) {
    if (!has_answer(&calls[i])) continue;
    mg_redis_reply_class k = mg_redis_classify(calls[i].reply);
    bool redirected = c->settings.cluster && (k == MG_REPLY_MOVED || k == MG_REPLY_ASK);
    if (k != MG_REPLY_NOSCRIPT && k != MG_REPLY_LATER && k != MG_REPLY_NO_MASTER && !redirected) continue;
    if (redirected) {
      mg_fail(e, MG_CONN, "%s sends us elsewhere again and again: %s", where, calls[i].reply->str);
    } else {
      (void)mg_redis_fault(&c->settings, where, calls[i].reply, e);
    }
    forget_answer(&calls[i]);
  }
}

static mg_err run_asked(mg_redis_client *c, const mg_redis_place *at, mg_redis_call *calls, size_t count, mg_ms until, mg_error *e) {
  mg_redis_conn *conn = NULL;
  again a = {0};
  mg_err err = mg_redis_conn_open(&conn, &c->settings, at, MG_REDIS_SERVER, c->name, until, e);
  for (int i = 0; i < 2 && err == MG_OK; i++) {
    a = (again){0};
    err = pass(c, conn, calls, count, true, i == 1, &a, until, e);
    if (a.any) prepare_again(c, calls, count, mg_redis_conn_where(conn), e);
    if (!a.load) break;
  }
  mg_redis_conn_close(conn);
  return err;
}

static mg_err run_until_answered(mg_redis_client *c, mg_redis_call *calls, size_t count, mg_ms until, mg_error *e) {
  mg_ms pause_ms = FIRST_PAUSE_MS;
  bool whole_script = false;
  for (int redirects = 0;;) {
    mg_err err = mg_redis_client_connect(c, until, e);
    if (err != MG_OK) return err;
    again a = {0};
    err = pass(c, c->conn, calls, count, false, whole_script, &a, at_least(until, ANSWER_MS), e);
    if (err != MG_OK) {
      mg_redis_client_drop(c);
      return err;
    }
    c->used_ms = mg_now_ms();
    if (!a.any) return MG_OK;
    prepare_again(c, calls, count, mg_redis_conn_where(c->conn), e);
    whole_script = a.load;
    if (a.moved.host[0] != '\0') {
      mg_redis_client_drop(c);
      c->owner = a.moved;
      if (++redirects > MAX_REDIRECTS) return MG_CONN;
    } else if (a.asked.host[0] != '\0') {
      err = run_asked(c, &a.asked, calls, count, at_least(until, ANSWER_MS), e);
      if (err != MG_OK && err != MG_CONN) return err;
      size_t left = 0;
      for (size_t i = 0; i < count; i++) left += !has_answer(&calls[i]);
      if (left == 0) return MG_OK;
      a.pause = true;
    } else if (a.leave) {
      mg_redis_client_drop(c);
      if (c->settings.sentinel_count == 0 && !c->settings.cluster) {
        c->turn++;
        return MG_CONN;
      }
    }
    if (!a.pause) continue;
    mg_ms now = mg_now_ms();
    if (now >= until) return MG_CONN;
    (void)mg_net_wait(-1, 0, now + pause_ms < until ? now + pause_ms : until, -1);
    if (pause_ms < LONGEST_PAUSE_MS) pause_ms *= 2;
  }
}

mg_err mg_redis_run(mg_redis_client *c, mg_redis_call *calls, size_t count, mg_ms until, mg_error *e) {
  mg_error why = {0}, ignored; /* a complaint that was overcome must not stay in e */
  mg_err worst = run_until_answered(c, calls, count, until, &why);
  for (size_t i = 0; i < count; i++) {
    if (!has_answer(&calls[i])) {
      calls[i].err = worst == MG_OK ? MG_CONN : worst;
    } else if (calls[i].reply->type == REDIS_REPLY_ERROR) {
      /* The first complaint is the one that is told. */
      const char *where = c->conn != NULL ? mg_redis_conn_where(c->conn) : "redis";
      mg_err err = mg_redis_fault(&c->settings, where, calls[i].reply, worst == MG_OK ? &why : &ignored);
      calls[i].err = err;
      if (worst == MG_OK || (worst == MG_AGAIN && err != MG_AGAIN)) worst = err;
      /* A login that has been taken away is noticed again by the next connection. */
      if (err == MG_FATAL && strncmp(calls[i].reply->str, "NOAUTH", 6) == 0) mg_redis_client_drop(c);
    } else {
      calls[i].err = MG_OK;
    }
  }
  if (worst != MG_OK && e != NULL) *e = why;
  return worst;
}

void mg_redis_waiter_close(mg_redis_waiter *w) {
  mg_redis_conn_close(w->conn);
  w->conn = NULL;
  w->asked = false;
}

mg_err mg_redis_waiter_connect(mg_redis_client *c, mg_redis_waiter *w, mg_ms until, mg_error *e) {
  if (w->conn != NULL && w->generation == c->generation) return MG_OK;
  mg_redis_waiter_close(w);
  mg_err err = mg_redis_find_server(c, &w->conn, at_least(until, CONNECT_MS), e);
  w->generation = c->generation;
  return err;
}

mg_err mg_redis_waiter_ask(mg_redis_waiter *w, const mg_redis_args *command, mg_ms block_ms, mg_error *e) {
  mg_redis_args none = {0};
  mg_redis_conn_put(w->conn, &none, command);
  mg_err err = mg_redis_conn_send(w->conn, mg_now_ms() + ANSWER_MS, e);
  if (err != MG_OK) {
    mg_redis_waiter_close(w);
    return err;
  }
  w->asked = true;
  w->reply_by = mg_now_ms() + block_ms + SLACK_MS;
  return MG_OK;
}

mg_err mg_redis_waiter_get(mg_redis_client *c, mg_redis_waiter *w, redisReply **out, mg_ms until, int wake_fd, mg_error *e) {
  *out = NULL;
  mg_ms end = until < w->reply_by ? until : w->reply_by;
  mg_error why = {0};
  mg_err err = mg_redis_conn_get(w->conn, out, end, wake_fd, &why);
  if (err == MG_AGAIN) return err;
  if (err == MG_TIMEOUT && mg_now_ms() < w->reply_by) return err;
  w->asked = false;
  if (err == MG_OK) {
    mg_redis_reply_class k = mg_redis_classify(*out);
    if (k == MG_REPLY_FINE) return MG_OK;
    if (k == MG_REPLY_BAD || ((k == MG_REPLY_MOVED || k == MG_REPLY_ASK) && !c->settings.cluster)) {
      err = mg_redis_fault(&c->settings, mg_redis_conn_where(w->conn), *out, e);
    } else {
      /* The main connection follows redirects and waits for servers that are not ready. */
      w->poll_until = mg_now_ms() + 2000;
    }
    freeReplyObject(*out);
    *out = NULL;
    mg_redis_waiter_close(w);
    return err;
  }
  mg_redis_waiter_close(w);
  /* Whatever broke this connection has most likely broken the other one too. */
  mg_redis_client_drop(c);
  if (err == MG_TIMEOUT) return mg_fail(e, MG_CONN, "redis has not answered a waiting read in time");
  if (e != NULL) *e = why;
  return err;
}
