/* pool.h - the executors of a worker: child processes, their watchdog, their restarts.
 *
 * Thread: the libuv loop's. Tasks wait in the pool and go to the first free executor, small ones several at a time. A case that crashes or hangs costs that
 * case: its outcome is recorded, another executor goes on with the next case (with the candidate, where only the baseline had run). Gaps of the loop
 * above 500 ms are not counted against a case, and a time-out that overlaps one is repeated. */
#ifndef MG_EXECUTE_POOL_H
#define MG_EXECUTE_POOL_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/message.h"
#include <uv.h>

typedef struct mg_pool mg_pool;

typedef struct mg_pool_events {
  /* The first executor is up (fault NULL, its fingerprint), or the script cannot serve (fault text). Once. */
  void (*ready)(void *owner, const char *fault, const uint8_t fingerprint[32]);
  /* A task ended. r is valid during the call; r->run, id, attempt, epoch are the task's, r->worker is empty. Every submitted task ends here once. */
  void (*finished)(void *owner, void *task_owner, const mg_result *r);
  /* Executors crash in a row and none gets up: the worker should stop fetching. cause for people. May be NULL. */
  void (*failing)(void *owner, const char *cause);
  /* A task with care is about to begin and waits, with an executor kept free for it, for mg_pool_begin (which is not to be called from in here). NULL:
   * such tasks begin as others do. */
  void (*announce)(void *owner, void *task_owner);
} mg_pool_events;

typedef struct mg_pool_config {
  const char *program;      /* path of mguard itself: "program __executor SOCKET SLOT" */
  const char *script;       /* path of checks or plan */
  mg_slice overrides;       /* MessagePack map of the command line's overrides, empty for none */
  int executors;            /* >= 1 */
  uint32_t load_timeout_ms; /* for loading scripts and setup() */
  bool show_output;         /* executors' stdout and stderr reach ours; else /dev/null (stdout) */
  mg_pool_events events;
  void *owner;
} mg_pool_config;

/* Starts the executors; texts of config are copied. MG_FATAL: program cannot be started; the loop then still has handles to close. Sets SIGPIPE to ignored
 * for the process. */
mg_err mg_pool_new(mg_pool **out, uv_loop_t *loop, const mg_pool_config *config, mg_error *e);
/* task_bytes (an encoded mg_task, decompressed) is copied. */
mg_err mg_pool_submit(mg_pool *p, const mg_task *task, mg_slice task_bytes, void *task_owner, mg_error *e);
/* What announce was told of may begin. */
void mg_pool_begin(mg_pool *p, const void *task_owner);
/* Takes back tasks no executor has begun; calls dropped for each. */
void mg_pool_withdraw(mg_pool *p, void (*dropped)(void *owner, void *task_owner));
/* Drops the tasks that wanted says, waiting or (begun) with an executor, which is started anew where nothing else is left for it to do; dropped is called
 * for each, finished for none. */
void mg_pool_cancel(mg_pool *p, bool (*wanted)(void *owner, void *task_owner, bool begun), void (*dropped)(void *owner, void *task_owner));
int mg_pool_executors_up(const mg_pool *p);
uint32_t mg_pool_restarts(const mg_pool *p);
bool mg_pool_failing(const mg_pool *p); /* since `failing`, until an executor gets something done again */
/* Whether task_owner is being run, and at which case and role (the baseline also where the case is still being generated). */
bool mg_pool_running(const mg_pool *p, const void *task_owner, uint64_t *case_number, mg_role *role);
/* Kills every executor that works and their children, gives idle ones a second for teardown, closes handles, then calls closed; the pool is freed.
 * Tasks in it do not finish. */
void mg_pool_close(mg_pool *p, void (*closed)(void *owner));

#endif
