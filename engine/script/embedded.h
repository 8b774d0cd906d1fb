/* embedded.h - the Lua modules of lua/mguard/, carried inside the binary (written by scripts/embed.lua). */
#ifndef MG_SCRIPT_EMBEDDED_H
#define MG_SCRIPT_EMBEDDED_H
#include <stddef.h>

typedef struct mg_embedded {
  const char *name;          /* "mguard.plan" */
  const char *path;          /* "lua/mguard/plan.lua", shown in error messages */
  const unsigned char *text; /* compiled */
  size_t len;
} mg_embedded;

/* Ends with an entry whose name is NULL. */
extern const mg_embedded mg_embedded_modules[];
#endif
