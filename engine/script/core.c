/* core.c - mguard.core. Wrong arguments raise; run-time failures return nil and a message. Buffers that live across a Lua call that may raise are userdata
 * with __gc, so that nothing leaks. */
#include "script/core.h"

#include "base/hash.h"
#include "script/json.h"
#include "script/stats.h"
#include "script/value.h"
#include <lauxlib.h>
#include <lua.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct scratch { /* freed by the collector when a call raises in between */
  mg_tape tape;
  mg_buf buf;
  mg_json *doc;
} scratch;

#define SCRATCH "mguard.core.scratch"

static int scratch_gc(lua_State *L) {
  scratch *s = luaL_checkudata(L, 1, SCRATCH);
  mg_tape_fini(&s->tape);
  mg_buf_fini(&s->buf);
  mg_json_free(s->doc);
  s->doc = NULL;
  return 0;
}

static scratch *new_scratch(lua_State *L) {
  scratch *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  luaL_setmetatable(L, SCRATCH);
  return s;
}

static int fail(lua_State *L, const mg_error *e) {
  lua_pushnil(L);
  lua_pushstring(L, e->text);
  return 2;
}

static int give_buf(lua_State *L, scratch *s) {
  if (s->buf.failed) return luaL_error(L, "memory ended");
  lua_pushlstring(L, s->buf.data != NULL ? (const char *)s->buf.data : "", s->buf.len);
  return 1;
}

static int core_equal(lua_State *L) {
  luaL_checkany(L, 1);
  luaL_checkany(L, 2);
  lua_pushboolean(L, mg_value_equal(L, 1, 2, 0, 0));
  return 1;
}

static int core_approx(lua_State *L) {
  luaL_checkany(L, 2);
  lua_Number abs = luaL_optnumber(L, 3, 0), rel = luaL_optnumber(L, 4, 0);
  luaL_argcheck(L, abs >= 0, 3, "a tolerance is 0 or more");
  luaL_argcheck(L, rel >= 0, 4, "a tolerance is 0 or more");
  lua_pushboolean(L, mg_value_equal(L, 1, 2, abs, rel));
  return 1;
}

static int core_compare(lua_State *L) {
  luaL_checkany(L, 2);
  lua_pushinteger(L, mg_value_compare(L, 1, 2));
  return 1;
}

#define SMALL_LIST 256

/* The list's integers, in order of position; -1 where the value is no list of integers, or longer than SMALL_LIST. */
static int integers_of(lua_State *L, int idx, int64_t *out) {
  if (lua_type(L, idx) != LUA_TTABLE) return -1;
  int n = 0;
  lua_pushnil(L);
  while (lua_next(L, idx) != 0) {
    bool fits = n < SMALL_LIST && lua_isinteger(L, -2) && lua_tointeger(L, -2) == n + 1 && lua_isinteger(L, -1);
    if (!fits) {
      lua_pop(L, 2);
      return -1;
    }
    out[n++] = lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  return n;
}

static int compare_integers(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static void sort_integers(int64_t *v, int n) {
  if (n > 24) {
    qsort(v, (size_t)n, sizeof *v, compare_integers);
    return;
  }
  for (int i = 1; i < n; i++) {
    int64_t x = v[i];
    int k = i;
    for (; k > 0 && v[k - 1] > x; k--) v[k] = v[k - 1];
    v[k] = x;
  }
}

/* same_integers(a, b): whether two not too long, not empty lists of integers hold the same ones in any order; nil where they are something else. The common
 * case of mg.equal.multiset, at a fraction of its cost. */
static int core_same_integers(lua_State *L) {
  int64_t a[SMALL_LIST], b[SMALL_LIST];
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  int n = integers_of(L, 1, a);
  int m = n > 0 ? integers_of(L, 2, b) : -1;
  if (m <= 0) {
    lua_pushnil(L);
    return 1;
  }
  bool same = n == m;
  if (same) {
    sort_integers(a, n);
    sort_integers(b, n);
    same = memcmp(a, b, (size_t)n * sizeof a[0]) == 0;
  }
  lua_pushboolean(L, same);
  return 1;
}

static int mark(lua_State *L, mg_mark m) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  mg_value_mark(L, 1, m);
  return 1;
}
static int core_array(lua_State *L) { return mark(L, MG_MARK_ARRAY); }
static int core_object(lua_State *L) { return mark(L, MG_MARK_OBJECT); }

static int core_mark(lua_State *L) {
  luaL_checkany(L, 1);
  mg_mark m = lua_istable(L, 1) ? mg_value_marked(L, 1) : MG_UNMARKED;
  if (m == MG_UNMARKED) lua_pushnil(L);
  else lua_pushstring(L, m == MG_MARK_ARRAY ? "array" : "object");
  return 1;
}

static int core_show(lua_State *L) {
  luaL_checkany(L, 1);
  lua_Integer max = luaL_optinteger(L, 2, 4096);
  luaL_argcheck(L, max >= 16 && max <= (64 << 20), 2, "from 16 to 67108864 bytes");
  scratch *s = new_scratch(L);
  mg_error e;
  if (mg_tape_read(&s->tape, L, 1, &e) != MG_OK) {
    lua_pushfstring(L, "<%s>", e.text);
    return 1;
  }
  mg_tape_show(&s->tape, (size_t)max, &s->buf);
  return give_buf(L, s);
}

static int core_json_encode(lua_State *L) {
  luaL_checkany(L, 1);
  bool pretty = false;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "pretty");
    pretty = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  scratch *s = new_scratch(L);
  mg_error e;
  if (mg_tape_read(&s->tape, L, 1, &e) != MG_OK || mg_json_write(&s->tape, false, pretty, &s->buf, &e) != MG_OK) return fail(L, &e);
  return give_buf(L, s);
}

static int core_json_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  scratch *s = new_scratch(L);
  mg_error e;
  if (mg_json_read((mg_slice){(const uint8_t *)text, len}, &s->tape, &s->doc, &e) != MG_OK) return fail(L, &e);
  return mg_tape_build(&s->tape, L);
}

static int core_pack(lua_State *L) {
  luaL_checkany(L, 1);
  scratch *s = new_scratch(L);
  mg_error e;
  if (mg_tape_read(&s->tape, L, 1, &e) != MG_OK) return fail(L, &e);
  mg_tape_pack(&s->tape, true, &s->buf);
  return give_buf(L, s);
}

static int core_unpack(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  scratch *s = new_scratch(L);
  mg_error e;
  if (mg_tape_unpack(&s->tape, (mg_slice){(const uint8_t *)bytes, len}, false, &e) != MG_OK) return fail(L, &e);
  return mg_tape_build(&s->tape, L);
}

static int core_sha256(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  uint8_t sum[MG_SHA256_BYTES];
  char hex[2 * MG_SHA256_BYTES + 1];
  if (!mg_sha256_of((mg_slice){(const uint8_t *)bytes, len}, sum)) return luaL_error(L, "SHA-256 is not available");
  mg_hex(sum, sizeof sum, hex);
  lua_pushstring(L, hex);
  return 1;
}

static int core_cwd(lua_State *L) {
  char *dir = getcwd(NULL, 0);
  if (dir == NULL) {
    lua_pushnil(L);
    lua_pushfstring(L, "the current folder cannot be read: %s", strerror(errno));
    return 2;
  }
  lua_pushstring(L, dir);
  free(dir);
  return 1;
}

int mg_core_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"equal", core_equal},   {"approx", core_approx}, {"compare", core_compare}, {"same_integers", core_same_integers},         {"array", core_array},
      {"object", core_object}, {"mark", core_mark},     {"show", core_show},               {"json_encode", core_json_encode},
      {"json_decode", core_json_decode}, {"pack", core_pack}, {"unpack", core_unpack}, {"sha256", core_sha256}, {"cwd", core_cwd},
      {"stats", mg_core_stats}, {"stats_methods", mg_core_stats_methods}, {NULL, NULL}};
  mg_value_open(L);
  luaL_newmetatable(L, SCRATCH);
  lua_pushcfunction(L, scratch_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  mg_value_push_null(L);
  lua_setfield(L, -2, "null");
  return 1;
}
