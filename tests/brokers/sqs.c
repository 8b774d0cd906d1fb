#include "tests/brokers/sqs.h"

#include "base/clock.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_MS = 60000, CALL_MS = 30000 };

/* Starts it with its standard output on a pipe, whose first line is the port; 0 where there is none. */
static int start(pid_t *pid, const char *const *argv) {
  int ends[2];
  char line[32] = "";
  size_t len = 0;
  if (pipe2(ends, O_CLOEXEC) != 0) return 0;
  (void)fflush(NULL);
  pid_t parent = getpid();
  *pid = fork();
  if (*pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int null = open("/dev/null", O_RDONLY);
    (void)dup2(null, 0);
    (void)dup2(ends[1], 1);
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  (void)close(ends[1]);
  for (mg_ms end = mg_now_ms() + READY_MS; *pid > 0 && len + 1 < sizeof line && strchr(line, '\n') == NULL;) {
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    if (poll(&p, 1, mg_until_ms(end)) <= 0) break;
    ssize_t n = read(ends[0], line + len, sizeof line - 1 - len);
    if (n <= 0) break;
    len += (size_t)n;
    line[len] = '\0';
  }
  (void)close(ends[0]); /* it prints no more */
  return atoi(line);
}

static void stop(pid_t *pid) {
  if (*pid <= 0) return;
  (void)kill(*pid, SIGKILL);
  (void)waitpid(*pid, NULL, 0);
  *pid = 0;
}

bool mg_test_sqs_start(mg_test_sqs *s, mg_test_sqs_kind kind, const char *policy) {
  char folder[600], python[640], npm[640];
  const char *where[] = {"scripts/sqs-stand-ins", "where", NULL};
  *s = (mg_test_sqs){.kind = kind};
  if (mg_test_run(where, 5000, folder, sizeof folder) != 0) {
    fprintf(stderr, "%s\n", folder);
    return false;
  }
  (void)snprintf(python, sizeof python, "%s/venv/bin/python", folder);
  (void)snprintf(npm, sizeof npm, "%s/npm", folder);
  const char *moto[] = {python, "tests/brokers/sqs/moto_server.py", MG_TEST_SQS_KEY, MG_TEST_SQS_SECRET, policy, NULL};
  const char *fauxqs[] = {"node", "tests/brokers/sqs/fauxqs_server.mjs", npm, "127.0.0.1:1" /* through whatever port it is asked */, NULL};
  s->port = start(&s->pid, kind == MG_TEST_MOTO ? moto : fauxqs);
  (void)snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%d", s->port);
  if (s->port > 0) return true;
  fprintf(stderr, "the stand-in %s did not start\n", kind == MG_TEST_MOTO ? "moto" : "fauxqs");
  mg_test_sqs_stop(s);
  return false;
}

void mg_test_sqs_stop(mg_test_sqs *s) { stop(&s->pid); }

bool mg_test_helper_start(mg_test_helper *h, const char *script, const char *arg, const char *arg2) {
  const char *argv[] = {"/usr/bin/python3", script, arg, arg2, NULL};
  *h = (mg_test_helper){0};
  h->port = start(&h->pid, argv);
  (void)snprintf(h->endpoint, sizeof h->endpoint, "http://127.0.0.1:%d", h->port);
  if (h->port > 0) return true;
  fprintf(stderr, "%s did not start\n", script);
  stop(&h->pid);
  return false;
}

void mg_test_helper_stop(mg_test_helper *h) { stop(&h->pid); }

bool mg_test_helper_ask(const mg_test_helper *h, const char *path, const char *json, char *out, size_t size) {
  char url[200];
  (void)snprintf(url, sizeof url, "%s%s", h->endpoint, path);
  const char *argv[] = {"curl", "-sS", "-f", "--noproxy", "*", "--max-time", "20", "--data-binary", json, url, NULL};
  if (mg_test_run(argv, CALL_MS, out, size) == 0) return true;
  fprintf(stderr, "%s: %s\n", url, out);
  return false;
}

bool mg_test_disturber_start(mg_test_helper *h, const mg_test_sqs *s) {
  char port[16];
  (void)snprintf(port, sizeof port, "%d", s->port);
  return mg_test_helper_start(h, "tests/brokers/sqs/disturber.py", port, NULL);
}

bool mg_test_sqs_call(const mg_test_sqs *s, const char *action, const char *json, char *out, size_t size) {
  char target[100];
  (void)snprintf(target, sizeof target, "X-Amz-Target: AmazonSQS.%s", action);
  const char *argv[] = {"curl",
                        "-sS",
                        "-f",
                        "--noproxy",
                        "*",
                        "--max-time",
                        "20",
                        "--aws-sigv4",
                        "aws:amz:us-east-1:sqs",
                        "--user",
                        MG_TEST_SQS_KEY ":" MG_TEST_SQS_SECRET,
                        "-H",
                        "Content-Type: application/x-amz-json-1.0",
                        "-H",
                        target,
                        "--data-binary",
                        json,
                        s->endpoint,
                        NULL};
  if (mg_test_run(argv, CALL_MS, out, size) == 0) return true;
  fprintf(stderr, "%s on %s: %s\n", action, s->endpoint, out);
  return false;
}

bool mg_test_sqs_queue(const mg_test_sqs *s, const char *name, const char *attributes, char *url, size_t size) {
  char json[1000], out[2000];
  (void)snprintf(json, sizeof json, "{\"QueueName\":\"%s\",\"Attributes\":%s}", name, attributes == NULL ? "{}" : attributes);
  if (!mg_test_sqs_call(s, "CreateQueue", json, out, sizeof out)) return false;
  const char *at = strstr(out, "\"QueueUrl\"");
  at = at == NULL ? NULL : strstr(at, "http");
  if (at == NULL) return false;
  (void)snprintf(url, size, "%.*s", (int)strcspn(at, "\""), at);
  return true;
}

void mg_test_sqs_options(const mg_test_sqs *s, const char *queue_url, mg_options *o) {
  (void)mg_options_set_text(o, "queue_url", queue_url);
  (void)mg_options_set_text(o, "endpoint_url", s->endpoint);
  (void)mg_options_set_text(o, "region", "us-east-1");
  (void)mg_options_set_text(o, "aws_access_key_id", MG_TEST_SQS_KEY);
  (void)mg_options_set_text(o, "aws_secret_access_key", MG_TEST_SQS_SECRET);
}
