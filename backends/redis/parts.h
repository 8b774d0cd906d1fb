/* parts.h - the backend's own struct and what its files share. Owned by the link thread. */
#ifndef MG_REDIS_PARTS_H
#define MG_REDIS_PARTS_H

#include "backends/redis/client.h"
#include "dispatch/backend.h"

enum { MG_REDIS_PER_CALL = 256, MG_REDIS_BYTES_PER_CALL = 1 << 20, MG_REDIS_PAUSE_MS = 2000 };

struct mg_lease {
  mg_lease *previous, *next; /* of the backend's list */
  bool result;               /* of fetch_results; else of a claim */
  const char *run, *id;      /* id: "attempt:task", or the id in the stream of results */
  const char *token;         /* claim: what proves that it is ours */
  char texts[];
};

typedef struct mg_redis {
  mg_backend backend;
  mg_redis_client client;
  char *identity, *run; /* run NULL: a worker */
  int wake_fd;
  mg_lease *leases; /* newest first */
  char nonce[17];   /* tokens: nonce-number */
  uint64_t claims;
  char token[48]; /* of the last claim */
  bool recover;   /* the reply of that claim was lost */
  mg_redis_waiter task_waiter, result_waiter;
  char wake_id[48];           /* task_waiter waits for something newer */
  char cursor[48];            /* the last result read */
  char highest[48];           /* the highest id of a result ever given */
  uint64_t cursor_generation; /* of the connection it was read on; a new one begins anew */
  redisReply *held;           /* results that a fetch had no room for, from held_at on */
  size_t held_at;
  mg_ms refreshed_ms;
} mg_redis;

static inline mg_redis *mg_redis_of(mg_backend *b) { return (mg_redis *)b; /* backend is the first member */ }

mg_lease *mg_redis_lease_new(mg_redis *r, bool result, const char *run, size_t run_len, const char *id, size_t id_len, const char *token);
void mg_redis_lease_free(mg_redis *r, mg_lease *l);

/* "attempt:task" of the id; what is no id is a task of attempt 0. */
const char *mg_redis_task_of(const char *id, uint32_t *attempt);
/* Frame of a record "published ms|frame"; what is no record is a frame. */
mg_slice mg_redis_frame_of(const redisReply *record);
/* An id as an argument. */
void mg_redis_arg_id(mg_redis_args *a, const char *task, uint32_t attempt);
/* A bulk reply, NUL-terminated by hiredis. */
bool mg_redis_is_text(const redisReply *r);
/* MG_ARG where run or task cannot be part of a key or an id. */
mg_err mg_redis_check_names(const char *run, const char *task, mg_error *e);

/* A single call of a script whose arguments the caller has added after mg_redis_call_script. */
mg_err mg_redis_run_one(mg_redis *r, mg_redis_call *call, mg_ms until, mg_error *e);
/* The coordinator's keys live retention_seconds from its last sign: says so to the server when it is time. Never fails. */
void mg_redis_refresh(mg_redis *r, mg_ms until);

/* tasks.c */
mg_err mg_redis_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_redis_fetch_tasks(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e);
mg_err mg_redis_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_redis_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
/* settle.c */
mg_err mg_redis_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_redis_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_redis_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_redis_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_redis_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
/* results.c */
mg_err mg_redis_fetch_results(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e);
/* admin.c */
mg_err mg_redis_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_redis_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_redis_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_redis_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_redis_reclaim(mg_backend *b, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_redis_probe(mg_backend *b, const char *run, mg_probe *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_redis_depth(mg_backend *b, const char *run, mg_ms until, mg_depth *out, mg_error *e);
mg_err mg_redis_stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e);
mg_err mg_redis_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_redis_list_runs(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_redis_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
mg_err mg_redis_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
mg_err mg_redis_purge_run(mg_backend *b, const char *run, mg_ms until, size_t *removed, mg_error *e);
mg_err mg_redis_quarantine(mg_backend *b, const char *worker, bool on, mg_ms ttl_ms, mg_ms until, mg_error *e);
/* examine.c */
mg_err mg_redis_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e);

#endif
