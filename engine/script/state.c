#include "script/state.h"

#include "script/core.h"
#include "script/embedded.h"
#include "script/isolate.h"
#include "script/state_internal.h"
#include "script/value.h"
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mg_script *mg_script_of(lua_State *L) {
  mg_script *s;
  memcpy(&s, lua_getextraspace(L), sizeof s);
  return s;
}

lua_State *mg_script_lua(mg_script *s) { return s->L; }
void mg_script_limit(mg_script *s, size_t memory_bytes) { s->memory.limit = memory_bytes; }

size_t mg_script_used(const mg_script *s) { return s->memory.used; }

bool mg_script_has_room(const mg_script *s, size_t bytes) {
  return s->memory.limit == 0 || (s->memory.used < s->memory.limit && s->memory.limit - s->memory.used > bytes);
}

/* ---- time limit ---- */

static const char TIME_IS_UP = 0; /* its address is the raised value */

static void raise_hook(lua_State *L, lua_Debug *ar) {
  mg_script *s = mg_script_of(L);
  if (!s->expired) { /* a coroutine that outlived the call it was interrupted in */
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (s->where[0] == '\0' && lua_getinfo(L, "Sl", ar) && ar->currentline > 0) {
    (void)snprintf(s->where, sizeof s->where, "%s:%d", ar->short_src, ar->currentline);
  }
  lua_pushlightuserdata(L, (void *)(uintptr_t)&TIME_IS_UP);
  lua_error(L);
}

void mg_script_arm(lua_State *L) { lua_sethook(L, raise_hook, LUA_MASKCOUNT, 1); }

const char *mg_script_where(const mg_script *s) { return s->where; }

void mg_script_interrupt(mg_script *s) {
  s->where[0] = '\0';
  s->expired = 1;
  lua_State *running = s->running;
  if (running != NULL) mg_script_arm(running);
}

bool mg_script_interrupted(const mg_script *s) { return s->expired != 0; }

void mg_script_calm(mg_script *s) {
  s->expired = 0;
  if (lua_gethook(s->L) != NULL) lua_sethook(s->L, NULL, 0, 0);
}

/* ---- calls ---- */

static mg_err explain(mg_script *s, int status, mg_error *e) {
  lua_State *L = s->L;
  mg_err code;
  if (s->expired) {
    code = mg_fail(e, MG_TIMEOUT, "the time limit was reached");
  } else if (status == LUA_ERRMEM || (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "not enough memory") == 0)) {
    /* The second form is how the string library's buffers fail, without asking the collector first. */
    lua_gc(L, LUA_GCCOLLECT);
    code = mg_fail(e, MG_NOMEM, "the memory limit of %zu MB was reached", s->memory.limit >> 20);
  } else if (lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER) {
    code = mg_fail(e, MG_ARG, "%s", lua_tostring(L, -1));
  } else {
    /* A value of another type: named, never converted by the script's own __tostring, which may raise or hang. */
    code = mg_fail(e, MG_ARG, "it raised a %s, not a text", luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  return code;
}

mg_err mg_script_call(mg_script *s, int nargs, int nresults, mg_error *e) {
  int status = lua_pcall(s->L, nargs, nresults, 0);
  if (status == LUA_OK && !s->expired) return MG_OK;
  if (status != LUA_OK) return explain(s, status, e);
  /* It returned after its time was up: whether it caught the error or was nearly done must not decide the outcome. */
  if (nresults != LUA_MULTRET) lua_pop(s->L, nresults);
  return mg_fail(e, MG_TIMEOUT, "the time limit was reached");
}

/* ---- opening ---- */

static int load_embedded(lua_State *L) {
  const mg_embedded *m = lua_touserdata(L, lua_upvalueindex(1));
  char chunk[256];
  (void)snprintf(chunk, sizeof chunk, "@%s", m->path);
  if (luaL_loadbufferx(L, (const char *)m->text, m->len, chunk, "b") != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 1);
  lua_pushstring(L, m->path);
  lua_call(L, 2, 1);
  return 1;
}

static int open_all(lua_State *L) {
  luaL_openlibs(L);
  mg_value_open(L); /* values are copied into states that never load mguard.core */
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const mg_embedded *m = mg_embedded_modules; m->name != NULL; m++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)m);
    lua_pushcclosure(L, load_embedded, 1);
    lua_setfield(L, -2, m->name);
  }
  lua_pushcfunction(L, mg_core_open);
  lua_setfield(L, -2, "mguard.core");
  lua_pop(L, 1);
  mg_isolate_open(L);
  return 0;
}

mg_script *mg_script_new(size_t memory_bytes) {
  mg_script *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->L = lua_newstate(mg_alloc_lua, &s->memory);
  if (s->L == NULL) {
    mg_alloc_fini(&s->memory);
    free(s);
    return NULL;
  }
  memcpy(lua_getextraspace(s->L), &s, sizeof s);
  s->running = s->L;
  lua_pushcfunction(s->L, open_all);
  if (lua_pcall(s->L, 0, 0, 0) != LUA_OK) {
    mg_script_free(s);
    return NULL;
  }
  if (!lua_checkstack(s->L, 256)) { /* so that callers may push a few values without asking each time */
    mg_script_free(s);
    return NULL;
  }
  /* A case's values are small and die at once, so that cycles are cheap, and short ones keep what is used again in the processor's caches: four times the
   * usual speed of a cycle. (Generational mode is faster by another 6 %, but had faults in most versions of Lua 5.4.) */
  lua_gc(s->L, LUA_GCINC, 200, 400, 0);
  s->memory.limit = memory_bytes;
  return s;
}

void mg_script_free(mg_script *s) {
  if (s == NULL) return;
  s->memory.limit = 0; /* closing may allocate, and must not fail */
  lua_close(s->L);
  mg_alloc_fini(&s->memory);
  free(s);
}
