/* The Redis backend when things break: restarts, lost replies, failovers, resharding. Real servers, no mocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/redis/keys.h"
#include "backends/redis/redis.h"
#include "tests/brokers/brokers.h"
#include "tests/brokers/sides.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const mg_backend_ops *const ops = &mg_redis_backend;

static mg_options *options_of(const mg_test_redis *r) {
  mg_options *o = mg_options_new();
  mg_test_redis_options(r, o);
  return o;
}

static void a_restart_loses_nothing(void **state) {
  (void)state;
  mg_test_redis r;
  assert_true(mg_test_redis_start(&r, "appendfsync always")); /* with everysec a write may wait for a slow disk, and be lost with the process */
  mg_sides s = mg_sides_open(ops, options_of(&r));
  mg_batch first = {0}, rest = {0}, results = {0};
  mg_sides_publish(s.coordinator, 0, 100, false);
  mg_sides_fetch(s.worker, 10, &first);
  mg_sides_publish(s.worker, 0, 10, true);
  mg_test_redis_kill(&r); /* no good-bye: the file must have it */
  assert_int_equal(mg_sides_try_publish(s.worker, 500, 1, true, &(mg_error){0}), MG_CONN);
  assert_int_equal(mg_sides_try_fetch(s.worker, 1, 50, &rest, &(mg_error){0}), MG_CONN);
  assert_true(mg_test_redis_again(&r));
  assert_int_equal(mg_sides_settle(s.worker, ops->extend, &first), 10); /* receipts outlive the connection */
  assert_int_equal(mg_sides_settle(s.worker, ops->ack, &first), 10);
  mg_depth d = mg_sides_depth(s.coordinator);
  assert_int_equal(d.pending, 90);
  assert_int_equal(d.in_flight, 0);
  mg_sides_fetch(s.worker, 90, &rest);
  mg_sides_fetch_results(s.coordinator, 10, &results);
  mg_sides_expect_each_once(&results, 10);
  mg_test_redis_stop(&r);
  assert_true(mg_test_redis_again(&r));
  assert_int_equal(mg_sides_settle(s.worker, ops->ack, &rest), 90);
  assert_int_equal(mg_sides_settle(s.coordinator, ops->ack_results, &results), 10);
  d = mg_sides_depth(s.coordinator);
  assert_int_equal(d.pending + d.in_flight + d.results, 0);
  mg_sides_forget(s.worker, &first);
  mg_sides_forget(s.worker, &rest);
  mg_sides_forget(s.coordinator, &results);
  mg_sides_close(&s);
  mg_test_redis_stop(&r);
}

/* A stopped server still takes what is sent; when it goes on it does the work, but whoever asked has gone. */
static void a_lost_reply(const mg_test_redis *r, mg_err err, const mg_error *e) {
  if (err != MG_CONN) fail_msg("%s: %s", mg_err_name(err), e->text);
  char out[100];
  (void)kill(r->pid, SIGCONT);
  assert_true(mg_test_redis_cli(r, out, sizeof out, "PING", (char *)NULL)); /* what waited in its sockets comes first */
}

static void lost_replies_do_no_harm(void **state) {
  (void)state;
  mg_test_redis r;
  mg_error e = {0};
  assert_true(mg_test_redis_start(&r, NULL));
  mg_sides s = mg_sides_open(ops, options_of(&r));
  mg_batch tasks = {0}, results = {0};
  mg_sides_publish(s.coordinator, 900, 1, false);
  mg_sides_fetch(s.worker, 1, &tasks);
  assert_int_equal(mg_sides_settle(s.worker, ops->ack, &tasks), 1); /* scripts are known from here on: a first EVALSHA would do nothing */
  mg_sides_forget(s.worker, &tasks);

  mg_publish item = {.run = "run", .task = "t0", .attempt = 1, .body = mg_slice_of("t0")};
  (void)kill(r.pid, SIGSTOP);
  a_lost_reply(&r, ops->publish_tasks(s.coordinator, &item, 1, mg_now_ms() + 300, &e), &e);
  assert_int_equal(item.err, MG_CONN);
  assert_int_equal(mg_sides_depth(s.worker).pending, 1); /* the fault hit: it was done */
  mg_sides_publish(s.coordinator, 0, 2, false);
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 2);

  (void)kill(r.pid, SIGSTOP);
  a_lost_reply(&r, mg_sides_try_fetch(s.worker, 2, 300, &tasks, &e), &e);
  assert_int_equal(tasks.count, 0);
  assert_int_equal(mg_sides_depth(s.coordinator).in_flight, 2);
  mg_sides_fetch(s.worker, 2, &tasks); /* the same claim, not another one */
  mg_sides_expect_each_once(&tasks, 2);
  assert_int_equal(mg_sides_depth(s.coordinator).in_flight, 2);

  /* A link closes what has failed and opens anew: the claim is taken up there. */
  mg_settle back[2] = {{.lease = tasks.items[0].lease}, {.lease = tasks.items[1].lease}};
  assert_int_equal(ops->nack(s.worker, back, 2, mg_sides_soon(), &e), MG_OK);
  mg_sides_forget(s.worker, &tasks);
  (void)kill(r.pid, SIGSTOP);
  a_lost_reply(&r, mg_sides_try_fetch(s.worker, 2, 300, &tasks, &e), &e);
  ops->close(s.worker);
  s.worker = mg_sides_open_one(ops, s.options, "worker", NULL);
  assert_int_equal(mg_sides_depth(s.coordinator).in_flight, 2);
  mg_sides_fetch(s.worker, 2, &tasks);
  mg_sides_expect_each_once(&tasks, 2);

  mg_settle settles[2] = {{.lease = tasks.items[0].lease}, {.lease = tasks.items[1].lease}};
  (void)kill(r.pid, SIGSTOP);
  a_lost_reply(&r, ops->ack(s.worker, settles, 2, mg_now_ms() + 300, &e), &e);
  assert_int_equal(settles[0].err, MG_CONN);
  assert_int_equal(mg_sides_depth(s.coordinator).in_flight, 0);
  (void)mg_sides_settle(s.worker, ops->ack, &tasks);
  mg_sides_publish(s.coordinator, 0, 2, false); /* a repeat that comes after the ack */
  mg_depth d = mg_sides_depth(s.coordinator);
  assert_int_equal(d.pending + d.in_flight, 0);
  /* Once the coordinator has looked and found it gone, it may publish it anew. */
  mg_probe probe = {.task = "t1", .attempt = 1, .state = MG_TASK_DEAD};
  assert_int_equal(ops->probe(s.coordinator, "run", &probe, 1, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(probe.state, MG_TASK_ABSENT);
  mg_sides_publish(s.coordinator, 1, 1, false);
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 1);

  mg_sides_publish(s.worker, 0, 3, true);
  (void)kill(r.pid, SIGSTOP);
  e = (mg_error){0};
  mg_err err = ops->fetch_results(s.coordinator, 10, mg_now_ms() + 300, &results, &e);
  (void)kill(r.pid, SIGCONT);
  assert_true(err == MG_OK || err == MG_CONN);
  mg_sides_fetch_results(s.coordinator, 3, &results);
  mg_sides_expect_each_once(&results, 3);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_forget(s.coordinator, &results);
  mg_sides_close(&s);
  mg_test_redis_stop(&r);
}

static void resets_are_survived(void **state) {
  (void)state;
  char out[100];
  mg_test_redis r;
  assert_true(mg_test_redis_start(&r, NULL));
  mg_sides s = mg_sides_open(ops, options_of(&r));
  mg_batch tasks = {0}, results = {0};
  int n = 200;
  mg_sides_publish(s.coordinator, 0, n, false);
  for (int i = 0; i < 10; i++) {
    mg_sides_fetch(s.worker, (size_t)(i + 1) * 20, &tasks);
    mg_sides_publish(s.worker, i * 20, 20, true);
    assert_true(mg_test_redis_cli(&r, out, sizeof out, "CLIENT", "KILL", "TYPE", "normal", (char *)NULL));
    mg_sides_fetch_results(s.coordinator, (size_t)(i + 1) * 20, &results);
    if (i % 2 == 1) assert_true(mg_test_redis_cli(&r, out, sizeof out, "CLIENT", "KILL", "TYPE", "normal", (char *)NULL));
  }
  mg_sides_expect_each_once(&tasks, n);
  mg_sides_expect_each_once(&results, n); /* what is still out is not given again */
  assert_int_equal(mg_sides_settle(s.worker, ops->ack, &tasks), n);
  assert_int_equal(mg_sides_settle(s.coordinator, ops->ack_results, &results), n);
  assert_true(mg_test_redis_cli(&r, out, sizeof out, "SCRIPT", "FLUSH", (char *)NULL));
  mg_depth d = mg_sides_depth(s.coordinator);
  assert_int_equal(d.pending + d.in_flight + d.results, 0);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_forget(s.coordinator, &results);
  mg_sides_close(&s);
  mg_test_redis_stop(&r);
}

static long long offset_after(const char *text, const char *key) {
  const char *at = strstr(text, key);
  return at != NULL ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* Until a replica has all that stands on the master now. Replication is asynchronous: what a failover loses is the coordinator's affair, not this test's. */
static void wait_for_replica(const mg_test_redis *master) {
  char info[4000];
  long long wanted = -1;
  for (mg_ms end = mg_now_ms() + 30000; mg_now_ms() < end; mg_test_pause(20)) {
    if (!mg_test_redis_cli(master, info, sizeof info, "INFO", "replication", (char *)NULL)) continue;
    if (wanted < 0) wanted = offset_after(info, "master_repl_offset:");
    const char *replica = strstr(info, "state=online");
    if (wanted >= 0 && replica != NULL && offset_after(replica, "offset=") >= wanted) return;
  }
  fail_msg("no replica caught up: %s", info);
}

static void kill_sentinels_master(void *servers) {
  mg_test_sentinel *t = servers;
  wait_for_replica(&t->servers[0]);
  mg_test_redis_kill(&t->servers[0]);
}

static void order_a_failover(void *servers) {
  mg_test_sentinel *t = servers;
  char out[200];
  wait_for_replica(&t->servers[0]);
  /* The old master lives on as a replica: READONLY is what tells. */
  if (!mg_test_redis_cli(&t->sentinel, out, sizeof out, "SENTINEL", "FAILOVER", "mymaster", (char *)NULL)) fail_msg("%s", out);
}

static void sentinel_promotes_the_replica(void **state) {
  (void)state;
  for (int i = 0; i < (mg_test_full() ? 2 : 1); i++) {
    mg_test_sentinel t;
    char at[64];
    assert_true(mg_test_sentinel_start(&t, MG_TEST_GONE_SOON_MS));
    mg_options *o = mg_options_new();
    (void)snprintf(at, sizeof at, "127.0.0.1:%d", t.sentinel.port);
    (void)mg_options_set_text(o, "connection.sentinels", at);
    (void)mg_options_set_text(o, "connection.sentinel_master", "mymaster");
    mg_sides s = mg_sides_open(ops, o);
    mg_sides_go_round(&s, i == 0 ? kill_sentinels_master : order_a_failover, &t);
    mg_sides_close(&s);
    mg_test_sentinel_stop(&t);
  }
}

static unsigned queue_slot(void) { return mg_redis_slot("{mguard:tasks}:active"); }

/* Until every node knows which one has the slot now. */
static void wait_for_one_owner(const mg_test_cluster *c) {
  char out[400], moved[64];
  int agree = 0;
  for (mg_ms end = mg_now_ms() + 30000; agree < MG_TEST_NODES && mg_now_ms() < end; mg_test_pause(20)) {
    int owner = mg_test_cluster_owner(c, queue_slot());
    if (owner < 0) continue;
    (void)snprintf(moved, sizeof moved, "MOVED %u 127.0.0.1:%d", queue_slot(), c->nodes[owner].port);
    agree = 1;
    for (int i = 0; i < MG_TEST_NODES; i++) {
      (void)mg_test_redis_cli(&c->nodes[i], out, sizeof out, "EXISTS", "{mguard:tasks}:active", (char *)NULL);
      agree += i != owner && strstr(out, moved) != NULL;
    }
  }
  assert_int_equal(agree, MG_TEST_NODES);
}

static void kill_clusters_master(void *servers) {
  mg_test_cluster *c = servers;
  int owner = mg_test_cluster_owner(c, queue_slot());
  assert_true(owner >= 0);
  wait_for_replica(&c->nodes[owner]);
  mg_test_redis_kill(&c->nodes[owner]);
}

static void node_id(const mg_test_redis *node, char *out, size_t size) { assert_true(mg_test_redis_cli(node, out, size, "CLUSTER", "MYID", (char *)NULL)); }

/* What a call does in the middle of a resharding: it waits, and ends in time. */
static void try_in_between(mg_sides *s, bool results_moved) {
  mg_error e = {0};
  mg_publish item = {.run = "run", .task = "t50", .attempt = 1, .body = mg_slice_of("t50")};
  mg_ms start = mg_now_ms();
  mg_err err = ops->publish_tasks(s->coordinator, &item, 1, start + 300, &e);
  if (err != MG_OK && err != MG_CONN) fail_msg("%s: %s", mg_err_name(err), e.text);
  assert_true(mg_now_ms() - start < 4000);
  mg_batch none = {0};
  err = ops->fetch_results(s->coordinator, 1, mg_now_ms() + 1000, &none, &e);
  if (err != MG_OK && err != MG_CONN) fail_msg("%s: %s", mg_err_name(err), e.text);
  if (results_moved && none.count != 1) fail_msg("ASK was not followed: %s", e.text); /* a single key that has moved */
  mg_sides_forget(s->coordinator, &none);
}

typedef struct resharding {
  mg_test_cluster *cluster;
  mg_sides *sides;
} resharding;

static void move_the_slot(void *servers) {
  resharding *m = servers;
  mg_test_cluster *c = m->cluster;
  char from_id[64], to_id[64], slot[16], port[16], key[300], out[400];
  int from = mg_test_cluster_owner(c, queue_slot());
  assert_true(from >= 0);
  int to = (from + 1) % 3;
  node_id(&c->nodes[from], from_id, sizeof from_id);
  node_id(&c->nodes[to], to_id, sizeof to_id);
  (void)snprintf(slot, sizeof slot, "%u", queue_slot());
  (void)snprintf(port, sizeof port, "%d", c->nodes[to].port);
  assert_true(mg_test_redis_cli(&c->nodes[to], out, sizeof out, "CLUSTER", "SETSLOT", slot, "IMPORTING", from_id, (char *)NULL));
  assert_true(mg_test_redis_cli(&c->nodes[from], out, sizeof out, "CLUSTER", "SETSLOT", slot, "MIGRATING", to_id, (char *)NULL));
  for (int keys = 0;; keys++) {
    assert_true(mg_test_redis_cli(&c->nodes[from], key, sizeof key, "CLUSTER", "GETKEYSINSLOT", slot, "1", (char *)NULL));
    if (key[0] == '\0') break;
    if (!mg_test_redis_cli(&c->nodes[from], out, sizeof out, "MIGRATE", "127.0.0.1", port, key, "0", "5000", (char *)NULL)) fail_msg("%s", out);
    if (keys == 1) try_in_between(m->sides, false);
  }
  try_in_between(m->sides, true); /* all have moved, the owner has not */
  for (int i = 0; i < 3; i++) {
    int node = i == 0 ? to : i == 1 ? from : 3 - to - from;
    assert_true(mg_test_redis_cli(&c->nodes[node], out, sizeof out, "CLUSTER", "SETSLOT", slot, "NODE", to_id, (char *)NULL));
  }
  assert_int_equal(mg_test_cluster_owner(c, queue_slot()), to);
}

static void a_cluster_reshards_and_fails_over(void **state) {
  (void)state;
  mg_test_cluster c;
  assert_true(mg_test_cluster_start(&c, MG_TEST_GONE_SOON_MS));
  mg_options *o = options_of(&c.nodes[5]);
  (void)mg_options_set_bool(o, "connection.cluster", true);
  mg_sides s = mg_sides_open(ops, o);
  resharding m = {&c, &s};
  size_t removed;
  mg_sides_go_round(&s, move_the_slot, &m);
  /* The same names again, as a new run would have them. */
  assert_int_equal(ops->purge_run(s.coordinator, "run", mg_sides_soon(), &removed, &(mg_error){0}), MG_OK);
  wait_for_one_owner(&c);
  mg_sides_go_round(&s, kill_clusters_master, &c);
  mg_sides_close(&s);
  mg_test_cluster_stop(&c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_restart_loses_nothing),       cmocka_unit_test(lost_replies_do_no_harm),           cmocka_unit_test(resets_are_survived),
    cmocka_unit_test(sentinel_promotes_the_replica), cmocka_unit_test(a_cluster_reshards_and_fails_over),
};
enum { TESTS = sizeof tests / sizeof tests[0], LIMIT_S = 200 };

int main(int argc, char **argv) { return mg_sides_group("redis:", tests, TESTS, argc > 1 ? argv[1] : NULL, LIMIT_S); }
