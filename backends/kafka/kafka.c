#include "backends/kafka/kafka.h"

#include "backends/kafka/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 250, PROBE_MS = 1500, DESTROY_S = 3 };

mg_err mg_kafka_trouble(mg_kafka *k, mg_error *e) {
  if (k->trouble == MG_OK) return mg_fail(e, MG_CONN, "no Kafka broker of %s answers", k->settings.servers);
  return mg_fail(e, k->trouble, "Kafka at %s: %s", k->settings.servers, k->why);
}

mg_err mg_kafka_fault(mg_kafka *k, rd_kafka_resp_err_t code, const char *what, mg_error *e) {
  const char *text = rd_kafka_err2str(code);
  mg_err err = MG_CONN;
  const char *mend = "";
  switch (code) {
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: err = MG_FATAL, mend = "; give this user read and write on the topics (kafka-acls.sh)"; break;
  case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED: err = MG_FATAL, mend = "; give this user read on the group and on groups that begin with it"; break;
  case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED: err = MG_FATAL, mend = "; give this user IdempotentWrite on the cluster"; break;
  case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    err = MG_ARG, mend = "; raise message.max.bytes of the topic and librdkafka[\"message.max.bytes\"], or lower max_batch_size";
    break;
  case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
  case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
  case RD_KAFKA_RESP_ERR__FATAL: err = MG_FATAL; break;
  default: break;
  }
  if (err == MG_CONN && k->trouble != MG_OK) return mg_kafka_trouble(k, e);
  return mg_fail(e, err, "Kafka at %s: %s: %s%s", k->settings.servers, what, text, mend);
}

/* Runs in our polls. What passes by itself is kept for the message of the call that fails meanwhile. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *owner) {
  mg_kafka *k = owner;
  (void)rk;
  switch (code) {
  case RD_KAFKA_RESP_ERR__AUTHENTICATION:
  case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    k->trouble = MG_FATAL;
    (void)snprintf(k->why, sizeof k->why, "the user or its password is refused: %.200s; look at sasl_username, sasl_password and sasl_mechanism", reason);
    break;
  case RD_KAFKA_RESP_ERR__SSL:
    k->trouble = MG_FATAL;
    (void)snprintf(k->why, sizeof k->why, "TLS failed: %.220s", reason);
    break;
  case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN: k->down = true; break;
  case RD_KAFKA_RESP_ERR__TRANSPORT:
  case RD_KAFKA_RESP_ERR__RESOLVE:
  case RD_KAFKA_RESP_ERR__TIMED_OUT:
    if (k->trouble != MG_FATAL) k->trouble = MG_CONN;
    if (k->trouble != MG_FATAL) (void)snprintf(k->why, sizeof k->why, "%.280s", reason);
    break;
  default: break;
  }
}

static void on_throttle(rd_kafka_t *rk, const char *broker, int32_t id, int ms, void *owner) {
  mg_kafka *k = owner;
  (void)rk, (void)broker, (void)id;
  if (ms > 0) k->throttled++;
}

static rd_kafka_queue_t *queue_of(rd_kafka_t *rk) {
  return rd_kafka_type(rk) == RD_KAFKA_PRODUCER ? rd_kafka_queue_get_main(rk) : rd_kafka_queue_get_consumer(rk);
}

rd_kafka_t *mg_kafka_handle(mg_kafka *k, mg_kafka_role role, const char *group, mg_error *e) {
  rd_kafka_conf_t *conf;
  char why[256];
  if (mg_kafka_conf(&conf, &k->settings, role, k->identity[0] != '\0' ? k->identity : "mguard", group, e) != MG_OK) return NULL;
  rd_kafka_conf_set_opaque(conf, k);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_throttle_cb(conf, on_throttle);
  if (role == MG_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, mg_kafka_report);
  if (role == MG_KAFKA_GROUP) {
    rd_kafka_conf_set_rebalance_cb(conf, mg_kafka_rebalanced);
    rd_kafka_conf_set_offset_commit_cb(conf, mg_kafka_committed);
    rd_kafka_conf_set_stats_cb(conf, mg_kafka_told);
  }
  rd_kafka_t *rk = rd_kafka_new(role == MG_KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why, sizeof why);
  if (rk == NULL) {
    rd_kafka_conf_destroy(conf);
    (void)mg_fail(e, MG_ARG, "librdkafka: %s", why);
    return NULL;
  }
  if (role != MG_KAFKA_PRODUCER) (void)rd_kafka_poll_set_consumer(rk);
  rd_kafka_queue_t *q = queue_of(rk);
  if (q != NULL) {
    rd_kafka_queue_io_event_enable(q, k->ready[1], "", 1);
    rd_kafka_queue_destroy(q);
  }
  return rk;
}

/* ---- waiting ---- */

bool mg_kafka_awake(const mg_kafka *k) {
  struct pollfd p = {.fd = k->wake_fd, .events = POLLIN};
  return k->wake_fd >= 0 && poll(&p, 1, 0) > 0;
}

bool mg_kafka_wait(mg_kafka *k, mg_ms end) {
  mg_ms left = end - mg_now_ms();
  if (left > LOOK_MS) left = LOOK_MS;
  struct pollfd p[2] = {{.fd = k->ready[0], .events = POLLIN}, {.fd = k->wake_fd, .events = POLLIN}};
  int n = left <= 0 ? poll(p, k->wake_fd >= 0 ? 2 : 1, 0) : poll(p, k->wake_fd >= 0 ? 2 : 1, (int)left);
  char drain[64];
  while (n > 0 && (p[0].revents & POLLIN) != 0 && read(k->ready[0], drain, sizeof drain) > 0) {
  }
  return !(n > 0 && (p[1].revents & POLLIN) != 0 && k->wake_fd >= 0);
}

/* Where nobody answers a question is asked: librdkafka tells that all brokers are down, but not that one is back. */
mg_err mg_kafka_serve(mg_kafka *k, mg_error *e) {
  (void)rd_kafka_poll(k->producer, 0);
  if (k->group != NULL && !k->joined) { /* nothing comes from it but its statistics, which would pile up */
    for (rd_kafka_message_t *m; (m = rd_kafka_consumer_poll(k->group, 0)) != NULL;) rd_kafka_message_destroy(m);
  }
  if (k->trouble == MG_FATAL) return mg_kafka_trouble(k, e);
  if (!k->down) return MG_OK;
  const struct rd_kafka_metadata *md = NULL;
  rd_kafka_resp_err_t code = rd_kafka_metadata(k->producer, 0, NULL, &md, PROBE_MS);
  if (md != NULL) rd_kafka_metadata_destroy(md);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return mg_kafka_trouble(k, e);
  k->down = false;
  k->trouble = MG_OK;
  return MG_OK;
}

/* ---- opening and closing ---- */

mg_err mg_kafka_check_name(const char *what, const char *name, mg_error *e) {
  if (name != NULL && name[0] != '\0' && strlen(name) <= 200 && strpbrk(name, "\r\n") == NULL) return MG_OK;
  return mg_fail(e, MG_ARG, "a %s's name must have 1 to 200 bytes and no line ends", what);
}

typedef struct handles {
  rd_kafka_t *items[3];
} handles;

static void *destroy_at_leisure(void *arg) {
  handles *h = arg;
  for (size_t i = 0; i < sizeof h->items / sizeof *h->items; i++) {
    if (h->items[i] != NULL) rd_kafka_destroy_flags(h->items[i], RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  free(h);
  return NULL;
}

static void quieten(rd_kafka_t *rk) {
  if (rk == NULL) return;
  rd_kafka_queue_t *q = queue_of(rk);
  if (q == NULL) return;
  rd_kafka_queue_io_event_enable(q, -1, NULL, 0);
  rd_kafka_queue_destroy(q);
}

/* Without a coordinator librdkafka waits for a whole session, if there is a commit to be made; it does so by itself then. */
void mg_kafka_destroy(rd_kafka_t *const *items, size_t count) {
  pthread_t thread;
  struct timespec end;
  handles *h = calloc(1, sizeof *h);
  for (size_t i = 0; i < count; i++) quieten(items[i]);
  if (h == NULL) return; /* better they stay than that we wait */
  memcpy(h->items, items, count * sizeof *items);
  if (pthread_create(&thread, NULL, destroy_at_leisure, h) != 0) {
    (void)destroy_at_leisure(h);
    return;
  }
  (void)clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += DESTROY_S;
  if (pthread_timedjoin_np(thread, NULL, &end) != 0) (void)pthread_detach(thread);
}

static void destroy(mg_kafka *k) {
  rd_kafka_t *all[] = {k->group, k->reader, k->producer};
  if (k->producer != NULL) {
    (void)rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_poll(k->producer, 0); /* what was given up is reported, and its memory freed */
  }
  mg_kafka_destroy(all, sizeof all / sizeof *all);
}

static void poll_group(mg_kafka *k) {
  rd_kafka_message_t *m = rd_kafka_consumer_poll(k->group, 20);
  if (m != NULL) rd_kafka_message_destroy(m);
}

/* In order, so that the others get our partitions at once, and nothing of what is settled; but not for as long as librdkafka would look for the
 * coordinator. (rd_kafka_consumer_close has no end of its own, and calls that are made while it works can be lost with their answers.) False: nobody
 * answers. */
static bool leave_group(mg_kafka *k) {
  mg_ms end = mg_now_ms() + MG_KAFKA_LEAVE_MS;
  mg_kafka_hand_over(k, true);
  mg_kafka_pause_all(k, true);
  mg_kafka_put_behind(k);
  while (!mg_kafka_is_committed(k) && !k->down && mg_now_ms() < end) poll_group(k); /* a commit of now might come too late, see group.c */
  if (k->down) return false;
  if (rd_kafka_unsubscribe(k->group) != RD_KAFKA_RESP_ERR_NO_ERROR) return true;
  k->left = false;
  end = mg_now_ms() + MG_KAFKA_LEAVE_MS;
  for (bool left = false; !left && mg_now_ms() < end;) {
    left = k->left; /* one more poll gives the request the time to go out */
    poll_group(k);
  }
  return true;
}

/* librdkafka before 2.3 ends the program where it destroys a member that has joined and was given nothing yet (its issue 4312), as when the broker goes in
 * the midst of that. Such a one leaves the group, as far as anybody answers, and stays in memory. */
static void forsake_member(mg_kafka *k) {
  if (k->group == NULL || !k->joined || k->given || rd_kafka_version() >= 0x02030000) return;
  quieten(k->group);
  rd_kafka_queue_t *q = rd_kafka_queue_new(k->group);
  rd_kafka_error_t *failed = q != NULL ? rd_kafka_consumer_close_queue(k->group, q) : NULL;
  if (failed != NULL) rd_kafka_error_destroy(failed); /* it has left before */
  if (q != NULL) rd_kafka_queue_destroy(q);           /* that it has left is told to nobody */
  k->group = NULL;
}

static void kafka_close(mg_backend *b) {
  if (b == NULL) return;
  mg_kafka *k = mg_kafka_of(b);
  bool down = k->down || k->trouble == MG_FATAL; /* one broker of several that went (MG_CONN) does not keep us from leaving the group in order */
  k->closing = true;
  if (k->group != NULL && k->joined && !down) down = !leave_group(k);
  if (!down) mg_kafka_commit_results(k, true);
  for (size_t i = 0; i < k->stash_count; i++) rd_kafka_message_destroy(k->stash[i]);
  free(k->stash);
  forsake_member(k);
  destroy(k);
  while (k->leases != NULL) mg_kafka_lease_free(k, k->leases);
  free(k->waiting);
  mg_newest_fini(&k->notes);
  mg_newest_fini(&k->said);
  for (int i = 0; i < 2; i++) {
    if (k->ready[i] >= 0) (void)close(k->ready[i]);
  }
  if (k->leaving != NULL) rd_kafka_topic_partition_list_destroy(k->leaving);
  free(k->partitions);
  free(k->heard);
  free(k->identity);
  free(k->run);
  free(k);
}

/* Until a broker answers; wrong passwords and certificates end it at once. */
static mg_err connect_brokers(mg_kafka *k, mg_ms until, mg_error *e) {
  for (;;) {
    const struct rd_kafka_metadata *md = NULL;
    mg_ms left = until - mg_now_ms();
    rd_kafka_resp_err_t code = rd_kafka_metadata(k->producer, 0, NULL, &md, (int)(left < 1 ? 1 : left < LOOK_MS ? left : LOOK_MS));
    if (md != NULL) rd_kafka_metadata_destroy(md);
    (void)rd_kafka_poll(k->producer, 0);
    if (k->trouble == MG_FATAL) return mg_kafka_trouble(k, e);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      k->down = false;
      k->trouble = MG_OK;
      return MG_OK;
    }
    if (left <= 0) return mg_kafka_trouble(k, e);
  }
}

static mg_err kafka_open(mg_backend **out, const mg_backend_config *config, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  mg_kafka *k = calloc(1, sizeof *k);
  if (k == NULL) return mg_fail(e, MG_NOMEM, "no memory for the kafka backend");
  k->backend.ops = &mg_kafka_backend;
  k->wake_fd = config->wake_fd;
  k->ready[0] = k->ready[1] = -1;
  k->results.low = -1;
  k->identity = strdup(config->identity != NULL ? config->identity : "");
  k->run = config->run != NULL ? strdup(config->run) : NULL;
  if (k->identity == NULL || (config->run != NULL && k->run == NULL)) {
    err = mg_fail(e, MG_NOMEM, "no memory for the kafka backend");
    goto out;
  }
  if (k->run != NULL) err = mg_kafka_check_name("run", k->run, e);
  if (err == MG_OK) err = mg_kafka_settings_init(&k->settings, config->options, e);
  if (err == MG_OK && pipe2(k->ready, O_CLOEXEC | O_NONBLOCK) != 0) err = mg_fail_errno(e, MG_FATAL, errno, "no pipe for the kafka backend");
  if (err != MG_OK) goto out;
  k->producer = mg_kafka_handle(k, MG_KAFKA_PRODUCER, NULL, e);
  if (k->producer == NULL) {
    err = MG_ARG;
    goto out;
  }
  err = connect_brokers(k, until, e);
  if (err == MG_OK) err = mg_kafka_topics(k, until, e);
  if (err == MG_OK && k->run != NULL && (k->heard = calloc((size_t)k->task_partitions, sizeof *k->heard)) == NULL)
    err = mg_fail(e, MG_NOMEM, "no memory for partitions");
  if (err == MG_OK) err = mg_kafka_reader_open(k, until, e);
out:
  if (err != MG_OK) {
    kafka_close(&k->backend);
    return err;
  }
  *out = &k->backend;
  return MG_OK;
}

/* ---- what Kafka cannot do ---- */

static void kafka_forget(mg_backend *b, mg_lease *lease) { mg_kafka_lease_free(mg_kafka_of(b), lease); }

static mg_err kafka_reclaim(mg_backend *b, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out,
                            mg_error *e) {
  (void)b, (void)run, (void)worker, (void)tasks, (void)count, (void)until, (void)out;
  return mg_fail(e, MG_UNSUPPORTED, "Kafka gives the partitions of a worker that went to others by itself");
}

static mg_err kafka_probe(mg_backend *b, const char *run, mg_probe *items, size_t count, mg_ms until, mg_error *e) {
  (void)b, (void)run, (void)items, (void)count, (void)until;
  return mg_fail(e, MG_UNSUPPORTED, "Kafka cannot look up a single task");
}

static mg_err kafka_purge_run(mg_backend *b, const char *run, mg_ms until, size_t *removed, mg_error *e) {
  (void)b, (void)until;
  *removed = 0;
  return mg_fail(e, MG_UNSUPPORTED, "Kafka removes nothing before its retention: tasks of %s that still wait are dropped by the workers that get them", run);
}

static mg_err kafka_quarantine(mg_backend *b, const char *worker, bool on, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  (void)b, (void)worker, (void)on, (void)ttl_ms, (void)until;
  return mg_fail(e, MG_UNSUPPORTED, "Kafka cannot refuse a worker its tasks: it obeys a control message");
}

static mg_err kafka_service(mg_backend *b, mg_ms until, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  for (;;) {
    mg_kafka_rest(k);
    mg_err err = mg_kafka_serve(k, e);
    if (err == MG_OK) err = mg_kafka_read(k, e);
    if (err != MG_OK) return err;
    mg_kafka_commit_results(k, false);
    if (k->stash_count > 0 || mg_now_ms() >= until || !mg_kafka_wait(k, until)) return MG_OK;
  }
}

const mg_backend_ops mg_kafka_backend = {
    .name = "kafka",
    .capabilities = MG_CAP_LIST_DEAD | MG_CAP_NACK_DELAY | MG_CAP_SHARED | MG_CAP_UNORDERED,
    .open = kafka_open,
    .close = kafka_close,
    .publish_tasks = mg_kafka_publish_tasks,
    .fetch_tasks = mg_kafka_fetch_tasks,
    .extend = mg_kafka_extend,
    .ack = mg_kafka_ack,
    .nack = mg_kafka_nack,
    .dead_letter = mg_kafka_dead_letter,
    .forget = kafka_forget,
    .publish_results = mg_kafka_publish_results,
    .fetch_results = mg_kafka_fetch_results,
    .ack_results = mg_kafka_ack_results,
    .beat = mg_kafka_beat,
    .read_beats = mg_kafka_read_beats,
    .control = mg_kafka_control,
    .read_controls = mg_kafka_read_controls,
    .reclaim = kafka_reclaim,
    .probe = kafka_probe,
    .depth = mg_kafka_depth,
    .list_dead = mg_kafka_list_dead,
    .redrive = mg_kafka_redrive,
    .purge_dead = mg_kafka_purge_dead,
    .purge_run = kafka_purge_run,
    .quarantine = kafka_quarantine,
    .service = kafka_service,
    .publish_dead = mg_kafka_publish_dead,
    .stats = mg_kafka_stats,
    .examine = mg_kafka_examine,
    .step_back = mg_kafka_step_back,
};
