/* Extending and settling leases. */
#include "backends/redis/parts.h"

#include <stdlib.h>
#include <string.h>

typedef void add_rest(mg_redis_args *a, const mg_settle *item);

static void add_nothing(mg_redis_args *a, const mg_settle *item) {
  (void)a;
  (void)item;
}

static void add_ms(mg_redis_args *a, const mg_settle *item) { mg_redis_arg_int(a, item->ms > 0 ? item->ms : 0); }

static void add_why(mg_redis_args *a, const mg_settle *item) { mg_redis_arg_text(a, item->why != NULL ? item->why : ""); }

static size_t group_from(const mg_settle *items, size_t count, size_t first) {
  size_t n = 1;
  while (first + n < count && n < MG_REDIS_PER_CALL && strcmp(items[first + n].lease->run, items[first].lease->run) == 0) n++;
  return n;
}

static mg_err check_leases(mg_settle *items, size_t count, bool result, mg_error *e) {
  for (size_t i = 0; i < count; i++) {
    if (items[i].lease != NULL && items[i].lease->result == result) continue;
    for (size_t k = 0; k < count; k++) items[k].err = MG_ARG;
    return mg_fail(e, MG_ARG, "entry %zu has no receipt of a %s", i, result ? "result" : "task");
  }
  return MG_OK;
}

/* Runs script over (id, token, rest)* a run and gives each item its answer. */
static mg_err settle(mg_redis *r, mg_redis_script script, bool ttl, bool run, add_rest *rest, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  if (count == 0) return MG_OK;
  mg_err err = check_leases(items, count, false, e);
  if (err != MG_OK) return err;
  mg_redis_call *calls = calloc(count, sizeof *calls);
  size_t n = 0;
  if (calls == NULL) {
    for (size_t i = 0; i < count; i++) items[i].err = MG_NOMEM;
    return mg_fail(e, MG_NOMEM, "no memory to settle %zu tasks", count);
  }
  for (size_t first = 0, size; first < count; first += size, n++) {
    mg_redis_call *c = &calls[n];
    size = group_from(items, count, first);
    mg_redis_call_script(&r->client, c, script, items[first].lease->run);
    if (ttl) mg_redis_arg_int(&c->args, r->client.settings.retention_ms);
    if (run) mg_redis_arg_text(&c->args, items[first].lease->run);
    for (size_t i = first; i < first + size; i++) {
      mg_redis_arg_text(&c->args, items[i].lease->id);
      mg_redis_arg_text(&c->args, items[i].lease->token);
      rest(&c->args, &items[i]);
    }
  }
  err = mg_redis_run(&r->client, calls, n, until, e);
  size_t item = 0;
  for (size_t k = 0; k < n; k++) {
    size_t size = group_from(items, count, item);
    const redisReply *reply = calls[k].reply;
    for (size_t i = 0; i < size; i++, item++) {
      items[item].err = calls[k].err;
      if (calls[k].err != MG_OK) continue;
      bool ours = reply->type == REDIS_REPLY_ARRAY && i < reply->elements && reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer == 1;
      if (!ours) items[item].err = MG_LOST;
    }
    mg_redis_call_fini(&calls[k]);
  }
  free(calls);
  return err;
}

mg_err mg_redis_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  return settle(mg_redis_of(b), MG_SCRIPT_EXTEND, false, false, add_ms, items, count, until, e);
}

mg_err mg_redis_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  return settle(mg_redis_of(b), MG_SCRIPT_ACK, true, false, add_nothing, items, count, until, e);
}

mg_err mg_redis_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  return settle(mg_redis_of(b), MG_SCRIPT_NACK, true, true, add_ms, items, count, until, e);
}

mg_err mg_redis_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  return settle(mg_redis_of(b), MG_SCRIPT_BURY, true, true, add_why, items, count, until, e);
}

mg_err mg_redis_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  if (count == 0) return MG_OK;
  mg_err err = check_leases(items, count, true, e);
  if (err != MG_OK) return err;
  mg_redis_call *calls = calloc(count, sizeof *calls);
  mg_buf key = {0};
  size_t n = 0;
  if (calls == NULL) {
    for (size_t i = 0; i < count; i++) items[i].err = MG_NOMEM;
    return mg_fail(e, MG_NOMEM, "no memory to settle %zu results", count);
  }
  for (size_t first = 0, size; first < count; first += size, n++) {
    size = group_from(items, count, first);
    calls[n].command = "XDEL";
    mg_buf_clear(&key);
    mg_redis_key_put(&key, r->client.base, MG_KEY_RESULTS, items[first].lease->run);
    mg_redis_arg(&calls[n].args, key.data, key.len);
    if (key.failed) calls[n].args.bytes.failed = true;
    for (size_t i = first; i < first + size; i++) mg_redis_arg_text(&calls[n].args, items[i].lease->id);
  }
  err = mg_redis_run(&r->client, calls, n, until, e);
  size_t item = 0;
  for (size_t k = 0; k < n; k++) {
    size_t size = group_from(items, count, item);
    for (size_t i = 0; i < size; i++, item++) items[item].err = calls[k].err;
    mg_redis_call_fini(&calls[k]);
  }
  mg_buf_fini(&key);
  free(calls);
  return err;
}
