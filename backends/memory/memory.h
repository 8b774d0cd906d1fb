/* memory.h - the queue of one process: a real backend with leases, requeue and dead letters, no server.
 *
 * The broker object is shared by the backends opened on it (one for the coordinator's link thread, one for the worker's); a mutex guards it. */
#ifndef MG_BACKENDS_MEMORY_H
#define MG_BACKENDS_MEMORY_H

#include "dispatch/backend.h"

typedef struct mg_memory_broker mg_memory_broker;
mg_memory_broker *mg_memory_broker_new(void);     /* NULL where memory ended */
void mg_memory_broker_free(mg_memory_broker *m); /* after every backend on it is closed */

extern const mg_backend_ops mg_memory_backend; /* config.shared = the broker */

#endif
