/* What is sent: tasks, results, dead letters. */
#include "backends/sqs/parts.h"

#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 80, ROUNDS = 6, DELAY_MAX_S = 900, ENTRY_BYTES = 256 };

/* --- calls of ten --- */

typedef struct pack {
  mg_sqs_out *items[MG_SQS_BATCH];
  size_t count, bytes;
  const char *queue;
} pack;

typedef struct sending {
  const mg_sqs *s;
  pack packs[CHUNK];
} sending;

static void fill(void *owner, size_t index, mg_buf *body) {
  const sending *all = owner;
  const pack *p = &all->packs[index];
  mg_buf_puts(body, ",\"Entries\":[");
  for (size_t i = 0; i < p->count; i++) {
    const mg_sqs_out *o = p->items[i];
    mg_buf_putf(body, "%s{\"Id\":\"%zu\"", i > 0 ? "," : "", i);
    if (o->fifo) mg_buf_putf(body, ",\"MessageGroupId\":\"%s\",\"MessageDeduplicationId\":\"%s\"", o->id, o->id);
    if (o->delay_s > 0) mg_buf_putf(body, ",\"DelaySeconds\":%u", (unsigned)o->delay_s);
    mg_buf_puts(body, ",\"MessageBody\":\"");
    mg_buf_put(body, all->s->texts.data + o->at, o->len);
    mg_buf_puts(body, "\"}");
  }
  mg_buf_puts(body, "]");
}

static size_t entry_of(json_t *entry, size_t count) {
  const char *id = json_string_value(json_object_get(entry, "Id"));
  size_t i = id == NULL ? count : (size_t)strtoul(id, NULL, 10);
  return i < count ? i : count;
}

static void read_reply(const pack *p, const mg_sqs_job *j, mg_error *e) {
  size_t k;
  json_t *entry;
  for (size_t i = 0; i < p->count; i++) p->items[i]->err = j->err == MG_OK ? MG_AGAIN : j->err;
  json_array_foreach(json_object_get(j->reply, "Successful"), k, entry) {
    size_t i = entry_of(entry, p->count);
    if (i < p->count) p->items[i]->err = MG_OK;
  }
  json_array_foreach(json_object_get(j->reply, "Failed"), k, entry) {
    size_t i = entry_of(entry, p->count);
    if (i == p->count) continue;
    const char *code = json_string_value(json_object_get(entry, "Code")), *message = json_string_value(json_object_get(entry, "Message"));
    p->items[i]->err =
        mg_fail(e, json_is_true(json_object_get(entry, "SenderFault")) ? MG_ARG : MG_AGAIN, "SendMessageBatch on %.300s: SQS refused a message: %s %.120s",
                p->queue, code != NULL ? code : "", message != NULL ? message : "");
  }
}

/* As many packs as one run takes, each within count and bytes. */
static size_t make_packs(const mg_sqs *s, sending *all, mg_sqs_out *items, size_t count) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (items[i].err != MG_AGAIN) continue;
    pack *p = NULL;
    for (size_t k = n; k > 0 && p == NULL; k--) { /* the open pack of its queue */
      if (strcmp(all->packs[k - 1].queue, items[i].queue) == 0) p = &all->packs[k - 1];
    }
    if (p == NULL || p->count == MG_SQS_BATCH || p->bytes + items[i].len > s->max_batch) {
      if (n == CHUNK) break;
      p = &all->packs[n++];
      *p = (pack){.queue = items[i].queue};
    }
    p->items[p->count++] = &items[i];
    p->bytes += items[i].len;
  }
  return n;
}

static bool send_round(mg_sqs *s, mg_sqs_out *items, size_t count, mg_ms until, mg_error *e) {
  sending all = {.s = s};
  mg_sqs_job jobs[CHUNK];
  size_t n = make_packs(s, &all, items, count);
  bool left = false;
  for (size_t i = 0; i < n; i++) jobs[i] = (mg_sqs_job){.action = "SendMessageBatch", .queue = all.packs[i].queue, .fill = fill, .owner = &all, .index = i};
  (void)mg_sqs_run(&s->client, jobs, n, until, e);
  for (size_t i = 0; i < n; i++) read_reply(&all.packs[i], &jobs[i], e);
  mg_sqs_jobs_fini(jobs, n);
  for (size_t i = 0; i < count; i++) left = left || items[i].err == MG_AGAIN;
  return left;
}

mg_err mg_sqs_send(mg_sqs *s, mg_sqs_out *items, size_t count, mg_ms until, mg_error *e) {
  mg_error own = {0};
  mg_err worst = MG_OK;
  if (s->texts.failed) {
    for (size_t i = 0; i < count; i++) items[i].err = MG_NOMEM;
    return mg_fail(e, MG_NOMEM, "no memory for messages");
  }
  for (size_t i = 0; i < count; i++) {
    if (items[i].err == MG_OK) items[i].err = MG_AGAIN; /* else it was refused before */
  }
  for (unsigned round = 0; send_round(s, items, count, until, &own) && round < ROUNDS; round++) {
    mg_ms again = mg_now_ms() + mg_sqs_back_off(round);
    if (again >= until) break;
    while (mg_sqs_http_wait(s->client.http, again, -1) != MG_TIMEOUT) continue;
  }
  for (size_t i = 0; i < count; i++) {
    mg_err err = items[i].err;
    if ((err == MG_CONN || err == MG_FATAL || err == MG_NOMEM) && err > worst) worst = err;
  }
  if (e != NULL && own.text[0] != '\0') *e = own;
  return worst;
}

/* --- one message --- */

mg_err mg_sqs_pack(mg_sqs *s, mg_sqs_out *out, const char *queue, bool fifo, mg_sqs_envelope *v, mg_slice body, mg_ms until, mg_error *e) {
  *out = (mg_sqs_out){.queue = queue, .fifo = fifo, .at = s->texts.len};
  size_t size = mg_sqs_envelope_size(v, body.len);
  if (size > s->max_message) {
    mg_err err = mg_sqs_spill(s, v, body, until, e);
    if (err != MG_OK) return out->err = err;
  }
  mg_sqs_envelope_put(&s->texts, v, body);
  out->len = s->texts.len - out->at;
  return MG_OK;
}

static uint64_t name_of(const char *kind, const mg_publish *p, size_t sends, char id[33]) {
  uint64_t low, high;
  char name[600];
  int len = snprintf(name, sizeof name, "%s\n%.200s\n%.200s\n%u\n%zu", kind, p->run, p->task, (unsigned)p->attempt, sends);
  mg_xxh3_128(name, (size_t)len, &low, &high);
  (void)snprintf(id, 33, "%016llx%016llx", (unsigned long long)high, (unsigned long long)low);
  return low;
}

/* The deduplication id: a message that is sent again because no answer came is the same for SQS; one that is sent again after an answer, or with another
 * attempt, is not. The group is the same, so that no message waits for another. */
static void make_id(const mg_sqs *s, mg_sqs_out *out, const char *kind, const mg_publish *p) {
  size_t sends = 0;
  uint64_t first = name_of(kind, p, 0, out->id);
  for (size_t i = 0; i < MG_SQS_SENT; i++) sends += s->sent[i] == first;
  out->name = first;
  if (sends > 0) (void)name_of(kind, p, sends, out->id);
}

typedef enum sort { TASKS, RESULTS, DEAD } sort;

static mg_err pack_one(mg_sqs *s, mg_sqs_out *out, const char *queue, sort kind, const mg_publish *p, mg_ms until, mg_error *e) {
  bool fifo = kind != RESULTS && s->settings.fifo;
  mg_sqs_envelope v = {.kind = kind == RESULTS ? 'r' : 't', .attempt = p->attempt};
  mg_err err = mg_sqs_check_names(p->run, p->task, e);
  if (err != MG_OK) return out->err = err;
  (void)snprintf(v.run, sizeof v.run, "%s", p->run);
  (void)snprintf(v.task, sizeof v.task, "%s", p->task);
  if (kind == DEAD) (void)snprintf(v.why, sizeof v.why, "%s", p->why == NULL ? "" : p->why);
  uint32_t delay_s = kind == TASKS ? (p->delay_ms + 999) / 1000 : 0;
  /* FIFO queues know no delay of a single message, and none more than 15 minutes: who gets it early puts it back. */
  if (delay_s > DELAY_MAX_S || (fifo && delay_s > 0)) {
    v.not_before_ms = mg_sqs_server_ms(&s->client) + p->delay_ms;
    delay_s = fifo ? 0 : DELAY_MAX_S;
  }
  err = mg_sqs_pack(s, out, queue, fifo, &v, p->body, until, e);
  out->delay_s = delay_s;
  if (fifo) make_id(s, out, kind == DEAD ? "dead" : "task", p);
  return err;
}

static void set_all(mg_publish *items, size_t from, size_t count, mg_err err) {
  for (size_t i = from; i < count; i++) items[i].err = err;
}

/* In chunks, so that the texts of a thousand large messages do not stand in memory together. */
static mg_err publish(mg_sqs *s, mg_publish *items, size_t count, sort kind, mg_ms until, mg_error *e) {
  mg_sqs_out outs[CHUNK];
  char(*queues)[MG_SQS_URL_BYTES] = kind == RESULTS ? calloc(CHUNK, sizeof *queues) : NULL;
  mg_err err = MG_OK;
  if (kind == RESULTS && queues == NULL) err = mg_fail(e, MG_NOMEM, "no memory for results");
  size_t from = 0;
  for (size_t n; from < count && err == MG_OK; from += n) {
    n = count - from < CHUNK ? count - from : CHUNK;
    mg_buf_clear(&s->texts);
    for (size_t i = 0; i < n; i++) {
      mg_publish *p = &items[from + i];
      outs[i] = (mg_sqs_out){0};
      if (kind == RESULTS) mg_sqs_results_queue(s, p->run, queues[i]);
      (void)pack_one(s, &outs[i], kind == RESULTS ? queues[i] : kind == DEAD ? s->dead : s->settings.queue, kind, p, until, e);
    }
    err = kind == DEAD ? mg_sqs_send_dead(s, outs, n, until, e) : mg_sqs_send(s, outs, n, until, e);
    for (size_t i = 0; i < n; i++) {
      items[from + i].err = outs[i].err;
      if (outs[i].err == MG_OK && outs[i].name != 0) s->sent[s->sent_at++ % MG_SQS_SENT] = outs[i].name;
      if (outs[i].err != MG_LOST) continue;
      if (kind == RESULTS) /* the run is over, and its queue gone; where its coordinator lives, the queue will come */
        items[from + i].err = mg_sqs_peer_announced(s, items[from + i].run) ? MG_AGAIN : MG_OK;
      else
        err = mg_fail(e, MG_CONN, "the queue %s is gone", s->settings.queue);
    }
  }
  if (err != MG_OK) set_all(items, from < count ? from : count, count, err);
  free(queues);
  return err;
}

mg_err mg_sqs_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  mg_sqs_upkeep(mg_sqs_of(b), until);
  return publish(mg_sqs_of(b), items, count, TASKS, until, e);
}

mg_err mg_sqs_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  return publish(mg_sqs_of(b), items, count, RESULTS, until, e);
}

mg_err mg_sqs_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  return publish(mg_sqs_of(b), items, count, DEAD, until, e);
}
