#include "observe/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const mg_worker_seen worker = {.name = "w"};

static mg_run_state at(uint64_t counted, uint64_t planned, double rate) {
  return (mg_run_state){
      .counted = counted, .planned = planned, .cases_per_second = rate, .connected = true, .workers = &worker, .worker_count = 1, .now_ms = 1000};
}

static void bars(void **state) {
  (void)state;
  char out[200];
  mg_run_state s = at(4200, 10000, 1234.4);
  mg_progress_bar(out, sizeof out, &s, 80);
  assert_string_equal(out, " 42 % [============>                   ] 4,200/10,000  1,234 cases/s  0:05 left");
  mg_progress_bar(out, sizeof out, &s, 200);
  assert_string_equal(out, " 42 % [===============>                        ] 4,200/10,000  1,234 cases/s  0:05 left");
  mg_progress_bar(out, sizeof out, &s, 50);
  assert_string_equal(out, " 42 %  4,200/10,000  1,234 cases/s  0:05 left");
  mg_progress_bar(out, sizeof out, &s, 20);
  assert_string_equal(out, " 42 %");
  s = at(9999, 10000, 0.25);
  mg_progress_bar(out, sizeof out, &s, 60);
  assert_string_equal(out, " 99 % [============> ] 9,999/10,000  0.2 cases/s  0:04 left");
  s = at(10000, 10000, 10);
  mg_progress_bar(out, sizeof out, &s, 60);
  assert_string_equal(out, "100 % [=========================] 10,000/10,000  10 cases/s");
  s = at(1, 1000000000, 1);
  mg_progress_bar(out, sizeof out, &s, 60);
  assert_non_null(strstr(out, "11574 days left"));
  s = at(1, 10000, 1);
  mg_progress_bar(out, sizeof out, &s, 60);
  assert_non_null(strstr(out, "2:46:39 left"));
}

static void no_width_is_overrun(void **state) {
  (void)state;
  char out[400];
  for (int width = 1; width < 200; width++) {
    for (uint64_t n = 0; n <= 1000; n += 125) {
      mg_run_state s = at(n * 1000000, 1000000000, (double)n * 1e6);
      mg_progress_bar(out, sizeof out, &s, width);
      assert_true((int)strlen(out) <= width);
    }
  }
}

static void says_what_is_missing(void **state) {
  (void)state;
  char out[200];
  mg_run_state s = at(0, 100, 0);
  s.worker_count = 0;
  mg_progress_line(out, sizeof out, &s);
  assert_string_equal(out, "0 of 100 cases (0 %), no worker");
  s.connected = false;
  mg_progress_line(out, sizeof out, &s);
  assert_string_equal(out, "0 of 100 cases (0 %), no broker");
  s = at(50, 100, 20);
  mg_progress_line(out, sizeof out, &s);
  assert_string_equal(out, "50 of 100 cases (50 %), 20 cases/s, 0:03 left");
}

static size_t drain(int fd, char *out, size_t size) {
  size_t n = 0;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  while (n + 1 < size && poll(&p, 1, 100) == 1 && (p.revents & POLLIN) != 0) {
    ssize_t got = read(fd, out + n, size - 1 - n);
    if (got <= 0) break;
    n += (size_t)got;
  }
  out[n] = '\0';
  return n;
}

static void on_a_terminal(void **state) {
  (void)state;
  int mine, theirs;
  char out[2000];
  struct winsize w = {.ws_col = 50, .ws_row = 24};
  assert_int_equal(openpty(&mine, &theirs, NULL, NULL, &w), 0);
  assert_int_equal(setenv("TERM", "xterm", 1), 0);
  mg_progress *p = mg_progress_new(theirs, MG_PROGRESS_AUTO);
  mg_run_state s = at(10, 100, 5);
  mg_progress_update(p, &s);
  mg_progress_update(p, &s); /* too soon: not drawn again */
  (void)drain(mine, out, sizeof out);
  assert_string_equal(out, "\r 10 % [>         ] 10/100  5.0 cases/s  0:18 left\033[K");
  mg_progress_free(p);
  (void)close(mine);
  (void)close(theirs);
}

static void into_a_pipe(void **state) {
  (void)state;
  int fds[2];
  char out[2000];
  assert_int_equal(pipe(fds), 0);
  mg_progress *p = mg_progress_new(fds[1], MG_PROGRESS_AUTO);
  mg_run_state s = at(10, 100, 5);
  for (s.now_ms = 1000; s.now_ms < 9000; s.now_ms += 50) mg_progress_update(p, &s);
  mg_progress_say(p, "a note");
  mg_progress_free(p);
  (void)close(fds[1]);
  (void)drain(fds[0], out, sizeof out);
  assert_string_equal(out, "10 of 100 cases (10 %), 5.0 cases/s, 0:18 left\n10 of 100 cases (10 %), 5.0 cases/s, 0:18 left\na note\n");
  (void)close(fds[0]);
}

static void quiet(void **state) {
  (void)state;
  int fds[2];
  char out[100];
  assert_int_equal(pipe(fds), 0);
  mg_progress *p = mg_progress_new(fds[1], MG_PROGRESS_QUIET);
  mg_run_state s = at(10, 100, 5);
  for (s.now_ms = 1000; s.now_ms < 9000; s.now_ms += 50) mg_progress_update(p, &s);
  mg_progress_say(p, "a note");
  mg_progress_free(p);
  mg_progress_update(NULL, &s);
  mg_progress_say(NULL, "a note");
  mg_progress_free(NULL);
  (void)close(fds[1]);
  assert_int_equal(drain(fds[0], out, sizeof out), 0);
  (void)close(fds[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bars),          cmocka_unit_test(no_width_is_overrun), cmocka_unit_test(says_what_is_missing),
      cmocka_unit_test(on_a_terminal), cmocka_unit_test(into_a_pipe),         cmocka_unit_test(quiet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
