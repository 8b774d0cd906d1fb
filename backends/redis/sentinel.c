#include "backends/redis/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one Sentinel says: MG_LOST where it does not know the name. */
static mg_err ask_sentinel(mg_redis_client *c, const mg_redis_place *at, mg_redis_place *master, mg_ms until, mg_error *e) {
  const mg_redis_settings *s = &c->settings;
  mg_redis_conn *conn = NULL;
  redisReply *r = NULL;
  mg_err err = mg_redis_conn_open(&conn, s, at, MG_REDIS_SENTINEL, c->name, until, e);
  if (err != MG_OK) return err;
  err = mg_redis_conn_ask(conn, &r, until, e, "SENTINEL", "get-master-addr-by-name", s->sentinel_master, (const char *)NULL);
  if (err != MG_OK) goto out;
  if (r->type == REDIS_REPLY_NIL) {
    err = mg_fail(e, MG_LOST, "%s knows no master \"%s\": check connection.sentinel_master", mg_redis_conn_where(conn), s->sentinel_master);
  } else if (r->type == REDIS_REPLY_ERROR) {
    bool none = strncmp(r->str, "ERR unknown command", 19) == 0;
    err = none ? mg_fail(e, MG_FATAL, "%s is no Sentinel: check connection.sentinels", mg_redis_conn_where(conn))
               : mg_redis_fault(s, mg_redis_conn_where(conn), r, e);
  } else if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_STRING ||
             r->element[0]->len >= sizeof master->host || atoi(r->element[1]->str) < 1 || atoi(r->element[1]->str) > 65535) {
    err = mg_fail(e, MG_FATAL, "%s is no Sentinel: its answer has no host and port", mg_redis_conn_where(conn));
  } else {
    (void)snprintf(master->host, sizeof master->host, "%s", r->element[0]->str);
    master->port = atoi(r->element[1]->str);
  }
out:
  if (r != NULL) freeReplyObject(r);
  mg_redis_conn_close(conn);
  return err;
}

/* A Sentinel may still name the old master for a while; only a server that says it is one will do. */
static mg_err check_role(mg_redis_client *c, mg_redis_conn *conn, mg_ms until, mg_error *e) {
  redisReply *r = NULL;
  mg_err err = mg_redis_conn_ask(conn, &r, until, e, "ROLE", (const char *)NULL);
  if (err != MG_OK) return err;
  if (r->type == REDIS_REPLY_ARRAY && r->elements > 0 && r->element[0]->type == REDIS_REPLY_STRING && strcmp(r->element[0]->str, "master") != 0) {
    err = mg_fail(e, MG_CONN, "%s is named as the master \"%s\" but is a %s yet: a failover goes on", mg_redis_conn_where(conn), c->settings.sentinel_master,
                  r->element[0]->str);
  } else if (r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOPERM", 6) != 0) {
    err = mg_redis_fault(&c->settings, mg_redis_conn_where(conn), r, e);
  }
  freeReplyObject(r);
  return err;
}

mg_err mg_redis_find_by_sentinel(mg_redis_client *c, mg_redis_conn **out, mg_ms until, mg_error *e) {
  const mg_redis_settings *s = &c->settings;
  mg_err err = MG_CONN;
  size_t unknown = 0;
  for (size_t i = 0; i < s->sentinel_count && (i == 0 || mg_now_ms() < until); i++) {
    mg_redis_place master;
    err = ask_sentinel(c, &s->sentinels[(i + c->turn) % s->sentinel_count], &master, until, e);
    if (err == MG_LOST) unknown++;
    if (err == MG_LOST || err == MG_CONN) continue;
    if (err != MG_OK) return err;
    mg_redis_conn *conn = NULL;
    err = mg_redis_conn_open(&conn, s, &master, MG_REDIS_SERVER, c->name, until, e);
    if (err == MG_OK) err = check_role(c, conn, until, e);
    if (err == MG_OK) {
      *out = conn;
      return MG_OK;
    }
    mg_redis_conn_close(conn);
    if (err != MG_CONN) return err;
  }
  c->turn++;
  if (err != MG_LOST) return err;
  if (e != NULL) e->code = unknown == s->sentinel_count ? MG_FATAL : MG_CONN;
  return unknown == s->sentinel_count ? MG_FATAL : MG_CONN;
}
