#include "backends/rabbitmq/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN_PORT = 5672, TLS_PORT = 5671 };

/* "host", "host:port", "[address]:port". */
static bool parse_place(mg_rabbit_place *p, const char *text, size_t len, int port) {
  const char *host = text, *end = text + len, *rest;
  if (len > 0 && text[0] == '[') {
    host++;
    rest = memchr(host, ']', (size_t)(end - host));
    if (rest == NULL) return false;
  } else {
    rest = memchr(text, ':', len);
    if (rest == NULL) rest = end;
  }
  size_t host_len = (size_t)(rest - host);
  if (host_len == 0 || host_len >= sizeof p->host) return false;
  if (rest < end && *rest == ']') rest++;
  if (rest < end) {
    if (*rest != ':' || end - rest < 2 || end - rest > 6) return false;
    port = 0;
    for (const char *d = rest + 1; d < end; d++) {
      if (*d < '0' || *d > '9') return false;
      port = port * 10 + (*d - '0');
    }
  }
  if (port < 1 || port > 65535) return false;
  memcpy(p->host, host, host_len);
  p->host[host_len] = '\0';
  p->port = port;
  return true;
}

static mg_err add_places(mg_rabbit_settings *s, const char *key, const char *list, int port, mg_error *e) {
  for (const char *at = list;; at++) {
    at += strspn(at, " ");
    size_t len = strcspn(at, ","), used = len;
    while (used > 0 && at[used - 1] == ' ') used--;
    if (s->host_count == MG_RABBIT_HOSTS) return mg_fail(e, MG_ARG, "%s names more than %d hosts", key, MG_RABBIT_HOSTS);
    if (!parse_place(&s->hosts[s->host_count], at, used, port)) {
      return mg_fail(e, MG_ARG, "%s must name hosts as host:port, \"%.*s\" is none", key, (int)used, at);
    }
    s->host_count++;
    at += len;
    if (*at == '\0') return MG_OK;
  }
}

static const char *text_of(const mg_options *o, const char *key) {
  const char *text = mg_options_text(o, key, NULL);
  return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool percent_decode(char *text) {
  char *to = text;
  for (const char *p = text; *p != '\0'; p++) {
    if (*p != '%') {
      *to++ = *p;
      continue;
    }
    char hex[3] = {p[1], p[1] != '\0' ? p[2] : '\0', '\0'}, *end;
    long byte = strtol(hex, &end, 16);
    if (end != hex + 2 || byte == 0) return false;
    *to++ = (char)byte;
    p += 2;
  }
  *to = '\0';
  return true;
}

/* amqp://user:password@host:port,host:port/vhost. The text may hold a password: it is never shown. */
static mg_err read_url(mg_rabbit_settings *s, const char *url, mg_error *e) {
  static const char shape[] = "url must look like amqp://user:password@host:5672/vhost or amqps://...";
  s->url = strdup(url);
  if (s->url == NULL) return mg_fail(e, MG_NOMEM, "no memory for the settings");
  char *rest = strstr(s->url, "://");
  if (rest == NULL) return mg_fail(e, MG_ARG, "%s", shape);
  *rest = '\0';
  rest += 3;
  s->tls.on = strcmp(s->url, "amqps") == 0;
  if (!s->tls.on && strcmp(s->url, "amqp") != 0) return mg_fail(e, MG_ARG, "%s", shape);
  char *query = strchr(rest, '?');
  if (query != NULL) *query = '\0';
  char *slash = strchr(rest, '/');
  if (slash != NULL) *slash = '\0';
  char *at = strrchr(rest, '@');
  if (at != NULL) {
    *at = '\0';
    char *password = strchr(rest, ':');
    if (password != NULL) {
      *password++ = '\0';
      s->password = password;
      if (!percent_decode(password)) return mg_fail(e, MG_ARG, "%s (a %% in the password is written %%25)", shape);
    }
    if (!percent_decode(rest)) return mg_fail(e, MG_ARG, "%s", shape);
    if (rest[0] != '\0') s->username = rest;
    rest = at + 1;
  }
  if (slash != NULL && slash[1] != '\0') { /* "amqp://host/" means the default virtual host, by custom */
    if (!percent_decode(slash + 1)) return mg_fail(e, MG_ARG, "%s (the virtual host \"/\" is written %%2F)", shape);
    s->virtual_host = slash + 1;
  }
  mg_error ignored;
  if (add_places(s, "url", rest, s->tls.on ? TLS_PORT : PLAIN_PORT, &ignored) != MG_OK) return mg_fail(e, MG_ARG, "%s", shape);
  return MG_OK;
}

static mg_err read_connection(mg_rabbit_settings *s, const mg_options *o, mg_error *e) {
  s->tls.on = mg_options_bool(o, "connection.ssl", false);
  int port_otherwise = s->tls.on ? TLS_PORT : PLAIN_PORT;
  s->username = text_of(o, "connection.username");
  s->password = mg_options_text(o, "connection.password", NULL);
  s->virtual_host = text_of(o, "connection.virtual_host");
  const char *list = text_of(o, "connection.hosts");
  if (list != NULL) return add_places(s, "connection.hosts", list, port_otherwise, e);
  for (int i = 1;; i++) {
    char key[40];
    (void)snprintf(key, sizeof key, "connection.hosts.%d", i);
    const char *one = text_of(o, key);
    if (one == NULL) break;
    mg_err err = add_places(s, key, one, port_otherwise, e);
    if (err != MG_OK) return err;
  }
  if (s->host_count > 0) return MG_OK;
  const char *host = text_of(o, "connection.host");
  int64_t port = mg_options_int(o, "connection.port", port_otherwise);
  if (host == NULL) host = "localhost";
  if (strlen(host) >= MG_RABBIT_HOST_BYTES) return mg_fail(e, MG_ARG, "connection.host is longer than a host name can be");
  if (port < 1 || port > 65535) return mg_fail(e, MG_ARG, "connection.port must be 1 to 65535, got %lld", (long long)port);
  (void)snprintf(s->hosts[0].host, MG_RABBIT_HOST_BYTES, "%s", host);
  s->hosts[0].port = (int)port;
  s->host_count = 1;
  return MG_OK;
}

/* Short strings of AMQP hold 255 bytes, and the results queue adds ".results." and a run's name. */
static mg_err check_name(const char *key, const char *name, size_t most, mg_error *e) {
  if (name[0] != '\0' && strlen(name) <= most && strpbrk(name, "\r\n") == NULL) {
    if (strncmp(name, "amq.", 4) != 0) return MG_OK;
    return mg_fail(e, MG_ARG, "%s must not begin with \"amq.\": RabbitMQ keeps these names for itself", key);
  }
  return mg_fail(e, MG_ARG, "%s must have 1 to %zu bytes and no line ends", key, most);
}

mg_err mg_rabbit_settings_init(mg_rabbit_settings *s, const mg_options *o, mg_error *e) {
  *s = (mg_rabbit_settings){0};
  const char *url = text_of(o, "url");
  mg_err err = url != NULL ? read_url(s, url, e) : read_connection(s, o, e);
  if (err != MG_OK) return err;
  if (s->username == NULL) s->username = "guest";
  if (s->password == NULL) s->password = strcmp(s->username, "guest") == 0 ? "guest" : "";
  if (s->virtual_host == NULL) s->virtual_host = "/";
  if (strlen(s->virtual_host) > 255) return mg_fail(e, MG_ARG, "connection.virtual_host must have at most 255 bytes");
  s->tls.trust_any = !mg_options_bool(o, "connection.ssl_verify", true);
  s->tls.ca_file = text_of(o, "connection.ssl_ca_location");
  s->tls.cert_file = text_of(o, "connection.ssl_certificate_location");
  s->tls.key_file = text_of(o, "connection.ssl_key_location");
  s->tls.server_name = text_of(o, "connection.ssl_server_name");
  s->queue = mg_options_text(o, "queue_name", "mguard_tasks");
  err = check_name("queue_name", s->queue, 200, e);
  if (err != MG_OK) return err;
  s->exchange = mg_options_text(o, "exchange", "");
  if (strlen(s->exchange) > 255) return mg_fail(e, MG_ARG, "exchange must have at most 255 bytes");
  s->routing_key = text_of(o, "routing_key");
  if (s->routing_key == NULL) s->routing_key = s->queue;
  if (strlen(s->routing_key) > 255) return mg_fail(e, MG_ARG, "routing_key must have at most 255 bytes");
  if (s->exchange[0] == '\0' && strcmp(s->routing_key, s->queue) != 0) {
    return mg_fail(e, MG_ARG, "routing_key (\"%s\") needs an exchange beside it: the default exchange routes by queue_name (\"%s\") alone", s->routing_key,
                   s->queue);
  }
  s->durable = mg_options_bool(o, "durable", true);
  int64_t prefetch = mg_options_int(o, "prefetch_count", 10);
  if (prefetch < 1 || prefetch > 65535) return mg_fail(e, MG_ARG, "prefetch_count must be 1 to 65535, got %lld", (long long)prefetch);
  s->prefetch = (uint16_t)prefetch;
  int64_t retention_s = mg_options_int(o, "retention_seconds", 7 * 86400);
  if (retention_s < 1 || retention_s > 366 * 86400) {
    return mg_fail(e, MG_ARG, "retention_seconds must be 1 to %d, got %lld", 366 * 86400, (long long)retention_s);
  }
  s->retention_ms = retention_s * 1000;
  s->management_url = text_of(o, "management_url");
  s->consumer_timeout_s = mg_options_real(o, "consumer_timeout_seconds", 1800);
  double timeout_s = mg_options_real(o, "connection.connect_timeout_seconds", 10);
  s->connect_timeout_ms = timeout_s >= 0.05 && timeout_s <= 3600 ? (mg_ms)(timeout_s * 1000) : 10000;
  return MG_OK;
}

void mg_rabbit_settings_fini(mg_rabbit_settings *s) {
  free(s->url);
  s->url = NULL;
}
