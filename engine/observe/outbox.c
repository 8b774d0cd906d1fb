#include "observe/outbox.h"

#include "base/hash.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { PAUSE_MOST_MS = 30000, CONNECT_MOST_MS = 10000, POLL_MS = 1000 };

typedef struct post {
  struct post *next;
  mg_buf body;
  struct curl_slist *headers; /* of this post alone; NULL: those of all */
  int tried;
} post;

struct mg_outbox {
  pthread_t thread;
  pthread_mutex_t lock; /* over what stands up to `stopping` */
  pthread_cond_t changed;
  post *first, **last;
  size_t waiting;
  mg_outbox_counts counts;
  mg_ms until; /* stopping: when what is under way is broken off */
  bool stopping;
  size_t posts_max;
  int tries;
  mg_ms pause_ms;
  struct curl_slist *headers;
  CURL *easy; /* the thread's, from its start on */
  CURLM *multi;
};

static void free_post(post *p) {
  mg_buf_fini(&p->body);
  curl_slist_free_all(p->headers);
  free(p);
}

/* ---- the thread ---- */

static size_t ignore(char *data, size_t size, size_t count, void *owner) {
  (void)data;
  (void)owner;
  return size * count;
}

static mg_ms end_of(mg_outbox *o) {
  (void)pthread_mutex_lock(&o->lock);
  mg_ms until = o->stopping ? o->until : MG_NEVER;
  (void)pthread_mutex_unlock(&o->lock);
  return until;
}

typedef enum verdict { DELIVERED, AGAIN, REFUSED, BROKEN_OFF } verdict;

/* Drives the transfer that was added to multi; false: its time was over first. */
static bool drive(mg_outbox *o, CURLcode *code) {
  int running = 1;
  for (;;) {
    if (curl_multi_perform(o->multi, &running) != CURLM_OK) {
      *code = CURLE_OUT_OF_MEMORY;
      return true;
    }
    if (running == 0) break;
    mg_ms now = mg_now_ms(), end = end_of(o);
    if (now >= end) return false;
    int wait = end - now < POLL_MS ? (int)(end - now) : POLL_MS;
    (void)curl_multi_poll(o->multi, NULL, 0, wait, NULL); /* mg_outbox_stop wakes it */
  }
  int left;
  CURLMsg *m = curl_multi_info_read(o->multi, &left);
  *code = m != NULL && m->msg == CURLMSG_DONE ? m->data.result : CURLE_OUT_OF_MEMORY;
  return true;
}

static verdict try_once(mg_outbox *o, const post *p, char *error, size_t size, mg_ms *patience_ms) {
  char detail[CURL_ERROR_SIZE] = "";
  CURLcode code = CURLE_OUT_OF_MEMORY;
  verdict v = AGAIN;
  *patience_ms = 0;
  (void)curl_easy_setopt(o->easy, CURLOPT_ERRORBUFFER, detail);
  (void)curl_easy_setopt(o->easy, CURLOPT_HTTPHEADER, p->headers != NULL ? p->headers : o->headers);
  (void)curl_easy_setopt(o->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len);
  (void)curl_easy_setopt(o->easy, CURLOPT_POSTFIELDS, p->body.data != NULL ? (const char *)p->body.data : "");
  if (curl_multi_add_handle(o->multi, o->easy) != CURLM_OK) {
    (void)snprintf(error, size, "memory ended");
  } else if (!drive(o, &code)) {
    (void)snprintf(error, size, "there was no more time");
    v = BROKEN_OFF;
  } else if (code != CURLE_OK) {
    (void)snprintf(error, size, "%s", detail[0] != '\0' ? detail : curl_easy_strerror(code));
  } else {
    long status = 0;
    curl_off_t seconds = 0;
    (void)curl_easy_getinfo(o->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(o->easy, CURLINFO_RETRY_AFTER, &seconds);
    v = status >= 200 && status < 300 ? DELIVERED : status == 408 || status == 425 || status == 429 || status >= 500 ? AGAIN : REFUSED;
    if (v != DELIVERED) (void)snprintf(error, size, "it answered %ld", status);
    if (seconds > 0) *patience_ms = seconds < PAUSE_MOST_MS / 1000 ? (mg_ms)seconds * 1000 : PAUSE_MOST_MS;
  }
  (void)curl_multi_remove_handle(o->multi, o->easy);
  (void)curl_easy_setopt(o->easy, CURLOPT_ERRORBUFFER, NULL);
  (void)curl_easy_setopt(o->easy, CURLOPT_HTTPHEADER, NULL);
  return v;
}

/* Waits with the lock held; true where the time came, false where stopping cut it short. */
static bool pause_for(mg_outbox *o, mg_ms ms) {
  mg_ms due = mg_now_ms() + ms;
  for (;;) {
    mg_ms now = mg_now_ms(), end = o->stopping && o->until < due ? o->until : due;
    if (now >= end) return now >= due;
    struct timespec t = {.tv_sec = end / 1000, .tv_nsec = (long)(end % 1000) * 1000000};
    (void)pthread_cond_timedwait(&o->changed, &o->lock, &t);
  }
}

static mg_ms pause_after(const mg_outbox *o, int tried) {
  mg_ms ms = o->pause_ms;
  for (int i = 1; i < tried && ms < PAUSE_MOST_MS; i++) ms *= 2;
  if (ms > PAUSE_MOST_MS) ms = PAUSE_MOST_MS;
  return ms * 3 / 4 + (mg_ms)(mg_random64() % (uint64_t)(ms / 2 + 1)); /* many senders do not come back together */
}

static void *run(void *owner) {
  mg_outbox *o = owner;
  (void)pthread_mutex_lock(&o->lock);
  for (;;) {
    while (o->first == NULL && !o->stopping) (void)pthread_cond_wait(&o->changed, &o->lock);
    post *p = o->first;
    if (p == NULL) break;
    bool over = o->stopping && mg_now_ms() >= o->until;
    char error[256] = "there was no more time";
    mg_ms patience_ms = 0;
    verdict v = BROKEN_OFF;
    if (!over) {
      (void)pthread_mutex_unlock(&o->lock); /* p stays the first: only this thread takes away */
      v = try_once(o, p, error, sizeof error, &patience_ms);
      (void)pthread_mutex_lock(&o->lock);
      p->tried++;
      if (v != DELIVERED) memcpy(o->counts.last_error, error, sizeof error);
      mg_ms pause = pause_after(o, p->tried);
      if (v == AGAIN && p->tried < o->tries && pause_for(o, patience_ms > pause ? patience_ms : pause)) continue;
    }
    if (o->counts.last_error[0] == '\0' && v != DELIVERED) memcpy(o->counts.last_error, error, sizeof error);
    o->counts.delivered += v == DELIVERED;
    o->counts.failed += v != DELIVERED;
    o->first = p->next;
    if (o->first == NULL) o->last = &o->first;
    o->waiting--;
    free_post(p);
  }
  (void)pthread_mutex_unlock(&o->lock);
  return NULL;
}

/* ---- the owner ---- */

static bool add_header(struct curl_slist **list, const char *text) {
  struct curl_slist *more = curl_slist_append(*list, text);
  if (more != NULL) *list = more;
  return more != NULL;
}

static mg_err prepare(mg_outbox *o, const mg_outbox_config *c, mg_error *e) {
  bool ok = true;
  for (const char *const *h = c->headers; h != NULL && *h != NULL && ok; h++) ok = add_header(&o->headers, *h);
  o->easy = curl_easy_init();
  o->multi = curl_multi_init();
  if (!ok || o->easy == NULL || o->multi == NULL) return mg_fail(e, MG_NOMEM, "no memory for posting to %s", c->url);
  (void)curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L);
  (void)curl_easy_setopt(o->easy, CURLOPT_POST, 1L);
  (void)curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, ignore);
  (void)curl_easy_setopt(o->easy, CURLOPT_TIMEOUT_MS, (long)c->try_ms);
  (void)curl_easy_setopt(o->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->try_ms < CONNECT_MOST_MS ? c->try_ms : CONNECT_MOST_MS));
  (void)curl_easy_setopt(o->easy, CURLOPT_USERAGENT, "mguard/" MG_VERSION);
#if LIBCURL_VERSION_NUM >= 0x075500
  (void)curl_easy_setopt(o->easy, CURLOPT_PROTOCOLS_STR, "http,https");
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  (void)curl_easy_setopt(o->easy, CURLOPT_QUICK_EXIT, 1L); /* a name that is being looked up holds up nobody's end */
#endif
  if (c->ca_file != NULL) (void)curl_easy_setopt(o->easy, CURLOPT_CAINFO, c->ca_file);
  if (c->client_certificate != NULL) (void)curl_easy_setopt(o->easy, CURLOPT_SSLCERT, c->client_certificate);
  if (c->client_key != NULL) (void)curl_easy_setopt(o->easy, CURLOPT_SSLKEY, c->client_key);
  return curl_easy_setopt(o->easy, CURLOPT_URL, c->url) == CURLE_OK ? MG_OK : mg_fail(e, MG_NOMEM, "no memory for posting to %s", c->url);
}

static mg_err check_url(const char *url, mg_error *e) {
  CURLU *u = curl_url();
  char *scheme = NULL, *host = NULL;
  bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
            curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
  curl_free(scheme);
  curl_free(host);
  curl_url_cleanup(u);
  return ok ? MG_OK : mg_fail(e, MG_ARG, "\"%s\" is no http:// or https:// URL", url);
}

static void free_all(mg_outbox *o) {
  while (o->first != NULL) {
    post *next = o->first->next;
    free_post(o->first);
    o->first = next;
  }
  if (o->easy != NULL) curl_easy_cleanup(o->easy);
  if (o->multi != NULL) (void)curl_multi_cleanup(o->multi);
  curl_slist_free_all(o->headers);
  (void)pthread_cond_destroy(&o->changed);
  (void)pthread_mutex_destroy(&o->lock);
  free(o);
}

mg_err mg_outbox_start(mg_outbox **out, const mg_outbox_config *config, mg_error *e) {
  *out = NULL;
  mg_err err = check_url(config->url, e);
  if (err != MG_OK) return err;
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return mg_fail(e, MG_FATAL, "libcurl cannot be started");
  mg_outbox *o = calloc(1, sizeof *o);
  if (o == NULL) return mg_fail(e, MG_NOMEM, "no memory for posting to %s", config->url);
  pthread_condattr_t monotonic;
  (void)pthread_condattr_init(&monotonic);
  (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&o->changed, &monotonic);
  (void)pthread_condattr_destroy(&monotonic);
  (void)pthread_mutex_init(&o->lock, NULL);
  o->last = &o->first;
  o->posts_max = config->posts_max;
  o->tries = config->tries;
  o->pause_ms = config->pause_ms;
  err = prepare(o, config, e);
  if (err == MG_OK && pthread_create(&o->thread, NULL, run, o) != 0) err = mg_fail(e, MG_NOMEM, "no thread for posting to %s", config->url);
  if (err == MG_OK)
    *out = o;
  else
    free_all(o);
  return err;
}

bool mg_outbox_put(mg_outbox *o, mg_buf *body, const char *const *headers) {
  post *p = calloc(1, sizeof *p);
  struct curl_slist *own = NULL;
  bool ok = p != NULL && !body->failed;
  for (const struct curl_slist *h = headers != NULL ? o->headers : NULL; h != NULL && ok; h = h->next) ok = add_header(&own, h->data);
  for (; headers != NULL && *headers != NULL && ok; headers++) ok = add_header(&own, *headers);
  (void)pthread_mutex_lock(&o->lock);
  ok = ok && !o->stopping && o->waiting < o->posts_max;
  if (ok) {
    *p = (post){.body = *body, .headers = own};
    *o->last = p;
    o->last = &p->next;
    o->waiting++;
    (void)pthread_cond_signal(&o->changed);
  } else {
    o->counts.dropped++;
  }
  (void)pthread_mutex_unlock(&o->lock);
  if (ok) {
    *body = (mg_buf){0};
  } else {
    curl_slist_free_all(own);
    free(p);
    mg_buf_fini(body);
  }
  return ok;
}

void mg_outbox_read(mg_outbox *o, mg_outbox_counts *out) {
  (void)pthread_mutex_lock(&o->lock);
  *out = o->counts;
  (void)pthread_mutex_unlock(&o->lock);
}

void mg_outbox_stop(mg_outbox *o, mg_ms until, mg_outbox_counts *counts) {
  if (o == NULL) return;
  (void)pthread_mutex_lock(&o->lock);
  o->stopping = true;
  o->until = until;
  (void)pthread_cond_signal(&o->changed);
  (void)pthread_mutex_unlock(&o->lock);
  (void)curl_multi_wakeup(o->multi);
  (void)pthread_join(o->thread, NULL);
  if (counts != NULL) *counts = o->counts;
  free_all(o);
}
