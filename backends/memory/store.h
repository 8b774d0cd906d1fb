/* store.h - what the memory broker keeps: runs, their tasks, dead letters and results. Inside backends/memory/ only.
 *
 * Thread: whoever holds mg_memory_broker.lock. An entry is freed when the store and every lease receipt have let it go,
 * so a receipt may outlive its task. The life of a task: READY or DELAYED -> LEASED -> GONE or DEAD or READY again; of
 * a result: WAITING -> GIVEN -> GONE. */
#ifndef MG_BACKENDS_MEMORY_STORE_H
#define MG_BACKENDS_MEMORY_STORE_H

#include "backends/net/newest.h"
#include "backends/memory/memory.h"
#include "base/heap.h"
#include <pthread.h>

typedef struct mg_node {
  struct mg_node *prev, *next;
} mg_node;

typedef enum mg_entry_state {
  MG_ENTRY_GONE = 0, /* only receipts know it; run is NULL */
  MG_ENTRY_READY,    /* in run->ready */
  MG_ENTRY_DELAYED,  /* in store->delayed by due time */
  MG_ENTRY_LEASED,   /* in run->leased by the lease's end; holder is set */
  MG_ENTRY_DEAD,     /* in run->dead; why is set */
  MG_ENTRY_WAITING,  /* a result in run->results */
  MG_ENTRY_GIVEN     /* a result under a receipt, in run->given */
} mg_entry_state;

typedef struct mg_memory_run {
  char *name;
  mg_node in_store; /* in store->runs: the order in which runs are served next */
  mg_node tasks;    /* READY, DELAYED and LEASED, oldest first */
  mg_node ready, dead, results, given;
  mg_heap leased;
  int64_t pending, in_flight, dead_count, result_count;
} mg_memory_run;

typedef struct mg_entry {
  unsigned refs;
  mg_entry_state state;
  mg_memory_run *run;
  mg_node in_run;         /* in tasks, dead, results or given */
  mg_node in_ready;       /* READY */
  mg_heap_node due;       /* DELAYED, LEASED */
  struct mg_entry *chain; /* in the table: tasks and dead letters */
  uint64_t token;         /* of the receipt that is valid now; 0: none */
  char *task, *holder, *why;
  uint32_t attempt;
  mg_ms published_ms;
  size_t body_len;
  uint8_t body[];
} mg_entry;

typedef struct mg_memory mg_memory; /* an open backend; memory.c */

struct mg_memory_broker {
  pthread_mutex_t lock; /* a leaf; held for copying, never while waiting */
  mg_node runs;
  mg_heap delayed;
  mg_entry **buckets;
  size_t bucket_count, entry_count;
  uint64_t tokens;
  mg_newest beats, controls, quarantined;
  mg_memory *open; /* list of the open backends, to wake them */
};

#define MG_NODE_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
static inline void mg_list_init(mg_node *head) {
  head->prev = head->next = head;
}
static inline bool mg_list_empty(const mg_node *head) {
  return head->next == head;
}
void mg_list_append(mg_node *head, mg_node *n);
void mg_list_prepend(mg_node *head, mg_node *n);
void mg_list_remove(mg_node *n);

/* NULL: not known; make: NULL only where memory ended. */
mg_memory_run *mg_store_run(mg_memory_broker *m, const char *name, bool make);
void mg_store_drop_run_if_empty(mg_memory_run *run);

mg_entry *mg_store_find(const mg_memory_broker *m, const mg_memory_run *run, const char *task, uint32_t attempt);
/* A task that is READY, or DELAYED until due where due > now. NULL where memory ended. */
mg_entry *mg_store_add_task(mg_memory_broker *m, mg_memory_run *run, const mg_publish *p, mg_ms now);
mg_entry *mg_store_add_result(mg_memory_run *run, const mg_publish *p);

/* Changes of state. Each leaves the old one first; the receipt of the old one is void. false where memory ended:
 * nothing changed. */
bool mg_store_make_pending(mg_memory_broker *m, mg_entry *x, mg_ms due, mg_ms now);
bool mg_store_lease(mg_memory_broker *m, mg_entry *x, const char *holder, mg_ms end);
bool mg_store_bury(mg_memory_broker *m, mg_entry *x, const char *why);
void mg_store_give(mg_memory_broker *m, mg_entry *x);   /* result: WAITING -> GIVEN */
void mg_store_take_back(mg_entry *x);                   /* result: GIVEN -> WAITING, before the others */
void mg_store_remove(mg_memory_broker *m, mg_entry *x); /* any -> GONE */
void mg_entry_release(mg_entry *x);                     /* one reference less */

/* Moves what is due to the ready lists. */
void mg_store_wake_delayed(mg_memory_broker *m, mg_ms now);
/* The next ready task, runs in turn; NULL where there is none outside skip. */
mg_entry *mg_store_next(mg_memory_broker *m, const char *const *skip, size_t skip_count);

/* Whether a dead letter of that task stands in the run. */
bool mg_store_is_dead(const mg_memory_run *run, const char *task);

#endif
