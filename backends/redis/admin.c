/* Signs of life, what is where, dead letters, runs. */
#include "backends/redis/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mg_err newest(mg_redis *r, mg_redis_script script, const char *name, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, script, "");
  mg_redis_arg_text(&call.args, name);
  mg_redis_arg_int(&call.args, ttl_ms > 0 ? ttl_ms : 1);
  mg_redis_arg(&call.args, body.data, body.len);
  mg_err err = mg_redis_run_one(r, &call, until, e);
  mg_redis_call_fini(&call);
  return err;
}

static mg_err read_all(mg_redis *r, mg_redis_script script, mg_ms until, mg_batch *out, mg_error *e) {
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, script, "");
  mg_err err = mg_redis_run_one(r, &call, until, e);
  bool from = script == MG_SCRIPT_READ_BEATS;
  for (size_t i = 0; err == MG_OK && i + 1 < call.reply->elements; i += 2) {
    const redisReply *name = call.reply->element[i], *body = call.reply->element[i + 1];
    if (!mg_redis_is_text(name) || !mg_redis_is_text(body)) continue;
    mg_delivery d = {.run = "", .task = "", .from = from ? name->str : "", .body = {(const uint8_t *)body->str, body->len}};
    if (!mg_batch_add(out, &d)) err = mg_fail(e, MG_NOMEM, "no memory for messages");
  }
  mg_redis_call_fini(&call);
  return err;
}

mg_err mg_redis_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  return newest(r, MG_SCRIPT_BEAT, r->identity, body, ttl_ms, until, e);
}

mg_err mg_redis_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) { return read_all(mg_redis_of(b), MG_SCRIPT_READ_BEATS, until, out, e); }

mg_err mg_redis_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  return newest(mg_redis_of(b), MG_SCRIPT_CONTROL, subject, body, ttl_ms, until, e);
}

mg_err mg_redis_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  return read_all(mg_redis_of(b), MG_SCRIPT_READ_CONTROLS, until, out, e);
}

static mg_err reclaim_once(mg_redis *r, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out, mg_error *e) {
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_RECLAIM, run);
  mg_redis_arg_text(&call.args, run);
  mg_redis_arg_text(&call.args, tasks != NULL ? "tasks" : worker != NULL ? "worker" : "expired");
  if (tasks == NULL && worker != NULL) mg_redis_arg_text(&call.args, worker);
  for (size_t i = 0; tasks != NULL && i < count; i++) mg_redis_arg_text(&call.args, tasks[i]);
  mg_err err = mg_redis_run_one(r, &call, until, e);
  for (size_t i = 0; err == MG_OK && i + 1 < call.reply->elements; i += 2) {
    const redisReply *id = call.reply->element[i], *from = call.reply->element[i + 1];
    if (!mg_redis_is_text(id) || !mg_redis_is_text(from)) continue;
    mg_delivery d = {.run = run, .from = from->str};
    d.task = mg_redis_task_of(id->str, &d.attempt);
    if (!mg_batch_add(out, &d)) err = mg_fail(e, MG_NOMEM, "no memory for reclaimed tasks");
  }
  mg_redis_call_fini(&call);
  return err;
}

mg_err mg_redis_reclaim(mg_backend *b, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_err err = mg_redis_check_names(run, "t", e);
  for (size_t done = 0; err == MG_OK;) {
    size_t before = out->count;
    size_t n = tasks != NULL && count - done > MG_REDIS_PER_CALL ? MG_REDIS_PER_CALL : count - done;
    if (tasks != NULL && n == 0) break;
    err = reclaim_once(r, run, worker, tasks != NULL ? tasks + done : NULL, n, until, out, e);
    if (tasks != NULL)
      done += n;
    else if (worker != NULL || out->count == before)
      break;
  }
  if (err == MG_OK) mg_redis_refresh(r, until);
  return err;
}

mg_err mg_redis_probe(mg_backend *b, const char *run, mg_probe *items, size_t count, mg_ms until, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_err err = mg_redis_check_names(run, "t", e);
  for (size_t first = 0; first < count && err == MG_OK; first += MG_REDIS_PER_CALL) {
    size_t n = count - first < MG_REDIS_PER_CALL ? count - first : MG_REDIS_PER_CALL;
    mg_redis_call call = {0};
    mg_redis_call_script(&r->client, &call, MG_SCRIPT_PROBE, run);
    mg_redis_arg_text(&call.args, run);
    for (size_t i = 0; i < n; i++) mg_redis_arg_id(&call.args, items[first + i].task, items[first + i].attempt);
    err = mg_redis_run_one(r, &call, until, e);
    if (err == MG_OK && call.reply->elements != n) err = mg_fail(e, MG_FATAL, "redis gave an answer to the probe script that it cannot give");
    for (size_t i = 0; err == MG_OK && i < n; i++) items[first + i].state = (mg_task_state)call.reply->element[i]->integer;
    mg_redis_call_fini(&call);
  }
  return err;
}

mg_err mg_redis_depth(mg_backend *b, const char *run, mg_ms until, mg_depth *out, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_DEPTH, "");
  mg_redis_arg_text(&call.args, r->client.base);
  mg_redis_arg_text(&call.args, run != NULL ? run : "");
  mg_err err = mg_redis_run_one(r, &call, until, e);
  if (err == MG_OK && call.reply->elements != 5) err = mg_fail(e, MG_FATAL, "redis gave an answer to the depth script that it cannot give");
  if (err == MG_OK) {
    redisReply **n = call.reply->element;
    *out = (mg_depth){n[0]->integer, n[1]->integer, n[2]->integer, n[3]->integer, n[4]->integer};
  }
  mg_redis_call_fini(&call);
  return err;
}

/* "name:123" of INFO; -1 where it is not there. */
static int64_t info_number(const char *info, const char *name) {
  const char *at = strstr(info, name);
  return at != NULL ? strtoll(at + strlen(name), NULL, 10) : -1;
}

/* All keys of a queue are on one server, so that its memory is what counts. A user who may not ask gets an error, and the link goes without. */
mg_err mg_redis_stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_redis_call call = {.command = "INFO"};
  mg_redis_arg_text(&call.args, "memory");
  mg_err err = mg_redis_run_one(r, &call, until, e);
  if (err == MG_OK && mg_redis_is_text(call.reply)) {
    const char *where = mg_redis_conn_where(r->client.conn), *at = strstr(where, " at ");
    mg_node_stats *n = &out->nodes[0];
    n->memory_bytes = info_number(call.reply->str, "used_memory:");
    n->memory_limit_bytes = info_number(call.reply->str, "maxmemory:");
    (void)snprintf(n->name, sizeof n->name, "%s", at != NULL ? at + 4 : where);
    out->node_count = 1;
  }
  mg_redis_call_fini(&call);
  return err;
}

mg_err mg_redis_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_LIST_DEAD, "");
  mg_redis_arg_text(&call.args, r->client.base);
  mg_redis_arg_text(&call.args, run != NULL ? run : "");
  mg_redis_arg_int(&call.args, max < INT32_MAX ? (int64_t)max : INT32_MAX);
  mg_err err = mg_redis_run_one(r, &call, until, e);
  for (size_t i = 0; err == MG_OK && i + 3 < call.reply->elements; i += 4) {
    redisReply **p = call.reply->element + i;
    if (!mg_redis_is_text(p[0]) || !mg_redis_is_text(p[1]) || !mg_redis_is_text(p[2]) || !mg_redis_is_text(p[3])) continue;
    mg_delivery d = {.run = p[0]->str, .why = p[2]->str, .from = "", .body = mg_redis_frame_of(p[3])};
    d.task = mg_redis_task_of(p[1]->str, &d.attempt);
    if (!mg_batch_add(out, &d)) err = mg_fail(e, MG_NOMEM, "no memory for dead letters");
  }
  mg_redis_call_fini(&call);
  return err;
}

mg_err mg_redis_list_runs(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_LIST_RUNS, "");
  mg_err err = mg_redis_run_one(r, &call, until, e);
  for (size_t i = 0; err == MG_OK && i < call.reply->elements; i++) {
    if (!mg_redis_is_text(call.reply->element[i])) continue;
    mg_delivery d = {.run = call.reply->element[i]->str, .task = "", .from = ""};
    if (!mg_batch_add(out, &d)) err = mg_fail(e, MG_NOMEM, "no memory for runs");
  }
  mg_redis_call_fini(&call);
  return err;
}

static mg_err move_dead(mg_redis *r, mg_redis_script script, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  mg_err err = mg_redis_check_names(run, "t", e);
  *moved = 0;
  for (size_t done = 0; err == MG_OK && (tasks == NULL || done < count);) {
    size_t n = tasks == NULL ? 0 : count - done < MG_REDIS_PER_CALL ? count - done : MG_REDIS_PER_CALL;
    mg_redis_call call = {0};
    mg_redis_call_script(&r->client, &call, script, run);
    if (script == MG_SCRIPT_REDRIVE) mg_redis_arg_int(&call.args, r->client.settings.retention_ms);
    mg_redis_arg_text(&call.args, run);
    mg_redis_arg_text(&call.args, tasks == NULL ? "all" : "named");
    for (size_t i = 0; i < n; i++) mg_redis_arg_text(&call.args, tasks[done + i]);
    err = mg_redis_run_one(r, &call, until, e);
    if (err == MG_OK && call.reply->integer > 0) *moved += (size_t)call.reply->integer;
    mg_redis_call_fini(&call);
    done += n;
    if (tasks == NULL) break;
  }
  return err;
}

mg_err mg_redis_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  return move_dead(mg_redis_of(b), MG_SCRIPT_REDRIVE, run, tasks, count, until, moved, e);
}

mg_err mg_redis_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  return move_dead(mg_redis_of(b), MG_SCRIPT_PURGE_DEAD, run, tasks, count, until, moved, e);
}

mg_err mg_redis_purge_run(mg_backend *b, const char *run, mg_ms until, size_t *removed, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_err err = mg_redis_check_names(run, "t", e);
  if (err != MG_OK) return err;
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_PURGE_RUN, run);
  mg_redis_arg_text(&call.args, run);
  err = mg_redis_run_one(r, &call, until, e);
  if (err == MG_OK) *removed = (size_t)call.reply->integer;
  mg_redis_call_fini(&call);
  return err;
}

mg_err mg_redis_quarantine(mg_backend *b, const char *worker, bool on, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_QUARANTINE, "");
  mg_redis_arg_text(&call.args, worker);
  mg_redis_arg_int(&call.args, ttl_ms > 0 ? ttl_ms : 1);
  mg_redis_arg_text(&call.args, on ? "1" : "0");
  mg_err err = mg_redis_run_one(r, &call, until, e);
  mg_redis_call_fini(&call);
  return err;
}
