/* The IAM policy of the operations guide lists exactly the actions that are seen on the wire when a coordinator and a worker do all that a backend can:
 * one too few is refused at a user's site, one too many is a right that nobody needs. Moto, and before each side a disturber that only counts. */
#include "backends/sqs/sqs.h"
#include "tests/brokers/sides.h"
#include "tests/brokers/sqs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define GUIDE "docs/operations/queue-dispatch.md"
enum { LARGE = 5000 };
static mg_test_sqs moto;

/* The statements that follow this text in the guide. */
static json_t *policy_after(const char *text) {
  static char guide[200000];
  json_error_t why;
  FILE *f = fopen(GUIDE, "r");
  assert_non_null(f);
  size_t len = fread(guide, 1, sizeof guide - 1, f);
  guide[len] = '\0';
  (void)fclose(f);
  const char *at = strstr(guide, text), *begin = at == NULL ? NULL : strstr(at, "```json\n"), *end = begin == NULL ? NULL : strstr(begin + 8, "```");
  if (end == NULL) fail_msg("no policy after \"%s\" in " GUIDE, text);
  json_t *policy = json_loadb(begin + 8, (size_t)(end - begin - 8), 0, &why);
  if (policy == NULL) fail_msg(GUIDE ": the policy: %s", why.text);
  return policy;
}

/* An object with the allowed actions as keys. */
static json_t *allowed_by(const json_t *policy) {
  json_t *set = json_object(), *statement, *action;
  size_t i, k;
  json_array_foreach(json_object_get(policy, "Statement"), i, statement) {
    assert_string_equal(json_string_value(json_object_get(statement, "Effect")), "Allow");
    json_array_foreach(json_object_get(statement, "Action"), k, action) assert_int_equal(json_object_set_new(set, json_string_value(action), json_true()), 0);
  }
  return set;
}

/* The actions that passed; a policy names the call for one message and means that for ten as well. */
static void add_seen(const mg_test_helper *h, json_t *set) {
  static char out[16000];
  char name[100];
  const char *key;
  json_t *count;
  assert_true(mg_test_helper_ask(h, "/_seen", "", out, sizeof out));
  json_t *root = json_loads(out, 0, NULL);
  assert_non_null(root);
  json_object_foreach(json_object_get(root, "actions"), key, count) {
    size_t len = strlen(key), batch = strlen("Batch");
    bool many = len > batch && strcmp(key + len - batch, "Batch") == 0;
    (void)snprintf(name, sizeof name, "%.*s", (int)(many ? len - batch : len), key);
    assert_int_equal(json_object_set_new(set, name, json_true()), 0);
  }
  json_decref(root);
}

static void expect_all_in(json_t *set, const json_t *in, const char *complaint) {
  const char *key;
  json_t *value;
  json_object_foreach(set, key, value) {
    if (json_object_get(in, key) == NULL) fail_msg("%s %s", key, complaint);
  }
}

static mg_backend *open_through(mg_test_helper *h, mg_options *o, const char *url, const char *identity, const char *run) {
  assert_true(mg_test_disturber_start(h, &moto));
  mg_test_sqs_options(&moto, url, o);
  (void)mg_options_set_text(o, "endpoint_url", h->endpoint);
  (void)mg_options_set_text(o, "spill", "s3://mguard-spill/mguard");
  (void)mg_options_set_int(o, "max_message_bytes", 2000);
  (void)mg_options_set_int(o, "long_polling_seconds", 1);
  return mg_sides_open_one(&mg_sqs_backend, o, identity, run);
}

static void publish_large(mg_backend *b) {
  static uint8_t body[LARGE];
  mg_publish item = {.run = "run", .task = "t0", .attempt = 1, .body = {body, LARGE}, .err = MG_FATAL};
  mg_error e = {0};
  if (b->ops->publish_tasks(b, &item, 1, mg_sides_soon(), &e) != MG_OK) fail_msg("%s", e.text);
}

static void ignore(void *owner, const mg_finding *f) { (void)owner, (void)f; }

/* A call whose own answer does not matter here: what it asks SQS for does. */
#define MAY(CALL)                                                                                                                                              \
  do {                                                                                                                                                         \
    mg_err may_err = (CALL);                                                                                                                                   \
    if (may_err != MG_OK && may_err != MG_UNSUPPORTED) fail_msg("%s: %s", #CALL, e.text);                                                                      \
  } while (0)

static void all_that_a_run_does(mg_backend *coordinator, mg_backend *worker) {
  const mg_backend_ops *ops = &mg_sqs_backend;
  mg_batch tasks = {0}, results = {0}, heard = {0}, dead = {0};
  mg_broker_stats stats = {.lag = -1};
  mg_settle back[4] = {0};
  mg_error e = {0};
  size_t n;
  publish_large(coordinator);
  mg_sides_publish(coordinator, 1, 11, false);
  MAY(ops->control(coordinator, "subject", mg_slice_of("control"), 60000, mg_sides_soon(), &e));
  mg_sides_fetch(worker, 12, &tasks);
  MAY(ops->read_controls(worker, mg_sides_soon(), &heard, &e));
  MAY(ops->beat(worker, mg_slice_of("beat"), 60000, mg_sides_soon(), &e));
  MAY(ops->read_beats(coordinator, mg_sides_soon(), &heard, &e));
  (void)mg_sides_settle(worker, ops->extend, &tasks);
  mg_sides_publish(worker, 0, 11, true);
  mg_sides_fetch_results(coordinator, 11, &results);
  (void)mg_sides_settle(coordinator, ops->ack_results, &results);
  mg_batch first = {.items = tasks.items, .count = 4}, second = {.items = tasks.items + 4, .count = 4}, rest = {.items = tasks.items + 8, .count = 4};
  (void)mg_sides_settle(worker, ops->ack, &first);
  for (size_t i = 0; i < second.count; i++) back[i].lease = second.items[i].lease; /* without a delay */
  MAY(ops->nack(worker, back, second.count, mg_sides_soon(), &e));
  (void)mg_sides_settle(worker, ops->dead_letter, &rest);
  mg_sides_forget(worker, &tasks);
  mg_sides_forget(coordinator, &results);
  mg_sides_fetch(worker, 4, &tasks);
  (void)mg_sides_settle(worker, ops->ack, &tasks);
  mg_sides_forget(worker, &tasks);
  mg_publish lost = {.run = "run", .task = "lost", .attempt = 1, .body = mg_slice_of("lost"), .why = "why", .err = MG_FATAL};
  MAY(ops->publish_dead(coordinator, &lost, 1, mg_sides_soon(), &e));
  MAY(ops->list_dead(coordinator, "run", 10, mg_sides_soon(), &dead, &e));
  assert_int_equal(dead.count, 5);
  MAY(ops->redrive(coordinator, "run", (const char *const[]){"lost"}, 1, mg_sides_soon(), &n, &e));
  MAY(ops->purge_dead(coordinator, "run", NULL, 0, mg_sides_soon(), &n, &e));
  MAY(ops->stats(coordinator, mg_sides_soon(), &stats, &e));
  (void)mg_sides_depth(coordinator);
  MAY(ops->examine(coordinator, ignore, NULL, mg_sides_soon(), &e));
  MAY(ops->service(worker, mg_now_ms() + 200, &e));
  mg_batch_clear(&heard);
  mg_batch_clear(&dead);
}

static void the_guide_lists_the_actions_on_the_wire(void **state) {
  (void)state;
  static char out[8000];
  mg_test_helper before_coordinator, before_worker;
  char url[256];
  mg_error e = {0};
  size_t removed;
  json_t *policy = policy_after("The policy that coordinators and workers need"), *allowed = allowed_by(policy), *seen = json_object(),
         *by_worker = json_object();
  mg_options *o1 = mg_options_new(), *o2 = mg_options_new();
  assert_true(mg_test_sqs_queue(&moto, "mguard-tasks", NULL, url, sizeof url));
  mg_backend *coordinator = open_through(&before_coordinator, o1, url, "coordinator", "run"), *worker = open_through(&before_worker, o2, url, "worker", NULL);
  all_that_a_run_does(coordinator, worker);

  /* All queues that were made bear names that the policy's resources cover. */
  assert_true(mg_test_sqs_call(&moto, "ListQueues", "{}", out, sizeof out));
  json_t *queues = json_loads(out, 0, NULL), *queue;
  size_t i;
  assert_true(json_array_size(json_object_get(queues, "QueueUrls")) >= 3);
  json_array_foreach(json_object_get(queues, "QueueUrls"), i, queue) {
    const char *name = strrchr(json_string_value(queue), '/');
    if (strcmp(name, "/mguard-tasks") != 0 && strncmp(name, "/mguard-tasks-", 14) != 0) fail_msg("no resource of the policy covers the queue %s", name + 1);
  }
  json_decref(queues);

  (void)mg_sqs_backend.purge_run(coordinator, "run", mg_sides_soon(), &removed, &e);
  mg_sqs_backend.close(coordinator);
  mg_sqs_backend.close(worker);
  add_seen(&before_worker, by_worker);
  add_seen(&before_worker, seen);
  add_seen(&before_coordinator, seen);
  expect_all_in(seen, allowed, "is used, but the policy in " GUIDE " does not list it");
  expect_all_in(allowed, seen, "stands in the policy in " GUIDE ", but nothing uses it");
  if (json_object_get(by_worker, "sqs:DeleteQueue") != NULL) fail_msg("a worker deletes queues, of which " GUIDE " says that it does not");
  json_decref(policy);
  json_decref(allowed);
  json_decref(seen);
  json_decref(by_worker);
  mg_options_free(o1);
  mg_options_free(o2);
  mg_test_helper_stop(&before_coordinator);
  mg_test_helper_stop(&before_worker);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_guide_lists_the_actions_on_the_wire)};
  mg_sides_slow(20000); /* a stand-in in Python, on a machine that may be busy */
  if (!mg_test_sqs_start(&moto, MG_TEST_MOTO, NULL)) return 99;
  int failed = mg_sides_group("sqs policy", tests, 1, argc > 1 ? argv[1] : NULL, 120);
  mg_test_sqs_stop(&moto);
  return failed;
}
