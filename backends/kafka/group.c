/* The partitions of our group: they come and go, and of each the contiguous beginning that is settled is committed. */
#include "backends/kafka/parts.h"

#include <stdlib.h>
#include <string.h>

/* HAND_OVER_MS: how long a partition that another member is to get is kept for the tasks of it that are held: they need not run twice then. */
enum { FRESH_MS = 2000, COMMIT_WAIT_MS = 3000, HAND_OVER_MS = 5000 };

mg_kafka_partition *mg_kafka_partition_of(mg_kafka *k, int32_t number) {
  for (size_t i = 0; i < k->partition_count; i++) {
    if (k->partitions[i].number == number) return &k->partitions[i];
  }
  mg_kafka_partition *grown = realloc(k->partitions, (k->partition_count + 1) * sizeof *grown);
  if (grown == NULL) return NULL;
  k->partitions = grown;
  mg_kafka_partition *p = &grown[k->partition_count++];
  memset(p, 0, sizeof *p);
  p->number = number;
  p->marks.low = p->marks.committed = p->stored = p->given = -1;
  return p;
}

/* ---- committing ---- */

static void answered(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *code) {
  (void)rk, (void)list;
  *(rd_kafka_resp_err_t *)code = err;
}

rd_kafka_resp_err_t mg_kafka_commit_and_wait(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list) {
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__IN_PROGRESS;
  rd_kafka_queue_t *answers = rd_kafka_queue_new(rk);
  if (answers == NULL) return RD_KAFKA_RESP_ERR__FAIL;
  mg_ms left, end = mg_now_ms() + COMMIT_WAIT_MS;
  rd_kafka_resp_err_t asked = rd_kafka_commit_queue(rk, list, answers, answered, &code);
  while (asked == RD_KAFKA_RESP_ERR_NO_ERROR && code == RD_KAFKA_RESP_ERR__IN_PROGRESS && (left = end - mg_now_ms()) > 0)
    (void)rd_kafka_queue_poll_callback(answers, (int)left);
  rd_kafka_queue_destroy(answers); /* an answer that comes later finds nobody */
  if (asked != RD_KAFKA_RESP_ERR_NO_ERROR) return asked;
  return code == RD_KAFKA_RESP_ERR__IN_PROGRESS ? RD_KAFKA_RESP_ERR__TIMED_OUT : code;
}

static bool has(const rd_kafka_topic_partition_list_t *list, const char *topic, int32_t number) {
  return rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)list, topic, number) != NULL;
}

static void offer(mg_kafka *k) {
  rd_kafka_topic_partition_list_t *list = NULL;
  for (size_t i = 0; i < k->partition_count; i++) {
    mg_kafka_partition *p = &k->partitions[i];
    if (!p->assigned || p->marks.low <= p->stored) continue;
    if (list == NULL) list = rd_kafka_topic_partition_list_new((int)k->partition_count);
    if (list == NULL) return;
    rd_kafka_topic_partition_list_add(list, k->settings.topic, p->number)->offset = p->stored = p->marks.low;
  }
  if (list == NULL) return;
  (void)rd_kafka_offsets_store(k->group, list);
  rd_kafka_topic_partition_list_destroy(list);
}

/* A commit that is sent while we wait to join again may reach the broker behind that request, with the generation of before, and costs the whole assignment.
 * Only librdkafka's own thread knows when that is: it commits by itself, from time to time, what is offered here, and never then. */
void mg_kafka_offer(mg_kafka *k) {
  if (k->group != NULL && k->joined) offer(k);
}

void mg_kafka_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *owner) {
  mg_kafka *k = owner;
  (void)rk;
  for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && list != NULL && i < list->cnt; i++) {
    const rd_kafka_topic_partition_t *part = &list->elems[i];
    mg_kafka_partition *p = part->err == RD_KAFKA_RESP_ERR_NO_ERROR ? mg_kafka_partition_of(k, part->partition) : NULL;
    if (p != NULL && part->offset > p->marks.committed) p->marks.committed = part->offset;
  }
}

bool mg_kafka_is_committed(const mg_kafka *k) {
  for (size_t i = 0; i < k->partition_count; i++) {
    const mg_kafka_partition *p = &k->partitions[i];
    if (p->assigned && p->marks.low > p->marks.committed) return false;
  }
  return true;
}

/* Where partitions are taken from us, and librdkafka waits for our word to join again: at that moment a commit is in time. One that fails is made good by
 * whoever runs those tasks again: the results are dropped. */
static void commit(mg_kafka *k, const rd_kafka_topic_partition_list_t *only) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)k->partition_count);
  if (list == NULL) return;
  for (size_t i = 0; i < k->partition_count; i++) {
    const mg_kafka_partition *p = &k->partitions[i];
    if (p->assigned && p->marks.low > p->marks.committed && has(only, k->settings.topic, p->number))
      rd_kafka_topic_partition_list_add(list, k->settings.topic, p->number)->offset = p->marks.low;
  }
  if (list->cnt > 0) (void)mg_kafka_commit_and_wait(k->group, list);
  rd_kafka_topic_partition_list_destroy(list);
}

/* Only its statistics tell how librdkafka stands with the group. */
int mg_kafka_told(rd_kafka_t *rk, char *json, size_t len, void *owner) {
  static const char out[] = "\"join_state\": \"init\"";
  mg_kafka *k = owner;
  if (rk != k->group || !k->joined) return 0;
  k->left = memmem(json, len, out, sizeof out - 1) != NULL;
  if (k->parting && k->left && k->leaving == NULL) k->parting = k->joined = false;
  return 0;
}

/* ---- coming and going ---- */

/* Whoever had a partition before may have had all that was in it when it came to us; Kafka does not tell. */
static void learn_fresh(mg_kafka *k, const rd_kafka_topic_partition_list_t *list) {
  int64_t *end = list->cnt > 0 ? calloc((size_t)k->task_partitions, sizeof *end) : NULL;
  if (end != NULL && mg_kafka_offsets(k, k->settings.topic, 0, k->task_partitions, RD_KAFKA_OFFSET_END, end, mg_now_ms() + FRESH_MS, NULL) == MG_OK) {
    for (int i = 0; i < list->cnt; i++) {
      mg_kafka_partition *p = mg_kafka_partition_of(k, list->elems[i].partition);
      if (p != NULL && p->number < k->task_partitions) p->fresh = end[p->number];
    }
  }
  free(end);
}

static void set_assigned(mg_kafka *k, const rd_kafka_topic_partition_list_t *list, bool on) {
  for (int i = 0; i < list->cnt; i++) {
    mg_kafka_partition *p = mg_kafka_partition_of(k, list->elems[i].partition);
    if (p == NULL) continue;
    p->assigned = on;
    p->full = p->leaving = false;
    p->held = 0;
    p->generation++;
    memset(&p->marks, 0, sizeof p->marks);
    p->marks.low = p->marks.committed = p->stored = p->given = -1;
    p->fresh = INT64_MAX;
  }
}

static void tell(mg_kafka *k, const rd_kafka_topic_partition_list_t *list, bool come) {
  rd_kafka_error_t *failed = NULL;
  if (strcmp(rd_kafka_rebalance_protocol(k->group), "COOPERATIVE") == 0)
    failed = come ? rd_kafka_incremental_assign(k->group, list) : rd_kafka_incremental_unassign(k->group, list);
  else
    (void)rd_kafka_assign(k->group, come ? list : NULL);
  if (failed != NULL) rd_kafka_error_destroy(failed);
}

/* list is k->leaving, or the callback's. */
static void give_up(mg_kafka *k, const rd_kafka_topic_partition_list_t *list) {
  if (rd_kafka_assignment_lost(k->group) == 0) commit(k, list);
  set_assigned(k, list, false);
  tell(k, list, false);
}

static bool is_waited_for(const mg_kafka *k) {
  for (size_t i = 0; i < k->partition_count; i++) {
    if (k->partitions[i].leaving && k->partitions[i].held > 0) return true;
  }
  return false;
}

void mg_kafka_hand_over(mg_kafka *k, bool now) {
  if (k->leaving == NULL) return;
  if (!now && is_waited_for(k) && mg_now_ms() < k->leave_by && rd_kafka_assignment_lost(k->group) == 0) return;
  rd_kafka_topic_partition_list_t *list = k->leaving;
  k->leaving = NULL;
  give_up(k, list);
  rd_kafka_topic_partition_list_destroy(list);
}

/* They give no more tasks, and what was not begun goes with them. */
static void leave(mg_kafka *k, const rd_kafka_topic_partition_list_t *list) {
  k->leaving = rd_kafka_topic_partition_list_copy(list);
  k->leave_by = mg_now_ms() + HAND_OVER_MS;
  for (size_t i = 0; i < k->partition_count; i++) {
    if (k->partitions[i].assigned && has(list, k->settings.topic, k->partitions[i].number)) k->partitions[i].leaving = true;
  }
  (void)rd_kafka_pause_partitions(k->group, k->leaving);
  mg_kafka_put_behind(k);
  mg_kafka_drop_waiting(k);
  mg_kafka_hand_over(k, false);
}

void mg_kafka_rebalanced(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *owner) {
  mg_kafka *k = owner;
  bool together = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;
  mg_kafka_hand_over(k, true); /* librdkafka asks again only once it has heard of what it asked before; to be sure */
  if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    k->given = true;
    set_assigned(k, list, true);
    learn_fresh(k, list);
    tell(k, list, true);
    (void)(k->paused ? rd_kafka_pause_partitions(rk, list) : rd_kafka_resume_partitions(rk, list)); /* what was paused when it went still is */
  } else if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
    (void)rd_kafka_assign(rk, NULL);
  } else if (together && !k->closing && rd_kafka_assignment_lost(rk) == 0) {
    leave(k, list);
  } else {
    give_up(k, list);
  }
}

/* ---- holding back ---- */

void mg_kafka_pause_all(mg_kafka *k, bool on) {
  if (k->paused == on) return;
  k->paused = on;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)k->partition_count);
  if (list == NULL) return;
  for (size_t i = 0; i < k->partition_count; i++) {
    const mg_kafka_partition *p = &k->partitions[i];
    if (p->assigned && !p->full && !p->leaving) rd_kafka_topic_partition_list_add(list, k->settings.topic, p->number);
  }
  if (list->cnt > 0) (void)(on ? rd_kafka_pause_partitions(k->group, list) : rd_kafka_resume_partitions(k->group, list));
  rd_kafka_topic_partition_list_destroy(list);
}

void mg_kafka_hold_back(mg_kafka *k, mg_kafka_partition *p, bool on) {
  if (p->full == on || !p->assigned) return;
  p->full = on;
  if (k->paused || p->leaving) return;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  if (list == NULL) return;
  rd_kafka_topic_partition_list_add(list, k->settings.topic, p->number);
  (void)(on ? rd_kafka_pause_partitions(k->group, list) : rd_kafka_resume_partitions(k->group, list));
  rd_kafka_topic_partition_list_destroy(list);
}
