/* stats.h - the statistics for Lua: core.stats(method, arguments) and core.stats_methods(). */
#ifndef MG_SCRIPT_STATS_H
#define MG_SCRIPT_STATS_H
struct lua_State;
/* stats(name, {arg = number|list|word}) -> {result = number|list}; nil and a message where the arguments do not fit; raises for a method that there is not. */
int mg_core_stats(struct lua_State *L);
/* -> { {name =, about =, takes = {{name =, kind =, required =}, ...}}, ... } in the order of the catalogue. */
int mg_core_stats_methods(struct lua_State *L);
#endif
