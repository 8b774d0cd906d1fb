/* session.h - one pool with one executor, driven to an end by the calling function: what replay, check and the preflight of distributed runs need.
 * Main thread. */
#ifndef MG_CLI_SESSION_H
#define MG_CLI_SESSION_H

#include "execute/pool.h"

typedef struct mg_session mg_session;

/* Loads the script in an executor and waits until it is ready. MG_ARG: the script cannot serve, e says why. */
mg_err mg_session_open(mg_session **out, const char *script, mg_slice overrides, bool show_output, mg_error *e);
/* Runs one task to its end; *r borrows until the next call or close. */
mg_err mg_session_run(mg_session *s, const mg_task *t, const mg_result **r, mg_error *e);
void mg_session_close(mg_session *s);

#endif
