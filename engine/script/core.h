/* core.h - the C module mguard.core: values, JSON, MessagePack, hashes for the Lua side. */
#ifndef MG_SCRIPT_CORE_H
#define MG_SCRIPT_CORE_H
struct lua_State;
int mg_core_open(struct lua_State *L);
#endif
