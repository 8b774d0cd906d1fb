/* Wrong arguments raise; run-time failures return nil, message, code. Nothing that must be freed is held across a call that may raise, but by the handle. */
#include "cli/module.h"

#include "base/ident.h"
#include "cli/cli.h"
#include "script/core.h"
#include "script/plan.h"
#include "wire/message.h"
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <string.h>
#include <time.h>

typedef struct handle {
  const mg_backend_ops *ops;
  mg_backend *backend; /* NULL: closed */
  mg_options *queue;
  void *shared;        /* broker of the memory backend */
  mg_batch batch;      /* of the call under way */
  mg_ms timeout_ms;
} handle;

typedef struct receipt {
  mg_lease *lease; /* NULL: settled */
  handle *of;      /* kept alive by the user value */
} receipt;

#define HANDLE "mguard.queue.handle"
#define RECEIPT "mguard.queue.receipt"

static int fail(lua_State *L, mg_err err, const mg_error *e) {
  lua_pushnil(L);
  lua_pushstring(L, e->text);
  lua_pushstring(L, mg_err_name(err));
  return 3;
}

static void close_handle(handle *h) {
  mg_batch_clear(&h->batch);
  if (h->backend != NULL) h->ops->close(h->backend);
  h->backend = NULL;
  mg_local_broker_free(h->shared);
  h->shared = NULL;
  mg_options_free(h->queue);
  h->queue = NULL;
}

static int handle_close(lua_State *L) {
  close_handle(luaL_checkudata(L, 1, HANDLE));
  return 0;
}

static handle *open_handle(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, HANDLE);
  if (h->backend == NULL) luaL_error(L, "the queue is closed");
  mg_batch_clear(&h->batch);
  return h;
}

static mg_ms until(const handle *h) { return mg_now_ms() + h->timeout_ms; }

static int queue_open(lua_State *L) {
  const char *source = luaL_checkstring(L, 1), *why = NULL;
  lua_Integer timeout_ms = luaL_checkinteger(L, 2);
  handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (handle){.timeout_ms = timeout_ms};
  luaL_setmetatable(L, HANDLE);
  char identity[MG_NAME_MAX + 1];
  mg_error e;
  mg_err err = mg_queue_load(&h->queue, NULL, source, &e);
  if (err != MG_OK) return fail(L, err, &e);
  const char *name = mg_options_text(h->queue, "backend", "memory");
  h->ops = mg_backend_find(name, &why);
  if (h->ops == NULL) return fail(L, mg_fail(&e, MG_UNSUPPORTED, "backend %s: %s", name, why), &e);
  if ((h->ops->capabilities & MG_CAP_SHARED) == 0 && (h->shared = mg_local_broker_new()) == NULL)
    return fail(L, mg_fail(&e, MG_NOMEM, "memory ended"), &e);
  /* Client libraries write to sockets that may be gone; a script that wants the signal has set a handler. */
  struct sigaction pipe;
  if (sigaction(SIGPIPE, NULL, &pipe) == 0 && (pipe.sa_flags & SA_SIGINFO) == 0 && pipe.sa_handler == SIG_DFL) (void)signal(SIGPIPE, SIG_IGN);
  mg_worker_name_make(identity, sizeof identity);
  mg_backend_config config = {.options = h->queue, .identity = identity, .wake_fd = -1, .shared = h->shared};
  err = h->ops->open(&h->backend, &config, until(h), &e);
  if (err != MG_OK) h->backend = NULL;
  return err == MG_OK ? 1 : fail(L, err, &e);
}

static int handle_backend(lua_State *L) {
  lua_pushstring(L, open_handle(L)->ops->name);
  return 1;
}

/* ---- tasks ---- */

/* publish(run, { { task =, body =, attempt = } ... }, delay_ms) -> true; nil, message, code, names of the tasks that were not published. */
static int handle_publish(lua_State *L) {
  handle *h = open_handle(L);
  const char *run = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer delay_ms = luaL_checkinteger(L, 4);
  size_t count = (size_t)luaL_len(L, 3);
  if (count == 0) return lua_pushboolean(L, true), 1;
  mg_publish *items = lua_newuserdatauv(L, count * sizeof *items, 0);
  for (size_t i = 0; i < count; i++) {
    size_t len;
    lua_geti(L, 3, (lua_Integer)i + 1);
    lua_getfield(L, -1, "task");
    lua_getfield(L, -2, "body");
    lua_getfield(L, -3, "attempt");
    const char *task = luaL_checkstring(L, -3), *body = luaL_checklstring(L, -2, &len);
    items[i] = (mg_publish){.run = run, .task = task, .attempt = (uint32_t)luaL_checkinteger(L, -1), .delay_ms = (uint32_t)delay_ms};
    items[i].body = (mg_slice){(const uint8_t *)body, len};
    items[i].err = MG_FATAL;
    lua_pop(L, 4); /* the list keeps the strings */
  }
  mg_error e = {.text = ""};
  mg_err err = h->ops->publish_tasks(h->backend, items, count, until(h), &e);
  lua_Integer failed = 0;
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    if (items[i].err == MG_OK) continue;
    if (err == MG_OK) err = items[i].err;
    lua_pushstring(L, items[i].task);
    lua_seti(L, -2, ++failed);
  }
  if (err == MG_OK) return lua_pushboolean(L, true), 1;
  if (e.text[0] == '\0') (void)mg_fail(&e, err, "%d of %d tasks were not published: %s", (int)failed, (int)count, mg_err_name(err));
  (void)fail(L, err, &e);
  lua_pushvalue(L, -4);
  return 4;
}

static void push_delivery(lua_State *L, handle *h, mg_delivery *d) {
  lua_createtable(L, 0, 7);
  lua_pushstring(L, d->run);
  lua_setfield(L, -2, "run");
  lua_pushstring(L, d->task);
  lua_setfield(L, -2, "task");
  lua_pushinteger(L, d->attempt);
  lua_setfield(L, -2, "attempt");
  lua_pushlstring(L, d->body.data != NULL ? (const char *)d->body.data : "", d->body.len);
  lua_setfield(L, -2, "body");
  lua_pushboolean(L, d->again);
  lua_setfield(L, -2, "again");
  if (d->why != NULL) {
    lua_pushstring(L, d->why);
    lua_setfield(L, -2, "reason");
  }
  if (d->lease == NULL) return;
  receipt *r = lua_newuserdatauv(L, sizeof *r, 1);
  *r = (receipt){.lease = d->lease, .of = h};
  luaL_setmetatable(L, RECEIPT);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_setfield(L, -2, "receipt");
}

static int give_batch(lua_State *L, handle *h, mg_err err, const mg_error *e) {
  if (err != MG_OK) return fail(L, err, e);
  lua_createtable(L, (int)h->batch.count, 0);
  for (size_t i = 0; i < h->batch.count; i++) {
    push_delivery(L, h, &h->batch.items[i]);
    lua_seti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* fetch(max, lease_ms, wait_ms) -> list of { run, task, attempt, body, again, receipt }. */
static int handle_fetch(lua_State *L) {
  handle *h = open_handle(L);
  mg_fetch how = {.max = (size_t)luaL_checkinteger(L, 2), .lease_ms = luaL_checkinteger(L, 3), .until = mg_now_ms() + luaL_checkinteger(L, 4)};
  mg_error e;
  mg_err err = h->ops->fetch_tasks(h->backend, &how, &h->batch, &e);
  return give_batch(L, h, err, &e);
}

static void forget(receipt *r) {
  if (r->lease != NULL && r->of->backend != NULL) r->of->ops->forget(r->of->backend, r->lease);
  r->lease = NULL;
}

static int receipt_gc(lua_State *L) {
  forget(luaL_checkudata(L, 1, RECEIPT));
  return 0;
}

/* settle(what, receipt, ms, why) -> true. */
static int handle_settle(lua_State *L) {
  enum { ACK, NACK, EXTEND, DEAD_LETTER };
  static const char *const names[] = {[ACK] = "ack", [NACK] = "nack", [EXTEND] = "extend", [DEAD_LETTER] = "dead_letter", NULL};
  handle *h = open_handle(L);
  int what = luaL_checkoption(L, 2, NULL, names);
  receipt *r = luaL_checkudata(L, 3, RECEIPT);
  mg_settle s = {.lease = r->lease, .ms = luaL_checkinteger(L, 4), .why = luaL_checkstring(L, 5), .err = MG_FATAL};
  luaL_argcheck(L, r->of == h, 3, "the message is of another queue");
  luaL_argcheck(L, r->lease != NULL, 3, "settled already");
  mg_error e = {.text = ""};
  const mg_backend_ops *ops = h->ops;
  mg_err (*call)(mg_backend *, mg_settle *, size_t, mg_ms, mg_error *) = what == ACK      ? ops->ack
                                                                       : what == NACK   ? ops->nack
                                                                       : what == EXTEND ? ops->extend
                                                                                        : ops->dead_letter;
  mg_err err = call(h->backend, &s, 1, until(h), &e);
  if (err == MG_OK) err = s.err;
  if (err == MG_LOST || (err == MG_OK && what != EXTEND)) forget(r);
  if (err == MG_OK) return lua_pushboolean(L, true), 1;
  if (e.text[0] == '\0') (void)mg_fail(&e, err, err == MG_LOST ? "the lease has ended: somebody else has the task, or will" : "%s", mg_err_name(err));
  return fail(L, err, &e);
}

/* ---- looking ---- */

static void put_count(lua_State *L, const char *name, int64_t n) {
  if (n < 0) return;
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

static int handle_depth(lua_State *L) {
  handle *h = open_handle(L);
  mg_depth d = {.pending = -1, .in_flight = -1, .dead = -1, .results = -1, .oldest_ms = -1};
  mg_error e;
  mg_err err = h->ops->depth(h->backend, luaL_optstring(L, 2, NULL), until(h), &d, &e);
  if (err != MG_OK) return fail(L, err, &e);
  lua_createtable(L, 0, 5);
  put_count(L, "pending", d.pending);
  put_count(L, "in_flight", d.in_flight);
  put_count(L, "dead", d.dead);
  put_count(L, "results", d.results);
  if (d.oldest_ms >= 0) {
    lua_pushnumber(L, (double)d.oldest_ms / 1000);
    lua_setfield(L, -2, "oldest_seconds");
  }
  return 1;
}

/* dead_letters(run or nil, max) -> list of { run, task, attempt, body, reason }. */
static int handle_dead_letters(lua_State *L) {
  handle *h = open_handle(L);
  const char *run = luaL_optstring(L, 2, NULL);
  size_t max = (size_t)luaL_checkinteger(L, 3);
  mg_error e;
  if ((h->ops->capabilities & MG_CAP_LIST_DEAD) == 0)
    return fail(L, mg_fail(&e, MG_UNSUPPORTED, "%s cannot list its dead letters: use the broker's own tools", h->ops->name), &e);
  mg_err err = h->ops->list_dead(h->backend, run, max, until(h), &h->batch, &e);
  return give_batch(L, h, err, &e);
}

/* wait(ms): keeps the connection alive meanwhile. */
static int handle_wait(lua_State *L) {
  handle *h = open_handle(L);
  mg_ms end = mg_now_ms() + luaL_checkinteger(L, 2);
  mg_error e;
  mg_err err = MG_OK;
  do {
    err = h->ops->service(h->backend, end, &e);
    struct timespec pause = {.tv_nsec = 5000000}; /* service() may return at once where there is something to do */
    if (err == MG_OK && mg_now_ms() < end) (void)nanosleep(&pause, NULL);
  } while (err == MG_OK && mg_now_ms() < end);
  return err == MG_OK ? (lua_pushboolean(L, true), 1) : fail(L, err, &e);
}

int luaopen_mguard_core(lua_State *L) {
  static const luaL_Reg methods[] = {{"backend", handle_backend}, {"publish", handle_publish},           {"fetch", handle_fetch}, {"settle", handle_settle},
                                     {"depth", handle_depth},     {"dead_letters", handle_dead_letters}, {"wait", handle_wait},   {"close", handle_close},
                                     {NULL, NULL}};
  luaL_newmetatable(L, HANDLE);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, handle_close);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, RECEIPT);
  lua_pushcfunction(L, receipt_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 2);
  (void)mg_core_open(L);
  lua_pushcfunction(L, queue_open);
  lua_setfield(L, -2, "queue_open");
  return 1;
}
