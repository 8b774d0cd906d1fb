/* The topic of dead letters: one partition, compacted. A letter is known by run and task; a newer one of the same replaces it, an empty one removes it. */
#include "backends/kafka/parts.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mg_kafka_dead_key(char *out, size_t cap, const char *run, const char *task) {
  int n = snprintf(out, cap, "%s\n%s", run, task);
  return n > 0 && (size_t)n < cap;
}

typedef struct letters { /* messages of the topic, the newest of each key; own them and the handle they belong to */
  rd_kafka_t *rk;
  rd_kafka_message_t **items;
  size_t count, cap;
  size_t *places; /* place of an item + 1 by the hash of its key, 0: free; probed one by one, never more than half full */
  size_t place_count;
} letters;

static void fini(letters *l) {
  for (size_t i = 0; i < l->count; i++) rd_kafka_message_destroy(l->items[i]);
  free(l->items);
  free(l->places);
  if (l->rk != NULL) mg_kafka_destroy(&l->rk, 1); /* waits for its messages: they must be gone */
}

/* Where the item with this key is named, or where it is to be. */
static size_t *find(const letters *l, const rd_kafka_message_t *m) {
  uint64_t low, high;
  mg_xxh3_128(m->key, m->key_len, &low, &high);
  for (size_t i = (size_t)low % l->place_count;; i = (i + 1) % l->place_count) {
    size_t at = l->places[i];
    if (at == 0 || (l->items[at - 1]->key_len == m->key_len && memcmp(l->items[at - 1]->key, m->key, m->key_len) == 0)) return &l->places[i];
  }
}

static bool grow(letters *l) {
  size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
  rd_kafka_message_t **items = realloc(l->items, cap * sizeof(rd_kafka_message_t *));
  if (items == NULL) return false;
  l->items = items;
  size_t *places = calloc(2 * cap, sizeof *places);
  if (places == NULL) return false;
  free(l->places);
  l->places = places;
  l->place_count = 2 * cap;
  l->cap = cap;
  for (size_t i = 0; i < l->count; i++) {
    if (l->items[i]->key_len > 0) *find(l, l->items[i]) = i + 1;
  }
  return true;
}

/* Takes m over. */
static bool keep(letters *l, rd_kafka_message_t *m) {
  if (l->count == l->cap && !grow(l)) return false;
  size_t *place = m->key_len > 0 ? find(l, m) : NULL;
  if (place != NULL && *place > 0) {
    rd_kafka_message_destroy(l->items[*place - 1]);
    l->items[*place - 1] = m;
    return true;
  }
  l->items[l->count++] = m;
  if (place != NULL) *place = l->count;
  return true;
}

static bool of_run(const rd_kafka_message_t *m, const char *run) {
  const char *theirs = mg_kafka_header(m, "run");
  return run == NULL || (theirs != NULL && strcmp(theirs, run) == 0);
}

/* Everything that is there now; letters of other runs are left out. */
static mg_err scan(mg_kafka *k, const char *run, letters *out, mg_ms until, mg_error *e) {
  int64_t first = 0, end = 0;
  *out = (letters){0};
  mg_err err = mg_kafka_serve(k, e);
  if (err == MG_OK) err = mg_kafka_offsets(k, k->settings.dead_topic, 0, 1, RD_KAFKA_OFFSET_BEGINNING, &first, until, e);
  if (err == MG_OK) err = mg_kafka_offsets(k, k->settings.dead_topic, 0, 1, RD_KAFKA_OFFSET_END, &end, until, e);
  if (err != MG_OK || first >= end) return err;
  char group[512];
  (void)snprintf(group, sizeof group, "%s.dead", k->settings.group);
  rd_kafka_t *rk = out->rk = mg_kafka_handle(k, MG_KAFKA_READER, group, e);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  if (rk == NULL || list == NULL) {
    err = rk == NULL ? MG_ARG : mg_fail(e, MG_NOMEM, "no memory for dead letters");
    goto out;
  }
  rd_kafka_topic_partition_list_add(list, k->settings.dead_topic, 0)->offset = first;
  rd_kafka_resp_err_t code = rd_kafka_assign(rk, list);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) err = mg_kafka_fault(k, code, "dead letters cannot be read", e);
  for (int64_t next = first; err == MG_OK && next < end;) {
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
    if (m == NULL) {
      if (mg_now_ms() >= until) err = mg_fail(e, MG_TIMEOUT, "the dead letters of %s were not read in time", k->settings.dead_topic);
      continue;
    }
    bool at_end = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF; /* before `end` where compaction took the last ones */
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_message_destroy(m);
      if (at_end) break;
      continue;
    }
    next = m->offset + 1;
    if (!of_run(m, run)) {
      rd_kafka_message_destroy(m);
    } else if (!keep(out, m)) {
      rd_kafka_message_destroy(m);
      err = mg_fail(e, MG_NOMEM, "no memory for dead letters");
    }
  }
out:
  if (list != NULL) rd_kafka_topic_partition_list_destroy(list);
  return err;
}

/* A tombstone has no value; it keeps its headers, so that it is found under its run. */
static bool is_there(const rd_kafka_message_t *m) { return m->payload != NULL; }

mg_err mg_kafka_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  letters found;
  size_t begin = out->count;
  mg_err err = scan(mg_kafka_of(b), run, &found, until, e);
  for (size_t i = 0; err == MG_OK && i < found.count && out->count - begin < max; i++) {
    const rd_kafka_message_t *m = found.items[i];
    if (!is_there(m)) continue;
    const char *theirs = mg_kafka_header(m, "run"), *task = mg_kafka_header(m, "task"), *why = mg_kafka_header(m, "why"),
               *attempt = mg_kafka_header(m, "attempt");
    mg_delivery d = {.run = theirs != NULL ? theirs : "",
                     .task = task != NULL ? task : "",
                     .attempt = attempt != NULL ? (uint32_t)strtoul(attempt, NULL, 10) : 0,
                     .why = why != NULL ? why : "",
                     .from = "",
                     .body = {m->payload, m->len}};
    if (!mg_batch_add(out, &d)) err = mg_fail(e, MG_NOMEM, "no memory for dead letters");
  }
  fini(&found);
  return err;
}

static bool named(const char *task, const char *const *tasks, size_t count) {
  if (tasks == NULL) return true;
  for (size_t i = 0; i < count; i++) {
    if (task != NULL && strcmp(task, tasks[i]) == 0) return true;
  }
  return false;
}

/* The letters go, and where again is true they are tasks anew before that. */
static mg_err take_out(mg_kafka *k, const char *run, const char *const *tasks, size_t count, bool again, mg_ms until, size_t *moved, mg_error *e) {
  letters found;
  *moved = 0;
  mg_err err = mg_kafka_check_name("run", run, e);
  if (err != MG_OK) return err;
  err = scan(k, run, &found, until, e);
  for (size_t i = 0; err == MG_OK && i < found.count; i++) {
    rd_kafka_message_t *m = found.items[i];
    const char *task = mg_kafka_header(m, "task"), *attempt = mg_kafka_header(m, "attempt");
    char key[512];
    if (!is_there(m) || !named(task, tasks, count) || task == NULL || !mg_kafka_dead_key(key, sizeof key, run, task)) continue;
    mg_kafka_out out = {.topic = k->settings.topic,
                        .partition = again ? mg_kafka_next_partition(k, true) : 0,
                        .run = run,
                        .task = task,
                        .again = true,
                        .attempt = attempt != NULL ? (uint32_t)strtoul(attempt, NULL, 10) : 1,
                        .body = {m->payload, m->len}};
    if (again) {
      err = mg_kafka_produce(k, &out, 1, until, e);
      if (err == MG_OK) err = out.err;
    }
    out.topic = k->settings.dead_topic;
    out.partition = 0;
    out.key = key;
    out.tombstone = true;
    if (err == MG_OK) err = mg_kafka_produce(k, &out, 1, until, e);
    if (err == MG_OK) err = out.err;
    *moved += err == MG_OK;
  }
  fini(&found);
  return err;
}

mg_err mg_kafka_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  return take_out(mg_kafka_of(b), run, tasks, count, true, until, moved, e);
}

mg_err mg_kafka_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  return take_out(mg_kafka_of(b), run, tasks, count, false, until, moved, e);
}

mg_err mg_kafka_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  mg_err err = mg_kafka_serve(k, e);
  for (size_t i = 0; err == MG_OK && i < count; i++) {
    char key[512];
    const mg_publish *p = &items[i];
    err = mg_kafka_check_name("run", p->run, e);
    if (err == MG_OK) err = mg_kafka_check_name("task", p->task, e);
    if (err != MG_OK || !mg_kafka_dead_key(key, sizeof key, p->run, p->task)) return err;
    mg_kafka_out out = {.topic = k->settings.dead_topic, .key = key, .run = p->run, .task = p->task, .why = p->why, .attempt = p->attempt, .body = p->body};
    err = mg_kafka_produce(k, &out, 1, until, e);
    items[i].err = out.err;
  }
  for (size_t i = 0; err == MG_CONN && i < count; i++) items[i].err = MG_CONN;
  return err;
}
