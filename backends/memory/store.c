#include "backends/memory/store.h"

#include "base/hash.h"
#include <stdlib.h>
#include <string.h>

void mg_list_append(mg_node *head, mg_node *n) {
  n->prev = head->prev;
  n->next = head;
  head->prev->next = n;
  head->prev = n;
}

void mg_list_prepend(mg_node *head, mg_node *n) {
  mg_list_append(head->next, n);
}

void mg_list_remove(mg_node *n) {
  n->prev->next = n->next;
  n->next->prev = n->prev;
  n->prev = n->next = NULL;
}

mg_memory_broker *mg_memory_broker_new(void) {
  mg_memory_broker *m = calloc(1, sizeof *m);
  if (m == NULL) return NULL;
  m->bucket_count = 64;
  m->buckets = calloc(m->bucket_count, sizeof *m->buckets);
  if (m->buckets == NULL || pthread_mutex_init(&m->lock, NULL) != 0) {
    free(m->buckets);
    free(m);
    return NULL;
  }
  mg_list_init(&m->runs);
  return m;
}

static void remove_all(mg_memory_broker *m, mg_node *list) {
  while (!mg_list_empty(list)) mg_store_remove(m, MG_NODE_OWNER(list->next, mg_entry, in_run));
}

static void free_run(mg_memory_run *run) {
  mg_list_remove(&run->in_store);
  mg_heap_fini(&run->leased);
  free(run->name);
  free(run);
}

void mg_memory_broker_free(mg_memory_broker *m) {
  if (m == NULL) return;
  while (!mg_list_empty(&m->runs)) {
    mg_memory_run *run = MG_NODE_OWNER(m->runs.next, mg_memory_run, in_store);
    remove_all(m, &run->tasks);
    remove_all(m, &run->dead);
    remove_all(m, &run->results);
    remove_all(m, &run->given);
    free_run(run);
  }
  mg_newest_fini(&m->beats);
  mg_newest_fini(&m->controls);
  mg_newest_fini(&m->quarantined);
  mg_heap_fini(&m->delayed);
  (void)pthread_mutex_destroy(&m->lock);
  free(m->buckets);
  free(m);
}

mg_memory_run *mg_store_run(mg_memory_broker *m, const char *name, bool make) {
  for (mg_node *n = m->runs.next; n != &m->runs; n = n->next) {
    mg_memory_run *run = MG_NODE_OWNER(n, mg_memory_run, in_store);
    if (strcmp(run->name, name) == 0) return run;
  }
  if (!make) return NULL;
  mg_memory_run *run = calloc(1, sizeof *run);
  if (run == NULL) return NULL;
  run->name = strdup(name);
  if (run->name == NULL) {
    free(run);
    return NULL;
  }
  mg_list_init(&run->tasks);
  mg_list_init(&run->ready);
  mg_list_init(&run->dead);
  mg_list_init(&run->results);
  mg_list_init(&run->given);
  mg_list_append(&m->runs, &run->in_store);
  return run;
}

void mg_store_drop_run_if_empty(mg_memory_run *run) {
  if (run != NULL && run->pending + run->in_flight + run->dead_count + run->result_count == 0) free_run(run);
}

/* Runs share the table: the same task id may stand in several. */
static size_t bucket_of(const mg_memory_broker *m, const mg_memory_run *run, const char *task, uint32_t attempt) {
  uint64_t low, high;
  mg_xxh3_128(task, strlen(task), &low, &high);
  return (size_t)((low ^ (uint64_t)(uintptr_t)run * 0x9E3779B97F4A7C15u ^ attempt) % m->bucket_count);
}

mg_entry *mg_store_find(const mg_memory_broker *m, const mg_memory_run *run, const char *task, uint32_t attempt) {
  if (run == NULL) return NULL;
  mg_entry *x = m->buckets[bucket_of(m, run, task, attempt)];
  while (x != NULL && (x->run != run || x->attempt != attempt || strcmp(x->task, task) != 0)) x = x->chain;
  return x;
}

static void table_add(mg_memory_broker *m, mg_entry *x) {
  size_t at = bucket_of(m, x->run, x->task, x->attempt);
  x->chain = m->buckets[at];
  m->buckets[at] = x;
}

static void table_remove(mg_memory_broker *m, mg_entry *x) {
  mg_entry **at = &m->buckets[bucket_of(m, x->run, x->task, x->attempt)];
  while (*at != x) at = &(*at)->chain;
  *at = x->chain;
  m->entry_count--;
}

/* Longer chains are slower, not wrong: without memory the table just stays as it is. */
static void table_grow(mg_memory_broker *m) {
  if (m->entry_count < m->bucket_count) return;
  mg_entry **old = m->buckets;
  size_t old_count = m->bucket_count;
  mg_entry **buckets = calloc(old_count * 4, sizeof *buckets);
  if (buckets == NULL) return;
  m->buckets = buckets;
  m->bucket_count = old_count * 4;
  for (size_t i = 0; i < old_count; i++) {
    for (mg_entry *x = old[i], *next; x != NULL; x = next) {
      next = x->chain;
      table_add(m, x);
    }
  }
  free(old);
}

static mg_entry *new_entry(mg_memory_run *run, const mg_publish *p, mg_ms now) {
  mg_entry *x = calloc(1, sizeof *x + p->body.len);
  if (x == NULL) return NULL;
  x->task = strdup(p->task);
  if (x->task == NULL) {
    free(x);
    return NULL;
  }
  x->refs = 1;
  x->run = run;
  x->attempt = p->attempt;
  x->published_ms = now;
  x->body_len = p->body.len;
  if (p->body.len > 0) memcpy(x->body, p->body.data, p->body.len);
  return x;
}

void mg_entry_release(mg_entry *x) {
  if (--x->refs > 0) return;
  free(x->task);
  free(x->holder);
  free(x->why);
  free(x);
}

/* Out of its state: lists, heaps, counts. x stays in the table where it was. */
static void leave(mg_memory_broker *m, mg_entry *x) {
  mg_memory_run *run = x->run;
  switch (x->state) {
    case MG_ENTRY_GONE: return;
    case MG_ENTRY_READY:
      mg_list_remove(&x->in_ready);
      run->pending--;
      break;
    case MG_ENTRY_DELAYED:
      mg_heap_remove(&m->delayed, &x->due);
      run->pending--;
      break;
    case MG_ENTRY_LEASED:
      mg_heap_remove(&run->leased, &x->due);
      run->in_flight--;
      break;
    case MG_ENTRY_DEAD: run->dead_count--; break;
    case MG_ENTRY_WAITING:
    case MG_ENTRY_GIVEN: run->result_count--; break;
  }
  x->token = 0;
}

static bool is_task(const mg_entry *x) {
  return x->state == MG_ENTRY_READY || x->state == MG_ENTRY_DELAYED || x->state == MG_ENTRY_LEASED;
}

/* Into one of the states that stand in run->tasks; a dead letter that comes back goes to the end. */
static void enter(mg_entry *x, mg_entry_state state) {
  if (!is_task(x)) {
    if (x->in_run.next != NULL) mg_list_remove(&x->in_run);
    mg_list_append(&x->run->tasks, &x->in_run);
  }
  x->state = state;
}

bool mg_store_make_pending(mg_memory_broker *m, mg_entry *x, mg_ms due, mg_ms now) {
  bool delayed = due > now;
  if (delayed && x->state == MG_ENTRY_DELAYED) return mg_heap_put(&m->delayed, &x->due, due);
  mg_heap_node later = {0};
  /* Take the place first: the node that stands for x must not be in two heaps, and nothing may change where memory
   * ends. */
  if (delayed && !mg_heap_put(&m->delayed, &later, due)) return false;
  leave(m, x);
  if (delayed) {
    mg_heap_remove(&m->delayed, &later);
    (void)mg_heap_put(&m->delayed, &x->due, due);
    enter(x, MG_ENTRY_DELAYED);
  } else {
    enter(x, MG_ENTRY_READY);
    mg_list_append(&x->run->ready, &x->in_ready);
  }
  x->run->pending++;
  free(x->holder);
  free(x->why);
  x->holder = x->why = NULL;
  return true;
}

mg_entry *mg_store_add_task(mg_memory_broker *m, mg_memory_run *run, const mg_publish *p, mg_ms now) {
  table_grow(m);
  mg_entry *x = new_entry(run, p, now);
  if (x == NULL) return NULL;
  if (!mg_store_make_pending(m, x, now + p->delay_ms, now)) {
    mg_entry_release(x);
    return NULL;
  }
  table_add(m, x);
  m->entry_count++;
  return x;
}

mg_entry *mg_store_add_result(mg_memory_run *run, const mg_publish *p) {
  mg_entry *x = new_entry(run, p, 0);
  if (x == NULL) return NULL;
  x->state = MG_ENTRY_WAITING;
  mg_list_append(&run->results, &x->in_run);
  run->result_count++;
  return x;
}

bool mg_store_lease(mg_memory_broker *m, mg_entry *x, const char *holder, mg_ms end) {
  char *copy = strdup(holder);
  if (copy == NULL) return false;
  mg_heap_node place = {0};
  if (!mg_heap_put(&x->run->leased, &place, end)) {
    free(copy);
    return false;
  }
  mg_heap_remove(&x->run->leased, &place);
  leave(m, x);
  (void)mg_heap_put(&x->run->leased, &x->due, end);
  enter(x, MG_ENTRY_LEASED);
  x->run->in_flight++;
  free(x->holder);
  x->holder = copy;
  x->token = ++m->tokens;
  return true;
}

bool mg_store_bury(mg_memory_broker *m, mg_entry *x, const char *why) {
  char *copy = strdup(why);
  if (copy == NULL) return false;
  leave(m, x);
  mg_list_remove(&x->in_run);
  mg_list_append(&x->run->dead, &x->in_run);
  x->state = MG_ENTRY_DEAD;
  x->run->dead_count++;
  free(x->why);
  x->why = copy;
  return true;
}

void mg_store_give(mg_memory_broker *m, mg_entry *x) {
  mg_list_remove(&x->in_run);
  mg_list_append(&x->run->given, &x->in_run);
  x->state = MG_ENTRY_GIVEN;
  x->token = ++m->tokens;
}

void mg_store_take_back(mg_entry *x) {
  mg_list_remove(&x->in_run);
  mg_list_prepend(&x->run->results, &x->in_run);
  x->state = MG_ENTRY_WAITING;
  x->token = 0;
}

void mg_store_remove(mg_memory_broker *m, mg_entry *x) {
  if (x->state == MG_ENTRY_GONE) return;
  if (is_task(x) || x->state == MG_ENTRY_DEAD) table_remove(m, x);
  leave(m, x);
  mg_list_remove(&x->in_run);
  x->state = MG_ENTRY_GONE;
  x->run = NULL;
  mg_entry_release(x);
}

void mg_store_wake_delayed(mg_memory_broker *m, mg_ms now) {
  while (mg_heap_next(&m->delayed) <= now) {
    mg_entry *x = MG_HEAP_OWNER(mg_heap_first(&m->delayed), mg_entry, due);
    (void)mg_store_make_pending(m, x, 0, now); /* needs no memory */
  }
}

static bool skipped(const char *run, const char *const *skip, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(run, skip[i]) == 0) return true;
  }
  return false;
}

mg_entry *mg_store_next(mg_memory_broker *m, const char *const *skip, size_t skip_count) {
  for (mg_node *n = m->runs.next; n != &m->runs; n = n->next) {
    mg_memory_run *run = MG_NODE_OWNER(n, mg_memory_run, in_store);
    if (mg_list_empty(&run->ready) || skipped(run->name, skip, skip_count)) continue;
    /* Who was served goes to the end; the order of the others stays. */
    mg_list_remove(n);
    mg_list_append(&m->runs, n);
    return MG_NODE_OWNER(run->ready.next, mg_entry, in_ready);
  }
  return NULL;
}

bool mg_store_is_dead(const mg_memory_run *run, const char *task) {
  for (const mg_node *n = run->dead.next; n != &run->dead; n = n->next) {
    if (strcmp(MG_NODE_OWNER(n, mg_entry, in_run)->task, task) == 0) return true;
  }
  return false;
}
