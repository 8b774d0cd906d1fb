/* core.h - the C module mguard.core: values, JSON, MessagePack, hashes for the Lua side. */
#ifndef MG_SCRIPT_CORE_H
#define MG_SCRIPT_CORE_H
struct lua_State;
int luaopen_mguard_core(struct lua_State *L);
#endif
