/* value_text.c - values as text for people: Lua-literal-like, the same text for the same value. */
#include "script/value.h"
#include "script/value_order.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
  mg_buf *out;
  size_t start, max; /* bytes of out that are ours, and how many are kept */
} writer;

static bool full(const writer *w) { return w->out->len - w->start > w->max; }

static void put_float(mg_buf *out, double x) {
  if (isnan(x)) {
    mg_buf_puts(out, "nan");
  } else if (isinf(x)) {
    mg_buf_puts(out, x > 0 ? "inf" : "-inf");
  } else {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back as x */
      (void)snprintf(text, sizeof text, "%.*g", digits, x);
      if (strtod(text, NULL) == x) break;
    }
    if (strpbrk(text, ".en") == NULL) strcat(text, ".0"); /* 1.0 is not 1 */
    mg_buf_puts(out, text);
  }
}

static size_t utf8_length(const unsigned char *p, size_t left) {
  size_t n = p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
  if (n == 0 || p[0] >= 0xf5 || n > left) return 0;
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
  return n;
}

static void put_string(writer *w, const char *text, size_t len) {
  mg_buf *out = w->out;
  mg_buf_put(out, "\"", 1);
  for (size_t i = 0; i < len && !full(w); i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      mg_buf_putf(out, "\\%c", c);
    } else if (c == '\n') {
      mg_buf_puts(out, "\\n");
    } else if (c == '\t') {
      mg_buf_puts(out, "\\t");
    } else if (c == '\r') {
      mg_buf_puts(out, "\\r");
    } else if (c >= 0x20 && c < 0x7f) {
      mg_buf_put(out, &c, 1);
    } else {
      size_t n = c >= 0x80 ? utf8_length((const unsigned char *)text + i, len - i) : 0;
      if (n > 0) {
        mg_buf_put(out, text + i, n);
        i += n - 1;
      } else {
        mg_buf_putf(out, "\\x%02x", c);
      }
    }
  }
  mg_buf_put(out, "\"", 1);
}

static bool is_name(const mg_cell *c) {
  if (c->kind != MG_CELL_STRING || c->length == 0 || c->length > 40) return false;
  for (size_t i = 0; i < c->length; i++) {
    char ch = c->u.text[i];
    bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
    if (!letter && !(i > 0 && ch >= '0' && ch <= '9')) return false;
  }
  return true;
}

static void show(writer *w, const mg_cell *c);

static void show_table(writer *w, const mg_cell *c) {
  if (c->count == 0) {
    mg_buf_puts(w->out, c->mark == MG_MARK_ARRAY ? "[]" : "{}");
    return;
  }
  mg_buf_puts(w->out, "{");
  const mg_cell **keys = mg_cells_sorted(c);
  const mg_cell *at = c + 1;
  for (uint32_t i = 0; i < c->count && !full(w); i++) {
    const mg_cell *key = keys != NULL ? keys[i] : at;
    if (i > 0) mg_buf_puts(w->out, ", ");
    if (is_name(key)) {
      mg_buf_put(w->out, key->u.text, key->length);
    } else {
      mg_buf_puts(w->out, "[");
      show(w, key);
      mg_buf_puts(w->out, "]");
    }
    mg_buf_puts(w->out, " = ");
    const mg_cell *value = mg_cell_next(key);
    show(w, value);
    if (keys == NULL) at = mg_cell_next(value);
  }
  free(keys);
  mg_buf_puts(w->out, "}");
}

static void show(writer *w, const mg_cell *c) {
  if (full(w)) return;
  switch ((mg_cell_kind)c->kind) {
    case MG_CELL_NIL: mg_buf_puts(w->out, "nil"); break;
    case MG_CELL_NULL: mg_buf_puts(w->out, "null"); break;
    case MG_CELL_FALSE: mg_buf_puts(w->out, "false"); break;
    case MG_CELL_TRUE: mg_buf_puts(w->out, "true"); break;
    case MG_CELL_INT: mg_buf_putf(w->out, "%lld", (long long)c->u.integer); break;
    case MG_CELL_FLOAT: put_float(w->out, c->u.number); break;
    case MG_CELL_STRING: put_string(w, c->u.text, c->length); break;
    case MG_CELL_ARRAY: {
      mg_buf_puts(w->out, "{");
      const mg_cell *v = c + 1;
      for (uint32_t i = 0; i < c->count && !full(w); i++) {
        if (i > 0) mg_buf_puts(w->out, ", ");
        show(w, v);
        v = mg_cell_next(v);
      }
      mg_buf_puts(w->out, "}");
      break;
    }
    case MG_CELL_TABLE: show_table(w, c); break;
  }
}

void mg_tape_show(const mg_tape *t, size_t max_bytes, mg_buf *out) {
  writer w = {.out = out, .start = out->len, .max = max_bytes};
  const mg_cell *c = t->cells;
  for (size_t i = 0; i < t->values && !full(&w); i++) {
    if (i > 0) mg_buf_puts(out, ", ");
    show(&w, c);
    c = mg_cell_next(c);
  }
  if (out->len - w.start > max_bytes) {
    size_t keep = w.start + max_bytes;
    while (keep > w.start && (out->data[keep] & 0xc0) == 0x80) keep--; /* not inside a UTF-8 sequence */
    out->len = keep;
    mg_buf_puts(out, " ... (cut)");
  }
}
