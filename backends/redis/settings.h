/* settings.h - what the options say about the Redis server. Immutable once read; borrows texts from the options. */
#ifndef MG_REDIS_SETTINGS_H
#define MG_REDIS_SETTINGS_H

#include "backends/net/transport.h"
#include "base/options.h"

enum { MG_REDIS_HOST_BYTES = 256, MG_REDIS_PLACES = 64 };

typedef struct mg_redis_place {
  char host[MG_REDIS_HOST_BYTES];
  int port;
} mg_redis_place;

typedef struct mg_redis_settings {
  mg_redis_place hosts[MG_REDIS_PLACES]; /* tried in turn; in a cluster the nodes to ask first */
  size_t host_count;
  mg_redis_place sentinels[MG_REDIS_PLACES];
  size_t sentinel_count;
  const char *sentinel_master, *sentinel_username, *sentinel_password; /* NULL: none */
  const char *username, *password;                                     /* NULL: none */
  const char *unix_path;                                               /* NULL: TCP */
  int64_t db;
  bool cluster;
  mg_tls_options tls;
  const char *prefix, *queue;
  int64_t retention_ms;
  mg_ms connect_timeout_ms;
} mg_redis_settings;

/* MG_ARG names the key that cannot be used. What is read points into o. */
mg_err mg_redis_settings_init(mg_redis_settings *s, const mg_options *o, mg_error *e);

/* "host:port" or "[address]:port", otherwise false; a missing port is port_otherwise, or an error where that is 0. */
bool mg_redis_place_parse(mg_redis_place *p, const char *text, size_t len, int port_otherwise);

#endif
