#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>

struct mg_queue {
  pthread_mutex_t lock; /* a leaf: nothing else is locked while it is held */
  void **slots;
  size_t capacity, first, count;
  bool closed;
};

mg_queue *mg_queue_new(size_t capacity) {
  if (capacity == 0) return NULL;
  mg_queue *q = calloc(1, sizeof *q);
  if (q == NULL) return NULL;
  q->slots = calloc(capacity, sizeof *q->slots);
  if (q->slots == NULL || pthread_mutex_init(&q->lock, NULL) != 0) {
    free(q->slots);
    free(q);
    return NULL;
  }
  q->capacity = capacity;
  return q;
}

void mg_queue_free(mg_queue *q) {
  if (q == NULL) return;
  (void)pthread_mutex_destroy(&q->lock);
  free(q->slots);
  free(q);
}

mg_err mg_queue_push(mg_queue *q, void *item) {
  mg_err err = MG_OK;
  (void)pthread_mutex_lock(&q->lock);
  if (q->closed) {
    err = MG_LOST;
  } else if (q->count == q->capacity) {
    err = MG_AGAIN;
  } else {
    q->slots[(q->first + q->count) % q->capacity] = item;
    q->count++;
  }
  (void)pthread_mutex_unlock(&q->lock);
  return err;
}

void *mg_queue_pop(mg_queue *q) {
  void *item = NULL;
  (void)pthread_mutex_lock(&q->lock);
  if (q->count > 0) {
    item = q->slots[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->count--;
  }
  (void)pthread_mutex_unlock(&q->lock);
  return item;
}

void mg_queue_close(mg_queue *q) {
  (void)pthread_mutex_lock(&q->lock);
  q->closed = true;
  (void)pthread_mutex_unlock(&q->lock);
}

size_t mg_queue_count(mg_queue *q) {
  (void)pthread_mutex_lock(&q->lock);
  size_t count = q->count;
  (void)pthread_mutex_unlock(&q->lock);
  return count;
}

bool mg_queue_closed(mg_queue *q) {
  (void)pthread_mutex_lock(&q->lock);
  bool closed = q->closed;
  (void)pthread_mutex_unlock(&q->lock);
  return closed;
}
