#include "script/render.h"

#include <lauxlib.h>
#include <lua.h>

static int summary(lua_State *L) { /* JSON text, width, color -> text */
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.core");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "json_decode");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 2);
  if (lua_isnil(L, -2)) return lua_error(L);
  lua_pop(L, 1);
  int report = lua_gettop(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.report.summary");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "text");
  lua_pushvalue(L, report);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "width");
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "color");
  lua_call(L, 2, 1);
  luaL_checktype(L, -1, LUA_TSTRING);
  return 1;
}

mg_err mg_render_summary(mg_script *s, mg_slice report_json, int width, bool color, mg_buf *out, mg_error *e) {
  lua_State *L = mg_script_lua(s);
  lua_pushcfunction(L, summary);
  lua_pushlstring(L, (const char *)report_json.data, report_json.len);
  lua_pushinteger(L, width);
  lua_pushboolean(L, color);
  mg_err err = mg_script_call(s, 3, 1, e);
  if (err != MG_OK) return mg_fail_in(e, "the summary cannot be made");
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  mg_buf_put(out, text, len);
  lua_pop(L, 1);
  return MG_OK;
}

static int scaffold(lua_State *L) { /* name, backend -> list */
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.scaffold");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "files");
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  luaL_checktype(L, -1, LUA_TTABLE);
  return 1;
}

mg_err mg_render_scaffold(mg_script *s, const char *name, const char *backend, mg_render_file *each, void *owner, mg_error *e) {
  lua_State *L = mg_script_lua(s);
  lua_pushcfunction(L, scaffold);
  lua_pushstring(L, name);
  lua_pushstring(L, backend);
  mg_err err = mg_script_call(s, 2, 1, e);
  for (lua_Integer i = 1; err == MG_OK && lua_rawgeti(L, -1, i) == LUA_TSTRING && lua_rawgeti(L, -2, i + 1) == LUA_TSTRING; i += 2) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    err = each(owner, lua_tostring(L, -2), (mg_slice){(const uint8_t *)text, len}, e);
    lua_pop(L, 2);
  }
  lua_settop(L, 0);
  return err;
}

static int translate(lua_State *L) { /* function, two texts -> two texts */
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.translate");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, lua_tostring(L, 1));
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_call(L, 2, 2);
  luaL_checktype(L, -2, LUA_TSTRING);
  luaL_checktype(L, -1, LUA_TSTRING);
  return 2;
}

mg_err mg_render_translated(const char *function, const char *source, const char *backend, mg_buf *json, mg_buf *notes, mg_error *e) {
  mg_script *s = mg_script_new(0);
  if (s == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  lua_State *L = mg_script_lua(s);
  lua_pushcfunction(L, translate);
  lua_pushstring(L, function);
  lua_pushstring(L, source);
  lua_pushstring(L, backend);
  mg_err err = mg_script_call(s, 3, 2, e);
  if (err == MG_OK) {
    mg_buf_puts(json, lua_tostring(L, -2));
    mg_buf_puts(notes, lua_tostring(L, -1));
  }
  mg_script_free(s);
  return err == MG_OK && (json->failed || notes->failed) ? mg_fail(e, MG_NOMEM, "memory ended") : err;
}
