#include "backends/sqs/sign.h"

#include "base/hash.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HEX = 2 * MG_SHA256_BYTES + 1 };

typedef struct header {
  const char *name, *value; /* lower case; NULL: not sent */
} header;

static bool hmac(const uint8_t *key, size_t len, const char *text, uint8_t out[MG_SHA256_BYTES]) {
  mg_slice piece = mg_slice_of(text);
  return mg_hmac_sha256((mg_slice){key, len}, &piece, 1, out);
}

/* HMAC over date, region, service and "aws4_request" in turn. */
static bool signing_key(const mg_sqs_signing *s, const char *day, uint8_t key[MG_SHA256_BYTES]) {
  char secret[300];
  int len = snprintf(secret, sizeof secret, "AWS4%s", s->keys->secret);
  bool ok = len > 0 && (size_t)len < sizeof secret && hmac((const uint8_t *)secret, (size_t)len, day, key) && hmac(key, MG_SHA256_BYTES, s->region, key) &&
            hmac(key, MG_SHA256_BYTES, s->service, key) && hmac(key, MG_SHA256_BYTES, "aws4_request", key);
  explicit_bzero(secret, sizeof secret);
  return ok;
}

/* host[:port] and path of the URL, without a port that its scheme has anyway. */
static const char *split(const char *url, char host[300]) {
  const char *from = strstr(url, "://") + 3;
  size_t len = strcspn(from, "/");
  (void)snprintf(host, 300, "%.*s", (int)len, from);
  char *port = strrchr(host, ':');
  if (port != NULL && strcmp(port, url[4] == 's' ? ":443" : ":80") == 0) *port = '\0';
  return from[len] == '\0' ? "/" : from + len;
}

mg_err mg_sqs_sign(const mg_sqs_signing *s, mg_buf *out, mg_error *e) {
  char host[300], date[20], day[12], scope[200], hex[HEX], names[160] = "", body_hex[HEX];
  uint8_t hash[MG_SHA256_BYTES], key[MG_SHA256_BYTES];
  time_t at = (time_t)(s->wall_ms / 1000);
  struct tm t;
  mg_buf text = {0};
  mg_err err = MG_OK;
  const char *path = split(s->url, host);
  (void)gmtime_r(&at, &t);
  (void)strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &t);
  (void)snprintf(day, sizeof day, "%.8s", date);
  (void)snprintf(scope, sizeof scope, "%s/%.80s/%.40s/aws4_request", day, s->region, s->service);
  bool ok = mg_sha256_of(s->body, hash);
  mg_hex(hash, sizeof hash, body_hex);
  /* In the order of their names. */
  const header headers[] = {{"content-type", s->content_type},
                            {"host", host},
                            {"x-amz-content-sha256", strcmp(s->service, "s3") == 0 ? body_hex : NULL},
                            {"x-amz-date", date},
                            {"x-amz-security-token", s->keys->token},
                            {"x-amz-target", s->target}};
  mg_buf_putf(&text, "%s\n%s\n\n", s->method, path);
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    if (headers[i].value == NULL) continue;
    mg_buf_putf(&text, "%s:%s\n", headers[i].name, headers[i].value);
    size_t used = strlen(names);
    (void)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ";" : "", headers[i].name);
    if (strcmp(headers[i].name, "host") == 0) continue; /* libcurl's own */
    mg_buf_putf(out, "%s: %s", headers[i].name, headers[i].value);
    mg_buf_put(out, "", 1);
  }
  mg_buf_putf(&text, "\n%s\n%s", names, body_hex);
  ok = ok && !text.failed && mg_sha256_of(mg_buf_slice(&text), hash);
  mg_hex(hash, sizeof hash, hex);
  mg_buf_clear(&text);
  mg_buf_putf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hex);
  ok = ok && !text.failed && signing_key(s, day, key);
  mg_slice piece = mg_buf_slice(&text);
  ok = ok && mg_hmac_sha256((mg_slice){key, sizeof key}, &piece, 1, hash);
  mg_hex(hash, sizeof hash, hex);
  mg_buf_putf(out, "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", s->keys->id, scope, names, hex);
  mg_buf_put(out, "", 1);
  if (!ok || out->failed) err = mg_fail(e, MG_NOMEM, "a request could not be signed: no memory, or a secret key of more than 295 bytes");
  if (text.data != NULL) explicit_bzero(text.data, text.cap);
  mg_buf_fini(&text);
  explicit_bzero(key, sizeof key);
  return err;
}
