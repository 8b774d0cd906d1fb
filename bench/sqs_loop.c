/* sqs_loop.c - tasks go once through a queue of SQS, in calls of ten: sent, received, deleted.
 *
 * usage: sqs_loop bare|client ENDPOINT QUEUE_URL [MESSAGES]
 * bare: libcurl alone, one connection, unsigned calls whose answers are hardly looked at: what the service at ENDPOINT takes.
 * client: mguard's backend. Prints messages a second and the microseconds of CPU of a call of ten. The queue is the caller's, and empty. */
#include "backends/sqs/sqs.h"
#include "base/options.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { TEN = 10, BODY_BYTES = 120, STEP = 200, WAIT_MS = 60000 };
static const char *endpoint, *queue;
static long todo = 20000;
static char body[BODY_BYTES + 1];

static void die(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* --- bare --- */

static char answer[65536];
static size_t answered;

static size_t keep(char *data, size_t size, size_t n, void *owner) {
  (void)size, (void)owner;
  if (answered + n >= sizeof answer) die("an answer is too long");
  memcpy(answer + answered, data, n);
  answered += n;
  answer[answered] = '\0';
  return n;
}

static void call(CURL *curl, const char *action, const char *json) {
  char target[100];
  long status = 0;
  (void)snprintf(target, sizeof target, "X-Amz-Target: AmazonSQS.%s", action);
  struct curl_slist *headers = curl_slist_append(curl_slist_append(NULL, "Content-Type: application/x-amz-json-1.0"), target);
  answered = 0;
  (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json);
  if (curl_easy_perform(curl) != CURLE_OK || curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status != 200) die(answer);
  curl_slist_free_all(headers);
}

static void bare(void) {
  static char json[16384];
  CURL *curl = curl_easy_init();
  if (curl == NULL) die("no memory");
  (void)curl_easy_setopt(curl, CURLOPT_URL, endpoint);
  (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
  (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
  for (long done = 0; done < todo;) {
    int at = snprintf(json, sizeof json, "{\"QueueUrl\":\"%s\",\"Entries\":[", queue);
    for (int i = 0; i < TEN; i++) at += snprintf(json + at, sizeof json - (size_t)at, "%s{\"Id\":\"%d\",\"MessageBody\":\"%s\"}", i == 0 ? "" : ",", i, body);
    (void)snprintf(json + at, sizeof json - (size_t)at, "]}");
    call(curl, "SendMessageBatch", json);
    (void)snprintf(json, sizeof json, "{\"QueueUrl\":\"%s\",\"MaxNumberOfMessages\":10}", queue);
    call(curl, "ReceiveMessage", json);
    at = snprintf(json, sizeof json, "{\"QueueUrl\":\"%s\",\"Entries\":[", queue);
    int got = 0;
    for (const char *p = answer; (p = strstr(p, "\"ReceiptHandle\":\"")) != NULL; got++) {
      p += strlen("\"ReceiptHandle\":\"");
      at += snprintf(json + at, sizeof json - (size_t)at, "%s{\"Id\":\"%d\",\"ReceiptHandle\":\"%.*s\"}", got == 0 ? "" : ",", got, (int)strcspn(p, "\""), p);
    }
    (void)snprintf(json + at, sizeof json - (size_t)at, "]}");
    if (got == 0) die("nothing came");
    call(curl, "DeleteMessageBatch", json);
    done += got;
  }
  curl_easy_cleanup(curl);
}

/* --- the client --- */

static mg_backend *open_side(mg_options *o, const char *identity, const char *run) {
  mg_backend *b = NULL;
  mg_error e = {0};
  mg_backend_config config = {.options = o, .identity = identity, .run = run, .wake_fd = -1};
  if (mg_sqs_backend.open(&b, &config, mg_now_ms() + WAIT_MS, &e) != MG_OK) die(e.text);
  return b;
}

static void client(mg_backend *coordinator, mg_backend *worker) {
  static char names[STEP][24];
  const mg_backend_ops *ops = &mg_sqs_backend;
  mg_publish items[STEP];
  mg_settle settles[STEP];
  mg_error e = {0};
  for (long done = 0; done < todo; done += STEP) {
    mg_batch got = {0};
    for (int i = 0; i < STEP; i++) {
      (void)snprintf(names[i], sizeof names[i], "t%ld", done + i);
      items[i] = (mg_publish){.run = "bench", .task = names[i], .attempt = 1, .body = mg_slice_of(body)};
    }
    if (ops->publish_tasks(coordinator, items, STEP, mg_now_ms() + WAIT_MS, &e) != MG_OK) die(e.text);
    while (got.count < STEP) {
      mg_fetch how = {.max = STEP - got.count, .lease_ms = WAIT_MS, .until = mg_now_ms() + WAIT_MS};
      if (ops->fetch_tasks(worker, &how, &got, &e) != MG_OK) die(e.text);
    }
    for (size_t i = 0; i < STEP; i++) settles[i] = (mg_settle){.lease = got.items[i].lease};
    if (ops->ack(worker, settles, STEP, mg_now_ms() + WAIT_MS, &e) != MG_OK) die(e.text);
    for (size_t i = 0; i < STEP; i++) ops->forget(worker, got.items[i].lease);
    mg_batch_clear(&got);
  }
}

static double cpu_us(void) {
  struct rusage u;
  (void)getrusage(RUSAGE_SELF, &u);
  return 1e6 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv) {
  if (argc < 4) return 4;
  endpoint = argv[2];
  queue = argv[3];
  if (argc > 4) todo = (atol(argv[4]) + STEP - 1) / STEP * STEP;
  memset(body, 'x', BODY_BYTES);
  bool ours = strcmp(argv[1], "client") == 0;
  mg_options *o = mg_options_new();
  if (o == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) die("no memory");
  (void)mg_options_set_text(o, "queue_url", queue);
  (void)mg_options_set_text(o, "endpoint_url", endpoint);
  (void)mg_options_set_text(o, "region", "us-east-1");
  (void)mg_options_set_text(o, "aws_access_key_id", "AKIATESTTESTTESTTEST");
  (void)mg_options_set_text(o, "aws_secret_access_key", "nobody looks at it");
  mg_backend *coordinator = ours ? open_side(o, "coordinator", "bench") : NULL, *worker = ours ? open_side(o, "worker", NULL) : NULL;
  double cpu = cpu_us();
  mg_ms begin = mg_now_ms();
  if (ours)
    client(coordinator, worker);
  else
    bare();
  double seconds = (double)(mg_now_ms() - begin) / 1000, calls = 3.0 * (double)todo / TEN;
  printf("%.0f %.1f\n", (double)todo / seconds, (cpu_us() - cpu) / calls);
  mg_sqs_backend.close(coordinator);
  mg_sqs_backend.close(worker);
  mg_options_free(o);
  curl_global_cleanup();
  return 0;
}
