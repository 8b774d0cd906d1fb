/* reader.h - pulls typed values out of MessagePack bytes, each with the bounds its field has. Any thread; borrows the
 * bytes.
 *
 * No allocation and no recursion: the caller asks for what must come next, so depth is that of its own code. The first
 * thing that is not as asked is remembered, and every later read gives zero; look once, at the end. Fields are named
 * for the error text. */
#ifndef MG_WIRE_READER_H
#define MG_WIRE_READER_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>

typedef struct mg_reader {
  const uint8_t *start, *at, *end;
  const char *field, *expected; /* of the first failure; expected is NULL while there is none */
  size_t failed_at;             /* its offset */
} mg_reader;

mg_reader mg_reader_over(mg_slice bytes);
/* MG_OK where all was as asked and no byte is left; else MG_ARG with "what: field, byte, what was expected". */
mg_err mg_reader_end(const mg_reader *r, const char *what, mg_error *e);
/* For checks of the caller's own: remembers the failure unless there is one. */
void mg_reader_fail(mg_reader *r, const char *field, const char *expected);
static inline bool mg_reader_ok(const mg_reader *r) {
  return r->expected == NULL;
}
static inline size_t mg_reader_left(const mg_reader *r) {
  return (size_t)(r->end - r->at);
}

uint64_t mg_read_uint(mg_reader *r, uint64_t low, uint64_t high, const char *field); /* any of the integer formats */
bool mg_read_bool(mg_reader *r, const char *field);
/* Takes a nil if one comes next. */
bool mg_read_nil(mg_reader *r);
/* Count of an array's elements, low .. high, and no more than the bytes left could hold at element_bytes each (>= 1).
 */
size_t mg_read_array(mg_reader *r, size_t low, size_t high, size_t element_bytes, const char *field);
mg_slice mg_read_bin(mg_reader *r, const char *field);                      /* empty: data is NULL */
void mg_read_bytes(mg_reader *r, void *out, size_t len, const char *field); /* bin of exactly len bytes */

typedef enum mg_read_text_rule {
  MG_READ_IDENT,  /* mg_ident_ok */
  MG_READ_DOTTED, /* mg_ident_ok with '.' */
  MG_READ_NAME,   /* 1 byte and more, none of them a control byte */
  MG_READ_NAME_OR_EMPTY
} mg_read_text_rule;
/* A str of at most size - 1 bytes, with a NUL added; out is "" after a failure. */
void mg_read_text(mg_reader *r, char *out, size_t size, mg_read_text_rule rule, const char *field);

#endif
