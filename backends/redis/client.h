/* client.h - calls to the server in charge of a queue, wherever it is: a plain server, a Sentinel's master, a cluster's node.
 *
 * Owned by the link thread. A client connects by itself when it has no connection; a call that fails as a whole gives MG_CONN and
 * may be repeated. Receipts and waits survive a reconnect. */
#ifndef MG_REDIS_CLIENT_H
#define MG_REDIS_CLIENT_H

#include "backends/redis/conn.h"
#include "backends/redis/scripts.h"

/* A command of a pipeline: zero-initialise, add arguments, run, read, fini. */
typedef struct mg_redis_call {
  const char *command; /* "XDEL"; NULL: script */
  mg_redis_script script;
  mg_redis_args args;
  redisReply *reply; /* out */
  mg_err err;        /* out: MG_OK, MG_CONN, or what an error reply means */
} mg_redis_call;
void mg_redis_call_fini(mg_redis_call *c);

/* A connection of its own for a command that blocks in the server, so that the wait can be left and taken up again. */
typedef struct mg_redis_waiter {
  mg_redis_conn *conn;
  uint64_t generation; /* of the main connection it belongs to */
  bool asked;          /* a reply is owed */
  mg_ms reply_by;      /* asked: the connection is dead where it has not come */
  mg_ms poll_until;    /* the server cannot block for us now (resharding): ask in small steps until then */
} mg_redis_waiter;

typedef struct mg_redis_client {
  mg_redis_settings settings;
  char base[420]; /* "{prefix:queue}:" */
  char name[160]; /* of the connections */
  unsigned slot;
  mg_redis_conn *conn;
  uint64_t generation;                   /* rises with each new main connection */
  mg_redis_place owner;                  /* cluster: the node that has our slot; host "" where unknown */
  mg_redis_place nodes[MG_REDIS_PLACES]; /* cluster: who may be asked for the map */
  size_t node_count, turn;
  mg_ms used_ms; /* when the main connection last answered */
} mg_redis_client;

mg_err mg_redis_client_init(mg_redis_client *c, const mg_options *o, const char *identity, mg_error *e);
void mg_redis_client_fini(mg_redis_client *c);

/* Connects the main connection where there is none; takes at most until, or a second where that is sooner. */
mg_err mg_redis_client_connect(mg_redis_client *c, mg_ms until, mg_error *e);
void mg_redis_client_drop(mg_redis_client *c); /* the next call connects anew */

/* Starts a script's call with its keys (of run; "" where it has no run's keys). */
void mg_redis_call_script(mg_redis_client *c, mg_redis_call *call, mg_redis_script s, const char *run);
/* Sends all, reads all: redirects followed, scripts loaded, servers that are not ready waited for, until (but a server that is
 * reached gets at least three seconds for its answer: giving up costs the connection, and with it what the call may have done). MG_OK: each call has its reply. Otherwise the worst of the calls. */
mg_err mg_redis_run(mg_redis_client *c, mg_redis_call *calls, size_t count, mg_ms until, mg_error *e);

/* Makes the waiter's connection, to the same server as the main one. */
mg_err mg_redis_waiter_connect(mg_redis_client *c, mg_redis_waiter *w, mg_ms until, mg_error *e);
void mg_redis_waiter_close(mg_redis_waiter *w);
/* Sends a command that blocks for at most block_ms. */
mg_err mg_redis_waiter_ask(mg_redis_waiter *w, const mg_redis_args *command, mg_ms block_ms, mg_error *e);
/* Its reply: MG_TIMEOUT and MG_AGAIN (wake_fd) leave it owed and e alone; *out NULL where the server would not wait (poll instead). */
mg_err mg_redis_waiter_get(mg_redis_client *c, mg_redis_waiter *w, redisReply **out, mg_ms until, int wake_fd, mg_error *e);

/* place.c: a connection to the server in charge. */
mg_err mg_redis_find_server(mg_redis_client *c, mg_redis_conn **out, mg_ms until, mg_error *e);
/* cluster.c, sentinel.c */
mg_err mg_redis_find_in_cluster(mg_redis_client *c, mg_redis_conn **out, mg_ms until, mg_error *e);
mg_err mg_redis_find_by_sentinel(mg_redis_client *c, mg_redis_conn **out, mg_ms until, mg_error *e);

#endif
