#include "backends/sqs/envelope.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "mguard "

static const char *const kinds[] = {"task", "result", "beat", "control", "live"};

static void put_text(mg_buf *out, char key, const char *value) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-";
  if (value[0] == '\0') return;
  mg_buf_putf(out, " %c=", key);
  for (const char *p = value; *p != '\0';) {
    size_t run = strspn(p, plain);
    mg_buf_put(out, p, run);
    p += run;
    if (*p != '\0') mg_buf_putf(out, "%%%02X", (unsigned)(unsigned char)*p++);
  }
}

static void put_number(mg_buf *out, char key, int64_t value) {
  if (value != 0) mg_buf_putf(out, " %c=%" PRId64, key, value);
}

static void put_head(mg_buf *out, const mg_sqs_envelope *v) {
  const char *kind = "task";
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (kinds[i][0] == v->kind) kind = kinds[i];
  }
  mg_buf_putf(out, MARK "k=%s", kind);
  put_text(out, 'r', v->run);
  put_text(out, 't', v->task);
  put_number(out, 'a', v->attempt);
  put_text(out, 'w', v->why);
  put_text(out, 'f', v->from);
  put_number(out, 'n', v->serial);
  put_number(out, 'x', v->ttl_ms);
  put_number(out, 'd', v->not_before_ms);
  if (v->object[0] != '\0') {
    put_text(out, 'o', v->object);
    put_text(out, 'h', v->checksum);
    put_number(out, 'z', (int64_t)v->bytes);
  }
  mg_buf_puts(out, "\\n");
}

void mg_sqs_envelope_put(mg_buf *out, const mg_sqs_envelope *v, mg_slice body) {
  put_head(out, v);
  if (v->object[0] != '\0' || body.len == 0) return;
  if (body.len > INT32_MAX || !mg_buf_reserve(out, (body.len + 2) / 3 * 4 + 1)) {
    out->failed = true;
    return;
  }
  out->len += (size_t)EVP_EncodeBlock(out->data + out->len, body.data, (int)body.len);
}

size_t mg_sqs_envelope_size(const mg_sqs_envelope *v, size_t body_len) {
  size_t texts = strlen(v->run) + strlen(v->task) + strlen(v->why) + strlen(v->from) + strlen(v->object) + strlen(v->checksum);
  return 160 + 3 * texts + (v->object[0] != '\0' ? 0 : (body_len + 2) / 3 * 4);
}

/* value of "k=value" into out, decoded. */
static void get_text(const char *value, size_t len, char *out, size_t size) {
  size_t n = 0;
  for (size_t i = 0; i < len && n + 1 < size; i++) {
    if (value[i] == '%' && i + 2 < len) {
      char hex[3] = {value[i + 1], value[i + 2], '\0'};
      out[n++] = (char)strtol(hex, NULL, 16);
      i += 2;
    } else {
      out[n++] = value[i];
    }
  }
  out[n] = '\0';
}

static void get_field(mg_sqs_envelope *v, char key, const char *value, size_t len) {
  char number[24];
  (void)snprintf(number, sizeof number, "%.*s", (int)(len < 23 ? len : 23), value);
  int64_t n = strtoll(number, NULL, 10);
  switch (key) {
  case 'k': v->kind = value[0]; break;
  case 'r': get_text(value, len, v->run, sizeof v->run); break;
  case 't': get_text(value, len, v->task, sizeof v->task); break;
  case 'w': get_text(value, len, v->why, sizeof v->why); break;
  case 'f': get_text(value, len, v->from, sizeof v->from); break;
  case 'o': get_text(value, len, v->object, sizeof v->object); break;
  case 'h': get_text(value, len, v->checksum, sizeof v->checksum); break;
  case 'a': v->attempt = (uint32_t)n; break;
  case 'n': v->serial = n; break;
  case 'x': v->ttl_ms = n; break;
  case 'd': v->not_before_ms = n; break;
  case 'z': v->bytes = n > 0 ? (size_t)n : 0; break;
  default: break; /* a newer one's */
  }
}

/* The head ends before the first line end; what follows it, or NULL where the text is not ours. */
static const char *read_head(mg_sqs_envelope *v, mg_slice text) {
  const char *at = (const char *)text.data, *end;
  size_t mark = strlen(MARK);
  *v = (mg_sqs_envelope){0};
  if (text.len < mark || memcmp(at, MARK, mark) != 0 || (end = memchr(at, '\n', text.len)) == NULL) return NULL;
  for (at += mark; at < end;) {
    const char *stop = memchr(at, ' ', (size_t)(end - at));
    if (stop == NULL) stop = end;
    if (stop - at > 2 && at[1] == '=') get_field(v, at[0], at + 2, (size_t)(stop - at - 2));
    at = stop + 1;
  }
  return end + 1;
}

bool mg_sqs_envelope_read(mg_sqs_envelope *v, mg_slice text, mg_buf *body) {
  const char *coded = read_head(v, text);
  if (body == NULL) return coded != NULL;
  mg_buf_clear(body);
  size_t len = coded == NULL ? 0 : text.len - (size_t)(coded - (const char *)text.data);
  if (coded != NULL && (len == 0 || v->object[0] != '\0')) return true;
  if (coded != NULL && len % 4 == 0 && len <= INT32_MAX && mg_buf_reserve(body, len / 4 * 3)) {
    int n = EVP_DecodeBlock(body->data, (const unsigned char *)coded, (int)len);
    for (size_t i = len; n > 0 && i > len - 2 && coded[i - 1] == '='; i--) n--;
    if (n >= 0) {
      body->len = (size_t)n;
      return true;
    }
  }
  mg_buf_put(body, text.data, text.len);
  return false;
}

void mg_sqs_envelope_again(mg_buf *out, const mg_sqs_envelope *v, mg_slice text) {
  mg_sqs_envelope was;
  const char *coded = read_head(&was, text);
  if (coded != NULL) {
    put_head(out, v);
    if (v->object[0] == '\0') mg_buf_put(out, coded, text.len - (size_t)(coded - (const char *)text.data));
    return;
  }
  mg_sqs_envelope_put(out, v, text);
}
