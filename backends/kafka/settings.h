/* settings.h - what the options say about Kafka. Immutable once read; borrows texts from the options. */
#ifndef MG_KAFKA_SETTINGS_H
#define MG_KAFKA_SETTINGS_H

#include "base/options.h"
#include <librdkafka/rdkafka.h>

typedef struct mg_kafka_settings {
  const mg_options *options;
  const char *servers, *topic, *results_topic, *dead_topic, *group;
  int64_t partitions, replication, retention_ms;
} mg_kafka_settings;

typedef enum mg_kafka_role { MG_KAFKA_PRODUCER, MG_KAFKA_GROUP, MG_KAFKA_READER } mg_kafka_role;

/* MG_ARG names the key that is missing. */
mg_err mg_kafka_settings_init(mg_kafka_settings *s, const mg_options *o, mg_error *e);
/* A handle's configuration: connection and security, what the role needs, then the `librdkafka` table. group NULL: none. MG_ARG names the key. */
mg_err mg_kafka_conf(rd_kafka_conf_t **out, const mg_kafka_settings *s, mg_kafka_role role, const char *client, const char *group, mg_error *e);

#endif
