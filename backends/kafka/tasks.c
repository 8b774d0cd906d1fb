/* Tasks are fetched from the partitions that are ours, held, and settled in any order. */
#include "backends/kafka/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* AT_ONCE: so often a task that is given back may be tried by another worker without its delay; its partition has none but that one. */
enum { IDLE_MS = 1000, AT_ONCE = 2, BEHIND_MS = 2000 };

/* ---- receipts ---- */

mg_lease *mg_kafka_lease_new(mg_kafka *k, const rd_kafka_message_t *m, bool result) {
  const char *run = mg_kafka_header(m, "run"), *task = mg_kafka_header(m, "task"), *attempt = mg_kafka_header(m, "attempt");
  if (run == NULL) run = "";
  if (task == NULL) task = "";
  size_t run_len = strlen(run), task_len = strlen(task), len = result ? 0 : m->len;
  mg_lease *l = malloc(sizeof *l + run_len + task_len + len + 2);
  if (l == NULL) return NULL;
  *l = (mg_lease){.result = result, .offset = m->offset, .attempt = attempt != NULL ? (uint32_t)strtoul(attempt, NULL, 10) : 0};
  char *at = l->texts;
  l->run = memcpy(at, run, run_len + 1);
  at += run_len + 1;
  l->task = memcpy(at, task, task_len + 1);
  at += task_len + 1;
  if (len > 0) memcpy(at, m->payload, len);
  l->body = (mg_slice){(uint8_t *)at, len};
  l->next = k->leases;
  if (l->next != NULL) l->next->previous = l;
  k->leases = l;
  return l;
}

static bool is_held(const mg_kafka *k, const mg_lease *l) {
  if (l == NULL || l->result || l->settled) return false;
  const mg_kafka_partition *p = &k->partitions[l->partition];
  return p->assigned && p->generation == l->generation;
}

void mg_kafka_lease_free(mg_kafka *k, mg_lease *l) {
  if (l == NULL) return;
  if (is_held(k, l)) k->partitions[l->partition].held--;
  if (l->previous != NULL)
    l->previous->next = l->next;
  else
    k->leases = l->next;
  if (l->next != NULL) l->next->previous = l->previous;
  free(l);
}

/* ---- fetching ---- */

/* Who is on the way out of the group joins again once that is over. */
static mg_err join(mg_kafka *k, mg_error *e) {
  k->back_ms = 0;
  if (k->parting && mg_now_ms() >= k->part_by) k->parting = k->joined = false;
  if (k->joined) return MG_OK;
  if (k->group == NULL) k->group = mg_kafka_handle(k, MG_KAFKA_GROUP, k->settings.group, e);
  if (k->group == NULL) return MG_ARG;
  rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
  if (topics == NULL) return mg_fail(e, MG_NOMEM, "no memory to join the group");
  rd_kafka_topic_partition_list_add(topics, k->settings.topic, RD_KAFKA_PARTITION_UA);
  rd_kafka_resp_err_t code = rd_kafka_subscribe(k->group, topics);
  rd_kafka_topic_partition_list_destroy(topics);
  k->joined = code == RD_KAFKA_RESP_ERR_NO_ERROR;
  k->given = k->left = false;
  return k->joined ? MG_OK : mg_kafka_fault(k, code, "the group cannot be joined", e);
}

static mg_err give(mg_kafka *k, mg_lease *l, mg_batch *out, mg_error *e) {
  mg_kafka_partition *p = &k->partitions[l->partition];
  if (l->offset > p->given) p->given = l->offset;
  mg_delivery d = {.run = l->run, .task = l->task, .attempt = l->attempt, .again = l->again, .from = "", .body = l->body, .lease = l};
  return mg_batch_add(out, &d) ? MG_OK : mg_fail(e, MG_NOMEM, "no memory for tasks");
}

static mg_err keep(mg_kafka *k, mg_lease *l, mg_error *e) {
  if (k->waiting_count == k->waiting_cap) {
    size_t cap = k->waiting_cap == 0 ? 64 : 2 * k->waiting_cap;
    mg_lease **grown = realloc(k->waiting, cap * sizeof(mg_lease *));
    if (grown == NULL) return mg_fail(e, MG_NOMEM, "no memory for tasks");
    k->waiting = grown;
    k->waiting_cap = cap;
  }
  k->waiting[k->waiting_count++] = l;
  return MG_OK;
}

/* Into out, or, where its time has not come or out is NULL, among those that wait here. */
static mg_err take(mg_kafka *k, rd_kafka_message_t *m, mg_batch *out, mg_error *e) {
  mg_kafka_partition *p = mg_kafka_partition_of(k, m->partition);
  if (p == NULL) return mg_fail(e, MG_NOMEM, "no memory for tasks");
  if (!p->assigned || p->leaving) return MG_OK; /* of an assignment that goes, or went meanwhile */
  mg_lease *l = mg_kafka_lease_new(k, m, false);
  if (l == NULL) return mg_fail(e, MG_NOMEM, "no memory for tasks");
  const char *delay = mg_kafka_header(m, "delay");
  mg_ms now = mg_now_ms();
  l->due_ms = delay != NULL ? now + strtoll(delay, NULL, 10) : now;
  l->again = m->offset < p->fresh || mg_kafka_header(m, "again") != NULL;
  const char *times = mg_kafka_header(m, "given-back");
  l->given_back = times != NULL ? (uint32_t)strtoul(times, NULL, 10) : 0;
  l->partition = (size_t)(p - k->partitions);
  l->generation = p->generation;
  p->held++;
  mg_err err = out != NULL && l->due_ms <= now ? give(k, l, out, e) : keep(k, l, e);
  if (err != MG_OK) {
    mg_kafka_lease_free(k, l);
    return err;
  }
  mg_kafka_mark_fetched(&p->marks, m->offset);
  if (mg_kafka_marks_full(&p->marks)) mg_kafka_hold_back(k, p, true);
  return MG_OK;
}

/* One message of the group, or an event of it: *got false where there was none. */
static mg_err poll_group(mg_kafka *k, mg_batch *out, bool *got, mg_error *e) {
  mg_kafka_hand_over(k, false);
  rd_kafka_message_t *m = rd_kafka_consumer_poll(k->group, 0);
  *got = m != NULL;
  if (m == NULL) return MG_OK;
  mg_err err = MG_OK;
  switch (m->err) {
  case RD_KAFKA_RESP_ERR_NO_ERROR: err = take(k, m, out, e); break;
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: err = mg_fail(e, MG_CONN, "the topic %s is gone; it is made again", k->settings.topic); break;
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
  case RD_KAFKA_RESP_ERR__FATAL: err = mg_kafka_fault(k, m->err, "tasks cannot be fetched", e); break;
  default: break; /* librdkafka tries again by itself */
  }
  rd_kafka_message_destroy(m);
  return err;
}

void mg_kafka_drop_waiting(mg_kafka *k) {
  size_t kept = 0;
  for (size_t i = 0; i < k->waiting_count; i++) {
    mg_lease *l = k->waiting[i];
    if (is_held(k, l) && !k->partitions[l->partition].leaving)
      k->waiting[kept++] = l;
    else
      mg_kafka_lease_free(k, l);
  }
  k->waiting_count = kept;
}

static bool is_due(const mg_lease *l, const mg_fetch *how, mg_ms now) {
  bool due = l->due_ms <= now;
  for (size_t i = 0; !due && i < how->over_count; i++) due = strcmp(l->run, how->over_runs[i]) == 0;
  return due;
}

static mg_err give_waiting(mg_kafka *k, const mg_fetch *how, size_t max, mg_batch *out, mg_error *e) {
  mg_ms now = mg_now_ms();
  mg_err err = MG_OK;
  size_t kept = 0, given = 0;
  mg_kafka_drop_waiting(k); /* what belongs to another worker now */
  for (size_t i = 0; i < k->waiting_count; i++) {
    mg_lease *l = k->waiting[i];
    bool now_due = err == MG_OK && given < max && is_due(l, how, now);
    if (now_due) err = give(k, l, out, e);
    if (now_due && err == MG_OK)
      given++;
    else
      k->waiting[kept++] = l;
  }
  k->waiting_count = kept;
  return err;
}

mg_err mg_kafka_fetch_tasks(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  size_t begin = out->count;
  mg_err err = mg_kafka_serve(k, e);
  if (err != MG_OK || how->max == 0) return err;
  for (;;) {
    bool got = true;
    err = join(k, e);
    if (err != MG_OK) return err;
    mg_kafka_pause_all(k, false);
    err = give_waiting(k, how, how->max - (out->count - begin), out, e);
    while (err == MG_OK && got && out->count - begin < how->max) err = poll_group(k, out, &got, e);
    k->fetched_ms = mg_now_ms();
    if (err == MG_OK) err = mg_kafka_serve(k, e);
    if (err != MG_OK || out->count > begin || k->fetched_ms >= how->until) return err;
    if (!mg_kafka_wait(k, how->until)) return MG_OK;
  }
}

void mg_kafka_step_back(mg_backend *b) {
  mg_kafka *k = mg_kafka_of(b);
  mg_ms now = mg_now_ms();
  if (k->group == NULL || !k->joined || k->parting) return;
  if (k->back_ms == 0) k->back_ms = now;
  mg_kafka_put_behind(k);
  if (!mg_kafka_is_committed(k) && now - k->back_ms < MG_KAFKA_LEAVE_MS) return; /* a last commit might come too late, see group.c */
  k->left = false;
  k->parting = rd_kafka_unsubscribe(k->group) == RD_KAFKA_RESP_ERR_NO_ERROR;
  k->part_by = mg_now_ms() + 2 * MG_KAFKA_LEAVE_MS;
}

void mg_kafka_rest(mg_kafka *k) {
  if (k->group == NULL || !k->joined) return;
  mg_kafka_hand_over(k, false);
  if (!k->parting && !k->paused && mg_now_ms() - k->fetched_ms < IDLE_MS) return; /* for a moment: what is prefetched would be dropped */
  mg_kafka_pause_all(k, true);
  for (bool got = true; got && poll_group(k, NULL, &got, NULL) == MG_OK;) {
  }
}

/* ---- settling ---- */

mg_err mg_kafka_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  (void)until;
  mg_err err = mg_kafka_serve(k, e);
  for (size_t i = 0; i < count; i++) items[i].err = err != MG_OK ? err : is_held(k, items[i].lease) ? MG_OK : MG_LOST;
  return err;
}

static mg_err settle(mg_kafka *k, mg_lease *l) {
  if (!is_held(k, l)) return MG_LOST;
  mg_kafka_partition *p = &k->partitions[l->partition];
  l->settled = true;
  p->held--;
  bool known = mg_kafka_mark_done(&p->marks, l->offset);
  if (p->full && !mg_kafka_marks_full(&p->marks)) mg_kafka_hold_back(k, p, false);
  return known ? MG_OK : MG_LOST;
}

mg_err mg_kafka_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  (void)until;
  mg_err err = mg_kafka_serve(k, e);
  for (size_t i = 0; i < count; i++) items[i].err = err == MG_OK ? settle(k, items[i].lease) : err;
  mg_kafka_offer(k);
  mg_kafka_hand_over(k, false);
  return err;
}

static bool is_in_front(const mg_kafka *k, const mg_lease *l) {
  const mg_kafka_partition *p = &k->partitions[l->partition];
  return is_held(k, l) && l->offset < p->given && (p->leaving || k->closing || k->back_ms != 0);
}

void mg_kafka_put_behind(mg_kafka *k) {
  size_t n = 0;
  mg_ms now = mg_now_ms();
  mg_kafka_out *out = k->waiting_count > 0 && !k->down ? calloc(k->waiting_count, sizeof *out) : NULL;
  if (out == NULL) return;
  for (size_t i = 0; i < k->waiting_count; i++) {
    const mg_lease *l = k->waiting[i];
    if (!is_in_front(k, l)) continue;
    out[n++] = (mg_kafka_out){.topic = k->settings.topic,
                              .partition = k->partitions[l->partition].number,
                              .run = l->run,
                              .task = l->task,
                              .again = l->again,
                              .attempt = l->attempt,
                              .given_back = l->given_back,
                              .delay_ms = l->due_ms > now ? l->due_ms - now : 0,
                              .body = l->body,
                              .err = MG_CONN};
  }
  (void)mg_kafka_produce(k, out, n, now + BEHIND_MS, NULL);
  for (size_t i = 0, j = 0; i < k->waiting_count && j < n; i++) {
    mg_lease *l = k->waiting[i];
    if (is_in_front(k, l) && out[j++].err == MG_OK) (void)settle(k, l);
  }
  free(out);
  mg_kafka_drop_waiting(k);
  mg_kafka_offer(k);
}

/* A partition that another worker has, where there is one. *ours: there is none. */
static int32_t elsewhere(mg_kafka *k, bool *ours) {
  int32_t found = k->turn;
  *ours = true;
  for (int32_t i = 0; i < k->task_partitions && *ours; i++) {
    const mg_kafka_partition *p = mg_kafka_partition_of(k, (k->turn + i) % k->task_partitions);
    *ours = p == NULL || p->assigned;
    if (!*ours) found = p->number;
  }
  k->turn = (found + 1) % k->task_partitions;
  return found;
}

/* Produced first, settled then: at worst it is there twice. */
static mg_err move(mg_kafka *k, mg_settle *items, size_t count, bool dead, mg_ms until, mg_error *e) {
  mg_err err = mg_kafka_serve(k, e);
  if (err != MG_OK || count == 0) return err;
  mg_kafka_out *out = calloc(count, sizeof *out);
  size_t *of = calloc(count, sizeof *of), n = 0;
  char(*keys)[512] = dead ? calloc(count, sizeof *keys) : NULL;
  if (out == NULL || of == NULL || (dead && keys == NULL)) {
    err = mg_fail(e, MG_NOMEM, "no memory to move %zu tasks", count);
    goto out;
  }
  for (size_t i = 0; i < count; i++) {
    const mg_lease *l = items[i].lease;
    items[i].err = MG_LOST;
    if (!is_held(k, l)) continue;
    bool ours = true;
    int32_t partition = dead ? 0 : elsewhere(k, &ours);
    out[n] = (mg_kafka_out){.topic = dead ? k->settings.dead_topic : k->settings.topic,
                            .partition = partition,
                            .run = l->run,
                            .task = l->task,
                            .again = true,
                            .attempt = l->attempt,
                            .given_back = dead ? 0 : l->given_back + 1,
                            .delay_ms = dead || (!ours && l->given_back < AT_ONCE) ? 0 : items[i].ms,
                            .why = dead ? items[i].why : NULL,
                            .body = l->body};
    if (dead && mg_kafka_dead_key(keys[n], sizeof keys[n], l->run, l->task)) out[n].key = keys[n];
    of[n++] = i;
  }
  err = mg_kafka_produce(k, out, n, until, e);
  for (size_t j = 0; j < n; j++) items[of[j]].err = out[j].err == MG_OK ? settle(k, items[of[j]].lease) : out[j].err;
  mg_kafka_offer(k);
out:
  free(out);
  free(of);
  free(keys);
  return err;
}

mg_err mg_kafka_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) { return move(mg_kafka_of(b), items, count, false, until, e); }

mg_err mg_kafka_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  return move(mg_kafka_of(b), items, count, true, until, e);
}
