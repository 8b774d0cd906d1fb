/* heap.h - due times in order: a binary heap of nodes that stand inside their owner's structs. Any thread; one owner.
 *
 * Equal due times come out in the order they were put in. The heap owns its array, never the nodes. */
#ifndef MG_BASE_HEAP_H
#define MG_BASE_HEAP_H

#include "base/clock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The handle. Zero-initialised stands in no heap. */
typedef struct mg_heap_node {
  mg_ms due;      /* read only while in a heap: change it by mg_heap_put */
  uint64_t order; /* the heap's own */
  size_t place;   /* the heap's own: index + 1, 0 in no heap */
} mg_heap_node;

/* Zero-initialised is empty. */
typedef struct mg_heap {
  mg_heap_node **nodes;
  size_t count, cap;
  uint64_t puts;
} mg_heap;

/* The struct whose `member` is at node. */
#define MG_HEAP_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void mg_heap_fini(mg_heap *h); /* frees the array; the nodes still in it are marked as in no heap */

/* Puts n in, or moves it where it is in already. false where memory ended (never when it only moves). */
bool mg_heap_put(mg_heap *h, mg_heap_node *n, mg_ms due);
/* Takes n out, wherever it stands; nothing where it is in no heap. */
void mg_heap_remove(mg_heap *h, mg_heap_node *n);

/* The earliest, left in its place; NULL when empty. */
mg_heap_node *mg_heap_first(const mg_heap *h);
/* Earliest due time, or MG_NEVER when empty. */
mg_ms mg_heap_next(const mg_heap *h);
static inline bool mg_heap_holds(const mg_heap_node *n) {
  return n->place != 0;
}

#endif
