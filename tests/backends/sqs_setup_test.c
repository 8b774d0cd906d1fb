/* What the doctor says about queues that are set up well, and about those set up wrongly on purpose. Stand-ins, with a disturber that refuses calls. */
#include "backends/sqs/sqs.h"
#include "tests/brokers/sides.h"
#include "tests/brokers/sqs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 60000 };
static mg_test_sqs moto;
static char findings[12000];

static void note(void *owner, const mg_finding *f) {
  static const char *const levels[] = {"ok", "warn", "fail"};
  size_t at = strlen(findings);
  (void)owner;
  (void)snprintf(findings + at, sizeof findings - at, "%s %s: %s\n", levels[f->level], f->check, f->text);
  if (f->level != MG_FINDING_OK) assert_non_null(f->mend);
  if (strstr(f->text, MG_TEST_SQS_SECRET) != NULL) fail_msg("it shows the secret");
}

static mg_options *options(const char *name, const char *attributes) {
  char url[256];
  mg_options *o = mg_options_new();
  assert_non_null(o);
  assert_true(mg_test_sqs_queue(&moto, name, attributes, url, sizeof url));
  mg_test_sqs_options(&moto, url, o);
  (void)mg_options_set_int(o, "long_polling_seconds", 0);
  return o;
}

static void examine(mg_options *o) {
  mg_error e = {0};
  findings[0] = '\0';
  mg_backend *b = mg_sides_open_one(&mg_sqs_backend, o, "doctor", NULL);
  if (mg_sqs_backend.examine(b, note, NULL, mg_now_ms() + WAIT_MS, &e) != MG_OK) fail_msg("%s", e.text);
  mg_sqs_backend.close(b);
  mg_options_free(o);
}

static void expect(const char *text) {
  if (strstr(findings, text) == NULL) fail_msg("not found: \"%s\", but\n%s", text, findings);
}

#define POLICY(TARGET, COUNT) "\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"arn:aws:sqs:us-east-1:123456789012:" TARGET "\\\",\\\"maxReceiveCount\\\":" COUNT "}\""

static void good_queues_are_found_good(void **state) {
  (void)state;
  char url[256];
  assert_true(mg_test_sqs_queue(&moto, "good-dead", "{\"MessageRetentionPeriod\":\"1209600\"}", url, sizeof url));
  mg_options *o = options("good", "{\"MessageRetentionPeriod\":\"1209600\",\"SqsManagedSseEnabled\":\"true\"," POLICY("good-dead", "100") "}");
  (void)mg_options_set_text(o, "spill", "s3://mguard-spill/doctor");
  examine(o);
  expect("ok encryption at rest: by keys of SQS");
  expect("ok access: ");
  expect("ok clock: this machine and SQS differ by ");
  expect("ok retention: the queue keeps tasks for 336.0 hours");
  expect("ok visibility: a task may be held for 43200 s in all, extended every third of the 60 s");
  expect("ok message size: messages up to ");
  expect("ok dead letter queue: ");
  expect("/good-dead keeps messages for 336.0 hours");
  expect("ok redrive policy: SQS moves a task away after 100 receives");
  expect("ok permissions: ");
  expect("ok spill: a payload went to s3://mguard-spill/doctor and back");
  /* What a stand-in on this machine cannot have. */
  expect("warn encryption: no TLS");
  expect("warn authentication: keys that never end stand in the queue configuration");
  assert_null(strstr(findings, "fail "));
}

static void bad_queues_are_found_bad(void **state) {
  (void)state;
  char url[256];
  mg_options *o = options("bad", "{\"MessageRetentionPeriod\":\"3600\",\"DelaySeconds\":\"30\",\"MaximumMessageSize\":\"2048\",\"SqsManagedSseEnabled\":\"false\","
                                 "\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\","
                                 "\\\"Action\\\":\\\"sqs:*\\\",\\\"Resource\\\":\\\"*\\\"}]}\"}");
  (void)mg_options_set_int(o, "max_hold_seconds", 30);
  examine(o);
  expect("warn encryption at rest: none");
  expect("fail access: the queue's policy lets anybody in");
  expect("warn retention: the queue keeps tasks for 1.0 hours, less than retention_seconds (168.0 hours)");
  expect("warn delay: every task waits 30 s");
  expect("fail visibility: a task may be held for 30 s in all, less than the 60 s of visibility_timeout");
  expect("warn message size: messages up to 2048 bytes: a task of many cases may be refused");
  expect("ok dead letter queue: ");
  expect("/bad-dead will be made for the first dead letter");
  expect("warn redrive policy: none");

  assert_true(mg_test_sqs_queue(&moto, "hasty-dead", "{\"MessageRetentionPeriod\":\"600\"}", url, sizeof url));
  examine(options("hasty", "{" POLICY("hasty-dead", "2") "}"));
  expect("warn redrive policy: SQS moves a task away after 2 receives");
  expect("warn dead letter queue: ");
  expect("/hasty-dead keeps messages for 0.2 hours, less than the queue of tasks");

  o = options("orphan.fifo", "{\"FifoQueue\":\"true\"}");
  (void)mg_options_set_text(o, "dead_letter_queue_url", url); /* a standard one */
  examine(o);
  expect("fail dead letter queue: ");
  expect("/hasty-dead is not of the kind of the queue of tasks");
  expect("warn throughput: the FIFO queue takes 300 calls a second as a whole");

  o = options("lost", NULL);
  (void)mg_options_set_text(o, "dead_letter_queue_url", "http://127.0.0.1:1/123456789012/nowhere");
  (void)mg_options_set_text(o, "spill", "s3://no-such-bucket/x");
  examine(o);
  expect("fail dead letter queue: there is no queue http://127.0.0.1:1/123456789012/nowhere");
  expect("fail spill: spill: s3://no-such-bucket/x/");
}

static void missing_rights_and_a_wrong_clock_are_found(void **state) {
  (void)state;
  char out[4000];
  mg_test_helper disturber;
  mg_options *o = options("rights", NULL);
  assert_true(mg_test_disturber_start(&disturber, &moto));
  (void)mg_options_set_text(o, "endpoint_url", disturber.endpoint);
  assert_true(mg_test_helper_ask(&disturber, "/_disturb",
                                 "{\"date_shift_s\":3600,\"errors\":{\"DeleteQueue\":[403,\"AccessDenied\",\"\"],\"DeleteMessageBatch\":[403,\"AccessDenied\",\"\"],"
                                 "\"CreateQueue\":[403,\"AccessDenied\",\"\"]}}",
                                 out, sizeof out));
  examine(o);
  expect("warn clock: this machine and SQS differ by 3");
  expect("fail permissions: access denied: the identity of the queue configuration may not do sqs:DeleteMessage on ");
  expect("may not do sqs:DeleteQueue on ");
  expect("may not do sqs:CreateQueue on *");
  assert_null(strstr(findings, "sqs:SendMessage"));
  assert_null(strstr(findings, "ok permissions"));
  mg_test_helper_stop(&disturber);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_queues_are_found_good),
      cmocka_unit_test(bad_queues_are_found_bad),
      cmocka_unit_test(missing_rights_and_a_wrong_clock_are_found),
  };
  mg_sides_slow(20000); /* stand-ins in Python, on a machine that may be busy */
  if (!mg_test_sqs_start(&moto, MG_TEST_MOTO, NULL)) return 99;
  int failed = mg_sides_group("sqs setup", tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL, 120);
  mg_test_sqs_stop(&moto);
  return failed;
}
