/* The pool over fake_executor.c, whose processes are this test itself. */
#include "execute/pool.h"

#include "base/clock.h"
#include "tests/execute/fake_executor.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 600

typedef struct ending {
  mg_buf bytes;
  mg_result r;
  bool there;
  int times;
} ending;

typedef struct world {
  uv_loop_t loop;
  uv_timer_t deadline;
  mg_pool *pool;
  bool ready, closed, late;
  char fault[512], cause[700];
  uint8_t fingerprint[32];
  int failing, finished, dropped;
  ending endings[MOST];
} world;

static char self[4096], folder[64], log_path[128];

/* --- the world ----------------------------------------------------------------------------------------------------------- */

static void on_ready(void *owner, const char *fault, const uint8_t fingerprint[32]) {
  world *w = owner;
  assert_false(w->ready);
  w->ready = true;
  if (fault != NULL) {
    snprintf(w->fault, sizeof w->fault, "%s", fault);
  } else {
    memcpy(w->fingerprint, fingerprint, 32);
  }
}

static void on_finished(void *owner, void *task_owner, const mg_result *r) {
  world *w = owner;
  ending *e = task_owner;
  mg_error err;
  mg_result copy = *r;
  snprintf(copy.worker, sizeof copy.worker, "test");
  e->times++;
  w->finished++;
  mg_result_encode(&e->bytes, &copy);
  mg_err rc = mg_result_decode(&e->r, mg_buf_slice(&e->bytes), &err);
  if (rc != MG_OK) print_error("%s\n", err.text);
  assert_int_equal(rc, MG_OK);
  e->there = true;
}

static void on_failing(void *owner, const char *cause) {
  world *w = owner;
  w->failing++;
  snprintf(w->cause, sizeof w->cause, "%s", cause);
}

static void on_dropped(void *owner, void *task_owner) {
  world *w = owner;
  (void)task_owner;
  w->dropped++;
}

static void on_closed(void *owner) { ((world *)owner)->closed = true; }
static void on_late(uv_timer_t *t) { ((world *)t->data)->late = true; }

static world *open_world(const char *script, int executors) {
  world *w = calloc(1, sizeof *w);
  mg_error e;
  assert_non_null(w);
  uv_loop_init(&w->loop);
  uv_timer_init(&w->loop, &w->deadline);
  w->deadline.data = w;
  uv_timer_start(&w->deadline, on_late, 20000, 0);
  uv_unref((uv_handle_t *)&w->deadline);
  mg_pool_config config = {.program = self,
                           .script = script,
                           .executors = executors,
                           .load_timeout_ms = 1000,
                           .events = {on_ready, on_finished, on_failing},
                           .owner = w};
  mg_err rc = mg_pool_new(&w->pool, &w->loop, &config, &e);
  if (rc != MG_OK) print_error("%s\n", e.text);
  assert_int_equal(rc, MG_OK);
  return w;
}

#define RUN_UNTIL(w, condition)                        \
  do {                                                 \
    while (!(condition) && !(w)->late) uv_run(&(w)->loop, UV_RUN_ONCE); \
    assert_true(condition);                            \
  } while (0)

static void close_world(world *w) {
  mg_pool_close(w->pool, on_closed);
  RUN_UNTIL(w, w->closed);
  uv_close((uv_handle_t *)&w->deadline, NULL);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
  assert_int_equal(errno, ECHILD);
  for (int i = 0; i < MOST; i++) {
    assert_true(w->endings[i].times <= 1);
    mg_result_fini(&w->endings[i].r);
    mg_buf_fini(&w->endings[i].bytes);
  }
  free(w);
}

static mg_task task_of(const char *id, uint64_t first, uint32_t count, const char *orders) {
  mg_task t = {.epoch = 1, .attempt = 1, .first = first, .count = count, .case_timeout_ms = 300, .memory_mb = 100, .violation_cap = 5};
  snprintf(t.run, sizeof t.run, "run");
  snprintf(t.id, sizeof t.id, "%s", id);
  snprintf(t.baseline, sizeof t.baseline, "old");
  snprintf(t.candidate, sizeof t.candidate, "%s", orders);
  return t;
}

static ending *submit(world *w, int place, const mg_task *t) {
  mg_buf bytes = {0};
  mg_error e;
  mg_task_encode(&bytes, t);
  mg_err rc = mg_pool_submit(w->pool, t, mg_buf_slice(&bytes), &w->endings[place], &e);
  if (rc != MG_OK) print_error("%s\n", e.text);
  assert_int_equal(rc, MG_OK);
  mg_buf_fini(&bytes);
  return &w->endings[place];
}

static ending *run_one(world *w, uint64_t first, uint32_t count, const char *orders) {
  mg_task t = task_of("t", first, count, orders);
  ending *e = submit(w, 0, &t);
  RUN_UNTIL(w, e->there);
  return e;
}

static void forget(ending *e) {
  mg_result_fini(&e->r);
  mg_buf_fini(&e->bytes);
  *e = (ending){0};
}

/* --- what is expected ---------------------------------------------------------------------------------------------------- */

static mg_outcome usual(uint64_t c, mg_role role) { return (role == MG_BASELINE ? c % 10 == 3 : c % 7 == 0) ? MG_FAIL : MG_PASS; }

static mg_clause_mask mask_of(const mg_result *r, uint32_t index, mg_role role) {
  for (size_t i = 0; i < r->failed_count; i++) {
    if (r->failed[i].index == index && r->failed[i].role == role) return r->failed[i].mask;
  }
  return 0;
}

static int violations_of(const mg_result *r, uint32_t index, mg_role role, const mg_violation **out) {
  int n = 0;
  for (size_t i = 0; i < r->violation_count; i++) {
    if (r->violations[i].index != index || r->violations[i].role != role) continue;
    if (out != NULL) *out = &r->violations[i];
    n++;
  }
  return n;
}

typedef struct oddity {
  uint64_t case_number;
  mg_role role;
  mg_outcome outcome;
  const char *message; /* NULL: none is kept */
} oddity;

/* All cases are as usual but the odd ones, with their records, and no record twice. */
static void expect_cases(const mg_result *r, uint64_t first, const oddity *odd, size_t odd_count, bool baseline) {
  uint64_t even = 0;
  for (uint32_t i = 0; i < r->count; i++) {
    uint64_t c = first + i;
    even += c % 2 == 0;
    for (int role = 0; role < MG_ROLES; role++) {
      mg_outcome want = role == MG_BASELINE && !baseline ? MG_ABSENT : usual(c, (mg_role)role);
      mg_clause_mask mask = want == MG_FAIL ? (role == MG_BASELINE ? 2 : 4) : 0;
      int violations = want == MG_FAIL ? 1 : 0;
      const char *message = "not so";
      for (size_t k = 0; k < odd_count; k++) {
        if (odd[k].case_number != c || odd[k].role != (mg_role)role) continue;
        want = odd[k].outcome;
        mask = MG_COMPLETES;
        violations = odd[k].message != NULL;
        message = odd[k].message;
      }
      unsigned got = role == MG_BASELINE ? r->outcomes[i] & 15u : r->outcomes[i] >> 4;
      if (got != (unsigned)want) print_error("case %llu %s: %s\n", (unsigned long long)c, mg_role_name((mg_role)role), mg_outcome_name((mg_outcome)got));
      assert_int_equal(got, want);
      assert_int_equal(mask_of(r, i, (mg_role)role), mask);
      const mg_violation *v = NULL;
      assert_int_equal(violations_of(r, i, (mg_role)role, &v), violations);
      if (v == NULL) continue;
      assert_int_equal(v->case_number, c);
      assert_int_equal(v->message.len, strlen(message));
      assert_memory_equal(v->message.data, message, v->message.len);
    }
  }
  if (even > 0) {
    assert_int_equal(r->label_count, 1);
    assert_int_equal(r->labels[0].count, even);
    assert_int_equal(r->labels[0].name.len, 4);
  }
}

/* How often a role of a case was begun, by the executors' own log. */
static int begun(uint64_t case_number, const char *role) {
  char line[256], want[64];
  int n = 0;
  FILE *f = fopen(log_path, "r");
  if (f == NULL) return 0;
  snprintf(want, sizeof want, "%llu %s ", (unsigned long long)case_number, role);
  while (fgets(line, sizeof line, f) != NULL) n += strncmp(line, want, strlen(want)) == 0;
  fclose(f);
  return n;
}

static int lines_with(const char *word) {
  char line[256];
  int n = 0;
  FILE *f = fopen(log_path, "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof line, f) != NULL) n += strstr(line, word) != NULL;
  fclose(f);
  return n;
}

/* --- tests --------------------------------------------------------------------------------------------------------------- */

static void a_task_comes_back_whole(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "");
  assert_int_equal(w->fingerprint[2], 3);
  ending *e = run_one(w, 100, 50, "new");
  assert_string_equal(e->r.id, "t");
  assert_int_equal(e->r.count, 50);
  expect_cases(&e->r, 100, NULL, 0, true);
  assert_true(e->r.has_digest);
  assert_int_equal(e->r.digest.low, (100 + 149) * 25);
  assert_int_equal(e->r.role_ns[MG_BASELINE], 150);
  assert_int_equal(e->r.role_ns[MG_CANDIDATE], 250);
  assert_true(e->r.busy_ns > 0);
  const mg_violation *v = NULL;
  assert_int_equal(violations_of(&e->r, 3, MG_BASELINE, &v), 1);
  assert_memory_equal(v->input.data, "in", 2);
  assert_memory_equal(v->output.data, "old", 3);
  assert_int_equal(v->input2.len, 0);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  close_world(w);
  assert_int_equal(lines_with("teardown"), 1);
}

static void without_a_baseline(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  mg_task t = task_of("t", 0, 20, "segv@5:c,kill@6:c,loop@8:c");
  t.baseline[0] = '\0';
  ending *e = submit(w, 0, &t);
  RUN_UNTIL(w, e->there);
  const oddity odd[] = {{5, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"}, {6, MG_CANDIDATE, MG_CRASH, "killed by signal 9 (SIGKILL)"}, {8, MG_CANDIDATE, MG_TIMED_OUT, NULL}};
  expect_cases(&e->r, 0, odd, 3, false);
  close_world(w);
}

static void a_crash_costs_its_case(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  /* 13 and 33: the baseline fails there; 14, 21 and 28: the candidate. Those records must not survive a crash of their own role. */
  ending *e = run_one(w, 0, 40, "segv@0:b,segv@0:c,exit@13:b,kill@13:c,segv@14:c,segv@33:c,exit@39:c,orphan@21:c,silent@22:b");
  const oddity odd[] = {{0, MG_BASELINE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},  {0, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                        {13, MG_BASELINE, MG_CRASH, "exited with status 7"},           {13, MG_CANDIDATE, MG_CRASH, "killed by signal 9 (SIGKILL)"},
                        {14, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"}, {33, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                        {39, MG_CANDIDATE, MG_CRASH, NULL /* the sixth: violation_cap is 5 */},          {21, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                        {22, MG_BASELINE, MG_CRASH, "closed the engine's own socket"}};
  assert_int_equal(e->r.count, 40);
  assert_int_equal(e->r.fault.len, 0);
  expect_cases(&e->r, 0, odd, sizeof odd / sizeof odd[0], true);
  assert_false(e->r.has_digest);
  assert_int_equal(mg_pool_restarts(w->pool), 9);
  for (uint64_t c = 0; c < 40; c++) {
    assert_int_equal(begun(c, "baseline"), 1); /* nothing was run twice */
    assert_int_equal(begun(c, "candidate"), 1);
  }
  assert_int_equal(w->failing, 0);
  close_world(w);
}

static void a_hang_costs_its_case(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  mg_ms start = mg_now_ms();
  ending *e = run_one(w, 0, 20, "hang@3:b,hang@3:c,hang@7:c");
  mg_ms took = mg_now_ms() - start;
  const oddity odd[] = {{3, MG_BASELINE, MG_TIMED_OUT, "no answer within 300 ms"},
                        {3, MG_CANDIDATE, MG_TIMED_OUT, "no answer within 300 ms"},
                        {7, MG_CANDIDATE, MG_TIMED_OUT, "no answer within 300 ms"}};
  expect_cases(&e->r, 0, odd, 3, true);
  assert_true(took >= 1500); /* three times the limit and the grace */
  assert_int_equal(mg_pool_restarts(w->pool), 3);
  close_world(w);
}

static void one_that_heeds_the_signal_is_not_killed(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  ending *e = run_one(w, 0, 20, "loop@3:b,loop@4:c");
  assert_int_equal(e->r.outcomes[3], MG_TIMED_OUT | MG_PASS << 4);
  assert_int_equal(e->r.outcomes[4], MG_PASS | MG_TIMED_OUT << 4);
  assert_int_equal(mask_of(&e->r, 4, MG_CANDIDATE), MG_COMPLETES);
  assert_true(e->r.has_digest);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  close_world(w);
}

static void faults_of_the_checks(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  struct {
    const char *orders, *text;
  } const faults[] = {{"fault@12:g", "fake.lua:7: generator raised"},
                      {"segv@12:g", "/ok: the generator or a transform broke the executor (killed by signal 11 (SIGSEGV)) at case 12"},
                      {"hang@12:g", "/ok: the generator or a transform did not end within 300 ms at case 12"}};
  for (int i = 0; i < 3; i++) {
    ending *e = run_one(w, 10, 20, faults[i].orders);
    assert_int_equal(e->r.count, 2);
    assert_int_equal(e->r.fault.len, strlen(faults[i].text));
    assert_memory_equal(e->r.fault.data, faults[i].text, e->r.fault.len);
    expect_cases(&e->r, 10, NULL, 0, true);
    forget(e);
  }
  close_world(w);
}

static void refusal_keeps_the_executor(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  ending *e = run_one(w, 0, 5, "refuse");
  assert_int_equal(e->r.count, 0);
  assert_memory_equal(e->r.refused.data, "no such implementation", 22);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  forget(e);
  e = run_one(w, 0, 5, "new");
  expect_cases(&e->r, 0, NULL, 0, true);
  close_world(w);
}

static void a_full_arena_is_asked_again(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  ending *e = run_one(w, 0, 30, "full@11:g,full@12:g,segv@20:b,full@21:g");
  const oddity odd = {20, MG_BASELINE, MG_CRASH, "killed by signal 11 (SIGSEGV)"};
  assert_int_equal(e->r.count, 30);
  expect_cases(&e->r, 0, &odd, 1, true);
  assert_false(e->r.has_digest);
  assert_int_equal(begun(11, "baseline"), 1);
  assert_int_equal(begun(21, "baseline"), 1);
  assert_int_equal(mg_pool_restarts(w->pool), 1);
  close_world(w);
}

static void small_tasks_travel_together(void **state) {
  (void)state;
  world *w = open_world("/ok", 2);
  char id[16];
  for (int i = 0; i < 500; i++) {
    snprintf(id, sizeof id, "t%d", i);
    mg_task t = task_of(id, (uint64_t)i * 3, 3, i == 250 ? "segv@751:c" : i == 300 ? "fault@901:g" : "new");
    submit(w, i, &t);
  }
  uint64_t at = 0;
  mg_role role = MG_BASELINE;
  assert_false(mg_pool_running(w->pool, &w->endings[499], &at, &role));
  RUN_UNTIL(w, w->finished == 500);
  for (int i = 0; i < 500; i++) {
    const mg_result *r = &w->endings[i].r;
    snprintf(id, sizeof id, "t%d", i);
    assert_string_equal(r->id, id);
    assert_int_equal(r->count, i == 300 ? 1 : 3);
    const oddity odd = {751, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"};
    expect_cases(r, (uint64_t)i * 3, &odd, 1, true);
    assert_true((i == 300) == (r->fault.len > 0));
    assert_true(r->busy_ns > 0);
  }
  for (uint64_t c = 0; c < 1500; c++) assert_int_equal(begun(c, "candidate"), c == 901 || c == 902 ? 0 : 1);
  assert_true(mg_pool_case_ns(w->pool) > 0);
  close_world(w);
}

static void slow_ticks(uv_timer_t *t) {
  int *left = t->data;
  if (*left > 0) usleep(900 * 1000); /* the loop stands still, as a stopped process would */
  (*left)--;
}

static void a_gap_of_the_loop_is_no_cases_fault(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  RUN_UNTIL(w, w->ready);
  int left = 1;
  uv_timer_t gap;
  uv_timer_init(&w->loop, &gap);
  gap.data = &left;
  uv_timer_start(&gap, slow_ticks, 100, 0);
  ending *e = run_one(w, 0, 20, "once@4:b,hang@6:c"); /* 4 hangs while the gap is there, 6 always */
  uv_close((uv_handle_t *)&gap, NULL);
  const oddity odd[] = {{6, MG_CANDIDATE, MG_TIMED_OUT, "no answer within 300 ms"}};
  expect_cases(&e->r, 0, odd, 1, true);
  assert_int_equal(begun(4, "baseline"), 2);
  assert_int_equal(begun(4, "candidate"), 1);
  assert_int_equal(begun(6, "candidate"), 1);
  assert_int_equal(mg_pool_restarts(w->pool), 2);
  forget(e);

  /* In the candidate the baseline stands. */
  left = 1;
  uv_timer_t another;
  uv_timer_init(&w->loop, &another);
  another.data = &left;
  uv_timer_start(&another, slow_ticks, 100, 0);
  e = run_one(w, 20, 20, "once@24:c");
  uv_close((uv_handle_t *)&another, NULL);
  expect_cases(&e->r, 20, NULL, 0, true);
  assert_int_equal(begun(24, "baseline"), 1);
  assert_int_equal(begun(24, "candidate"), 2);
  close_world(w);
}

static void a_case_longer_than_a_gap_passes(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  RUN_UNTIL(w, w->ready);
  int left = 4;
  uv_timer_t gap;
  uv_timer_init(&w->loop, &gap);
  gap.data = &left;
  uv_timer_start(&gap, slow_ticks, 30, 30);
  char orders[128] = "";
  for (int i = 0; i < 9; i++) snprintf(orders + strlen(orders), sizeof orders - strlen(orders), "%sslow@%d:c", i > 0 ? "," : "", i * 2 + 1);
  ending *e = run_one(w, 0, 20, orders);
  uv_close((uv_handle_t *)&gap, NULL);
  expect_cases(&e->r, 0, NULL, 0, true);
  forget(e);

  left = 1; /* one case that the whole gap falls into; what is left of it is short enough */
  uv_timer_t another;
  uv_timer_init(&w->loop, &another);
  another.data = &left;
  uv_timer_start(&another, slow_ticks, 50, 0);
  e = run_one(w, 0, 5, "long@2:c");
  uv_close((uv_handle_t *)&another, NULL);
  expect_cases(&e->r, 0, NULL, 0, true);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  close_world(w);
}

static void a_script_that_does_not_load(void **state) {
  (void)state;
  world *w = open_world("fault", 2);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "fake.lua:1: syntax error");
  assert_int_equal(mg_pool_executors_up(w->pool), 0);
  close_world(w);
  w = open_world("segv", 1);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "segv cannot be loaded: its executor killed by signal 11 (SIGSEGV)");
  close_world(w);
  w = open_world("hang", 1);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "loading hang did not end within 1000 ms");
  close_world(w);

  world none = {0};
  mg_error e;
  uv_loop_init(&none.loop);
  mg_pool_config config = {.program = "/no/such/mguard", .script = "x", .executors = 2, .load_timeout_ms = 1000, .events = {on_ready, on_finished, NULL}, .owner = &none};
  assert_int_equal(mg_pool_new(&none.pool, &none.loop, &config, &e), MG_FATAL);
  assert_string_equal(e.text, "cannot start /no/such/mguard: No such file or directory");
  uv_run(&none.loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&none.loop), 0);
}

static void executors_that_die_in_a_row(void **state) {
  (void)state;
  world *w = open_world("/ok", 2); /* one is always up */
  mg_task t = task_of("t", 0, 5, "load@2:g");
  ending *e = submit(w, 0, &t);
  RUN_UNTIL(w, w->failing > 0);
  assert_string_equal(w->cause, "5 executors in a row ended before they had done anything: killed by signal 11 (SIGSEGV)");
  assert_true(mg_pool_failing(w->pool));
  assert_false(e->there);
  assert_int_equal(begun(0, "candidate"), 1); /* what had been done was kept */
  close_world(w);

  w = open_world("fragile", 1); /* no executor but the first gets up */
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "");
  t = task_of("t", 0, 5, "segv@1:c");
  e = submit(w, 0, &t);
  RUN_UNTIL(w, w->failing > 0);
  assert_string_equal(w->cause, "5 executors in a row ended before they had done anything: exited with status 9");
  t = task_of("u", 0, 5, "new");
  submit(w, 1, &t);
  mg_pool_withdraw(w->pool, on_dropped);
  assert_int_equal(w->dropped, 1); /* the other is in the middle */
  close_world(w);

  w = open_world("twice", 1);
  RUN_UNTIL(w, w->ready);
  t = task_of("t", 0, 5, "segv@1:c");
  submit(w, 0, &t);
  RUN_UNTIL(w, w->failing > 0);
  assert_string_equal(w->cause, "5 executors in a row ended before they had done anything: files of twice have changed since this worker started: restart it");
  close_world(w);
}

static void junk_in_the_slot_stops_nobody(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  ending *e = run_one(w, 0, 6, "junk@2:g");
  assert_int_equal(e->r.count, 6);
  forget(e);
  e = run_one(w, 10, 6, "new");
  expect_cases(&e->r, 10, NULL, 0, true);
  close_world(w);
}

static void withdrawing_and_looking(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  mg_task t = task_of("a", 0, 3, "loop@1:c"), u = task_of("b", 10, 3, "new");
  ending *a = submit(w, 0, &t);
  submit(w, 1, &u);
  uint64_t at = 0;
  mg_role role = MG_BASELINE;
  RUN_UNTIL(w, mg_pool_running(w->pool, a, &at, &role) && at == 1);
  RUN_UNTIL(w, mg_pool_running(w->pool, a, &at, &role) && role == MG_CANDIDATE);
  assert_int_equal(mg_pool_idle(w->pool), 0);
  assert_int_equal(mg_pool_waiting(w->pool), 1);
  assert_false(mg_pool_running(w->pool, &w->endings[1], &at, &role));
  mg_pool_withdraw(w->pool, on_dropped);
  assert_int_equal(w->dropped, 1);
  assert_int_equal(mg_pool_waiting(w->pool), 0);
  RUN_UNTIL(w, a->there);
  assert_int_equal(w->finished, 1);
  assert_int_equal(mg_pool_idle(w->pool), 1);
  u.count = 0;
  mg_error e;
  assert_int_equal(mg_pool_submit(w->pool, &u, (mg_slice){0}, NULL, &e), MG_ARG);
  close_world(w);
}

static ending *unwanted;
static bool is_unwanted(void *owner, void *task_owner, bool begun_already) {
  (void)owner;
  (void)begun_already;
  return task_owner == unwanted;
}

static void cancelling(void **state) {
  (void)state;
  world *w = open_world("/ok", 1);
  mg_task t = task_of("a", 0, 3, "hang@1:c"), u = task_of("b", 10, 3, "new");
  t.case_timeout_ms = 60000;
  ending *a = submit(w, 0, &t);
  submit(w, 1, &u);
  submit(w, 2, &u);
  uint64_t at = 0;
  mg_role role = MG_BASELINE;
  RUN_UNTIL(w, mg_pool_running(w->pool, a, &at, &role) && at == 1);
  unwanted = &w->endings[2];
  mg_pool_cancel(w->pool, is_unwanted, on_dropped);
  assert_int_equal(w->dropped, 1);
  unwanted = a;
  mg_pool_cancel(w->pool, is_unwanted, on_dropped);
  assert_int_equal(w->dropped, 2);
  assert_false(mg_pool_running(w->pool, a, &at, &role));
  RUN_UNTIL(w, w->endings[1].there);
  assert_int_equal(w->finished, 1);
  assert_int_equal(mg_pool_restarts(w->pool), 1);
  assert_int_equal(w->failing, 0);
  close_world(w);
}

static void closing_in_the_middle(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) { /* at different moments */
    world *w = open_world(i == 0 ? "slow" : "/ok", 2);
    if (i > 1) RUN_UNTIL(w, w->ready);
    mg_task t = task_of("a", 0, 100, "hang@50:c,segv@30:b"), u = task_of("b", 0, 100, "new");
    submit(w, 0, &t);
    submit(w, 1, &u);
    for (int k = 0; k < i - 2; k++) uv_run(&w->loop, UV_RUN_ONCE);
    close_world(w);
  }
}

static int open_descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = 0;
  while (readdir(d) != NULL) n++;
  closedir(d);
  return n;
}

static int fresh_log(void **state) {
  (void)state;
  static int number;
  snprintf(log_path, sizeof log_path, "%s/%d", folder, number++);
  return setenv("FAKE_LOG", log_path, 1);
}

static int remove_folder(void **state) {
  (void)state;
  DIR *d = opendir(folder);
  for (struct dirent *f; d != NULL && (f = readdir(d)) != NULL;) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
    (void)unlink(path);
  }
  if (d != NULL) closedir(d);
  return rmdir(folder);
}

static void no_descriptor_is_left(void **state) {
  (void)state;
  int before = open_descriptors();
  world *w = open_world("/ok", 2);
  run_one(w, 0, 20, "segv@3:c,segv@5:b,hang@7:c");
  close_world(w);
  assert_int_equal(open_descriptors(), before);
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "__executor") == 0) return fake_executor(atoi(argv[2]), atoi(argv[3]));
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  snprintf(folder, sizeof folder, "/tmp/mguard-pool-XXXXXX");
  if (n <= 0 || mkdtemp(folder) == NULL) return 1;
  alarm(240);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_task_comes_back_whole, fresh_log),
      cmocka_unit_test_setup(without_a_baseline, fresh_log),
      cmocka_unit_test_setup(a_crash_costs_its_case, fresh_log),
      cmocka_unit_test_setup(a_hang_costs_its_case, fresh_log),
      cmocka_unit_test_setup(one_that_heeds_the_signal_is_not_killed, fresh_log),
      cmocka_unit_test_setup(faults_of_the_checks, fresh_log),
      cmocka_unit_test_setup(refusal_keeps_the_executor, fresh_log),
      cmocka_unit_test_setup(a_full_arena_is_asked_again, fresh_log),
      cmocka_unit_test_setup(small_tasks_travel_together, fresh_log),
      cmocka_unit_test_setup(a_gap_of_the_loop_is_no_cases_fault, fresh_log),
      cmocka_unit_test_setup(a_case_longer_than_a_gap_passes, fresh_log),
      cmocka_unit_test_setup(a_script_that_does_not_load, fresh_log),
      cmocka_unit_test_setup(executors_that_die_in_a_row, fresh_log),
      cmocka_unit_test_setup(junk_in_the_slot_stops_nobody, fresh_log),
      cmocka_unit_test_setup(withdrawing_and_looking, fresh_log),
      cmocka_unit_test_setup(cancelling, fresh_log),
      cmocka_unit_test_setup(closing_in_the_middle, fresh_log),
      cmocka_unit_test_setup(no_descriptor_is_left, fresh_log),
  };
  return cmocka_run_group_tests_name("pool", tests, NULL, remove_folder);
}
