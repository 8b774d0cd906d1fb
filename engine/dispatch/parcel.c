#include "dispatch/parcel.h"

#include <stdlib.h>
#include <string.h>

enum { KEEP_ITEMS = 65536, KEEP_BYTES = 16 << 20 };

void mg_parcel_fini(mg_parcel *p) {
  free(p->items);
  mg_buf_fini(&p->bytes);
  *p = (mg_parcel){0};
}

void mg_parcel_clear(mg_parcel *p) {
  if (p->cap > KEEP_ITEMS || p->bytes.cap > KEEP_BYTES) {
    mg_parcel_fini(p);
    return;
  }
  p->count = 0;
  p->last_run = 0;
  mg_buf_clear(&p->bytes);
}

mg_item *mg_parcel_new(mg_parcel *p, int kind) {
  if (p->count == p->cap) {
    size_t cap = p->cap == 0 ? 64 : 2 * p->cap;
    mg_item *grown = realloc(p->items, cap * sizeof *grown);
    if (grown == NULL) return NULL;
    p->items = grown;
    p->cap = cap;
  }
  mg_item *i = &p->items[p->count++];
  *i = (mg_item){.kind = kind};
  return i;
}

size_t mg_parcel_body(mg_parcel *p, const void *data, size_t len) {
  if (p->bytes.len == 0) mg_buf_put(&p->bytes, "", 1); /* place 0 means none */
  size_t at = p->bytes.len;
  mg_buf_put(&p->bytes, data, len);
  return p->bytes.failed ? 0 : at;
}

size_t mg_parcel_text(mg_parcel *p, const char *text) { return text == NULL ? 0 : mg_parcel_body(p, text, strlen(text) + 1); }

size_t mg_parcel_run(mg_parcel *p, const char *run) {
  if (run == NULL) return 0;
  if (p->last_run != 0 && strcmp((const char *)p->bytes.data + p->last_run, run) == 0) return p->last_run;
  return p->last_run = mg_parcel_text(p, run);
}

const char *mg_parcel_text_at(const mg_parcel *p, size_t place) { return place == 0 ? NULL : (const char *)p->bytes.data + place; }

mg_slice mg_parcel_body_of(const mg_parcel *p, const mg_item *i) {
  if (i->body_len == 0) return (mg_slice){0};
  return (mg_slice){p->bytes.data + i->body, i->body_len};
}

bool mg_parcel_copy(mg_parcel *to, const mg_parcel *from, const mg_item *i) {
  mg_item *copy = mg_parcel_new(to, i->kind);
  if (copy == NULL) return false;
  *copy = *i;
  copy->run = mg_parcel_run(to, mg_parcel_text_at(from, i->run));
  copy->task = mg_parcel_text(to, mg_parcel_text_at(from, i->task));
  copy->text = mg_parcel_text(to, mg_parcel_text_at(from, i->text));
  copy->body = i->body_len == 0 ? 0 : mg_parcel_body(to, from->bytes.data + i->body, i->body_len);
  return !to->bytes.failed;
}

bool mg_parcel_move(mg_parcel *to, mg_parcel *from) {
  bool whole = true;
  mg_ms stamp = from->stamp > to->stamp ? from->stamp : to->stamp;
  if (to->count == 0) {
    mg_parcel swap = *to;
    *to = *from;
    *from = swap;
  } else {
    for (size_t i = 0; i < from->count; i++) whole = mg_parcel_copy(to, from, &from->items[i]) && whole;
  }
  mg_parcel_clear(from);
  to->stamp = stamp;
  from->stamp = 0;
  return whole;
}
