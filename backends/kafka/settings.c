#include "backends/kafka/settings.h"

#include <stdio.h>
#include <string.h>

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) { (void)rk, (void)level, (void)facility, (void)text; }

mg_err mg_kafka_settings_init(mg_kafka_settings *s, const mg_options *o, mg_error *e) {
  *s = (mg_kafka_settings){
      .options = o,
      .servers = mg_options_text(o, "bootstrap_servers", NULL),
      .topic = mg_options_text(o, "topic", "mguard_tasks"),
      .results_topic = mg_options_text(o, "results_topic", "mguard_tasks_results"),
      .dead_topic = mg_options_text(o, "dead_letter_topic", "mguard_tasks_dead"),
      .group = mg_options_text(o, "consumer_group", "mguard_workers"),
      .partitions = mg_options_int(o, "partitions", 8),
      .replication = mg_options_int(o, "replication_factor", -1),
      .retention_ms = 1000 * mg_options_int(o, "retention_seconds", 604800),
  };
  return s->servers != NULL ? MG_OK : mg_fail(e, MG_ARG, "bootstrap_servers is missing: where the Kafka brokers are");
}

typedef struct setter {
  rd_kafka_conf_t *conf;
  mg_error *e;
  mg_err err;
} setter;

/* key: what the user wrote, for messages. */
static void set(setter *s, const char *key, const char *name, const char *value) {
  char why[256];
  if (s->err != MG_OK || value == NULL) return;
  if (rd_kafka_conf_set(s->conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) s->err = mg_fail(s->e, MG_ARG, "%s: %s", key, why);
}

static void set_int(setter *s, const char *key, const char *name, int64_t value) {
  char text[24];
  (void)snprintf(text, sizeof text, "%lld", (long long)value);
  set(s, key, name, text);
}

static void set_connection(setter *s, const mg_options *o) {
  static const char *const rows[][2] = {{"bootstrap_servers", "bootstrap.servers"},
                                        {"security_protocol", "security.protocol"},
                                        {"sasl_mechanism", "sasl.mechanism"},
                                        {"sasl_username", "sasl.username"},
                                        {"sasl_password", "sasl.password"},
                                        {"ssl_ca_location", "ssl.ca.location"},
                                        {"ssl_certificate_location", "ssl.certificate.location"},
                                        {"ssl_key_location", "ssl.key.location"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) set(s, rows[i][0], rows[i][1], mg_options_text(o, rows[i][0], NULL));
}

static void set_role(setter *s, const mg_options *o, mg_kafka_role role) {
  if (role == MG_KAFKA_PRODUCER) {
    set(s, "", "enable.idempotence", "true");
    set(s, "", "linger.ms", "1");
    set(s, "compression", "compression.type", mg_options_text(o, "compression", "none"));
    return;
  }
  int64_t session = mg_options_int(o, "session_timeout_ms", 45000);
  set(s, "", "enable.auto.commit", role == MG_KAFKA_GROUP ? "true" : "false"); /* of what is offered to it alone: see group.c */
  set(s, "", "enable.auto.offset.store", "false");
  set(s, "", "auto.offset.reset", "earliest");
  set(s, "", "fetch.error.backoff.ms", "100");
  set(s, "", "queued.max.messages.kbytes", "16384");
  if (role == MG_KAFKA_READER) set(s, "", "enable.partition.eof", "true");
  if (role != MG_KAFKA_GROUP) return;
  set(s, "", "partition.assignment.strategy", "cooperative-sticky");
  set(s, "", "auto.commit.interval.ms", "100");
  set(s, "", "statistics.interval.ms", mg_options_int(o, "partitions", 8) > 100 ? "1000" : "200"); /* they are long */
  set_int(s, "session_timeout_ms", "session.timeout.ms", session);
  set_int(s, "session_timeout_ms", "heartbeat.interval.ms", session / 6 < 500 ? session / 6 : 500); /* so soon a member hears that partitions change hands */
  set_int(s, "max_poll_interval_ms", "max.poll.interval.ms", mg_options_int(o, "max_poll_interval_ms", 300000));
  set(s, "group_instance_id", "group.instance.id", mg_options_text(o, "group_instance_id", NULL));
}

mg_err mg_kafka_conf(rd_kafka_conf_t **out, const mg_kafka_settings *settings, mg_kafka_role role, const char *client, const char *group, mg_error *e) {
  static const char prefix[] = "librdkafka.";
  static const char *const ours[] = {"enable.auto.commit",     "enable.auto.offset.store", "enable.idempotence", "group.id", "partition.assignment.strategy",
                                     "statistics.interval.ms", "auto.commit.interval.ms"};
  setter s = {.conf = rd_kafka_conf_new(), .e = e};
  const char *key;
  char value[1024];
  rd_kafka_conf_set_log_cb(s.conf, no_log); /* errors come by the error callback; their texts go into ours */
  set(&s, "", "client.id", client);
  set(&s, "consumer_group", "group.id", group);
  set(&s, "", "topic.metadata.refresh.interval.ms", "60000");
  set(&s, "", "reconnect.backoff.max.ms", "2000");
  set_connection(&s, settings->options);
  set_role(&s, settings->options, role);
  for (size_t i = 0; mg_options_at(settings->options, i, &key, value, sizeof value); i++) {
    if (strncmp(key, prefix, sizeof prefix - 1) != 0) continue;
    const char *name = key + sizeof prefix - 1;
    for (size_t j = 0; s.err == MG_OK && j < sizeof ours / sizeof *ours; j++) {
      if (strcmp(name, ours[j]) == 0)
        s.err = mg_fail(e, MG_ARG, "librdkafka[\"%s\"] cannot be set: tasks would be lost or never settled without the value that mguard gives it", name);
    }
    set(&s, key, name, value);
  }
  if (s.err != MG_OK) {
    rd_kafka_conf_destroy(s.conf);
    return s.err;
  }
  *out = s.conf;
  return MG_OK;
}
