/* Who we are to AWS: each source of credentials, which of them comes first, and that they are renewed in time. A server of ours plays the container's
 * endpoint, IMDSv2 and web identity; moto plays STS, and SQS that checks what came of it. Arguments: [name of a test]. */
#include "backends/sqs/credentials.h"
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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WAIT_MS = 20000, PATIENCE_MS = 60000 };
static mg_test_sqs moto;
static mg_test_helper server; /* of this test's process */
static char folder[MG_TEST_PATH_BYTES];

/* Nothing of this machine's own: each test gives what it wants to be found. */
static void nothing_is_given(void) {
  static const char *const names[] = {"AWS_ACCESS_KEY_ID",
                                      "AWS_SECRET_ACCESS_KEY",
                                      "AWS_SESSION_TOKEN",
                                      "AWS_PROFILE",
                                      "AWS_REGION",
                                      "AWS_DEFAULT_REGION",
                                      "AWS_WEB_IDENTITY_TOKEN_FILE",
                                      "AWS_ROLE_ARN",
                                      "AWS_ROLE_SESSION_NAME",
                                      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                      "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                      "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                      "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                      "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                      "AWS_ENDPOINT_URL",
                                      "AWS_ENDPOINT_URL_STS",
                                      "http_proxy",
                                      "HTTP_PROXY"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_int_equal(unsetenv(names[i]), 0);
  assert_true(folder[0] != '\0' || mg_test_folder(folder));
  assert_int_equal(setenv("AWS_EC2_METADATA_DISABLED", "true", 1), 0);
  assert_int_equal(setenv("HOME", folder, 1), 0);
  char path[300];
  (void)snprintf(path, sizeof path, "%s/config", folder);
  assert_int_equal(setenv("AWS_CONFIG_FILE", path, 1), 0);
  (void)snprintf(path, sizeof path, "%s/credentials", folder);
  assert_int_equal(setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1), 0);
  (void)remove(path);
}

static void give(const char *name, const char *value) { assert_int_equal(setenv(name, value, 1), 0); }

/* A file in the folder; its path. */
static const char *put(const char *name, const char *text) {
  static char paths[4][300];
  static int next;
  char *path = paths[next++ % 4], part[310];
  (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  (void)snprintf(part, sizeof part, "%s.part", path);
  FILE *f = fopen(part, "we");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0 && fclose(f) == 0 && chmod(part, 0700) == 0 && rename(part, path) == 0);
  return path;
}

static void serve(const char *set) {
  char out[100];
  if (server.port == 0) assert_true(mg_test_helper_start(&server, "tests/brokers/sqs/credentials_server.py", NULL, NULL));
  assert_true(mg_test_helper_ask(&server, "/_set", set, out, sizeof out));
}

/* Requests with this method and path; *asked_with gets what the last was asked with. */
static int asked(const char *method, const char *path, char asked_with[200]) {
  char out[30000];
  json_error_t why;
  int n = 0;
  assert_true(mg_test_helper_ask(&server, "/_seen", "", out, sizeof out));
  json_t *all = json_loads(out, 0, &why);
  assert_non_null(all);
  for (size_t i = 0; i < json_array_size(all); i++) {
    json_t *one = json_array_get(all, i);
    if (strcmp(json_string_value(json_array_get(one, 0)), method) != 0 || strcmp(json_string_value(json_array_get(one, 1)), path) != 0) continue;
    if (asked_with != NULL) (void)snprintf(asked_with, 200, "%s", json_string_value(json_array_get(one, 2)));
    n++;
  }
  json_decref(all);
  return n;
}

/* --- a chain of one test --- */

typedef struct chain {
  mg_options *options;
  mg_sqs_settings settings;
  mg_sqs_credentials *c;
} chain;

/* key, value, ... up to NULL of the configuration. One at a time. */
static chain *chain_of(const char *key, ...) {
  static chain only;
  chain *h = &only;
  *h = (chain){.options = mg_options_new()};
  mg_error e = {0};
  va_list more;
  assert_non_null(h->options);
  (void)mg_options_set_text(h->options, "queue_url", "https://sqs.eu-west-1.amazonaws.com/123456789012/tasks");
  va_start(more, key);
  for (const char *k = key; k != NULL; k = va_arg(more, const char *)) (void)mg_options_set_text(h->options, k, va_arg(more, const char *));
  va_end(more);
  assert_int_equal(mg_sqs_settings_init(&h->settings, h->options, &e), MG_OK);
  if (mg_sqs_credentials_new(&h->c, &h->settings, &e) != MG_OK) fail_msg("%s", e.text);
  return h;
}

static void end(chain *h) {
  mg_sqs_credentials_free(h->c);
  mg_options_free(h->options);
}

static mg_err get(chain *h, mg_sqs_keys *out, mg_error *e) {
  *e = (mg_error){0};
  return mg_sqs_credentials_get(h->c, mg_now_ms() + WAIT_MS, out, e);
}

static void expect(chain *h, const char *id, const char *secret, const char *token, const char *source) {
  mg_sqs_keys k;
  mg_error e;
  if (get(h, &k, &e) != MG_OK) fail_msg("%s", e.text);
  assert_string_equal(k.id, id);
  assert_string_equal(k.secret, secret);
  assert_string_equal(k.token == NULL ? "" : k.token, token);
  assert_string_equal(mg_sqs_credentials_source(h->c), source);
  end(h);
}

/* Its text says what is wrong and shows nothing that is secret. */
static void expect_fails(chain *h, mg_err wanted, const char *text) {
  mg_sqs_keys k;
  mg_error e;
  mg_err err = get(h, &k, &e);
  if (err != wanted || strstr(e.text, text) == NULL) fail_msg("%s: %s", mg_err_name(err), e.text);
  assert_null(strstr(e.text, "hush"));
  end(h);
}

/* --- the sources --- */

static void keys_of_the_configuration_come_first(void **state) {
  (void)state;
  nothing_is_given();
  give("AWS_ACCESS_KEY_ID", "AKIAENV");
  give("AWS_SECRET_ACCESS_KEY", "hush-env");
  chain *h = chain_of("aws_access_key_id", "AKIAOWN", "aws_secret_access_key", "hush-own", "aws_session_token", "hush-token", NULL);
  expect(h, "AKIAOWN", "hush-own", "hush-token", "the queue configuration");
}

static void then_the_environment(void **state) {
  (void)state;
  nothing_is_given();
  (void)put("credentials", "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = hush-file\n");
  give("AWS_ACCESS_KEY_ID", "AKIAENV");
  give("AWS_SECRET_ACCESS_KEY", "hush-env");
  chain *h = chain_of(NULL, NULL);
  expect(h, "AKIAENV", "hush-env", "", "the environment");
  give("AWS_SESSION_TOKEN", "hush-session");
  h = chain_of(NULL, NULL);
  expect(h, "AKIAENV", "hush-env", "hush-session", "the environment");
  h = chain_of("profile", "default", NULL); /* who names a profile means it */
  expect(h, "AKIAFILE", "hush-file", "", "the shared AWS files");
}

static void then_the_shared_files(void **state) {
  (void)state;
  nothing_is_given();
  (void)put("credentials", "# ours\n[default]\naws_access_key_id=AKIADEFAULT\naws_secret_access_key=hush/=default\n\n[night]\n"
                           "aws_access_key_id = AKIANIGHT\naws_secret_access_key = hush-night\naws_session_token = hush-night-token\n");
  (void)put("config", "[default]\nregion = ap-south-1\n[profile night]\nregion = eu-north-1\n[profile bare]\noutput = json\n");
  chain *h = chain_of(NULL, NULL);
  expect(h, "AKIADEFAULT", "hush/=default", "", "the shared AWS files");
  give("AWS_PROFILE", "night");
  h = chain_of(NULL, NULL);
  expect(h, "AKIANIGHT", "hush-night", "hush-night-token", "the shared AWS files");
  h = chain_of("profile", "default", NULL);
  expect(h, "AKIADEFAULT", "hush/=default", "", "the shared AWS files");
  h = chain_of("queue_url", "http://127.0.0.1/1/tasks", "profile", "night", NULL);
  assert_string_equal(h->settings.region, "eu-north-1");
  end(h);
  h = chain_of("profile", "nobody", NULL);
  expect_fails(h, MG_FATAL, "profile nobody is not in the shared AWS files");
  h = chain_of("profile", "bare", NULL);
  expect_fails(h, MG_FATAL, "no AWS credentials: neither the queue configuration, the environment, the shared AWS files (profile bare)");
}

static void a_process_may_give_them(void **state) {
  (void)state;
  nothing_is_given();
  char config[600], hang[300];
  (void)snprintf(hang, sizeof hang, "%s", put("hang", "#!/bin/sh\nexec tail -f /dev/null\n"));
  const char *good = put("good", "#!/bin/sh\n[ \"$1 $2\" = 'for mguard' ] || exit 7\n"
                                 "echo '{\"Version\":1,\"AccessKeyId\":\"AKIAPROC\",\"SecretAccessKey\":\"hush-proc\",\"SessionToken\":\"hush-t\"}'\n");
  (void)snprintf(config, sizeof config,
                 "[profile good]\ncredential_process = %s for mguard\n[profile bad]\ncredential_process = %s\n"
                 "[profile garbage]\ncredential_process = echo hush no json\n[profile hang]\ncredential_process = %s\n",
                 good, good, hang);
  (void)put("config", config);
  chain *h = chain_of("profile", "good", NULL);
  expect(h, "AKIAPROC", "hush-proc", "hush-t", "the shared AWS files");
  h = chain_of("profile", "bad", NULL);
  expect_fails(h, MG_FATAL, "credential_process failed with status 7");
  h = chain_of("profile", "garbage", NULL);
  expect_fails(h, MG_FATAL, "credential_process gave no JSON with AccessKeyId and SecretAccessKey");
  h = chain_of("profile", "hang", NULL);
  mg_sqs_keys k;
  mg_error e = {0};
  assert_int_equal(mg_sqs_credentials_get(h->c, mg_now_ms() + 300, &k, &e), MG_CONN);
  assert_non_null(strstr(e.text, "credential_process did not end in time"));
  end(h);
}

/* They are as good as moto says: it checks signatures. */
static void expect_moto_takes(const char *profile) {
  static int count;
  char url[256], name[32];
  mg_options *o = mg_options_new();
  assert_non_null(o);
  (void)snprintf(name, sizeof name, "taken-%s-%d", profile == NULL ? "x" : profile, ++count);
  assert_true(mg_test_sqs_queue(&moto, name, NULL, url, sizeof url));
  (void)mg_options_set_text(o, "queue_url", url);
  (void)mg_options_set_text(o, "endpoint_url", moto.endpoint);
  (void)mg_options_set_text(o, "region", "us-east-1");
  (void)mg_options_set_int(o, "long_polling_seconds", 0);
  if (profile != NULL) (void)mg_options_set_text(o, "profile", profile);
  mg_sides s = mg_sides_open(&mg_sqs_backend, o);
  mg_batch got = {0};
  mg_sides_publish(s.coordinator, 0, 5, false);
  mg_sides_fetch(s.worker, 5, &got);
  mg_sides_expect_each_once(&got, 5);
  mg_sides_forget(s.worker, &got);
  mg_sides_close(&s);
}

static void a_role_is_taken_through_sts(void **state) {
  (void)state;
  nothing_is_given();
  char config[1500];
  give("AWS_ENDPOINT_URL_STS", moto.endpoint);
  (void)snprintf(config, sizeof config,
                 "[profile source]\naws_access_key_id = " MG_TEST_SQS_KEY "\naws_secret_access_key = " MG_TEST_SQS_SECRET "\n"
                 "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\nsource_profile = source\nexternal_id = a+b/c\n"
                 "[profile chained]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\nsource_profile = role\n"
                 "[profile itself]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\nsource_profile = other\n"
                 "[profile other]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\nsource_profile = itself\n"
                 "[profile orphan]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\nsource_profile = nobody\n"
                 "[profile rootless]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\n"
                 "[profile env]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\ncredential_source = Environment\n"
                 "[profile wrong]\naws_access_key_id = " MG_TEST_SQS_KEY "\naws_secret_access_key = hush\n"
                 "[profile denied]\nrole_arn = arn:aws:iam::123456789012:role/mguard-tests\nsource_profile = wrong\n");
  (void)put("config", config);
  expect_moto_takes("role");
  expect_moto_takes("chained");
  chain *h = chain_of("profile", "itself", NULL);
  expect_fails(h, MG_FATAL, "source_profile goes in a circle");
  h = chain_of("profile", "orphan", NULL);
  expect_fails(h, MG_FATAL, "source_profile nobody of profile orphan");
  h = chain_of("profile", "rootless", NULL);
  expect_fails(h, MG_FATAL, "neither source_profile nor credential_source");
  h = chain_of("profile", "denied", NULL);
  expect_fails(h, MG_FATAL, "AssumeRole arn:aws:iam::123456789012:role/mguard-tests was refused");
  h = chain_of("profile", "env", NULL);
  expect_fails(h, MG_FATAL, "credential_source Environment of profile env has no credentials here");
  give("AWS_ACCESS_KEY_ID", MG_TEST_SQS_KEY);
  give("AWS_SECRET_ACCESS_KEY", MG_TEST_SQS_SECRET);
  expect_moto_takes("env");
}

static void web_identity(void **state) {
  (void)state;
  nothing_is_given();
  char with[200];
  give("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mguard-tests");
  give("AWS_WEB_IDENTITY_TOKEN_FILE", put("web-token", "hush+first/=\n"));
  serve("{\"token\":\"hush+first/=\",\"key\":\"ASIAWEB\",\"secret\":\"hush-web\",\"session\":\"hush-s\"}");
  give("AWS_ENDPOINT_URL_STS", server.endpoint);
  chain *h = chain_of(NULL, NULL);
  expect(h, "ASIAWEB", "hush-web", "hush-s", "web identity");
  assert_int_equal(asked("POST", "/", with), 1);
  assert_string_equal(with, "hush+first/="); /* escaped and found again */
  serve("{\"token\":\"hush-second\"}");
  h = chain_of(NULL, NULL);
  expect_fails(h, MG_FATAL, "AssumeRoleWithWebIdentity arn:aws:iam::123456789012:role/mguard-tests was refused (400 InvalidIdentityToken)");
  (void)put("web-token", "hush-second"); /* the file is read each time */
  h = chain_of(NULL, NULL);
  expect(h, "ASIAWEB", "hush-web", "hush-s", "web identity");
  give("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token");
  h = chain_of(NULL, NULL);
  expect_fails(h, MG_FATAL, "the token file /nowhere/token");
  mg_test_helper_stop(&server);
}

static void the_containers_endpoint(void **state) {
  (void)state;
  nothing_is_given();
  char url[200], with[200];
  serve("{\"token\":\"hush-one\",\"key\":\"ASIACON\",\"secret\":\"hush-c\",\"session\":\"hush-s\"}");
  (void)snprintf(url, sizeof url, "%s/v2/credentials/x", server.endpoint);
  give("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
  give("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush-one");
  chain *h = chain_of(NULL, NULL);
  expect(h, "ASIACON", "hush-c", "hush-s", "the container's endpoint");
  give("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", put("token", "hush-two\n")); /* comes before the variable */
  h = chain_of(NULL, NULL);
  expect_fails(h, MG_FATAL, "the container's credentials endpoint answered 401");
  serve("{\"token\":\"hush-two\"}");
  h = chain_of(NULL, NULL);
  expect(h, "ASIACON", "hush-c", "hush-s", "the container's endpoint");
  assert_int_equal(asked("GET", "/v2/credentials/x", with), 3);
  assert_string_equal(with, "hush-two");
  (void)put("token", "hush\nX-Evil: 1");
  h = chain_of(NULL, NULL);
  expect_fails(h, MG_FATAL, "has a line end in it");
  serve("{\"status\":503}");
  (void)put("token", "hush-two");
  h = chain_of(NULL, NULL);
  expect_fails(h, MG_CONN, "answered 503");
  give("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/credentials"); /* the token must not go there in the clear */
  h = chain_of(NULL, NULL);
  expect_fails(h, MG_FATAL, "must be https, or http to the machine itself");
  mg_test_helper_stop(&server);
}

static void the_instances_metadata(void **state) {
  (void)state;
  nothing_is_given();
  char with[200];
  serve("{\"key\":\"ASIAEC2\",\"secret\":\"hush-i\",\"session\":\"hush-s\"}");
  give("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.endpoint);
  chain *h = chain_of(NULL, NULL);
  expect_fails(h, MG_FATAL, "no AWS credentials"); /* disabled */
  assert_int_equal(asked("PUT", "/latest/api/token", NULL), 0);
  assert_int_equal(unsetenv("AWS_EC2_METADATA_DISABLED"), 0);
  h = chain_of(NULL, NULL);
  expect(h, "ASIAEC2", "hush-i", "hush-s", "the instance's metadata");
  assert_int_equal(asked("PUT", "/latest/api/token", NULL), 1);
  assert_int_equal(asked("GET", "/latest/meta-data/iam/security-credentials/a-role", with), 1);
  assert_string_equal(with, "of-this-instance-alone");
  serve("{\"role\":false}");
  h = chain_of(NULL, NULL);
  expect_fails(h, MG_FATAL, "nor the instance's metadata has any");
  mg_test_helper_stop(&server);
}

/* --- their life --- */

static chain *from_container(void) {
  char url[200];
  nothing_is_given();
  serve("{\"token\":\"first\",\"key\":\"ASIAONE\",\"secret\":\"hush-1\",\"session\":\"hush-1\",\"seconds\":4}");
  (void)snprintf(url, sizeof url, "%s/credentials", server.endpoint);
  give("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
  give("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", put("token", "first"));
  return chain_of(NULL, NULL);
}

static void they_are_renewed_ahead_of_their_end(void **state) {
  (void)state;
  chain *h = from_container();
  mg_sqs_keys k;
  mg_error e;
  assert_int_equal(get(h, &k, &e), MG_OK);
  serve("{\"key\":\"ASIATWO\",\"seconds\":3600}");
  mg_ms begin = mg_now_ms();
  while (strcmp(k.id, "ASIATWO") != 0) { /* at half of their life */
    assert_true(mg_now_ms() - begin < PATIENCE_MS);
    assert_int_equal(get(h, &k, &e), MG_OK);
    mg_test_pause(20);
  }
  for (int i = 0; i < 1000; i++) assert_int_equal(get(h, &k, &e), MG_OK);
  assert_int_equal(asked("GET", "/credentials", NULL), 2); /* one call for the thousands that waited for it */
  end(h);
  mg_test_helper_stop(&server);
}

static void what_cannot_be_renewed_is_kept_while_it_is_good(void **state) {
  (void)state;
  chain *h = from_container();
  mg_sqs_keys k;
  mg_error e;
  serve("{\"seconds\":120}");
  assert_int_equal(get(h, &k, &e), MG_OK);
  mg_sqs_credentials_refused(h->c); /* as after ExpiredToken: others must be found */
  serve("{\"status\":500}");
  assert_int_equal(get(h, &k, &e), MG_CONN);
  for (int i = 0; i < 100; i++) { /* not asked for every call meanwhile */
    assert_int_equal(get(h, &k, &e), MG_OK);
    assert_string_equal(k.id, "ASIAONE");
  }
  assert_int_equal(asked("GET", "/credentials", NULL), 2);
  end(h);
  mg_test_helper_stop(&server);
}

static mg_err publish_one(mg_backend *b, const char *task, mg_error *e) {
  mg_publish item = {.run = "run", .task = task, .attempt = 1, .body = mg_slice_of(task), .err = MG_FATAL};
  mg_err err = b->ops->publish_tasks(b, &item, 1, mg_sides_soon(), e);
  return err == MG_OK ? item.err : err;
}

/* The service says that they have ended; the endpoint gives others once the token file has the next token. */
static void ended_ones_are_replaced_in_mid_run(void **state) {
  (void)state;
  mg_test_helper disturber = {0};
  char url[256], out[2000];
  chain *h = from_container();
  end(h);
  serve("{\"seconds\":3600}");
  assert_true(mg_test_disturber_start(&disturber, &moto));
  assert_true(mg_test_sqs_queue(&moto, "ended", NULL, url, sizeof url));
  mg_options *o = mg_options_new();
  assert_non_null(o);
  (void)mg_options_set_text(o, "queue_url", url);
  (void)mg_options_set_text(o, "endpoint_url", disturber.endpoint);
  (void)mg_options_set_text(o, "region", "us-east-1");
  (void)mg_options_set_int(o, "long_polling_seconds", 0);
  serve("{\"key\":\"" MG_TEST_SQS_KEY "\",\"secret\":\"" MG_TEST_SQS_SECRET "\",\"session\":\"\"}");
  mg_sides s = mg_sides_open(&mg_sqs_backend, o);
  mg_batch got = {0};
  mg_error e = {0};
  mg_sides_publish(s.coordinator, 0, 5, false);
  /* All that is known has ended, and the endpoint takes the next token alone. */
  assert_true(mg_test_helper_ask(&disturber, "/_disturb", "{\"ended_keys\":[\"" MG_TEST_SQS_KEY "\"]}", out, sizeof out));
  serve("{\"token\":\"second\"}");
  assert_int_not_equal(publish_one(s.coordinator, "t5", &e), MG_OK);
  assert_null(strstr(e.text, MG_TEST_SQS_SECRET));
  (void)put("token", "second");
  assert_true(mg_test_helper_ask(&disturber, "/_disturb", "{\"ended_keys\":[]}", out, sizeof out));
  for (mg_ms limit = mg_now_ms() + PATIENCE_MS; publish_one(s.coordinator, "t5", &e) != MG_OK; mg_test_pause(100)) assert_true(mg_now_ms() < limit);
  mg_sides_fetch(s.worker, 6, &got);
  mg_sides_forget(s.worker, &got);
  char with[200];
  assert_true(asked("GET", "/credentials", with) >= 3);
  mg_sides_close(&s);
  mg_test_helper_stop(&disturber);
  mg_test_helper_stop(&server);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_of_the_configuration_come_first),
      cmocka_unit_test(then_the_environment),
      cmocka_unit_test(then_the_shared_files),
      cmocka_unit_test(a_process_may_give_them),
      cmocka_unit_test(a_role_is_taken_through_sts),
      cmocka_unit_test(web_identity),
      cmocka_unit_test(the_containers_endpoint),
      cmocka_unit_test(the_instances_metadata),
      cmocka_unit_test(they_are_renewed_ahead_of_their_end),
      cmocka_unit_test(what_cannot_be_renewed_is_kept_while_it_is_good),
      cmocka_unit_test(ended_ones_are_replaced_in_mid_run),
  };
  mg_sides_slow(20000); /* stand-ins in Python, on a machine that may be busy */
  if (!mg_test_sqs_start(&moto, MG_TEST_MOTO, NULL)) return 99;
  int failed = mg_sides_group("sqs credentials", tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL, 150);
  mg_test_sqs_stop(&moto);
  return failed;
}
