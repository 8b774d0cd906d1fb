#include "backends/sqs/http.h"

#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECT_MS = 5000, WAIT_MS = 1000, REPLY_MAX = 32 << 20, IDLE_MAX = 32 };

typedef struct exchange {
  mg_sqs_exchange face; /* first */
  CURL *easy;
  struct curl_slist *list;
  struct exchange *next; /* of all */
  char error[CURL_ERROR_SIZE];
  bool used, running;
} exchange;

struct mg_sqs_http {
  CURLM *multi;
  exchange *all;
};

static void begin_curl(void) { (void)curl_global_init(CURL_GLOBAL_DEFAULT); }

mg_sqs_http *mg_sqs_http_new(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, begin_curl);
  mg_sqs_http *h = calloc(1, sizeof *h);
  if (h == NULL) return NULL;
  h->multi = curl_multi_init();
  if (h->multi == NULL) {
    free(h);
    return NULL;
  }
  (void)curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
  (void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX);
  return h;
}

static void stop(mg_sqs_http *h, exchange *x) {
  if (x->running) (void)curl_multi_remove_handle(h->multi, x->easy);
  x->running = false;
  curl_slist_free_all(x->list);
  x->list = NULL;
}

void mg_sqs_http_free(mg_sqs_http *h) {
  if (h == NULL) return;
  while (h->all != NULL) {
    exchange *x = h->all;
    h->all = x->next;
    stop(h, x);
    curl_easy_cleanup(x->easy);
    mg_buf_fini(&x->face.body);
    mg_buf_fini(&x->face.reply);
    free(x);
  }
  (void)curl_multi_cleanup(h->multi);
  free(h);
}

mg_sqs_exchange *mg_sqs_exchange_new(mg_sqs_http *h) {
  exchange *x = h->all;
  while (x != NULL && x->used) x = x->next;
  if (x == NULL) {
    x = calloc(1, sizeof *x);
    if (x == NULL) return NULL;
    x->easy = curl_easy_init();
    if (x->easy == NULL) {
      free(x);
      return NULL;
    }
    x->next = h->all;
    h->all = x;
  }
  x->used = true;
  mg_buf_clear(&x->face.body);
  return &x->face;
}

void mg_sqs_exchange_end(mg_sqs_http *h, mg_sqs_exchange *face) {
  if (face == NULL) return;
  exchange *x = (exchange *)(void *)face;
  stop(h, x);
  x->used = false;
}

static size_t on_body(char *data, size_t size, size_t count, void *owner) {
  exchange *x = owner;
  if (x->face.reply.len + size * count > REPLY_MAX) return 0;
  mg_buf_put(&x->face.reply, data, size * count);
  return x->face.reply.failed ? 0 : size * count;
}

/* Keeps the headers that somebody looks at. */
static size_t on_header(char *data, size_t size, size_t count, void *owner) {
  exchange *x = owner;
  size_t len = size * count, used = strlen(x->face.headers);
  static const char *const kept[] = {"date:", "retry-after:", "x-amzn-requestid:"};
  if (len >= 5 && strncmp(data, "HTTP/", 5) == 0) x->face.headers[0] = '\0'; /* of an answer before this one: 100, a proxy's */
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
    if (len < strlen(kept[i]) || strncasecmp(data, kept[i], strlen(kept[i])) != 0) continue;
    while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n')) len--;
    if (used + len + 2 > sizeof x->face.headers) continue;
    memcpy(x->face.headers + used, data, len);
    memcpy(x->face.headers + used + len, "\n", 2);
    if (i == 0) {
      char date[64];
      (void)snprintf(date, sizeof date, "%.*s", (int)(len - 5), data + 5);
      time_t at = curl_getdate(date, NULL);
      x->face.server_ms = at > 0 ? (int64_t)at * 1000 : 0;
    }
  }
  return size * count;
}

static bool set_method(exchange *x, const mg_sqs_request *r) {
  CURL *c = x->easy;
  if (strcmp(r->method, "GET") == 0) return curl_easy_setopt(c, CURLOPT_HTTPGET, 1L) == CURLE_OK;
  bool ok = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->face.body.len) == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_POSTFIELDS, x->face.body.len > 0 ? (char *)x->face.body.data : "") == CURLE_OK;
  return ok && (strcmp(r->method, "POST") == 0 || curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method) == CURLE_OK);
}

static bool set_options(exchange *x, const mg_sqs_request *r) {
  CURL *c = x->easy;
  const char *bundle = getenv("AWS_CA_BUNDLE");
  bool ok = curl_easy_setopt(c, CURLOPT_URL, r->url) == CURLE_OK && set_method(x, r);
  ok = ok && curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->list) == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_WRITEDATA, x) == CURLE_OK && curl_easy_setopt(c, CURLOPT_HEADERDATA, x) == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK && curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_PRIVATE, x) == CURLE_OK && curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->error) == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK && curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK;
  ok = ok && curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(r->timeout_ms < 1 ? 1 : r->timeout_ms)) == CURLE_OK;
  /* For bodies above 1 MiB; servers that do not know it cost no more than this. */
  ok = ok && curl_easy_setopt(c, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L) == CURLE_OK;
  (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS); /* fails where curl was built without HTTP/2 */
  if (bundle != NULL && bundle[0] != '\0') ok = ok && curl_easy_setopt(c, CURLOPT_CAINFO, bundle) == CURLE_OK;
  return ok && (!r->direct || curl_easy_setopt(c, CURLOPT_NOPROXY, "*") == CURLE_OK);
}

static bool add_header(exchange *x, const char *line) {
  struct curl_slist *longer = curl_slist_append(x->list, line);
  if (longer != NULL) x->list = longer;
  return longer != NULL;
}

static mg_err add_headers(exchange *x, const mg_sqs_request *r, mg_error *e) {
  mg_buf lines = {0};
  mg_err err = MG_OK;
  if (r->service != NULL) {
    mg_sqs_signing s = {r->method, r->url, r->service, r->region, r->content_type, r->target, r->keys, mg_wall_ms() + r->skew_ms, mg_buf_slice(&x->face.body)};
    err = mg_sqs_sign(&s, &lines, e);
  } else if (r->content_type != NULL) {
    mg_buf_putf(&lines, "Content-Type: %s", r->content_type);
    mg_buf_put(&lines, "", 1);
  }
  bool ok = !lines.failed && (r->header == NULL || add_header(x, r->header));
  for (const char *at = (const char *)lines.data; ok && err == MG_OK && at < (const char *)lines.data + lines.len; at += strlen(at) + 1) ok = add_header(x, at);
  if (lines.data != NULL) explicit_bzero(lines.data, lines.cap);
  mg_buf_fini(&lines);
  return err != MG_OK || ok ? err : mg_fail(e, MG_NOMEM, "no memory for a request");
}

mg_err mg_sqs_exchange_start(mg_sqs_http *h, mg_sqs_exchange *face, const mg_sqs_request *r, mg_error *e) {
  exchange *x = (exchange *)(void *)face;
  stop(h, x);
  mg_buf_clear(&face->reply);
  face->done = face->timed_out = false;
  face->status = 0;
  face->server_ms = 0;
  face->fault[0] = face->headers[0] = x->error[0] = '\0';
  if (face->body.failed) return mg_fail(e, MG_NOMEM, "no memory for a request");
  curl_easy_reset(x->easy);
  mg_err err = add_headers(x, r, e);
  if (err != MG_OK) return err;
  if (!set_options(x, r) || curl_multi_add_handle(h->multi, x->easy) != CURLM_OK) return mg_fail(e, MG_NOMEM, "libcurl takes no request for %s", r->url);
  x->running = true;
  return MG_OK;
}

static bool collect(mg_sqs_http *h) {
  bool any = false;
  int left;
  for (CURLMsg *m = curl_multi_info_read(h->multi, &left); m != NULL; m = curl_multi_info_read(h->multi, &left)) {
    if (m->msg != CURLMSG_DONE) continue;
    char *owner = NULL;
    CURLcode code = m->data.result;
    (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &owner);
    exchange *x = (exchange *)(void *)owner;
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->face.status);
    stop(h, x);
    x->face.done = any = true;
    x->face.done_ms = mg_now_ms();
    if (code == CURLE_OK) continue;
    x->face.status = 0;
    x->face.timed_out = code == CURLE_OPERATION_TIMEDOUT;
    (void)snprintf(x->face.fault, sizeof x->face.fault, "%s", x->error[0] != '\0' ? x->error : curl_easy_strerror(code));
  }
  return any;
}

mg_err mg_sqs_http_wait(mg_sqs_http *h, mg_ms until, int wake_fd) {
  for (;;) {
    int running, events;
    (void)curl_multi_perform(h->multi, &running);
    if (collect(h)) return MG_OK;
    struct pollfd woken = {.fd = wake_fd, .events = POLLIN};
    if (wake_fd >= 0 && poll(&woken, 1, 0) > 0) return MG_AGAIN;
    mg_ms now = mg_now_ms();
    if (now >= until) return MG_TIMEOUT;
    struct curl_waitfd wake = {.fd = wake_fd, .events = CURL_WAIT_POLLIN};
    (void)curl_multi_poll(h->multi, &wake, wake_fd >= 0 ? 1 : 0, until - now < WAIT_MS ? (int)(until - now) : WAIT_MS, &events);
  }
}

mg_err mg_sqs_http_ask(mg_sqs_http *h, mg_sqs_exchange *x, const mg_sqs_request *r, mg_ms until, mg_error *e) {
  mg_err err = mg_sqs_exchange_start(h, x, r, e);
  while (err == MG_OK && !x->done) {
    if (mg_sqs_http_wait(h, until, -1) != MG_TIMEOUT || x->done) continue;
    return mg_fail(e, MG_CONN, "%s does not answer in time", r->url);
  }
  if (err == MG_OK && x->status == 0) return mg_fail(e, MG_CONN, "%s does not answer: %s", r->url, x->fault);
  return err;
}
