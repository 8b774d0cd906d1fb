/* What the doctor says about queues that are set up well, and about those set up wrongly on purpose. Stand-ins, with a disturber that refuses calls. */
#include "backends/sqs/sqs.h"
#include "tests/brokers/findings.h"
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
  mg_backend *b = mg_sides_open_one(&mg_sqs_backend, o, "doctor", NULL);
  mg_test_examine(b, mg_now_ms() + WAIT_MS);
  mg_test_expect_no_finding(MG_TEST_SQS_SECRET);
  mg_sqs_backend.close(b);
  mg_options_free(o);
}

#define POLICY(TARGET, COUNT) "\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"arn:aws:sqs:us-east-1:123456789012:" TARGET "\\\",\\\"maxReceiveCount\\\":" COUNT "}\""

static void good_queues_are_found_good(void **state) {
  (void)state;
  char url[256];
  assert_true(mg_test_sqs_queue(&moto, "good-dead", "{\"MessageRetentionPeriod\":\"1209600\"}", url, sizeof url));
  mg_options *o = options("good", "{\"MessageRetentionPeriod\":\"1209600\",\"SqsManagedSseEnabled\":\"true\"," POLICY("good-dead", "100") "}");
  (void)mg_options_set_text(o, "spill", "s3://mguard-spill/doctor");
  examine(o);
  mg_test_expect_finding("ok encryption at rest: by keys of SQS");
  mg_test_expect_finding("ok access: ");
  mg_test_expect_finding("ok clock: this machine and SQS differ by ");
  mg_test_expect_finding("ok retention: the queue keeps tasks for 336.0 hours");
  mg_test_expect_finding("ok visibility: a task may be held for 43200 s in all, extended every third of the 60 s");
  mg_test_expect_finding("ok message size: messages up to ");
  mg_test_expect_finding("ok dead letter queue: ");
  mg_test_expect_finding("/good-dead keeps messages for 336.0 hours");
  mg_test_expect_finding("ok redrive policy: SQS moves a task away after 100 receives");
  mg_test_expect_finding("ok permissions: ");
  mg_test_expect_finding("ok spill: a payload went to s3://mguard-spill/doctor and back");
  /* What a stand-in on this machine cannot have. */
  mg_test_expect_finding("warn encryption: no TLS");
  mg_test_expect_finding("warn authentication: keys that never end stand in the queue configuration");
  mg_test_expect_no_finding("fail ");
}

static void bad_queues_are_found_bad(void **state) {
  (void)state;
  char url[256];
  mg_options *o = options("bad", "{\"MessageRetentionPeriod\":\"3600\",\"DelaySeconds\":\"30\",\"MaximumMessageSize\":\"2048\",\"SqsManagedSseEnabled\":\"false\","
                                 "\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\","
                                 "\\\"Action\\\":\\\"sqs:*\\\",\\\"Resource\\\":\\\"*\\\"}]}\"}");
  (void)mg_options_set_int(o, "max_hold_seconds", 30);
  examine(o);
  mg_test_expect_finding("warn encryption at rest: none");
  mg_test_expect_finding("fail access: the queue's policy lets anybody in");
  mg_test_expect_finding("warn retention: the queue keeps tasks for 1.0 hours, less than retention_seconds (168.0 hours)");
  mg_test_expect_finding("warn delay: every task waits 30 s");
  mg_test_expect_finding("fail visibility: a task may be held for 30 s in all, less than the 60 s of visibility_timeout");
  mg_test_expect_finding("warn message size: messages up to 2048 bytes: a task of many cases may be refused");
  mg_test_expect_finding("ok dead letter queue: ");
  mg_test_expect_finding("/bad-dead will be made for the first dead letter");
  mg_test_expect_finding("warn redrive policy: none");

  assert_true(mg_test_sqs_queue(&moto, "hasty-dead", "{\"MessageRetentionPeriod\":\"600\"}", url, sizeof url));
  examine(options("hasty", "{" POLICY("hasty-dead", "2") "}"));
  mg_test_expect_finding("warn redrive policy: SQS moves a task away after 2 receives");
  mg_test_expect_finding("warn dead letter queue: ");
  mg_test_expect_finding("/hasty-dead keeps messages for 0.2 hours, less than the queue of tasks");

  o = options("orphan.fifo", "{\"FifoQueue\":\"true\"}");
  (void)mg_options_set_text(o, "dead_letter_queue_url", url); /* a standard one */
  examine(o);
  mg_test_expect_finding("fail dead letter queue: ");
  mg_test_expect_finding("/hasty-dead is not of the kind of the queue of tasks");
  mg_test_expect_finding("warn throughput: the FIFO queue takes 300 calls a second as a whole");

  o = options("lost", NULL);
  (void)mg_options_set_text(o, "dead_letter_queue_url", "http://127.0.0.1:1/123456789012/nowhere");
  (void)mg_options_set_text(o, "spill", "s3://no-such-bucket/x");
  examine(o);
  mg_test_expect_finding("fail dead letter queue: there is no queue http://127.0.0.1:1/123456789012/nowhere");
  mg_test_expect_finding("fail spill: spill: s3://no-such-bucket/x/");
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
  mg_test_expect_finding("warn clock: this machine and SQS differ by 3");
  mg_test_expect_finding("fail permissions: access denied: the identity of the queue configuration may not do sqs:DeleteMessage on ");
  mg_test_expect_finding("may not do sqs:DeleteQueue on ");
  mg_test_expect_finding("may not do sqs:CreateQueue on *");
  mg_test_expect_no_finding("sqs:SendMessage");
  mg_test_expect_no_finding("ok permissions");
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
