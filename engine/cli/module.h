/* module.h - mguard.core for a Lua of others: what script/core.h has, and queues. The program's own states have core alone. */
#ifndef MG_CLI_MODULE_H
#define MG_CLI_MODULE_H
struct lua_State;
/* Entry of core.so. Adds core.queue_open(config, timeout_ms) -> handle, or nil, message, code (mg_err_name). config is JSON text or a file name. A handle
 * belongs to the thread of its lua_State; lua/mguard/queue.lua is the face people see. */
int luaopen_mguard_core(struct lua_State *L);
#endif
