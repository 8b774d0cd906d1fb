/* Metrics of the link to the broker, alike in coordinators and workers. */
#include "cli/monitor_internal.h"

#include <inttypes.h>
#include <stdio.h>

typedef enum broker_metric {
  CONNECTED,
  RECONNECTS,
  THROTTLED,
  PUBLISH_SECONDS,
  FETCH_SECONDS,
  PUBLISHED,
  FETCHED,
  BYTES,
  EXTENSIONS,
  PENDING,
  LEASED,
  OLDEST,
  UNREAD,
  DEAD,
  MEMORY,
  MEMORY_LIMIT,
  LAG,
  PARTITION_LAG,
  PARTITION_LEADER,
  BROKER_METRICS
} broker_metric;

#define ONE {"backend"}, 1

static const mg_metric_info broker_metrics[BROKER_METRICS] = {
    [CONNECTED] = {MG_GAUGE, "metamorphic_queue_broker_connected", "1 while the broker is reached.", ONE},
    [RECONNECTS] = {MG_COUNTER, "metamorphic_queue_broker_reconnects_total", "Connections to the broker made again.", ONE},
    [THROTTLED] = {MG_COUNTER, "metamorphic_queue_broker_throttled_total", "Calls and messages that the broker refused for now.", ONE},
    [PUBLISH_SECONDS] = {MG_HISTOGRAM, "metamorphic_queue_publish_duration_seconds", "A call that publishes tasks (coordinator) or results (worker).", ONE},
    [FETCH_SECONDS] = {MG_HISTOGRAM, "metamorphic_queue_fetch_duration_seconds", "A fetch that brought something, its wait included.", ONE},
    [PUBLISHED] = {MG_COUNTER, "metamorphic_queue_messages_published_total", "Tasks (coordinator) or results (worker) published.", ONE},
    [FETCHED] = {MG_COUNTER, "metamorphic_queue_messages_fetched_total", "Results (coordinator) or tasks (worker) fetched.", ONE},
    [BYTES] = {MG_COUNTER, "metamorphic_queue_payload_bytes_total", "Bytes of all messages: plain is before compression, framed is what goes over the wire.",
               {"backend", "direction", "form"}, 4},
    [EXTENSIONS] = {MG_COUNTER, "metamorphic_queue_lease_extensions_total", "Leases extended (kept), or found to be gone (lost).", {"backend", "result"}, 2},
    [PENDING] = {MG_GAUGE, "metamorphic_queue_broker_pending_tasks", "Tasks of all runs that wait on the broker.", ONE},
    [LEASED] = {MG_GAUGE, "metamorphic_queue_broker_leased_tasks", "Tasks of all runs that a worker holds, by the broker.", ONE},
    [OLDEST] = {MG_GAUGE, "metamorphic_queue_broker_oldest_pending_seconds", "Age of the oldest task that waits on the broker.", ONE},
    [UNREAD] = {MG_GAUGE, "metamorphic_queue_broker_unread_results", "Results on the broker that no coordinator has settled.", ONE},
    [DEAD] = {MG_GAUGE, "metamorphic_queue_broker_dead_letters", "Dead letters on the broker, of all runs.", ONE},
    [MEMORY] = {MG_GAUGE, "metamorphic_queue_broker_memory_bytes", "Memory a server of the broker uses.", {"backend", "node"}, MG_STATS_NODES},
    [MEMORY_LIMIT] = {MG_GAUGE, "metamorphic_queue_broker_memory_limit_bytes", "Memory from which on it refuses; 0: it has no limit.", {"backend", "node"},
                      MG_STATS_NODES},
    [LAG] = {MG_GAUGE, "metamorphic_queue_consumer_lag_messages", "Messages published and not settled by the consumer group.", ONE},
    [PARTITION_LAG] = {MG_GAUGE, "metamorphic_queue_partition_lag_messages", "The same of a partition.", {"backend", "partition"}, MG_STATS_PARTITIONS},
    [PARTITION_LEADER] = {MG_GAUGE, "metamorphic_queue_partition_leader", "Number of the server that leads the partition; -1: none does.",
                          {"backend", "partition"}, MG_STATS_PARTITIONS},
};

static void set_known(mg_metric *x, int64_t value, double scale, const char *backend) {
  if (value >= 0) mg_metric_set(x, (double)value * scale, backend);
}

static void fill_nodes(mg_metric *const *handles, const mg_broker_stats *s, const char *backend) {
  mg_metric_clear(handles[MEMORY]);
  mg_metric_clear(handles[MEMORY_LIMIT]);
  for (size_t i = 0; i < s->node_count; i++) {
    const mg_node_stats *n = &s->nodes[i];
    if (n->memory_bytes >= 0) mg_metric_set(handles[MEMORY], (double)n->memory_bytes, backend, n->name);
    if (n->memory_limit_bytes >= 0) mg_metric_set(handles[MEMORY_LIMIT], (double)n->memory_limit_bytes, backend, n->name);
  }
}

static void fill_partitions(mg_metric *const *handles, const mg_broker_stats *s, const char *backend) {
  char number[16];
  set_known(handles[LAG], s->lag, 1, backend);
  mg_metric_clear(handles[PARTITION_LAG]);
  mg_metric_clear(handles[PARTITION_LEADER]);
  for (size_t i = 0; i < s->partition_count; i++) {
    const mg_partition_stats *p = &s->partitions[i];
    (void)snprintf(number, sizeof number, "%" PRId32, p->partition);
    mg_metric_set(handles[PARTITION_LEADER], p->leader, backend, number);
    if (p->lag >= 0) mg_metric_set(handles[PARTITION_LAG], (double)p->lag, backend, number);
  }
}

void mg_monitor_fill_broker(mg_monitor *m, const mg_link_stats *s, const char *backend, bool connected, uint32_t reconnects) {
  mg_metric **handles = mg_family_of(m, &m->broker, broker_metrics, BROKER_METRICS);
  mg_metric_set(handles[CONNECTED], connected, backend);
  mg_metric_set(handles[RECONNECTS], reconnects, backend);
  mg_metric_set(handles[THROTTLED], (double)s->throttled, backend);
  mg_metric_set(handles[PUBLISHED], (double)s->published, backend);
  mg_metric_set(handles[FETCHED], (double)s->fetched, backend);
  mg_metric_timing(handles[PUBLISH_SECONDS], &s->publish_seconds, backend);
  mg_metric_timing(handles[FETCH_SECONDS], &s->fetch_seconds, backend);
  mg_metric_set(handles[BYTES], (double)s->sent_plain_bytes, backend, "sent", "plain");
  mg_metric_set(handles[BYTES], (double)s->sent_bytes, backend, "sent", "framed");
  mg_metric_set(handles[BYTES], (double)s->received_plain_bytes, backend, "received", "plain");
  mg_metric_set(handles[BYTES], (double)s->received_bytes, backend, "received", "framed");
  mg_metric_set(handles[EXTENSIONS], (double)s->extended, backend, "kept");
  mg_metric_set(handles[EXTENSIONS], (double)s->extend_lost, backend, "lost");
  set_known(handles[PENDING], s->depth.pending, 1, backend);
  set_known(handles[LEASED], s->depth.in_flight, 1, backend);
  set_known(handles[UNREAD], s->depth.results, 1, backend);
  set_known(handles[DEAD], s->depth.dead, 1, backend);
  set_known(handles[OLDEST], s->depth.oldest_ms >= 0 ? s->depth.oldest_ms : s->depth.pending == 0 ? 0 : -1, 0.001, backend);
  fill_nodes(handles, &s->broker, backend);
  fill_partitions(handles, &s->broker, backend);
}
