#include "observe/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { ANSWER_BYTES = 1 << 20 };

static int dial(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  struct timeval limit = {.tv_sec = 10};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
  (void)close(fd);
  return -1;
}

/* What comes back for these bytes, until the server closes; the status, 0 where there is no answer. */
static int ask_raw(int port, const char *request, char *answer, size_t size) {
  int fd = dial(port);
  size_t len = 0;
  answer[0] = '\0';
  if (fd < 0) return 0;
  (void)send(fd, request, strlen(request), MSG_NOSIGNAL);
  ssize_t n;
  while (len < size - 1 && (n = recv(fd, answer + len, size - 1 - len, 0)) > 0) len += (size_t)n;
  answer[len] = '\0';
  (void)close(fd);
  return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static int ask(int port, const char *method, const char *path, const char *header, char *answer, size_t size) {
  char request[1000];
  (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, path, header);
  return ask_raw(port, request, answer, size);
}

static mg_http *start(const char *token, mg_ms stale_ms) {
  mg_http *h = NULL;
  mg_error e;
  mg_http_config c = {.token = token, .stale_ms = stale_ms};
  if (mg_http_start(&h, &c, &e) != MG_OK) fail_msg("%s", e.text);
  return h;
}

static void answers_with_the_last_text(void **state) {
  (void)state;
  char answer[4000];
  mg_http *h = start(NULL, 0);
  int port = mg_http_port(h);
  assert_true(port > 0);
  assert_int_equal(ask(port, "GET", "/metrics", "", answer, sizeof answer), 200); /* nothing was published */
  assert_true(mg_http_publish(h, mg_slice_of("a longer text 1\n"), NULL));
  assert_true(mg_http_publish(h, mg_slice_of("a 2\n"), NULL));
  assert_int_equal(ask(port, "GET", "/metrics", "", answer, sizeof answer), 200);
  assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
  assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\na 2\n");
  assert_int_equal(ask(port, "GET", "/metrics?name=x", "", answer, sizeof answer), 200);
  assert_int_equal(ask(port, "HEAD", "/metrics", "", answer, sizeof answer), 200);
  assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
  mg_http_stop(h);
}

static void tells_live_from_ready(void **state) {
  (void)state;
  char answer[4000];
  mg_http *h = start(NULL, 0);
  int port = mg_http_port(h);
  assert_int_equal(ask(port, "GET", "/healthz", "", answer, sizeof answer), 200);
  assert_int_equal(ask(port, "GET", "/readyz", "", answer, sizeof answer), 503);
  assert_non_null(strstr(answer, "\r\n\r\nstarting\n"));
  (void)mg_http_publish(h, (mg_slice){0}, "no connection to the broker");
  assert_int_equal(ask(port, "GET", "/readyz", "", answer, sizeof answer), 503);
  assert_non_null(strstr(answer, "\r\n\r\nno connection to the broker\n"));
  assert_int_equal(ask(port, "GET", "/healthz", "", answer, sizeof answer), 200);
  (void)mg_http_publish(h, (mg_slice){0}, NULL);
  assert_int_equal(ask(port, "GET", "/readyz", "", answer, sizeof answer), 200);
  mg_http_stop(h);
}

static void a_loop_that_stands_still_is_not_healthy(void **state) {
  (void)state;
  char answer[4000];
  mg_http *h = start(NULL, 50);
  int status = 200;
  for (mg_ms end = mg_now_ms() + 10000; status == 200 && mg_now_ms() < end;) status = ask(mg_http_port(h), "GET", "/healthz", "", answer, sizeof answer);
  assert_int_equal(status, 503);
  assert_non_null(strstr(answer, "stood still"));
  (void)mg_http_publish(h, (mg_slice){0}, NULL);
  assert_int_equal(ask(mg_http_port(h), "GET", "/healthz", "", answer, sizeof answer), 200);
  mg_http_stop(h);
}

static void the_token_guards_metrics_alone(void **state) {
  (void)state;
  char answer[4000];
  mg_http *h = start("sesame", 0);
  int port = mg_http_port(h);
  (void)mg_http_publish(h, mg_slice_of("secret 1\n"), NULL);
  static const char *const wrong[] = {"",
                                      "Authorization: Bearer\r\n",
                                      "Authorization: Bearer sesam\r\n",
                                      "Authorization: Bearer sesamee\r\n",
                                      "Authorization: Bearer Sesame\r\n",
                                      "Authorization: Basic sesame\r\n",
                                      "Authorization: sesame\r\n",
                                      "X-Token: sesame\r\n"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(ask(port, "GET", "/metrics", wrong[i], answer, sizeof answer), 401);
    assert_null(strstr(answer, "secret"));
    assert_non_null(strstr(answer, "WWW-Authenticate: Bearer"));
  }
  assert_int_equal(ask(port, "GET", "/metrics", "Authorization: Bearer sesame\r\n", answer, sizeof answer), 200);
  assert_non_null(strstr(answer, "secret 1\n"));
  assert_int_equal(ask(port, "GET", "/readyz", "", answer, sizeof answer), 200);
  assert_int_equal(ask(port, "GET", "/healthz", "", answer, sizeof answer), 200);
  mg_http_stop(h);
}

static void all_else_is_refused(void **state) {
  (void)state;
  char answer[4000];
  mg_http *h = start(NULL, 0);
  int port = mg_http_port(h);
  static const char *const paths[] = {"/", "/metrics/", "/metricsx", "/..%2fmetrics", "/readyz/x"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) assert_int_equal(ask(port, "GET", paths[i], "", answer, sizeof answer), 404);
  static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    assert_int_equal(ask(port, methods[i], "/metrics", "Content-Length: 0\r\n", answer, sizeof answer), 405);
    assert_non_null(strstr(answer, "Allow: GET, HEAD"));
  }
  assert_int_equal(ask_raw(port, "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", answer, sizeof answer), 405);
  (void)ask_raw(port, "\x16\x03\x01 nonsense\r\n\r\n", answer, sizeof answer);
  assert_null(strstr(answer, " 200 "));
  assert_int_equal(ask(port, "GET", "/healthz", "", answer, sizeof answer), 200); /* and it still answers */
  mg_http_stop(h);
}

static void names_what_it_cannot_listen_on(void **state) {
  (void)state;
  mg_error e;
  mg_http *h = start(NULL, 0), *other = NULL;
  char port[32];
  (void)snprintf(port, sizeof port, "port %d", mg_http_port(h));
  mg_http_config taken = {.port = mg_http_port(h)};
  assert_int_equal(mg_http_start(&other, &taken, &e), MG_ARG);
  assert_null(other);
  assert_non_null(strstr(e.text, "127.0.0.1"));
  assert_non_null(strstr(e.text, port));
  assert_non_null(strstr(e.text, "in use"));
  mg_http_config nowhere = {.host = "no-such-host.invalid"};
  assert_int_equal(mg_http_start(&other, &nowhere, &e), MG_ARG);
  assert_non_null(strstr(e.text, "no-such-host.invalid"));
  mg_http_config foreign = {.host = "203.0.113.7"};
  assert_int_equal(mg_http_start(&other, &foreign, &e), MG_ARG);
  assert_non_null(strstr(e.text, "203.0.113.7"));
  mg_http_stop(h);
  mg_http_stop(NULL);
}

static void listens_on_every_address(void **state) {
  (void)state;
  char answer[4000];
  mg_error e;
  mg_http *h = NULL;
  mg_http_config c = {.host = "*"};
  if (mg_http_start(&h, &c, &e) != MG_OK) fail_msg("%s", e.text);
  assert_int_equal(ask(mg_http_port(h), "GET", "/healthz", "", answer, sizeof answer), 200); /* by IPv4 */
  mg_http_stop(h);
}

typedef struct asker {
  pthread_t thread;
  int port;
  atomic_bool stop;
  int asked, torn;
} asker;

/* Every answer holds one letter alone: no text is seen half replaced. */
static void *keep_asking(void *owner) {
  asker *a = owner;
  char *answer = malloc(ANSWER_BYTES);
  while (answer != NULL && !atomic_load(&a->stop)) {
    if (ask(a->port, "GET", "/metrics", "", answer, ANSWER_BYTES) != 200) continue;
    const char *body = strstr(answer, "\r\n\r\n");
    body = body == NULL ? "" : body + 4;
    char same[2] = {body[0], '\0'};
    a->asked++;
    a->torn += body[0] == '\0' || strspn(body, same) != strlen(body);
  }
  free(answer);
  return NULL;
}

static void readers_never_see_half_a_text(void **state) {
  (void)state;
  enum { ASKERS = 3, LONGEST = 60000 };
  asker askers[ASKERS] = {{0}};
  mg_http *h = start(NULL, 0);
  char *text = malloc(LONGEST);
  assert_non_null(text);
  (void)mg_http_publish(h, mg_slice_of("a"), NULL);
  for (int i = 0; i < ASKERS; i++) {
    askers[i].port = mg_http_port(h);
    assert_int_equal(pthread_create(&askers[i].thread, NULL, keep_asking, &askers[i]), 0);
  }
  mg_ms end = mg_now_ms() + 500;
  for (unsigned i = 0; mg_now_ms() < end; i++) {
    size_t len = 1 + i * 7919u % LONGEST;
    memset(text, 'a' + (int)(i % 26), len);
    (void)mg_http_publish(h, (mg_slice){(const uint8_t *)text, len}, i % 2 == 0 ? NULL : "odd");
    if (i % 16 == 0) (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
  int asked = 0, torn = 0;
  for (int i = 0; i < ASKERS; i++) {
    atomic_store(&askers[i].stop, true);
    (void)pthread_join(askers[i].thread, NULL);
    asked += askers[i].asked;
    torn += askers[i].torn;
  }
  mg_http_stop(h);
  free(text);
  assert_true(asked > 20);
  assert_int_equal(torn, 0);
}

static void idle_connections_do_not_keep_others_out(void **state) {
  (void)state;
  char answer[4000];
  int idle[32];
  mg_http *h = start(NULL, 0);
  for (int i = 0; i < 32; i++) {
    idle[i] = dial(mg_http_port(h));
    assert_true(idle[i] >= 0);
    (void)send(idle[i], "GET /metr", 9, MSG_NOSIGNAL);
  }
  assert_int_equal(ask(mg_http_port(h), "GET", "/healthz", "", answer, sizeof answer), 200);
  mg_http_stop(h); /* does not wait for them */
  for (int i = 0; i < 32; i++) (void)close(idle[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_with_the_last_text),
      cmocka_unit_test(tells_live_from_ready),
      cmocka_unit_test(a_loop_that_stands_still_is_not_healthy),
      cmocka_unit_test(the_token_guards_metrics_alone),
      cmocka_unit_test(all_else_is_refused),
      cmocka_unit_test(names_what_it_cannot_listen_on),
      cmocka_unit_test(listens_on_every_address),
      cmocka_unit_test(readers_never_see_half_a_text),
      cmocka_unit_test(idle_connections_do_not_keep_others_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
