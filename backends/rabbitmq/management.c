/* The management API, where its address is given: how many messages workers hold, and the nodes' memory, which AMQP does not tell. One GET a connection,
 * HTTP/1.0. */
#include "backends/rabbitmq/parts.h"

#include "base/log.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  HTTP_PORT = 80,
  HTTPS_PORT = 443,
  ANSWER_BYTES = 1 << 20,
  LOGIN_BYTES = 1100,
  FRESH_MS = 2000,
  ANSWER_MS = 2000,
  AFTER_FAULT_MS = 30000,
  SAY_EVERY_MS = 60000
};

/* "http://user:password@host:port/prefix"; the text is cut up. */
typedef struct mg_management_url {
  char *text, *login, *host, *prefix;
  int port;
  bool tls;
} mg_management_url;

static bool cut_up(mg_management_url *u, const char *url) {
  u->text = strdup(url);
  char *rest = u->text == NULL ? NULL : strstr(u->text, "://");
  if (rest == NULL) return false;
  u->tls = strncmp(u->text, "https", 5) == 0;
  u->port = u->tls ? HTTPS_PORT : HTTP_PORT;
  rest += 3;
  u->prefix = strchr(rest, '/');
  if (u->prefix != NULL) *u->prefix++ = '\0';
  char *at = strrchr(rest, '@');
  if (at != NULL) {
    *at = '\0';
    u->login = rest;
    rest = at + 1;
  }
  u->host = rest;
  char *colon = strrchr(rest, ':');
  if (rest[0] == '[') {
    char *end = strchr(rest, ']');
    if (end == NULL) return false;
    *end = '\0';
    u->host = rest + 1;
    colon = end[1] == ':' ? end + 1 : NULL;
  }
  if (colon != NULL) {
    *colon = '\0';
    u->port = atoi(colon + 1);
  }
  return u->host[0] != '\0' && u->port > 0 && u->port < 65536;
}

/* One segment of a path. */
static void put_segment(mg_buf *out, const char *text) {
  for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
    bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-_.", *p) != NULL;
    if (plain)
      mg_buf_put(out, p, 1);
    else
      mg_buf_putf(out, "%%%02X", *p);
  }
}

static void put_request(mg_buf *out, const mg_rabbit *r, const mg_management_url *u, const char *path) {
  char login[LOGIN_BYTES];
  unsigned char coded[LOGIN_BYTES * 4 / 3 + 8];
  int n = u->login != NULL ? snprintf(login, sizeof login, "%s", u->login) : snprintf(login, sizeof login, "%s:%s", r->settings.username, r->settings.password);
  if (n >= (int)sizeof login) n = 0; /* no such login can be right: the broker says so */
  (void)EVP_EncodeBlock(coded, (const unsigned char *)login, n);
  mg_buf_putf(out, "GET /%s%sapi/%s HTTP/1.0\r\nHost: %s\r\nAccept: application/json\r\nAuthorization: Basic %s\r\n\r\n", u->prefix != NULL ? u->prefix : "",
              u->prefix != NULL && u->prefix[0] != '\0' && u->prefix[strlen(u->prefix) - 1] != '/' ? "/" : "", path, u->host, (const char *)coded);
}

static mg_err read_answer(mg_transport *t, mg_buf *in, mg_ms until, mg_error *e) {
  for (size_t got = 0;; in->len += got) {
    if (in->len >= ANSWER_BYTES || !mg_buf_reserve(in, 4096)) return mg_fail(e, MG_NOMEM, "%s answers too much", mg_transport_where(t));
    mg_err err = mg_transport_read(t, in->data + in->len, 4096, &got, until, -1, e);
    if (err == MG_CONN && in->len > 0) return MG_OK; /* the end */
    if (err != MG_OK) return err;
  }
}

static mg_err understand(mg_buf *in, const char *where, json_t **out, mg_error *e) {
  mg_buf_put(in, "", 1);
  if (in->failed) return mg_fail(e, MG_NOMEM, "no memory for an answer");
  const char *text = (const char *)in->data, *body = strstr(text, "\r\n\r\n");
  int status = strncmp(text, "HTTP/1.", 7) == 0 && strlen(text) > 9 ? atoi(text + 9) : 0;
  if (status == 401) return mg_fail(e, MG_FATAL, "%s refuses the login; the user needs the tag \"monitoring\" or \"management\"", where);
  if (status != 200 || body == NULL) return mg_fail(e, MG_FATAL, "%s answers with status %d", where, status);
  *out = json_loads(body + 4, 0, NULL);
  return *out != NULL ? MG_OK : mg_fail(e, MG_FATAL, "%s answers with what is no JSON", where);
}

mg_err mg_rabbit_manage(const mg_rabbit *r, const char *path, mg_ms until, json_t **out, mg_error *e) {
  mg_management_url u = {0};
  mg_transport *t = NULL;
  mg_buf request = {0}, answer = {0};
  mg_err err = cut_up(&u, r->settings.management_url) ? MG_OK : mg_fail(e, MG_ARG, "management_url is no http(s)://host:port");
  if (err != MG_OK) goto out;
  mg_endpoint at = {.service = "management", .host = u.host, .port = u.port, .tls = r->settings.tls};
  at.tls.on = u.tls;
  at.tls.server_name = NULL;
  put_request(&request, r, &u, path);
  err = mg_transport_open(&t, &at, until, e);
  if (err == MG_OK) err = mg_transport_write(t, request.data, request.len, until, e);
  if (err == MG_OK) err = read_answer(t, &answer, until, e);
  if (err == MG_OK) err = understand(&answer, mg_transport_where(t), out, e);
out:
  mg_transport_close(t);
  mg_buf_fini(&request);
  mg_buf_fini(&answer);
  free(u.text);
  return err;
}

/* The answer, or NULL, where nobody is asked again for a while: whoever waits for what does not answer serves no queue meanwhile. */
static json_t *ask(mg_rabbit *r, const char *path, mg_ms until) {
  static mg_log_limit said;
  mg_ms now = mg_now_ms();
  mg_error e = {0};
  json_t *j = NULL;
  if (now < r->manage_after_ms) return NULL;
  if (mg_rabbit_manage(r, path, until < now + ANSWER_MS ? until : now + ANSWER_MS, &j, &e) == MG_OK) return j;
  r->manage_after_ms = mg_now_ms() + AFTER_FAULT_MS;
  mg_log_rarely(&said, SAY_EVERY_MS, MG_LOG_WARN, "broker_notice", MG_FIELDS(MG_LT("queue_name", r->settings.queue)),
                "tasks held by workers are not counted, and the broker's memory is not known: %s", e.text);
  return NULL;
}

void mg_rabbit_put_queue_path(mg_buf *out, const mg_rabbit *r, const char *queue) {
  mg_buf_puts(out, "queues/");
  put_segment(out, r->settings.virtual_host);
  mg_buf_puts(out, "/");
  put_segment(out, queue);
}

/* The broker's own numbers are some seconds old: asking oftener tells nothing. Where it fails, depth is what it is without. */
int64_t mg_rabbit_in_flight(mg_rabbit *r) {
  mg_ms now = mg_now_ms();
  if (r->settings.management_url == NULL) return -1;
  if (r->managed_ms != 0 && now - r->managed_ms < FRESH_MS) return r->in_flight;
  r->managed_ms = now;
  mg_buf path = {0};
  mg_rabbit_put_queue_path(&path, r, r->settings.queue);
  mg_buf_puts(&path, "?columns=messages_unacknowledged");
  mg_buf_put(&path, "", 1);
  json_t *j = path.failed ? NULL : ask(r, (const char *)path.data, now + ANSWER_MS), *n = json_object_get(j, "messages_unacknowledged");
  r->in_flight = json_is_integer(n) ? json_integer_value(n) : -1; /* a queue is some seconds old before the broker knows */
  json_decref(j);
  mg_buf_fini(&path);
  return r->in_flight;
}

static int64_t whole(const json_t *o, const char *key) {
  const json_t *n = json_object_get(o, key);
  return json_is_integer(n) ? json_integer_value(n) : -1;
}

/* Of all nodes of the cluster; one that is down tells no memory. Workers do not ask: there may be hundreds, and a run's answer is theirs too. */
mg_err mg_rabbit_stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  (void)e;
  if (r->settings.management_url == NULL || r->run == NULL) return MG_OK;
  json_t *list = ask(r, "nodes?columns=name,mem_used,mem_limit", until);
  for (size_t i = 0; i < json_array_size(list) && out->node_count < MG_STATS_NODES; i++) {
    const json_t *node = json_array_get(list, i);
    const char *name = json_string_value(json_object_get(node, "name"));
    if (name == NULL || name[0] == '\0') continue;
    mg_node_stats *n = &out->nodes[out->node_count++];
    (void)snprintf(n->name, sizeof n->name, "%s", name);
    n->memory_bytes = whole(node, "mem_used");
    n->memory_limit_bytes = whole(node, "mem_limit");
  }
  json_decref(list);
  return MG_OK;
}
