/* redis.h - queue on a Redis server (5.0 or later), a Sentinel's master, or a cluster.
 *
 * Every key of a queue carries one hash tag, {key_prefix:queue_name}; keys.h lists them. Each step of a task's life is one
 * script on the server, by the server's clock; only who shows the token of a claim may settle what it claimed. The backend reconnects
 * by itself at the next call and keeps its receipts: after MG_CONN call again rather than close and open. A claim whose reply was lost is
 * taken up again by the next fetch_tasks, of another backend with the same identity in this process too. Results are read in order from a stream and stay there until ack_results; after a
 * reconnect, or by a new coordinator, those not yet settled are given again.
 *
 * A worker uses a second connection that waits for tasks, a coordinator one that waits for results. */
#ifndef MG_BACKENDS_REDIS_H
#define MG_BACKENDS_REDIS_H

#include "dispatch/backend.h"

extern const mg_backend_ops mg_redis_backend;

#endif
