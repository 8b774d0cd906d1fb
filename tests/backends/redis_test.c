/* The contract on every way to reach a Redis server: plain, TLS with client certificate, unix socket, ACL user, cluster, Sentinel.
 *
 * Each way runs in a process of its own beside the others, since the cases mostly wait. Arguments: [name of a way, [case]]. */
#include "backends/redis/redis.h"
#include "tests/backend_contract.h"
#include "tests/brokers/brokers.h"
#include "tests/brokers/ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct way {
  const char *name;
  bool (*start)(struct way *w);
  void (*set)(const struct way *w, mg_options *o);
  mg_test_redis server;
  mg_test_cluster cluster;
  mg_test_sentinel sentinel;
  mg_test_option_list options; /* of the case that runs */
} way;

static bool start_plain(way *w) { return mg_test_redis_start(&w->server, NULL); }

static bool start_tls(way *w) { return mg_test_redis_start_tls(&w->server, true, NULL); }

/* What the documentation tells an administrator to grant, and nothing else. */
static bool start_acl(way *w) {
  if (!mg_test_redis_start(&w->server, "user default off\n"
                                       "user mguard on >secret ~{mguard:*}:* +@read +@write +@scripting +@connection +info +time\n")) {
    return false;
  }
  (void)snprintf(w->server.user, sizeof w->server.user, "mguard");
  (void)snprintf(w->server.password, sizeof w->server.password, "secret");
  return true;
}

static bool start_cluster(way *w) { return mg_test_cluster_start(&w->cluster, MG_TEST_GONE_LATE_MS); }

static bool start_sentinel(way *w) { return mg_test_sentinel_start(&w->sentinel, MG_TEST_GONE_LATE_MS); }

static void set_server(const way *w, mg_options *o) { mg_test_redis_options(&w->server, o); }

static void set_unix(const way *w, mg_options *o) {
  (void)mg_options_set_text(o, "connection.unix_socket", w->server.unix_path);
  (void)mg_options_set_int(o, "connection.db", 3);
}

static void set_cluster(const way *w, mg_options *o) {
  /* A replica as the only seed: the map leads to the master. */
  mg_test_redis_options(&w->cluster.nodes[5], o);
  (void)mg_options_set_bool(o, "connection.cluster", true);
}

static void set_sentinel(const way *w, mg_options *o) {
  char at[64];
  (void)snprintf(at, sizeof at, "127.0.0.1:1, 127.0.0.1:%d", w->sentinel.sentinel.port); /* the first is away */
  (void)mg_options_set_text(o, "connection.sentinels", at);
  (void)mg_options_set_text(o, "connection.sentinel_master", "mymaster");
}

static void fill(void *owner, const char *queue, mg_backend_config *config) {
  way *w = owner;
  mg_options *o = mg_test_options_new(&w->options);
  w->set(w, o);
  (void)mg_options_set_text(o, "queue_name", queue);
  config->options = o;
}

static bool cut(const mg_test_redis *r) {
  char out[100];
  return r->pid == 0 || mg_test_redis_cli(r, out, sizeof out, "CLIENT", "KILL", "TYPE", "normal", (char *)NULL);
}

static bool reset(void *owner) {
  const way *w = owner;
  bool ok = cut(&w->server) && cut(&w->sentinel.servers[0]) && cut(&w->sentinel.servers[1]);
  for (int i = 0; i < MG_TEST_NODES; i++) ok = cut(&w->cluster.nodes[i]) && ok;
  return ok;
}

static void end(void *owner, const char *queue) {
  way *w = owner;
  (void)queue;
  mg_test_options_end(&w->options);
}

static int run(way *w, int argc, char **argv) {
  if (!w->start(w)) {
    fprintf(stderr, "redis over %s: the server did not start\n", w->name);
    return 99;
  }
  mg_contract c = {
      .ops = &mg_redis_backend,
      .owner = w,
      .fill = fill,
      .end = end,
      .reset = reset,
      .lease_ms = 300,
      .quiet_ms = 200,
      .patience_ms = 30000,
      .slack_ms = 5000,
      .wake_ms = 5000,
      .large_bytes = 8u << 20,
      .ordered = true,
  };
  int failed = mg_contract_run(&c, argc, argv);
  mg_test_redis_stop(&w->server);
  mg_test_cluster_stop(&w->cluster);
  mg_test_sentinel_stop(&w->sentinel);
  return failed;
}

static way ways[] = {
    {.name = "plain", .start = start_plain, .set = set_server},      {.name = "tls", .start = start_tls, .set = set_server},
    {.name = "unix", .start = start_plain, .set = set_unix},         {.name = "acl", .start = start_acl, .set = set_server},
    {.name = "cluster", .start = start_cluster, .set = set_cluster}, {.name = "sentinel", .start = start_sentinel, .set = set_sentinel},
};
enum { WAYS = sizeof ways / sizeof ways[0], LIMIT_S = 240 };

static int run_way(int i, int argc, char **argv) { return run(&ways[i], argc, argv); }

int main(int argc, char **argv) {
  const char *names[WAYS];
  for (int i = 0; i < WAYS; i++) names[i] = ways[i].name;
  return mg_test_ways_run(&(mg_test_ways){.title = "redis over", .names = names, .count = WAYS, .run = run_way, .limit_s = LIMIT_S}, argc, argv);
}
