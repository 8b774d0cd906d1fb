#include "base/heap.h"

#include <stdlib.h>

void mg_heap_fini(mg_heap *h) {
  for (size_t i = 0; i < h->count; i++) h->nodes[i]->place = 0;
  free(h->nodes);
  *h = (mg_heap){0};
}

static bool before(const mg_heap_node *a, const mg_heap_node *b) {
  return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void set(mg_heap *h, size_t i, mg_heap_node *n) {
  h->nodes[i] = n;
  n->place = i + 1;
}

static void rise(mg_heap *h, size_t i) {
  mg_heap_node *n = h->nodes[i];
  while (i > 0 && before(n, h->nodes[(i - 1) / 2])) {
    set(h, i, h->nodes[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  set(h, i, n);
}

static void sink(mg_heap *h, size_t i) {
  mg_heap_node *n = h->nodes[i];
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= h->count) break;
    if (child + 1 < h->count && before(h->nodes[child + 1], h->nodes[child])) child++;
    if (!before(h->nodes[child], n)) break;
    set(h, i, h->nodes[child]);
    i = child;
  }
  set(h, i, n);
}

bool mg_heap_put(mg_heap *h, mg_heap_node *n, mg_ms due) {
  if (n->place == 0) {
    if (h->count == h->cap) {
      size_t cap = h->cap == 0 ? 16 : h->cap * 2;
      mg_heap_node **nodes = realloc(h->nodes, cap * sizeof *nodes);
      if (nodes == NULL) return false;
      h->nodes = nodes;
      h->cap = cap;
    }
    set(h, h->count++, n);
  }
  n->due = due;
  n->order = h->puts++;
  rise(h, n->place - 1);
  sink(h, n->place - 1);
  return true;
}

void mg_heap_remove(mg_heap *h, mg_heap_node *n) {
  if (n->place == 0) return;
  size_t i = n->place - 1;
  n->place = 0;
  mg_heap_node *last = h->nodes[--h->count];
  if (last == n) return;
  set(h, i, last);
  rise(h, i);
  sink(h, last->place - 1);
}

mg_heap_node *mg_heap_first(const mg_heap *h) {
  return h->count == 0 ? NULL : h->nodes[0];
}

mg_ms mg_heap_next(const mg_heap *h) {
  return h->count == 0 ? MG_NEVER : h->nodes[0]->due;
}
