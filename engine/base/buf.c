#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mg_buf_fini(mg_buf *b) {
  free(b->data);
  *b = (mg_buf){0};
}

void mg_buf_clear(mg_buf *b) {
  b->len = 0;
  b->failed = false;
}

bool mg_buf_reserve(mg_buf *b, size_t extra) {
  if (b->failed) return false;
  if (extra <= b->cap - b->len) return true;
  if (extra > SIZE_MAX / 2 - b->len) {
    b->failed = true;
    return false;
  }
  size_t need = b->len + extra;
  size_t cap = b->cap < 64 ? 64 : b->cap;
  while (cap < need) cap *= 2;
  uint8_t *data = realloc(b->data, cap);
  if (data == NULL) {
    b->failed = true;
    return false;
  }
  b->data = data;
  b->cap = cap;
  return true;
}

void mg_buf_put(mg_buf *b, const void *data, size_t len) {
  if (len == 0 || !mg_buf_reserve(b, len)) return;
  memcpy(b->data + b->len, data, len);
  b->len += len;
}

void mg_buf_puts(mg_buf *b, const char *text) {
  mg_buf_put(b, text, strlen(text));
}

void mg_buf_putf(mg_buf *b, const char *format, ...) {
  enum { AT_ONCE = 128 }; /* what nearly every call needs: it is formatted once */
  va_list ap, again;
  if (!mg_buf_reserve(b, AT_ONCE)) return;
  va_start(ap, format);
  va_copy(again, ap);
  size_t room = b->cap - b->len;
  int n = vsnprintf((char *)b->data + b->len, room, format, ap);
  va_end(ap);
  if (n >= 0 && (size_t)n >= room && mg_buf_reserve(b, (size_t)n + 1)) { /* vsnprintf writes a NUL, which is not counted */
    (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, again);
  }
  if (n < 0) b->failed = true;
  if (!b->failed) b->len += (size_t)n;
  va_end(again);
}

mg_slice mg_buf_slice(const mg_buf *b) {
  return (mg_slice){b->data, b->len};
}

mg_slice mg_slice_of(const char *text) {
  return (mg_slice){(const uint8_t *)text, strlen(text)};
}

int mg_buf_sink(void *buf, const char *data, size_t len) {
  mg_buf_put(buf, data, len);
  return 0;
}
