/* RabbitMQ when things go wrong: refusals, a node that goes and comes back, connections and queues that vanish, alarms. One real node for all. */
#include "backends/rabbitmq/rabbitmq.h"
#include "tests/brokers/rabbitmq.h"
#include "tests/brokers/sides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 30000, LARGEST = 1 << 20 };
static mg_test_rabbit node;
static char said[4000]; /* by rabbitmqctl */
static int queue_count;

static mg_options *options(void) {
  char name[32];
  mg_options *o = mg_options_new();
  assert_non_null(o);
  mg_test_rabbit_options(&node, false, o);
  (void)snprintf(name, sizeof name, "faults-%d", ++queue_count);
  (void)mg_options_set_text(o, "queue_name", name);
  (void)mg_options_set_int(o, "prefetch_count", 500);
  return o;
}

static mg_sides sides(void) { return mg_sides_open(&mg_rabbitmq_backend, options()); }

static void eval(const char *erlang) {
  if (!mg_test_rabbit_ctl(&node, said, sizeof said, "eval", erlang, (char *)NULL)) fail_msg("%s", said);
}

/* --- refusals --- */

static void expect_refusal(mg_options *o, mg_err wanted, const char *text) {
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "worker", .wake_fd = -1};
  mg_err err = mg_rabbitmq_backend.open(&b, &config, mg_sides_soon(), &e);
  if (err != wanted || strstr(e.text, text) == NULL) fail_msg("%s, \"%s\"; not %s, \"%s\"", mg_err_name(err), e.text, mg_err_name(wanted), text);
  if (strstr(e.text, "very-secret") != NULL) fail_msg("the password is in \"%s\"", e.text);
  mg_options_free(o);
}

static void set_login(mg_options *o, const char *user, const char *password, const char *vhost) {
  (void)mg_options_set_text(o, "connection.username", user);
  (void)mg_options_set_text(o, "connection.password", password);
  (void)mg_options_set_text(o, "connection.virtual_host", vhost);
}

static void refusals_say_why(void **state) {
  (void)state;
  char url[200];
  eval("rabbit_vhost:add(<<\"closed\">>, <<\"t\">>), rabbit_auth_backend_internal:add_user(<<\"poor\">>, <<\"poor\">>, <<\"t\">>), "
       "rabbit_auth_backend_internal:set_permissions(<<\"poor\">>, <<\"/\">>, <<\"^$\">>, <<\"^$\">>, <<\"^$\">>, <<\"t\">>).");
  mg_options *o = options();
  set_login(o, "guest", "very-secret", "/");
  expect_refusal(o, MG_FATAL, "connection.password");
  o = options();
  (void)snprintf(url, sizeof url, "amqp://nobody:very-secret@localhost:%d", node.port);
  (void)mg_options_set_text(o, "url", url);
  expect_refusal(o, MG_FATAL, "connection.password");
  o = options();
  set_login(o, "guest", "guest", "no-such-vhost");
  expect_refusal(o, MG_FATAL, "no-such-vhost");
  o = options();
  set_login(o, "poor", "poor", "closed");
  expect_refusal(o, MG_FATAL, "closed");
  o = options();
  set_login(o, "poor", "poor", "/");
  expect_refusal(o, MG_FATAL, "permissions");
  o = options();
  (void)mg_options_set_int(o, "connection.port", 1);
  expect_refusal(o, MG_CONN, "refused");
  o = options();
  (void)mg_options_set_bool(o, "connection.ssl", true); /* the plain port */
  expect_refusal(o, MG_FATAL, "plain port");
  o = options();
  (void)mg_options_set_int(o, "connection.port", node.tls_port); /* without TLS */
  expect_refusal(o, MG_CONN, "wants TLS");
  o = options();
  mg_test_rabbit_options(&node, true, o);
  (void)mg_options_set_text(o, "connection.ssl_server_name", "elsewhere.test");
  expect_refusal(o, MG_FATAL, "certificate");
  o = options();
  (void)mg_options_set_text(o, "routing_key", "another"); /* which no queue has on the default exchange */
  expect_refusal(o, MG_ARG, "routing_key");
}

/* Who may use what an administrator made, and make nothing, is served. */
static void queues_made_by_others_are_used(void **state) {
  (void)state;
  mg_options *o = options();
  (void)mg_options_set_bool(o, "durable", false); /* but the queues are durable */
  mg_options *durable = options();
  mg_backend *first = mg_sides_open_one(&mg_rabbitmq_backend, durable, "coordinator", "run");
  (void)mg_options_set_text(o, "queue_name", mg_options_text(durable, "queue_name", NULL));
  mg_backend *worker = mg_sides_open_one(&mg_rabbitmq_backend, o, "worker", NULL);
  mg_batch tasks = {0};
  mg_sides_publish(first, 0, 10, false);
  mg_sides_fetch(worker, 10, &tasks);
  mg_sides_expect_each_once(&tasks, 10);
  assert_int_equal(mg_sides_settle(worker, mg_rabbitmq_backend.ack, &tasks), 10);
  mg_sides_forget(worker, &tasks);
  mg_rabbitmq_backend.close(worker);
  mg_rabbitmq_backend.close(first);
  mg_options_free(durable);
  mg_options_free(o);
}

/* What the documentation tells an administrator to grant, and nothing else. */
static void the_documented_permissions_suffice(void **state) {
  (void)state;
  mg_options *o = options();
  (void)mg_options_set_text(o, "queue_name", "granted");
  set_login(o, "mguard", "secret", "/");
  eval("rabbit_auth_backend_internal:add_user(<<\"mguard\">>, <<\"secret\">>, <<\"t\">>), "
       "rabbit_auth_backend_internal:set_permissions(<<\"mguard\">>, <<\"/\">>, <<\"^(granted($|\\\\.)|amq\\\\.gen-)\">>, "
       "<<\"^(granted($|\\\\.)|amq\\\\.(gen-|default))\">>, <<\"^(granted($|\\\\.)|amq\\\\.gen-)\">>, <<\"t\">>).");
  mg_sides s = mg_sides_open(&mg_rabbitmq_backend, o);
  mg_batch tasks = {0}, results = {0};
  mg_error e = {0};
  size_t moved = 0;
  mg_sides_publish(s.coordinator, 0, 10, false);
  mg_sides_fetch(s.worker, 10, &tasks);
  mg_sides_publish(s.worker, 0, 10, true);
  mg_sides_fetch_results(s.coordinator, 10, &results);
  assert_int_equal(mg_sides_settle(s.coordinator, s.ops->ack_results, &results), 10);
  assert_int_equal(s.ops->beat(s.worker, mg_slice_of("beat"), 60000, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(s.ops->control(s.coordinator, "run", mg_slice_of("control"), 60000, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->nack, &tasks), 10); /* by a retry queue */
  mg_sides_forget(s.worker, &tasks);
  mg_sides_publish(s.coordinator, 10, 1, false);
  mg_sides_fetch(s.worker, 1, &tasks);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->dead_letter, &tasks), 1);
  assert_int_equal(s.ops->purge_dead(s.coordinator, "run", NULL, 0, mg_sides_soon(), &moved, &e), MG_OK);
  assert_int_equal(moved, 1);
  assert_int_equal(s.ops->purge_run(s.coordinator, "run", mg_sides_soon(), &moved, &e), MG_OK);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_forget(s.coordinator, &results);
  mg_sides_close(&s);
}

static void hosts_are_tried_in_turn(void **state) {
  (void)state;
  char hosts[64];
  mg_options *o = options();
  (void)snprintf(hosts, sizeof hosts, "127.0.0.1:1, localhost:%d", node.port);
  (void)mg_options_set_text(o, "connection.hosts", hosts);
  mg_sides s = mg_sides_open(&mg_rabbitmq_backend, o);
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 5, false);
  mg_sides_fetch(s.worker, 5, &tasks);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
}

/* --- what is held, and what is not --- */

static size_t fetch_once(mg_backend *b, size_t max, mg_ms wait_ms, mg_batch *out) {
  mg_error e = {0};
  size_t before = out->count;
  assert_int_equal(mg_sides_try_fetch(b, max, wait_ms, out, &e), MG_OK);
  return out->count - before;
}

static void no_worker_hoards(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_error e = {0};
  mg_backend *other = mg_sides_open_one(&mg_rabbitmq_backend, s.options, "other", NULL);
  mg_batch mine = {0}, others = {0};
  mg_sides_publish(s.coordinator, 0, 20, false);
  mg_sides_fetch(s.worker, 3, &mine); /* asks for three, then for none */
  mg_sides_fetch(other, 17, &others);
  assert_int_equal(fetch_once(other, 1, 300, &others), 0);
  assert_int_equal(mg_sides_settle(other, mg_rabbitmq_backend.nack, &others), 17); /* after a minute: out of the way */
  mg_sides_forget(other, &others);
  /* Acks make room for what nobody asks for, and only this worker is there to be sent it: it gives it back while it rests. */
  mg_rabbitmq_backend.close(other);
  mg_sides_publish(s.coordinator, 20, 5, false);
  assert_int_equal(mg_sides_settle(s.worker, mg_rabbitmq_backend.ack, &mine), 3);
  mg_sides_forget(s.worker, &mine);
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; mg_sides_depth(s.coordinator).pending != 17 + 2;) assert_true(mg_now_ms() < end);
  other = mg_sides_open_one(&mg_rabbitmq_backend, s.options, "other", NULL);
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; others.count < 5;) {
    assert_true(mg_now_ms() < end);
    assert_int_equal(mg_rabbitmq_backend.service(s.worker, mg_now_ms() + 100, &e), MG_OK);
    (void)fetch_once(other, 5 - others.count, 100, &others);
  }
  assert_int_equal(mg_sides_settle(other, mg_rabbitmq_backend.ack, &others), 5);
  mg_sides_forget(other, &others);
  mg_rabbitmq_backend.close(other);
  mg_sides_close(&s);
}

static void prefetch_count_is_the_most(void **state) {
  (void)state;
  mg_options *o = options();
  (void)mg_options_set_int(o, "prefetch_count", 4);
  mg_sides s = mg_sides_open(&mg_rabbitmq_backend, o);
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 10, false);
  mg_sides_fetch(s.worker, 4, &tasks);
  assert_int_equal(fetch_once(s.worker, 10, 500, &tasks), 0);
  assert_int_equal(mg_sides_settle(s.worker, mg_rabbitmq_backend.ack, &tasks), 4);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_fetch(s.worker, 4, &tasks);
  assert_int_equal(fetch_once(s.worker, 10, 300, &tasks), 0);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
}

/* Acks of some, in any order: what was not acked, and only that, comes again. */
static void acks_together_take_nothing_else(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_batch tasks = {0}, again = {0};
  mg_error e = {0};
  enum { N = 200, CHUNK = 16, ACKED = 160 };
  unsigned seed = 7;
  size_t order[N], left = N - ACKED;
  bool acked[N] = {false};
  mg_sides_publish(s.coordinator, 0, N, false);
  mg_sides_fetch(s.worker, N, &tasks);
  for (size_t i = 0; i < N; i++) order[i] = i;
  for (size_t i = 40; i < N - 1; i++) { /* the oldest in order, the others mixed */
    size_t other = i + (size_t)rand_r(&seed) % (N - i), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
  for (size_t i = 0; i < ACKED; i += CHUNK) {
    mg_settle items[CHUNK];
    for (size_t k = 0; k < CHUNK; k++) {
      items[k] = (mg_settle){.lease = tasks.items[order[i + k]].lease, .err = MG_FATAL};
      acked[atoi(tasks.items[order[i + k]].task + 1)] = true;
    }
    assert_int_equal(mg_rabbitmq_backend.ack(s.worker, items, CHUNK, mg_sides_soon(), &e), MG_OK);
    for (size_t k = 0; k < CHUNK; k++) assert_int_equal(items[k].err, MG_OK);
  }
  /* A quorum queue takes acks with a delay, and those it has not taken when the connection goes are lost. */
  char line[64];
  (void)snprintf(line, sizeof line, "%s\t%zu", mg_options_text(s.options, "queue_name", NULL), left);
  for (mg_ms end = mg_now_ms() + PATIENCE_MS;;) {
    assert_int_equal(mg_rabbitmq_backend.service(s.worker, mg_now_ms(), &e), MG_OK);
    if (!mg_test_rabbit_ctl(&node, said, sizeof said, "list_queues", "--no-table-headers", "name", "messages_unacknowledged", (char *)NULL))
      fail_msg("%s", said);
    if (strstr(said, line) != NULL) break;
    if (mg_now_ms() > end) fail_msg("%zu are not acked, but the broker says:\n%s", left, said);
  }
  mg_rabbitmq_backend.close(s.worker);
  s.worker = mg_sides_open_one(&mg_rabbitmq_backend, s.options, "worker", NULL);
  mg_sides_fetch(s.worker, left, &again);
  assert_int_equal(fetch_once(s.worker, 10, 300, &again), 0);
  for (size_t i = 0; i < again.count; i++) assert_false(acked[atoi(again.items[i].task + 1)]);
  mg_batch_clear(&tasks);
  mg_sides_forget(s.worker, &again);
  mg_sides_close(&s);
}

static void repeated_dead_letters_are_one(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_error e = {0};
  mg_batch dead = {0}, tasks = {0};
  size_t moved = 9;
  for (int i = 0; i < 3; i++) {
    mg_publish p = {.run = "run", .task = "t0", .attempt = 2, .body = mg_slice_of("t0"), .why = "its workers vanished", .err = MG_FATAL};
    assert_int_equal(mg_rabbitmq_backend.publish_dead(s.coordinator, &p, 1, mg_sides_soon(), &e), MG_OK);
    assert_int_equal(p.err, MG_OK);
  }
  assert_int_equal(mg_rabbitmq_backend.list_dead(s.coordinator, "run", 10, mg_sides_soon(), &dead, &e), MG_OK);
  assert_int_equal(dead.count, 1);
  assert_string_equal(dead.items[0].why, "its workers vanished");
  mg_batch_clear(&dead);
  assert_int_equal(mg_rabbitmq_backend.redrive(s.coordinator, "run", NULL, 0, mg_sides_soon(), &moved, &e), MG_OK);
  assert_int_equal(moved, 1);
  mg_sides_fetch(s.worker, 1, &tasks);
  assert_int_equal(fetch_once(s.worker, 1, 300, &tasks), 0);
  assert_int_equal(mg_rabbitmq_backend.list_dead(s.coordinator, "run", 10, mg_sides_soon(), &dead, &e), MG_OK);
  assert_int_equal(dead.count, 0);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
}

/* --- runs and signs of life --- */

static bool reads_beat(mg_backend *coordinator, const char *text) {
  mg_batch batch = {0};
  mg_error e = {0};
  bool found = false;
  if (mg_rabbitmq_backend.read_beats(coordinator, mg_sides_soon(), &batch, &e) != MG_OK) fail_msg("%s", e.text);
  for (size_t i = 0; i < batch.count; i++) {
    found = found || (batch.items[i].body.len == strlen(text) && memcmp(batch.items[i].body.data, text, strlen(text)) == 0);
  }
  mg_batch_clear(&batch);
  return found;
}

static void a_new_coordinator_hears_of_workers_at_once(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_error e = {0};
  assert_int_equal(mg_rabbitmq_backend.beat(s.worker, mg_slice_of("alive"), 60000, mg_sides_soon(), &e), MG_OK);
  mg_backend *second = mg_sides_open_one(&mg_rabbitmq_backend, s.options, "second", "another-run");
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; !reads_beat(second, "alive");) {
    assert_true(mg_now_ms() < end);
    assert_int_equal(mg_rabbitmq_backend.service(s.worker, mg_now_ms() + 50, &e), MG_OK);
  }
  mg_rabbitmq_backend.close(second);
  mg_sides_close(&s);
}

static mg_err publish_result(mg_backend *worker) {
  mg_error e = {0};
  mg_publish p = {.run = "run", .task = "t0", .attempt = 1, .body = mg_slice_of("t0"), .err = MG_FATAL};
  mg_err err = mg_rabbitmq_backend.publish_results(worker, &p, 1, mg_sides_soon(), &e);
  if (err != MG_OK) fail_msg("%s", e.text);
  return p.err;
}

static void results_of_a_closed_run_are_dropped(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_error e = {0};
  size_t removed = 9;
  assert_int_equal(mg_rabbitmq_backend.control(s.coordinator, "run", mg_slice_of("closed"), 60000, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(mg_rabbitmq_backend.purge_run(s.coordinator, "run", mg_sides_soon(), &removed, &e), MG_OK);
  mg_batch controls = {0};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; controls.count == 0;) {
    assert_true(mg_now_ms() < end);
    assert_int_equal(mg_rabbitmq_backend.read_controls(s.worker, mg_sides_soon(), &controls, &e), MG_OK);
  }
  mg_batch_clear(&controls);
  assert_int_equal(publish_result(s.worker), MG_OK);
  mg_depth d;
  assert_int_equal(mg_rabbitmq_backend.depth(s.coordinator, "run", mg_sides_soon(), &d, &e), MG_OK);
  assert_int_equal(d.results, -1); /* its queue is gone, and stays so */
  mg_sides_close(&s);
}

/* --- the broker goes --- */

/* What was held comes again; old receipts settle nothing; nothing is lost. */
static void go_round(mg_sides *s, void (*hurt)(void)) {
  mg_batch held = {0}, tasks = {0}, results = {0};
  mg_sides_publish(s->coordinator, 0, 50, false);
  mg_sides_fetch(s->worker, 20, &held);
  mg_sides_publish(s->worker, 0, 20, true);
  hurt();
  mg_sides_publish(s->coordinator, 50, 50, false);
  mg_sides_fetch(s->worker, 100, &tasks);
  mg_sides_expect_each_once(&tasks, 100);
  assert_int_equal(mg_sides_settle(s->worker, s->ops->ack, &held), 0);
  assert_int_equal(mg_sides_settle(s->worker, s->ops->nack, &held), 0);
  assert_int_equal(mg_sides_settle(s->worker, s->ops->extend, &held), 0);
  mg_sides_forget(s->worker, &held);
  mg_sides_publish(s->worker, 20, 80, true);
  mg_sides_fetch_results(s->coordinator, 100, &results);
  mg_sides_expect_each_once(&results, 100);
  assert_int_equal(mg_sides_settle(s->worker, s->ops->ack, &tasks), 100);
  assert_int_equal(mg_sides_settle(s->coordinator, s->ops->ack_results, &results), 100);
  mg_sides_forget(s->worker, &tasks);
  mg_sides_forget(s->coordinator, &results);
  assert_int_equal(fetch_once(s->worker, 1, 300, &tasks), 0);
  mg_depth d = mg_sides_depth(s->coordinator);
  assert_int_equal(d.pending, 0);
  assert_int_equal(d.results, 0);
}

static void close_connections(void) {
  if (!mg_test_rabbit_ctl(&node, said, sizeof said, "close_all_connections", "for a test", (char *)NULL)) fail_msg("%s", said);
}

static void restart(void) {
  mg_test_rabbit_stop(&node);
  assert_true(mg_test_rabbit_again(&node));
}

static void crash(void) {
  mg_test_pause(8000); /* a quorum queue that is some seconds old at a crash takes no more messages afterwards: RabbitMQ 3.10 */
  mg_test_rabbit_kill(&node);
  assert_true(mg_test_rabbit_again(&node));
}

static void connections_closed_by_the_broker(void **state) {
  (void)state;
  mg_sides s = sides();
  go_round(&s, close_connections);
  mg_sides_close(&s);
}

static void a_restarted_node(void **state) {
  (void)state;
  mg_sides s = sides();
  go_round(&s, restart);
  mg_sides_close(&s);
}

static void a_crashed_node(void **state) {
  (void)state;
  if (!mg_test_full()) skip(); /* MGUARD_CHECK=full */
  mg_sides s = sides();
  go_round(&s, crash);
  mg_sides_close(&s);
}

/* Consumers that the node's channels believe they have. */
static int consumers(void) {
  int n = 0;
  if (!mg_test_rabbit_ctl(&node, said, sizeof said, "list_channels", "consumer_count", (char *)NULL)) fail_msg("%s", said);
  for (const char *line = said; line != NULL; line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL) n += atoi(line);
  return n;
}

static void deleted_queues_are_made_again(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_batch tasks = {0}, results = {0};
  char call[400];
  const char *name = mg_options_text(s.options, "queue_name", NULL);
  mg_sides_publish(s.coordinator, 0, 30, false);
  mg_sides_fetch(s.worker, 10, &tasks);
  assert_int_equal(fetch_once(s.worker, 1, 5000, &results), 1); /* a consumer is there */
  mg_sides_forget(s.worker, &results);
  (void)snprintf(call, sizeof call,
                 "[begin {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, N)), rabbit_amqqueue:delete(Q, false, false, <<\"t\">>) end || "
                 "N <- [<<\"%s\">>, <<\"%s.dead\">>, <<\"%s.results.run\">>]].",
                 name, name, name);
  eval(call);
  /* Until the channels have heard of it. A quorum queue that is made again before that keeps the consumers it had and what it sends them is lost (3.10): the
   * backend cannot see it, and a run sends such tasks again ("the queue is deleted in mid-run" of tests/faults). */
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; consumers() > 2;) assert_true(mg_now_ms() < end); /* two are for the notes */
  /* Held still, published results and new tasks find their queues. */
  (void)mg_sides_settle(s.worker, s.ops->ack, &tasks);
  mg_sides_forget(s.worker, &tasks);
  assert_int_equal(publish_result(s.worker), MG_OK);
  mg_sides_fetch_results(s.coordinator, 1, &results);
  mg_sides_forget(s.coordinator, &results);
  mg_sides_publish(s.coordinator, 0, 30, false);
  mg_sides_fetch(s.worker, 30, &tasks);
  mg_sides_expect_each_once(&tasks, 30);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->dead_letter, &tasks), 30);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
}

/* --- alarms and limits --- */

static void an_alarm_stops_publishing_alone(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_batch tasks = {0}, beats = {0};
  mg_error e = {0};
  mg_backend *quiet = mg_sides_open_one(&mg_rabbitmq_backend, s.options, "quiet", "the-quiet-run");
  mg_sides_publish(s.coordinator, 0, 20, false);
  mg_sides_fetch(s.worker, 10, &tasks);
  assert_int_equal(s.ops->read_beats(quiet, mg_sides_soon(), &beats, &e), MG_OK);
  if (!mg_test_rabbit_ctl(&node, said, sizeof said, "set_vm_memory_high_watermark", "0.00001", (char *)NULL)) fail_msg("%s", said);
  mg_ms end = mg_now_ms() + PATIENCE_MS;
  size_t taken = 0;
  for (mg_err err = MG_OK; err != MG_AGAIN;) { /* until the alarm has reached the connection */
    mg_publish p = {.run = "run", .task = "t99", .attempt = 1, .body = mg_slice_of("t99"), .err = MG_FATAL};
    assert_true(mg_now_ms() < end);
    err = s.ops->publish_tasks(s.coordinator, &p, 1, mg_now_ms() + 500, &e);
    taken += err == MG_OK;
    if (err == MG_OK) continue;
    assert_int_equal(err, MG_AGAIN);
    assert_non_null(strstr(e.text, "takes no messages now"));
    assert_non_null(strstr(e.text, "memory"));
  }
  /* Nothing hangs, and what needs no publishing goes on. */
  mg_ms start = mg_now_ms();
  mg_publish p = {.run = "run", .task = "t98", .attempt = 1, .body = mg_slice_of("t98"), .err = MG_FATAL};
  assert_int_equal(s.ops->publish_tasks(s.coordinator, &p, 1, mg_now_ms() + 20000, &e), MG_AGAIN);
  assert_int_equal(p.err, MG_AGAIN);
  assert_int_equal(s.ops->read_beats(s.coordinator, mg_sides_soon(), &beats, &e), MG_AGAIN); /* silence means nothing now, */
  assert_int_equal(s.ops->read_beats(quiet, mg_sides_soon(), &beats, &e), MG_AGAIN); /* nor for who has published nothing since, and is told of no alarm */
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 10);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_fetch(s.worker, 10, &tasks);
  assert_true(mg_now_ms() - start < 5000);
  if (!mg_test_rabbit_ctl(&node, said, sizeof said, "set_vm_memory_high_watermark", "absolute", "1GB", (char *)NULL)) fail_msg("%s", said);
  end = mg_now_ms() + PATIENCE_MS;
  for (mg_err err = MG_AGAIN; err != MG_OK; mg_test_pause(20)) {
    assert_true(mg_now_ms() < end);
    err = s.ops->publish_tasks(s.coordinator, &p, 1, mg_now_ms() + 500, &e);
    assert_true(err == MG_OK || err == MG_AGAIN);
  }
  for (mg_err err = MG_AGAIN; err != MG_OK; mg_test_pause(20)) {
    assert_true(mg_now_ms() < end);
    err = s.ops->read_beats(s.coordinator, mg_sides_soon(), &beats, &e);
    assert_true(err == MG_OK || err == MG_AGAIN);
  }
  mg_batch_clear(&beats);
  /* What was sent when the alarm came, and is published again since no answer came, is there once. */
  for (mg_err err = MG_AGAIN; err != MG_OK; mg_test_pause(20)) {
    mg_publish again = {.run = "run", .task = "t99", .attempt = 1, .body = mg_slice_of("t99"), .err = MG_FATAL};
    assert_true(mg_now_ms() < end);
    err = s.ops->publish_tasks(s.coordinator, &again, 1, mg_now_ms() + 500, &e);
    assert_true(err == MG_OK || err == MG_AGAIN);
  }
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 10);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_fetch(s.worker, taken + 2, &tasks); /* t99 and t98 */
  assert_int_equal(fetch_once(s.worker, 1, 500, &tasks), 0);
  mg_sides_forget(s.worker, &tasks);
  s.ops->close(quiet);
  mg_sides_close(&s);
}

static void a_message_above_the_limit_is_refused_alone(void **state) {
  (void)state;
  mg_sides s = sides();
  mg_batch tasks = {0};
  uint8_t *large = calloc(1, LARGEST + 1);
  assert_non_null(large);
  for (int turn = 0; turn < 2; turn++) { /* by the broker; then by what it said */
    mg_error e = {0};
    mg_publish items[3];
    for (int i = 0; i < 3; i++) {
      static const char *const names[] = {"t0", "t1", "t2"};
      items[i] = (mg_publish){.run = "run", .task = names[i], .attempt = 1, .body = mg_slice_of(names[i]), .err = MG_FATAL};
    }
    items[1].body = (mg_slice){large, LARGEST + 1};
    assert_int_equal(s.ops->publish_tasks(s.coordinator, items, 3, mg_sides_soon(), &e), MG_OK);
    assert_int_equal(items[0].err, MG_OK);
    assert_int_equal(items[1].err, MG_ARG);
    assert_int_equal(items[2].err, MG_OK);
    assert_non_null(strstr(e.text, "max_message_size"));
    mg_sides_fetch(s.worker, 2, &tasks);
    assert_in_range(fetch_once(s.worker, 2, 200, &tasks), 0, 1); /* the broker may have taken the first before it shut the channel */
    assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), tasks.count);
    mg_sides_forget(s.worker, &tasks);
  }
  free(large);
  mg_sides_close(&s);
}

/* The broker looks once a minute. */
static void a_task_held_too_long_is_taken_back(void **state) {
  (void)state;
  if (!mg_test_full()) skip(); /* MGUARD_CHECK=full */
  eval("application:set_env(rabbit, consumer_timeout, 2000).");
  mg_sides s = sides();
  mg_batch tasks = {0}, again = {0};
  mg_error e = {0};
  mg_sides_publish(s.coordinator, 0, 1, false);
  mg_sides_fetch(s.worker, 1, &tasks);
  mg_settle item = {.lease = tasks.items[0].lease, .err = MG_OK};
  for (mg_ms end = mg_now_ms() + 150000; item.err == MG_OK;) {
    assert_true(mg_now_ms() < end);
    assert_int_equal(s.ops->service(s.worker, mg_now_ms() + 500, &e), MG_OK);
    assert_int_equal(s.ops->extend(s.worker, &item, 1, mg_sides_soon(), &e), MG_OK);
  }
  assert_int_equal(item.err, MG_LOST);
  eval("application:set_env(rabbit, consumer_timeout, 1800000).");
  mg_sides_fetch(s.worker, 1, &again);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 0);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &again), 1);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_forget(s.worker, &again);
  mg_sides_close(&s);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refusals_say_why),
      cmocka_unit_test(queues_made_by_others_are_used),
      cmocka_unit_test(the_documented_permissions_suffice),
      cmocka_unit_test(hosts_are_tried_in_turn),
      cmocka_unit_test(no_worker_hoards),
      cmocka_unit_test(prefetch_count_is_the_most),
      cmocka_unit_test(acks_together_take_nothing_else),
      cmocka_unit_test(repeated_dead_letters_are_one),
      cmocka_unit_test(a_new_coordinator_hears_of_workers_at_once),
      cmocka_unit_test(results_of_a_closed_run_are_dropped),
      cmocka_unit_test(connections_closed_by_the_broker),
      cmocka_unit_test(deleted_queues_are_made_again),
      cmocka_unit_test(an_alarm_stops_publishing_alone),
      cmocka_unit_test(a_message_above_the_limit_is_refused_alone),
      cmocka_unit_test(a_restarted_node),
      cmocka_unit_test(a_crashed_node),
      cmocka_unit_test(a_task_held_too_long_is_taken_back),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  if (!mg_test_rabbit_start(&node, "max_message_size = 1048576")) return 99;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  mg_test_rabbit_end(&node);
  return failed;
}
