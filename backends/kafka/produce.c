/* Producing with a delivery report for every message. */
#include "backends/kafka/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One call's messages, until the last is reported; outlives the call where it gave up. */
typedef struct pending {
  size_t open;
  bool abandoned;
  rd_kafka_resp_err_t codes[]; /* by message */
} pending;

typedef struct ticket {
  pending *of;
  size_t index;
} ticket;

const char *mg_kafka_header(const rd_kafka_message_t *m, const char *name) {
  rd_kafka_headers_t *headers;
  const void *value;
  size_t size;
  if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return NULL;
  if (rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR || value == NULL) return NULL;
  return strlen(value) == size ? value : NULL; /* librdkafka ends values by a NUL of its own */
}

void mg_kafka_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *owner) {
  ticket *t = m->_private;
  (void)rk, (void)owner;
  pending *p = t->of;
  p->codes[t->index] = m->err;
  free(t);
  if (--p->open == 0 && p->abandoned) free(p);
}

static void add(rd_kafka_headers_t *headers, const char *name, const char *value) {
  if (value != NULL) (void)rd_kafka_header_add(headers, name, -1, value, -1);
}

static rd_kafka_headers_t *headers_of(const mg_kafka_out *o) {
  char attempt[16], times[16], ttl[24], delay[24];
  rd_kafka_headers_t *h = rd_kafka_headers_new(8);
  if (h == NULL) return NULL;
  add(h, "kind", o->kind);
  add(h, "run", o->run);
  add(h, "task", o->task);
  add(h, "from", o->from);
  add(h, "why", o->why);
  add(h, "has", o->has);
  (void)snprintf(attempt, sizeof attempt, "%u", (unsigned)o->attempt);
  if (o->task != NULL) add(h, "attempt", attempt);
  (void)snprintf(ttl, sizeof ttl, "%lld", (long long)o->ttl_ms);
  if (o->ttl_ms > 0) add(h, "ttl", ttl);
  (void)snprintf(delay, sizeof delay, "%lld", (long long)o->delay_ms);
  if (o->delay_ms > 0) add(h, "delay", delay);
  (void)snprintf(times, sizeof times, "%u", (unsigned)o->given_back);
  if (o->given_back > 0) add(h, "given-back", times);
  if (o->again) add(h, "again", "1");
  return h;
}

/* Into librdkafka's queue; waits there where it is full. */
static rd_kafka_resp_err_t enqueue(mg_kafka *k, const mg_kafka_out *o, pending *p, size_t index, mg_ms until) {
  static const char empty[1] = "";
  ticket *t = malloc(sizeof *t);
  rd_kafka_headers_t *headers = headers_of(o);
  if (t == NULL || headers == NULL) {
    free(t);
    if (headers != NULL) rd_kafka_headers_destroy(headers);
    return RD_KAFKA_RESP_ERR__FAIL;
  }
  *t = (ticket){p, index};
  const void *body = o->tombstone ? NULL : o->body.len > 0 ? (const void *)o->body.data : empty;
  size_t key_len = o->key != NULL ? strlen(o->key) : 0, body_len = o->tombstone ? 0 : o->body.len;
  for (;;) {
    rd_kafka_resp_err_t code = rd_kafka_producev(k->producer, RD_KAFKA_V_TOPIC(o->topic), RD_KAFKA_V_PARTITION(o->partition), RD_KAFKA_V_KEY(o->key, key_len),
                                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)body, body_len), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(t),
                                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && mg_now_ms() < until) {
      (void)rd_kafka_poll(k->producer, 10);
      continue;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      free(t);
      rd_kafka_headers_destroy(headers);
    }
    return code;
  }
}

mg_err mg_kafka_produce(mg_kafka *k, mg_kafka_out *items, size_t count, mg_ms until, mg_error *e) {
  if (count == 0) return MG_OK;
  pending *p = calloc(1, sizeof *p + count * sizeof *p->codes);
  if (p == NULL) return mg_fail(e, MG_NOMEM, "no memory to produce %zu messages", count);
  for (size_t i = 0; i < count; i++) {
    p->codes[i] = enqueue(k, &items[i], p, i, until);
    if (p->codes[i] != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    p->codes[i] = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    p->open++;
  }
  while (p->open > 0 && mg_now_ms() < until && k->trouble != MG_FATAL) (void)rd_kafka_poll(k->producer, 20);
  mg_err whole = MG_OK;
  for (size_t i = 0; i < count; i++) {
    rd_kafka_resp_err_t code = p->codes[i];
    mg_error why = {0};
    items[i].err = MG_OK;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    items[i].err = mg_kafka_fault(k, code == RD_KAFKA_RESP_ERR__IN_PROGRESS ? RD_KAFKA_RESP_ERR__MSG_TIMED_OUT : code, "a message was not taken", &why);
    if (e != NULL) *e = why;
    if (items[i].err == MG_CONN) whole = MG_CONN;
  }
  for (size_t i = 0; whole == MG_CONN && i < count; i++) items[i].err = MG_CONN;
  if (p->open > 0)
    p->abandoned = true; /* the reports still come, or close() purges them */
  else
    free(p);
  return whole;
}

int32_t mg_kafka_next_partition(mg_kafka *k, bool again) {
  int32_t found = -1;
  mg_ms now = mg_now_ms();
  for (int pass = again ? 0 : 1; pass < 2 && k->heard != NULL && found < 0; pass++) {
    for (int32_t i = 0; i < k->task_partitions && found < 0; i++) {
      int32_t p = (k->turn + i) % k->task_partitions;
      const mg_kafka_heard *h = &k->heard[p];
      bool silent = h->at != 0 && now - h->at > h->silent_ms;
      if (!silent && (pass > 0 || h->at != 0)) found = p;
    }
  }
  if (found < 0) found = k->turn;
  k->turn = (found + 1) % k->task_partitions;
  return found;
}

typedef enum publish_kind { TASKS, RESULTS } publish_kind;

static mg_err publish(mg_kafka *k, publish_kind kind, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  mg_err err = mg_kafka_serve(k, e);
  if (err != MG_OK || count == 0) return err;
  mg_kafka_out *out = calloc(count, sizeof *out);
  if (out == NULL) return mg_fail(e, MG_NOMEM, "no memory to publish %zu messages", count);
  for (size_t i = 0; i < count && err == MG_OK; i++) {
    const mg_publish *p = &items[i];
    err = mg_kafka_check_name("run", p->run, e);
    if (err == MG_OK) err = mg_kafka_check_name("task", p->task, e);
    if (err != MG_OK) break;
    out[i] = (mg_kafka_out){.topic = kind == TASKS ? k->settings.topic : k->settings.results_topic,
                            .kind = kind == TASKS ? NULL : "result",
                            .run = p->run,
                            .task = p->task,
                            .attempt = p->attempt,
                            .delay_ms = p->delay_ms,
                            .body = p->body};
    out[i].partition = kind == RESULTS ? mg_kafka_results_partition(k, p->run) : mg_kafka_next_partition(k, p->attempt > 1);
  }
  if (err == MG_OK) err = mg_kafka_produce(k, out, count, until, e);
  for (size_t i = 0; i < count && (err == MG_OK || err == MG_CONN); i++) items[i].err = out[i].err;
  free(out);
  return err;
}

mg_err mg_kafka_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  return publish(mg_kafka_of(b), TASKS, items, count, until, e);
}

mg_err mg_kafka_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  return publish(mg_kafka_of(b), RESULTS, items, count, until, e);
}
