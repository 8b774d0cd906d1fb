/* How cluster, topics and group are set up: what may lose tasks, refuse them, or let others in. */
#include "backends/kafka/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct examination {
  mg_kafka *k;
  mg_findings out;
  mg_ms until;
  int broker_count;
  int32_t broker; /* one of them */
} examination;

static int left_of(const examination *x) {
  mg_ms left = x->until - mg_now_ms();
  return left < 1 ? 1 : left > 60000 ? 60000 : (int)left;
}

static void transport(examination *x) {
  const mg_options *o = x->k->settings.options;
  const char *protocol = mg_options_text(o, "security_protocol", "plaintext"), *user = mg_options_text(o, "sasl_username", NULL);
  bool tls = strcmp(protocol, "ssl") == 0 || strcmp(protocol, "sasl_ssl") == 0, sasl = strncmp(protocol, "sasl_", 5) == 0;
  if (tls)
    mg_finding_tell(&x->out, MG_FINDING_OK, "encryption", NULL, "TLS, the brokers' certificates are verified");
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "encryption", "security_protocol = \"sasl_ssl\", with ssl_ca_location, and such a listener on the brokers",
                    "no TLS: whoever sees the network can read and change tasks");
  if (sasl)
    mg_finding_tell(&x->out, MG_FINDING_OK, "authentication", NULL, "logged in%s%s", user != NULL ? " as " : "", user != NULL ? user : "");
  else if (tls && mg_options_text(o, "ssl_certificate_location", NULL) != NULL)
    mg_finding_tell(&x->out, MG_FINDING_OK, "authentication", NULL, "by a certificate");
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "authentication", "sasl_mechanism, sasl_username, sasl_password = \"${KAFKA_PASSWORD}\", and ACLs on the brokers",
                    "the brokers let anybody in without a password");
}

static void of_topic(examination *x, const struct rd_kafka_metadata_topic *t) {
  int least = INT32_MAX, headless = 0, behind = 0;
  for (int i = 0; i < t->partition_cnt; i++) {
    const struct rd_kafka_metadata_partition *p = &t->partitions[i];
    if (p->replica_cnt < least) least = p->replica_cnt;
    headless += p->leader < 0;
    behind += p->isr_cnt < p->replica_cnt;
  }
  if (headless > 0)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "leaders", "bring back a broker that has a replica: kafka-topics.sh --describe --unavailable-partitions",
                    "%d of %d partitions of %s have no leader: their tasks can be neither published nor fetched", headless, t->partition_cnt, t->topic);
  if (behind > 0)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "replicas in sync", "kafka-topics.sh --describe --under-replicated-partitions",
                    "of %d of %d partitions of %s not all replicas are in sync", behind, t->partition_cnt, t->topic);
  if (least < 2 && x->broker_count > 1)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "replication", "kafka-reassign-partitions.sh; for new topics replication_factor = 3",
                    "%s has one replica: a broker that fails takes its tasks along until it is back", t->topic);
}

static mg_err cluster(examination *x, mg_error *e) {
  const mg_kafka_settings *s = &x->k->settings;
  const char *const names[3] = {s->topic, s->results_topic, s->dead_topic};
  const struct rd_kafka_metadata *md = NULL;
  rd_kafka_resp_err_t code = rd_kafka_metadata(x->k->producer, 1, NULL, &md, left_of(x));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return mg_kafka_fault(x->k, code, "metadata", e);
  x->broker_count = md->broker_cnt;
  if (md->broker_cnt > 0) x->broker = md->brokers[0].id;
  bool few = md->broker_cnt < 3;
  mg_finding_tell(&x->out, few ? MG_FINDING_WARN : MG_FINDING_OK, "brokers", few ? "three brokers, and replication_factor = 3" : NULL, "%d%s", md->broker_cnt,
                  few ? ": with fewer than three the run waits while one is away" : " brokers");
  for (int i = 0; i < md->topic_cnt; i++) {
    for (int n = 0; n < 3; n++) {
      if (strcmp(md->topics[i].topic, names[n]) == 0) of_topic(x, &md->topics[i]);
    }
  }
  rd_kafka_metadata_destroy(md);
  return MG_OK;
}

/* ---- configuration of topics and brokers ---- */

typedef struct entries {
  const rd_kafka_ConfigEntry_t **items;
  size_t count;
} entries;

static const char *value_of(const entries *c, const char *name) {
  for (size_t i = 0; i < c->count; i++) {
    if (strcmp(rd_kafka_ConfigEntry_name(c->items[i]), name) == 0) return rd_kafka_ConfigEntry_value(c->items[i]);
  }
  return NULL;
}

static int64_t number_of(const entries *c, const char *name, int64_t otherwise) {
  const char *value = value_of(c, name);
  return value != NULL ? strtoll(value, NULL, 10) : otherwise;
}

static bool is(const entries *c, const char *name, const char *value) {
  const char *there = value_of(c, name);
  return there != NULL && strcmp(there, value) == 0;
}

/* What goes before it was read is found missing and sent again; what it held till then is done twice. */
static void retention(examination *x, const entries *c, const char *topic) {
  char mend[200];
  int64_t ms = number_of(c, "retention.ms", -1), bytes = number_of(c, "retention.bytes", -1), wanted = x->k->settings.retention_ms;
  (void)snprintf(mend, sizeof mend, "kafka-configs.sh --alter --topic %.100s --add-config retention.ms=%lld,retention.bytes=-1", topic, (long long)wanted);
  if (ms >= 0 && ms < wanted)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "retention", mend,
                    "%s keeps messages for %.1f hours, less than retention_seconds (%.1f hours): a run that lasts longer sends again what vanished", topic,
                    (double)ms / 3.6e6, (double)wanted / 3.6e6);
  else
    mg_finding_tell(&x->out, MG_FINDING_OK, "retention", NULL, ms < 0 ? "%s keeps messages for ever" : "%s keeps messages for %.1f hours", topic,
                    (double)ms / 3.6e6);
  if (bytes >= 0)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "retention", mend, "%s keeps at most %lld bytes of a partition: what waits may vanish, and is sent again", topic,
                    (long long)bytes);
}

static void of_tasks(examination *x, const entries *c) {
  const char *topic = x->k->settings.topic;
  char mend[200];
  int64_t largest = number_of(c, "max.message.bytes", INT64_MAX);
  retention(x, c, topic);
  const char *policy = value_of(c, "cleanup.policy");
  (void)snprintf(mend, sizeof mend, "kafka-configs.sh --alter --topic %.100s --add-config cleanup.policy=delete", topic);
  if (policy != NULL && strstr(policy, "compact") != NULL)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "cleanup", mend, "%s is compacted: tasks have no key and are refused", topic);
  if (largest < 1000000)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "message size", "max.message.bytes of the topic, or a smaller max_batch_size",
                    "%s takes messages up to %lld bytes", topic, (long long)largest);
  if (x->broker_count > 1 && number_of(c, "min.insync.replicas", 2) < 2)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "durability", "min.insync.replicas = 2 with three replicas",
                    "one replica may acknowledge a task alone: if its broker is lost, so is the task until it is found missing");
  if (is(c, "unclean.leader.election.enable", "true"))
    mg_finding_tell(&x->out, MG_FINDING_WARN, "durability", "unclean.leader.election.enable = false",
                    "a replica that is behind may become leader of %s: acknowledged tasks may be lost", topic);
}

static void of_broker(examination *x, const entries *c) {
  int64_t session = mg_options_int(x->k->settings.options, "session_timeout_ms", 45000), least = number_of(c, "group.min.session.timeout.ms", 0),
          most = number_of(c, "group.max.session.timeout.ms", INT64_MAX);
  bool good = session >= least && session <= most;
  mg_finding_tell(&x->out, good ? MG_FINDING_OK : MG_FINDING_FAIL, "session",
                  good ? NULL : "session_timeout_ms, or group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers",
                  good ? "a worker that vanished gives its partitions free after %.1f s"
                       : "session_timeout_ms of %.1f s is refused: the brokers allow %.1f to %.1f s",
                  (double)session / 1000, (double)least / 1000, (double)most / 1000);
}

static void of_resource(examination *x, const rd_kafka_ConfigResource_t *r) {
  entries c = {0};
  const mg_kafka_settings *s = &x->k->settings;
  const char *name = rd_kafka_ConfigResource_name(r);
  bool topic = rd_kafka_ConfigResource_type(r) == RD_KAFKA_RESOURCE_TOPIC;
  if (rd_kafka_ConfigResource_error(r) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    mg_finding_tell(&x->out, MG_FINDING_WARN, "configuration",
                    topic ? "ACL: DescribeConfigs on the topic for this user" : "ACL: DescribeConfigs on the cluster for this user",
                    "that of %s %s cannot be read: %s", topic ? "topic" : "broker", name, rd_kafka_err2str(rd_kafka_ConfigResource_error(r)));
    return;
  }
  c.items = rd_kafka_ConfigResource_configs(r, &c.count);
  if (!topic)
    of_broker(x, &c);
  else if (strcmp(name, s->topic) == 0)
    of_tasks(x, &c);
  else if (strcmp(name, s->results_topic) == 0)
    retention(x, &c, name);
  else if (!is(&c, "cleanup.policy", "compact"))
    mg_finding_tell(&x->out, MG_FINDING_WARN, "cleanup", "kafka-configs.sh --alter --topic ... --add-config cleanup.policy=compact",
                    "%s is not compacted: dead letters vanish with its retention", name);
}

typedef struct question { /* to the admin side of librdkafka */
  rd_kafka_queue_t *queue;
  rd_kafka_AdminOptions_t *options;
  rd_kafka_event_t *answer;
} question;

static bool ask(question *q, examination *x, rd_kafka_admin_op_t op) {
  char why[200];
  *q = (question){rd_kafka_queue_new(x->k->producer), rd_kafka_AdminOptions_new(x->k->producer, op), NULL};
  return q->queue != NULL && q->options != NULL &&
         rd_kafka_AdminOptions_set_request_timeout(q->options, left_of(x), why, sizeof why) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* The answer, or NULL where there is none; then *why says why. */
static const rd_kafka_event_t *answer(question *q, examination *x, const char **why) {
  q->answer = rd_kafka_queue_poll(q->queue, left_of(x) + 1000);
  *why = q->answer == NULL ? "no answer" : rd_kafka_event_error_string(q->answer);
  return q->answer != NULL && rd_kafka_event_error(q->answer) == RD_KAFKA_RESP_ERR_NO_ERROR ? q->answer : NULL;
}

static void fini(question *q) {
  if (q->answer != NULL) rd_kafka_event_destroy(q->answer);
  if (q->options != NULL) rd_kafka_AdminOptions_destroy(q->options);
  if (q->queue != NULL) rd_kafka_queue_destroy(q->queue);
}

static void describe(examination *x, rd_kafka_ResourceType_t type, const char *name) {
  question q;
  const char *why = "no memory";
  rd_kafka_ConfigResource_t *wanted = rd_kafka_ConfigResource_new(type, name);
  const rd_kafka_event_t *got = NULL;
  if (ask(&q, x, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS) && wanted != NULL) {
    rd_kafka_DescribeConfigs(x->k->producer, &wanted, 1, q.options, q.queue);
    got = answer(&q, x, &why);
  }
  if (got != NULL) {
    size_t count;
    const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(q.answer), &count);
    for (size_t i = 0; i < count; i++) of_resource(x, found[i]);
  } else {
    mg_finding_tell(&x->out, MG_FINDING_WARN, "configuration", "ACL: DescribeConfigs for this user", "that of %s cannot be read: %s", name, why);
  }
  if (wanted != NULL) rd_kafka_ConfigResource_destroy(wanted);
  fini(&q);
}

static void group(examination *x) {
  question q;
  const char *name = x->k->settings.group, *why = "no memory";
  int32_t partitions = x->k->task_partitions;
  int64_t wanted = mg_options_int(x->k->settings.options, "partitions", 0);
  const rd_kafka_event_t *got = NULL;
  if (wanted > partitions)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "partitions of the topic", "kafka-topics.sh --alter --topic ... --partitions ..., or lower the key partitions",
                    "%s has %d partitions, partitions wants %lld: it was there before, and serves %d workers at once", x->k->settings.topic, (int)partitions,
                    (long long)wanted, (int)partitions);
  if (ask(&q, x, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS)) {
    rd_kafka_DescribeConsumerGroups(x->k->producer, &name, 1, q.options, q.queue);
    got = answer(&q, x, &why);
  }
  if (got != NULL) {
    size_t count;
    const rd_kafka_ConsumerGroupDescription_t **found =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(q.answer), &count);
    size_t members = count > 0 ? rd_kafka_ConsumerGroupDescription_member_count(found[0]) : 0;
    bool many = members > (size_t)partitions;
    mg_finding_tell(&x->out, many ? MG_FINDING_WARN : MG_FINDING_OK, "partitions",
                    many ? "more partitions (kafka-topics.sh --alter --partitions), or fewer workers" : NULL,
                    many ? "%zu workers and %d partitions: a partition is served by one worker, the others wait"
                         : "%zu workers and %d partitions, which serve so many workers at once",
                    members, (int)partitions);
  } else {
    mg_finding_tell(&x->out, MG_FINDING_WARN, "partitions", "ACL: Describe on the group for this user", "the group %s cannot be read: %s", name, why);
  }
  fini(&q);
}

mg_err mg_kafka_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e) {
  examination x = {.k = mg_kafka_of(b), .out = {sink, owner}, .until = until, .broker = 1};
  char id[16];
  mg_err err = mg_kafka_serve(x.k, e);
  if (err != MG_OK) return err;
  transport(&x);
  err = cluster(&x, e);
  if (err != MG_OK) return err;
  describe(&x, RD_KAFKA_RESOURCE_TOPIC, x.k->settings.topic);
  describe(&x, RD_KAFKA_RESOURCE_TOPIC, x.k->settings.results_topic);
  describe(&x, RD_KAFKA_RESOURCE_TOPIC, x.k->settings.dead_topic);
  (void)snprintf(id, sizeof id, "%d", (int)x.broker);
  describe(&x, RD_KAFKA_RESOURCE_BROKER, id);
  group(&x);
  return MG_OK;
}
