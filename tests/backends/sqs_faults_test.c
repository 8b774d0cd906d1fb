/* What goes wrong with SQS, one call at a time: entries that fail alone, answers that are lost, a wrong clock, limits, refusals, payloads that no message
 * holds. Stand-ins for all tests, for each a disturber of its own before them. Arguments: [name of a test]. */
#include "backends/sqs/sqs.h"
#include "tests/brokers/sides.h"
#include "tests/brokers/sqs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 90000 };
static mg_test_sqs moto, fauxqs;
static mg_test_helper disturber; /* of this test's process */

/* A queue on the stand-in, and options that reach it through a disturber. */
static mg_options *options(const mg_test_sqs *server, const char *name, const char *attributes) {
  char url[256];
  mg_options *o = mg_options_new();
  assert_non_null(o);
  if (disturber.port == 0) assert_true(mg_test_disturber_start(&disturber, server));
  assert_true(mg_test_sqs_queue(server, name, attributes, url, sizeof url));
  mg_test_sqs_options(server, url, o);
  (void)mg_options_set_text(o, "endpoint_url", disturber.endpoint);
  (void)mg_options_set_int(o, "long_polling_seconds", 1);
  return o;
}

static void disturb(const char *json) {
  char out[4000];
  assert_true(mg_test_helper_ask(&disturber, "/_disturb", json, out, sizeof out));
}

/* How often that passed or was done. */
static int64_t seen(const char *of, const char *name) {
  char out[16000];
  json_error_t why;
  assert_true(mg_test_helper_ask(&disturber, "/_seen", "", out, sizeof out));
  json_t *root = json_loads(out, 0, &why);
  assert_non_null(root);
  int64_t n = json_integer_value(json_object_get(json_object_get(root, of), name));
  json_decref(root);
  return n;
}

static void close_all(mg_sides *s) {
  mg_sides_close(s);
  mg_test_helper_stop(&disturber);
}

/* Until the text stands in what the call says; calls that bring nothing are made again. */
static void expect_fetch_fault(mg_backend *b, mg_err wanted, const char *text) {
  mg_batch got = {0};
  mg_error e = {0};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS;;) {
    mg_err err = mg_sides_try_fetch(b, 10, 500, &got, &e);
    assert_int_equal(got.count, 0);
    if (err == wanted && strstr(e.text, text) != NULL) return;
    if (mg_now_ms() > end) fail_msg("%s: %s", mg_err_name(err), e.text);
  }
}

static void calm(void) { disturb("{\"failed_entries\":0,\"faults\":{},\"cut\":0}"); }

/* The same as mg_sides_fetch, where the service is known to refuse calls. */
static void fetch_patiently(mg_backend *b, size_t want, mg_batch *out) {
  mg_error e = {0};
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; out->count < want;) {
    mg_err err = mg_sides_try_fetch(b, want - out->count, 500, out, &e);
    if ((err != MG_OK && err != MG_AGAIN && err != MG_CONN) || mg_now_ms() > end) fail_msg("%zu of %zu came: %s: %s", out->count, want, mg_err_name(err), e.text);
  }
}

/* --- entries and answers --- */

static void entries_that_fail_alone_are_sent_again_alone(void **state) {
  (void)state;
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&fauxqs, "entries", NULL));
  mg_batch tasks = {0}, results = {0};
  disturb("{\"failed_entries\":3}");
  mg_sides_publish(s.coordinator, 0, 40, false);
  mg_sides_fetch(s.worker, 40, &tasks);
  mg_sides_expect_each_once(&tasks, 40);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->extend, &tasks), 40);
  mg_sides_publish(s.worker, 0, 40, true);
  mg_sides_fetch_results(s.coordinator, 40, &results);
  mg_sides_expect_each_once(&results, 40);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 40);
  assert_int_equal(mg_sides_settle(s.coordinator, s.ops->ack_results, &results), 40);
  calm();
  mg_depth d = mg_sides_depth(s.coordinator);
  assert_int_equal(d.pending + d.in_flight, 0);
  assert_true(seen("hits", "failed entries") >= 60);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_forget(s.coordinator, &results);
  close_all(&s);
}

static void faults_of_the_service_pass(void **state) {
  (void)state;
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&fauxqs, "faults.fifo", "{\"FifoQueue\":\"true\"}"));
  mg_batch tasks = {0};
  mg_broker_stats told = {.lag = -1};
  mg_error e = {0};
  disturb("{\"faults\":{\"500\":0.15,\"503\":0.15},\"cut\":0.1}");
  mg_sides_publish(s.coordinator, 0, 200, false);
  fetch_patiently(s.worker, 200, &tasks);
  mg_sides_expect_each_once(&tasks, 200); /* on a FIFO queue, cut or not */
  assert_int_equal(mg_sides_settle(s.worker, s.ops->extend, &tasks), 200);
  (void)mg_sides_settle(s.worker, s.ops->ack, &tasks); /* a repeated delete may find nothing */
  calm();
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 0);
  assert_true(seen("hits", "cut") > 0 && seen("hits", "500 InternalFailure") > 0 && seen("hits", "503 ServiceUnavailable") > 0);
  uint64_t throttled = 0;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(s.ops->stats(i == 0 ? s.coordinator : s.worker, mg_sides_soon(), &told, &e), MG_OK);
    throttled += told.throttled;
  }
  assert_true(throttled > 0);
  mg_sides_forget(s.worker, &tasks);
  close_all(&s);
}

/* The messages of a receive call are hidden for the whole lease of a minute; asking again with the same id brings them at once. */
static void what_a_lost_answer_brought_comes_at_once_on_fifo(void **state) {
  (void)state;
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&fauxqs, "lost.fifo", "{\"FifoQueue\":\"true\"}"));
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 30, false);
  disturb("{\"cut_answers\":{\"ReceiveMessage\":2}}");
  mg_sides_fetch(s.worker, 30, &tasks); /* within half a minute */
  mg_sides_expect_each_once(&tasks, 30);
  assert_true(seen("hits", "cut") >= 1);
  assert_true(seen("hits", "asked again") >= 1);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 30);
  mg_sides_forget(s.worker, &tasks);
  close_all(&s);
}

static void a_send_without_an_answer_brings_one_message_on_fifo(void **state) {
  (void)state;
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&fauxqs, "sends.fifo", "{\"FifoQueue\":\"true\"}"));
  mg_batch tasks = {0};
  disturb("{\"cut_answers\":{\"SendMessageBatch\":3}}");
  mg_sides_publish(s.coordinator, 0, 30, false);
  assert_int_equal(seen("hits", "cut"), 3);
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 30);
  mg_sides_fetch(s.worker, 30, &tasks);
  mg_sides_expect_each_once(&tasks, 30);
  mg_sides_forget(s.worker, &tasks);
  close_all(&s);
}

static void an_answer_past_the_time_out_is_asked_for_again(void **state) {
  (void)state;
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&fauxqs, "late.fifo", "{\"FifoQueue\":\"true\"}"));
  mg_batch tasks = {0};
  mg_error e = {0};
  disturb("{\"delayed\":1,\"delay_s\":6}"); /* a call waits 5 s */
  assert_int_not_equal(mg_sides_try_publish(s.coordinator, 0, 10, false, &e), MG_OK);
  disturb("{\"delayed\":0}");
  mg_sides_publish(s.coordinator, 0, 10, false);
  assert_int_equal(mg_sides_depth(s.coordinator).pending, 10);
  mg_sides_fetch(s.worker, 10, &tasks);
  mg_sides_expect_each_once(&tasks, 10);
  assert_true(seen("hits", "delayed") > 0);
  mg_sides_forget(s.worker, &tasks);
  close_all(&s);
}

/* --- the clock, the key --- */

static void with_a_clock_off_by(const char *queue, const char *shift) {
  char json[100];
  mg_options *o = options(&moto, queue, NULL);
  (void)snprintf(json, sizeof json, "{\"date_shift_s\":%s}", shift);
  disturb(json);
  mg_sides s = mg_sides_open(&mg_sqs_backend, o);
  mg_batch tasks = {0};
  mg_sides_publish(s.coordinator, 0, 10, false);
  mg_sides_fetch(s.worker, 10, &tasks);
  mg_sides_expect_each_once(&tasks, 10);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &tasks), 10);
  /* Once for each side, and never again. */
  assert_in_range(seen("hits", "403 InvalidSignatureException"), 2, 6);
  mg_sides_forget(s.worker, &tasks);
  close_all(&s);
}

static void a_clock_that_is_behind_is_corrected(void **state) {
  (void)state;
  with_a_clock_off_by("behind", "7200");
}

static void a_clock_that_is_ahead_is_corrected(void **state) {
  (void)state;
  with_a_clock_off_by("ahead", "-86400");
}

static void expect_open_fails(mg_options *o, mg_err wanted, const char *text, const char *text2) {
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = "worker", .wake_fd = -1};
  assert_int_equal(mg_sqs_backend.open(&b, &config, mg_now_ms() + 20000, &e), wanted);
  if (strstr(e.text, text) == NULL || strstr(e.text, text2) == NULL) fail_msg("%s", e.text);
  if (strstr(e.text, MG_TEST_SQS_SECRET) != NULL) fail_msg("it shows the secret");
  mg_options_free(o);
}

static void refusals_name_action_and_resource(void **state) {
  (void)state;
  mg_error e = {0};
  mg_options *o = options(&moto, "refused", NULL);
  (void)mg_options_set_text(o, "aws_secret_access_key", "not/the+secret");
  expect_open_fails(o, MG_FATAL, "GetQueueAttributes on http", "the credentials of the queue configuration were refused");
  o = options(&moto, "refused", NULL);
  (void)mg_options_set_text(o, "aws_access_key_id", "AKIANOBODYNOBODYNOBO");
  expect_open_fails(o, MG_FATAL, "GetQueueAttributes on http", "the credentials of the queue configuration were refused");
  o = options(&moto, "refused", NULL);
  (void)mg_options_set_text(o, "queue_url", "http://127.0.0.1:1/123456789012/nowhere");
  expect_open_fails(o, MG_FATAL, "there is no queue http://127.0.0.1:1/123456789012/nowhere in region us-east-1", "queue_url");
  disturb("{\"errors\":{\"GetQueueAttributes\":[403,\"AccessDeniedException\",\"no\"]}}");
  expect_open_fails(options(&moto, "refused", NULL), MG_FATAL, "may not do sqs:GetQueueAttributes on http", "/refused");
  disturb("{\"errors\":{\"SendMessageBatch\":[403,\"AccessDeniedException\",\"no\"]}}");
  mg_backend *b = mg_sides_open_one(&mg_sqs_backend, o = options(&moto, "refused", NULL), "worker", NULL);
  assert_int_equal(mg_sides_try_publish(b, 0, 3, false, &e), MG_FATAL);
  if (strstr(e.text, "may not do sqs:SendMessage on http") == NULL || strstr(e.text, "/refused") == NULL) fail_msg("%s", e.text);
  /* A body that was changed on its way: the disturber leaves an entry out. */
  disturb("{\"errors\":{},\"failed_entries\":1}");
  assert_int_equal(mg_sides_try_publish(b, 0, 3, false, &e), MG_FATAL);
  if (strstr(e.text, "SendMessageBatch on http") == NULL || strstr(e.text, "Signature") == NULL) fail_msg("%s", e.text);
  disturb("{\"failed_entries\":0}");
  mg_sides_publish(b, 0, 3, false);
  mg_sqs_backend.close(b);
  mg_options_free(o);
  mg_test_helper_stop(&disturber);
}

/* --- limits --- */

static void large_messages_go_in_calls_below_the_limit(void **state) {
  (void)state;
  enum { COUNT = 10, BYTES = 150000 };
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&moto, "large", NULL));
  uint8_t *bodies = malloc((size_t)COUNT * BYTES);
  char names[COUNT][16];
  mg_publish items[COUNT];
  mg_batch got = {0};
  mg_error e = {0};
  assert_non_null(bodies);
  for (size_t i = 0; i < (size_t)COUNT * BYTES; i++) bodies[i] = (uint8_t)(i * 2654435761U >> 11);
  for (int i = 0; i < COUNT; i++) {
    (void)snprintf(names[i], sizeof names[i], "t%d", i);
    items[i] = (mg_publish){.run = "run", .task = names[i], .attempt = 1, .body = {bodies + (size_t)i * BYTES, BYTES}, .err = MG_FATAL};
  }
  assert_int_equal(s.ops->publish_tasks(s.coordinator, items, COUNT, mg_now_ms() + 60000, &e), MG_OK);
  for (int i = 0; i < COUNT; i++) assert_int_equal(items[i].err, MG_OK);
  assert_true(seen("actions", "sqs:SendMessageBatch") >= 2); /* 2 MB of base64, of which a call takes 1 MiB */
  mg_sides_fetch(s.worker, COUNT, &got);
  for (size_t i = 0; i < got.count; i++) {
    int k = atoi(got.items[i].task + 1);
    assert_int_equal(got.items[i].body.len, BYTES);
    assert_memory_equal(got.items[i].body.data, bodies + (size_t)k * BYTES, BYTES);
  }
  assert_int_equal(mg_sides_settle(s.worker, s.ops->ack, &got), COUNT);
  mg_sides_forget(s.worker, &got);
  free(bodies);
  close_all(&s);
}

/* SQS lets nobody hold a message for more than 12 hours: here 10 s. */
static void what_is_held_too_long_goes_back(void **state) {
  (void)state;
  mg_options *o = options(&fauxqs, "held", NULL);
  (void)mg_options_set_int(o, "max_hold_seconds", 10);
  mg_sides s = mg_sides_open(&mg_sqs_backend, o);
  mg_batch tasks = {0}, again = {0};
  mg_error e = {0};
  mg_settle item = {0};
  mg_sides_publish(s.coordinator, 0, 1, false);
  mg_sides_fetch(s.worker, 1, &tasks);
  for (mg_ms end = mg_now_ms() + PATIENCE_MS; item.err == MG_OK;) {
    item = (mg_settle){.lease = tasks.items[0].lease, .ms = 60000, .err = MG_FATAL};
    assert_true(s.ops->extend(s.worker, &item, 1, mg_sides_soon(), &e) == MG_OK);
    assert_true(mg_now_ms() < end);
    mg_test_pause(200);
  }
  assert_int_equal(item.err, MG_LOST);
  mg_sides_fetch(s.worker, 1, &again);
  mg_sides_expect_each_once(&again, 1);
  assert_true(again.items[0].again);
  mg_sides_forget(s.worker, &tasks);
  mg_sides_forget(s.worker, &again);
  close_all(&s);
}

static void a_full_flight_is_told_from_an_empty_queue(void **state) {
  (void)state;
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&fauxqs, "flight", NULL));
  mg_batch none = {0};
  mg_error e = {0};
  assert_int_equal(mg_sides_try_fetch(s.worker, 10, 2000, &none, &e), MG_OK); /* empty, and no word of it */
  /* A short poll is refused ... */
  disturb("{\"errors\":{\"ReceiveMessage\":[403,\"OverLimit\",\"too many\"]}}");
  expect_fetch_fault(s.worker, MG_CONN, "120,000");
  disturb("{\"errors\":{}}");
  while (mg_sides_try_fetch(s.worker, 10, 500, &none, &e) != MG_OK) mg_test_pause(50);
  /* ... a long one comes back empty without a word: the counts tell. */
  disturb("{\"attributes\":{\"ApproximateNumberOfMessages\":\"7\",\"ApproximateNumberOfMessagesNotVisible\":\"120000\"}}");
  expect_fetch_fault(s.worker, MG_AGAIN, "as many messages in flight as SQS allows (120,000)");
  close_all(&s);
}

/* What is given back counts as a receive for the queue's redrive policy. */
static void giving_back_uses_up_no_redrive_policy(void **state) {
  (void)state;
  char url[256], attributes[300];
  assert_true(mg_test_sqs_queue(&fauxqs, "policy-dead", NULL, url, sizeof url));
  (void)snprintf(attributes, sizeof attributes, "{\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"arn:aws:sqs:us-east-1:000000000000:policy-dead\\\","
                                                "\\\"maxReceiveCount\\\":\\\"3\\\"}\"}");
  mg_sides s = mg_sides_open(&mg_sqs_backend, options(&fauxqs, "policy", attributes));
  mg_error e = {0};
  mg_sides_publish(s.coordinator, 0, 2, false);
  for (int i = 0; i < 8; i++) {
    mg_batch tasks = {0};
    mg_sides_fetch(s.worker, 2, &tasks);
    mg_sides_expect_each_once(&tasks, 2);
    mg_settle items[2] = {{.lease = tasks.items[0].lease}, {.lease = tasks.items[1].lease}};
    assert_int_equal(s.ops->nack(s.worker, items, 2, mg_sides_soon(), &e), MG_OK);
    mg_sides_forget(s.worker, &tasks);
  }
  mg_batch tasks = {0}, dead = {0};
  mg_sides_fetch(s.worker, 2, &tasks);
  assert_int_equal(mg_sides_settle(s.worker, s.ops->dead_letter, &tasks), 2); /* into the policy's own queue */
  assert_int_equal(s.ops->list_dead(s.coordinator, "run", 10, mg_now_ms() + 30000, &dead, &e), MG_OK);
  mg_sides_expect_each_once(&dead, 2);
  assert_string_equal(dead.items[0].why, "why");
  mg_batch_clear(&dead);
  mg_sides_forget(s.worker, &tasks);
  close_all(&s);
}

static void a_results_queue_serves_one_coordinator_at_a_time(void **state) {
  (void)state;
  char results[256];
  mg_error e = {0};
  mg_backend *second = NULL;
  size_t removed;
  mg_options *o = options(&fauxqs, "shared", NULL);
  assert_true(mg_test_sqs_queue(&fauxqs, "shared-results", NULL, results, sizeof results));
  (void)mg_options_set_text(o, "results_queue_url", results);
  mg_backend *first = mg_sides_open_one(&mg_sqs_backend, o, "coordinator", "first");
  mg_backend_config config = {.options = o, .identity = "other", .run = "second", .wake_fd = -1};
  assert_int_equal(mg_sqs_backend.open(&second, &config, mg_now_ms() + 10000, &e), MG_FATAL);
  if (strstr(e.text, "run first uses the results queue") == NULL || strstr(e.text, results) == NULL) fail_msg("%s", e.text);
  config.run = "first"; /* itself, resumed */
  assert_int_equal(mg_sqs_backend.open(&second, &config, mg_now_ms() + 10000, &e), MG_OK);
  mg_sqs_backend.close(second);
  (void)mg_sqs_backend.purge_run(first, "first", mg_sides_soon(), &removed, &e);
  mg_sqs_backend.close(first);
  config.run = "second";
  second = NULL;
  if (mg_sqs_backend.open(&second, &config, mg_now_ms() + 10000, &e) != MG_OK) fail_msg("%s", e.text);
  mg_sqs_backend.close(second);
  assert_int_equal(seen("actions", "sqs:DeleteQueue"), 0);
  mg_options_free(o);
  mg_test_helper_stop(&disturber);
}

/* --- payloads that no message holds --- */

enum { SPILLED = 5000 };
static uint8_t spilled[SPILLED];

static mg_sides spilling(const char *queue, const char *place) {
  mg_options *o = options(&moto, queue, NULL);
  (void)mg_options_set_int(o, "max_message_bytes", 2000);
  if (place != NULL) (void)mg_options_set_text(o, "spill", place);
  for (size_t i = 0; i < SPILLED; i++) spilled[i] = (uint8_t)i;
  return mg_sides_open(&mg_sqs_backend, o);
}

static mg_err publish_large(mg_backend *b, const char *task, bool result, mg_error *e) {
  mg_publish item = {.run = "run", .task = task, .attempt = 1, .body = {spilled, SPILLED}, .err = MG_FATAL};
  mg_err err = result ? b->ops->publish_results(b, &item, 1, mg_sides_soon(), e) : b->ops->publish_tasks(b, &item, 1, mg_sides_soon(), e);
  return err == MG_OK ? item.err : err;
}

static void expect_spilled(const mg_batch *got) {
  for (size_t i = 0; i < got->count; i++) {
    assert_int_equal(got->items[i].body.len, SPILLED);
    assert_memory_equal(got->items[i].body.data, spilled, SPILLED);
  }
}

static void go_round_spilled(mg_sides *s) {
  mg_batch tasks = {0}, results = {0};
  mg_error e = {0};
  assert_int_equal(publish_large(s->coordinator, "t0", false, &e), MG_OK);
  assert_int_equal(publish_large(s->coordinator, "t1", false, &e), MG_OK);
  mg_sides_publish(s->coordinator, 2, 1, false); /* a small one stays in its message */
  fetch_patiently(s->worker, 3, &tasks);
  for (size_t i = 0; i < 3; i++) {
    mg_batch one = {.items = &tasks.items[i], .count = 1};
    if (strcmp(tasks.items[i].task, "t2") != 0) expect_spilled(&one);
  }
  assert_int_equal(publish_large(s->worker, "t0", true, &e), MG_OK);
  mg_sides_fetch_results(s->coordinator, 1, &results);
  expect_spilled(&results);
  assert_int_equal(mg_sides_settle(s->worker, s->ops->ack, &tasks), 3);
  assert_int_equal(mg_sides_settle(s->coordinator, s->ops->ack_results, &results), 1);
  mg_sides_forget(s->worker, &tasks);
  mg_sides_forget(s->coordinator, &results);
}

static int files_in(const char *folder, char one[300]) {
  int n = 0;
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (const struct dirent *f = readdir(d); f != NULL; f = readdir(d)) {
    if (f->d_name[0] == '.') continue;
    (void)snprintf(one, 300, "%s/%.100s", folder, f->d_name);
    n++;
  }
  (void)closedir(d);
  return n;
}

/* A body that is no longer what it was is handed up empty, which nobody can read: then it becomes a dead letter. */
static void expect_unreadable(mg_sides *s, const char *task) {
  mg_batch tasks = {0};
  mg_sides_fetch(s->worker, 1, &tasks);
  assert_string_equal(tasks.items[0].task, task);
  assert_int_equal(tasks.items[0].body.len, 0);
  assert_int_equal(mg_sides_settle(s->worker, s->ops->ack, &tasks), 1);
  mg_sides_forget(s->worker, &tasks);
}

static void payloads_spill_into_a_folder(void **state) {
  (void)state;
  char folder[MG_TEST_PATH_BYTES], place[MG_TEST_PATH_BYTES + 16], one[300];
  mg_error e = {0};
  assert_true(mg_test_folder(folder));
  (void)snprintf(place, sizeof place, "file://%s", folder);
  mg_sides s = spilling("folder", place);
  go_round_spilled(&s);
  assert_int_equal(files_in(folder, one), 0);
  assert_int_equal(publish_large(s.coordinator, "bad", false, &e), MG_OK);
  assert_int_equal(files_in(folder, one), 1);
  int fd = open(one, O_WRONLY | O_CLOEXEC);
  assert_true(fd >= 0 && pwrite(fd, "x", 1, 77) == 1 && close(fd) == 0);
  expect_unreadable(&s, "bad");
  assert_int_equal(publish_large(s.coordinator, "gone", false, &e), MG_OK);
  assert_int_equal(files_in(folder, one), 1);
  assert_int_equal(unlink(one), 0);
  expect_unreadable(&s, "gone");
  assert_int_equal(files_in(folder, one), 0);
  close_all(&s);
}

static void payloads_spill_into_s3(void **state) {
  (void)state;
  mg_error e = {0};
  mg_sides s = spilling("bucket", "s3://mguard-spill/runs");
  go_round_spilled(&s);
  assert_true(seen("actions", "s3:PutObject") >= 3); /* a slow one is asked again */
  assert_true(seen("actions", "s3:GetObject") >= 3); /* a slow one is asked again */
  assert_true(seen("actions", "s3:DeleteObject") >= 3); /* a slow one is asked again */
  disturb("{\"faults\":{\"500\":0.3}}"); /* tried again */
  go_round_spilled(&s);
  disturb("{\"faults\":{}}");
  assert_int_equal(publish_large(s.coordinator, "kept", false, &e), MG_OK);
  disturb("{\"errors\":{\"GetObject\":[404,\"NoSuchKey\",\"\"]}}");
  expect_unreadable(&s, "kept");
  disturb("{\"errors\":{\"PutObject\":[403,\"AccessDenied\",\"\"]}}");
  assert_int_equal(publish_large(s.coordinator, "denied", false, &e), MG_FATAL);
  if (strstr(e.text, "s3:PutObject on s3://mguard-spill/runs/run-") == NULL) fail_msg("%s", e.text);
  close_all(&s);
}

static void without_a_spill_a_large_payload_is_refused_alone(void **state) {
  (void)state;
  mg_error e = {0};
  mg_sides s = spilling("no-spill", NULL);
  assert_int_equal(publish_large(s.coordinator, "large", false, &e), MG_ARG);
  if (strstr(e.text, "set spill") == NULL) fail_msg("%s", e.text);
  mg_sides_publish(s.coordinator, 0, 1, false);
  close_all(&s);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_that_fail_alone_are_sent_again_alone),
      cmocka_unit_test(faults_of_the_service_pass),
      cmocka_unit_test(what_a_lost_answer_brought_comes_at_once_on_fifo),
      cmocka_unit_test(a_send_without_an_answer_brings_one_message_on_fifo),
      cmocka_unit_test(an_answer_past_the_time_out_is_asked_for_again),
      cmocka_unit_test(a_clock_that_is_behind_is_corrected),
      cmocka_unit_test(a_clock_that_is_ahead_is_corrected),
      cmocka_unit_test(refusals_name_action_and_resource),
      cmocka_unit_test(large_messages_go_in_calls_below_the_limit),
      cmocka_unit_test(what_is_held_too_long_goes_back),
      cmocka_unit_test(a_full_flight_is_told_from_an_empty_queue),
      cmocka_unit_test(giving_back_uses_up_no_redrive_policy),
      cmocka_unit_test(a_results_queue_serves_one_coordinator_at_a_time),
      cmocka_unit_test(payloads_spill_into_a_folder),
      cmocka_unit_test(payloads_spill_into_s3),
      cmocka_unit_test(without_a_spill_a_large_payload_is_refused_alone),
  };
  mg_sides_slow(20000); /* stand-ins in Python, on a machine that may be busy */
  if (!mg_test_sqs_start(&moto, MG_TEST_MOTO, NULL) || !mg_test_sqs_start(&fauxqs, MG_TEST_FAUXQS, NULL)) return 99;
  int failed = mg_sides_group("sqs faults", tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL, 150);
  mg_test_sqs_stop(&moto);
  mg_test_sqs_stop(&fauxqs);
  return failed;
}
