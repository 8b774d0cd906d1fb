#include "backends/net/newest.h"

#include <stdlib.h>
#include <string.h>

static void drop(mg_newest *n, size_t i) {
  free(n->items[i].subject);
  free(n->items[i].body);
  n->items[i] = n->items[--n->count];
}

void mg_newest_expire(mg_newest *n, mg_ms now) {
  for (size_t i = n->count; i > 0; i--) {
    if (n->items[i - 1].expires <= now) drop(n, i - 1);
  }
}

const mg_newest_item *mg_newest_find(const mg_newest *n, const char *subject, mg_ms now) {
  for (size_t i = 0; i < n->count; i++) {
    if (strcmp(n->items[i].subject, subject) == 0) return n->items[i].expires > now ? &n->items[i] : NULL;
  }
  return NULL;
}

void mg_newest_remove(mg_newest *n, const char *subject) {
  for (size_t i = n->count; i > 0; i--) {
    if (strcmp(n->items[i - 1].subject, subject) == 0) drop(n, i - 1);
  }
}

bool mg_newest_put(mg_newest *n, const char *subject, mg_slice body, mg_ms expires, bool *fresh) {
  size_t i = 0;
  while (i < n->count && strcmp(n->items[i].subject, subject) != 0) i++;
  bool is_new = i == n->count;
  if (fresh != NULL) *fresh = is_new;
  uint8_t *copy = malloc(body.len + 1);
  char *name = is_new ? strdup(subject) : NULL;
  if (copy == NULL || (is_new && name == NULL)) goto no_memory;
  if (is_new && n->count == n->cap) {
    size_t cap = n->cap == 0 ? 16 : 2 * n->cap;
    mg_newest_item *grown = realloc(n->items, cap * sizeof *grown);
    if (grown == NULL) goto no_memory;
    n->items = grown;
    n->cap = cap;
  }
  if (is_new)
    n->items[n->count++] = (mg_newest_item){.subject = name};
  else
    free(n->items[i].body);
  if (body.len > 0) memcpy(copy, body.data, body.len);
  n->items[i].body = copy;
  n->items[i].len = body.len;
  n->items[i].expires = expires;
  return true;
no_memory:
  free(copy);
  free(name);
  return false;
}

mg_err mg_newest_give(mg_newest *n, bool beats, mg_batch *out, mg_error *e) {
  mg_newest_expire(n, mg_now_ms());
  for (size_t i = 0; i < n->count; i++) {
    const mg_newest_item *note = &n->items[i];
    mg_delivery d = {.run = "", .task = "", .from = beats ? note->subject : "", .body = {note->body, note->len}};
    if (!mg_batch_add(out, &d)) return mg_fail(e, MG_NOMEM, "no memory left to read beats or controls");
  }
  return MG_OK;
}

void mg_newest_fini(mg_newest *n) {
  while (n->count > 0) drop(n, n->count - 1);
  free(n->items);
  *n = (mg_newest){0};
}
