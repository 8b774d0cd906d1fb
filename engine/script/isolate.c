#include "script/isolate.h"

#include "script/state.h"
#include "script/state_internal.h"
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <string.h>

/* How globals are put back without a cost to cases that assign none: at commit the entries of _G and of each library table move to a hidden table
 * behind it, and the table itself, now empty, reads through a metatable. Assignments land in the empty table, pass __newindex and mark the state dirty;
 * restoring empties it again. */

static const char BASES = 0;    /* registry: isolated table -> its hidden base */
static const char STRINGS = 0;  /* registry: copy of the strings' metatable */

static void registry_get(lua_State *L, const char *key) { lua_rawgetp(L, LUA_REGISTRYINDEX, key); }

/* Pushes the base of the table at idx and returns true, or pushes nothing. */
static bool push_base(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  registry_get(L, &BASES);
  lua_pushvalue(L, idx);
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 2);
  return false;
}

/* ---- coroutines ---- */

static int resume(lua_State *L, lua_State *co, int nargs) {
  if (!lua_checkstack(co, nargs)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, nargs);
  mg_script *s = mg_script_of(L);
  lua_State *outer = s->running;
  s->running = co;
  if (s->expired) mg_script_arm(co);
  int nresults = 0;
  int status = lua_resume(co, L, nargs, &nresults);
  s->running = outer;
  if (s->expired) mg_script_arm(outer);
  if (status == LUA_OK || status == LUA_YIELD) {
    if (!lua_checkstack(L, nresults + 1)) {
      lua_pop(co, nresults);
      lua_pushliteral(L, "too many results to resume");
      return -1;
    }
    lua_xmove(co, L, nresults);
    return nresults;
  }
  lua_xmove(co, L, 1);
  return -1;
}

/* True where co waits to be resumed; else pushes the message the standard library gives. */
static bool resumable(lua_State *L, lua_State *co) {
  int status = lua_status(co);
  lua_Debug ar;
  bool suspended = status == LUA_YIELD || (status == LUA_OK && lua_getstack(co, 0, &ar) == 0 && lua_gettop(co) > 0);
  if (co != L && suspended) return true;
  bool dead = status != LUA_YIELD && (status != LUA_OK || (lua_getstack(co, 0, &ar) == 0 && lua_gettop(co) == 0));
  lua_pushstring(L, dead && co != L ? "cannot resume dead coroutine" : "cannot resume non-suspended coroutine");
  return false;
}

static lua_State *thread_at(lua_State *L, int idx) {
  lua_State *co = lua_tothread(L, idx);
  if (co == NULL) luaL_typeerror(L, idx, "coroutine");
  return co;
}

static int co_resume(lua_State *L) {
  lua_State *co = thread_at(L, 1);
  int n = resumable(L, co) ? resume(L, co, lua_gettop(L) - 1) : -1;
  if (n < 0) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushboolean(L, 1);
  lua_insert(L, -(n + 1));
  return n + 1;
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int n = resumable(L, co) ? resume(L, co, lua_gettop(L)) : -1;
  if (n >= 0) return n;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) { /* close pending variables of the dead coroutine */
    status = lua_resetthread(co);
    if (status != LUA_OK && lua_gettop(co) > 0) lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int co_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

/* ---- math.random ---- */

static int math_random(lua_State *L) {
  mg_script *s = mg_script_of(L);
  lua_Integer low, high;
  switch (lua_gettop(L)) {
    case 0: lua_pushnumber(L, mg_philox_double(&s->random)); return 1;
    case 1:
      low = 1;
      high = luaL_checkinteger(L, 1);
      if (high == 0) {
        lua_pushinteger(L, (lua_Integer)mg_philox_next64(&s->random));
        return 1;
      }
      break;
    case 2:
      low = luaL_checkinteger(L, 1);
      high = luaL_checkinteger(L, 2);
      break;
    default: return luaL_error(L, "wrong number of arguments");
  }
  luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + mg_philox_below(&s->random, (uint64_t)high - (uint64_t)low + 1)));
  return 1;
}

static int math_randomseed(lua_State *L) {
  mg_script *s = mg_script_of(L);
  lua_Number n = lua_isnone(L, 1) ? 0 : luaL_checknumber(L, 1);
  lua_Integer seed;
  if (!lua_numbertointeger(n, &seed)) memcpy(&seed, &n, sizeof seed);
  if (lua_isinteger(L, 1)) seed = lua_tointeger(L, 1);
  mg_philox_init(&s->random, (uint64_t)seed, 0x7fffffffu, (uint64_t)luaL_optinteger(L, 2, 0));
  return 0;
}

void mg_script_reseed(mg_script *s, uint64_t seed, uint64_t case_number, uint32_t stream) {
  mg_philox_init(&s->random, seed, stream, case_number);
}

/* ---- tables ---- */

static int set_metatable(lua_State *L) {
  int kind = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, kind == LUA_TNIL || kind == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
  if (kind == LUA_TTABLE) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL) mg_script_of(L)->finalizers = true;
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

static int raw_set(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  mg_script *s = mg_script_of(L);
  if (s->isolated && push_base(L, 1)) {
    lua_pop(L, 1);
    s->dirty = true;
  }
  lua_rawset(L, 1);
  return 1;
}

static int raw_get(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, 1) == LUA_TNIL && mg_script_of(L)->isolated && push_base(L, 1)) {
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
  }
  return 1;
}

/* __newindex of an isolated table. A base entry set to nil must read as nil, which only the slow form of __index can say. */

static int iso_newindex(lua_State *L) {
  mg_script_of(L)->dirty = true;
  if (lua_isnil(L, 3)) {
    /* The base is read through __index: shadowing it by nil needs the function form until the case ends. */
    if (push_base(L, 1)) {
      lua_getmetatable(L, 1);
      lua_getfield(L, -1, "removed");
      lua_pushvalue(L, 2);
      lua_pushboolean(L, 1);
      lua_rawset(L, -3);
      lua_pop(L, 1);
      lua_getfield(L, -1, "slow_index");
      lua_setfield(L, -2, "__index");
    }
    return 0;
  }
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 0;
}

static int iso_slow_index(lua_State *L) {
  lua_getmetatable(L, 1);
  lua_getfield(L, -1, "removed");
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TNIL) {
    lua_pushnil(L);
    return 1;
  }
  if (!push_base(L, 1)) return 0;
  lua_pushvalue(L, 2);
  lua_gettable(L, -2);
  return 1;
}

static int iso_pairs(lua_State *L) {
  lua_getglobal(L, "next");
  lua_newtable(L); /* what a reader sees: the base, then what was assigned since, less what was removed */
  int seen = lua_gettop(L);
  if (push_base(L, 1)) {
    for (int layer = 0; layer < 2; layer++) {
      int from = layer == 0 ? lua_gettop(L) : 1;
      lua_pushnil(L);
      while (lua_next(L, from) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, seen);
      }
    }
    lua_getmetatable(L, 1);
    lua_getfield(L, -1, "removed");
    int removed = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, removed) != 0) {
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      lua_pushvalue(L, -1);
      if (lua_rawget(L, 1) == LUA_TNIL) {
        lua_pushnil(L);
        lua_copy(L, -1, -2);
        lua_pop(L, 1);
        lua_rawset(L, seen);
      } else {
        lua_pop(L, 2);
      }
    }
    lua_settop(L, seen);
  }
  lua_pushnil(L);
  return 3;
}

/* Isolates the table on top of the stack, or moves what was assigned since into its base. */
static void isolate_table(lua_State *L) {
  int t = lua_gettop(L);
  if (!push_base(L, t)) {
    if (lua_getmetatable(L, t)) { /* a script gave it a metatable of its own (strict.lua and the like): left alone */
      lua_pop(L, 1);
      return;
    }
    lua_newtable(L); /* base */
    registry_get(L, &BASES);
    lua_pushvalue(L, t);
    lua_pushvalue(L, t + 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lua_createtable(L, 0, 8);
    lua_pushvalue(L, t + 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, iso_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, iso_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_pushcfunction(L, iso_slow_index);
    lua_setfield(L, -2, "slow_index");
    lua_newtable(L);
    lua_setfield(L, -2, "removed");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, t);
  }
  int base = t + 1;
  lua_pushnil(L);
  while (lua_next(L, t) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, base);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, t); /* clearing a field during a traversal is allowed */
  }
  lua_settop(L, t);
}

/* getmetatable("") gives a stand-in: reads through, and an assignment marks the state dirty before it reaches the real one. */
static int strings_newindex(lua_State *L) {
  mg_script_of(L)->dirty = true;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_rawset(L, lua_upvalueindex(1));
  return 0;
}

static void guard_strings(lua_State *L) {
  lua_pushliteral(L, "");
  if (!lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  int real = lua_gettop(L);
  lua_newtable(L);
  lua_pushvalue(L, real);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, real);
  lua_pushcclosure(L, strings_newindex, 1);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_newtable(L);
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
  lua_setfield(L, real, "__metatable");
  lua_settop(L, real - 2);
}

static void copy_table(lua_State *L, int from, int to) {
  lua_pushnil(L);
  while (lua_next(L, from) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, to);
  }
}

static int commit(lua_State *L) {
  mg_script *s = mg_script_of(L);
  /* Every table the standard library gave out, and _G itself last, since the others are found through it. */
  static const char *const names[] = {"string", "table", "math", "os", "io", "utf8", "coroutine", "debug", "package"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (lua_getglobal(L, names[i]) == LUA_TTABLE) isolate_table(L);
    lua_settop(L, 0);
  }
  lua_pushglobaltable(L);
  isolate_table(L);
  lua_settop(L, 0);
  lua_pushliteral(L, "");
  if (lua_getmetatable(L, -1)) {
    lua_newtable(L);
    copy_table(L, 2, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &STRINGS);
  }
  s->isolated = true;
  s->dirty = false;
  s->finalizers = false;
  return 0;
}

static int restore(lua_State *L) {
  registry_get(L, &BASES);
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) { /* 2 = isolated table, 3 = base */
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) {
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      lua_pushnil(L);
      lua_rawset(L, 2);
    }
    lua_getmetatable(L, 2);
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, "__index");
    lua_newtable(L);
    lua_setfield(L, -2, "removed");
    lua_settop(L, 2);
  }
  lua_settop(L, 0);
  lua_pushliteral(L, "");
  if (lua_getmetatable(L, -1)) {
    registry_get(L, &STRINGS);
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) { /* what was added goes */
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      if (lua_rawget(L, 3) == LUA_TNIL) {
        lua_pushvalue(L, -2);
        lua_pushnil(L);
        lua_rawset(L, 2);
      }
      lua_pop(L, 1);
    }
    copy_table(L, 3, 2);
  }
  return 0;
}

mg_err mg_script_commit(mg_script *s, mg_error *e) {
  lua_pushcfunction(s->L, commit);
  return mg_script_call(s, 0, 0, e);
}

void mg_script_restore(mg_script *s) {
  if (s->finalizers) {
    s->finalizers = false;
    lua_gc(s->L, LUA_GCCOLLECT);
  }
  if (s->memory.limit != 0 && s->memory.used > s->memory.limit / 2 && s->memory.used > s->collected + s->collected / 2) {
    /* Garbage of earlier cases must not take the memory of this one: the string library fails at the limit without a collection. */
    lua_gc(s->L, LUA_GCCOLLECT);
    s->collected = s->memory.used;
  }
  if (!s->dirty) return;
  s->dirty = false;
  size_t limit = s->memory.limit;
  s->memory.limit = 0; /* a script at its memory limit must still be put back */
  lua_pushcfunction(s->L, restore);
  if (lua_pcall(s->L, 0, 0, 0) != LUA_OK) lua_pop(s->L, 1);
  s->memory.limit = limit;
}

void mg_isolate_open(lua_State *L) {
  static const struct {
    const char *library, *name;
    lua_CFunction f;
  } replaced[] = {{"coroutine", "resume", co_resume}, {"coroutine", "wrap", co_wrap}, {"math", "random", math_random},
                  {"math", "randomseed", math_randomseed}, {"_G", "setmetatable", set_metatable}, {"_G", "rawset", raw_set},
                  {"_G", "rawget", raw_get}};
  for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++) {
    lua_getglobal(L, replaced[i].library);
    lua_pushcfunction(L, replaced[i].f);
    lua_setfield(L, -2, replaced[i].name);
    lua_pop(L, 1);
  }
  lua_getglobal(L, "debug");
  int debug = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, debug) != 0) {
    lua_pop(L, 1);
    const char *name = lua_tostring(L, -1);
    if (strcmp(name, "traceback") != 0 && strcmp(name, "getinfo") != 0) {
      lua_pushvalue(L, -1);
      lua_pushnil(L);
      lua_rawset(L, debug);
    }
  }
  lua_pop(L, 1);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &BASES);
  guard_strings(L);
}
