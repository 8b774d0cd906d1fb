/* alloc.h - memory of one lua_State: counted against a limit, small blocks from free lists.
 *
 * A case makes and drops dozens of small tables; taking them from lists by size costs a tenth of malloc. Chunks go back with the state. Thread: the state's. */
#ifndef MG_SCRIPT_ALLOC_H
#define MG_SCRIPT_ALLOC_H

#include <stddef.h>

#define MG_ALLOC_SMALL 512 /* bytes; larger blocks are malloc's */

typedef struct mg_alloc {
  size_t used, limit; /* bytes; limit 0: none */
  void *free[MG_ALLOC_SMALL / 16 + 1]; /* by size in 16 bytes */
  void *chunks;                        /* list; each begins with the pointer to the next */
  char *at, *end;                      /* what is left of the newest chunk */
} mg_alloc;

void *mg_alloc_lua(void *ud, void *ptr, size_t osize, size_t nsize); /* a lua_Alloc; ud is the mg_alloc */
void mg_alloc_fini(mg_alloc *a);                                     /* after lua_close */

#endif
