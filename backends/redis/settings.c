#include "backends/redis/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PORT = 6379 };

static bool number(const char *text, size_t len, long long max, long long *out) {
  if (len == 0 || len > 10) return false;
  long long n = 0;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    n = n * 10 + (text[i] - '0');
  }
  *out = n;
  return n <= max;
}

bool mg_redis_place_parse(mg_redis_place *p, const char *text, size_t len, int port_otherwise) {
  const char *host = text, *rest;
  size_t host_len;
  if (len > 0 && text[0] == '[') {
    const char *end = memchr(text, ']', len);
    if (end == NULL) return false;
    host = text + 1;
    host_len = (size_t)(end - host);
    rest = end + 1;
  } else {
    const char *end = NULL;
    for (size_t i = 0; i < len; i++) {
      if (text[i] == ':') end = text + i; /* the last: nodes announce IPv6 addresses without brackets */
    }
    rest = end != NULL ? end : text + len;
    host_len = (size_t)(rest - text);
  }
  if (host_len == 0 || host_len >= sizeof p->host) return false;
  size_t left = len - (size_t)(rest - text);
  long long port = port_otherwise;
  if (left > 0 && (rest[0] != ':' || !number(rest + 1, left - 1, 65535, &port))) return false;
  if (port < 1) return false;
  memcpy(p->host, host, host_len);
  p->host[host_len] = '\0';
  p->port = (int)port;
  return true;
}

/* "h:p,h:p", or key.1, key.2, ... */
static mg_err places(mg_redis_place *out, size_t *count, const mg_options *o, const char *key, int port, mg_error *e) {
  const char *list = mg_options_text(o, key, NULL);
  char name[64];
  *count = 0;
  for (int i = 1; *count < MG_REDIS_PLACES; i++) {
    (void)snprintf(name, sizeof name, "%s.%d", key, i);
    const char *at = list != NULL ? list : mg_options_text(o, name, NULL);
    if (at == NULL) return MG_OK;
    for (;;) {
      at += strspn(at, " ");
      size_t len = strcspn(at, ","), used = len;
      while (used > 0 && at[used - 1] == ' ') used--;
      if (*count == MG_REDIS_PLACES) return mg_fail(e, MG_ARG, "%s names more than %d places", key, MG_REDIS_PLACES);
      if (!mg_redis_place_parse(&out[*count], at, used, port)) {
        return mg_fail(e, MG_ARG, "%s must be a list of host:port, \"%.*s\" is none", key, (int)used, at);
      }
      ++*count;
      if (at[len] == '\0') break;
      at += len + 1;
    }
    if (list != NULL) return MG_OK;
  }
  return MG_OK;
}

static const char *text_of(const mg_options *o, const char *key, const char *other_key) {
  const char *text = mg_options_text(o, key, NULL);
  if (text == NULL && other_key != NULL) text = mg_options_text(o, other_key, NULL);
  return text != NULL && text[0] != '\0' ? text : NULL;
}

static mg_err read_connection(mg_redis_settings *s, const mg_options *o, mg_error *e) {
  s->tls.on = mg_options_bool(o, "connection.ssl", false);
  s->username = text_of(o, "connection.username", NULL);
  s->password = text_of(o, "connection.password", NULL);
  s->db = mg_options_int(o, "connection.db", 0);
  s->unix_path = text_of(o, "connection.unix_socket", NULL);
  mg_err err = places(s->hosts, &s->host_count, o, "connection.hosts", DEFAULT_PORT, e);
  if (err != MG_OK || s->host_count > 0) return err;
  const char *host = text_of(o, "connection.host", NULL);
  int64_t port = mg_options_int(o, "connection.port", DEFAULT_PORT);
  if (host == NULL) host = "localhost";
  if (strlen(host) >= MG_REDIS_HOST_BYTES) return mg_fail(e, MG_ARG, "connection.host is longer than a host name can be");
  if (port < 1 || port > 65535) return mg_fail(e, MG_ARG, "connection.port must be 1 to 65535, got %lld", (long long)port);
  (void)snprintf(s->hosts[0].host, MG_REDIS_HOST_BYTES, "%s", host);
  s->hosts[0].port = (int)port;
  s->host_count = 1;
  return MG_OK;
}

static mg_err read_tls(mg_redis_settings *s, const mg_options *o, mg_error *e) {
  s->tls.trust_any = !mg_options_bool(o, "connection.ssl_verify", true);
  s->tls.ca_file = text_of(o, "connection.ssl_ca_location", "connection.ssl_ca");
  s->tls.cert_file = text_of(o, "connection.ssl_certificate_location", "connection.ssl_cert");
  s->tls.key_file = text_of(o, "connection.ssl_key_location", "connection.ssl_key");
  s->tls.server_name = text_of(o, "connection.ssl_server_name", "connection.server_name");
  if (s->tls.on && s->unix_path != NULL) {
    return mg_fail(e, MG_ARG, "connection.ssl and connection.unix_socket contradict each other: give one of them");
  }
  return MG_OK;
}

/* Braces would move the hash tag, line ends would break the texts that scripts split. */
static mg_err check_name(const char *key, const char *name, mg_error *e) {
  if (name[0] != '\0' && strlen(name) <= 200 && strpbrk(name, "{}\r\n") == NULL) return MG_OK;
  return mg_fail(e, MG_ARG, "%s must have 1 to 200 bytes and no braces or line ends", key);
}

mg_err mg_redis_settings_init(mg_redis_settings *s, const mg_options *o, mg_error *e) {
  *s = (mg_redis_settings){0};
  mg_err err = read_connection(s, o, e);
  if (err == MG_OK) err = read_tls(s, o, e);
  if (err == MG_OK) err = places(s->sentinels, &s->sentinel_count, o, "connection.sentinels", 26379, e);
  if (err != MG_OK) return err;
  s->sentinel_master = text_of(o, "connection.sentinel_master", NULL);
  s->sentinel_username = text_of(o, "connection.sentinel_username", NULL);
  s->sentinel_password = text_of(o, "connection.sentinel_password", NULL);
  s->cluster = mg_options_bool(o, "connection.cluster", false);
  if (s->sentinel_count > 0 && s->sentinel_master == NULL) {
    return mg_fail(e, MG_ARG, "connection.sentinels needs connection.sentinel_master beside it");
  }
  if (s->cluster && s->db != 0) {
    return mg_fail(e, MG_ARG, "connection.db (%lld) must be 0 with connection.cluster: a Redis cluster has one database", (long long)s->db);
  }
  if (s->cluster && (s->sentinel_count > 0 || s->unix_path != NULL)) {
    return mg_fail(e, MG_ARG, "connection.cluster goes with neither connection.sentinels nor connection.unix_socket");
  }
  s->prefix = mg_options_text(o, "key_prefix", "mguard");
  s->queue = mg_options_text(o, "queue_name", "tasks");
  err = check_name("key_prefix", s->prefix, e);
  if (err == MG_OK) err = check_name("queue_name", s->queue, e);
  if (err != MG_OK) return err;
  int64_t retention_s = mg_options_int(o, "retention_seconds", 7 * 86400);
  if (retention_s < 1 || retention_s > 366 * 86400) {
    return mg_fail(e, MG_ARG, "retention_seconds must be 1 to %d, got %lld", 366 * 86400, (long long)retention_s);
  }
  s->retention_ms = retention_s * 1000;
  double timeout_s = mg_options_real(o, "connection.connect_timeout_seconds", 10);
  s->connect_timeout_ms = timeout_s >= 0.05 && timeout_s <= 3600 ? (mg_ms)(timeout_s * 1000) : 10000;
  return MG_OK;
}
