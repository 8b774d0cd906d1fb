/* pool_proc.h - one executor process: its start, its socket, its death. Thread: the loop's. */
#ifndef MG_EXECUTE_POOL_PROC_H
#define MG_EXECUTE_POOL_PROC_H

#include "base/buf.h"
#include "base/err.h"
#include "execute/slot.h"
#include <uv.h>

#define MG_PROC_FRAME_MAX (1u << 20) /* longest frame from an executor */

typedef struct mg_proc mg_proc;

typedef struct mg_proc_events {
  void (*frame)(void *owner, mg_frame_type type, mg_slice body);
  /* It is dead and reaped, all its frames were given, its groups are killed. The slot is valid during the call. how: "exited with status 0". */
  void (*gone)(void *owner, const char *how);
  /* The last handle is closed; nothing of it is left. */
  void (*freed)(void *owner);
} mg_proc_events;

typedef struct mg_proc_config {
  const char *program;
  bool show_output;
  mg_proc_events events;
  void *owner;
} mg_proc_config;

/* MG_FATAL: it could not be started; the text says why. No event is called from here. */
mg_err mg_proc_start(mg_proc **out, uv_loop_t *loop, const mg_proc_config *config, mg_error *e);
mg_slot *mg_proc_slot(mg_proc *p);
/* MG_NOMEM; a process that reads no more is found out by its death. */
mg_err mg_proc_send(mg_proc *p, mg_frame_type type, mg_slice body, mg_error *e);
void mg_proc_signal(mg_proc *p);  /* SIGUSR1 */
void mg_proc_kill(mg_proc *p);    /* SIGKILL to it and the groups in its slot; gone follows */
void mg_proc_hang_up(mg_proc *p); /* asks it to leave: it reads the end of its socket */
/* To be called on SIGCHLD, and now and then: calls gone where it has died. */
void mg_proc_reap(mg_proc *p);

#endif
