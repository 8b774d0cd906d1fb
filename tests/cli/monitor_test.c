/* The metrics' page of a run that knows 200 workers: what is on it, and how long a scrape takes. Prints the median in ms for bench/run. */
#include "cli/monitor.h"
#include "tests/dispatch/run_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 200, SCRAPES = 101, PAGE_BYTES = 1 << 20 };

typedef struct scraped {
  mg_monitor *monitor;
  int port;
  bool done;
  int64_t scrape_ns[SCRAPES], render_ns[SCRAPES];
  char page[PAGE_BYTES];
} scraped;

static void beat_as(mg_memory_broker *broker, int i) {
  static const mg_codec plain;
  mg_beat beat = {.counter = 1, .executors = 4, .executors_up = 4};
  mg_buf body = {0}, frame = {0};
  mg_backend *b;
  (void)snprintf(beat.worker, sizeof beat.worker, "worker-%d", i);
  mg_backend_config config = {.identity = beat.worker, .wake_fd = -1, .shared = broker};
  assert_int_equal(mg_memory_backend.open(&b, &config, mg_now_ms() + 1000, NULL), MG_OK);
  mg_beat_encode(&body, &beat);
  assert_int_equal(mg_frame_seal(&plain, mg_buf_slice(&body), &frame, NULL), MG_OK);
  assert_int_equal(mg_memory_backend.beat(b, mg_buf_slice(&frame), 3600000, mg_now_ms() + 1000, NULL), MG_OK);
  mg_memory_backend.close(b);
  mg_buf_fini(&body);
  mg_buf_fini(&frame);
}

/* A scrape as Prometheus makes it: connect, ask, read to the end. */
static void scrape(scraped *s) {
  static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  size_t len = 0;
  ssize_t n;
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
  while (len < sizeof s->page - 1 && (n = recv(fd, s->page + len, sizeof s->page - 1 - len, 0)) > 0) len += (size_t)n;
  s->page[len] = '\0';
  (void)close(fd);
  assert_memory_equal(s->page, "HTTP/1.1 200", 12);
}

static double value_of(const scraped *s, const char *series) {
  char line[200];
  (void)snprintf(line, sizeof line, "\n%s ", series);
  const char *at = strstr(s->page, line);
  if (at == NULL) fail_msg("%s is not on the page:\n%s", series, s->page);
  return strtod(at + strlen(line), NULL);
}

static void on_tick(run_fixture *f) {
  scraped *s = f->mine;
  mg_run_state state;
  mg_coordinator_read(f->coordinator, &state);
  if (s->done || state.worker_count < WORKERS) return;
  s->done = true;
  for (int i = 0; i < SCRAPES; i++) {
    int64_t from_ns = mg_now_ns();
    mg_monitor_run(s->monitor, f->coordinator, NULL, "memory"); /* renders at the first call, then twice a second */
    s->render_ns[i] = mg_now_ns() - from_ns;
    from_ns = mg_now_ns();
    scrape(s);
    s->scrape_ns[i] = mg_now_ns() - from_ns;
  }
  assert_non_null(fixture_hire(f, "w0")); /* and now the run may go on */
}

static int by_size(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void two_hundred_workers_are_scraped_at_once(void **state) {
  (void)state;
  static const mg_flag flags[] = {MG_MONITOR_FLAGS, {NULL, NULL, NULL, NULL}};
  static const mg_command command = {"run", "", "", NULL, flags, 0, 0};
  char *argv[] = {"run", "--metrics-port", "0", NULL};
  run_fixture f;
  mg_args args;
  mg_error e;
  scraped *s = calloc(1, sizeof *s);
  assert_non_null(s);
  assert_int_equal(mg_args_parse(&args, &command, 3, argv), -1);
  if (mg_monitor_start(&s->monitor, &args, &command, &e) != MG_OK) fail_msg("%s", e.text);
  s->port = mg_monitor_port(s->monitor);
  fixture_init(&f, 5000);
  mg_options_set_real(f.options, "lease_seconds", 7200); /* these workers beat once */
  mg_options_set_real(f.options, "heartbeat_timeout", 3600);
  mg_options_set_real(f.options, "heartbeat_interval", 3600);
  f.worker_count = 0;
  f.mine = s;
  f.tick = on_tick;
  for (int i = 0; i < WORKERS; i++) beat_as(f.world.broker, i);
  fixture_run(&f);
  fixture_expect_whole(&f);
  assert_true(s->done);
  assert_int_equal((int)value_of(s, "metamorphic_queue_active_workers"), WORKERS);
  assert_int_equal((int)value_of(s, "metamorphic_queue_worker_heartbeats_total"), WORKERS);
  assert_true(strlen(s->page) < 64 << 10); /* no label grows with the number of workers */
  assert_null(strstr(s->page, "worker-1"));
  int64_t render_ns = s->render_ns[0];
  qsort(s->scrape_ns, SCRAPES, sizeof *s->scrape_ns, by_size);
  print_message("             scrape_ms %.3f, of a page of %zu bytes, which took %.3f ms to make\n", (double)s->scrape_ns[SCRAPES / 2] / 1e6, strlen(s->page),
                (double)render_ns / 1e6);
  assert_true(s->scrape_ns[SCRAPES / 2] < 500000000); /* how fast it is, bench/run tells */
  mg_monitor_stop(s->monitor);
  fixture_fini(&f);
  free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(two_hundred_workers_are_scraped_at_once)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
