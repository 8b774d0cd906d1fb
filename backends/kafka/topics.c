/* The three topics: made where they are missing, looked at where they are not. */
#include "backends/kafka/parts.h"
#include "base/hash.h"

#include <stdio.h>
#include <string.h>

static mg_ms left_of(mg_ms until) {
  mg_ms left = until - mg_now_ms();
  return left < 1 ? 1 : left > 60000 ? 60000 : left;
}

int32_t mg_kafka_results_partition(const mg_kafka *k, const char *run) {
  if (k->result_partitions <= 1) return 0;
  uint32_t h = 2166136261u; /* FNV-1a: all sides must agree, on every machine */
  for (const char *c = run; *c != '\0'; c++) h = (h ^ (uint8_t)*c) * 16777619u;
  return 1 + (int32_t)(h % (uint32_t)(k->result_partitions - 1));
}

static rd_kafka_NewTopic_t *new_topic(const mg_kafka *k, const char *name, int32_t partitions, const char *cleanup, const char *stamp) {
  char why[200], retention[24];
  rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, partitions, (int)k->settings.replication, why, sizeof why);
  if (t == NULL) return NULL;
  (void)snprintf(retention, sizeof retention, "%lld", (long long)k->settings.retention_ms);
  (void)rd_kafka_NewTopic_set_config(t, "cleanup.policy", cleanup);
  (void)rd_kafka_NewTopic_set_config(t, "message.timestamp.type", stamp);
  if (strcmp(cleanup, "delete") == 0) (void)rd_kafka_NewTopic_set_config(t, "retention.ms", retention);
  return t;
}

/* MG_OK also where it exists already, or where this user may not make topics: whether it is there is seen next. *why keeps the reason. */
static mg_err create(mg_kafka *k, mg_ms until, char *why, size_t cap, mg_error *e) {
  const mg_kafka_settings *s = &k->settings;
  rd_kafka_NewTopic_t *topics[3] = {new_topic(k, s->topic, (int32_t)s->partitions, "delete", "CreateTime"),
                                    new_topic(k, s->results_topic, (int32_t)(s->partitions < 2 ? 2 : s->partitions), "delete", "LogAppendTime"),
                                    new_topic(k, s->dead_topic, 1, "compact", "CreateTime")};
  rd_kafka_queue_t *queue = rd_kafka_queue_new(k->producer);
  rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(k->producer, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_event_t *event = NULL;
  mg_err err = MG_OK;
  char text[200];
  if (topics[0] == NULL || topics[1] == NULL || topics[2] == NULL || queue == NULL || options == NULL) {
    err = mg_fail(e, MG_ARG, "topic, results_topic, dead_letter_topic, partitions or replication_factor cannot be used");
    goto out;
  }
  (void)rd_kafka_AdminOptions_set_request_timeout(options, (int)left_of(until), text, sizeof text);
  rd_kafka_CreateTopics(k->producer, topics, 3, options, queue);
  event = rd_kafka_queue_poll(queue, (int)left_of(until) + 1000);
  if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    err = mg_kafka_fault(k, event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT, "the topics cannot be made", e);
    if (err != MG_CONN) err = MG_OK;
    (void)snprintf(why, cap, "%s", event != NULL ? rd_kafka_event_error_string(event) : "no answer");
    goto out;
  }
  size_t count = 0;
  const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
    const char *said = rd_kafka_topic_result_error_string(results[i]);
    (void)snprintf(why, cap, "%s", said != NULL ? said : rd_kafka_err2str(code));
  }
out:
  if (event != NULL) rd_kafka_event_destroy(event);
  if (options != NULL) rd_kafka_AdminOptions_destroy(options);
  if (queue != NULL) rd_kafka_queue_destroy(queue);
  for (int i = 0; i < 3; i++) {
    if (topics[i] != NULL) rd_kafka_NewTopic_destroy(topics[i]);
  }
  return err;
}

/* Are they all there? Asked for all topics, since a question about one may make it, with other partitions than ours. */
static bool are_there(mg_kafka *k, const char *const names[3], mg_ms until) {
  const struct rd_kafka_metadata *md = NULL;
  int found = 0;
  if (rd_kafka_metadata(k->producer, 1, NULL, &md, (int)left_of(until)) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  for (int i = 0; i < md->topic_cnt; i++) {
    for (int n = 0; n < 3; n++) found += strcmp(md->topics[i].topic, names[n]) == 0 && md->topics[i].partition_cnt > 0;
  }
  rd_kafka_metadata_destroy(md);
  return found == 3;
}

/* Its partitions; 0 where the topic is not there (yet). */
static mg_err count(mg_kafka *k, const char *name, int32_t *out, mg_ms until, mg_error *e) {
  const struct rd_kafka_metadata *md = NULL;
  rd_kafka_topic_t *t = rd_kafka_topic_new(k->producer, name, NULL);
  *out = 0;
  if (t == NULL) return mg_fail(e, MG_ARG, "the topic %s cannot be used: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
  rd_kafka_resp_err_t code = rd_kafka_metadata(k->producer, 0, t, &md, (int)left_of(until));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && md->topic_cnt > 0) {
    code = md->topics[0].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) *out = md->topics[0].partition_cnt;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) code = RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  if (md != NULL) rd_kafka_metadata_destroy(md);
  rd_kafka_topic_destroy(t);
  (void)rd_kafka_poll(k->producer, 0);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? MG_OK : mg_kafka_fault(k, code, name, e);
}

mg_err mg_kafka_topics(mg_kafka *k, mg_ms until, mg_error *e) {
  const mg_kafka_settings *s = &k->settings;
  const char *const names[3] = {s->topic, s->results_topic, s->dead_topic};
  int32_t counts[3] = {0};
  char why[300] = "";
  mg_err err = are_there(k, names, until) ? MG_OK : create(k, until, why, sizeof why, e);
  for (int i = 0; i < 3 && err == MG_OK;) {
    err = count(k, names[i], &counts[i], until, e);
    if (err != MG_OK) break;
    if (counts[i] > 0) {
      i++;
    } else if (why[0] != '\0' || mg_now_ms() >= until) {
      err = mg_fail(
          e, why[0] != '\0' ? MG_FATAL : MG_CONN,
          "Kafka at %s has no topic %s, and it cannot be made (%.200s); make it: kafka-topics.sh --create --topic %s --partitions %lld --bootstrap-server %s",
          s->servers, names[i], why[0] != '\0' ? why : "no answer in time", names[i], i == 2 ? 1LL : (long long)s->partitions, s->servers);
    } else {
      (void)mg_kafka_wait(k, mg_now_ms() + 20); /* what was made is not known everywhere at once */
    }
  }
  k->task_partitions = counts[0];
  k->result_partitions = counts[1];
  if (err == MG_OK && k->run != NULL) k->results_partition = mg_kafka_results_partition(k, k->run);
  uint8_t start[4];
  mg_random_bytes(start, sizeof start);
  if (counts[0] > 0) k->turn = start[0] % counts[0]; /* runs do not all begin with partition 0 */
  return err;
}

static bool passes(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
         code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
         code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
         code == RD_KAFKA_RESP_ERR__TRANSPORT;
}

static rd_kafka_resp_err_t ask_offsets(mg_kafka *k, const char *topic, int32_t first, int32_t partitions, int64_t time, int64_t *out, mg_ms until) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
  if (list == NULL) return RD_KAFKA_RESP_ERR__FAIL;
  for (int32_t i = 0; i < partitions; i++) rd_kafka_topic_partition_list_add(list, topic, first + i)->offset = time;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(k->producer, list, (int)left_of(until));
  for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
    if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) code = list->elems[i].err;
    out[list->elems[i].partition - first] = list->elems[i].offset;
  }
  rd_kafka_topic_partition_list_destroy(list);
  (void)rd_kafka_poll(k->producer, 0);
  return code;
}

mg_err mg_kafka_offsets(mg_kafka *k, const char *topic, int32_t first, int32_t partitions, int64_t time, int64_t *out, mg_ms until, mg_error *e) {
  rd_kafka_resp_err_t code;
  while (passes(code = ask_offsets(k, topic, first, partitions, time, out, until)) && mg_now_ms() < until) {
    (void)mg_kafka_wait(k, mg_now_ms() + 20); /* a topic just made, or a leader just elected */
  }
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? MG_OK : mg_kafka_fault(k, code, "offsets", e);
}

mg_err mg_kafka_committed_offsets(mg_kafka *k, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, mg_ms until, mg_error *e) {
  rd_kafka_resp_err_t code;
  while (passes(code = rd_kafka_committed(rk, list, (int)left_of(until))) && mg_now_ms() < until) {
    (void)mg_kafka_wait(k, mg_now_ms() + 20); /* a coordinator just elected, or about to read its log */
  }
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? MG_OK : mg_kafka_fault(k, code, "committed offsets", e);
}
