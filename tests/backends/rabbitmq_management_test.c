/* What the management API of a RabbitMQ node tells a coordinator, and that one that does not answer holds nobody up. One real node for all. */
#include "backends/rabbitmq/rabbitmq.h"
#include "tests/brokers/findings.h"
#include "tests/brokers/rabbitmq.h"
#include "tests/brokers/sides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 90000, AGAIN_MS = 30000 };
static mg_test_rabbit node;
static int web_port, queue_count;

/* login: of the URL, with its @, or "". port 0: no management_url. */
static mg_sides sides(const char *login, int port) {
  char name[32], url[200];
  mg_options *o = mg_options_new();
  assert_non_null(o);
  mg_test_rabbit_options(&node, false, o);
  (void)snprintf(name, sizeof name, "managed-%d", ++queue_count);
  (void)mg_options_set_text(o, "queue_name", name);
  (void)mg_options_set_int(o, "prefetch_count", 50);
  (void)snprintf(url, sizeof url, "http://%s127.0.0.1:%d/", login, port);
  if (port > 0) (void)mg_options_set_text(o, "management_url", url);
  return mg_sides_open(&mg_rabbitmq_backend, o);
}

static mg_broker_stats stats(const mg_sides *s, mg_backend *b) {
  mg_error e = {0};
  mg_broker_stats told = {.lag = -1};
  if (s->ops->stats(b, mg_sides_soon(), &told, &e) != MG_OK) fail_msg("%s", e.text);
  return told;
}

static void rest(void) { (void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); }

static void memory_of_the_nodes(void **state) {
  (void)state;
  mg_sides s = sides("", web_port);
  mg_broker_stats told;
  mg_ms end = mg_now_ms() + PATIENCE_MS;
  while ((told = stats(&s, s.coordinator)).node_count == 0 || told.nodes[0].memory_bytes <= 0) {
    assert_true(mg_now_ms() < end); /* the node is some seconds old before it knows */
    rest();
  }
  char name[40];
  (void)snprintf(name, sizeof name, "mg%d@localhost", node.port);
  assert_int_equal(told.node_count, 1);
  assert_string_equal(told.nodes[0].name, name);
  assert_true(told.nodes[0].memory_bytes > 10 << 20 && told.nodes[0].memory_bytes < told.nodes[0].memory_limit_bytes);
  assert_int_equal(told.nodes[0].memory_limit_bytes, 1000000000); /* vm_memory_high_watermark */
  assert_int_equal(stats(&s, s.worker).node_count, 0);            /* a run asks for all */
  mg_sides_close(&s);
}

static void what_workers_hold(void **state) {
  (void)state;
  mg_sides s = sides("guest:guest@", web_port);
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 5, false);
  mg_sides_fetch(s.worker, 5, &tasks);
  mg_ms end = mg_now_ms() + PATIENCE_MS;
  while (mg_sides_depth(s.coordinator).in_flight != 5) {
    assert_true(mg_now_ms() < end);
    rest();
  }
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 5);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_close(&s);
}

/* A port that takes connections and says nothing. */
static int silent(int *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
  *port = ntohs(a.sin_port);
  return fd;
}

static void one_that_is_silent_is_asked_once(void **state) {
  (void)state;
  int port, asked = 0, fd = silent(&port), one;
  mg_sides s = sides("", port);
  mg_ms begin = mg_now_ms();
  for (int i = 0; i < 20; i++) {
    assert_int_equal(stats(&s, s.coordinator).node_count, 0);
    assert_int_equal(mg_sides_depth(s.coordinator).in_flight, -1);
  }
  for (; (one = accept(fd, NULL, NULL)) >= 0; asked++) (void)close(one);
  assert_true(asked >= 1 && asked <= 1 + (int)((mg_now_ms() - begin) / AGAIN_MS));
  mg_sides_close(&s);
  (void)close(fd);
}

static void without_leave_there_are_no_numbers(void **state) {
  (void)state;
  mg_sides s = sides("nobody:wrong@", web_port);
  assert_int_equal(stats(&s, s.coordinator).node_count, 0);
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 0);
  mg_sides_close(&s);
  s = sides("", 0);
  assert_int_equal(stats(&s, s.coordinator).node_count, 0);
  mg_sides_close(&s);
}

/* Until a text is among what is found: the management API is some seconds behind. */
static void examine_until(const char *name, const char *user, bool managed, const char *text) {
  char url[200];
  mg_ms end = mg_now_ms() + PATIENCE_MS;
  mg_options *o = mg_options_new();
  assert_non_null(o);
  mg_test_rabbit_options(&node, false, o);
  (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", web_port);
  (void)mg_options_set_text(o, "queue_name", name);
  (void)mg_options_set_text(o, "connection.username", user);
  (void)mg_options_set_text(o, "connection.password", user);
  (void)mg_options_set_bool(o, "durable", strcmp(name, "wrong") == 0);
  if (managed) (void)mg_options_set_text(o, "management_url", url);
  mg_backend *b = mg_sides_open_one(&mg_rabbitmq_backend, o, "doctor", NULL);
  for (mg_test_examine(b, mg_sides_soon()); !mg_test_found(text) && mg_now_ms() < end; mg_test_examine(b, mg_sides_soon())) rest();
  mg_rabbitmq_backend.close(b);
  mg_options_free(o);
}

/* Erlang for the node. A policy that drops tasks, and an alarm; then a user of its own, and nobody else. */
static const char set_up_wrongly[] =
    "rabbit_policy:set(<<\"/\">>, <<\"bad\">>, <<\"^wrong$\">>, [{<<\"max-length\">>, 100}, {<<\"message-ttl\">>, 60000}, {<<\"delivery-limit\">>, 3}], "
    "0, <<\"queues\">>, <<\"guest\">>), vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000}).";
static const char set_up_well[] =
    "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000000}), rabbit_auth_backend_internal:add_user(<<\"tester\">>, <<\"tester\">>, <<\"t\">>), "
    "rabbit_auth_backend_internal:set_tags(<<\"tester\">>, [monitoring], <<\"t\">>), "
    "rabbit_auth_backend_internal:set_permissions(<<\"tester\">>, <<\"/\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"t\">>), "
    "rabbit_auth_backend_internal:change_password(<<\"guest\">>, <<\"not-guest\">>, <<\"t\">>).";

/* The last test: guest is gone afterwards. */
static void the_doctor_finds_what_is_wrong(void **state) {
  (void)state;
  char out[500];
  assert_true(mg_test_rabbit_ctl(&node, out, sizeof out, "eval", set_up_wrongly, NULL));
  examine_until("wrong", "guest", true, "fail limits");
  mg_test_expect_finding("warn encryption: no TLS");
  mg_test_expect_finding("warn authentication: logged in as guest");
  mg_test_expect_finding("ok durability: wrong is a quorum queue");
  mg_test_expect_finding("ok dead letters: go to wrong.dead");
  mg_test_expect_finding("warn rights:");
  mg_test_expect_finding("warn quorum: 1 node:");
  mg_test_expect_finding("warn disk:");
  mg_test_expect_finding("fail limits: wrong holds at most 100 messages and drops");
  mg_test_expect_finding("warn limits: wrong keeps messages for 60 s");
  mg_test_expect_finding("warn limits: after 3 deliveries");
  examine_until("wrong", "guest", true, "is out of memory");
  mg_test_expect_finding("fail alarm: ");

  assert_true(mg_test_rabbit_ctl(&node, out, sizeof out, "eval", set_up_well, NULL));
  examine_until("right", "tester", true, "ok memory");
  mg_test_expect_finding("ok authentication: logged in as tester; guest is refused");
  mg_test_expect_finding("ok rights:");
  mg_test_expect_finding("warn durability: right is a classic queue");
  mg_test_expect_no_finding("limits:");
  examine_until("right", "tester", false, "warn management: without management_url");
  mg_test_expect_finding("ok consumer_timeout: taken to be 1800 s");
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_of_the_nodes),
      cmocka_unit_test(what_workers_hold),
      cmocka_unit_test(one_that_is_silent_is_asked_once),
      cmocka_unit_test(without_leave_there_are_no_numbers),
      cmocka_unit_test(the_doctor_finds_what_is_wrong),
  };
  char config[200];
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  web_port = mg_test_port();
  (void)snprintf(config, sizeof config, "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %d\ncollect_statistics_interval = 500", web_port);
  if (web_port == 0 || !mg_test_rabbit_start(&node, config)) return 99;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  mg_test_rabbit_end(&node);
  return failed;
}
