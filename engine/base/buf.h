/* buf.h - bytes: a borrowed slice and a growing buffer. Any thread; a buffer has one owner. */
#ifndef MG_BASE_BUF_H
#define MG_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; data may be NULL where len is 0. Not NUL-terminated. */
typedef struct mg_slice {
  const uint8_t *data;
  size_t len;
} mg_slice;

/* Owns data. Zero-initialised is empty. failed stays true once memory ended, and every later append does nothing:
 * look at it once, at the end. */
typedef struct mg_buf {
  uint8_t *data;
  size_t len, cap;
  bool failed;
} mg_buf;

void mg_buf_fini(mg_buf *b);                              /* frees, leaves it empty and usable */
void mg_buf_clear(mg_buf *b);                             /* len = 0, memory kept, failed = false */
bool mg_buf_reserve(mg_buf *b, size_t extra);             /* room for extra more bytes; false where memory ended */
void mg_buf_put(mg_buf *b, const void *data, size_t len); /* appends */
void mg_buf_puts(mg_buf *b, const char *text);
void mg_buf_putf(mg_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int mg_buf_sink(void *buf, const char *data, size_t len); /* mg_buf_put in the form that msgpack_packer_init takes; gives 0 */
mg_slice mg_buf_slice(const mg_buf *b);
mg_slice mg_slice_of(const char *text); /* the bytes of a C string without its NUL */

#endif
