/* Reading results: in the order of their stream, by a read that waits in the server on a connection of its own. */
#include "backends/redis/parts.h"

#include <stdlib.h>
#include <string.h>

/* "ms-number" as two numbers. */
static bool id_above(const char *a, const char *b) {
  char *a_rest = NULL, *b_rest = NULL;
  unsigned long long a_ms = strtoull(a, &a_rest, 10), b_ms = strtoull(b, &b_rest, 10);
  if (a_ms != b_ms) return a_ms > b_ms;
  return (*a_rest == '-' ? strtoull(a_rest + 1, NULL, 10) : 0) > (*b_rest == '-' ? strtoull(b_rest + 1, NULL, 10) : 0);
}

/* After a reconnect the stream is read from its beginning (a new master may have given lower ids to newer entries): what is
 * still out with the caller is known by its receipt. Ids above the highest ever given cannot be out. */
static bool is_out(const mg_redis *r, const char *id) {
  if (id_above(id, r->highest)) return false;
  for (const mg_lease *l = r->leases; l != NULL; l = l->next) {
    if (l->result && strcmp(l->id, id) == 0) return true;
  }
  return false;
}

/* [id, [field, value, ...]]; an entry that is not ours is given as it is, so that it is seen and settled. */
static mg_err take_entry(mg_redis *r, const redisReply *entry, mg_batch *out, mg_error *e) {
  if (entry->type != REDIS_REPLY_ARRAY || entry->elements < 2 || !mg_redis_is_text(entry->element[0])) return MG_OK;
  const redisReply *id = entry->element[0], *fields = entry->element[1];
  if (id->len >= sizeof r->cursor || is_out(r, id->str)) return MG_OK;
  mg_delivery d = {.run = r->run, .task = "", .from = ""};
  for (size_t i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2) {
    const redisReply *name = fields->element[i], *value = fields->element[i + 1];
    if (!mg_redis_is_text(name) || !mg_redis_is_text(value)) continue;
    if (strcmp(name->str, "t") == 0 && strlen(value->str) == value->len) {
      d.task = mg_redis_task_of(value->str, &d.attempt);
    } else {
      d.body = (mg_slice){(const uint8_t *)value->str, value->len};
    }
  }
  d.lease = mg_redis_lease_new(r, true, r->run, strlen(r->run), id->str, id->len, "");
  if (d.lease == NULL || !mg_batch_add(out, &d)) {
    mg_redis_lease_free(r, d.lease);
    return mg_fail(e, MG_NOMEM, "no memory for results");
  }
  if (id_above(id->str, r->highest)) memcpy(r->highest, id->str, id->len + 1);
  return MG_OK;
}

/* Entries of [[key, [entry...]]], or NULL. */
static const redisReply *entries_of(const redisReply *reply) {
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1) return NULL;
  const redisReply *stream = reply->element[0];
  if (stream->type != REDIS_REPLY_ARRAY || stream->elements != 2) return NULL;
  return stream->element[1]->type == REDIS_REPLY_ARRAY ? stream->element[1] : NULL;
}

static void drop_held(mg_redis *r) {
  if (r->held != NULL) freeReplyObject(r->held);
  r->held = NULL;
  r->held_at = 0;
}

/* Gives of the held reply what there is room for. */
static mg_err give(mg_redis *r, size_t limit, mg_batch *out, mg_error *e) {
  const redisReply *entries = r->held != NULL ? entries_of(r->held) : NULL;
  mg_err err = MG_OK;
  while (entries != NULL && r->held_at < entries->elements && out->count < limit) {
    err = take_entry(r, entries->element[r->held_at], out, e);
    if (err != MG_OK) return err;
    r->held_at++;
  }
  if (entries == NULL || r->held_at == entries->elements) drop_held(r);
  return err;
}

static void hold(mg_redis *r, redisReply *reply) {
  const redisReply *entries = entries_of(reply);
  if (entries != NULL && entries->elements > 0) {
    const redisReply *last = entries->element[entries->elements - 1];
    if (last->type == REDIS_REPLY_ARRAY && last->elements > 0 && mg_redis_is_text(last->element[0]) && last->element[0]->len < sizeof r->cursor) {
      memcpy(r->cursor, last->element[0]->str, last->element[0]->len + 1);
    }
  }
  drop_held(r);
  r->held = reply;
}

static void read_command(mg_redis *r, mg_redis_args *a, size_t max, bool block) {
  mg_buf key = {0};
  mg_redis_key_put(&key, r->client.base, MG_KEY_RESULTS, r->run);
  mg_redis_arg_text(a, "COUNT");
  mg_redis_arg_int(a, (int64_t)max);
  if (block) {
    mg_redis_arg_text(a, "BLOCK");
    mg_redis_arg_int(a, MG_REDIS_PAUSE_MS);
  }
  mg_redis_arg_text(a, "STREAMS");
  mg_redis_arg(a, key.data, key.len);
  mg_redis_arg_text(a, r->cursor);
  if (key.failed) a->bytes.failed = true;
  mg_buf_fini(&key);
}

/* Without waiting, over the main connection, which knows its way through a resharding. */
static mg_err read_now(mg_redis *r, size_t max, mg_ms until, mg_error *e) {
  mg_redis_call call = {.command = "XREAD"};
  read_command(r, &call.args, max, false);
  mg_err err = mg_redis_run_one(r, &call, until, e);
  if (err == MG_OK) {
    hold(r, call.reply);
    call.reply = NULL;
  }
  mg_redis_call_fini(&call);
  return err;
}

static mg_err read_waiting(mg_redis *r, size_t max, mg_ms until, mg_error *e) {
  mg_redis_waiter *w = &r->result_waiter;
  mg_err err = mg_redis_waiter_connect(&r->client, w, until, e);
  if (err != MG_OK) return err;
  if (!w->asked) {
    mg_redis_args a = {0};
    mg_redis_arg_text(&a, "XREAD");
    read_command(r, &a, max, true);
    err = mg_redis_waiter_ask(w, &a, MG_REDIS_PAUSE_MS, e);
    mg_buf_fini(&a.bytes);
    if (err != MG_OK) return err;
  }
  redisReply *reply = NULL;
  err = mg_redis_waiter_get(&r->client, w, &reply, until, r->wake_fd, e);
  if (reply != NULL) hold(r, reply);
  return err;
}

mg_err mg_redis_fetch_results(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  if (r->run == NULL) return mg_fail(e, MG_ARG, "results belong to a run: this side has none");
  if (max == 0) return MG_OK;
  size_t before = out->count, limit = before + max;
  size_t count = max < 1000 ? max : 1000;
  mg_redis_refresh(r, until);
  mg_err err = mg_redis_client_connect(&r->client, until, e);
  if (err != MG_OK) return err;
  if (r->cursor_generation != r->client.generation) {
    drop_held(r);
    mg_redis_waiter_close(&r->result_waiter);
    memcpy(r->cursor, "0-0", 4);
    r->cursor_generation = r->client.generation;
  }
  for (;;) {
    if (r->held != NULL) err = give(r, limit, out, e);
    if (err != MG_OK || out->count > before) return err;
    mg_ms now = mg_now_ms();
    if (now < r->result_waiter.poll_until) {
      err = read_now(r, count, until, e);
      if (err != MG_OK) return err;
      if (r->held != NULL && entries_of(r->held) != NULL) continue;
      if (mg_net_wait(-1, 0, now + 50 < until ? now + 50 : until, r->wake_fd) == MG_AGAIN) return MG_OK;
    } else {
      /* What is there already comes at once, so a caller whose time is over still gets it. */
      mg_ms least = now + 20;
      err = read_waiting(r, count, until > least ? until : least, e);
      if (err == MG_AGAIN) return MG_OK;
      if (err != MG_OK && err != MG_TIMEOUT) return err;
      err = MG_OK;
      if (r->held != NULL) continue;
    }
    if (mg_now_ms() >= until) return MG_OK;
  }
}
