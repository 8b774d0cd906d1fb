/* The pool: tasks, deaths, hangs and gaps, ends. */
#include "tests/execute/pool_world.h"

#include "execute/pool_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int idle(const mg_pw *w) {
  int n = 0;
  for (int i = 0; i < w->pool->config.executors; i++) n += w->pool->seats[i].state == MG_SEAT_IDLE;
  return n;
}

/* --- tests --------------------------------------------------------------------------------------------------------------- */

static void a_task_comes_back_whole(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "");
  assert_int_equal(w->fingerprint[2], 3);
  mg_pw_ending *e = mg_pw_run_one(w, 100, 50, "new");
  assert_string_equal(e->r.id, "t");
  assert_int_equal(e->r.count, 50);
  mg_pw_expect_cases(&e->r, 100, NULL, 0, true);
  assert_true(e->r.has_digest);
  assert_int_equal(e->r.digest.low, (100 + 149) * 25);
  assert_int_equal(e->r.role_ns[MG_BASELINE], 150);
  assert_int_equal(e->r.role_ns[MG_CANDIDATE], 250);
  assert_true(e->r.busy_ns > 0);
  const mg_violation *v = NULL;
  assert_int_equal(mg_pw_violations_of(&e->r, 3, MG_BASELINE, &v), 1);
  assert_memory_equal(v->input.data, "in", 2);
  assert_memory_equal(v->output.data, "old", 3);
  assert_int_equal(v->input2.len, 0);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  mg_pw_close(w);
  assert_int_equal(mg_fake_lines_with("teardown"), 1);
}

static void without_a_baseline(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_task t = mg_pw_task_of("t", 0, 20, "segv@5:c,kill@6:c,loop@8:c");
  t.baseline[0] = '\0';
  mg_pw_ending *e = mg_pw_submit(w, 0, &t);
  RUN_UNTIL(w, e->there);
  const mg_pw_oddity odd[] = {{5, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                              {6, MG_CANDIDATE, MG_CRASH, "killed by signal 9 (SIGKILL)"},
                              {8, MG_CANDIDATE, MG_TIMED_OUT, NULL}};
  mg_pw_expect_cases(&e->r, 0, odd, 3, false);
  mg_pw_close(w);
}

static void a_crash_costs_its_case(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  /* 13 and 33: the baseline fails there; 14, 21 and 28: the candidate. Those records must not survive a crash of their own role. */
  mg_pw_ending *e = mg_pw_run_one(w, 0, 40, "segv@0:b,segv@0:c,exit@13:b,kill@13:c,segv@14:c,segv@33:c,exit@39:c,orphan@21:c,silent@22:b");
  const mg_pw_oddity odd[] = {{0, MG_BASELINE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                              {0, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                              {13, MG_BASELINE, MG_CRASH, "exited with status 7"},
                              {13, MG_CANDIDATE, MG_CRASH, "killed by signal 9 (SIGKILL)"},
                              {14, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                              {33, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                              {39, MG_CANDIDATE, MG_CRASH, NULL /* the sixth: violation_cap is 5 */},
                              {21, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"},
                              {22, MG_BASELINE, MG_CRASH, "closed the engine's own socket"}};
  assert_int_equal(e->r.count, 40);
  assert_int_equal(e->r.fault.len, 0);
  mg_pw_expect_cases(&e->r, 0, odd, sizeof odd / sizeof odd[0], true);
  assert_false(e->r.has_digest);
  assert_int_equal(mg_pool_restarts(w->pool), 9);
  for (uint64_t c = 0; c < 40; c++) {
    assert_int_equal(mg_fake_begun(c, "baseline"), 1); /* nothing was run twice */
    assert_int_equal(mg_fake_begun(c, "candidate"), 1);
  }
  assert_int_equal(w->failing, 0);
  mg_pw_close(w);
}

static void a_hang_costs_its_case(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_ms start = mg_now_ms();
  mg_pw_ending *e = mg_pw_run_one(w, 0, 20, "hang@3:b,hang@3:c,hang@7:c");
  mg_ms took = mg_now_ms() - start;
  const mg_pw_oddity odd[] = {{3, MG_BASELINE, MG_TIMED_OUT, "no answer within 300 ms"},
                              {3, MG_CANDIDATE, MG_TIMED_OUT, "no answer within 300 ms"},
                              {7, MG_CANDIDATE, MG_TIMED_OUT, "no answer within 300 ms"}};
  mg_pw_expect_cases(&e->r, 0, odd, 3, true);
  assert_true(took >= 1500); /* three times the limit and the grace */
  assert_int_equal(mg_pool_restarts(w->pool), 3);
  mg_pw_close(w);
}

static void one_that_heeds_the_signal_is_not_killed(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_pw_ending *e = mg_pw_run_one(w, 0, 20, "loop@3:b,loop@4:c");
  assert_int_equal(e->r.outcomes[3], MG_TIMED_OUT | MG_PASS << 4);
  assert_int_equal(e->r.outcomes[4], MG_PASS | MG_TIMED_OUT << 4);
  assert_int_equal(mg_pw_mask_of(&e->r, 4, MG_CANDIDATE), MG_COMPLETES);
  assert_true(e->r.has_digest);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  mg_pw_close(w);
}

static void faults_of_the_checks(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  struct {
    const char *orders, *text;
  } const faults[] = {{"fault@12:g", "fake.lua:7: generator raised"},
                      {"segv@12:g", "/ok: the generator or a transform broke the executor (killed by signal 11 (SIGSEGV)) at case 12"},
                      {"hang@12:g", "/ok: the generator or a transform did not end within 300 ms at case 12"}};
  for (int i = 0; i < 3; i++) {
    mg_pw_ending *e = mg_pw_run_one(w, 10, 20, faults[i].orders);
    assert_int_equal(e->r.count, 2);
    assert_int_equal(e->r.fault.len, strlen(faults[i].text));
    assert_memory_equal(e->r.fault.data, faults[i].text, e->r.fault.len);
    mg_pw_expect_cases(&e->r, 10, NULL, 0, true);
    mg_pw_forget(e);
  }
  mg_pw_close(w);
}

static void refusal_keeps_the_executor(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_pw_ending *e = mg_pw_run_one(w, 0, 5, "refuse");
  assert_int_equal(e->r.count, 0);
  assert_memory_equal(e->r.refused.data, "no such implementation", 22);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  mg_pw_forget(e);
  e = mg_pw_run_one(w, 0, 5, "new");
  mg_pw_expect_cases(&e->r, 0, NULL, 0, true);
  mg_pw_close(w);
}

static void a_full_arena_is_asked_again(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_pw_ending *e = mg_pw_run_one(w, 0, 30, "full@11:g,full@12:g,segv@20:b,full@21:g");
  const mg_pw_oddity odd = {20, MG_BASELINE, MG_CRASH, "killed by signal 11 (SIGSEGV)"};
  assert_int_equal(e->r.count, 30);
  mg_pw_expect_cases(&e->r, 0, &odd, 1, true);
  assert_false(e->r.has_digest);
  assert_int_equal(mg_fake_begun(11, "baseline"), 1);
  assert_int_equal(mg_fake_begun(21, "baseline"), 1);
  assert_int_equal(mg_pool_restarts(w->pool), 1);
  mg_pw_close(w);
}

static void small_tasks_travel_together(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 2);
  char id[16];
  for (int i = 0; i < 500; i++) {
    snprintf(id, sizeof id, "t%d", i);
    mg_task t = mg_pw_task_of(id, (uint64_t)i * 3, 3, i == 250 ? "segv@751:c" : i == 300 ? "fault@901:g" : "new");
    mg_pw_submit(w, i, &t);
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
    const mg_pw_oddity odd = {751, MG_CANDIDATE, MG_CRASH, "killed by signal 11 (SIGSEGV)"};
    mg_pw_expect_cases(r, (uint64_t)i * 3, &odd, 1, true);
    assert_true((i == 300) == (r->fault.len > 0));
    assert_true(r->busy_ns > 0);
  }
  for (uint64_t c = 0; c < 1500; c++) assert_int_equal(mg_fake_begun(c, "candidate"), c == 901 || c == 902 ? 0 : 1);
  assert_true(w->pool->case_ns > 0);
  mg_pw_close(w);
}

static void slow_ticks(uv_timer_t *t) {
  int *left = t->data;
  if (*left > 0) usleep(900 * 1000); /* the loop stands still, as a stopped process would */
  (*left)--;
}

static void a_gap_of_the_loop_is_no_cases_fault(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  RUN_UNTIL(w, w->ready);
  int left = 1;
  uv_timer_t gap;
  uv_timer_init(&w->loop, &gap);
  gap.data = &left;
  uv_timer_start(&gap, slow_ticks, 100, 0);
  mg_pw_ending *e = mg_pw_run_one(w, 0, 20, "once@4:b,hang@6:c"); /* 4 hangs while the gap is there, 6 always */
  uv_close((uv_handle_t *)&gap, NULL);
  const mg_pw_oddity odd[] = {{6, MG_CANDIDATE, MG_TIMED_OUT, "no answer within 300 ms"}};
  mg_pw_expect_cases(&e->r, 0, odd, 1, true);
  assert_int_equal(mg_fake_begun(4, "baseline"), 2);
  assert_int_equal(mg_fake_begun(4, "candidate"), 1);
  assert_int_equal(mg_fake_begun(6, "candidate"), 1);
  assert_int_equal(mg_pool_restarts(w->pool), 2);
  mg_pw_forget(e);

  /* In the candidate the baseline stands. */
  left = 1;
  uv_timer_t another;
  uv_timer_init(&w->loop, &another);
  another.data = &left;
  uv_timer_start(&another, slow_ticks, 100, 0);
  e = mg_pw_run_one(w, 20, 20, "once@24:c");
  uv_close((uv_handle_t *)&another, NULL);
  mg_pw_expect_cases(&e->r, 20, NULL, 0, true);
  assert_int_equal(mg_fake_begun(24, "baseline"), 1);
  assert_int_equal(mg_fake_begun(24, "candidate"), 2);
  mg_pw_close(w);
}

static void a_case_longer_than_a_gap_passes(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  RUN_UNTIL(w, w->ready);
  int left = 4;
  uv_timer_t gap;
  uv_timer_init(&w->loop, &gap);
  gap.data = &left;
  uv_timer_start(&gap, slow_ticks, 30, 30);
  char orders[128] = "";
  for (int i = 0; i < 9; i++) snprintf(orders + strlen(orders), sizeof orders - strlen(orders), "%sslow@%d:c", i > 0 ? "," : "", i * 2 + 1);
  mg_pw_ending *e = mg_pw_run_one(w, 0, 20, orders);
  uv_close((uv_handle_t *)&gap, NULL);
  mg_pw_expect_cases(&e->r, 0, NULL, 0, true);
  mg_pw_forget(e);

  left = 1; /* one case that the whole gap falls into; what is left of it is short enough */
  uv_timer_t another;
  uv_timer_init(&w->loop, &another);
  another.data = &left;
  uv_timer_start(&another, slow_ticks, 50, 0);
  e = mg_pw_run_one(w, 0, 5, "long@2:c");
  uv_close((uv_handle_t *)&another, NULL);
  mg_pw_expect_cases(&e->r, 0, NULL, 0, true);
  assert_int_equal(mg_pool_restarts(w->pool), 0);
  mg_pw_close(w);
}

static void a_script_that_does_not_load(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("fault", 2);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "fake.lua:1: syntax error");
  assert_int_equal(mg_pool_executors_up(w->pool), 0);
  mg_pw_close(w);
  w = mg_pw_open("segv", 1);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "segv cannot be loaded: its executor killed by signal 11 (SIGSEGV)");
  mg_pw_close(w);
  w = mg_pw_open("hang", 1);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "loading hang did not end within 1000 ms");
  mg_pw_close(w);

  mg_pw none = {0};
  mg_error e;
  uv_loop_init(&none.loop);
  mg_pool_config config = {
      .program = "/no/such/mguard", .script = "x", .executors = 2, .load_timeout_ms = 1000, .events = {mg_pw_ready, mg_pw_finished, NULL}, .owner = &none};
  assert_int_equal(mg_pool_new(&none.pool, &none.loop, &config, &e), MG_FATAL);
  assert_string_equal(e.text, "cannot start /no/such/mguard: No such file or directory");
  uv_run(&none.loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&none.loop), 0);
}

static void executors_that_die_in_a_row(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 2); /* one is always up */
  mg_task t = mg_pw_task_of("t", 0, 5, "load@2:g");
  mg_pw_ending *e = mg_pw_submit(w, 0, &t);
  RUN_UNTIL(w, w->failing > 0);
  assert_string_equal(w->cause, "5 executors in a row ended before they had done anything: killed by signal 11 (SIGSEGV)");
  assert_true(mg_pool_failing(w->pool));
  assert_false(e->there);
  assert_int_equal(mg_fake_begun(0, "candidate"), 1); /* what had been done was kept */
  mg_pw_close(w);

  w = mg_pw_open("fragile", 1); /* no executor but the first gets up */
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "");
  t = mg_pw_task_of("t", 0, 5, "segv@1:c");
  e = mg_pw_submit(w, 0, &t);
  RUN_UNTIL(w, w->failing > 0);
  assert_string_equal(w->cause, "5 executors in a row ended before they had done anything: exited with status 9");
  t = mg_pw_task_of("u", 0, 5, "new");
  mg_pw_submit(w, 1, &t);
  mg_pool_withdraw(w->pool, mg_pw_dropped);
  assert_int_equal(w->dropped, 1); /* the other is in the middle */
  mg_pw_close(w);

  w = mg_pw_open("twice", 1);
  RUN_UNTIL(w, w->ready);
  t = mg_pw_task_of("t", 0, 5, "segv@1:c");
  mg_pw_submit(w, 0, &t);
  RUN_UNTIL(w, w->failing > 0);
  assert_string_equal(w->cause, "5 executors in a row ended before they had done anything: files of twice have changed since this worker started: restart it");
  mg_pw_close(w);
}

static void junk_in_the_slot_stops_nobody(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_pw_ending *e = mg_pw_run_one(w, 0, 6, "junk@2:g");
  assert_int_equal(e->r.count, 6);
  mg_pw_forget(e);
  e = mg_pw_run_one(w, 10, 6, "new");
  mg_pw_expect_cases(&e->r, 10, NULL, 0, true);
  mg_pw_close(w);
}

static void withdrawing_and_looking(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_task t = mg_pw_task_of("a", 0, 3, "loop@1:c"), u = mg_pw_task_of("b", 10, 3, "new");
  mg_pw_ending *a = mg_pw_submit(w, 0, &t);
  mg_pw_submit(w, 1, &u);
  uint64_t at = 0;
  mg_role role = MG_BASELINE;
  RUN_UNTIL(w, mg_pool_running(w->pool, a, &at, &role) && at == 1);
  RUN_UNTIL(w, mg_pool_running(w->pool, a, &at, &role) && role == MG_CANDIDATE);
  assert_int_equal(idle(w), 0);
  assert_int_equal(w->pool->waiting_count, 1);
  assert_false(mg_pool_running(w->pool, &w->endings[1], &at, &role));
  mg_pool_withdraw(w->pool, mg_pw_dropped);
  assert_int_equal(w->dropped, 1);
  assert_int_equal(w->pool->waiting_count, 0);
  RUN_UNTIL(w, a->there);
  assert_int_equal(w->finished, 1);
  assert_int_equal(idle(w), 1);
  u.count = 0;
  mg_error e;
  assert_int_equal(mg_pool_submit(w->pool, &u, (mg_slice){0}, NULL, &e), MG_ARG);
  mg_pw_close(w);
}

static mg_pw_ending *unwanted;
static bool is_unwanted(void *owner, void *task_owner, bool begun_already) {
  (void)owner;
  (void)begun_already;
  return task_owner == unwanted;
}

static void cancelling(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open("/ok", 1);
  mg_task t = mg_pw_task_of("a", 0, 3, "hang@1:c"), u = mg_pw_task_of("b", 10, 3, "new");
  t.case_timeout_ms = 60000;
  mg_pw_ending *a = mg_pw_submit(w, 0, &t);
  mg_pw_submit(w, 1, &u);
  mg_pw_submit(w, 2, &u);
  uint64_t at = 0;
  mg_role role = MG_BASELINE;
  RUN_UNTIL(w, mg_pool_running(w->pool, a, &at, &role) && at == 1);
  unwanted = &w->endings[2];
  mg_pool_cancel(w->pool, is_unwanted, mg_pw_dropped);
  assert_int_equal(w->dropped, 1);
  unwanted = a;
  mg_pool_cancel(w->pool, is_unwanted, mg_pw_dropped);
  assert_int_equal(w->dropped, 2);
  assert_false(mg_pool_running(w->pool, a, &at, &role));
  RUN_UNTIL(w, w->endings[1].there);
  assert_int_equal(w->finished, 1);
  assert_int_equal(mg_pool_restarts(w->pool), 1);
  assert_int_equal(w->failing, 0);
  mg_pw_close(w);
}

static void *announced[4];
static int announcements;
static void on_announce(void *owner, void *task_owner) {
  (void)owner;
  assert_true(announcements < 4);
  announced[announcements++] = task_owner;
}

static bool runs(const mg_pw *w, const mg_pw_ending *e, uint64_t at) {
  uint64_t case_number = 0;
  mg_role role;
  return mg_pool_running(w->pool, e, &case_number, &role) && case_number == at;
}

/* What may be poison begins when the world has been told, and not before; the others do not wait for it. */
static void care(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open_with("/ok", 2, on_announce);
  announcements = 0;
  mg_task t = mg_pw_task_of("a", 100, 3, "new"), u = mg_pw_task_of("b", 200, 3, "new");
  t.care = MG_CARE_TELL;
  mg_pw_ending *a = mg_pw_submit(w, 0, &t);
  for (int i = 1; i < 4; i++) mg_pw_submit(w, i, &u);
  RUN_UNTIL(w, w->finished == 3);
  assert_int_equal(announcements, 1);
  assert_ptr_equal(announced[0], a);
  assert_int_equal(mg_fake_begun(100, "baseline"), 0);
  assert_true(runs(w, a, 100)); /* as far as others need to know */
  mg_pool_begin(w->pool, a);
  RUN_UNTIL(w, a->there);
  assert_int_equal(a->r.count, 3);

  a = mg_pw_submit(w, 4, &t); /* taken back before it has begun */
  RUN_UNTIL(w, announcements == 2);
  unwanted = a;
  mg_pool_cancel(w->pool, is_unwanted, mg_pw_dropped);
  assert_int_equal(w->dropped, 1);
  mg_pool_begin(w->pool, a);
  assert_false(runs(w, a, 100));
  mg_pw_submit(w, 5, &u);
  RUN_UNTIL(w, w->endings[5].there);
  mg_pw_close(w);
}

/* Its next loss gives it up: it waits until nothing else runs, and nothing else runs before it has ended. */
static void care_alone(void **state) {
  (void)state;
  mg_pw *w = mg_pw_open_with("/ok", 2, on_announce);
  announcements = 0;
  mg_task t = mg_pw_task_of("a", 100, 1, "long@100:c"), u = mg_pw_task_of("b", 200, 1, "long@200:c"), v = mg_pw_task_of("c", 300, 1, "new");
  t.care = MG_CARE_ALONE;
  t.case_timeout_ms = u.case_timeout_ms = 60000;
  mg_pw_ending *b = mg_pw_submit(w, 0, &u);
  RUN_UNTIL(w, runs(w, b, 200) && mg_fake_begun(200, "candidate") == 1);
  mg_pw_ending *a = mg_pw_submit(w, 1, &t), *c = mg_pw_submit(w, 2, &v);
  RUN_UNTIL(w, announcements == 1);
  assert_true(b->there);
  mg_pool_begin(w->pool, a);
  RUN_UNTIL(w, mg_fake_begun(100, "candidate") == 1);
  RUN_UNTIL(w, mg_pool_executors_up(w->pool) == 2); /* there is one that could take the next */
  assert_int_equal(idle(w), 1);
  assert_int_equal(mg_fake_begun(300, "baseline"), 0);
  RUN_UNTIL(w, c->there);
  assert_true(a->there);
  assert_int_equal(announcements, 1);
  mg_pw_close(w);
}

static void closing_in_the_middle(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) { /* at different moments */
    mg_pw *w = mg_pw_open(i == 0 ? "slow" : "/ok", 2);
    if (i > 1) RUN_UNTIL(w, w->ready);
    mg_task t = mg_pw_task_of("a", 0, 100, "hang@50:c,segv@30:b"), u = mg_pw_task_of("b", 0, 100, "new");
    mg_pw_submit(w, 0, &t);
    mg_pw_submit(w, 1, &u);
    for (int k = 0; k < i - 2; k++) uv_run(&w->loop, UV_RUN_ONCE);
    mg_pw_close(w);
  }
}

static int open_descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = 0;
  while (readdir(d) != NULL) n++;
  closedir(d);
  return n;
}

static void no_descriptor_is_left(void **state) {
  (void)state;
  int before = open_descriptors();
  mg_pw *w = mg_pw_open("/ok", 2);
  mg_pw_run_one(w, 0, 20, "segv@3:c,segv@5:b,hang@7:c");
  mg_pw_close(w);
  assert_int_equal(open_descriptors(), before);
}

int main(int argc, char **argv) {
  int begun = mg_pw_begin(argc, argv);
  if (begun != 0) return begun - 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_task_comes_back_whole, mg_fake_log_fresh),
      cmocka_unit_test_setup(without_a_baseline, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_crash_costs_its_case, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_hang_costs_its_case, mg_fake_log_fresh),
      cmocka_unit_test_setup(one_that_heeds_the_signal_is_not_killed, mg_fake_log_fresh),
      cmocka_unit_test_setup(faults_of_the_checks, mg_fake_log_fresh),
      cmocka_unit_test_setup(refusal_keeps_the_executor, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_full_arena_is_asked_again, mg_fake_log_fresh),
      cmocka_unit_test_setup(small_tasks_travel_together, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_gap_of_the_loop_is_no_cases_fault, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_case_longer_than_a_gap_passes, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_script_that_does_not_load, mg_fake_log_fresh),
      cmocka_unit_test_setup(executors_that_die_in_a_row, mg_fake_log_fresh),
      cmocka_unit_test_setup(junk_in_the_slot_stops_nobody, mg_fake_log_fresh),
      cmocka_unit_test_setup(withdrawing_and_looking, mg_fake_log_fresh),
      cmocka_unit_test_setup(cancelling, mg_fake_log_fresh),
      cmocka_unit_test_setup(care, mg_fake_log_fresh),
      cmocka_unit_test_setup(care_alone, mg_fake_log_fresh),
      cmocka_unit_test_setup(closing_in_the_middle, mg_fake_log_fresh),
      cmocka_unit_test_setup(no_descriptor_is_left, mg_fake_log_fresh),
  };
  return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
