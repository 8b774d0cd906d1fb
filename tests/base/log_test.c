/* The log: lines are read back from its file and from a pipe in place of stderr. */
#include "base/log.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int set_up(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/mguard-log-XXXXXX");
  int fd = mkstemp(path);
  return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state) {
  (void)state;
  mg_log_close();
  return unlink(path);
}

static void open_machines(mg_log_level level) {
  const mg_log_config config = {.people = MG_LOG_OFF, .machines = level, .file = path};
  assert_int_equal(mg_log_open(&config, NULL), MG_OK);
}

static char content[2 << 20];
static const char *read_file(const char *file) {
  FILE *f = fopen(file, "r");
  assert_non_null(f);
  content[fread(content, 1, sizeof content - 1, f)] = '\0';
  fclose(f);
  return content;
}

static void a_machine_line_is_one_json_object(void **state) {
  (void)state;
  open_machines(MG_LOG_INFO);
  mg_log(MG_LOG_INFO, "queue_requeued",
         MG_FIELDS(MG_LT("task_id", "t1"), MG_LI("attempt_count", 2), MG_LR("duration", 0.25), MG_LB("late", true),
                   MG_LT("host", NULL), MG_LR("ratio", NAN)),
         "task %s goes to another worker", "t1");
  const char *text = read_file(path);
  assert_memory_equal(text, "{\"time\":\"20", 11);
  assert_int_equal(text[32], 'Z'); /* ...T10:11:12.345Z */
  assert_string_equal(
      text + 33,
      "\",\"level\":\"info\",\"event\":\"queue_requeued\",\"text\":\"task t1 goes to another worker\","
      "\"task_id\":\"t1\",\"attempt_count\":2,\"duration\":0.25,\"late\":true,\"host\":null,\"ratio\":null}\n");
}

static void fields_are_escaped(void **state) {
  (void)state;
  open_machines(MG_LOG_INFO);
  mg_log(MG_LOG_INFO, "x",
         MG_FIELDS(MG_LT("v", "\"\\\n\r\t\x01\x7F\xC3\xA9\xFF\xE2\x82\xAC\xED\xA0\x80\xF0\x9F\x98\x80\xC0\x80")), "%s",
         "line\nbreak");
  const char *text = read_file(path);
  assert_non_null(strstr(text, "\"text\":\"line\\nbreak\""));
  assert_non_null(strstr(
      text, "\"v\":\"\\\"\\\\\\n\\r\\t\\u0001\\u007f\xC3\xA9\\ufffd\xE2\x82\xAC\\ufffd\\ufffd\\ufffd\xF0\x9F\x98\x80"
            "\\ufffd\\ufffd\"}\n"));
  assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
}

static void levels_are_kept(void **state) {
  (void)state;
  open_machines(MG_LOG_WARN);
  assert_false(mg_log_wants(MG_LOG_INFO));
  assert_true(mg_log_wants(MG_LOG_WARN));
  assert_false(mg_log_wants(MG_LOG_OFF));
  mg_log(MG_LOG_DEBUG, "no", MG_NO_FIELDS, "no");
  mg_log(MG_LOG_INFO, "no", MG_NO_FIELDS, "no");
  mg_log(MG_LOG_WARN, "yes", MG_NO_FIELDS, "%s", "");
  mg_log(MG_LOG_ERROR, "yes", MG_NO_FIELDS, "%s", "");
  const char *text = read_file(path);
  assert_null(strstr(text, "no"));
  assert_non_null(strstr(text, "\"level\":\"warn\",\"event\":\"yes\"}\n"));
  assert_non_null(strstr(text, "\"level\":\"error\",\"event\":\"yes\"}\n"));
}

static void a_rotated_file_is_opened_again(void **state) {
  (void)state;
  char moved[80];
  snprintf(moved, sizeof moved, "%s.1", path);
  open_machines(MG_LOG_INFO);
  mg_log(MG_LOG_INFO, "before", MG_NO_FIELDS, "%s", "");
  assert_int_equal(rename(path, moved), 0);
  mg_log(MG_LOG_INFO, "between", MG_NO_FIELDS, "%s", "");
  assert_int_equal(mg_log_reopen(NULL), MG_OK);
  mg_log(MG_LOG_INFO, "after", MG_NO_FIELDS, "%s", "");
  assert_non_null(strstr(read_file(moved), "between"));
  assert_null(strstr(content, "after"));
  assert_non_null(strstr(read_file(path), "after"));
  assert_null(strstr(content, "between"));
  assert_int_equal(unlink(moved), 0);
}

static void a_file_that_cannot_be_opened_is_named(void **state) {
  (void)state;
  open_machines(MG_LOG_INFO);
  mg_error e;
  const mg_log_config wrong = {.people = MG_LOG_OFF, .machines = MG_LOG_INFO, .file = "/no/such/folder/log"};
  assert_int_equal(mg_log_open(&wrong, &e), MG_ARG);
  assert_non_null(strstr(e.text, "/no/such/folder/log"));
  mg_log(MG_LOG_INFO, "still_there", MG_NO_FIELDS, "%s", "");
  assert_non_null(strstr(read_file(path), "still_there")); /* the old one stays */
}

static void repeats_are_counted_not_written(void **state) {
  (void)state;
  mg_log_limit limit = {0};
  open_machines(MG_LOG_INFO);
  for (int i = 0; i < 5; i++) mg_log_rarely(&limit, 3600000, MG_LOG_WARN, "again", MG_FIELDS(MG_LI("i", i)), "%s", "");
  assert_int_equal(limit.suppressed, 4);
  limit.next = 0; /* the hour is over */
  mg_log_rarely(&limit, 3600000, MG_LOG_WARN, "again", MG_NO_FIELDS, "%s", "");
  mg_log_rarely(&limit, 3600000, MG_LOG_DEBUG, "again", MG_NO_FIELDS, "%s", ""); /* unwanted: counts nowhere */
  assert_int_equal(limit.suppressed, 0);
  const char *text = read_file(path);
  assert_non_null(strstr(text, "\"i\":0}\n"));
  assert_null(strstr(text, "\"i\":1"));
  assert_non_null(strstr(text, "\"event\":\"again\",\"suppressed\":4}\n"));
}

static void an_error_that_repeats_is_said_once_a_second(void **state) {
  (void)state;
  char wanted[80];
  open_machines(MG_LOG_INFO);
  int said = 0, round = 0;
  for (mg_ms end = mg_now_ms() + 900; mg_now_ms() < end; round++) said += mg_log(MG_LOG_ERROR, "no", MG_FIELDS(MG_LI("i", round)), "out of %s", "memory");
  assert_in_range(said, 1, 2); /* two where this machine stood still meanwhile */
  assert_true(mg_log(MG_LOG_WARN, "other", MG_NO_FIELDS, "out of memory")); /* another event */
  assert_true(mg_log(MG_LOG_ERROR, "no", MG_NO_FIELDS, "out of disk")); /* another text */
  for (int i = 0; i < 3; i++) assert_true(mg_log(MG_LOG_INFO, "fine", MG_NO_FIELDS, "the same")); /* no error */
  int held = round - said;
  for (mg_ms end = mg_now_ms() + 20000; !mg_log(MG_LOG_ERROR, "no", MG_NO_FIELDS, "out of memory") && mg_now_ms() < end;) held++;
  const char *text = read_file(path), *last = strstr(text, "\"suppressed\"");
  assert_non_null(last);
  for (const char *next = last; (next = strstr(next + 1, "\"suppressed\"")) != NULL;) last = next;
  if (said == 1) {
    (void)snprintf(wanted, sizeof wanted, "\"suppressed\":%d}\n", held);
    assert_string_equal(last, wanted);
  }
  /* More different ones than are remembered: all are said, and none is mistaken for another. */
  for (int i = 0; i < 1000; i++) assert_true(mg_log(MG_LOG_WARN, "no", MG_NO_FIELDS, "task %d", i));
}

static void gathered_lines_are_whole_and_in_order(void **state) {
  (void)state;
  static const double reals[] = {0, 0.5, 1, 12.3, 0.012, 99999.999, 100000.25, 0.0005, -0.25, 0.29, 1e300, 123456.789012};
  const mg_log_config config = {.people = MG_LOG_OFF, .machines = MG_LOG_INFO, .file = path, .gathers = true};
  char wanted[100];
  assert_int_equal(mg_log_open(&config, NULL), MG_OK);
  mg_log(MG_LOG_INFO, "a", MG_FIELDS(MG_LI("least", INT64_MIN), MG_LI("most", INT64_MAX), MG_LI("none", 0)), "%d%%", 5);
  assert_string_equal(read_file(path), "");
  mg_log_flush();
  assert_non_null(strstr(read_file(path), "\"a\",\"text\":\"5%\",\"least\":-9223372036854775808,\"most\":9223372036854775807,\"none\":0}\n"));
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) mg_log(MG_LOG_INFO, "b", MG_FIELDS(MG_LR("x", reals[i])), "%s", "");
  mg_log(MG_LOG_WARN, "c", MG_NO_FIELDS, "%s", ""); /* waits for nobody, and what came before it comes first */
  const char *at = read_file(path);
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
    (void)snprintf(wanted, sizeof wanted, "\"x\":%.9g}\n", reals[i]);
    at = strstr(at, wanted);
    if (at == NULL) fail_msg("%s is missing", wanted);
  }
  assert_non_null(strstr(at, "\"c\"}\n"));
  for (int i = 0; i < 10000; i++) mg_log(MG_LOG_INFO, "d", MG_FIELDS(MG_LI("i", i)), "a text of some length");
  assert_true(strlen(read_file(path)) > 500000); /* memory is bounded */
  mg_log_close();
  int lines = 0;
  for (at = read_file(path); (at = strstr(at, "\"event\":\"d\"")) != NULL; lines++) {
    (void)snprintf(wanted, sizeof wanted, "\"i\":%d}\n", lines);
    assert_memory_equal(strchr(at, '\n') + 1 - strlen(wanted), wanted, strlen(wanted));
    at++;
  }
  assert_int_equal(lines, 10000);
}

static void people_read_one_safe_line(void **state) {
  (void)state;
  int ends[2], kept = dup(STDERR_FILENO);
  assert_int_equal(pipe(ends), 0);
  assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
  const mg_log_config config = {.people = MG_LOG_INFO, .machines = MG_LOG_OFF};
  mg_err err = mg_log_open(&config, NULL);
  mg_log(MG_LOG_WARN, "worker_lost",
         MG_FIELDS(MG_LT("worker_id", "h-1"), MG_LT("why", "no beat\x1B[2J"), MG_LT("e", ""), MG_LI("n", -3)),
         "say \"hi\"\n\\ \xC2\x9B%c", 27);
  (void)dup2(kept, STDERR_FILENO);
  (void)close(kept);
  (void)close(ends[1]);
  char text[512];
  ssize_t n = read(ends[0], text, sizeof text - 1);
  (void)close(ends[0]);
  assert_int_equal(err, MG_OK);
  assert_true(n > 25);
  text[n] = '\0';
  assert_string_equal(
      text + 24, " warn  worker_lost: say \"hi\"\\n\\ \\x9b\\x1b worker_id=h-1 why=\"no beat\\x1b[2J\" e=\"\" n=-3\n");
}

static void *write_many(void *given) {
  for (int i = 0; i < 500; i++)
    mg_log(MG_LOG_INFO, "many", MG_FIELDS(MG_LT("from", given), MG_LI("i", i)), "a text of some length");
  return NULL;
}

static void lines_of_threads_do_not_mix(void **state) {
  (void)state;
  static char names[3][2] = {"a", "b", "c"};
  pthread_t threads[3];
  open_machines(MG_LOG_INFO);
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
  for (int i = 0; i < 20; i++) assert_int_equal(mg_log_reopen(NULL), MG_OK);
  for (int i = 0; i < 3; i++) (void)pthread_join(threads[i], NULL);
  int lines = 0;
  char *rest = NULL;
  (void)read_file(path);
  for (char *line = strtok_r(content, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest), lines++) {
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_int_equal(line[strlen(line) - 1], '}');
    assert_null(strstr(line + 1, "{\"time\""));
  }
  assert_int_equal(lines, 1500);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_machine_line_is_one_json_object),
      TEST(fields_are_escaped),
      TEST(levels_are_kept),
      TEST(a_rotated_file_is_opened_again),
      TEST(a_file_that_cannot_be_opened_is_named),
      TEST(repeats_are_counted_not_written),
      TEST(an_error_that_repeats_is_said_once_a_second),
      TEST(gathered_lines_are_whole_and_in_order),
      TEST(people_read_one_safe_line),
      TEST(lines_of_threads_do_not_mix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
