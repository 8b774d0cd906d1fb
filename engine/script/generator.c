#include "script/generator.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

/* The methods find the generator in their upvalue, not in self: `g:list(g.int, 0, 9)` and `local int = g.int` work, and it is faster. */
static mg_generator *gen_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

static char DISCARD; /* its address is what discard raises */

static lua_Integer draw_int(mg_generator *gen, lua_Integer low, lua_Integer high) {
  return (lua_Integer)((uint64_t)low + mg_philox_below(&gen->random, (uint64_t)high - (uint64_t)low + 1));
}

static int g_int(lua_State *L) {
  lua_Integer low = luaL_checkinteger(L, 2), high = luaL_checkinteger(L, 3);
  if (low > high) return luaL_error(L, "g:int(%I, %I): the lower bound is above the upper", (LUAI_UACINT)low, (LUAI_UACINT)high);
  lua_pushinteger(L, draw_int(gen_of(L), low, high));
  return 1;
}

static int g_float(lua_State *L) {
  lua_Number low = luaL_optnumber(L, 2, 0), high = luaL_optnumber(L, 3, 1);
  if (!(low <= high)) return luaL_error(L, "g:float(%f, %f): the lower bound is above the upper", low, high);
  lua_Number x = low + (high - low) * mg_philox_double(&gen_of(L)->random);
  lua_pushnumber(L, x > high ? high : x);
  return 1;
}

static int g_bool(lua_State *L) {
  lua_Number p = luaL_optnumber(L, 2, 0.5);
  if (!(p >= 0 && p <= 1)) return luaL_error(L, "g:bool(%f): a probability is from 0 to 1", p);
  lua_pushboolean(L, mg_philox_double(&gen_of(L)->random) < p);
  return 1;
}

static int g_choice(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 2);
  if (n < 1) return luaL_error(L, "g:choice: the list is empty");
  lua_geti(L, 2, draw_int(gen_of(L), 1, n));
  return 1;
}

static lua_Integer draw_length(lua_State *L, mg_generator *gen, int arg) {
  lua_Integer max = luaL_optinteger(L, arg, (lua_Integer)gen->size);
  if (max < 0 || max > (1 << 26)) luaL_error(L, "g: a length of %I is not from 0 to %d", (LUAI_UACINT)max, 1 << 26);
  return draw_int(gen, 0, max);
}

static int g_string(lua_State *L) {
  mg_generator *gen = gen_of(L);
  size_t letters;
  if (lua_type(L, 3) == LUA_TNUMBER) return luaL_error(L, "g:string takes the longest length and an alphabet, got two numbers");
  const char *alphabet = luaL_optlstring(L, 3, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-", &letters);
  if (letters == 0) return luaL_error(L, "g:string: the alphabet is empty");
  size_t n = (size_t)draw_length(L, gen, 2);
  luaL_Buffer b;
  char *p = luaL_buffinitsize(L, &b, n);
  for (size_t i = 0; i < n; i++) p[i] = alphabet[mg_philox_below(&gen->random, letters)];
  luaL_pushresultsize(&b, n);
  return 1;
}

static int g_bytes(lua_State *L) {
  mg_generator *gen = gen_of(L);
  size_t n = (size_t)draw_length(L, gen, 2);
  luaL_Buffer b;
  char *p = luaL_buffinitsize(L, &b, n);
  for (size_t i = 0; i < n; i++) p[i] = (char)mg_philox_below(&gen->random, 256);
  luaL_pushresultsize(&b, n);
  return 1;
}

/* g:list(element, ...): element(g, ...) for each place, or a g method with its arguments. */
static int g_list(lua_State *L) {
  mg_generator *gen = gen_of(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  int args = lua_gettop(L) - 2;
  lua_Integer n = draw_int(gen, 0, (lua_Integer)gen->size); /* size <= 2^26, checked with the plan */
  lua_createtable(L, (int)n, 0);
  int list = lua_gettop(L);
  if (lua_tocfunction(L, 2) == g_int) { /* the common case without a call for each element */
    lua_Integer low = luaL_checkinteger(L, 3), high = luaL_checkinteger(L, 4);
    if (low > high) return luaL_error(L, "g:list(g.int, %I, %I): the lower bound is above the upper", (LUAI_UACINT)low, (LUAI_UACINT)high);
    for (lua_Integer i = 1; i <= n; i++) {
      lua_pushinteger(L, draw_int(gen, low, high));
      lua_rawseti(L, list, i);
    }
    return 1;
  }
  luaL_checkstack(L, args + 4, "too many arguments");
  for (lua_Integer i = 1; i <= n; i++) {
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 1);
    for (int a = 0; a < args; a++) lua_pushvalue(L, 3 + a);
    lua_call(L, args + 1, 1);
    if (lua_isnil(L, -1)) return luaL_error(L, "g:list: the element function returned nil");
    lua_rawseti(L, list, i);
  }
  return 1;
}

static int g_shuffle(lua_State *L) {
  mg_generator *gen = gen_of(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 2);
  lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
  int list = lua_gettop(L);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 2, i);
    lua_rawseti(L, list, i);
  }
  for (lua_Integer i = n; i > 1; i--) { /* Fisher and Yates, from the end */
    lua_Integer j = 1 + (lua_Integer)mg_philox_below(&gen->random, (uint64_t)i);
    lua_rawgeti(L, list, i);
    lua_rawgeti(L, list, j);
    lua_rawseti(L, list, i);
    lua_rawseti(L, list, j);
  }
  return 1;
}

/* g:weighted{ {weight, value}, ... }; a function as value is called with g. */
static int g_weighted(lua_State *L) {
  mg_generator *gen = gen_of(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 2);
  lua_Number sum = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_geti(L, 2, i) != LUA_TTABLE) return luaL_error(L, "g:weighted: entry %I is not {weight, value}", (LUAI_UACINT)i);
    lua_geti(L, -1, 1);
    int ok;
    lua_Number w = lua_tonumberx(L, -1, &ok);
    if (!ok || !(w >= 0) || w > 1e18) return luaL_error(L, "g:weighted: the weight of entry %I is not a number from 0", (LUAI_UACINT)i);
    sum += w;
    lua_pop(L, 2);
  }
  if (!(sum > 0)) return luaL_error(L, "g:weighted: no entry has a weight above 0");
  lua_Number at = sum * mg_philox_double(&gen->random);
  lua_Integer chosen = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 2, i);
    lua_geti(L, -1, 1);
    lua_Number w = lua_tonumber(L, -1);
    lua_pop(L, 2);
    if (w > 0) chosen = i;
    if (w > 0 && at < w) break;
    at -= w;
  }
  lua_geti(L, 2, chosen);
  lua_geti(L, -1, 2);
  if (lua_isfunction(L, -1)) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
  }
  return 1;
}

static int g_label(lua_State *L) {
  mg_generator *gen = gen_of(L);
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  if (len == 0 || len > 100) return luaL_error(L, "g:label: a name has 1 to 100 bytes");
  if (!lua_isnone(L, 3) && !lua_toboolean(L, 3)) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, gen->labels_ref);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    if (gen->label_count == MG_CASE_LABELS) return luaL_error(L, "g:label(\"%s\"): a case has at most %d labels", name, MG_CASE_LABELS);
    gen->label_count++;
    lua_pop(L, 1);
    lua_pushvalue(L, 2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
  return 0;
}

static int g_discard(lua_State *L) {
  gen_of(L)->discarded = true;
  lua_pushlightuserdata(L, &DISCARD);
  return lua_error(L);
}

/* g.case and g.size are read seldom: looked up here instead of being stored for every case. */
static int g_index(lua_State *L) {
  mg_generator *gen = gen_of(L);
  const char *key = lua_tostring(L, 2);
  if (key != NULL && strcmp(key, "case") == 0) {
    lua_pushinteger(L, (lua_Integer)gen->case_number);
  } else if (key != NULL && strcmp(key, "size") == 0) {
    lua_pushinteger(L, (lua_Integer)gen->size);
  } else {
    return luaL_error(L, "g has no '%s': int float bool choice string bytes list shuffle weighted label discard, g.case, g.size",
                      key != NULL ? key : luaL_typename(L, 2));
  }
  return 1;
}

void mg_generator_push(lua_State *L, mg_generator *gen, int64_t size) {
  static const luaL_Reg methods[] = {{"int", g_int},         {"float", g_float},       {"bool", g_bool},   {"choice", g_choice},
                                     {"string", g_string},   {"bytes", g_bytes},       {"list", g_list},   {"shuffle", g_shuffle},
                                     {"weighted", g_weighted}, {"label", g_label},     {"discard", g_discard}, {NULL, NULL}};
  memset(gen, 0, sizeof *gen);
  gen->L = L;
  gen->size = size;
  lua_newtable(L);
  gen->labels_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, 0, 12);
  lua_pushlightuserdata(L, gen);
  luaL_setfuncs(L, methods, 1);
  lua_createtable(L, 0, 2);
  lua_pushlightuserdata(L, gen);
  lua_pushcclosure(L, g_index, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

void mg_generator_begin(mg_generator *gen, uint64_t seed, uint64_t case_number, uint32_t stream) {
  mg_philox_init(&gen->random, seed, stream, case_number);
  gen->case_number = case_number;
  if (stream != 0) return;
  gen->discarded = false;
  if (gen->label_count > 0) {
    gen->label_count = 0;
    lua_rawgeti(gen->L, LUA_REGISTRYINDEX, gen->labels_ref);
    lua_pushnil(gen->L);
    while (lua_next(gen->L, -2) != 0) {
      lua_pop(gen->L, 1);
      lua_pushvalue(gen->L, -1);
      lua_pushnil(gen->L);
      lua_rawset(gen->L, -4);
    }
    lua_pop(gen->L, 1);
  }
}
