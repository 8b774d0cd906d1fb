/* state_internal.h - the inside of mg_script, for state.c and isolate.c alone. */
#ifndef MG_SCRIPT_STATE_INTERNAL_H
#define MG_SCRIPT_STATE_INTERNAL_H

#include "base/philox.h"
#include "script/alloc.h"
#include <lua.h>
#include <signal.h>
#include <stdbool.h>

struct mg_script {
  lua_State *L;
  lua_State *volatile running;      /* the innermost coroutine that runs; where the time limit strikes */
  volatile sig_atomic_t expired;    /* the current call's time is up */
  char where[128];                  /* of the first instruction the interrupt struck */
  mg_alloc memory;
  size_t collected;                 /* used after the last collection between cases */
  mg_philox random;                 /* behind math.random */
  bool isolated;                    /* mg_script_commit was called */
  bool dirty;                       /* a global or library table was assigned to since */
  bool finalizers;                  /* a table with __gc was made since the last restore */
};

void mg_script_arm(lua_State *L); /* sets the raising hook */

#endif
