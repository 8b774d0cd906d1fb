/* implementation.h - one role's implementation inside an executor: a function in a lua_State of its own, or a child process.
 *
 * Thread: the executor's only one. */
#ifndef MG_EXECUTE_IMPLEMENTATION_H
#define MG_EXECUTE_IMPLEMENTATION_H

#include "execute/impl_exec.h"
#include "script/checks.h"
#include "script/value.h"
#include <signal.h>

typedef struct mg_implementation mg_implementation;

typedef struct mg_implementation_config {
  const mg_checks *checks; /* declares it */
  const char *name;
  const char *script;      /* path, loaded again for plain functions */
  mg_slice overrides;
  uint32_t memory_mb;
  _Atomic int32_t *group;          /* of the child, for the parent */
  volatile sig_atomic_t *stop;     /* nonzero: the time is up */
} mg_implementation_config;

/* Loads it. MG_ARG with file and line; the text names the implementation. */
mg_err mg_implementation_open(mg_implementation **out, const mg_implementation_config *c, mg_error *e);
void mg_implementation_free(mg_implementation *i);

/* A Python file must be imported before it can be called, which may take seconds: whether that is due, and doing it. Called outside a case's time. MG_ARG,
 * MG_LOST: the file cannot be loaded. */
bool mg_implementation_wants_start(const mg_implementation *i);
mg_err mg_implementation_start(mg_implementation *i, mg_error *e);

/* The lua_State to interrupt while a call runs; NULL for a child process. */
mg_script *mg_implementation_script(const mg_implementation *i);

/* Calls it with a copy of args; *out becomes its first result. What out borrows lives until mg_implementation_rest. random_stream seeds math.random.
 * MG_ARG it raised or answered what cannot be read, MG_NOMEM memory limit, MG_TIMEOUT, MG_LOST its process died. */
mg_err mg_implementation_call(mg_implementation *i, const mg_tape *args, uint64_t seed, uint64_t case_number, uint32_t random_stream,
                              mg_tape *out, mg_error *e);
/* What it used so far and holds now, for the differences over a call. NAN where it cannot be told (a program started for each call holds nothing
 * between calls). cpu_ms: of the child, or of this thread. */
double mg_implementation_cpu_ms(const mg_implementation *i);
double mg_implementation_memory_mb(const mg_implementation *i);
/* After a case: forgets results. (Globals are put back and finalizers run after each call, within its time.) */
void mg_implementation_rest(mg_implementation *i);

#endif
