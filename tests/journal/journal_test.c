/* The journal by itself: what was committed is there again, whatever happens to the file after that is noticed. */
#include "base/hash.h"
#include "journal/journal.h"
#include "tests/brokers/brokers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = MG_TEST_PATH_BYTES + 64 };

typedef struct world {
  char root[MG_TEST_PATH_BYTES], dir[MG_TEST_PATH_BYTES + 16];
  uint64_t seen; /* records read */
  uint64_t seed;
} world;

static int set_up(void **state) {
  world *w = calloc(1, sizeof *w);
  assert_true(mg_test_folder(w->root));
  (void)snprintf(w->dir, sizeof w->dir, "%s/a/runs", w->root);
  const char *seed = getenv("JOURNAL_SEED");
  w->seed = seed != NULL ? strtoull(seed, NULL, 10) : mg_random64() % 1000000;
  *state = w;
  return 0;
}

static int tear_down(void **state) {
  free(*state);
  return 0;
}

/* Record i of every test, so that any prefix can be told from anything else. */
static mg_record record_of(uint64_t i, mg_case_range *range, char *body, size_t size) {
  size_t len = (size_t)snprintf(body, size, "result %" PRIu64 " ", i);
  for (; len + 1 < size && len < 40 + i % 200; len++) body[len] = (char)('a' + (i * 7 + len) % 26);
  *range = (mg_case_range){3 * i, 3};
  return (mg_record){.kind = MG_RECORD_RESULT, .seq = i, .first = 3 * i, .ranges = range, .range_count = 1, .body = {(const uint8_t *)body, len}};
}

static uint64_t put_one(mg_journal *j, uint64_t i) {
  mg_case_range range;
  char body[300];
  mg_record r = record_of(i, &range, body, sizeof body);
  return mg_journal_put(j, &r, 3);
}

static mg_err check_one(void *owner, const mg_record *r, mg_error *e) {
  world *w = owner;
  mg_case_range range;
  char body[300];
  mg_record want = record_of(w->seen, &range, body, sizeof body);
  if (r->kind != want.kind || r->seq != want.seq || r->first != want.first || r->range_count != 1 || memcmp(r->ranges, &range, sizeof range) != 0 ||
      r->body.len != want.body.len || memcmp(r->body.data, body, r->body.len) != 0)
    fail_msg("record %" PRIu64 " is not what was put", w->seen);
  w->seen++;
  (void)e;
  return MG_OK;
}

static const mg_fact facts[] = {{"plan", {(const uint8_t *)"plan.lua", 8}}, {"cases", {(const uint8_t *)"1000", 4}}};

static mg_journal *start(world *w, const char *run) {
  mg_error e = {0};
  mg_journal *j = NULL;
  mg_journal_config config = {.dir = w->dir, .run = run, .facts = facts, .fact_count = 2};
  if (mg_journal_start(&j, &config, &e) != MG_OK) fail_msg("%s", e.text);
  return j;
}

static mg_err read_all(world *w, const char *run, mg_error *e) {
  mg_runfile *s;
  w->seen = 0;
  mg_err err = mg_runfile_open(&s, w->dir, run, false, e);
  if (err == MG_OK) err = mg_runfile_read(s, check_one, w, e);
  mg_runfile_close(s);
  return err;
}

static void path_in(const world *w, char out[PATH_BYTES], const char *run, const char *end) {
  (void)snprintf(out, PATH_BYTES, "%s/%s.db%s", w->dir, run, end);
}

/* --- records --- */

static void test_records_come_back(void **state) {
  (void)state;
  mg_case_range ranges[3] = {{0, 1}, {UINT64_MAX - 5, 5}, {127, 128}};
  mg_record in[] = {
      {.kind = MG_RECORD_TASK, .epoch = UINT32_MAX, .seq = UINT64_MAX, .first = 1, .count = 65536, .attempt = 3, .losses = 2},
      {.kind = MG_RECORD_GONE, .seq = 300},
      {.kind = MG_RECORD_RESULT, .seq = 7, .first = 128, .ranges = ranges, .range_count = 3, .body = mg_slice_of("bytes")},
      {.kind = MG_RECORD_REPEAT, .ranges = ranges, .range_count = 2, .body = mg_slice_of("again")},
      {.kind = MG_RECORD_LOST, .first = 16384, .count = 2, .flag = true},
      {.kind = MG_RECORD_NOTE, .body = mg_slice_of("a sentence")},
      {.kind = MG_RECORD_COUNTS, .counts = {1, 2, UINT64_MAX}, .count_count = 3},
      {.kind = MG_RECORD_CLEARED},
  };
  mg_buf bytes = {0};
  for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) mg_record_put(&bytes, &in[i]);
  mg_record_reader reader = {.rest = mg_buf_slice(&bytes)};
  mg_record r;
  for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
    assert_int_equal(mg_record_take(&reader, &r), 1);
    assert_int_equal(r.kind, in[i].kind);
    assert_true(r.epoch == in[i].epoch && r.seq == in[i].seq && r.first == in[i].first && r.count == in[i].count && r.attempt == in[i].attempt);
    assert_true(r.losses == in[i].losses && r.flag == in[i].flag && r.range_count == in[i].range_count && r.count_count == in[i].count_count);
    for (size_t k = 0; k < r.range_count; k++) assert_true(r.ranges[k].first == ranges[k].first && r.ranges[k].count == ranges[k].count);
    assert_memory_equal(r.counts, in[i].counts, sizeof r.counts);
    assert_int_equal(r.body.len, in[i].body.len);
    if (r.body.len > 0) assert_memory_equal(r.body.data, in[i].body.data, r.body.len);
  }
  assert_int_equal(mg_record_take(&reader, &r), 0);
  mg_record_reader_fini(&reader);
  mg_buf_fini(&bytes);
}

static void test_garbage_is_no_record(void **state) {
  (void)state;
  uint64_t seed = mg_random64();
  print_message("seed %" PRIu64 "\n", seed);
  srand48((long)seed);
  for (int round = 0; round < 20000; round++) {
    uint8_t bytes[64];
    size_t len = (size_t)(lrand48() % 64);
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)lrand48();
    if (len > 1) bytes[0] = (uint8_t)(len - 1); /* mostly a length that fits */
    if (len > 1) bytes[1] = (uint8_t)(1 + bytes[1] % 9);
    uint8_t *exact = malloc(len + 1); /* so that a sanitizer sees reads behind it */
    memcpy(exact, bytes, len);
    mg_record_reader reader = {.rest = {exact, len}};
    mg_record r;
    while (mg_record_take(&reader, &r) > 0) assert_in_range(r.kind, 1, MG_RECORD_KINDS - 1);
    mg_record_reader_fini(&reader);
    free(exact);
  }
}

/* --- the file --- */

static void test_it_tells_how_far_behind_it_is(void **state) {
  world *w = *state;
  mg_error e = {0};
  mg_journal *j = NULL;
  mg_journal_lag lag;
  mg_journal_config config = {.dir = w->dir, .run = "r1", .facts = facts, .fact_count = 2, .delay_ms = 3600000};
  assert_int_equal(mg_journal_start(&j, &config, &e), MG_OK);
  mg_journal_lag_of(j, &lag);
  assert_true(lag.unwritten_records == 0 && lag.oldest_ms == 0);
  mg_ms before = mg_now_ms();
  (void)put_one(j, 0);
  mg_ms after = mg_now_ms();
  (void)put_one(j, 1);
  mg_journal_lag_of(j, &lag);
  assert_int_equal(lag.unwritten_records, 2);
  assert_in_range(lag.oldest_ms, before, after); /* the first, not the second */
  assert_int_equal(mg_journal_sync(j, &e), MG_OK);
  mg_journal_lag_of(j, &lag);
  assert_true(lag.unwritten_records == 0 && lag.oldest_ms == 0);
  mg_journal_free(j);
}

static void test_what_was_put_is_there_again(void **state) {
  world *w = *state;
  mg_error e = {0};
  mg_journal *j = start(w, "r1");
  assert_string_equal(strrchr(mg_journal_path(j), '/'), "/r1.db");
  for (uint64_t i = 0; i < 5000; i++) assert_int_equal(put_one(j, i), i + 1);
  assert_int_equal(mg_journal_sync(j, &e), MG_OK);
  assert_int_equal(mg_journal_durable(j), 5000);
  mg_journal_lag lag;
  mg_journal_lag_of(j, &lag);
  assert_int_equal(lag.waiting_records, 0);
  assert_int_equal(lag.written_records, 5000);
  assert_true(lag.commits >= 1 && lag.commits < 500 && lag.last_commit_seconds > 0);
  if (read_all(w, "r1", &e) != MG_OK) fail_msg("while it is open: %s", e.text);
  assert_int_equal(w->seen, 5000);
  mg_fact more = {"state", mg_slice_of("ended")};
  (void)put_one(j, 5000);
  assert_int_equal(mg_journal_set(j, &more, 1, &e), MG_OK);
  mg_journal_free(j);

  mg_runfile *s;
  assert_int_equal(mg_runfile_open(&s, w->dir, "r1", true, &e), MG_OK);
  mg_buf value = {0};
  assert_int_equal(mg_runfile_get(s, "state", &value, &e), MG_OK);
  assert_int_equal(mg_runfile_get(s, "cases", &value, &e), MG_OK);
  assert_int_equal(mg_runfile_get(s, "nothing", &value, &e), MG_OK);
  assert_memory_equal(value.data, "ended1000", 9);
  assert_int_equal(value.len, 9);
  mg_buf_fini(&value);
  uint64_t cases;
  assert_int_equal(mg_runfile_cases(s, &cases, &e), MG_OK);
  assert_int_equal(cases, 3 * 5001);
  assert_int_equal(mg_journal_resume(&j, s, &e), MG_OK); /* goes on where it ends */
  for (uint64_t i = 5001; i < 6000; i++) (void)put_one(j, i);
  mg_journal_free(j);
  assert_int_equal(read_all(w, "r1", &e), MG_OK);
  assert_int_equal(w->seen, 6000);
}

static void test_it_is_committed_without_being_asked(void **state) {
  world *w = *state;
  mg_journal *j = start(w, "r1");
  mg_ms begin = mg_now_ms();
  uint64_t number = put_one(j, 0);
  while (mg_journal_durable(j) < number && mg_now_ms() - begin < 20000) usleep(1000);
  assert_true(mg_journal_durable(j) == number);
  mg_journal_free(j);
}

static void test_one_coordinator_a_run(void **state) {
  world *w = *state;
  mg_error e = {0};
  mg_runfile *s;
  mg_journal *j = start(w, "r1");
  assert_int_equal(mg_runfile_open(&s, w->dir, "r1", true, &e), MG_AGAIN);
  assert_non_null(strstr(e.text, "another coordinator"));
  assert_int_equal(mg_runfile_open(&s, w->dir, "r1", false, &e), MG_OK);
  mg_runfile_close(s);
  assert_true(mg_runfile_held(w->dir, "r1"));
  assert_int_equal(mg_runfile_remove(w->dir, "r1", &e), MG_AGAIN);
  mg_journal_config config = {.dir = w->dir, .run = "r1"};
  mg_journal *other;
  assert_int_not_equal(mg_journal_start(&other, &config, &e), MG_OK);
  (void)put_one(j, 0);
  assert_int_equal(mg_journal_sync(j, &e), MG_OK); /* the attempts did it no harm */
  mg_journal_free(j);
  assert_false(mg_runfile_held(w->dir, "r1"));
  assert_int_equal(mg_runfile_open(&s, w->dir, "r1", true, &e), MG_OK);
  mg_runfile_close(s);
}

static void test_runs_in_a_folder(void **state) {
  world *w = *state;
  mg_error e = {0};
  char **runs;
  size_t count;
  assert_int_equal(mg_runfile_list(w->dir, &runs, &count, &e), MG_OK); /* not there yet */
  assert_int_equal(count, 0);
  mg_journal_free(start(w, "b"));
  mg_journal_free(start(w, "a"));
  assert_int_equal(mg_runfile_list(w->dir, &runs, &count, &e), MG_OK);
  assert_int_equal(count, 2);
  assert_string_equal(runs[0], "a");
  assert_string_equal(runs[1], "b");
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(mg_runfile_remove(w->dir, runs[i], &e), MG_OK);
    free(runs[i]);
  }
  free(runs);
  assert_int_equal(rmdir(w->dir), 0); /* nothing is left */
}

static void test_short_runs_leave_nothing(void **state) {
  world *w = *state;
  mg_error e = {0};
  mg_journal *j;
  mg_journal_config config = {.dir = w->dir, .run = "r1", .facts = facts, .fact_count = 2, .begin_after_ms = 60000};
  assert_int_equal(mg_journal_start(&j, &config, &e), MG_OK);
  (void)put_one(j, 0);
  assert_null(mg_journal_path(j));
  assert_int_equal(mg_journal_sync(j, &e), MG_OK);
  assert_int_equal(mg_journal_set(j, facts, 1, &e), MG_OK);
  mg_journal_free(j);
  struct stat st;
  assert_int_not_equal(stat(w->dir, &st), 0);

  config.begin_after_ms = 30;
  assert_int_equal(mg_journal_start(&j, &config, &e), MG_OK);
  for (uint64_t i = 0; i < 10; i++) (void)put_one(j, i);
  for (mg_ms begin = mg_now_ms(); mg_journal_path(j) == NULL && mg_now_ms() - begin < 20000;) usleep(1000);
  assert_non_null(mg_journal_path(j));
  for (uint64_t i = 10; i < 20; i++) (void)put_one(j, i);
  mg_journal_free(j);
  assert_int_equal(read_all(w, "r1", &e), MG_OK);
  assert_int_equal(w->seen, 20);
}

static void test_folders_that_cannot_be_written(void **state) {
  world *w = *state;
  mg_error e = {0};
  mg_journal *j;
  char path[PATH_BYTES];
  (void)snprintf(path, sizeof path, "%s/file", w->root);
  assert_int_not_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), -1);
  (void)snprintf(path, sizeof path, "%s/file/runs", w->root);
  mg_journal_config config = {.dir = path, .run = "r1"};
  assert_int_equal(mg_journal_start(&j, &config, &e), MG_ARG);
  assert_non_null(strstr(e.text, path));
  assert_non_null(strstr(e.text, "--state-dir"));
  config.begin_after_ms = 1; /* then it is given up, and holds up nobody */
  assert_int_equal(mg_journal_start(&j, &config, &e), MG_OK);
  for (mg_ms begin = mg_now_ms(); mg_journal_given_up(j) == NULL && mg_now_ms() - begin < 20000;) usleep(1000);
  assert_non_null(strstr(mg_journal_given_up(j), path));
  assert_true(mg_journal_durable(j) >= put_one(j, 0));
  assert_int_equal(mg_journal_sync(j, &e), MG_OK);
  mg_journal_free(j);
  config = (mg_journal_config){.dir = "/proc/mguard", .run = "r1"};
  assert_int_equal(mg_journal_start(&j, &config, &e), MG_ARG);
}

static void test_files_that_are_no_journals(void **state) {
  world *w = *state;
  mg_error e = {0};
  mg_runfile *s;
  char path[PATH_BYTES];
  assert_int_equal(mg_runfile_open(&s, w->dir, "none", false, &e), MG_ARG);
  assert_int_equal(mg_runfile_open(&s, w->dir, "none", true, &e), MG_ARG);
  assert_non_null(strstr(e.text, "there is no journal"));
  mg_journal_free(start(w, "r1"));
  path_in(w, path, "r1", "");
  assert_int_equal(truncate(path, 0), 0); /* its making was cut short */
  assert_int_equal(mg_runfile_open(&s, w->dir, "r1", true, &e), MG_LOST);
  assert_non_null(strstr(e.text, "start the run again"));
  FILE *f = fopen(path, "w");
  assert_true(fputs("this is a text and no database, and it is longer than a header would be, which has one hundred bytes, as this has", f) > 0);
  (void)fclose(f);
  assert_int_equal(mg_runfile_open(&s, w->dir, "r1", false, &e), MG_FATAL);
  assert_non_null(strstr(e.text, "damaged"));
}

/* --- damage --- */

static off_t size_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? st.st_size : -1;
}

static void copy(const char *from, const char *to) {
  char command[2 * PATH_BYTES + 32];
  (void)snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
  assert_int_equal(system(command), 0);
}

/* A killed coordinator leaves a log; cut anywhere, what was committed before the cut is there, and nothing that was not. */
static void test_a_log_cut_anywhere(void **state) {
  world *w = *state;
  mg_error e = {0};
  char db[PATH_BYTES], wal[PATH_BYTES], torn_db[PATH_BYTES], torn_wal[PATH_BYTES];
  print_message("seed %" PRIu64 " (JOURNAL_SEED)\n", w->seed);
  srand48((long)w->seed);
  mg_journal *j = start(w, "r1");
  for (uint64_t i = 0; i < 400; i++) {
    (void)put_one(j, i);
    if (i % 10 == 9) assert_int_equal(mg_journal_sync(j, &e), MG_OK);
  }
  path_in(w, db, "r1", "");
  path_in(w, wal, "r1", "-wal");
  path_in(w, torn_db, "torn", "");
  path_in(w, torn_wal, "torn", "-wal");
  off_t size = size_of(wal);
  assert_true(size > 100000);
  uint64_t least = 400, most = 0;
  for (int round = 0; round < 40; round++) {
    copy(db, torn_db); /* as it stands under a running coordinator */
    copy(wal, torn_wal);
    off_t at = lrand48() % size;
    assert_int_equal(truncate(torn_wal, at), 0);
    mg_err err = read_all(w, "torn", &e);
    if (err == MG_LOST)
      w->seen = 0; /* cut before the tables were made */
    else if (err != MG_OK)
      fail_msg("cut at %lld: %s", (long long)at, e.text);
    assert_int_equal(w->seen % 10, 0);
    if (w->seen < least) least = w->seen;
    if (w->seen > most) most = w->seen;
    mg_runfile *s; /* and it can be gone on with */
    if (err == MG_OK) {
      mg_journal *again;
      uint64_t known = w->seen;
      assert_int_equal(mg_runfile_open(&s, w->dir, "torn", true, &e), MG_OK);
      assert_int_equal(mg_journal_resume(&again, s, &e), MG_OK);
      for (uint64_t i = known; i < 400; i++) (void)put_one(again, i);
      mg_journal_free(again);
      assert_int_equal(read_all(w, "torn", &e), MG_OK);
      assert_int_equal(w->seen, 400);
    }
    assert_int_equal(mg_runfile_remove(w->dir, "torn", &e), MG_OK);
  }
  assert_true(least < 200 && most > 200);
  mg_journal_free(j);
}

/* A file cut or changed anywhere is noticed, or what is read is a prefix of what was written. */
static void test_a_file_damaged_anywhere(void **state) {
  world *w = *state;
  mg_error e = {0};
  char db[PATH_BYTES], torn[PATH_BYTES];
  int noticed = 0;
  print_message("seed %" PRIu64 " (JOURNAL_SEED)\n", w->seed);
  srand48((long)w->seed);
  mg_journal *j = start(w, "r1");
  for (uint64_t i = 0; i < 400; i++) {
    (void)put_one(j, i);
    if (i % 10 == 9) assert_int_equal(mg_journal_sync(j, &e), MG_OK);
  }
  mg_journal_free(j);
  path_in(w, db, "r1", "");
  path_in(w, torn, "torn", "");
  off_t size = size_of(db);
  for (int round = 0; round < 200; round++) {
    copy(db, torn);
    off_t at = lrand48() % size;
    if (round % 2 == 0) {
      assert_int_equal(truncate(torn, at), 0);
    } else {
      int fd = open(torn, O_RDWR);
      uint8_t byte = 0;
      assert_int_equal(pread(fd, &byte, 1, at), 1);
      byte ^= (uint8_t)(1 + lrand48() % 255);
      assert_int_equal(pwrite(fd, &byte, 1, at), 1);
      (void)close(fd);
    }
    mg_err err = read_all(w, "torn", &e); /* fails the test where it reads what was not put */
    if (err != MG_OK) noticed++;
    if (err != MG_OK) assert_non_null(strstr(e.text, "torn.db"));
    if (round % 2 == 0) assert_true(err != MG_OK); /* a page is missing */
    assert_int_equal(mg_runfile_remove(w->dir, "torn", &e), MG_OK);
  }
  assert_true(noticed > 120);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_records_come_back),
      cmocka_unit_test(test_garbage_is_no_record),
      cmocka_unit_test_setup_teardown(test_it_tells_how_far_behind_it_is, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_what_was_put_is_there_again, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_it_is_committed_without_being_asked, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_one_coordinator_a_run, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_runs_in_a_folder, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_short_runs_leave_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_folders_that_cannot_be_written, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_files_that_are_no_journals, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_log_cut_anywhere, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_file_damaged_anywhere, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
