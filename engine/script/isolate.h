/* isolate.h - what makes cases independent of each other inside one lua_State: library functions that keep the running coroutine known,
 * a math.random that restarts with each call, and globals that are put back. Part of state.h; only state.c and isolate.c use it. */
#ifndef MG_SCRIPT_ISOLATE_H
#define MG_SCRIPT_ISOLATE_H

struct lua_State;

/* Replaces coroutine.resume, wrap and close, math.random and randomseed, setmetatable, rawset and rawget, and keeps of debug only traceback and getinfo (a
 * script that sets hooks or swaps metatables of strings would take the time limit or the isolation away). May raise. */
void mg_isolate_open(struct lua_State *L);

#endif
