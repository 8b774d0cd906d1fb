/* queue.h - a bounded first-in-first-out queue of pointers between two threads. Any number of threads may push and pop.
 *
 * It wakes nobody: the owner pairs it with an eventfd or a uv_async_t. One wake-up may stand for many pushes: drain the
 * queue, never count. It owns its slots, never what the pointers lead to. */
#ifndef MG_BASE_QUEUE_H
#define MG_BASE_QUEUE_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct mg_queue mg_queue;

mg_queue *mg_queue_new(size_t capacity); /* NULL where memory ended or capacity is 0 */
void mg_queue_free(mg_queue *q);         /* NULL is fine; what still stands in it is the caller's: pop it first */

/* MG_AGAIN where it is full, MG_LOST where it is closed. item must not be NULL. */
mg_err mg_queue_push(mg_queue *q, void *item);
/* The oldest item, also after close; NULL where it is empty. */
void *mg_queue_pop(mg_queue *q);
/* Every later push is refused. */
void mg_queue_close(mg_queue *q);

size_t mg_queue_count(mg_queue *q); /* true at some moment during the call */
bool mg_queue_closed(mg_queue *q);

#endif
