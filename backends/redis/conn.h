/* conn.h - one connection to a Redis server: commands go out in pipelines, replies come back in order.
 *
 * Owned by the link thread. The protocol (RESP2) is written here and read by hiredis' redisReader, so that plain, TLS and
 * unix sockets share one path on every version of hiredis. */
#ifndef MG_REDIS_CONN_H
#define MG_REDIS_CONN_H

#include "backends/redis/settings.h"
#include "base/buf.h"
#include <hiredis.h>

typedef struct mg_redis_conn mg_redis_conn;

/* Arguments as they go over the wire; count of them. Look at bytes.failed once, at the end. */
typedef struct mg_redis_args {
  mg_buf bytes;
  int count;
} mg_redis_args;
void mg_redis_arg(mg_redis_args *a, const void *data, size_t len);
void mg_redis_arg_text(mg_redis_args *a, const char *text);
void mg_redis_arg_int(mg_redis_args *a, int64_t n);

typedef enum mg_redis_kind { MG_REDIS_SERVER, MG_REDIS_SENTINEL } mg_redis_kind;

/* Connects to where (NULL: the unix socket of s), logs in and selects the database; a Sentinel has its own user. */
mg_err mg_redis_conn_open(mg_redis_conn **out, const mg_redis_settings *s, const mg_redis_place *where, mg_redis_kind kind, const char *name, mg_ms until,
                          mg_error *e);
void mg_redis_conn_close(mg_redis_conn *c); /* NULL is fine */

/* Queues a command of first (further arguments that come before) and rest. */
void mg_redis_conn_put(mg_redis_conn *c, const mg_redis_args *first, const mg_redis_args *rest);
mg_err mg_redis_conn_send(mg_redis_conn *c, mg_ms until, mg_error *e); /* everything queued */
/* The next reply; freeReplyObject() it. MG_TIMEOUT and MG_AGAIN (wake_fd) leave the connection usable: the reply can be
 * asked for again. Anything else ends it. */
mg_err mg_redis_conn_get(mg_redis_conn *c, redisReply **out, mg_ms until, int wake_fd, mg_error *e);
/* put, send and get of one command given as texts up to NULL. */
mg_err mg_redis_conn_ask(mg_redis_conn *c, redisReply **out, mg_ms until, mg_error *e, ...);

/* A reply that did not come in time ends a connection: MG_TIMEOUT becomes MG_CONN, in e too. */
mg_err mg_redis_no_answer(mg_err err, mg_error *e);

int mg_redis_conn_fd(const mg_redis_conn *c);
const char *mg_redis_conn_where(const mg_redis_conn *c);

/* What an error reply means. */
typedef enum mg_redis_reply_class {
  MG_REPLY_FINE = 0,
  MG_REPLY_NOSCRIPT,
  MG_REPLY_MOVED,     /* the slot lives elsewhere: "MOVED slot host:port" */
  MG_REPLY_ASK,       /* this one command belongs elsewhere */
  MG_REPLY_LATER,     /* TRYAGAIN, CLUSTERDOWN, LOADING, BUSY, MASTERDOWN: again in a moment */
  MG_REPLY_NO_MASTER, /* READONLY, UNBLOCKED: this server is no master any more */
  MG_REPLY_FULL,      /* OOM, MISCONF, NOREPLICAS: takes no writes now */
  MG_REPLY_BAD        /* everything else */
} mg_redis_reply_class;
mg_redis_reply_class mg_redis_classify(const redisReply *r);
/* For people: fills e from an error reply and gives the code. */
mg_err mg_redis_fault(const mg_redis_settings *s, const char *where, const redisReply *r, mg_error *e);

#endif
