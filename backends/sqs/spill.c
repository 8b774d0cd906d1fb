/* Bodies that no message holds: put into S3 or a folder, named and checked by the message, removed with it. */
#include "backends/sqs/parts.h"

#include "base/hash.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPT_MS = 10000, TRIES = 4, OBJECT_MAX = 128 << 20 };

static void checksum_of(mg_slice body, char out[40]) {
  uint64_t low, high;
  mg_xxh3_128(body.data, body.len, &low, &high);
  (void)snprintf(out, 40, "%016llx%016llx", (unsigned long long)high, (unsigned long long)low);
}

/* --- a folder --- */

static mg_err put_file(const char *path, mg_slice body, mg_error *e) {
  char part[600];
  (void)snprintf(part, sizeof part, "%.580s.part", path);
  int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return mg_fail_errno(e, MG_FATAL, errno, "spill: %s", part);
  size_t at = 0;
  while (at < body.len) {
    ssize_t n = write(fd, body.data + at, body.len - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    at += (size_t)n;
  }
  int bad = at < body.len ? errno : 0;
  if (close(fd) != 0 && bad == 0) bad = errno;
  if (bad == 0 && rename(part, path) != 0) bad = errno;
  if (bad == 0) return MG_OK;
  (void)unlink(part);
  return mg_fail_errno(e, bad == ENOSPC || bad == EDQUOT ? MG_AGAIN : MG_FATAL, bad, "spill: %s", path);
}

static mg_err get_file(const char *path, mg_buf *out, mg_error *e) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return mg_fail_errno(e, errno == ENOENT ? MG_LOST : MG_AGAIN, errno, "spill: %s", path);
  mg_err err = MG_OK;
  mg_buf_clear(out);
  for (ssize_t n = 1; n > 0 && err == MG_OK;) {
    if (!mg_buf_reserve(out, 65536) || out->len > OBJECT_MAX) {
      err = mg_fail(e, MG_NOMEM, "spill: no memory for %s", path);
      break;
    }
    n = read(fd, out->data + out->len, 65536);
    if (n > 0) out->len += (size_t)n;
    if (n < 0 && errno == EINTR) n = 1;
    if (n < 0) err = mg_fail_errno(e, MG_AGAIN, errno, "spill: %s", path);
  }
  (void)close(fd);
  return err;
}

/* --- S3 --- */

static void escape(const char *key, char *out, size_t size) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
  size_t n = 0;
  for (const char *p = key; *p != '\0' && n + 4 < size; p++)
    n += (size_t)snprintf(out + n, size - n, strchr(plain, *p) != NULL ? "%c" : "%%%02X", (unsigned char)*p);
  out[n] = '\0';
}

/* s3://bucket/key as a URL. */
static void url_of(const mg_sqs_settings *s, const char *object, char *out, size_t size) {
  const char *bucket = object + strlen("s3://"), *slash = strchr(bucket, '/');
  char key[1024];
  int len = (int)(slash - bucket);
  escape(slash, key, sizeof key);
  const char *tail = strncmp(s->region, "cn-", 3) == 0 ? ".cn" : "";
  if (s->spill_endpoint != NULL)
    (void)snprintf(out, size, "%s%.*s%s", s->endpoint, len, bucket, key);
  else if (memchr(bucket, '.', (size_t)len) != NULL) /* the certificate covers no dots */
    (void)snprintf(out, size, "https://s3.%s.amazonaws.com%s/%.*s%s", s->region, tail, len, bucket, key);
  else
    (void)snprintf(out, size, "https://%.*s.s3.%s.amazonaws.com%s%s", len, bucket, s->region, tail, key);
}

static mg_err ask_once(mg_sqs *s, const char *method, const char *url, mg_slice body, mg_ms until, mg_sqs_exchange *x, mg_error *e) {
  mg_sqs_keys keys;
  mg_ms left = until - mg_now_ms();
  mg_err err = mg_sqs_credentials_get(s->client.credentials, until, &keys, e);
  if (err != MG_OK) return err;
  mg_buf_clear(&x->body);
  mg_buf_put(&x->body, body.data, body.len);
  mg_sqs_request r = {.method = method,
                      .url = url,
                      .content_type = "application/octet-stream",
                      .service = "s3",
                      .region = s->settings.region,
                      .keys = &keys,
                      .skew_ms = s->client.skew_ms,
                      .timeout_ms = left < ATTEMPT_MS ? left : ATTEMPT_MS};
  return mg_sqs_http_ask(s->client.http, x, &r, until, e);
}

/* MG_LOST: there is no such object. */
static mg_err ask(mg_sqs *s, const char *method, const char *action, const char *object, mg_slice body, mg_ms until, mg_sqs_exchange **x, mg_error *e) {
  char url[2000];
  url_of(&s->settings, object, url, sizeof url);
  *x = mg_sqs_exchange_new(s->client.http);
  if (*x == NULL) return mg_fail(e, MG_NOMEM, "spill: no memory for a request");
  mg_err err = MG_AGAIN;
  for (unsigned i = 0; i < TRIES && (err == MG_AGAIN || err == MG_CONN); i++) {
    mg_ms begin = mg_now_ms() + (i > 0 ? mg_sqs_back_off(i) : 0);
    while (mg_now_ms() < begin && mg_now_ms() < until) (void)mg_sqs_http_wait(s->client.http, begin < until ? begin : until, -1);
    err = ask_once(s, method, url, body, until, *x, e);
    if (err != MG_OK) continue;
    long status = (*x)->status;
    if (status >= 200 && status < 300) return MG_OK;
    if (status == 404) return mg_fail(e, MG_LOST, "spill: %s is not there", object);
    err = mg_fail(e, status >= 500 || status == 429 ? MG_AGAIN : MG_FATAL, "spill: the identity of %s may not do s3:%s on %s: S3 answered %ld: %.*s",
                  mg_sqs_credentials_source(s->client.credentials), action, object, status, (int)((*x)->reply.len < 200 ? (*x)->reply.len : 200),
                  (*x)->reply.len > 0 ? (const char *)(*x)->reply.data : "");
  }
  return err == MG_CONN ? MG_AGAIN : err;
}

/* --- both --- */

static bool is_file(const char *object) { return strncmp(object, "file://", 7) == 0; }

mg_err mg_sqs_spill(mg_sqs *s, mg_sqs_envelope *v, mg_slice body, mg_ms until, mg_error *e) {
  const char *place = s->settings.spill;
  if (place == NULL) {
    return mg_fail(e, MG_ARG,
                   "a message of %zu bytes is above the %zu that the queue takes; set spill to put such payloads elsewhere, or a smaller max_batch_size",
                   body.len, s->max_message);
  }
  size_t len = strlen(place);
  while (len > 0 && place[len - 1] == '/') len--;
  char object[sizeof v->object];
  int n = snprintf(object, sizeof object, "%.*s/%.64s-%016llx", (int)len, place, v->run, (unsigned long long)mg_random64());
  if (n < 0 || (size_t)n >= sizeof object || (!is_file(object) && strchr(object + 5, '/') == NULL))
    return mg_fail(e, MG_ARG, "spill is too long or names no place: %.200s", place);
  checksum_of(body, v->checksum);
  v->bytes = body.len;
  mg_sqs_exchange *x = NULL;
  mg_err err = is_file(object) ? put_file(object + 7, body, e) : ask(s, "PUT", "PutObject", object, body, until, &x, e);
  mg_sqs_exchange_end(s->client.http, x);
  if (err == MG_OK) (void)snprintf(v->object, sizeof v->object, "%s", object);
  return err;
}

/* What a message names must lie where this side's configuration says too: a message leads nobody elsewhere. */
static bool is_ours(const mg_sqs *s, const char *object) {
  const char *place = s->settings.spill;
  size_t len = place == NULL ? 0 : strlen(place);
  while (len > 0 && place[len - 1] == '/') len--;
  return len > 0 && strncmp(object, place, len) == 0 && object[len] == '/' && strstr(object, "..") == NULL && strchr(object + len + 1, '/') == NULL;
}

mg_err mg_sqs_unspill(mg_sqs *s, const mg_sqs_envelope *v, mg_ms until, mg_buf *body, mg_error *e) {
  char checksum[40];
  mg_sqs_exchange *x = NULL;
  if (!is_ours(s, v->object)) return mg_fail(e, MG_LOST, "a message names %.200s, which is not below this side's spill", v->object);
  mg_err err = is_file(v->object) ? get_file(v->object + 7, body, e) : ask(s, "GET", "GetObject", v->object, (mg_slice){0}, until, &x, e);
  if (err == MG_OK && x != NULL) {
    mg_buf_clear(body);
    mg_buf_put(body, x->reply.data, x->reply.len);
  }
  mg_sqs_exchange_end(s->client.http, x);
  if (err != MG_OK) return err;
  if (body->failed) return mg_fail(e, MG_NOMEM, "spill: no memory for %s", v->object);
  checksum_of(mg_buf_slice(body), checksum);
  if (body->len == v->bytes && strcmp(checksum, v->checksum) == 0) return MG_OK;
  return mg_fail(e, MG_LOST, "%s is not what was put there: its checksum differs", v->object);
}

void mg_sqs_drop_object(mg_sqs *s, const mg_sqs_envelope *v, mg_ms until) {
  mg_error why = {0};
  mg_sqs_exchange *x = NULL;
  if (!is_ours(s, v->object)) return;
  mg_err err = is_file(v->object) ? (unlink(v->object + 7) == 0 || errno == ENOENT ? MG_OK : mg_fail_errno(&why, MG_FATAL, errno, "spill: %s", v->object))
                                  : ask(s, "DELETE", "DeleteObject", v->object, (mg_slice){0}, until, &x, &why);
  mg_sqs_exchange_end(s->client.http, x);
  if (err == MG_OK || err == MG_LOST) return;
  static mg_log_limit limit;
  mg_log_rarely(&limit, 60000, MG_LOG_WARN, "spill_left", MG_NO_FIELDS, "an object stays where it was spilled: %s", why.text);
}
