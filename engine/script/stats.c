#include "script/stats.h"

#include "judge/stats/catalog.h"
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>

static int fail(lua_State *L, const mg_error *e) {
  lua_pushnil(L);
  lua_pushstring(L, e->text);
  return 2;
}

/* The list at the top as doubles in a userdata that takes its place. */
static bool read_list(lua_State *L, const mg_param *p, mg_given *g, mg_error *e) {
  if (lua_type(L, -1) != LUA_TTABLE) {
    (void)mg_fail(e, MG_ARG, "%s must be a list of numbers, got a %s", p->name, luaL_typename(L, -1));
    return false;
  }
  size_t n = lua_rawlen(L, -1);
  double *list = lua_newuserdatauv(L, (n + 1) * sizeof *list, 0);
  for (size_t i = 0; i < n; i++) {
    int ok;
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    list[i] = lua_tonumberx(L, -1, &ok);
    if (!ok || isnan(list[i])) {
      (void)mg_fail(e, MG_ARG, "%s[%zu] must be a number, got %s", p->name, i + 1, ok ? "nan" : luaL_typename(L, -1));
      return false;
    }
    lua_pop(L, 1);
  }
  g->list = list;
  g->count = n;
  lua_remove(L, -2);
  return true;
}

static bool read_argument(lua_State *L, const mg_param *p, mg_given *g, mg_error *e) {
  g->given = true;
  if (p->kind == MG_PARAM_LIST) return read_list(L, p, g, e);
  if (p->kind == MG_PARAM_WORD) {
    g->word = lua_type(L, -1) == LUA_TSTRING ? mg_param_word(p, lua_tostring(L, -1)) : -1;
    if (g->word < 0) (void)mg_fail(e, MG_ARG, "%s must be one of %s", p->name, p->words);
    return g->word >= 0;
  }
  int ok;
  g->number = lua_tonumberx(L, -1, &ok);
  if (!ok || isnan(g->number)) (void)mg_fail(e, MG_ARG, "%s must be a number, got %s", p->name, ok ? "nan" : luaL_typename(L, -1));
  return ok && !isnan(g->number);
}

/* Reads the table at 2; lists stay on the stack until the call is over. */
static bool read_arguments(lua_State *L, const mg_method *m, mg_given *in, mg_error *e) {
  lua_pushnil(L);
  while (lua_next(L, 2) != 0) {
    int at = lua_type(L, -2) == LUA_TSTRING ? mg_method_param(m, lua_tostring(L, -2)) : -1;
    if (at < 0) {
      (void)mg_fail(e, MG_ARG, "%s takes no \"%s\"", m->name, lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2));
      return false;
    }
    if (!read_argument(L, &m->params[at], &in[at], e)) return false;
    lua_insert(L, 3); /* below the key */
  }
  return true;
}

static void push_answer(lua_State *L, const mg_answer *a) {
  lua_createtable(L, 0, a->count);
  for (int i = 0; i < a->count; i++) {
    const mg_found *f = &a->found[i];
    if (f->list == NULL) {
      lua_pushnumber(L, f->number);
    } else {
      lua_createtable(L, (int)f->count, 0);
      for (size_t k = 0; k < f->count; k++) {
        lua_pushnumber(L, f->list[k]);
        lua_rawseti(L, -2, (lua_Integer)k + 1);
      }
    }
    lua_setfield(L, -2, f->name);
  }
}

static int protected_push(lua_State *L) {
  push_answer(L, lua_touserdata(L, 1));
  return 1;
}

int mg_core_stats(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const mg_method *m = mg_method_find(name);
  if (m == NULL) return luaL_error(L, "there is no method \"%s\"", name);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  luaL_checkstack(L, MG_MAX_PARAMS + 8, NULL);
  mg_given in[MG_MAX_PARAMS] = {{0}};
  mg_error e = {0};
  if (!read_arguments(L, m, in, &e)) return fail(L, &e);
  mg_answer answer;
  mg_err err = mg_method_run(m, in, &answer, &e);
  int status = LUA_OK;
  if (err == MG_OK) { /* memory that ends here must not leak the answer's lists */
    lua_pushcfunction(L, protected_push);
    lua_pushlightuserdata(L, &answer);
    status = lua_pcall(L, 1, 1, 0);
  }
  mg_answer_fini(&answer);
  if (err != MG_OK) return fail(L, &e);
  return status == LUA_OK ? 1 : lua_error(L);
}

int mg_core_stats_methods(lua_State *L) {
  static const char *const kinds[] = {NULL, "count", "number", "list", "word"};
  size_t n;
  const mg_method *m = mg_methods(&n);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, m[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, m[i].about);
    lua_setfield(L, -2, "about");
    lua_createtable(L, 4, 0);
    for (int k = 0; k < MG_MAX_PARAMS && m[i].params[k].kind != MG_PARAM_END; k++) {
      const mg_param *p = &m[i].params[k];
      lua_createtable(L, 0, 4);
      lua_pushstring(L, p->name);
      lua_setfield(L, -2, "name");
      lua_pushstring(L, kinds[p->kind]);
      lua_setfield(L, -2, "kind");
      lua_pushboolean(L, p->kind != MG_PARAM_WORD && isnan(p->otherwise));
      lua_setfield(L, -2, "required");
      if (p->kind == MG_PARAM_WORD) {
        lua_pushstring(L, p->words);
        lua_setfield(L, -2, "words");
      } else if (p->kind != MG_PARAM_LIST && isfinite(p->otherwise)) {
        lua_pushnumber(L, p->otherwise);
        lua_setfield(L, -2, "otherwise");
      }
      lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "takes");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}
