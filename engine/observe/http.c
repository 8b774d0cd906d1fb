#include "observe/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, IDLE_S = 10, STALE_MS = 60000, BACKLOG = 16, WATCHERS = 16, WATCHER_BYTES = 24 };

typedef struct page {
  const char *path, *type;
  mg_buf body;
} page;

typedef struct watcher {
  char id[WATCHER_BYTES];
  mg_ms asked_ms;
  uint64_t given; /* the newest version that went out to its last byte */
} watcher;

struct mg_http {
  struct MHD_Daemon *daemon;
  int port;
  char *token, *host; /* as configured; NULL: none was */
  mg_http_tls tls; /* borrowed by the daemon while it runs */
  mg_ms stale_ms;
  pthread_mutex_t lock; /* over what follows */
  mg_buf metrics;
  char not_ready[256]; /* "": ready */
  mg_ms published_ms;
  bool serves_pages; /* never changes */
  page pages[MG_HTTP_PAGES];
  int page_count;
  uint64_t version; /* of the pages: rises with each change */
  watcher watchers[WATCHERS];
  int watcher_count;
};

/* ---- answering: the server's thread ---- */

static enum MHD_Result answer(struct MHD_Connection *to, unsigned status, const char *type, const void *text, size_t len, const char *more) {
  struct MHD_Response *r = MHD_create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
  if (r == NULL) return MHD_NO;
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (more != NULL) (void)MHD_add_response_header(r, status == MHD_HTTP_UNAUTHORIZED ? MHD_HTTP_HEADER_WWW_AUTHENTICATE : MHD_HTTP_HEADER_ALLOW, more);
  enum MHD_Result done = MHD_queue_response(to, status, r);
  MHD_destroy_response(r);
  return done;
}

static enum MHD_Result say(struct MHD_Connection *to, unsigned status, const char *text, const char *more) {
  return answer(to, status, "text/plain; charset=utf-8", text, strlen(text), more);
}

static bool is_token(const mg_http *h, const char *given) {
  size_t n = strlen(h->token);
  return strlen(given) == n && CRYPTO_memcmp(given, h->token, n) == 0;
}

/* By a header, or to pages, whose readers click on a link, by ?token= too. */
static bool admitted(const mg_http *h, struct MHD_Connection *from) {
  static const char scheme[] = "Bearer ";
  if (h->token == NULL) return true;
  const char *given = MHD_lookup_connection_value(from, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
  if (given != NULL && strncasecmp(given, scheme, sizeof scheme - 1) == 0 && is_token(h, given + sizeof scheme - 1)) return true;
  given = h->serves_pages ? MHD_lookup_connection_value(from, MHD_GET_ARGUMENT_KIND, "token") : NULL;
  return given != NULL && is_token(h, given);
}

/* A page elsewhere can give its own name this machine's address and then read our answers as its own (DNS rebinding). It cannot do so by an address, nor
 * by localhost; and with a token what it does not know protects the pages. */
static bool is_addressed(const mg_http *h, struct MHD_Connection *from) {
  const char *given = MHD_lookup_connection_value(from, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
  if (h->token != NULL || given == NULL) return true;
  char name[NI_MAXHOST];
  unsigned char address[sizeof(struct in6_addr)];
  bool bracketed = given[0] == '[';
  size_t n = strcspn(given + bracketed, bracketed ? "]" : ":");
  if (n == 0 || n >= sizeof name) return false;
  memcpy(name, given + bracketed, n);
  name[n] = '\0';
  if (inet_pton(bracketed ? AF_INET6 : AF_INET, name, address) == 1) return true;
  return !bracketed && (strcasecmp(name, "localhost") == 0 || (h->host != NULL && strcasecmp(name, h->host) == 0));
}

static enum MHD_Result turn_away(struct MHD_Connection *to, const char *text) { return say(to, MHD_HTTP_UNAUTHORIZED, text, "Bearer realm=\"mguard\""); }

static enum MHD_Result metrics(mg_http *h, struct MHD_Connection *to) {
  if (!admitted(h, to)) return turn_away(to, "a bearer token is needed\n");
  (void)pthread_mutex_lock(&h->lock);
  enum MHD_Result done = answer(to, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", h->metrics.data, h->metrics.len, NULL);
  (void)pthread_mutex_unlock(&h->lock);
  return done;
}

static enum MHD_Result alive(mg_http *h, struct MHD_Connection *to) {
  (void)pthread_mutex_lock(&h->lock);
  mg_ms since = mg_now_ms() - h->published_ms;
  (void)pthread_mutex_unlock(&h->lock);
  if (since <= h->stale_ms) return say(to, MHD_HTTP_OK, "ok\n", NULL);
  char text[96];
  (void)snprintf(text, sizeof text, "the main loop has stood still for %.0f s\n", (double)since / 1000);
  return say(to, MHD_HTTP_SERVICE_UNAVAILABLE, text, NULL);
}

static enum MHD_Result ready(mg_http *h, struct MHD_Connection *to) {
  char text[sizeof h->not_ready + 1];
  (void)pthread_mutex_lock(&h->lock);
  (void)snprintf(text, sizeof text, "%s\n", h->not_ready);
  (void)pthread_mutex_unlock(&h->lock);
  return text[0] == '\n' ? say(to, MHD_HTTP_OK, "ready\n", NULL) : say(to, MHD_HTTP_SERVICE_UNAVAILABLE, text, NULL);
}

/* Nothing from elsewhere is loaded, and no other page can frame it. */
static const char POLICY[] = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
                             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* Where there are too many, the one that was silent for longest makes room. With the lock. */
static int watcher_of(mg_http *h, const char *id) {
  int oldest = 0, i = 0;
  for (; i < h->watcher_count; i++) {
    if (strncmp(h->watchers[i].id, id, WATCHER_BYTES - 1) == 0) break;
    if (h->watchers[i].asked_ms < h->watchers[oldest].asked_ms) oldest = i;
  }
  if (i == h->watcher_count) {
    if (h->watcher_count < WATCHERS)
      h->watcher_count++;
    else
      i = oldest;
    h->watchers[i] = (watcher){0};
    strncpy(h->watchers[i].id, id, WATCHER_BYTES - 1);
  }
  h->watchers[i].asked_ms = mg_now_ms();
  return i;
}

/* *seen then holds who gets which version, as an odd number: on_completed takes note of it once all bytes have gone. */
static enum MHD_Result answer_page(mg_http *h, struct MHD_Connection *to, const char *url, void **seen) {
  if (!is_addressed(h, to))
    return say(to, MHD_HTTP_MISDIRECTED_REQUEST, "ask by an address, localhost or the name of --live-host; with MGUARD_LIVE_TOKEN any name serves\n", NULL);
  if (!admitted(h, to)) return turn_away(to, "a token is needed: take the link that mguard run printed, or say ?token=\n");
  (void)pthread_mutex_lock(&h->lock);
  const page *p = NULL;
  const char *type = NULL;
  for (int i = 0; i < h->page_count && p == NULL; i++) {
    if (strcmp(h->pages[i].path, url) == 0) p = &h->pages[i];
  }
  struct MHD_Response *r = p != NULL ? MHD_create_response_from_buffer(p->body.len, p->body.data, MHD_RESPMEM_MUST_COPY) : NULL;
  if (p != NULL) {
    type = p->type;
    const char *id = MHD_lookup_connection_value(to, MHD_GET_ARGUMENT_KIND, "w");
    int who = watcher_of(h, id != NULL ? id : "");
    *seen = (void *)(uintptr_t)(h->version << 8 | (uint64_t)who << 1 | 1);
  }
  (void)pthread_mutex_unlock(&h->lock);
  if (r == NULL) return p != NULL ? MHD_NO : say(to, MHD_HTTP_NOT_FOUND, "there are /, /state.json, /healthz and /readyz\n", NULL);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  (void)MHD_add_response_header(r, "Content-Security-Policy", POLICY);
  (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
  (void)MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
  enum MHD_Result done = MHD_queue_response(to, MHD_HTTP_OK, r);
  MHD_destroy_response(r);
  return done;
}

static void on_completed(void *owner, struct MHD_Connection *to, void **seen, enum MHD_RequestTerminationCode how) {
  mg_http *h = owner;
  uintptr_t what = (uintptr_t)*seen;
  (void)to;
  if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK || (what & 1) == 0) return;
  (void)pthread_mutex_lock(&h->lock);
  watcher *w = &h->watchers[what >> 1 & 127];
  if (what >> 8 > w->given) w->given = what >> 8;
  (void)pthread_mutex_unlock(&h->lock);
}

static enum MHD_Result handle(void *owner, struct MHD_Connection *to, const char *url, const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **seen) {
  static int64_t begun; /* at an even address */
  mg_http *h = owner;
  (void)version;
  (void)upload;
  if (*seen == NULL) { /* first call: headers alone; answered at the next, so that the connection can be kept */
    *seen = &begun;
    return MHD_YES;
  }
  if (*upload_size > 0) { /* a body nobody asked for */
    *upload_size = 0;
    return MHD_YES;
  }
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
    return say(to, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n", "GET, HEAD");
  }
  if (strcmp(url, "/healthz") == 0) return alive(h, to);
  if (strcmp(url, "/readyz") == 0) return ready(h, to);
  if (h->serves_pages) return answer_page(h, to, url, seen);
  if (strcmp(url, "/metrics") == 0) return metrics(h, to);
  return say(to, MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz and /readyz\n", NULL);
}

/* ---- the loop's thread ---- */

static int port_of(int fd) {
  struct sockaddr_storage a = {0};
  socklen_t len = sizeof a;
  char port[8] = "0";
  if (getsockname(fd, (struct sockaddr *)&a, &len) == 0) (void)getnameinfo((struct sockaddr *)&a, len, NULL, 0, port, sizeof port, NI_NUMERICSERV);
  return (int)strtol(port, NULL, 10);
}

static int listen_on(const struct addrinfo *a, bool both) {
  int one = 1, off = 0, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (both && a->ai_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
  int why = errno;
  (void)close(fd);
  errno = why;
  return -1;
}

static mg_err open_socket(const mg_http_config *c, int *out, mg_error *e) {
  const char *host = c->host == NULL || c->host[0] == '\0' ? "127.0.0.1" : c->host;
  bool every = strcmp(host, "*") == 0;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
  char port[16];
  (void)snprintf(port, sizeof port, "%d", c->port);
  int rc = getaddrinfo(every ? NULL : host, port, &hints, &found);
  const char *what = c->pages ? "live page" : "metrics";
  if (rc != 0) return mg_fail(e, MG_ARG, "%s: the host %s is not known: %s", what, host, gai_strerror(rc));
  int fd = -1, why = EADDRNOTAVAIL;
  for (int pass = 0; pass < 2 && fd < 0; pass++) { /* IPv6 first: on "*" its socket takes IPv4 as well */
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
      if ((a->ai_family == AF_INET6) != (pass == 0)) continue;
      fd = listen_on(a, every);
      if (fd < 0) why = errno;
    }
  }
  freeaddrinfo(found);
  if (fd < 0) return mg_fail_errno(e, MG_ARG, why, "%s: cannot listen on %s, port %d", what, host, c->port);
  *out = fd;
  return MG_OK;
}

static struct MHD_Daemon *start_daemon(mg_http *h, int fd) {
  struct MHD_OptionItem tls[] = {
      {MHD_OPTION_HTTPS_MEM_CERT, 0, h->tls.certificate.data}, {MHD_OPTION_HTTPS_MEM_KEY, 0, h->tls.key.data}, {MHD_OPTION_END, 0, NULL}};
  struct MHD_OptionItem *more = h->tls.wanted ? tls : &tls[2];
  unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | (h->tls.wanted ? (unsigned)MHD_USE_TLS : 0);
  return MHD_start_daemon(flags, 0, NULL, NULL, handle, h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                          MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_ARRAY, more,
                          MHD_OPTION_END);
}

mg_err mg_http_start(mg_http **out, const mg_http_config *config, mg_error *e) {
  *out = NULL;
  int fd = -1;
  mg_http_tls tls = {0};
  mg_err err = mg_http_tls_load(&tls, config, e);
  if (err == MG_OK) err = open_socket(config, &fd, e);
  if (err != MG_OK) {
    mg_http_tls_fini(&tls);
    return err;
  }
  bool guarded = config->token != NULL && config->token[0] != '\0';
  mg_http *h = calloc(1, sizeof *h);
  bool named = config->host != NULL && config->host[0] != '\0';
  if (h != NULL && guarded) h->token = strdup(config->token);
  if (h != NULL && named) h->host = strdup(config->host);
  if (h == NULL || (guarded && h->token == NULL) || (named && h->host == NULL)) {
    if (h != NULL) {
      free(h->token);
      free(h->host);
    }
    free(h);
    (void)close(fd);
    mg_http_tls_fini(&tls);
    return mg_fail(e, MG_NOMEM, "no memory for the metrics' server");
  }
  h->tls = tls;
  (void)pthread_mutex_init(&h->lock, NULL);
  h->port = port_of(fd);
  h->stale_ms = config->stale_ms > 0 ? config->stale_ms : STALE_MS;
  h->published_ms = mg_now_ms();
  h->serves_pages = config->pages;
  (void)snprintf(h->not_ready, sizeof h->not_ready, "starting");
  h->daemon = start_daemon(h, fd);
  if (h->daemon == NULL) {
    (void)close(fd);
    mg_http_stop(h);
    return mg_fail(e, MG_FATAL, "the metrics' server cannot be started%s", tls.wanted ? " with TLS" : "");
  }
  *out = h;
  return MG_OK;
}

int mg_http_port(const mg_http *h) { return h->port; }

bool mg_http_publish(mg_http *h, mg_slice text, const char *not_ready) {
  (void)pthread_mutex_lock(&h->lock);
  bool room = text.len <= h->metrics.len || mg_buf_reserve(&h->metrics, text.len - h->metrics.len);
  if (room) {
    mg_buf_clear(&h->metrics);
    mg_buf_put(&h->metrics, text.data, text.len);
  }
  (void)snprintf(h->not_ready, sizeof h->not_ready, "%s", not_ready != NULL ? not_ready : "");
  h->published_ms = mg_now_ms();
  (void)pthread_mutex_unlock(&h->lock);
  return room;
}

bool mg_http_page(mg_http *h, const char *path, const char *type, mg_slice body) {
  (void)pthread_mutex_lock(&h->lock);
  int i = 0;
  while (i < h->page_count && strcmp(h->pages[i].path, path) != 0) i++;
  bool ok = i < MG_HTTP_PAGES && (body.len <= h->pages[i].body.len || mg_buf_reserve(&h->pages[i].body, body.len - h->pages[i].body.len));
  if (ok) {
    page *p = &h->pages[i];
    if (i == h->page_count) h->page_count++;
    p->path = path;
    p->type = type;
    mg_buf_clear(&p->body);
    mg_buf_put(&p->body, body.data, body.len);
    h->version++;
  }
  h->not_ready[0] = '\0';
  h->published_ms = mg_now_ms();
  (void)pthread_mutex_unlock(&h->lock);
  return ok;
}

bool mg_http_watched(mg_http *h, mg_ms since_ms, bool behind) {
  bool found = false;
  (void)pthread_mutex_lock(&h->lock);
  for (int i = 0; i < h->watcher_count && !found; i++) {
    found = h->watchers[i].asked_ms >= since_ms && (!behind || h->watchers[i].given < h->version);
  }
  (void)pthread_mutex_unlock(&h->lock);
  return found;
}

void mg_http_stop(mg_http *h) {
  if (h == NULL) return;
  if (h->daemon != NULL) MHD_stop_daemon(h->daemon); /* closes the socket too */
  (void)pthread_mutex_destroy(&h->lock);
  mg_buf_fini(&h->metrics);
  mg_http_tls_fini(&h->tls);
  for (int i = 0; i < h->page_count; i++) mg_buf_fini(&h->pages[i].body);
  free(h->token);
  free(h->host);
  free(h);
}
