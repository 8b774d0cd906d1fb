/* Publishing and claiming. */
#include "backends/redis/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct group { /* items [first, first + count) of one call: one run, bounded in number and bytes */
  size_t first, count;
} group;

static size_t group_from(const mg_publish *items, size_t count, size_t first) {
  size_t n = 0, bytes = 0;
  while (first + n < count && n < MG_REDIS_PER_CALL && strcmp(items[first + n].run, items[first].run) == 0) {
    bytes += items[first + n].body.len;
    if (n > 0 && bytes > MG_REDIS_BYTES_PER_CALL) break;
    n++;
  }
  return n;
}

static mg_err publish(mg_redis *r, mg_redis_script script, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  mg_redis_call *calls = calloc(count, sizeof *calls);
  group *groups = calloc(count, sizeof *groups);
  size_t n = 0;
  if (calls == NULL || groups == NULL) {
    err = mg_fail(e, MG_NOMEM, "no memory to publish %zu messages", count);
    for (size_t i = 0; i < count; i++) items[i].err = err;
    goto out;
  }
  for (size_t first = 0; first < count; first += groups[n++].count) {
    mg_redis_call *c = &calls[n];
    groups[n] = (group){first, group_from(items, count, first)};
    mg_redis_call_script(&r->client, c, script, items[first].run);
    mg_redis_arg_int(&c->args, r->client.settings.retention_ms);
    mg_redis_arg_text(&c->args, items[first].run);
    for (size_t i = first; i < first + groups[n].count; i++) {
      mg_redis_arg_id(&c->args, items[i].task, items[i].attempt);
      if (script == MG_SCRIPT_PUBLISH) mg_redis_arg_int(&c->args, items[i].delay_ms);
      if (script == MG_SCRIPT_PUBLISH_DEAD) mg_redis_arg_text(&c->args, items[i].why != NULL ? items[i].why : "");
      mg_redis_arg(&c->args, items[i].body.data, items[i].body.len);
    }
  }
  err = mg_redis_run(&r->client, calls, n, until, e);
  for (size_t g = 0; g < n; g++) {
    for (size_t i = 0; i < groups[g].count; i++) items[groups[g].first + i].err = calls[g].err;
  }
out:
  for (size_t g = 0; g < n; g++) mg_redis_call_fini(&calls[g]);
  free(calls);
  free(groups);
  return err;
}

static mg_err check_items(mg_publish *items, size_t count, mg_error *e) {
  mg_err err = MG_OK;
  for (size_t i = 0; i < count && err == MG_OK; i++) err = mg_redis_check_names(items[i].run, items[i].task, e);
  for (size_t i = 0; i < count && err != MG_OK; i++) items[i].err = err;
  return err;
}

mg_err mg_redis_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  if (count == 0) return MG_OK;
  mg_err err = check_items(items, count, e);
  if (err == MG_OK) err = publish(r, MG_SCRIPT_PUBLISH, items, count, until, e);
  if (err == MG_OK) mg_redis_refresh(r, until);
  return err;
}

mg_err mg_redis_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  if (count == 0) return MG_OK;
  mg_err err = check_items(items, count, e);
  return err == MG_OK ? publish(mg_redis_of(b), MG_SCRIPT_PUBLISH_DEAD, items, count, until, e) : err;
}

mg_err mg_redis_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  if (count == 0) return MG_OK;
  mg_err err = check_items(items, count, e);
  return err == MG_OK ? publish(mg_redis_of(b), MG_SCRIPT_PUBLISH_RESULTS, items, count, until, e) : err;
}

/* (run, id, record)* of a claim from element 2 on. */
static mg_err take_claimed(mg_redis *r, const redisReply *reply, mg_batch *out, mg_error *e) {
  for (size_t i = 2; i + 2 < reply->elements; i += 3) {
    const redisReply *run = reply->element[i], *id = reply->element[i + 1], *record = reply->element[i + 2];
    if (!mg_redis_is_text(run) || !mg_redis_is_text(id) || !mg_redis_is_text(record)) continue;
    mg_delivery d = {.run = run->str, .from = ""};
    d.task = mg_redis_task_of(id->str, &d.attempt);
    d.body = mg_redis_frame_of(record);
    d.lease = mg_redis_lease_new(r, false, run->str, run->len, id->str, id->len, r->token);
    if (d.lease == NULL || !mg_batch_add(out, &d)) {
      mg_redis_lease_free(r, d.lease);
      return mg_fail(e, MG_NOMEM, "no memory for fetched tasks; they come back when their lease ends");
    }
  }
  return MG_OK;
}

/* What was claimed under the token whose reply got lost. */
static mg_err recover(mg_redis *r, const mg_fetch *how, mg_batch *out, mg_error *e) {
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_RECOVER, "");
  mg_redis_arg_int(&call.args, r->client.settings.retention_ms);
  mg_redis_arg_text(&call.args, r->client.base);
  mg_redis_arg_text(&call.args, r->token);
  mg_redis_arg_int(&call.args, how->lease_ms);
  mg_err err = mg_redis_run_one(r, &call, how->until, e);
  if (err == MG_OK) {
    r->recover = false;
    err = take_claimed(r, call.reply, out, e);
  }
  mg_redis_call_fini(&call);
  return err;
}

static mg_err claim(mg_redis *r, const mg_fetch *how, mg_batch *out, mg_ms *due_ms, mg_error *e) {
  mg_redis_call call = {0};
  size_t max = how->max < 500 ? how->max : 500;
  (void)snprintf(r->token, sizeof r->token, "%s-%llu", r->nonce, (unsigned long long)++r->claims);
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_CLAIM, "");
  mg_redis_arg_int(&call.args, r->client.settings.retention_ms);
  mg_redis_arg_text(&call.args, r->client.base);
  mg_redis_arg_text(&call.args, r->token);
  mg_redis_arg_text(&call.args, r->identity);
  mg_redis_arg_int(&call.args, how->lease_ms);
  mg_redis_arg_int(&call.args, (int64_t)max);
  for (size_t i = 0; i < how->skip_count; i++) mg_redis_arg_text(&call.args, how->skip_runs[i]);
  mg_err err = mg_redis_run_one(r, &call, how->until, e);
  if (err == MG_CONN) r->recover = true;
  if (err != MG_OK) goto out;
  const redisReply *reply = call.reply;
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 || !mg_redis_is_text(reply->element[0]) || reply->element[1]->type != REDIS_REPLY_INTEGER ||
      reply->element[0]->len >= sizeof r->wake_id) {
    err = mg_fail(e, MG_FATAL, "redis gave an answer to the claim script that it cannot give");
    goto out;
  }
  memcpy(r->wake_id, reply->element[0]->str, reply->element[0]->len + 1);
  *due_ms = reply->element[1]->integer;
  err = take_claimed(r, reply, out, e);
out:
  mg_redis_call_fini(&call);
  return err;
}

/* MG_OK: claim again. MG_AGAIN: called away. */
static mg_err wait_for_tasks(mg_redis *r, mg_ms until, mg_error *e) {
  mg_redis_waiter *w = &r->task_waiter;
  mg_ms now = mg_now_ms();
  if (now < w->poll_until) return mg_net_wait(-1, 0, now + 100 < until ? now + 100 : until, r->wake_fd) == MG_AGAIN ? MG_AGAIN : MG_OK;
  mg_err err = mg_redis_waiter_connect(&r->client, w, until, e);
  if (err != MG_OK) return err;
  if (!w->asked) {
    mg_buf key = {0};
    mg_redis_args a = {0};
    mg_redis_key_put(&key, r->client.base, MG_KEY_WAKE, "");
    mg_redis_arg_text(&a, "XREAD");
    mg_redis_arg_text(&a, "BLOCK");
    mg_redis_arg_int(&a, MG_REDIS_PAUSE_MS);
    mg_redis_arg_text(&a, "STREAMS");
    mg_redis_arg(&a, key.data, key.len);
    mg_redis_arg_text(&a, r->wake_id);
    if (key.failed) a.bytes.failed = true;
    err = mg_redis_waiter_ask(w, &a, MG_REDIS_PAUSE_MS, e);
    mg_buf_fini(&key);
    mg_buf_fini(&a.bytes);
    if (err != MG_OK) return err;
  }
  redisReply *reply = NULL;
  err = mg_redis_waiter_get(&r->client, w, &reply, until, r->wake_fd, e);
  if (reply != NULL) freeReplyObject(reply);
  return err == MG_TIMEOUT ? MG_OK : err;
}

mg_err mg_redis_fetch_tasks(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  if (how->max == 0) return MG_OK;
  size_t before = out->count;
  if (r->recover) {
    mg_err err = recover(r, how, out, e);
    if (err != MG_OK || out->count > before) return err;
  }
  for (;;) {
    mg_ms due_ms = -1;
    mg_err err = claim(r, how, out, &due_ms, e);
    mg_ms now = mg_now_ms();
    if (err != MG_OK || out->count > before || now >= how->until) return err;
    mg_ms end = due_ms >= 0 && now + due_ms < how->until ? now + due_ms : how->until;
    err = wait_for_tasks(r, end, e);
    if (err == MG_AGAIN) return MG_OK;
    if (err != MG_OK) return err;
  }
}
