/* mirror.h - `mguard run --mirror`: the same run over a second queue at the same time, by a process of its own; afterwards the two digests are compared.
 * For those who move from one broker to another. Main thread. */
#ifndef MG_CLI_MIRROR_H
#define MG_CLI_MIRROR_H

#include "cli/args.h"

typedef struct mg_mirror mg_mirror;

/* *out is NULL where --mirror is absent. Options that shape the run are handed on, those that tell of it are not. MG_ARG where it goes with another option. */
mg_err mg_mirror_start(mg_mirror **out, const mg_args *a, const mg_command *c, mg_error *e);
/* Waits for it (SIGTERM first where digest is NULL: the run has none), says what came of it, and frees m, which may be NULL. code is that of the run;
 * returned is 3 in its place where the digests differ, 5 where the mirror has none. */
int mg_mirror_end(mg_mirror *m, const char *digest, int code, bool quiet);

#endif
