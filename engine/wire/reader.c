#include "wire/reader.h"

#include "base/ident.h"
#include <string.h>

mg_reader mg_reader_over(mg_slice bytes) {
  static const uint8_t none[1];
  const uint8_t *start = bytes.len > 0 ? bytes.data : none;
  return (mg_reader){.start = start, .at = start, .end = start + bytes.len};
}

void mg_reader_fail(mg_reader *r, const char *field, const char *expected) {
  if (r->expected != NULL) return;
  r->field = field;
  r->expected = expected;
  r->failed_at = (size_t)(r->at - r->start);
}

mg_err mg_reader_end(const mg_reader *r, const char *what, mg_error *e) {
  if (r->expected != NULL) {
    return mg_fail(e, MG_ARG, "%s message cannot be read: %s near byte %zu: %s expected", what, r->field, r->failed_at,
                   r->expected);
  }
  if (r->at != r->end)
    return mg_fail(e, MG_ARG, "%s message cannot be read: %zu bytes follow its end", what, mg_reader_left(r));
  return MG_OK;
}

/* Big-endian number of width bytes after the format byte; false where they are not there. Nothing is taken on failure.
 */
static bool number_after(const mg_reader *r, size_t width, uint64_t *out) {
  if (mg_reader_left(r) < 1 + width) return false;
  uint64_t value = 0;
  for (size_t i = 1; i <= width; i++) value = value << 8 | r->at[i];
  *out = value;
  return true;
}

uint64_t mg_read_uint(mg_reader *r, uint64_t low, uint64_t high, const char *field) {
  uint64_t value = 0;
  size_t width = 0;
  if (!mg_reader_ok(r)) return 0;
  bool ok = r->at < r->end;
  if (ok) {
    uint8_t format = *r->at;
    if (format <= 0x7F) {
      value = format;
    } else if (format >= 0xCC && format <= 0xCF) {
      width = (size_t)1 << (format - 0xCC);
      ok = number_after(r, width, &value);
    } else if (format >= 0xD0 && format <= 0xD3) {
      width = (size_t)1 << (format - 0xD0);
      ok = number_after(r, width, &value) && value >> (8 * width - 1) == 0; /* not negative */
    } else {
      ok = false;
    }
  }
  if (!ok || value < low || value > high) {
    mg_reader_fail(r, field, ok ? "a number within its range" : "a whole number");
    return 0;
  }
  r->at += 1 + width;
  return value;
}

bool mg_read_bool(mg_reader *r, const char *field) {
  if (!mg_reader_ok(r)) return false;
  if (r->at == r->end || (*r->at != 0xC2 && *r->at != 0xC3)) {
    mg_reader_fail(r, field, "true or false");
    return false;
  }
  return *r->at++ == 0xC3;
}

bool mg_read_nil(mg_reader *r) {
  if (!mg_reader_ok(r) || r->at == r->end || *r->at != 0xC0) return false;
  r->at++;
  return true;
}

size_t mg_read_array(mg_reader *r, size_t low, size_t high, size_t element_bytes, const char *field) {
  uint64_t count = 0;
  size_t width = 0;
  if (!mg_reader_ok(r)) return 0;
  bool ok = r->at < r->end;
  if (ok) {
    uint8_t format = *r->at;
    if ((format & 0xF0) == 0x90) {
      count = format & 0x0F;
    } else if (format == 0xDC || format == 0xDD) {
      width = format == 0xDC ? 2 : 4;
      ok = number_after(r, width, &count);
    } else {
      ok = false;
    }
  }
  if (!ok) {
    mg_reader_fail(r, field, "an array");
    return 0;
  }
  if (count < low || count > high || count > (mg_reader_left(r) - 1 - width) / element_bytes) {
    mg_reader_fail(r, field, "an array of another length");
    return 0;
  }
  r->at += 1 + width;
  return (size_t)count;
}

/* The bytes of a str or bin whose three wide formats begin at first; fixstr where fixed. */
static bool take_bytes(mg_reader *r, uint8_t first, bool fixed, mg_slice *out) {
  if (r->at == r->end) return false;
  uint8_t format = *r->at;
  uint64_t len = 0;
  size_t width = 0;
  if (fixed && (format & 0xE0) == 0xA0) {
    len = format & 0x1F;
  } else if (format >= first && format <= first + 2) {
    width = (size_t)1 << (format - first);
    if (!number_after(r, width, &len)) return false;
  } else {
    return false;
  }
  if (len > mg_reader_left(r) - 1 - width) return false;
  r->at += 1 + width;
  *out = (mg_slice){len > 0 ? r->at : NULL, (size_t)len};
  r->at += len;
  return true;
}

mg_slice mg_read_bin(mg_reader *r, const char *field) {
  mg_slice out = {0};
  if (mg_reader_ok(r) && !take_bytes(r, 0xC4, false, &out)) mg_reader_fail(r, field, "bytes");
  return out;
}

void mg_read_bytes(mg_reader *r, void *out, size_t len, const char *field) {
  mg_slice bytes = mg_read_bin(r, field);
  if (bytes.len != len) mg_reader_fail(r, field, "another number of bytes");
  if (mg_reader_ok(r) && len > 0) memcpy(out, bytes.data, len);
  else memset(out, 0, len);
}

static bool follows(mg_slice text, size_t max, mg_read_text_rule rule) {
  if (text.len == 0) return rule == MG_READ_NAME_OR_EMPTY;
  if (rule == MG_READ_IDENT || rule == MG_READ_DOTTED) {
    return mg_ident_ok_bytes(text.data, text.len, max, rule == MG_READ_DOTTED ? "." : NULL);
  }
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < 0x20 || text.data[i] == 0x7F) return false;
  }
  return text.len <= max;
}

void mg_read_text(mg_reader *r, char *out, size_t size, mg_read_text_rule rule, const char *field) {
  mg_slice text = {0};
  out[0] = '\0';
  if (!mg_reader_ok(r)) return;
  if (!take_bytes(r, 0xD9, true, &text)) {
    mg_reader_fail(r, field, "a text");
  } else if (!follows(text, size - 1, rule)) {
    mg_reader_fail(r, field, "a text of allowed length and letters");
  } else if (text.len > 0) {
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
  }
}
