/* Dead letters: received for a while, walked through, and given back where they are to stay. */
#include "backends/sqs/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those who look at the same time do not see what another holds: it is given back at the end, or comes back by itself. */
enum { HIDDEN_S = 30, EMPTY_MAX = 3, SEEN_MAX = 100000 };

typedef enum purpose { LIST, REDRIVE, PURGE } purpose;

typedef struct walk {
  const char *run;
  const char *const *tasks; /* NULL: all */
  size_t count, max;
  purpose purpose;
  mg_batch *out; /* LIST */
  mg_batch seen; /* run and task of those that matched: repeats are one entry */
  size_t moved;
  char **kept; /* receipts that go back */
  size_t kept_count, kept_cap;
} walk;

mg_err mg_sqs_send_dead(mg_sqs *s, mg_sqs_out *items, size_t count, mg_ms until, mg_error *e) {
  mg_err err = mg_sqs_send(s, items, count, until, e);
  bool missing = false;
  for (size_t i = 0; i < count; i++) missing = missing || items[i].err == MG_LOST;
  if (err != MG_OK || !missing) return err;
  if (!s->dead_is_ours) return mg_fail(e, MG_FATAL, "there is no queue %s for dead letters", s->dead);
  char url[MG_SQS_URL_BYTES];
  err = mg_sqs_make_queue(s, strrchr(s->dead, '/') + 1, s->settings.fifo, until, url, e);
  if (err != MG_OK) return err;
  for (size_t i = 0; i < count; i++) {
    if (items[i].err == MG_LOST) items[i].err = MG_OK;
  }
  err = mg_sqs_send(s, items, count, until, e);
  for (size_t i = 0; i < count; i++) {
    if (items[i].err == MG_LOST) items[i].err = MG_AGAIN; /* it was made just now */
  }
  return err;
}

static bool wanted(const walk *w, const mg_sqs_envelope *v) {
  if (w->run != NULL && strcmp(v->run, w->run) != 0) return false;
  if (w->tasks == NULL) return true;
  for (size_t i = 0; i < w->count; i++) {
    if (strcmp(v->task, w->tasks[i]) == 0) return true;
  }
  return false;
}

static bool is_repeat(const walk *w, const mg_sqs_envelope *v) {
  for (size_t i = 0; i < w->seen.count; i++) {
    if (strcmp(w->seen.items[i].task, v->task) == 0 && strcmp(w->seen.items[i].run, v->run) == 0) return true;
  }
  return false;
}

static bool keep(walk *w, const char *receipt) {
  if (w->kept_count == w->kept_cap) {
    size_t cap = w->kept_cap == 0 ? 32 : 2 * w->kept_cap;
    char **grown = realloc(w->kept, cap * sizeof *grown);
    if (grown == NULL) return false;
    w->kept = grown;
    w->kept_cap = cap;
  }
  w->kept[w->kept_count] = strdup(receipt);
  return w->kept[w->kept_count] != NULL && ++w->kept_count > 0;
}

static mg_err list_one(mg_sqs *s, walk *w, const mg_sqs_envelope *v, mg_slice text, int64_t receives, mg_ms until, mg_error *e) {
  char why[MG_SQS_WHY_BYTES];
  (void)mg_sqs_envelope_read(&(mg_sqs_envelope){0}, text, &s->scratch);
  if (v->object[0] != '\0') {
    mg_err err = mg_sqs_unspill(s, v, until, &s->scratch, e);
    if (err != MG_OK && err != MG_LOST) return err;
    if (err == MG_LOST) mg_buf_clear(&s->scratch);
  }
  if (v->why[0] != '\0')
    (void)snprintf(why, sizeof why, "%s", v->why);
  else /* the queue's own redrive policy put it here */
    (void)snprintf(why, sizeof why, "moved by the redrive policy of the queue after %lld receives", (long long)receives);
  mg_delivery d = {.run = v->run, .task = v->task, .attempt = v->attempt, .why = why, .from = "", .body = mg_buf_slice(&s->scratch)};
  return mg_batch_add(w->out, &d) ? MG_OK : mg_fail(e, MG_NOMEM, "no memory to list dead letters");
}

static mg_err put_back_on(mg_sqs *s, const mg_sqs_envelope *v, mg_slice text, mg_ms until, mg_error *e) {
  mg_sqs_envelope task = *v;
  task.kind = 't';
  task.why[0] = '\0';
  task.not_before_ms = 0;
  mg_buf_clear(&s->texts);
  mg_sqs_envelope_again(&s->texts, &task, text);
  mg_sqs_out out = {.queue = s->settings.queue, .len = s->texts.len, .fifo = s->settings.fifo};
  (void)snprintf(out.id, sizeof out.id, "%016llx%016llx", (unsigned long long)mg_sqs_server_ms(&s->client),
                 (unsigned long long)(uintptr_t)v ^ (unsigned long long)mg_now_ns());
  mg_err err = mg_sqs_send(s, &out, 1, until, e);
  return err == MG_OK ? out.err : err;
}

/* *gone: the letter is to leave the queue. */
static mg_err look_at(mg_sqs *s, walk *w, const mg_sqs_envelope *v, mg_slice text, int64_t receives, mg_ms until, bool *gone, mg_error *e) {
  *gone = false;
  if (!wanted(w, v) || w->moved >= w->max) return MG_OK;
  bool repeat = is_repeat(w, v);
  mg_delivery name = {.run = v->run, .task = v->task, .from = ""};
  mg_err err = MG_OK;
  if (w->purpose == LIST && repeat) return MG_OK;
  if (w->purpose == LIST) err = list_one(s, w, v, text, receives, until, e);
  if (w->purpose == REDRIVE && !repeat) err = put_back_on(s, v, text, until, e);
  if (err != MG_OK) return err;
  *gone = w->purpose != LIST;
  if (w->purpose == PURGE && v->object[0] != '\0') mg_sqs_drop_object(s, v, until);
  if (repeat) return MG_OK;
  w->moved++;
  return mg_batch_add(&w->seen, &name) ? MG_OK : mg_fail(e, MG_NOMEM, "no memory to go through dead letters");
}

static void fill_receive(void *owner, size_t index, mg_buf *body) {
  (void)index;
  mg_buf_putf(body, ",\"MaxNumberOfMessages\":10,\"VisibilityTimeout\":%d,\"WaitTimeSeconds\":%d", HIDDEN_S, *(const int *)owner);
  mg_buf_puts(body, ",\"MessageSystemAttributeNames\":[\"SentTimestamp\",\"ApproximateReceiveCount\"]");
}

static mg_err look_at_all(mg_sqs *s, walk *w, json_t *messages, mg_ms until, mg_error *e) {
  size_t k;
  json_t *message;
  mg_err err = MG_OK;
  json_array_foreach(messages, k, message) {
    json_t *body = json_object_get(message, "Body");
    const char *text = json_string_value(body), *receipt = json_string_value(json_object_get(message, "ReceiptHandle"));
    const char *count = json_string_value(json_object_get(json_object_get(message, "Attributes"), "ApproximateReceiveCount"));
    mg_sqs_envelope v;
    bool gone = false;
    if (text == NULL || receipt == NULL) continue;
    mg_slice slice = {(const uint8_t *)text, json_string_length(body)};
    (void)mg_sqs_envelope_read(&v, slice, NULL);
    if (err == MG_OK) err = look_at(s, w, &v, slice, count == NULL ? 0 : strtoll(count, NULL, 10), until, &gone, e);
    if (gone) {
      mg_sqs_change c = {s->dead, receipt, -1, MG_OK};
      (void)mg_sqs_change_all(s, &c, 1, until, NULL);
    } else {
      (void)keep(w, receipt);
    }
  }
  return err;
}

static void give_back(mg_sqs *s, walk *w, mg_ms until) {
  mg_sqs_change *changes = calloc(w->kept_count + 1, sizeof *changes);
  for (size_t i = 0; changes != NULL && i < w->kept_count; i++) changes[i] = (mg_sqs_change){s->dead, w->kept[i], 0, MG_OK};
  if (changes != NULL) (void)mg_sqs_change_all(s, changes, w->kept_count, until, NULL);
  for (size_t i = 0; i < w->kept_count; i++) free(w->kept[i]);
  free(w->kept);
  free(changes);
}

static mg_err go_through(mg_sqs *s, walk *w, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  /* A short poll may overlook what is there: only a few empty ones, the last of them a long one, say that nothing is left. */
  for (int empty = 0; err == MG_OK && empty < EMPTY_MAX && w->moved < w->max;) {
    json_t *reply = NULL;
    int wait = empty == EMPTY_MAX - 1 && s->settings.long_poll_s > 0;
    err = mg_sqs_call(&s->client, "ReceiveMessage", s->dead, fill_receive, &wait, until, &reply, NULL, e);
    json_t *messages = json_object_get(reply, "Messages");
    if (err == MG_OK && json_array_size(messages) == 0)
      empty++;
    else if (err == MG_OK)
      err = look_at_all(s, w, messages, until, e);
    json_decref(reply);
    if (err == MG_OK && mg_now_ms() >= until) err = mg_fail(e, MG_TIMEOUT, "not all dead letters could be looked at in time");
  }
  give_back(s, w, until);
  mg_batch_clear(&w->seen);
  return err == MG_LOST ? MG_OK : err; /* no queue, no dead letters */
}

mg_err mg_sqs_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  walk w = {.run = run, .max = max, .purpose = LIST, .out = out};
  return go_through(mg_sqs_of(b), &w, until, e);
}

mg_err mg_sqs_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  walk w = {.run = run, .tasks = tasks, .count = count, .max = SEEN_MAX, .purpose = REDRIVE};
  mg_err err = go_through(mg_sqs_of(b), &w, until, e);
  *moved = w.moved;
  return err;
}

mg_err mg_sqs_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e) {
  walk w = {.run = run, .tasks = tasks, .count = count, .max = SEEN_MAX, .purpose = PURGE};
  mg_err err = go_through(mg_sqs_of(b), &w, until, e);
  *moved = w.moved;
  return err;
}
