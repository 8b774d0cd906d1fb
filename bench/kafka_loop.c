/* kafka_loop.c - a bare loop over librdkafka, to compare with: an idempotent producer with delivery reports, and a consumer in a group that commits, each in
 * a thread of its own.
 *
 * usage: kafka_loop SERVERS TOPIC [MESSAGES [BODY_BYTES]]
 * Makes the topic, with 8 partitions. A commit for 1000 messages. Prints messages a second, from the first produced to the last consumed and reported. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COMMIT_EVERY = 1000 };

static const char *servers, *topic;
static long todo = 100000, reported;

static void die(const char *what) {
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char why[200];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) die(why);
}

static rd_kafka_t *handle(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char why[200];
  set(conf, "bootstrap.servers", servers);
  rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
  if (rk == NULL) die(why);
  return rk;
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
  (void)rk, (void)opaque;
  if (m->err) die("a delivery");
  reported++;
}

static void make_topic(rd_kafka_t *rk) {
  char why[200];
  rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(topic, 8, 1, why, sizeof why);
  rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
  rd_kafka_CreateTopics(rk, &t, 1, NULL, q);
  rd_kafka_event_t *answer = rd_kafka_queue_poll(q, 60000);
  if (answer == NULL || rd_kafka_event_error(answer) != RD_KAFKA_RESP_ERR_NO_ERROR) die("making the topic");
  rd_kafka_event_destroy(answer);
  rd_kafka_queue_destroy(q);
  rd_kafka_NewTopic_destroy(t);
}

static void *consume(void *arg) {
  rd_kafka_t *rk = arg;
  for (long n = 0; n < todo;) {
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 1000);
    if (m == NULL) continue;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      n++;
      if (rd_kafka_offset_store(m->rkt, m->partition, m->offset) != RD_KAFKA_RESP_ERR_NO_ERROR) die("storing an offset");
      if (n % COMMIT_EVERY == 0) (void)rd_kafka_commit(rk, NULL, 1);
    }
    rd_kafka_message_destroy(m);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 3) return 4;
  servers = argv[1];
  topic = argv[2];
  if (argc > 3) todo = atol(argv[3]);
  size_t bytes = argc > 4 ? (size_t)atol(argv[4]) : 120;
  char *body = calloc(1, bytes + 1);
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "enable.idempotence", "true");
  set(conf, "linger.ms", "1");
  rd_kafka_conf_set_dr_msg_cb(conf, on_report);
  rd_kafka_t *producer = handle(RD_KAFKA_PRODUCER, conf);
  make_topic(producer);
  conf = rd_kafka_conf_new();
  set(conf, "group.id", topic);
  set(conf, "enable.auto.commit", "false");
  set(conf, "enable.auto.offset.store", "false");
  set(conf, "auto.offset.reset", "earliest");
  rd_kafka_t *consumer = handle(RD_KAFKA_CONSUMER, conf);
  (void)rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1), *mine = NULL;
  rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
  if (rd_kafka_subscribe(consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR) die("subscribe");
  while (rd_kafka_assignment(consumer, &mine) == RD_KAFKA_RESP_ERR_NO_ERROR && mine->cnt == 0) { /* joining is no part of it */
    rd_kafka_topic_partition_list_destroy(mine);
    rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 50);
    if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) die("an empty topic");
    if (m != NULL) rd_kafka_message_destroy(m); /* the topic is not there yet */
  }
  pthread_t thread;
  struct timespec start, end;
  (void)clock_gettime(CLOCK_MONOTONIC, &start);
  if (pthread_create(&thread, NULL, consume, consumer) != 0) die("a thread");
  for (long sent = 0; sent < todo; (void)rd_kafka_poll(producer, 0)) {
    rd_kafka_resp_err_t code =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(body, bytes), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
      sent++;
    else if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
      (void)rd_kafka_poll(producer, 10);
    else
      die("produce");
  }
  while (reported < todo) (void)rd_kafka_poll(producer, 10);
  (void)pthread_join(thread, NULL);
  (void)clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.0f\n", (double)todo / ((double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9));
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_topic_partition_list_destroy(mine);
  (void)rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  rd_kafka_destroy(producer);
  free(body);
  return 0;
}
