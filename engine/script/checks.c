#include "script/checks.h"

#include "script/core.h"
#include "script/embedded.h"
#include "script/value.h"
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

static mg_mode mode_of(const char *text) {
  return strcmp(text, "soft") == 0 ? MG_MODE_SOFT : strcmp(text, "absolute") == 0 ? MG_MODE_ABSOLUTE : MG_MODE_HARD;
}

/* A reference to the function in field name of the table on top, or LUA_NOREF. */
static int function_ref(lua_State *L, const char *name) {
  if (lua_getfield(L, -1, name) == LUA_TFUNCTION) return luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pop(L, 1);
  return LUA_NOREF;
}

static const char *text_field(lua_State *L, const char *name) { /* the text stays in its table */
  lua_getfield(L, -1, name);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1);
  return text != NULL ? text : "";
}

static void read_clause(lua_State *L, mg_clause *clause, mg_check *check) {
  clause->name = text_field(L, "name");
  clause->kind = text_field(L, "kind");
  clause->mode = mode_of(text_field(L, "mode"));
  check->relation = strcmp(clause->kind, "relation") == 0;
  check->given = function_ref(L, "given");
  check->transform = function_ref(L, "transform");
  if (!check->relation) {
    check->check = function_ref(L, "check");
    return;
  }
  check->check = function_ref(L, "expect");
  if (check->check != LUA_NOREF) {
    check->expect = MG_EXPECT_FUNCTION;
  } else {
    const char *expect = text_field(L, "expect");
    check->expect = strcmp(expect, "not_equal") == 0 ? MG_EXPECT_NOT_EQUAL : strcmp(expect, "properties") == 0 ? MG_EXPECT_PROPERTIES : MG_EXPECT_EQUAL;
  }
}

static void read_metrics(lua_State *L, mg_checks *c) {
  if (lua_getfield(L, -1, "metrics") == LUA_TTABLE) {
    lua_Integer n = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= n && i <= MG_MAX_METRICS; i++) {
      lua_geti(L, -1, i);
      c->metrics[i - 1] = (mg_metric_check){function_ref(L, "value"), strcmp(text_field(L, "kind"), "mean") != 0};
      lua_pop(L, 1);
      c->metric_count = (int)i;
    }
  }
  lua_pop(L, 1);
  c->cluster = function_ref(L, "cluster");
  c->group = function_ref(L, "group");
}

static void unhex(const char *hex, uint8_t *out, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
    out[i] = (uint8_t)strtoul(two, NULL, 16);
  }
}

/* Lets go the modules that only the loading needed: a cycle of the collector walks over all that stays, while the values of the cases are made and dropped
 * beside it. */
static void forget_modules(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_newtable(L); /* name -> module, weak */
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  for (const mg_embedded *m = mg_embedded_modules; m->name != NULL; m++) {
    lua_getfield(L, -2, m->name);
    lua_setfield(L, -2, m->name);
    lua_pushnil(L);
    lua_setfield(L, -3, m->name);
  }
  lua_gc(L, LUA_GCCOLLECT);
  for (const mg_embedded *m = mg_embedded_modules; m->name != NULL; m++) {
    lua_getfield(L, -1, m->name);
    lua_setfield(L, -3, m->name);
  }
  lua_pop(L, 2);
}

/* Arguments: mg_checks *, path, overrides or nil. Errors are raised. */
static int load(lua_State *L) {
  mg_checks *c = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.script");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "open");
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_call(L, 2, 1); /* spec */
  lua_pushvalue(L, -1);
  c->spec = luaL_ref(L, LUA_REGISTRYINDEX);
  c->generate = function_ref(L, "generate");
  c->has_setup = lua_getfield(L, -1, "setup") == LUA_TFUNCTION;
  c->has_teardown = lua_getfield(L, -2, "teardown") == LUA_TFUNCTION;
  lua_getfield(L, -3, "size");
  c->size = lua_tointeger(L, -1);
  lua_pop(L, 3);
  lua_getfield(L, -1, "equal");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.core");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "equal");
  c->equal_is_core = lua_rawequal(L, -1, -3);
  lua_pop(L, 2);
  c->equal = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_getfield(L, -1, "clauses");
  lua_Integer n = luaL_len(L, -1);
  for (lua_Integer i = 1; i <= n && i <= MG_MAX_CLAUSES; i++) {
    lua_geti(L, -1, i);
    read_clause(L, &c->clauses[i], &c->checks[i]);
    lua_pop(L, 1);
    c->count = (int)i + 1;
  }
  lua_pop(L, 1);
  read_metrics(L, c);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.fingerprint");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "of");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 2);
  c->parts = lua_tostring(L, -1);
  (void)luaL_ref(L, LUA_REGISTRYINDEX); /* keeps the text */
  size_t len;
  const char *hex = lua_tolstring(L, -1, &len);
  if (hex == NULL || len != 64) return luaL_error(L, "mguard.fingerprint gave no hash");
  unhex(hex, c->fingerprint, sizeof c->fingerprint);
  lua_settop(L, 0);
  forget_modules(L);
  return 0;
}

mg_err mg_checks_load(mg_checks *c, mg_script *s, const char *path, mg_slice overrides, mg_error *e) {
  lua_State *L = mg_script_lua(s);
  memset(c, 0, sizeof *c);
  c->script = s;
  c->count = 1;
  c->clauses[0] = (mg_clause){"completes", "implicit", MG_MODE_HARD};
  c->generate = c->equal = c->spec = c->cluster = c->group = LUA_NOREF;
  mg_tape tape = {0};
  if (overrides.len > 0) {
    mg_err err = mg_tape_unpack(&tape, overrides, false, e);
    if (err != MG_OK) return err;
  }
  lua_pushcfunction(L, load);
  lua_pushlightuserdata(L, c);
  lua_pushstring(L, path);
  if (overrides.len == 0 || mg_tape_build(&tape, L) != 1) {
    lua_settop(L, lua_gettop(L) - (overrides.len == 0 ? 0 : (int)tape.values));
    lua_pushnil(L);
  }
  mg_tape_fini(&tape);
  return mg_script_call(s, 3, 0, e);
}

mg_err mg_checks_hook(const mg_checks *c, const char *name, mg_error *e) {
  lua_State *L = mg_script_lua(c->script);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->spec);
  if (lua_getfield(L, -1, name) != LUA_TFUNCTION) {
    lua_pop(L, 2);
    return MG_OK;
  }
  lua_remove(L, -2);
  return mg_script_call(c->script, 0, 0, e);
}

mg_err mg_checks_implementation(const mg_checks *c, const char *name, mg_error *e) {
  lua_State *L = mg_script_lua(c->script);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->spec);
  lua_getfield(L, -1, "implementations");
  lua_remove(L, -2);
  if (lua_getfield(L, -1, name) == LUA_TTABLE) {
    lua_remove(L, -2);
    return MG_OK;
  }
  lua_pop(L, 2);
  return mg_fail(e, MG_ARG, "the script declares no implementation \"%s\"", name);
}
