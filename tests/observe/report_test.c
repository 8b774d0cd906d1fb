/* The report of a made-up run: its values, and that it is written whole or not at all. That it keeps its schema, spec/ checks on real runs. */
#include "observe/report.h"
#include "tests/brokers/brokers.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct mg_made {
  mg_plan plan;
  mg_tally tally;
  mg_run_state state;
  mg_judgement judgement;
  mg_report report;
  mg_stored_violation violation;
  mg_different different;
} mg_made;

static void make(mg_made *m, bool has_baseline) {
  static const char *const notes[] = {"worker w1 was lost"};
  static const mg_worker_seen workers[] = {{.name = "w1", .tasks_done = 4}, {.name = "stranger"}, {.name = "w2", .tasks_done = 6}};
  memset(m, 0, sizeof *m);
  m->plan = (mg_plan){.path = "top k/plan.lua",
                      .name = "top_k",
                      .baseline = has_baseline ? "v1" : NULL,
                      .candidate = "v2",
                      .seed = -42,
                      .clause_count = 2,
                      .case_timeout_ms = 2000,
                      .memory_mb = 512,
                      .goal = {.kind = MG_NONINFERIORITY, .margin = 0.01, .alpha = 0.05}};
  m->plan.clauses[0] = (mg_clause){"completes", "implicit", MG_MODE_HARD};
  m->plan.clauses[1] = (mg_clause){"sorted", "property", MG_MODE_SOFT};
  memset(m->plan.fingerprint, 0xa5, 32);
  mg_outcome b = has_baseline ? MG_PASS : MG_ABSENT;
  mg_tally_add_run(&m->tally, b, MG_PASS, 98);
  mg_tally_add(&m->tally, b, MG_FAIL, 0, 2);
  mg_tally_add_run(&m->tally, has_baseline ? MG_DISCARD : MG_ABSENT, MG_DISCARD, 1);
  m->violation = (mg_stored_violation){
      .case_number = 17, .role = MG_CANDIDATE, .clause = 1, .message = (char *)"b\xff\xc3\xa4", .input = (char *)"{3, 1}, 2", .reproduced = 1};
  m->different = (mg_different){3, MG_BASELINE, MG_PASS, MG_TIMED_OUT};
  m->state = (mg_run_state){.run = "20261125-101112-3fa9",
                            .planned = 100,
                            .counted = 100,
                            .started_ms = 1000,
                            .now_ms = 2230,
                            .tally = &m->tally,
                            .digest = {0x0123456789abcdefu, 0xfedcba9876543210u},
                            .violations = &m->violation,
                            .violation_count = 1,
                            .repeated_cases = 20,
                            .different = &m->different,
                            .different_count = 1,
                            .label_count = 1,
                            .workers = workers,
                            .worker_count = 3,
                            .tasks_done = 10,
                            .requeued_tasks = 1,
                            .repeats_dropped = 2,
                            .dead_lettered = 3,
                            .reconnects = 4,
                            .notes = notes,
                            .note_count = 1};
  m->state.labels[0] = (mg_label_count){"empty", 12};
  mg_facts facts = {.clauses = m->plan.clauses, .clause_count = 2, .has_baseline = has_baseline, .planned = 100, .max_discard = 0.5};
  uint32_t none[2] = {0};
  facts.reproduced = facts.vanished = none;
  mg_judge(&m->judgement, &m->tally, &m->plan.goal, &facts);
  m->report = (mg_report){
      .plan = &m->plan, .state = &m->state, .judgement = &m->judgement, .exit_code = 2, .started_wall_ms = 1000, .backend = "memory", .path = "it's r.json"};
}

static json_t *rendered(mg_made *m) {
  mg_buf out = {0};
  json_error_t why;
  assert_int_equal(mg_report_render(&out, &m->report, NULL), MG_OK);
  json_t *j = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES, &why);
  if (j == NULL) fail_msg("%s", why.text);
  assert_int_equal(out.data[out.len - 1], '\n');
  mg_buf_fini(&out);
  return j;
}

static const char *string_at(const json_t *j, const char *key) { return json_string_value(json_object_get(j, key)); }
static long long int_at(const json_t *j, const char *key) { return json_integer_value(json_object_get(j, key)); }

static void values(void **state) {
  (void)state;
  mg_made m;
  make(&m, true);
  json_t *j = rendered(&m);
  assert_string_equal(string_at(j, "run"), "20261125-101112-3fa9");
  assert_string_equal(string_at(j, "outcome_digest"), "fedcba98765432100123456789abcdef");
  assert_string_equal(string_at(j, "started"), "1970-01-01T00:00:01Z");
  assert_string_equal(string_at(j, "verdict"), mg_verdict_name(m.judgement.verdict));
  assert_int_equal(int_at(j, "seed"), -42);
  assert_int_equal(int_at(j, "cases"), 100);
  assert_int_equal(strlen(string_at(j, "fingerprint")), 64);
  assert_true(fabs(json_real_value(json_object_get(j, "seconds")) - 1.23) < 1e-9);
  const json_t *o = json_object_get(j, "outcomes");
  assert_int_equal(int_at(json_object_get(o, "candidate"), "pass"), 98);
  assert_int_equal(int_at(json_object_get(o, "candidate"), "fail"), 1);
  assert_int_equal(int_at(json_object_get(o, "baseline"), "discard"), 1);
  assert_int_equal(int_at(json_object_get(j, "pairs"), "baseline_only"), 1);
  assert_int_equal(int_at(json_array_get(json_object_get(j, "clauses"), 1), "candidate_only"), 1);
  assert_int_equal(int_at(json_object_get(j, "labels"), "empty"), 12);
  const json_t *v = json_array_get(json_object_get(j, "violations"), 0);
  assert_string_equal(string_at(v, "message"), "b\\xFF\xc3\xa4");
  assert_string_equal(string_at(v, "replay"), "mguard replay 'it'\\''s r.json' --case 17");
  assert_true(json_is_null(json_object_get(v, "output")) && json_is_true(json_object_get(v, "reproduced")));
  const json_t *d = json_array_get(json_object_get(json_object_get(j, "repeat_check"), "different"), 0);
  assert_string_equal(string_at(d, "again"), "timeout");
  const json_t *delivery = json_object_get(j, "delivery");
  assert_true(int_at(delivery, "workers") == 2 && int_at(delivery, "tasks") == 10 && int_at(delivery, "requeued") == 1);
  assert_true(int_at(delivery, "repeats_dropped") == 2 && int_at(delivery, "dead_lettered") == 3 && int_at(delivery, "reconnects") == 4);
  assert_string_equal(json_string_value(json_array_get(json_object_get(j, "notes"), 0)), "worker w1 was lost");
  json_decref(j);
}

static void without_baseline_or_path(void **state) {
  (void)state;
  mg_made m;
  make(&m, false);
  m.report.path = NULL;
  json_t *j = rendered(&m);
  assert_true(json_is_null(json_object_get(j, "baseline")) && json_is_null(json_object_get(j, "difference")));
  assert_true(json_is_null(json_object_get(json_object_get(j, "outcomes"), "baseline")));
  assert_true(json_is_null(json_object_get(json_object_get(j, "rates"), "baseline")));
  assert_string_equal(string_at(json_object_get(j, "goal"), "kind"), "absolute");
  assert_string_equal(string_at(json_array_get(json_object_get(j, "violations"), 0), "replay"), "mguard replay 'top k/plan.lua' --case 17 --seed -42");
  json_decref(j);
}

static int entries(const char *dir) {
  int n = 0;
  DIR *d = opendir(dir);
  assert_non_null(d);
  for (struct dirent *x = readdir(d); x != NULL; x = readdir(d)) n += x->d_name[0] != '.';
  (void)closedir(d);
  return n;
}

static void whole_or_not_at_all(void **state) {
  (void)state;
  char dir[MG_TEST_PATH_BYTES], path[MG_TEST_PATH_BYTES + 16], got[16] = "";
  mg_error e;
  assert_true(mg_test_folder(dir));
  (void)snprintf(path, sizeof path, "%s/r.json", dir);
  assert_int_equal(mg_report_write(path, mg_slice_of("first"), NULL), MG_OK);
  assert_int_equal(mg_report_write(path, mg_slice_of("second"), NULL), MG_OK);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  assert_non_null(fgets(got, sizeof got, f));
  (void)fclose(f);
  assert_string_equal(got, "second");
  assert_int_equal(entries(dir), 1);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0); /* a folder stands where the report should */
  assert_int_equal(mg_report_write(path, mg_slice_of("third"), &e), MG_ARG);
  assert_non_null(strstr(e.text, path));
  assert_int_equal(entries(dir), 1);
  assert_int_equal(mg_report_write("/nonexistent/r.json", mg_slice_of("x"), &e), MG_ARG);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(without_baseline_or_path), cmocka_unit_test(whole_or_not_at_all)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
