#include "script/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mg_json {
  json_t *root;
};

/* ---- writing ---- */

typedef struct refusal {
  const char *what;
  char path[160];
} refusal;

static void prefix(refusal *r, const char *step) {
  char whole[sizeof r->path + 64];
  (void)snprintf(whole, sizeof whole, "%.60s%s", step, r->path);
  (void)snprintf(r->path, sizeof r->path, "%.*s", (int)sizeof r->path - 1, whole);
}

static json_t *to_json(const mg_cell *c, refusal *r) {
  json_t *j = NULL;
  switch ((mg_cell_kind)c->kind) {
    case MG_CELL_NIL:
    case MG_CELL_NULL: return json_null();
    case MG_CELL_FALSE: return json_false();
    case MG_CELL_TRUE: return json_true();
    case MG_CELL_INT: return json_integer(c->u.integer);
    case MG_CELL_FLOAT:
      if (!isfinite(c->u.number)) {
        r->what = isnan(c->u.number) ? "NaN" : c->u.number > 0 ? "Infinity" : "-Infinity";
        return NULL;
      }
      return json_real(c->u.number);
    case MG_CELL_STRING:
      j = json_stringn(c->u.text, c->length);
      if (j == NULL) r->what = "a string of bytes that are not UTF-8";
      return j;
    case MG_CELL_ARRAY: {
      j = json_array();
      const mg_cell *v = c + 1;
      for (uint32_t i = 0; j != NULL && i < c->count; i++) {
        if (json_array_append_new(j, to_json(v, r)) != 0) {
          char step[32];
          (void)snprintf(step, sizeof step, "[%u]", i + 1);
          prefix(r, step);
          json_decref(j);
          return NULL;
        }
        v = mg_cell_next(v);
      }
      return j;
    }
    case MG_CELL_TABLE: {
      if (c->count == 0 && c->mark == MG_MARK_ARRAY) return json_array();
      j = json_object();
      const mg_cell *k = c + 1;
      for (uint32_t i = 0; j != NULL && i < c->count; i++) {
        const mg_cell *v = mg_cell_next(k);
        char key[64];
        if (k->kind != MG_CELL_STRING) {
          r->what = "a table with keys that are not text (and not 1, 2, 3 ... without gaps)";
        } else if (json_object_setn_new(j, k->u.text, k->length, to_json(v, r)) == 0) {
          k = mg_cell_next(v);
          continue;
        } else {
          if (r->what == NULL) r->what = "a key of bytes that are not UTF-8";
          (void)snprintf(key, sizeof key, ".%.*s", (int)(k->length < 50 ? k->length : 50), k->u.text);
          prefix(r, key);
        }
        json_decref(j);
        return NULL;
      }
      return j;
    }
  }
  return NULL;
}

static int append(const char *data, size_t len, void *out) {
  mg_buf_put(out, data, len);
  return ((mg_buf *)out)->failed ? -1 : 0;
}

mg_err mg_json_write(const mg_tape *t, bool all, bool pretty, mg_buf *out, mg_error *e) {
  refusal r = {NULL, ""};
  json_t *root = NULL;
  if (all) {
    root = json_array();
    const mg_cell *c = t->cells;
    for (size_t i = 0; root != NULL && i < t->values; i++) {
      if (json_array_append_new(root, to_json(c, &r)) != 0) {
        char step[40];
        (void)snprintf(step, sizeof step, "argument %zu", i + 1);
        prefix(&r, step);
        json_decref(root);
        root = NULL;
        break;
      }
      c = mg_cell_next(c);
    }
  } else {
    root = t->values > 0 ? to_json(t->cells, &r) : json_null();
  }
  if (root == NULL) {
    if (r.what == NULL) return mg_fail(e, MG_NOMEM, "memory ended while JSON was written");
    return mg_fail(e, MG_ARG, "JSON cannot carry %s%s%s%s", r.what, r.path[0] != '\0' ? " (at " : "", r.path, r.path[0] != '\0' ? ")" : "");
  }
  size_t flags = JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(17) | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
  int failed = json_dump_callback(root, append, out, flags);
  json_decref(root);
  return failed != 0 ? mg_fail(e, MG_NOMEM, "memory ended while JSON was written") : MG_OK;
}

/* ---- reading ---- */

static bool from_json(const json_t *j, mg_tape *t, int depth, const char **problem) {
  mg_cell *c;
  if (depth > MG_VALUE_DEPTH) {
    *problem = "JSON nested deeper than 64";
    return false;
  }
  switch (json_typeof(j)) {
    case JSON_NULL: return mg_tape_add(t, MG_CELL_NULL) != NULL;
    case JSON_FALSE: return mg_tape_add(t, MG_CELL_FALSE) != NULL;
    case JSON_TRUE: return mg_tape_add(t, MG_CELL_TRUE) != NULL;
    case JSON_INTEGER:
      c = mg_tape_add(t, MG_CELL_INT);
      if (c != NULL) c->u.integer = json_integer_value(j);
      return c != NULL;
    case JSON_REAL:
      c = mg_tape_add(t, MG_CELL_FLOAT);
      if (c != NULL) c->u.number = json_real_value(j);
      return c != NULL;
    case JSON_STRING:
      c = mg_tape_add(t, MG_CELL_STRING);
      if (c != NULL) {
        c->u.text = json_string_value(j);
        c->length = json_string_length(j);
      }
      return c != NULL;
    case JSON_ARRAY: {
      size_t n = json_array_size(j);
      c = mg_tape_add(t, n > 0 ? MG_CELL_ARRAY : MG_CELL_TABLE);
      if (c == NULL) return false;
      c->count = (uint32_t)n;
      c->mark = n == 0 ? MG_MARK_ARRAY : MG_UNMARKED;
      for (size_t i = 0; i < n; i++) {
        if (!from_json(json_array_get(j, i), t, depth + 1, problem)) return false;
      }
      return true;
    }
    case JSON_OBJECT: {
      c = mg_tape_add(t, MG_CELL_TABLE);
      if (c == NULL) return false;
      c->count = (uint32_t)json_object_size(j);
      c->mark = c->count == 0 ? MG_MARK_OBJECT : MG_UNMARKED;
      for (void *it = json_object_iter((json_t *)(uintptr_t)j); it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)j, it)) {
        mg_cell *k = mg_tape_add(t, MG_CELL_STRING);
        if (k == NULL) return false;
        k->u.text = json_object_iter_key(it);
        k->length = json_object_iter_key_len(it);
        if (!from_json(json_object_iter_value(it), t, depth + 1, problem)) return false;
      }
      return true;
    }
  }
  return false;
}

mg_err mg_json_read(mg_slice text, mg_tape *t, mg_json **doc, mg_error *e) {
  *doc = NULL;
  json_error_t je;
  json_t *root = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &je);
  if (root == NULL) {
    const char *why = je.text;
    if (json_error_code(&je) == json_error_numeric_overflow) why = "a number beyond what 64 bits hold (integers: -2^63 to 2^63-1)";
    return mg_fail(e, MG_ARG, "line %d column %d: %s", je.line, je.column, why);
  }
  size_t len = t->len;
  const char *problem = NULL;
  if (!from_json(root, t, 0, &problem)) {
    t->len = len;
    json_decref(root);
    return problem != NULL ? mg_fail(e, MG_ARG, "%s", problem) : mg_fail(e, MG_NOMEM, "memory ended while JSON was read");
  }
  t->values++;
  *doc = malloc(sizeof **doc);
  if (*doc == NULL) {
    json_decref(root);
    t->len = len;
    t->values--;
    return mg_fail(e, MG_NOMEM, "memory ended while JSON was read");
  }
  (*doc)->root = root;
  return MG_OK;
}

void mg_json_free(mg_json *doc) {
  if (doc == NULL) return;
  json_decref(doc->root);
  free(doc);
}
