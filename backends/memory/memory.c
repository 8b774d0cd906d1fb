#include "backends/memory/memory.h"

#include "backends/memory/store.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mg_lease {
  mg_memory *owner;
  mg_node in_owner;
  mg_entry *entry; /* one reference */
  uint64_t token;
};

struct mg_memory {
  mg_backend base;
  mg_memory_broker *broker;
  char *identity, *run; /* run: NULL in a worker */
  int wake_fd;
  int news_fd; /* eventfd; written under the lock where waits is set */
  bool waits;  /* under the lock: the owner sleeps, or is about to */
  bool news;   /* under the lock: something came since the owner last looked */
  mg_node leases;
  mg_memory *next_open;
};

static mg_memory *self(mg_backend *b) {
  return (mg_memory *)(void *)b;
}

static void lock(mg_memory *b) {
  (void)pthread_mutex_lock(&b->broker->lock);
}

static void unlock(mg_memory *b) {
  (void)pthread_mutex_unlock(&b->broker->lock);
}

/* With the lock held: tells those who wait for tasks (run NULL) or for the results of run. */
static void tell(mg_memory_broker *m, const char *run) {
  for (mg_memory *b = m->open; b != NULL; b = b->next_open) {
    if (run == NULL ? b->run != NULL : (b->run == NULL || strcmp(b->run, run) != 0)) continue;
    b->news = true;
    if (!b->waits) continue;
    b->waits = false;
    uint64_t one = 1;
    ssize_t n = write(b->news_fd, &one, sizeof one);
    (void)n; /* fails only where the counter is full, and then it is readable already */
  }
}

/* With the lock held; lets go of it while asleep. Until news, `until`, or wake_fd is readable: false then, and the
 * caller returns. */
static bool sleep_until(mg_memory *b, mg_ms until) {
  b->waits = true;
  unlock(b);
  struct pollfd fds[2] = {{.fd = b->news_fd, .events = POLLIN}, {.fd = b->wake_fd, .events = POLLIN}};
  (void)poll(fds, 2, mg_until_ms(until)); /* interrupted: the caller looks again */
  uint64_t count;
  ssize_t n = read(b->news_fd, &count, sizeof count);
  (void)n;
  lock(b);
  b->waits = false;
  return (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) == 0;
}

static mg_err memory_open(mg_backend **out, const mg_backend_config *config, mg_ms until, mg_error *e) {
  (void)until;
  mg_memory_broker *m = config->shared;
  if (m == NULL)
    return mg_fail(e, MG_ARG, "the memory backend works inside one process only: this one was given no broker");
  mg_memory *b = calloc(1, sizeof *b);
  if (b == NULL) return mg_fail(e, MG_NOMEM, "no memory left for the memory backend");
  b->base.ops = &mg_memory_backend;
  b->broker = m;
  b->wake_fd = config->wake_fd;
  b->news_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int why = errno;
  b->identity = strdup(config->identity == NULL ? "" : config->identity);
  b->run = config->run == NULL ? NULL : strdup(config->run);
  mg_list_init(&b->leases);
  if (b->news_fd < 0 || b->identity == NULL || (config->run != NULL && b->run == NULL)) {
    bool no_fd = b->news_fd < 0;
    if (!no_fd) (void)close(b->news_fd);
    free(b->identity);
    free(b->run);
    free(b);
    return no_fd ? mg_fail_errno(e, MG_CONN, why, "no eventfd for the memory backend")
                 : mg_fail(e, MG_NOMEM, "no memory left for the memory backend");
  }
  lock(b);
  b->next_open = m->open;
  m->open = b;
  unlock(b);
  *out = &b->base;
  return MG_OK;
}

/* With the lock held. */
static void drop_lease(mg_lease *l) {
  mg_list_remove(&l->in_owner);
  mg_entry_release(l->entry);
  free(l);
}

/* Results that were given but not acked come back in their order: the newest receipt is looked at first, each goes
 * before the others. */
static void memory_close(mg_backend *base) {
  if (base == NULL) return;
  mg_memory *b = self(base);
  lock(b);
  while (!mg_list_empty(&b->leases)) {
    mg_lease *l = MG_NODE_OWNER(b->leases.prev, mg_lease, in_owner);
    if (l->entry->state == MG_ENTRY_GIVEN && l->entry->token == l->token) mg_store_take_back(l->entry);
    drop_lease(l);
  }
  if (b->run != NULL) tell(b->broker, b->run);
  mg_memory **at = &b->broker->open;
  while (*at != b) at = &(*at)->next_open;
  *at = b->next_open;
  unlock(b);
  (void)close(b->news_fd);
  free(b->identity);
  free(b->run);
  free(b);
}

static mg_err memory_publish_tasks(mg_backend *base, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  mg_memory *b = self(base);
  mg_memory_broker *m = b->broker;
  mg_ms now = mg_now_ms();
  lock(b);
  for (size_t i = 0; i < count; i++) {
    mg_memory_run *run = mg_store_run(m, items[i].run, true);
    bool there = mg_store_find(m, run, items[i].task, items[i].attempt) != NULL;
    items[i].err = run != NULL && (there || mg_store_add_task(m, run, &items[i], now) != NULL) ? MG_OK : MG_NOMEM;
  }
  tell(m, NULL);
  unlock(b);
  return MG_OK;
}

/* With the lock held. An item with a receipt where entry is not to be had without one; false where memory ended:
 * nothing changed. */
static bool hand_out(mg_memory *b, mg_batch *out, mg_entry *x, mg_lease **given) {
  mg_lease *l = calloc(1, sizeof *l);
  if (l == NULL) return false;
  *l = (mg_lease){.owner = b, .entry = x};
  mg_delivery d = {
      .run = x->run->name, .task = x->task, .attempt = x->attempt, .body = {x->body, x->body_len}, .lease = l};
  if (!mg_batch_add(out, &d)) {
    free(l);
    return false;
  }
  x->refs++;
  mg_list_append(&b->leases, &l->in_owner);
  *given = l;
  return true;
}

static mg_err memory_fetch_tasks(mg_backend *base, const mg_fetch *how, mg_batch *out, mg_error *e) {
  mg_memory *b = self(base);
  mg_memory_broker *m = b->broker;
  size_t got = 0;
  mg_err err = MG_OK;
  lock(b);
  for (bool awake = true; awake;) {
    mg_ms now = mg_now_ms();
    b->news = false;
    mg_store_wake_delayed(m, now);
    const mg_newest_item *barred = mg_newest_find(&m->quarantined, b->identity, now);
    while (got < how->max && barred == NULL && err == MG_OK) {
      mg_entry *x = mg_store_next(m, how->skip_runs, how->skip_count);
      if (x == NULL) break;
      mg_lease *l = NULL;
      if (!mg_store_lease(m, x, b->identity, now + how->lease_ms)) {
        err = MG_NOMEM;
      } else if (!hand_out(b, out, x, &l)) {
        (void)mg_store_make_pending(m, x, 0, now);
        err = MG_NOMEM;
      } else {
        l->token = x->token;
        got++;
      }
    }
    if (got > 0 || err != MG_OK || how->max == 0 || now >= how->until) break;
    mg_ms next = mg_heap_next(&m->delayed);
    if (barred != NULL) next = barred->expires;
    awake = sleep_until(b, next < how->until ? next : how->until);
  }
  unlock(b);
  return err == MG_OK || got > 0 ? MG_OK : mg_fail(e, err, "no memory left to fetch tasks");
}

/* The task a receipt is valid for, or NULL. With the lock held. */
static mg_entry *held(const mg_lease *l, mg_entry_state state) {
  return l != NULL && l->entry->state == state && l->entry->token == l->token ? l->entry : NULL;
}

typedef enum settle_kind { ACK, NACK, BURY, EXTEND, ACK_RESULT } settle_kind;

static mg_err settle_one(mg_memory_broker *m, const mg_settle *item, settle_kind kind, mg_ms now) {
  mg_entry *x = held(item->lease, kind == ACK_RESULT ? MG_ENTRY_GIVEN : MG_ENTRY_LEASED);
  if (x == NULL) return MG_LOST;
  mg_memory_run *run = x->run;
  switch (kind) {
    case ACK:
    case ACK_RESULT:
      mg_store_remove(m, x);
      mg_store_drop_run_if_empty(run);
      return MG_OK;
    case NACK: return mg_store_make_pending(m, x, now + item->ms, now) ? MG_OK : MG_NOMEM;
    case BURY: return mg_store_bury(m, x, item->why == NULL ? "" : item->why) ? MG_OK : MG_NOMEM;
    case EXTEND: return mg_heap_put(&run->leased, &x->due, now + item->ms) ? MG_OK : MG_NOMEM;
  }
  return MG_ARG;
}

static mg_err settle(mg_backend *base, mg_settle *items, size_t count, settle_kind kind) {
  mg_memory *b = self(base);
  mg_ms now = mg_now_ms();
  lock(b);
  for (size_t i = 0; i < count; i++) items[i].err = settle_one(b->broker, &items[i], kind, now);
  if (kind == NACK) tell(b->broker, NULL);
  unlock(b);
  return MG_OK;
}

static mg_err memory_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  return settle(b, items, count, EXTEND);
}

static mg_err memory_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  return settle(b, items, count, ACK);
}

static mg_err memory_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  return settle(b, items, count, NACK);
}

static mg_err memory_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  return settle(b, items, count, BURY);
}

static mg_err memory_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  return settle(b, items, count, ACK_RESULT);
}

static void memory_forget(mg_backend *base, mg_lease *l) {
  if (l == NULL) return;
  mg_memory *b = self(base);
  lock(b);
  drop_lease(l);
  unlock(b);
}

static mg_err memory_publish_results(mg_backend *base, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  mg_memory *b = self(base);
  lock(b);
  for (size_t i = 0; i < count; i++) {
    mg_memory_run *run = mg_store_run(b->broker, items[i].run, true);
    items[i].err = run != NULL && mg_store_add_result(run, &items[i]) != NULL ? MG_OK : MG_NOMEM;
    if (run != NULL) tell(b->broker, run->name);
  }
  unlock(b);
  return MG_OK;
}

static mg_err memory_fetch_results(mg_backend *base, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  mg_memory *b = self(base);
  mg_memory_broker *m = b->broker;
  size_t got = 0;
  mg_err err = MG_OK;
  if (b->run == NULL)
    return mg_fail(e, MG_ARG, "only a coordinator fetches results: this backend was opened without a run");
  lock(b);
  for (bool awake = true; awake;) {
    b->news = false;
    mg_memory_run *run = mg_store_run(m, b->run, false);
    while (run != NULL && got < max && !mg_list_empty(&run->results)) {
      mg_entry *x = MG_NODE_OWNER(run->results.next, mg_entry, in_run);
      mg_lease *l = NULL;
      if (!hand_out(b, out, x, &l)) {
        err = MG_NOMEM;
        break;
      }
      mg_store_give(m, x);
      l->token = x->token;
      got++;
    }
    if (got > 0 || err != MG_OK || max == 0 || mg_now_ms() >= until) break;
    awake = sleep_until(b, until);
  }
  unlock(b);
  return err == MG_OK || got > 0 ? MG_OK : mg_fail(e, err, "no memory left to fetch results");
}

/* Copies what has not expired; from: whether the subject is told as the sender. */
static mg_err read_notes(mg_memory *b, mg_newest *notes, bool from, mg_batch *out, mg_error *e) {
  lock(b);
  mg_err err = mg_newest_give(notes, from, out, e);
  unlock(b);
  return err;
}

static mg_err put_note(mg_memory *b, mg_newest *notes, const char *subject, mg_slice body, mg_ms ttl_ms, mg_error *e) {
  mg_ms now = mg_now_ms();
  lock(b);
  mg_newest_expire(notes, now);
  bool ok = mg_newest_put(notes, subject, body, now + ttl_ms, NULL);
  unlock(b);
  return ok ? MG_OK : mg_fail(e, MG_NOMEM, "no memory left for a beat or control");
}

static mg_err memory_beat(mg_backend *base, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  (void)until;
  mg_memory *b = self(base);
  return put_note(b, &b->broker->beats, b->identity, body, ttl_ms, e);
}

static mg_err memory_read_beats(mg_backend *base, mg_ms until, mg_batch *out, mg_error *e) {
  (void)until;
  mg_memory *b = self(base);
  return read_notes(b, &b->broker->beats, true, out, e);
}

static mg_err memory_control(mg_backend *base, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until,
                             mg_error *e) {
  (void)until;
  mg_memory *b = self(base);
  return put_note(b, &b->broker->controls, subject, body, ttl_ms, e);
}

static mg_err memory_read_controls(mg_backend *base, mg_ms until, mg_batch *out, mg_error *e) {
  (void)until;
  mg_memory *b = self(base);
  return read_notes(b, &b->broker->controls, false, out, e);
}

static bool named(const char *task, const char *const *tasks, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(task, tasks[i]) == 0) return true;
  }
  return false;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Thousands of names are taken back when a run is interrupted, under the lock: each entry must find its own quickly. */
static const char **sorted_names(const char *const *names, size_t count) {
  if (names == NULL || count == 0) return NULL;
  const char **sorted = malloc(count * sizeof *sorted);
  if (sorted == NULL) return NULL;
  memcpy(sorted, names, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_name);
  return sorted;
}

static bool sorted_has(const char **sorted, size_t count, const char *name) {
  return count > 0 && bsearch(&name, sorted, count, sizeof *sorted, by_name) != NULL;
}

static mg_err memory_reclaim(mg_backend *base, const char *name, const char *worker, const char *const *tasks,
                             size_t count, mg_ms until, mg_batch *out, mg_error *e) {
  (void)until;
  mg_memory *b = self(base);
  mg_memory_broker *m = b->broker;
  bool ok = true;
  const char **sorted = sorted_names(tasks, count);
  if (tasks != NULL && count > 0 && sorted == NULL) return mg_fail(e, MG_NOMEM, "no memory left to take tasks back");
  lock(b);
  mg_ms now = mg_now_ms();
  mg_memory_run *run = mg_store_run(m, name, false);
  for (mg_node *n = run == NULL ? NULL : run->tasks.next, *next; run != NULL && ok && n != &run->tasks; n = next) {
    next = n->next;
    mg_entry *x = MG_NODE_OWNER(n, mg_entry, in_run);
    bool leased = x->state == MG_ENTRY_LEASED;
    bool take;
    if (tasks != NULL) take = sorted_has(sorted, count, x->task);
    else if (worker != NULL) take = leased && strcmp(x->holder, worker) == 0;
    else take = leased && x->due.due <= now;
    if (!take) continue;
    ok = mg_batch_add(
        out, &(mg_delivery){.run = run->name, .task = x->task, .attempt = x->attempt, .from = leased ? x->holder : ""});
    if (ok) mg_store_remove(m, x);
  }
  mg_store_drop_run_if_empty(run);
  unlock(b);
  free(sorted);
  return ok ? MG_OK : mg_fail(e, MG_NOMEM, "no memory left to take tasks back");
}

static mg_err memory_probe(mg_backend *base, const char *name, mg_probe *items, size_t count, mg_ms until,
                           mg_error *e) {
  (void)until, (void)e;
  mg_memory *b = self(base);
  lock(b);
  const mg_memory_run *run = mg_store_run(b->broker, name, false);
  for (size_t i = 0; i < count; i++) {
    const mg_entry *x = mg_store_find(b->broker, run, items[i].task, items[i].attempt);
    if (x == NULL) items[i].state = MG_TASK_ABSENT;
    else if (x->state == MG_ENTRY_DEAD) items[i].state = MG_TASK_DEAD;
    else items[i].state = x->state == MG_ENTRY_LEASED ? MG_TASK_LEASED : MG_TASK_PENDING;
  }
  unlock(b);
  return MG_OK;
}

static mg_err memory_depth(mg_backend *base, const char *name, mg_ms until, mg_depth *out, mg_error *e) {
  (void)until, (void)e;
  mg_memory *b = self(base);
  mg_memory_broker *m = b->broker;
  *out = (mg_depth){0};
  lock(b);
  mg_ms now = mg_now_ms();
  for (mg_node *n = m->runs.next; n != &m->runs; n = n->next) {
    const mg_memory_run *run = MG_NODE_OWNER(n, mg_memory_run, in_store);
    if (name != NULL && strcmp(run->name, name) != 0) continue;
    out->pending += run->pending;
    out->in_flight += run->in_flight;
    out->dead += run->dead_count;
    out->results += run->result_count;
    for (const mg_node *t = run->tasks.next; t != &run->tasks; t = t->next) {
      const mg_entry *x = MG_NODE_OWNER(t, mg_entry, in_run);
      if (x->state == MG_ENTRY_LEASED) continue;
      if (now - x->published_ms > out->oldest_ms) out->oldest_ms = now - x->published_ms;
      break;
    }
  }
  unlock(b);
  return MG_OK;
}

static mg_err memory_list_dead(mg_backend *base, const char *name, size_t max, mg_ms until, mg_batch *out,
                               mg_error *e) {
  (void)until;
  mg_memory *b = self(base);
  bool ok = true;
  lock(b);
  mg_memory_run *run = mg_store_run(b->broker, name, false);
  size_t listed = 0;
  for (mg_node *n = run == NULL ? NULL : run->dead.next; run != NULL && ok && listed < max && n != &run->dead;
       n = n->next, listed++) {
    const mg_entry *x = MG_NODE_OWNER(n, mg_entry, in_run);
    mg_delivery d = {
        .run = run->name, .task = x->task, .attempt = x->attempt, .why = x->why, .body = {x->body, x->body_len}};
    ok = mg_batch_add(out, &d);
  }
  unlock(b);
  return ok ? MG_OK : mg_fail(e, MG_NOMEM, "no memory left to list dead letters");
}

static mg_err move_dead(mg_memory *b, const char *name, const char *const *tasks, size_t count, bool redrive,
                        size_t *moved) {
  *moved = 0;
  lock(b);
  mg_ms now = mg_now_ms();
  mg_memory_run *run = mg_store_run(b->broker, name, false);
  for (mg_node *n = run == NULL ? NULL : run->dead.next, *next; run != NULL && n != &run->dead; n = next) {
    next = n->next;
    mg_entry *x = MG_NODE_OWNER(n, mg_entry, in_run);
    if (tasks != NULL && !named(x->task, tasks, count)) continue;
    if (redrive) (void)mg_store_make_pending(b->broker, x, 0, now); /* without delay: needs no memory */
    else mg_store_remove(b->broker, x);
    ++*moved;
  }
  mg_store_drop_run_if_empty(run);
  if (redrive) tell(b->broker, NULL);
  unlock(b);
  return MG_OK;
}

static mg_err memory_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until,
                             size_t *moved, mg_error *e) {
  (void)until, (void)e;
  return move_dead(self(b), run, tasks, count, true, moved);
}

static mg_err memory_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until,
                                size_t *moved, mg_error *e) {
  (void)until, (void)e;
  return move_dead(self(b), run, tasks, count, false, moved);
}

static size_t remove_all(mg_memory_broker *m, mg_node *list) {
  size_t count = 0;
  for (; !mg_list_empty(list); count++) mg_store_remove(m, MG_NODE_OWNER(list->next, mg_entry, in_run));
  return count;
}

static mg_err memory_purge_run(mg_backend *base, const char *name, mg_ms until, size_t *removed, mg_error *e) {
  (void)until, (void)e;
  mg_memory *b = self(base);
  *removed = 0;
  lock(b);
  mg_memory_run *run = mg_store_run(b->broker, name, false);
  if (run != NULL) {
    *removed = remove_all(b->broker, &run->tasks);
    (void)remove_all(b->broker, &run->results);
    (void)remove_all(b->broker, &run->given);
    mg_store_drop_run_if_empty(run);
  }
  unlock(b);
  return MG_OK;
}

static mg_err memory_quarantine(mg_backend *base, const char *worker, bool on, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  (void)until;
  mg_memory *b = self(base);
  if (on) return put_note(b, &b->broker->quarantined, worker, (mg_slice){0}, ttl_ms, e);
  lock(b);
  mg_newest_remove(&b->broker->quarantined, worker);
  tell(b->broker, NULL);
  unlock(b);
  return MG_OK;
}

static mg_err memory_publish_dead(mg_backend *base, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  (void)until, (void)e;
  mg_memory *b = self(base);
  mg_memory_broker *m = b->broker;
  mg_ms now = mg_now_ms();
  lock(b);
  for (size_t i = 0; i < count; i++) {
    mg_memory_run *run = mg_store_run(m, items[i].run, true);
    items[i].err = run == NULL ? MG_NOMEM : MG_OK;
    if (run == NULL || mg_store_is_dead(run, items[i].task)) continue;
    mg_entry *x = mg_store_find(m, run, items[i].task, items[i].attempt);
    if (x == NULL) x = mg_store_add_task(m, run, &items[i], now);
    if (x == NULL || !mg_store_bury(m, x, items[i].why == NULL ? "" : items[i].why)) {
      if (x != NULL) mg_store_remove(m, x);
      items[i].err = MG_NOMEM;
    }
  }
  unlock(b);
  return MG_OK;
}

static mg_err memory_service(mg_backend *base, mg_ms until, mg_error *e) {
  (void)e;
  mg_memory *b = self(base);
  lock(b);
  /* News, not what is there: a worker whose hands are full must not spin because tasks are pending. */
  while (!b->news && mg_now_ms() < until && sleep_until(b, until)) continue;
  b->news = false;
  unlock(b);
  return MG_OK;
}

const mg_backend_ops mg_memory_backend = {
    .name = "memory",
    .capabilities = MG_CAP_RECLAIM | MG_CAP_EXACT_DEPTH | MG_CAP_LIST_DEAD | MG_CAP_SKIP_RUNS | MG_CAP_NACK_DELAY |
                    MG_CAP_DEDUPE | MG_CAP_EXTEND,
    .open = memory_open,
    .close = memory_close,
    .publish_tasks = memory_publish_tasks,
    .fetch_tasks = memory_fetch_tasks,
    .extend = memory_extend,
    .ack = memory_ack,
    .nack = memory_nack,
    .dead_letter = memory_dead_letter,
    .forget = memory_forget,
    .publish_results = memory_publish_results,
    .fetch_results = memory_fetch_results,
    .ack_results = memory_ack_results,
    .beat = memory_beat,
    .read_beats = memory_read_beats,
    .control = memory_control,
    .read_controls = memory_read_controls,
    .reclaim = memory_reclaim,
    .probe = memory_probe,
    .depth = memory_depth,
    .list_dead = memory_list_dead,
    .redrive = memory_redrive,
    .purge_dead = memory_purge_dead,
    .purge_run = memory_purge_run,
    .quarantine = memory_quarantine,
    .service = memory_service,
    .publish_dead = memory_publish_dead,
};
