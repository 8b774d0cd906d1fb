#include "base/log_line.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Appends without a call where there is room: a line is some forty small pieces. */
static inline void put(mg_buf *out, const void *data, size_t len) {
  if (len > out->cap - out->len && !mg_buf_reserve(out, len)) return;
  memcpy(out->data + out->len, data, len);
  out->len += len;
}
#define PUT(out, literal) put(out, literal, sizeof(literal) - 1)

/* Length of the well-formed UTF-8 sequence at s, 0 where there is none. */
static size_t utf8_length(const unsigned char *s) {
  if (s[0] < 0x80) return 1;
  size_t n = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : s[0] >= 0xE0 && s[0] <= 0xEF ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
  }
  if (n == 3 && ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))) return 0; /* overlong, surrogate */
  if (n == 4 && ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)))
    return 0; /* overlong, past U+10FFFF */
  return n;
}

/* How many bytes from s on need no second look. */
static size_t plain_length(const unsigned char *s) {
  size_t n = 0;
  while (s[n] >= 0x20 && s[n] < 0x7F && s[n] != '"' && s[n] != '\\') n++;
  return n;
}

/* Between double quotes. JSON: what is no UTF-8 becomes U+FFFD, for a file with one broken line is a broken file. For
 * people the byte is shown as \xNN, and no control byte reaches the terminal. */
static void put_quoted(mg_buf *out, const char *text, bool json) {
  PUT(out, "\"");
  for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
    size_t n = plain_length(s); /* nearly all of nearly every text */
    put(out, s, n);
    s += n;
    if (*s == '\0') break;
    n = utf8_length(s);
    if (n == 0) {
      if (json) mg_buf_puts(out, "\\ufffd");
      else mg_buf_putf(out, "\\x%02x", *s);
      n = 1;
    } else if (*s == '"' || *s == '\\') {
      mg_buf_putf(out, "\\%c", *s);
    } else if (*s == '\n' || *s == '\t' || *s == '\r') {
      mg_buf_puts(out, *s == '\n' ? "\\n" : *s == '\t' ? "\\t" : "\\r");
    } else if (*s < 0x20 || *s == 0x7F) {
      mg_buf_putf(out, json ? "\\u%04x" : "\\x%02x", *s);
    } else if (!json && n == 2 && s[0] == 0xC2 && s[1] < 0xA0) {
      mg_buf_putf(out, "\\x%02x", s[1]); /* C1: terminals act on them too */
    } else {
      put(out, s, n);
    }
    s += n;
  }
  PUT(out, "\"");
}

static void put_integer(mg_buf *out, int64_t value) {
  char digits[24];
  size_t at = sizeof digits;
  uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do digits[--at] = (char)('0' + left % 10);
  while ((left /= 10) > 0);
  if (value < 0) digits[--at] = '-';
  put(out, digits + at, sizeof digits - at);
}

/* As %.9g writes it. Most are milliseconds told in seconds, and those are spelled here. */
static void put_real(mg_buf *out, double value) {
  double thousandths = value * 1000;
  if (!(thousandths >= 0 && thousandths < 1e8 && thousandths == floor(thousandths))) {
    mg_buf_putf(out, "%.9g", value);
    return;
  }
  uint64_t ms = (uint64_t)thousandths;
  char decimals[5] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), '\0'};
  put_integer(out, (int64_t)(ms / 1000));
  for (size_t n = 3; n > 0 && decimals[n] == '0'; n--) decimals[n] = '\0';
  if (decimals[1] != '\0') mg_buf_puts(out, decimals);
}

static void put_value(mg_buf *out, const mg_log_field *f, bool json) {
  switch (f->kind) {
    case MG_FIELD_INT: put_integer(out, f->integer); return;
    case MG_FIELD_BOOL: mg_buf_puts(out, f->integer != 0 ? "true" : "false"); return;
    case MG_FIELD_REAL:
      if (isfinite(f->real)) put_real(out, f->real);
      else mg_buf_puts(out, "null");
      return;
    case MG_FIELD_TEXT: break;
  }
  if (f->text == NULL) {
    mg_buf_puts(out, "null");
    return;
  }
  bool bare = !json && f->text[0] != '\0';
  for (const char *c = f->text; bare && *c != '\0'; c++) {
    bare = (unsigned char)*c > ' ' && (unsigned char)*c < 0x7F && *c != '"' && *c != '\\' && *c != '=';
  }
  if (bare) mg_buf_puts(out, f->text);
  else put_quoted(out, f->text, json);
}

void mg_log_json_text(mg_buf *out, const char *text) { put_quoted(out, text, true); }

/* The text without its quotes, control bytes shown. */
static void put_text(mg_buf *out, const char *text) {
  mg_buf quoted = {0};
  put_quoted(&quoted, text, false);
  for (size_t i = 1; i + 1 < quoted.len; i++) {
    /* Quotes and backslashes need no escape here. */
    if (quoted.data[i] == '\\' && (quoted.data[i + 1] == '"' || quoted.data[i + 1] == '\\')) i++;
    mg_buf_put(out, &quoted.data[i], 1);
  }
  if (quoted.failed) out->failed = true;
  mg_buf_fini(&quoted);
}

/* The second's text is kept: many lines share it. */
static void put_time(mg_buf *out, int64_t wall_ms) {
  static int64_t second = INT64_MIN;
  static char text[32];
  if (wall_ms / 1000 != second) {
    mg_wall_text(wall_ms, text, sizeof text);
    second = wall_ms / 1000;
  }
  size_t length = strlen(text);
  int ms = (int)(wall_ms % 1000);
  const char rest[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z'};
  if (length == 0) return;
  put(out, text, length - 1);
  put(out, rest, sizeof rest);
}

void mg_log_put_people(mg_buf *out, const mg_log_said *s) {
  const mg_log_field held = MG_LI("suppressed", s->suppressed);
  put_time(out, s->wall_ms);
  mg_buf_putf(out, " %-5s %s", s->level, s->event);
  if (s->text[0] != '\0') {
    mg_buf_puts(out, ": ");
    put_text(out, s->text);
  }
  for (size_t i = 0; i < s->field_count + (s->suppressed > 0 ? 1 : 0); i++) {
    const mg_log_field *f = i < s->field_count ? &s->fields[i] : &held;
    mg_buf_putf(out, " %s=", f->key);
    put_value(out, f, false);
  }
  mg_buf_puts(out, "\n");
}

void mg_log_put_machines(mg_buf *out, const mg_log_said *s) {
  const mg_log_field held = MG_LI("suppressed", s->suppressed);
  PUT(out, "{\"time\":\"");
  put_time(out, s->wall_ms);
  PUT(out, "\",\"level\":\"");
  mg_buf_puts(out, s->level);
  PUT(out, "\",\"event\":\"");
  mg_buf_puts(out, s->event);
  PUT(out, "\"");
  if (s->text[0] != '\0') {
    PUT(out, ",\"text\":");
    put_quoted(out, s->text, true);
  }
  for (size_t i = 0; i < s->field_count + (s->suppressed > 0 ? 1 : 0); i++) {
    const mg_log_field *f = i < s->field_count ? &s->fields[i] : &held;
    PUT(out, ",\""); /* keys are plain */
    put(out, f->key, strlen(f->key));
    PUT(out, "\":");
    put_value(out, f, true);
  }
  PUT(out, "}\n");
}
