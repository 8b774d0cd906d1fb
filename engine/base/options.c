#include "base/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { KIND_TEXT, KIND_INT, KIND_REAL, KIND_BOOL } kind;

typedef struct entry {
  char *key;
  kind kind;
  char *text; /* owned; NULL unless KIND_TEXT */
  int64_t integer;
  double real;
  bool truth;
} entry;

/* A configuration has some fifty keys and is read at start: a linear search does. */
struct mg_options {
  entry *entries;
  size_t count, cap;
};

mg_options *mg_options_new(void) {
  return calloc(1, sizeof(mg_options));
}

void mg_options_free(mg_options *o) {
  if (o == NULL) return;
  for (size_t i = 0; i < o->count; i++) {
    free(o->entries[i].key);
    free(o->entries[i].text);
  }
  free(o->entries);
  free(o);
}

static entry *find(const mg_options *o, const char *key) {
  for (size_t i = 0; i < o->count; i++) {
    if (strcmp(o->entries[i].key, key) == 0) return &o->entries[i];
  }
  return NULL;
}

/* Takes value.text over, on failure too. */
static bool put(mg_options *o, const char *key, entry value) {
  entry *at = find(o, key);
  if (at == NULL) {
    if (o->count == o->cap) {
      size_t cap = o->cap == 0 ? 16 : o->cap * 2;
      entry *more = realloc(o->entries, cap * sizeof *more);
      if (more == NULL) goto fail;
      o->entries = more;
      o->cap = cap;
    }
    char *copy = strdup(key);
    if (copy == NULL) goto fail;
    at = &o->entries[o->count++];
    *at = (entry){.key = copy};
  }
  free(at->text);
  value.key = at->key;
  *at = value;
  return true;
fail:
  free(value.text);
  return false;
}

bool mg_options_set_text(mg_options *o, const char *key, const char *value) {
  entry e = {.kind = KIND_TEXT, .text = strdup(value)};
  return e.text != NULL && put(o, key, e);
}

bool mg_options_set_int(mg_options *o, const char *key, int64_t value) {
  return put(o, key, (entry){.kind = KIND_INT, .integer = value});
}

bool mg_options_set_real(mg_options *o, const char *key, double value) {
  return put(o, key, (entry){.kind = KIND_REAL, .real = value});
}

bool mg_options_set_bool(mg_options *o, const char *key, bool value) {
  return put(o, key, (entry){.kind = KIND_BOOL, .truth = value});
}

bool mg_options_has(const mg_options *o, const char *key) {
  return find(o, key) != NULL;
}

static const entry *of_kind(const mg_options *o, const char *key, kind k) {
  const entry *at = find(o, key);
  return at != NULL && at->kind == k ? at : NULL;
}

const char *mg_options_text(const mg_options *o, const char *key, const char *otherwise) {
  const entry *at = of_kind(o, key, KIND_TEXT);
  return at != NULL ? at->text : otherwise;
}

int64_t mg_options_int(const mg_options *o, const char *key, int64_t otherwise) {
  const entry *at = of_kind(o, key, KIND_INT);
  return at != NULL ? at->integer : otherwise;
}

double mg_options_real(const mg_options *o, const char *key, double otherwise) {
  const entry *at = of_kind(o, key, KIND_REAL);
  if (at != NULL) return at->real;
  at = of_kind(o, key, KIND_INT);
  return at != NULL ? (double)at->integer : otherwise;
}

bool mg_options_bool(const mg_options *o, const char *key, bool otherwise) {
  const entry *at = of_kind(o, key, KIND_BOOL);
  return at != NULL ? at->truth : otherwise;
}

/* The shortest of the usual precisions that reads back as the same number. */
static void real_text(double real, char *out, size_t size) {
  char text[32];
  for (int digits = 15; digits <= 17; digits++) {
    (void)snprintf(text, sizeof text, "%.*g", digits, real);
    if (strtod(text, NULL) == real) break;
  }
  (void)snprintf(out, size, "%s", text);
}

bool mg_options_at(const mg_options *o, size_t i, const char **key, char *value, size_t size) {
  if (i >= o->count) return false;
  const entry *at = &o->entries[i];
  *key = at->key;
  switch (at->kind) {
    case KIND_TEXT: (void)snprintf(value, size, "%s", at->text); break;
    case KIND_INT: (void)snprintf(value, size, "%" PRId64, at->integer); break;
    case KIND_REAL: real_text(at->real, value, size); break;
    case KIND_BOOL: (void)snprintf(value, size, "%s", at->truth ? "true" : "false"); break;
  }
  return true;
}
