/* What the Redis backend says when it cannot: each cause has its own clear text, on real servers. And its settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/redis/keys.h"
#include "backends/redis/redis.h"
#include "backends/redis/settings.h"
#include "tests/brokers/brokers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const mg_backend_ops *const ops = &mg_redis_backend;
static mg_test_redis plain, tls, tls_client, acl;

static int start_servers(void **state) {
  (void)state;
  bool ok = mg_test_redis_start(&plain, NULL) && mg_test_redis_start_tls(&tls, false, NULL) && mg_test_redis_start_tls(&tls_client, true, NULL) &&
            mg_test_redis_start(&acl, "requirepass letmein\nuser stranger on >secret ~other:* +@all\nuser reader on >secret ~{mguard:tasks}:* "
                                      "+@read +@connection +@scripting +time\n");
  return ok ? 0 : -1;
}

static int stop_servers(void **state) {
  (void)state;
  mg_test_redis_stop(&plain);
  mg_test_redis_stop(&tls);
  mg_test_redis_stop(&tls_client);
  mg_test_redis_stop(&acl);
  return 0;
}

/* Opens and expects a refusal with these words. */
static void refused_after(mg_options *o, mg_err want, mg_ms limit_ms, const char *const *words) {
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "tester", .run = "run", .wake_fd = -1};
  mg_ms start = mg_now_ms();
  mg_err err = ops->open(&b, &config, start + limit_ms, &e);
  mg_ms took = mg_now_ms() - start;
  if (err == MG_OK) ops->close(b);
  mg_options_free(o);
  if (err != want) fail_msg("%s instead of %s: %s", mg_err_name(err), mg_err_name(want), e.text);
  assert_int_equal(e.code, want);
  for (int i = 0; words[i] != NULL; i++) {
    if (strstr(e.text, words[i]) == NULL) fail_msg("\"%s\" is not in: %s", words[i], e.text);
  }
  if (took > limit_ms + 5000) fail_msg("it took %lld ms: %s", (long long)took, e.text);
  print_message("             %s\n", e.text);
}
#define REFUSED(o, want, ...) refused_after(o, want, 8000, (const char *const[]){__VA_ARGS__, NULL})

static mg_options *options_of(const mg_test_redis *r) {
  mg_options *o = mg_options_new();
  assert_non_null(o);
  mg_test_redis_options(r, o);
  return o;
}

static void the_port_is_closed(void **state) {
  (void)state;
  mg_options *o = options_of(&plain);
  char port[16];
  int closed = mg_test_port();
  (void)snprintf(port, sizeof port, ":%d", closed);
  (void)mg_options_set_int(o, "connection.port", closed);
  REFUSED(o, MG_CONN, "cannot reach redis at localhost", port, "connection refused");
}

static void the_host_is_unknown(void **state) {
  (void)state;
  mg_options *o = options_of(&plain);
  (void)mg_options_set_text(o, "connection.host", "no-such-host.invalid");
  REFUSED(o, MG_CONN, "cannot reach redis at no-such-host.invalid", "host");
}

static void the_unix_socket_is_missing(void **state) {
  (void)state;
  mg_options *o = mg_options_new();
  (void)mg_options_set_text(o, "connection.unix_socket", "/tmp/no/such/socket");
  REFUSED(o, MG_CONN, "cannot reach redis at /tmp/no/such/socket", "No such file");
}

static void tls_to_a_plain_port(void **state) {
  (void)state;
  mg_options *o = options_of(&plain);
  (void)mg_options_set_bool(o, "connection.ssl", true);
  (void)mg_options_set_bool(o, "connection.ssl_verify", false);
  REFUSED(o, MG_FATAL, "does not answer TLS", "is it a plain port? set ssl = false");
}

static void plain_to_a_tls_port(void **state) {
  (void)state;
  const mg_test_redis *servers[] = {&tls, &tls_client};
  for (int i = 0; i < 2; i++) {
    mg_options *o = mg_options_new();
    char place[32];
    (void)snprintf(place, sizeof place, "localhost:%d", servers[i]->port);
    (void)mg_options_set_int(o, "connection.port", servers[i]->port);
    REFUSED(o, MG_FATAL, place, "closed at once: is it a TLS port? set ssl = true");
  }
}

static void the_authority_is_another(void **state) {
  (void)state;
  char path[MG_TEST_PATH_BYTES + 16];
  mg_options *o = options_of(&tls);
  (void)snprintf(path, sizeof path, "%s/other-ca.crt", tls.certificates);
  (void)mg_options_set_text(o, "connection.ssl_ca_location", path);
  REFUSED(o, MG_FATAL, "the certificate of localhost", "is refused", "authority");
}

static void no_authority_is_named(void **state) {
  (void)state;
  mg_options *o = mg_options_new();
  (void)mg_options_set_int(o, "connection.port", tls.port);
  (void)mg_options_set_bool(o, "connection.ssl", true);
  REFUSED(o, MG_FATAL, "the certificate of localhost", "is refused");
}

static void the_name_is_another(void **state) {
  (void)state;
  mg_options *o = options_of(&tls);
  (void)mg_options_set_text(o, "connection.ssl_server_name", "elsewhere.test");
  REFUSED(o, MG_FATAL, "the certificate of localhost", "is refused", "server name");
}

static void another_name_can_be_expected(void **state) {
  (void)state;
  mg_options *o = options_of(&tls);
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "tester", .wake_fd = -1};
  (void)mg_options_set_text(o, "connection.ssl_server_name", "broker.test");
  mg_err err = ops->open(&b, &config, mg_now_ms() + 5000, &e);
  if (err != MG_OK) fail_msg("%s", e.text);
  ops->close(b);
  mg_options_free(o);
}

static void verification_can_be_left_out(void **state) {
  (void)state;
  mg_options *o = mg_options_new();
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "tester", .wake_fd = -1};
  (void)mg_options_set_int(o, "connection.port", tls.port);
  (void)mg_options_set_bool(o, "connection.ssl", true);
  (void)mg_options_set_bool(o, "connection.ssl_verify", false);
  mg_err err = ops->open(&b, &config, mg_now_ms() + 5000, &e);
  if (err != MG_OK) fail_msg("%s", e.text);
  ops->close(b);
  mg_options_free(o);
}

static void the_version_before(void **state) {
  (void)state;
  mg_test_redis server;
  assert_true(mg_test_redis_start_tls(&server, true, "tls-protocols TLSv1.2"));
  mg_options *o = options_of(&server);
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "tester", .wake_fd = -1};
  mg_err err = ops->open(&b, &config, mg_now_ms() + 5000, &e);
  if (err != MG_OK) fail_msg("%s", e.text);
  ops->close(b);
  (void)mg_options_set_text(o, "connection.ssl_certificate_location", "");
  (void)mg_options_set_text(o, "connection.ssl_key_location", "");
  REFUSED(o, MG_FATAL, "refuses the TLS connection", "client certificate");
  mg_test_redis_stop(&server);
}

static void no_client_certificate(void **state) {
  (void)state;
  char path[MG_TEST_PATH_BYTES + 16];
  mg_options *o = mg_options_new();
  (void)snprintf(path, sizeof path, "%s/ca.crt", tls_client.certificates);
  (void)mg_options_set_int(o, "connection.port", tls_client.port);
  (void)mg_options_set_bool(o, "connection.ssl", true);
  (void)mg_options_set_text(o, "connection.ssl_ca_location", path);
  REFUSED(o, MG_FATAL, "refuses the TLS connection", "client certificate");
}

static void files_that_are_missing(void **state) {
  (void)state;
  mg_options *o = options_of(&tls);
  (void)mg_options_set_text(o, "connection.ssl_ca_location", "/no/ca.crt");
  REFUSED(o, MG_ARG, "/no/ca.crt");
  o = options_of(&tls);
  (void)mg_options_set_text(o, "connection.ssl_certificate_location", "/no/client.crt");
  REFUSED(o, MG_ARG, "/no/client.crt");
}

static void logins(void **state) {
  (void)state;
  REFUSED(options_of(&acl), MG_FATAL, "asks for a login", "connection.password");
  mg_options *o = options_of(&acl);
  (void)mg_options_set_text(o, "connection.password", "wrong-secret");
  REFUSED(o, MG_FATAL, "refuses the login of user \"default\"", "connection.password");
  o = options_of(&acl);
  (void)mg_options_set_text(o, "connection.username", "nobody");
  (void)mg_options_set_text(o, "connection.password", "wrong-secret");
  REFUSED(o, MG_FATAL, "refuses the login of user \"nobody\"", "connection.username");
  o = options_of(&plain);
  (void)mg_options_set_text(o, "connection.password", "wrong-secret");
  REFUSED(o, MG_FATAL, "no password for user \"default\"", "requirepass");
}

static void rights_that_are_missing(void **state) {
  (void)state;
  mg_options *o = options_of(&acl);
  (void)mg_options_set_text(o, "connection.username", "stranger");
  (void)mg_options_set_text(o, "connection.password", "secret");
  REFUSED(o, MG_FATAL, "user \"stranger\"", "~{mguard:tasks}:*");

  o = options_of(&acl);
  (void)mg_options_set_text(o, "connection.username", "reader");
  (void)mg_options_set_text(o, "connection.password", "secret");
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "tester", .run = "run", .wake_fd = -1};
  mg_err err = ops->open(&b, &config, mg_now_ms() + 5000, &e);
  if (err != MG_OK) fail_msg("%s", e.text);
  mg_publish item = {.run = "run", .task = "t", .attempt = 1, .body = mg_slice_of("x")};
  assert_int_equal(ops->publish_tasks(b, &item, 1, mg_now_ms() + 5000, &e), MG_FATAL);
  assert_int_equal(item.err, MG_FATAL);
  assert_non_null(strstr(e.text, "user \"reader\""));
  print_message("             %s\n", e.text);
  ops->close(b);
  mg_options_free(o);
}

static void kinds_of_servers_mixed_up(void **state) {
  (void)state;
  char at[32];
  mg_options *o = options_of(&plain);
  (void)mg_options_set_bool(o, "connection.cluster", true);
  REFUSED(o, MG_FATAL, "no node of a cluster", "connection.cluster = false");
  o = mg_options_new();
  (void)snprintf(at, sizeof at, "127.0.0.1:%d", plain.port);
  (void)mg_options_set_text(o, "connection.sentinels", at);
  (void)mg_options_set_text(o, "connection.sentinel_master", "mymaster");
  REFUSED(o, MG_FATAL, "sentinel at 127.0.0.1", "is no Sentinel");
  o = options_of(&plain);
  (void)mg_options_set_int(o, "connection.db", 4000);
  REFUSED(o, MG_FATAL, "out of range");
}

static void a_server_that_is_stopped(void **state) {
  (void)state;
  mg_test_redis server;
  assert_true(mg_test_redis_start(&server, NULL));
  (void)kill(server.pid, SIGSTOP); /* connections are accepted by the kernel; nobody answers */
  mg_options *o = options_of(&server);
  (void)mg_options_set_real(o, "connection.connect_timeout_seconds", 0.7);
  refused_after(o, MG_CONN, 1500, (const char *const[]){"redis at localhost", "in time", NULL});
  o = options_of(&server);
  (void)mg_options_set_bool(o, "connection.ssl", true);
  (void)mg_options_set_real(o, "connection.connect_timeout_seconds", 0.7);
  refused_after(o, MG_CONN, 1500, (const char *const[]){"does not answer TLS", "set ssl = false", NULL});
  mg_test_redis_stop(&server);
}

static void memory_is_full(void **state) {
  (void)state;
  char out[200];
  mg_options *o = options_of(&plain);
  (void)mg_options_set_text(o, "queue_name", "full");
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "tester", .run = "run", .wake_fd = -1};
  mg_batch tasks = {0}, results = {0};
  assert_int_equal(ops->open(&b, &config, mg_now_ms() + 5000, &e), MG_OK);
  mg_publish items[4] = {{.run = "run", .task = "a", .attempt = 1, .body = mg_slice_of("x")},
                         {.run = "run", .task = "b", .attempt = 1, .body = mg_slice_of("x")},
                         {.run = "run", .task = "c", .attempt = 1, .body = mg_slice_of("x")},
                         {.run = "run", .task = "d", .attempt = 1, .body = mg_slice_of("x")}};
  assert_int_equal(ops->publish_tasks(b, items, 3, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->publish_results(b, items, 1, mg_now_ms() + 5000, &e), MG_OK);
  assert_true(mg_test_redis_cli(&plain, out, sizeof out, "CONFIG", "SET", "maxmemory", "1mb", (char *)NULL));

  assert_int_equal(ops->publish_tasks(b, &items[3], 1, mg_now_ms() + 5000, &e), MG_AGAIN);
  assert_int_equal(items[3].err, MG_AGAIN);
  assert_non_null(strstr(e.text, "maxmemory"));
  assert_non_null(strstr(e.text, "noeviction"));
  print_message("             %s\n", e.text);
  assert_int_equal(ops->publish_results(b, &items[1], 1, mg_now_ms() + 5000, NULL), MG_AGAIN);
  /* What drains the queue, and what keeps it alive, goes on. */
  mg_fetch how = {.max = 3, .lease_ms = 60000, .until = mg_now_ms() + 5000};
  e = (mg_error){0};
  if (ops->fetch_tasks(b, &how, &tasks, &e) != MG_OK || tasks.count != 3) fail_msg("%zu tasks: %s", tasks.count, e.text);
  mg_settle settles[3];
  for (size_t i = 0; i < 3; i++) settles[i] = (mg_settle){.lease = tasks.items[i].lease, .ms = 60000, .why = "why"};
  assert_int_equal(ops->extend(b, settles, 3, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->beat(b, mg_slice_of("beat"), 60000, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->control(b, "run", mg_slice_of("c"), 60000, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->ack(b, settles, 1, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->nack(b, settles + 1, 1, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->dead_letter(b, settles + 2, 1, mg_now_ms() + 5000, &e), MG_OK);
  for (size_t i = 0; i < 3; i++) assert_int_equal(settles[i].err, MG_OK);
  assert_int_equal(ops->quarantine(b, "w", true, 1000, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->fetch_results(b, 5, mg_now_ms() + 5000, &results, &e), MG_OK);
  assert_int_equal(results.count, 1);
  mg_settle got = {.lease = results.items[0].lease};
  assert_int_equal(ops->ack_results(b, &got, 1, mg_now_ms() + 5000, &e), MG_OK);

  assert_true(mg_test_redis_cli(&plain, out, sizeof out, "CONFIG", "SET", "maxmemory", "0", (char *)NULL));
  assert_int_equal(ops->publish_tasks(b, &items[3], 1, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(items[3].err, MG_OK);
  mg_batch_clear(&tasks);
  mg_batch_clear(&results);
  ops->close(b);
  mg_options_free(o);
}

static void keep_eviction(void *owner, const mg_finding *f) {
  if (strcmp(f->check, "eviction") == 0) (void)snprintf(owner, 512, "%d %.300s; %.200s", (int)f->level, f->text, f->mend != NULL ? f->mend : "");
}

static void eviction_is_found(void **state) {
  (void)state;
  char out[200], text[512] = "";
  mg_options *o = options_of(&plain);
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "tester", .wake_fd = -1};
  assert_int_equal(ops->open(&b, &config, mg_now_ms() + 5000, &e), MG_OK);
  assert_int_equal(ops->examine(b, keep_eviction, text, mg_now_ms() + 5000, &e), MG_OK);
  assert_non_null(strstr(text, "0 maxmemory-policy is noeviction"));
  assert_true(mg_test_redis_cli(&plain, out, sizeof out, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", (char *)NULL));
  assert_int_equal(ops->examine(b, keep_eviction, text, mg_now_ms() + 5000, &e), MG_OK);
  print_message("             %s\n", text);
  assert_non_null(strstr(text, "1 maxmemory-policy is allkeys-lru (no maxmemory is set yet)"));
  assert_non_null(strstr(text, "noeviction"));
  ops->close(b);
  mg_options_free(o);
  assert_true(mg_test_redis_cli(&plain, out, sizeof out, "CONFIG", "SET", "maxmemory-policy", "noeviction", (char *)NULL));
}

static void settings_of(const char *key, const char *value, mg_err want, mg_redis_settings *s, mg_options **kept) {
  mg_options *o = mg_options_new();
  mg_error e = {0};
  (void)mg_options_set_text(o, key, value);
  mg_err err = mg_redis_settings_init(s, o, &e);
  if (err != want) fail_msg("%s = %s: %s", key, value, e.text);
  if (want != MG_OK) assert_null(strstr(e.text, "hunter2"));
  *kept = o;
}

static void lists_and_names_are_checked(void **state) {
  (void)state;
  mg_redis_settings s;
  mg_options *o;
  settings_of("connection.hosts", "a:1, [::2]:2 ,c", MG_OK, &s, &o);
  assert_int_equal(s.host_count, 3);
  assert_string_equal(s.hosts[1].host, "::2");
  assert_int_equal(s.hosts[2].port, 6379);
  mg_options_free(o);
  static const char *const bad[][2] = {{"connection.hosts", "a:1,,b"}, {"connection.hosts", "a:x"}, {"connection.sentinels", "a:1"},
                                       {"queue_name", "a{b}"},         {"key_prefix", ""},          {"queue_name", "a\nb"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    settings_of(bad[i][0], bad[i][1], MG_ARG, &s, &o);
    mg_options_free(o);
  }
}

static void slots_are_those_of_the_specification(void **state) {
  (void)state;
  assert_int_equal(mg_redis_slot("123456789"), 0x31c3);
  assert_int_equal(mg_redis_slot("x{123456789}y{z}"), 0x31c3);
  char out[64], want[16];
  (void)snprintf(want, sizeof want, "%u", mg_redis_slot("{mguard:tasks}:active"));
  mg_test_redis node;
  assert_true(mg_test_redis_start(&node, "cluster-enabled yes"));
  assert_true(mg_test_redis_cli(&node, out, sizeof out, "CLUSTER", "KEYSLOT", "{mguard:tasks}:pending:r", (char *)NULL));
  mg_test_redis_stop(&node);
  assert_string_equal(out, want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_port_is_closed),           cmocka_unit_test(the_host_is_unknown),
      cmocka_unit_test(the_unix_socket_is_missing),   cmocka_unit_test(tls_to_a_plain_port),
      cmocka_unit_test(plain_to_a_tls_port),          cmocka_unit_test(the_authority_is_another),
      cmocka_unit_test(no_authority_is_named),        cmocka_unit_test(the_name_is_another),
      cmocka_unit_test(another_name_can_be_expected), cmocka_unit_test(verification_can_be_left_out),
      cmocka_unit_test(the_version_before),           cmocka_unit_test(no_client_certificate),
      cmocka_unit_test(files_that_are_missing),       cmocka_unit_test(logins),
      cmocka_unit_test(rights_that_are_missing),      cmocka_unit_test(kinds_of_servers_mixed_up),
      cmocka_unit_test(a_server_that_is_stopped),     cmocka_unit_test(memory_is_full),
      cmocka_unit_test(eviction_is_found),
      cmocka_unit_test(lists_and_names_are_checked),  cmocka_unit_test(slots_are_those_of_the_specification),
  };
  (void)alarm(120);
  return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
