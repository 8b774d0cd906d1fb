/* Kafka when things go wrong: refusals, a log that is cut, a broker that goes and comes back (its group: kafka_group_test.c). One real broker for all;
 * librdkafka's mock cluster where an error code is wanted that a broker cannot be brought to give. Argument: [test]. */
#include "backends/kafka/kafka.h"
#include "tests/brokers/findings.h"
#include "tests/brokers/kafka.h"
#include "tests/brokers/sides.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 60000, LARGE = 2000000 };
static mg_test_kafka server;

static mg_options *options(int partitions) { return mg_test_kafka_queue(&server, "faults", partitions); }

static mg_sides sides(mg_options *o) { return mg_sides_open(&mg_kafka_backend, o); }

static mg_backend *worker_of(const mg_sides *s, const char *name) { return mg_sides_open_one(s->ops, s->options, name, NULL); }

/* --- refusals --- */

static void expect_refusal(mg_options *o, mg_err wanted, const char *text) {
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "worker", .wake_fd = -1};
  mg_err err = mg_kafka_backend.open(&b, &config, mg_sides_soon(), &e);
  if (err != wanted || strstr(e.text, text) == NULL) fail_msg("%s, \"%s\"; not %s, \"%s\"", mg_err_name(err), e.text, mg_err_name(wanted), text);
  if (strstr(e.text, "very-secret") != NULL) fail_msg("the password is in \"%s\"", e.text);
  mg_options_free(o);
}

static mg_options *secure_options(void) {
  mg_options *o = options(1);
  mg_test_kafka_options(&server, true, o);
  return o;
}

static void refusals_say_why(void **state) {
  (void)state;
  mg_options *o = secure_options();
  (void)mg_options_set_text(o, "sasl_password", "very-secret");
  expect_refusal(o, MG_FATAL, "password");
  o = secure_options();
  (void)mg_options_set_text(o, "ssl_ca_location", "/etc/hostname");
  expect_refusal(o, MG_ARG, "ssl");
  o = options(1);
  (void)mg_options_set_text(o, "security_protocol", "ssl"); /* the plain port */
  expect_refusal(o, MG_FATAL, "TLS");
  o = options(1);
  (void)mg_options_set_text(o, "bootstrap_servers", "127.0.0.1:1");
  expect_refusal(o, MG_CONN, "127.0.0.1:1");
  o = options(1);
  (void)mg_options_set_int(o, "replication_factor", 3); /* of one broker: nobody can make the topic */
  expect_refusal(o, MG_FATAL, "kafka-topics.sh --create --topic faults-");
  o = options(1);
  (void)mg_options_set_text(o, "librdkafka.enable.auto.commit", "true");
  expect_refusal(o, MG_ARG, "enable.auto.commit");
}

static void a_message_above_the_limit_is_refused_alone(void **state) {
  (void)state;
  mg_sides s = sides(options(1));
  mg_batch tasks = {0};
  mg_error e = {0};
  uint8_t *large = calloc(1, LARGE);
  static const char *const names[] = {"t0", "t1", "t2"};
  mg_publish items[3];
  assert_non_null(large);
  for (int i = 0; i < 3; i++) items[i] = (mg_publish){.run = "run", .task = names[i], .attempt = 1, .body = mg_slice_of(names[i]), .err = MG_CONN};
  items[1].body = (mg_slice){large, LARGE};
  assert_int_equal(s.ops->publish_tasks(s.coordinator, items, 3, mg_sides_soon(), &e), MG_OK);
  assert_int_equal(items[0].err, MG_OK);
  assert_int_equal(items[1].err, MG_ARG);
  assert_int_equal(items[2].err, MG_OK);
  assert_non_null(strstr(e.text, "message.max.bytes"));
  free(large);
  mg_sides_fetch(s.worker, 2, &tasks);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 2);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
}

/* --- a log that is cut, and what the doctor says --- */

static rd_kafka_t *administrator(void) {
  char text[64], why[200];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  (void)snprintf(text, sizeof text, "127.0.0.1:%d", server.port);
  assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", text, why, sizeof why), RD_KAFKA_CONF_OK);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  assert_non_null(rk);
  return rk;
}

static void wait_for_answer(rd_kafka_queue_t *q) {
  rd_kafka_event_t *answer = rd_kafka_queue_poll(q, PATIENCE_MS);
  assert_non_null(answer);
  if (rd_kafka_event_error(answer) != RD_KAFKA_RESP_ERR_NO_ERROR) fail_msg("%s", rd_kafka_event_error_string(answer));
  rd_kafka_event_destroy(answer);
  rd_kafka_queue_destroy(q);
}

/* What retention does, at once: partition 0 begins at this offset. */
static void cut_log(const char *topic, int64_t before) {
  rd_kafka_t *rk = administrator();
  rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic, 0)->offset = before;
  rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
  rd_kafka_DeleteRecords(rk, &records, 1, NULL, q);
  wait_for_answer(q);
  rd_kafka_DeleteRecords_destroy(records);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(rk);
}

static void what_retention_took_is_passed_over(void **state) {
  (void)state;
  mg_sides s = sides(options(1));
  mg_batch tasks = {0};
  const char *topic = mg_options_text(s.options, "topic", NULL);
  mg_sides_publish(s.coordinator, 0, 10, false);
  mg_sides_fetch(s.worker, 10, &tasks); /* held: not settled */
  mg_sides_forget(s.worker, &tasks);
  s.ops->close(s.worker);
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 10);
  cut_log(topic, 6);
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 4); /* what is gone is not waited for: the coordinator sends it again */
  s.worker = worker_of(&s, "worker");
  mg_sides_fetch(s.worker, 4, &tasks);
  for (size_t i = 0; i < tasks.count; i++) assert_in_range(atoi(tasks.items[i].task + 1), 6, 9);
  cut_log(topic, 10); /* while they are held */
  mg_sides_publish(s.coordinator, 10, 5, false);
  mg_sides_fetch(s.worker, 9, &tasks);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 9);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_expect_empty(s.coordinator, s.worker);
  mg_sides_close(&s);
}

static void make_topic(const char *name, const char *key, const char *value, const char *key2, const char *value2) {
  char why[200];
  rd_kafka_t *rk = administrator();
  rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
  rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, 1, 1, why, sizeof why);
  assert_non_null(t);
  (void)rd_kafka_NewTopic_set_config(t, key, value);
  (void)rd_kafka_NewTopic_set_config(t, key2, value2);
  rd_kafka_CreateTopics(rk, &t, 1, NULL, q);
  wait_for_answer(q);
  rd_kafka_NewTopic_destroy(t);
  rd_kafka_destroy(rk);
}

static void examine(mg_options *o) {
  mg_backend *b = mg_sides_open_one(&mg_kafka_backend, o, "doctor", NULL);
  mg_test_examine(b, mg_now_ms() + PATIENCE_MS);
  mg_kafka_backend.close(b);
  mg_options_free(o);
}

static void the_doctor_finds_what_is_wrong(void **state) {
  (void)state;
  examine(secure_options());
  mg_test_expect_finding("ok encryption: TLS");
  mg_test_expect_finding("ok authentication: logged in as tester");
  mg_test_expect_finding("ok retention: faults-");
  mg_test_expect_finding("ok session: a worker that vanished gives its partitions free after 6.0 s");
  mg_test_expect_finding("ok partitions: 0 workers and 1 partitions");
  mg_test_expect_finding("warn brokers: 1:");
  mg_test_expect_no_finding("fail ");
  mg_options *o = options(4);
  make_topic(mg_options_text(o, "topic", NULL), "retention.ms", "3600000", "max.message.bytes", "50000");
  make_topic(mg_options_text(o, "dead_letter_topic", NULL), "cleanup.policy", "delete", "retention.ms", "3600000");
  (void)mg_options_set_int(o, "session_timeout_ms", 500);
  examine(o);
  mg_test_expect_finding("warn encryption: no TLS");
  mg_test_expect_finding("keeps messages for 1.0 hours, less than retention_seconds (168.0 hours)");
  mg_test_expect_finding("takes messages up to 50000 bytes");
  mg_test_expect_finding("is not compacted");
  mg_test_expect_finding("has 1 partitions, partitions wants 4");
  mg_test_expect_finding("fail session: session_timeout_ms of 0.5 s is refused");
}

/* --- error codes, by the mock cluster --- */

typedef struct mock {
  rd_kafka_t *rk;
  rd_kafka_mock_cluster_t *cluster;
} mock;

static mock mock_new(mg_options *o) {
  char why[200];
  static const char *const topics[] = {"topic", "results_topic", "dead_letter_topic"};
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  (void)rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
  mock m = {.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why)};
  assert_non_null(m.rk);
  m.cluster = rd_kafka_mock_cluster_new(m.rk, 1);
  assert_non_null(m.cluster);
  for (int i = 0; i < 3; i++) { /* it has no admin side */
    assert_int_equal(rd_kafka_mock_topic_create(m.cluster, mg_options_text(o, topics[i], NULL), 4, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  (void)mg_options_set_text(o, "bootstrap_servers", rd_kafka_mock_cluster_bootstraps(m.cluster));
  return m;
}

static void mock_free(mock *m) {
  rd_kafka_mock_cluster_destroy(m->cluster);
  rd_kafka_destroy(m->rk);
}

enum { PRODUCE = 0, OFFSET_COMMIT = 8, JOIN_GROUP = 11, HEARTBEAT = 12 }; /* of the protocol */

static void injected_errors_pass(void **state) {
  (void)state;
  mg_options *o = options(4);
  mock m = mock_new(o);
  mg_sides s = sides(o);
  mg_batch tasks = {0};
  rd_kafka_mock_push_request_errors(m.cluster, PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                    RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
  mg_sides_publish(s.coordinator, 0, 50, false);
  rd_kafka_mock_push_request_errors(m.cluster, JOIN_GROUP, 2, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
  mg_sides_fetch(s.worker, 50, &tasks);
  mg_sides_expect_each_once(&tasks, 50);
  rd_kafka_mock_push_request_errors(m.cluster, OFFSET_COMMIT, 3, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
                                    RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 50);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_expect_empty(s.coordinator, s.worker); /* commits that failed were made good */
  mg_sides_close(&s);
  mock_free(&m);
}

/* In mid-work: what is held is void, and comes again. */
static void thrown_out_of_the_group(void **state) {
  (void)state;
  mg_options *o = options(4);
  mock m = mock_new(o);
  mg_sides s = sides(o);
  mg_batch tasks = {0}, none = {0};
  mg_sides_publish(s.coordinator, 0, 8, false);
  mg_sides_fetch(s.worker, 8, &tasks);
  rd_kafka_mock_push_request_errors(m.cluster, HEARTBEAT, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
  mg_batch again = {0};
  mg_sides_fetch(s.worker, 8, &again);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 0);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &again), 8);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_forget(s.worker, &again);
  mg_sides_expect_empty(s.coordinator, s.worker);
  assert_int_equal(mg_sides_fetch_once(s.worker, 300, &none), 0);
  mg_sides_close(&s);
  mock_free(&m);
}

static void missing_rights_are_named(void **state) {
  (void)state;
  mg_options *o = options(4);
  mock m = mock_new(o);
  mg_sides s = sides(o);
  mg_error e = {0};
  mg_batch none = {0};
  mg_publish p = {.run = "run", .task = "t0", .attempt = 1, .body = mg_slice_of("t0"), .err = MG_OK};
  rd_kafka_mock_push_request_errors(m.cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  (void)s.ops->publish_tasks(s.coordinator, &p, 1, mg_sides_soon(), &e);
  assert_int_equal(p.err, MG_FATAL);
  assert_non_null(strstr(e.text, "read and write on the topics"));
  rd_kafka_mock_push_request_errors(m.cluster, JOIN_GROUP, 1, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
  mg_err err = MG_OK;
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; err == MG_OK && mg_now_ms() < end;) err = mg_sides_try_fetch(s.worker, 1, 200, &none, &e);
  assert_int_equal(err, MG_FATAL);
  assert_non_null(strstr(e.text, "read on the group"));
  mg_sides_close(&s);
  mock_free(&m);
}

/* --- a broker that goes --- */

static void restart(void *broker) {
  mg_test_kafka_stop(broker);
  assert_true(mg_test_kafka_again(broker));
}

static void crash(void *broker) {
  mg_test_kafka_kill(broker);
  assert_true(mg_test_kafka_again(broker));
}

static mg_options *patient(void) {
  mg_options *o = options(4);
  (void)mg_options_set_int(o, "session_timeout_ms", 60000); /* longer than the broker is away */
  return o;
}

static void what_is_held_survives_a_restart(void **state) {
  (void)state;
  mg_sides s = sides(patient());
  mg_sides_go_round(&s, restart, &server);
  mg_sides_close(&s);
}

static void what_is_held_survives_a_crash(void **state) {
  (void)state;
  if (!mg_test_full()) skip(); /* MGUARD_CHECK=full */
  mg_sides s = sides(patient());
  mg_sides_go_round(&s, crash, &server);
  mg_sides_close(&s);
}

/* librdkafka would wait for a session, or a minute. */
static void closing_without_a_broker_ends(void **state) {
  (void)state;
  mg_sides s = sides(patient());
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 10, false);
  mg_sides_fetch(s.worker, 10, &tasks);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 10); /* to be committed with the next poll */
  mg_sides_forget(s.worker, &tasks);
  mg_test_kafka_kill(&server);
  mg_ms start = mg_now_ms();
  mg_sides_close(&s);
  if (mg_now_ms() - start > 45000) fail_msg("closing took %lld ms", (long long)(mg_now_ms() - start));
  assert_true(mg_test_kafka_again(&server));
}

int main(int argc, char **argv) {
  const struct CMUnitTest beside[] = {
      cmocka_unit_test(refusals_say_why),
      cmocka_unit_test(a_message_above_the_limit_is_refused_alone),
      cmocka_unit_test(what_retention_took_is_passed_over),
      cmocka_unit_test(the_doctor_finds_what_is_wrong),
      cmocka_unit_test(injected_errors_pass),
      cmocka_unit_test(thrown_out_of_the_group),
      cmocka_unit_test(missing_rights_are_named),
  };
  const struct CMUnitTest alone[] = {
      cmocka_unit_test(what_is_held_survives_a_restart),
      cmocka_unit_test(what_is_held_survives_a_crash),
      cmocka_unit_test(closing_without_a_broker_ends),
  };
  enum { BESIDE = sizeof beside / sizeof *beside, ALONE = sizeof alone / sizeof *alone };
  const char *only = argc > 1 ? argv[1] : NULL;
  bool is_alone = false;
  for (int i = 0; only != NULL && i < ALONE; i++) is_alone = is_alone || strcmp(only, alone[i].name) == 0;
  if (!mg_test_kafka_start(&server, true, NULL)) return 99;
  int failed = is_alone ? 0 : mg_sides_group("kafka faults", beside, BESIDE, only, 150);
  if (only == NULL || is_alone) {
    if (only != NULL) cmocka_set_test_filter(only);
    failed += cmocka_run_group_tests(alone, NULL, NULL);
  }
  mg_test_kafka_kill(&server);
  return failed;
}
