/* keys.h - names of the keys of one queue. All carry the hash tag {prefix:queue}, so a cluster keeps them in one slot and a
 * script may touch any of them.
 *
 *   {p:q}:active        ZSET   runs with pending tasks, score = turn; the lowest is served next
 *   {p:q}:delayed       ZSET   "run\nid" of tasks that wait, score = server time in ms when they become pending
 *   {p:q}:wake          STREAM one entry; a new one wakes idle workers
 *   {p:q}:quarantine    ZSET   workers that get no tasks, score = end
 *   {p:q}:runs          ZSET   known runs, score = end of retention
 *   {p:q}:beats, :beat-ends, :controls, :control-ends   HASH body, ZSET end
 *   {p:q}:pending:RUN   LIST   ids ("attempt:task"), oldest first
 *   {p:q}:tasks:RUN     HASH   id -> "published ms|frame"; from publish to settle
 *   {p:q}:holders:RUN   HASH   id -> "token\nworker"; only who shows the token may settle
 *   {p:q}:leases:RUN    ZSET   ids, score = end of the lease by the server's clock
 *   {p:q}:done:RUN, :done-before:RUN   HASH of settled ids, two generations: a publish repeated after a lost reply is known
 *   {p:q}:results:RUN   STREAM t = id, b = frame
 *   {p:q}:dead:RUN, :why:RUN, :dead-order:RUN   HASH frame, HASH reason, ZSET time
 */
#ifndef MG_REDIS_KEYS_H
#define MG_REDIS_KEYS_H

#include "base/buf.h"

typedef enum mg_redis_key {
  MG_KEY_ACTIVE,
  MG_KEY_DELAYED,
  MG_KEY_WAKE,
  MG_KEY_QUARANTINE,
  MG_KEY_RUNS,
  MG_KEY_BEATS,
  MG_KEY_BEAT_ENDS,
  MG_KEY_CONTROLS,
  MG_KEY_CONTROL_ENDS,
  MG_KEY_PENDING, /* from here on one of each run */
  MG_KEY_TASKS,
  MG_KEY_HOLDERS,
  MG_KEY_LEASES,
  MG_KEY_DONE,
  MG_KEY_DONE_BEFORE,
  MG_KEY_RESULTS,
  MG_KEY_DEAD,
  MG_KEY_WHY,
  MG_KEY_DEAD_ORDER,
  MG_KEY_COUNT
} mg_redis_key;

/* Name of the local in scripts: "active", "done_before". */
const char *mg_redis_key_name(mg_redis_key key);
/* Appends the key, of run where it is one of a run's. base is "{prefix:queue}:". */
void mg_redis_key_put(mg_buf *out, const char *base, mg_redis_key key, const char *run);
/* Slot of a key in a cluster: CRC16 of what stands in braces. */
unsigned mg_redis_slot(const char *key);

#endif
