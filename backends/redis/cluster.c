#include "backends/redis/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HOPS = 6 };

static bool same_place(const mg_redis_place *a, const mg_redis_place *b) { return a->port == b->port && strcmp(a->host, b->host) == 0; }

static void remember(mg_redis_client *c, const mg_redis_place *p) {
  for (size_t i = 0; i < c->node_count; i++) {
    if (same_place(&c->nodes[i], p)) return;
  }
  if (c->node_count < MG_REDIS_PLACES) c->nodes[c->node_count++] = *p;
}

/* [host, port, ...] of a map; a node that does not know its own address says "" or nil: it is the one that was asked. */
static bool node_of(const redisReply *r, const mg_redis_place *asked, mg_redis_place *out) {
  if (r->type != REDIS_REPLY_ARRAY || r->elements < 2 || r->element[1]->type != REDIS_REPLY_INTEGER) return false;
  const redisReply *host = r->element[0];
  bool named = host->type == REDIS_REPLY_STRING && host->len > 0 && host->len < sizeof out->host && strcmp(host->str, "?") != 0;
  long long port = r->element[1]->integer;
  if (port < 1 || port > 65535) return false;
  (void)snprintf(out->host, sizeof out->host, "%s", named ? host->str : asked->host);
  out->port = (int)port;
  return true;
}

/* CLUSTER SLOTS: [[first, last, master, replica...]...]. false where nobody has our slot. */
static bool read_map(mg_redis_client *c, const redisReply *map, const mg_redis_place *asked, mg_redis_place *owner) {
  bool found = false;
  if (map->type != REDIS_REPLY_ARRAY) return false;
  /* The seeds stay known, whatever the map says now. */
  c->node_count = 0;
  for (size_t i = 0; i < c->settings.host_count; i++) remember(c, &c->settings.hosts[i]);
  for (size_t i = 0; i < map->elements; i++) {
    const redisReply *r = map->element[i];
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3) continue;
    for (size_t n = 2; n < r->elements; n++) {
      mg_redis_place p;
      if (!node_of(r->element[n], asked, &p)) continue;
      remember(c, &p);
      if (n == 2 && r->element[0]->integer <= (long long)c->slot && (long long)c->slot <= r->element[1]->integer) {
        *owner = p;
        found = true;
      }
    }
  }
  return found;
}

/* Connects to a node, reads its map, and follows it to the owner of our slot. */
static mg_err follow(mg_redis_client *c, mg_redis_place at, mg_redis_conn **out, mg_ms until, mg_error *e) {
  for (int hop = 0; hop < MAX_HOPS; hop++) {
    mg_redis_conn *conn = NULL;
    redisReply *map = NULL;
    mg_redis_place owner;
    mg_err err = mg_redis_conn_open(&conn, &c->settings, &at, MG_REDIS_SERVER, c->name, until, e);
    if (err == MG_OK) err = mg_redis_conn_ask(conn, &map, until, e, "CLUSTER", "SLOTS", (const char *)NULL);
    if (err == MG_OK && map->type == REDIS_REPLY_ERROR) {
      bool none = strstr(map->str, "cluster support disabled") != NULL;
      err = none ? mg_fail(e, MG_FATAL, "%s is no node of a cluster: set connection.cluster = false", mg_redis_conn_where(conn))
                 : mg_redis_fault(&c->settings, mg_redis_conn_where(conn), map, e);
    } else if (err == MG_OK && !read_map(c, map, &at, &owner)) {
      err = mg_fail(e, MG_CONN, "the cluster that %s belongs to has no node for slot %u now", mg_redis_conn_where(conn), c->slot);
    }
    if (map != NULL) freeReplyObject(map);
    if (err == MG_OK && same_place(&owner, &at)) {
      c->owner = owner;
      *out = conn;
      return MG_OK;
    }
    mg_redis_conn_close(conn);
    if (err != MG_OK) return err;
    at = owner;
  }
  return mg_fail(e, MG_CONN, "the nodes of the cluster do not agree who has slot %u; it may be changing hands", c->slot);
}

mg_err mg_redis_find_in_cluster(mg_redis_client *c, mg_redis_conn **out, mg_ms until, mg_error *e) {
  mg_err err = MG_CONN;
  if (c->node_count == 0) {
    for (size_t i = 0; i < c->settings.host_count; i++) remember(c, &c->settings.hosts[i]);
  }
  if (c->owner.host[0] != '\0') {
    mg_redis_place at = c->owner;
    c->owner.host[0] = '\0';
    err = follow(c, at, out, until, e);
    if (err != MG_CONN) return err;
  }
  /* One pass over a copy: each map that is read replaces the list. */
  size_t count = c->node_count;
  mg_redis_place *list = malloc(count * sizeof *list);
  if (list == NULL) return mg_fail(e, MG_NOMEM, "no memory for the map of the cluster");
  memcpy(list, c->nodes, count * sizeof *list);
  for (size_t i = 0; i < count && (err == MG_CONN) && (i == 0 || mg_now_ms() < until); i++) {
    err = follow(c, list[(i + c->turn) % count], out, until, e);
  }
  if (err != MG_OK) c->turn++;
  free(list);
  return err;
}
