/* kafka.h - queue on Apache Kafka over librdkafka (2.0.2 or later).
 *
 * Tasks are a topic that the workers of one consumer group share, cooperative-sticky; a task is held as long as its partition stays with the worker.
 * Tasks are settled in any order: of each partition only the contiguous beginning is committed. A task given back is produced again, a
 * dead letter is produced to its own topic before its task is settled. Results go to a topic of their own, into the partition that the run's name
 * tells; beats and controls go to partition 0 of that topic. The group is joined at the first fetch, so that whoever only looks
 * takes no partition. After MG_CONN close and open. */
#ifndef MG_BACKENDS_KAFKA_H
#define MG_BACKENDS_KAFKA_H

#include "dispatch/backend.h"

extern const mg_backend_ops mg_kafka_backend;

#endif
