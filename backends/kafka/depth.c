/* How much is on the topic of tasks: its end less what the group has committed. */
#include "backends/kafka/parts.h"

#include <stdio.h>
#include <stdlib.h>

/* Committed offset of each partition, -1 where the group has none. */
static mg_err committed(mg_kafka *k, int64_t *out, mg_ms until, mg_error *e) {
  if (k->group == NULL) k->group = mg_kafka_handle(k, MG_KAFKA_GROUP, k->settings.group, e);
  if (k->group == NULL) return MG_ARG;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(k->task_partitions);
  if (list == NULL) return mg_fail(e, MG_NOMEM, "no memory for offsets");
  for (int32_t i = 0; i < k->task_partitions; i++) rd_kafka_topic_partition_list_add(list, k->settings.topic, i);
  mg_err err = mg_kafka_committed_offsets(k, k->group, list, until, e);
  for (int i = 0; err == MG_OK && i < list->cnt; i++) out[list->elems[i].partition] = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
  rd_kafka_topic_partition_list_destroy(list);
  return err;
}

/* Messages of each partition that the group has not settled. */
static mg_err lags(mg_kafka *k, int64_t *lag, mg_ms until, mg_error *e) {
  size_t n = (size_t)k->task_partitions;
  int64_t *done = calloc(n, sizeof *done), *end = calloc(n, sizeof *end), *first = calloc(n, sizeof *first);
  mg_err err = done != NULL && end != NULL && first != NULL ? MG_OK : mg_fail(e, MG_NOMEM, "no memory for offsets");
  if (err == MG_OK) err = mg_kafka_serve(k, e);
  if (err == MG_OK) err = committed(k, done, until, e);
  if (err == MG_OK) err = mg_kafka_offsets(k, k->settings.topic, 0, k->task_partitions, RD_KAFKA_OFFSET_END, end, until, e);
  if (err == MG_OK) err = mg_kafka_offsets(k, k->settings.topic, 0, k->task_partitions, RD_KAFKA_OFFSET_BEGINNING, first, until, e);
  for (size_t i = 0; err == MG_OK && i < n; i++) {
    int64_t from = done[i] > first[i] ? done[i] : first[i];
    lag[i] = end[i] > from ? end[i] - from : 0;
  }
  free(done);
  free(end);
  free(first);
  return err;
}

mg_err mg_kafka_depth(mg_backend *b, const char *run, mg_ms until, mg_depth *out, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  *out = (mg_depth){.pending = -1, .in_flight = -1, .dead = -1, .results = -1, .oldest_ms = -1};
  int64_t *lag = calloc((size_t)k->task_partitions, sizeof *lag);
  if (lag == NULL) return mg_fail(e, MG_NOMEM, "no memory for offsets");
  mg_err err = lags(k, lag, until, e);
  if (err == MG_OK) out->pending = 0;
  for (int32_t i = 0; err == MG_OK && i < k->task_partitions; i++) out->pending += lag[i];
  free(lag);
  if (err != MG_OK || k->run != NULL) return err; /* dead letters are counted by reading them: not for a coordinator that asks each second */
  mg_batch dead = {0};
  err = mg_kafka_list_dead(b, run, 100000, until, &dead, e);
  if (err == MG_OK) out->dead = (int64_t)dead.count;
  mg_batch_clear(&dead);
  return err;
}

mg_err mg_kafka_stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  const struct rd_kafka_metadata *md = NULL;
  out->throttled = k->throttled;
  int64_t *lag = calloc((size_t)k->task_partitions, sizeof *lag);
  rd_kafka_topic_t *t = rd_kafka_topic_new(k->producer, k->settings.topic, NULL);
  mg_err err = lag != NULL && t != NULL ? lags(k, lag, until, e) : mg_fail(e, MG_NOMEM, "no memory for offsets");
  mg_ms left = until - mg_now_ms();
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (err == MG_OK) code = rd_kafka_metadata(k->producer, 0, t, &md, (int)(left < 1 ? 1 : left));
  if (err == MG_OK && code != RD_KAFKA_RESP_ERR_NO_ERROR) err = mg_kafka_fault(k, code, "metadata", e);
  if (err == MG_OK) {
    out->lag = 0;
    for (int32_t i = 0; i < k->task_partitions; i++) {
      out->lag += lag[i];
      if (i >= MG_STATS_PARTITIONS) continue;
      out->partitions[i] = (mg_partition_stats){.partition = i, .leader = -1, .lag = lag[i]};
      out->partition_count = (size_t)i + 1;
    }
    for (int i = 0; md->topic_cnt > 0 && i < md->topics[0].partition_cnt; i++) {
      int32_t id = md->topics[0].partitions[i].id;
      if (id >= 0 && (size_t)id < out->partition_count) out->partitions[id].leader = md->topics[0].partitions[i].leader;
    }
    for (int i = 0; i < md->broker_cnt && out->node_count < MG_STATS_NODES; i++) {
      mg_node_stats *n = &out->nodes[out->node_count++];
      *n = (mg_node_stats){.memory_bytes = -1, .memory_limit_bytes = -1};
      (void)snprintf(n->name, sizeof n->name, "%.50s:%d", md->brokers[i].host, md->brokers[i].port);
    }
  }
  if (md != NULL) rd_kafka_metadata_destroy(md);
  if (t != NULL) rd_kafka_topic_destroy(t);
  free(lag);
  return err;
}
