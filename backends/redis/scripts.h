/* scripts.h - what runs inside the server: each script is one step of a task's life, done wholly or not at all.
 *
 * Time is the server's. Scripts declare their keys; claim and the other scripts over all runs derive the runs' keys from the
 * base, which is the same slot. Texts and digests are made once a process. Any thread. */
#ifndef MG_REDIS_SCRIPTS_H
#define MG_REDIS_SCRIPTS_H

#include "backends/redis/keys.h"
#include <stdbool.h>

typedef enum mg_redis_script {
  MG_SCRIPT_PUBLISH,         /* ttl, run, (id, delay ms, body)*                    -> number of new tasks */
  MG_SCRIPT_CLAIM,           /* ttl, base, token, worker, lease ms, max, skip*     -> wake id, next due in ms, (run, id, record)* */
  MG_SCRIPT_RECOVER,         /* ttl, base, token, lease ms                         -> as claim */
  MG_SCRIPT_EXTEND,          /* (id, token, ms)*                                   -> 1 or 0 each */
  MG_SCRIPT_ACK,             /* ttl, (id, token)*                                  -> 1 or 0 each */
  MG_SCRIPT_NACK,            /* ttl, run, (id, token, delay ms)*                   -> 1 or 0 each */
  MG_SCRIPT_BURY,            /* ttl, run, (id, token, why)*                        -> 1 or 0 each */
  MG_SCRIPT_PUBLISH_DEAD,    /* ttl, run, (id, why, body)*                         -> number of new ones */
  MG_SCRIPT_PUBLISH_RESULTS, /* ttl, run, (id, body)*                              -> OK */
  MG_SCRIPT_REFRESH,         /* ttl, run                                           -> OK */
  MG_SCRIPT_RECLAIM,         /* run, "expired" | "worker", name | "tasks", name*   -> (id, worker)* */
  MG_SCRIPT_PROBE,           /* run, id*                                           -> mg_task_state each */
  MG_SCRIPT_DEPTH,           /* base, run or ""                                    -> pending, in flight, dead, results, age ms */
  MG_SCRIPT_LIST_DEAD,       /* base, run or "", max                               -> (run, id, why, record)* */
  MG_SCRIPT_LIST_RUNS,       /*                                                    -> run* */
  MG_SCRIPT_REDRIVE,         /* ttl, run, "all" | "named", name*                   -> number */
  MG_SCRIPT_PURGE_DEAD,      /* run, "all" | "named", name*                        -> number */
  MG_SCRIPT_PURGE_RUN,       /* run                                                -> number of unsettled tasks */
  MG_SCRIPT_BEAT,            /* name, ttl, body                                    -> OK; beats */
  MG_SCRIPT_READ_BEATS,      /*                                                    -> (name, body)* */
  MG_SCRIPT_CONTROL,         /* as beat; controls */
  MG_SCRIPT_READ_CONTROLS,
  MG_SCRIPT_QUARANTINE, /* worker, ttl, 1 or 0                                -> OK */
  MG_SCRIPT_COUNT
} mg_redis_script;

/* The whole text with its NUL not counted, and its SHA-1 in hex; NULL where memory ended. */
const char *mg_redis_script_text(mg_redis_script s, size_t *len);
const char *mg_redis_script_sha(mg_redis_script s);
/* Key i of the script, false past the last. */
bool mg_redis_script_key(mg_redis_script s, size_t i, mg_redis_key *out);

#endif
