/* state.h - a lua_State with limits: memory, time, and globals that are put back after every case.
 *
 * Thread: one thread owns a state; mg_script_interrupt alone may be called from a signal handler of that thread. The lua_State is
 * inside mg_script; whoever includes lua.h reaches it as mg_script_lua(). All calls into Lua go through mg_script_call. */
#ifndef MG_SCRIPT_STATE_H
#define MG_SCRIPT_STATE_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mg_script mg_script;
struct lua_State;

/* All standard libraries, the modules of lua/mguard/ and mguard.core. memory_bytes 0: no limit. NULL where memory ended.
 * The empty stack has room for 256 values; after calls with many results ask lua_checkstack. */
mg_script *mg_script_new(size_t memory_bytes);
void mg_script_free(mg_script *s);
struct lua_State *mg_script_lua(mg_script *s);
mg_script *mg_script_of(struct lua_State *L);
void mg_script_limit(mg_script *s, size_t memory_bytes);
size_t mg_script_used(const mg_script *s); /* bytes of its heap now */
/* Whether bytes more can surely be had below the limit. */
bool mg_script_has_room(const mg_script *s, size_t bytes);

/* Calls the function below nargs arguments. MG_OK: nresults on the stack. Else the stack is as before the function was pushed and e
 * says why: MG_TIMEOUT (interrupted), MG_NOMEM (limit reached), MG_ARG (it raised; e.text is the raised value as text, cut). */
mg_err mg_script_call(mg_script *s, int nargs, int nresults, mg_error *e);

/* Async-signal-safe: makes whatever runs in s raise as soon as it executes a Lua instruction, over and over until mg_script_calm. */
void mg_script_interrupt(mg_script *s);
bool mg_script_interrupted(const mg_script *s);
void mg_script_calm(mg_script *s);
/* Where the interrupt struck, "v2.lua:13"; "" where no Lua code was reached. Until the next interrupt. */
const char *mg_script_where(const mg_script *s);

/* Restarts math.random for one call: stream and case as for the generator. */
void mg_script_reseed(mg_script *s, uint64_t seed, uint64_t case_number, uint32_t stream);

/* After loading and setup(): from now on assignments to globals and library tables are undone by mg_script_restore. */
mg_err mg_script_commit(mg_script *s, mg_error *e);
/* Undoes them and runs finalizers that the case left behind. Cheap where nothing happened. MG_TIMEOUT where a finalizer was interrupted. */
void mg_script_restore(mg_script *s);

#endif
