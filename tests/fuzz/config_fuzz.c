/* The queue configuration: any text gives a flat table or an error with a text, never a crash, a hang or an error of
 * Lua's own. */
#include "script/state.h"
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char program[] = "local config = require 'mguard.config'\n"
                              "return function(text) config.validate(config.parse(text, 'q.json'), 'q.json') end";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static mg_script *s;
  static int function;
  mg_error e = {0};
  if (s == NULL) {
    s = mg_script_new(0);
    lua_State *L = s == NULL ? NULL : mg_script_lua(s);
    if (L == NULL || luaL_loadstring(L, program) != LUA_OK || mg_script_call(s, 0, 1, &e) != MG_OK) {
      fprintf(stderr, "mguard.config cannot be loaded: %s\n", e.text);
      abort();
    }
    function = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  lua_State *L = mg_script_lua(s);
  lua_rawgeti(L, LUA_REGISTRYINDEX, function);
  lua_pushlstring(L, (const char *)data, size);
  mg_err err = mg_script_call(s, 1, 0, &e);
  /* "attempt to index a nil value" and the like are bugs of ours, not faults of the text. */
  if (err == MG_ARG && (strstr(e.text, "attempt to ") != NULL || strstr(e.text, "bad argument") != NULL) &&
      memmem(data, size, "attempt", 7) == NULL && memmem(data, size, "bad arg", 7) == NULL) {
    fprintf(stderr, "%s\n", e.text);
    abort();
  }
  if (err != MG_OK && (err != MG_ARG || e.text[0] == '\0')) abort();
  return 0;
}
