#include "backends/memory/store.h"

#include <stdlib.h>
#include <string.h>

static void drop(mg_notes *notes, size_t i) {
  free(notes->items[i].subject);
  free(notes->items[i].body);
  memmove(&notes->items[i], &notes->items[i + 1], (notes->count - i - 1) * sizeof *notes->items);
  notes->count--;
}

void mg_notes_expire(mg_notes *notes, mg_ms now) {
  for (size_t i = notes->count; i-- > 0;) {
    if (notes->items[i].expires <= now) drop(notes, i);
  }
}

void mg_notes_remove(mg_notes *notes, const char *subject) {
  for (size_t i = notes->count; i-- > 0;) {
    if (strcmp(notes->items[i].subject, subject) == 0) drop(notes, i);
  }
}

const mg_note *mg_notes_find(mg_notes *notes, const char *subject, mg_ms now) {
  for (size_t i = 0; i < notes->count; i++) {
    if (strcmp(notes->items[i].subject, subject) == 0) return notes->items[i].expires > now ? &notes->items[i] : NULL;
  }
  return NULL;
}

bool mg_notes_put(mg_notes *notes, const char *subject, mg_slice body, mg_ms expires) {
  if (notes->count == notes->cap) {
    size_t cap = notes->cap == 0 ? 8 : notes->cap * 2;
    mg_note *items = realloc(notes->items, cap * sizeof *items);
    if (items == NULL) return false;
    notes->items = items;
    notes->cap = cap;
  }
  mg_note note = {.subject = strdup(subject), .body = malloc(body.len + 1), .body_len = body.len, .expires = expires};
  if (note.subject == NULL || note.body == NULL) {
    free(note.subject);
    free(note.body);
    return false;
  }
  if (body.len > 0) memcpy(note.body, body.data, body.len);
  mg_notes_remove(notes, subject);
  notes->items[notes->count++] = note;
  return true;
}

void mg_notes_fini(mg_notes *notes) {
  while (notes->count > 0) drop(notes, notes->count - 1);
  free(notes->items);
  *notes = (mg_notes){0};
}
