#include "script/alloc.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (64u << 10)

#if defined(__SANITIZE_ADDRESS__) || defined(MG_PLAIN_MALLOC)
enum { SMALL = 0 }; /* each block malloc's own, so that a sanitizer sees a use after free */
#else
enum { SMALL = MG_ALLOC_SMALL };
#endif

static void *take_small(mg_alloc *a, size_t size) {
  size_t class = (size + 15) / 16;
  void *p = a->free[class];
  if (p != NULL) {
    memcpy(&a->free[class], p, sizeof(void *));
    return p;
  }
  size_t bytes = class * 16;
  if ((size_t)(a->end - a->at) < bytes) {
    char *chunk = malloc(CHUNK_BYTES);
    if (chunk == NULL) return NULL;
    memcpy(chunk, &a->chunks, sizeof a->chunks);
    a->chunks = chunk;
    a->at = chunk + 16;
    a->end = chunk + CHUNK_BYTES;
  }
  p = a->at;
  a->at += bytes;
  return p;
}

static void give_small(mg_alloc *a, void *p, size_t size) {
  size_t class = (size + 15) / 16;
  memcpy(p, &a->free[class], sizeof(void *));
  a->free[class] = p;
}

static void *take(mg_alloc *a, size_t size) {
  return size <= SMALL ? take_small(a, size) : malloc(size);
}

static void give(mg_alloc *a, void *p, size_t size) {
  if (size <= SMALL) give_small(a, p, size);
  else free(p);
}

void *mg_alloc_lua(void *ud, void *ptr, size_t osize, size_t nsize) {
  mg_alloc *a = ud;
  if (ptr == NULL) osize = 0; /* Lua passes the kind of object there */
  if (nsize == 0) {
    if (ptr != NULL) give(a, ptr, osize);
    a->used -= osize;
    return NULL;
  }
  if (a->limit != 0 && nsize > osize && a->used + (nsize - osize) > a->limit) return NULL;
  void *p;
  if (ptr == NULL) {
    p = take(a, nsize);
  } else if (osize > SMALL && nsize > SMALL) {
    p = realloc(ptr, nsize);
  } else if (osize <= SMALL && nsize <= SMALL && (osize + 15) / 16 == (nsize + 15) / 16) {
    p = ptr;
  } else {
    p = take(a, nsize);
    if (p != NULL) {
      memcpy(p, ptr, osize < nsize ? osize : nsize);
      give(a, ptr, osize);
    }
  }
  if (p != NULL) a->used = a->used - osize + nsize;
  return p;
}

void mg_alloc_fini(mg_alloc *a) {
  while (a->chunks != NULL) {
    void *chunk = a->chunks;
    memcpy(&a->chunks, chunk, sizeof a->chunks);
    free(chunk);
  }
}
