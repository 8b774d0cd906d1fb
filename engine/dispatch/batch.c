#include "dispatch/backend.h"

#include <stdlib.h>
#include <string.h>

void mg_batch_clear(mg_batch *b) {
  for (size_t i = 0; i < b->block_count; i++) free(b->blocks[i]);
  free(b->blocks);
  free(b->items);
  *b = (mg_batch){0};
}

static bool grow(void **array, size_t *cap, size_t count, size_t element) {
  if (count < *cap) return true;
  size_t more = *cap == 0 ? 16 : *cap * 2;
  void *moved = realloc(*array, more * element);
  if (moved == NULL) return false;
  *array = moved;
  *cap = more;
  return true;
}

/* Copies text with its NUL to *at and moves on; NULL becomes "". */
static const char *put_text(char **at, const char *text) {
  size_t size = text == NULL ? 1 : strlen(text) + 1;
  char *copy = *at;
  memcpy(copy, text == NULL ? "" : text, size);
  *at += size;
  return copy;
}

static size_t text_size(const char *text) {
  return text == NULL ? 1 : strlen(text) + 1;
}

bool mg_batch_add(mg_batch *b, const mg_delivery *d) {
  void *items = b->items, *blocks = b->blocks;
  bool room = grow(&items, &b->cap, b->count, sizeof *b->items);
  b->items = items;
  room = room && grow(&blocks, &b->block_cap, b->block_count, sizeof *b->blocks);
  b->blocks = blocks;
  if (!room) return false;
  size_t texts = text_size(d->run) + text_size(d->task) + text_size(d->from) + text_size(d->why);
  char *block = malloc(texts + d->body.len);
  if (block == NULL) return false;
  b->blocks[b->block_count++] = block;
  mg_delivery *item = &b->items[b->count++];
  *item = *d;
  char *at = block;
  item->run = put_text(&at, d->run);
  item->task = put_text(&at, d->task);
  item->from = put_text(&at, d->from);
  item->why = d->why == NULL ? NULL : put_text(&at, d->why);
  if (d->body.len > 0) memcpy(at, d->body.data, d->body.len);
  item->body = (mg_slice){(const uint8_t *)at, d->body.len};
  return true;
}
