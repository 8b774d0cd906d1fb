/* The worker over the real link and the memory backend. */
#include "tests/execute/worker_world.h"

#include "base/clock.h"
#include "base/log.h"
#include "tests/execute/fake_executor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The memory backend as one that hands out again by itself: somebody may have had each task before. */
static mg_err fetch_again(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e) {
  mg_err err = mg_memory_backend.fetch_tasks(b, how, out, e);
  for (size_t i = 0; i < out->count; i++) out->items[i].again = true;
  return err;
}

static void runs_what_it_is_given(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 2, 5000);
  char id[16];
  for (int i = 0; i < 300; i++) {
    snprintf(id, sizeof id, "t%d", i);
    mg_task t = mg_ww_task_of(id, (uint64_t)i * 5, 5, i == 7 ? "segv@36:c" : "new");
    mg_ww_publish(w, &t);
  }
  RUN_UNTIL(w, w->got_count == 300 && mg_ww_depth(w).in_flight == 0);
  assert_int_equal(mg_ww_depth(w).pending, 0);
  for (int i = 0; i < 300; i++) {
    snprintf(id, sizeof id, "t%d", i);
    const mg_result *r = mg_ww_result_of(w, id);
    assert_non_null(r);
    assert_int_equal(r->count, 5);
    assert_int_equal(r->epoch, 1);
  }
  assert_int_equal(mg_ww_result_of(w, "t7")->outcomes[1] >> 4, MG_CRASH);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 0));
  assert_int_equal(s.cases_done, 1500);
  assert_int_equal(s.tasks_done, 300);
  assert_int_equal(s.restarts, 1);
  assert_true(s.connected);
  assert_string_equal(mg_worker_name(w->worker), "worker-1");
  RUN_UNTIL(w, mg_ww_read_beat(w) && w->beat.cases_done == 1500 && w->beat.task_count == 0);
  assert_int_equal(w->beat.executors, 2);
  assert_int_equal(w->beat.fingerprint[2], 3);
  assert_false(w->beat.draining);
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, w->stopped);
  assert_string_equal(w->failed, "");
  assert_true(mg_ww_read_beat(w));
  assert_true(w->beat.leaving);
  assert_int_equal(mg_fake_lines_with("teardown"), 2);
  mg_ww_close(w);
}

/* Whatever a task with care does, the broker knows before that this worker has begun it. */
static void tells_before_it_begins(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 2, 5000);
  RUN_UNTIL(w, w->ready);
  for (int i = 0; i < 2; i++) {
    mg_task t = mg_ww_task_of(i == 0 ? "a" : "b", 1000, 1, "long@1000:b");
    t.care = i == 0 ? MG_CARE_TELL : MG_CARE_ALONE;
    mg_ww_publish(w, &t);
    RUN_UNTIL(w, mg_fake_lines_with("1000 baseline") == i + 1);
    assert_true(mg_ww_read_beat(w) && w->beat.task_count == 1 && w->beat.tasks[0].running && w->beat.tasks[0].case_number == 1000);
    RUN_UNTIL(w, mg_ww_result_of(w, t.id) != NULL && mg_ww_depth(w).in_flight == 0);
  }
  mg_ww_close(w);
}

static void other_files_are_refused(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_task t = mg_ww_task_of("a", 0, 3, "new"), u = mg_ww_task_of("b", 0, 3, "new");
  t.fingerprint[0] = 9;
  mg_ms start = mg_now_ms();
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, w->got_count == 1);
  const mg_result *r = mg_ww_result_of(w, "a");
  assert_int_equal(r->count, 0);
  char *text = strndup((const char *)r->refused.data, r->refused.len);
  assert_string_equal(text, "files differ: the run's fingerprint is 0902030000000000000000000000000000000000000000000000000000000000, worker worker-1 has "
                            "0102030000000000000000000000000000000000000000000000000000000000");
  free(text);
  assert_int_equal(r->worker_fingerprint[0], 1);
  RUN_UNTIL(w, mg_ww_depth(w).in_flight == 0);
  assert_int_equal(mg_ww_depth(w).pending, 1);
  snprintf(u.run, sizeof u.run, "other"); /* another run is served meanwhile, and that one let alone */
  snprintf(t.id, sizeof t.id, "a2");
  mg_ww_publish(w, &t);
  mg_ww_publish(w, &u);
  RUN_UNTIL(w, mg_fake_lines_with("0 candidate") == 1);
  assert_true(w->got_count < 4);
  RUN_UNTIL(w, w->got_count >= 2); /* refused again */
  assert_true(mg_now_ms() - start >= 1000);
  RUN_UNTIL(w, w->got_count >= 4); /* two seconds later */
  assert_true(mg_now_ms() - start >= 3000);
  assert_int_equal(mg_fake_lines_with("candidate"), 3);
  mg_ww_close(w);
}

static void what_it_cannot_run(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_ww_publish_body(w, "run", "junk", mg_slice_of("\x01 this is no task"));
  mg_task t = mg_ww_task_of("a", 0, 3, "refuse"), u = mg_ww_task_of("c", 0, 3, "new");
  mg_ww_publish(w, &t);
  snprintf(u.run, sizeof u.run, "other");
  mg_ww_publish(w, &u);
  RUN_UNTIL(w, w->got_count == 1 && mg_ww_depth(w).dead == 1 && mg_ww_depth(w).in_flight == 0);
  assert_int_equal(mg_ww_depth(w).pending, 1);
  assert_memory_equal(mg_ww_result_of(w, "a")->refused.data, "no such implementation", 22);
  assert_int_equal(mg_fake_lines_with("candidate"), 3);
  mg_ww_close(w);
}

/* The end of an interrupted run is heard a moment after the tasks of its resumption came: these are not meant. */
static void a_late_end_spares_the_resumed(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_task t = mg_ww_task_of("a", 0, 4, "long@0:c,long@1:c,long@2:c,long@3:c"), u = mg_ww_task_of("b", 10, 3, "new"), v = mg_ww_task_of("old", 20, 3, "new");
  t.epoch = u.epoch = 2;
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, mg_ww_beat_lists(w, "a", true, 1));
  mg_ww_publish(w, &v);
  mg_ww_publish(w, &u);
  mg_ww_control(w, MG_RUN_CANCELLED, "run", 1);
  RUN_UNTIL(w, mg_ww_depth(w).pending + mg_ww_depth(w).in_flight == 2); /* heard: what is left of the old epoch went unrun */
  assert_true(mg_ww_beat_lists(w, "a", true, 1));
  assert_null(mg_ww_result_of(w, "old"));
  mg_task x = mg_ww_task_of("c", 30, 3, "new"); /* and those that come after it are run as well */
  x.epoch = 2;
  mg_ww_publish(w, &x);
  RUN_UNTIL(w, w->got_count == 3);
  assert_int_equal(mg_ww_result_of(w, "b")->count, 3);
  assert_int_equal(mg_ww_result_of(w, "c")->count, 3);
  assert_int_equal(mg_fake_lines_with("20 candidate"), 0);
  mg_ww_close(w);
}

static void a_run_that_is_over(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_task t = mg_ww_task_of("a", 0, 3, "hang@1:c"), u = mg_ww_task_of("b", 10, 3, "new");
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, mg_ww_beat_lists(w, "a", true, 1));
  for (int i = 0; i < 10; i++) {
    snprintf(u.id, sizeof u.id, "b%d", i);
    mg_ww_publish(w, &u);
  }
  mg_ww_control(w, MG_RUN_CANCELLED, "run", 1);
  RUN_UNTIL(w, mg_ww_depth(w).pending == 0 && mg_ww_depth(w).in_flight == 0);
  assert_int_equal(w->got_count, 0);
  assert_int_equal(mg_fake_lines_with("10 candidate"), 0);
  mg_task v = mg_ww_task_of("c", 20, 3, "new"); /* resumed: the epoch is higher */
  v.epoch = 2;
  mg_ww_publish(w, &v);
  RUN_UNTIL(w, w->got_count == 1);
  assert_int_equal(mg_ww_result_of(w, "c")->count, 3);
  mg_ww_control(w, MG_RUN_CLOSED, "run", 2); /* and ends for good */
  mg_task x = mg_ww_task_of("d", 30, 3, "new");
  x.epoch = 2;
  for (mg_ms until = mg_now_ms() + 1500; mg_now_ms() < until;) mg_ww_step(w); /* it is heard within a second */
  mg_ww_publish(w, &x);
  RUN_UNTIL(w, mg_ww_depth(w).pending == 0 && mg_ww_depth(w).in_flight == 0);
  assert_int_equal(w->got_count, 1);
  mg_ww_close(w);

  w = mg_ww_open("/ok", 1, 5000); /* a worker that met the run only after its end */
  RUN_UNTIL(w, w->ready);
  mg_ww_control(w, MG_RUN_CANCELLED, "run", 1);
  for (mg_ms until = mg_now_ms() + 1500; mg_now_ms() < until;) mg_ww_step(w);
  mg_ww_publish(w, &u);
  RUN_UNTIL(w, mg_ww_depth(w).pending == 0 && mg_ww_depth(w).in_flight == 0);
  assert_int_equal(w->got_count, 0);
  mg_ww_publish(w, &v);
  RUN_UNTIL(w, w->got_count == 1);
  mg_ww_close(w);
}

/* One waits behind another, one comes later: neither runs, both are settled. What has begun is answered. */
static void tasks_nobody_waits_for(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_control c = {.kind = MG_TASKS_DROPPED, .subject = "run", .task_count = 3, .tasks = {"a", "b", "c"}};
  mg_task t = mg_ww_task_of("a", 0, 3, "long@0:c,long@1:c,long@2:c"), u = mg_ww_task_of("b", 10, 3, "new"), v = mg_ww_task_of("c", 20, 3, "new"),
          x = mg_ww_task_of("d", 30, 3, "new");
  mg_worker_stats s;
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, mg_ww_beat_lists(w, "a", true, 0));
  mg_ww_publish(w, &u);
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 2));
  mg_ww_say(w, &c);
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 1) || w->got_count == 1);
  mg_ww_publish(w, &v);
  mg_ww_publish(w, &x);
  RUN_UNTIL(w, w->got_count == 2 && mg_ww_depth(w).pending == 0 && mg_ww_depth(w).in_flight == 0);
  assert_int_equal(mg_ww_result_of(w, "a")->count, 3);
  assert_int_equal(mg_ww_result_of(w, "d")->count, 3);
  assert_int_equal(mg_fake_lines_with("10 candidate") + mg_fake_lines_with("20 candidate"), 0);
  mg_ww_close(w);
}

/* It is named in a beat before it runs, and a moment later it does: what is known of it has arrived by then. Here that is that nobody waits for it. */
static void what_somebody_had_before(void **state) {
  (void)state;
  mg_backend_ops again = mg_memory_backend;
  mg_control c = {.kind = MG_TASKS_DROPPED, .subject = "run", .task_count = 1, .tasks = {"b"}};
  again.fetch_tasks = fetch_again;
  mg_ww_backend = &again;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_task t = mg_ww_task_of("a", 1000, 3, "long@1000:b"), u = mg_ww_task_of("b", 10, 3, "new");
  RUN_UNTIL(w, w->ready);
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, mg_fake_lines_with("1000 baseline") == 1);
  assert_true(mg_ww_read_beat(w) && w->beat.task_count == 1 && w->beat.tasks[0].running);
  RUN_UNTIL(w, w->got_count == 1);
  assert_int_equal(mg_ww_result_of(w, "a")->count, 3);
  mg_ww_say(w, &c);
  uint64_t counter = w->beat.counter;
  RUN_UNTIL(w, mg_ww_read_beat(w) && w->beat.counter > counter + 3); /* controls are read as often */
  mg_ww_publish(w, &u);
  RUN_UNTIL(w, mg_ww_depth(w).pending == 0 && mg_ww_depth(w).in_flight == 0);
  assert_int_equal(w->got_count, 1);
  assert_int_equal(mg_fake_lines_with("10 candidate"), 0);
  mg_ww_close(w);
  mg_ww_backend = &mg_memory_backend;
}

static void quarantine(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  RUN_UNTIL(w, w->ready);
  mg_ww_control(w, MG_QUARANTINE, "worker-1", 0);
  mg_task t = mg_ww_task_of("a", 0, 3, "new");
  mg_worker_stats s;
  /* It is heard within a second; then nothing is fetched, while it goes on beating. */
  for (mg_ms until = mg_now_ms() + 1500; mg_now_ms() < until;) mg_ww_step(w);
  mg_ww_publish(w, &t);
  assert_true(mg_ww_read_beat(w));
  uint64_t counter = w->beat.counter;
  for (mg_ms until = mg_now_ms() + 500; mg_now_ms() < until;) mg_ww_step(w);
  assert_int_equal(mg_ww_depth(w).pending, 1);
  assert_true(mg_ww_read_beat(w) && w->beat.counter > counter);
  assert_true(w->beat.quarantined);
  mg_worker_read(w->worker, &s);
  assert_int_equal(s.held, 0);
  mg_ww_control(w, MG_PARDON, "worker-1", 0);
  RUN_UNTIL(w, w->got_count == 1);
  RUN_UNTIL(w, mg_ww_read_beat(w) && !w->beat.quarantined);
  mg_ww_close(w);
}

static void draining(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 10000);
  mg_task t = mg_ww_task_of("a", 0, 40, ""), u = mg_ww_task_of("b", 100, 3, "new");
  /* 40 cases: the slow ones leave time to stop in the middle */
  snprintf(t.candidate, sizeof t.candidate, "slow@1:c,slow@2:c,slow@3:c,slow@4:c,slow@5:c,slow@6:c,slow@7:c,slow@8:c,slow@9:c,long@10:c");
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, mg_fake_lines_with("2 candidate") > 0);
  mg_ww_publish(w, &u);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 2));
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, w->stopped);
  mg_ww_step(w);
  assert_int_equal(w->got_count, 1);
  assert_int_equal(mg_fake_lines_with("100 candidate"), 0); /* what had not begun went back */
  assert_int_equal(mg_ww_result_of(w, "a")->count, 40);
  assert_int_equal(mg_ww_depth(w).in_flight, 0);
  assert_int_equal(mg_ww_depth(w).pending, 1);
  assert_true(mg_ww_read_beat(w) && w->beat.leaving && w->beat.draining);
  mg_ww_close(w);
}

static void draining_ends(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 300);
  mg_task t = mg_ww_task_of("a", 0, 3, "hang@1:c");
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, mg_fake_lines_with("1 candidate") > 0);
  mg_ms start = mg_now_ms();
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, mg_ww_read_beat(w) && w->beat.draining);
  RUN_UNTIL(w, w->stopped);
  assert_true(mg_now_ms() - start >= 300 && mg_now_ms() - start < 15000);
  assert_int_equal(mg_ww_depth(w).pending, 1);
  assert_int_equal(mg_ww_depth(w).in_flight, 0);
  assert_int_equal(w->got_count, 0);
  mg_ww_close(w);
}

static void a_second_stop_ends_at_once(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 60000);
  mg_task t = mg_ww_task_of("a", 0, 3, "hang@1:c");
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, mg_fake_lines_with("1 candidate") > 0);
  mg_ms start = mg_now_ms();
  mg_worker_stop(w->worker, false);
  mg_ww_step(w);
  mg_worker_stop(w->worker, true);
  RUN_UNTIL(w, w->stopped);
  assert_true(mg_now_ms() - start < 15000);
  assert_int_equal(mg_ww_depth(w).pending, 1);
  mg_ww_close(w);
}

static void stopping_at_any_moment(void **state) {
  (void)state;
  unsigned seed = (unsigned)mg_now_ns();
  print_message("seed %u\n", seed);
  srand(seed);
  for (int round = 0; round < 25; round++) {
    mg_ww *w = mg_ww_open("/ok", 2, 10000);
    char id[16];
    for (int i = 0; i < 200; i++) {
      snprintf(id, sizeof id, "t%d", i);
      mg_task t = mg_ww_task_of(id, (uint64_t)i * 2, 2, i % 50 == 9 ? "segv@18:b,segv@118:c,slow@219:c" : "new");
      mg_ww_publish(w, &t);
    }
    int steps = rand() % 60;
    for (int i = 0; i < steps; i++) mg_ww_step(w);
    mg_worker_stop(w->worker, false);
    RUN_UNTIL(w, w->stopped);
    for (int i = 0; i < 5; i++) mg_ww_step(w);
    assert_int_equal(mg_ww_depth(w).in_flight, 0);
    assert_int_equal(mg_ww_depth(w).pending + (int64_t)w->got_count, 200); /* no task is lost, none is done twice */
    mg_ww_close(w);
  }
}

static void failing_executors(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_task t = mg_ww_task_of("a", 0, 3, "load@1:g");
  mg_ww_publish(w, &t);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.restarts >= 5) && mg_ww_depth(w).in_flight == 0 && mg_ww_depth(w).pending == 1);
  mg_worker_read(w->worker, &s);
  uint32_t restarts = s.restarts;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.restarts > restarts)); /* after a pause it tries again, one task at a time */
  mg_error e;
  size_t removed = 0;
  mg_ww_ok(mg_memory_backend.purge_run(w->coordinator, "run", mg_now_ms() + 1000, &removed, &e), &e);
  mg_task u = mg_ww_task_of("b", 10, 3, "new");
  mg_ww_publish(w, &u);
  RUN_UNTIL(w, mg_ww_result_of(w, "b") != NULL); /* and gets well */
  mg_ww_close(w);
}

static void leases_that_go(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("/ok", 1, 5000);
  mg_task t = mg_ww_task_of("a", 0, 3, "once@1:c"), u = mg_ww_task_of("b", 10, 3, "new");
  t.case_timeout_ms = 2000; /* long enough for the lease to go while it hangs */
  mg_ww_publish(w, &t);
  mg_ww_publish(w, &u);
  RUN_UNTIL(w, mg_ww_beat_lists(w, "a", true, 1) && mg_ww_beat_lists(w, "b", false, 0));
  mg_batch back = {0};
  mg_error e;
  mg_ww_ok(mg_memory_backend.reclaim(w->coordinator, "run", "worker-1", NULL, 0, mg_now_ms() + 1000, &back, &e), &e);
  assert_int_equal(back.count, 2);
  mg_batch_clear(&back);
  RUN_UNTIL(w, w->got_count == 1); /* what had begun is told all the same */
  assert_string_equal(w->got[0].r.id, "a");
  assert_int_equal(w->got[0].r.outcomes[1] >> 4, MG_TIMED_OUT);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 0));
  assert_int_equal(mg_fake_lines_with("10 candidate"), 0); /* what had not was let go */
  mg_ww_close(w);
}

static void a_script_that_does_not_load(void **state) {
  (void)state;
  mg_ww *w = mg_ww_open("fault", 1, 5000);
  mg_task t = mg_ww_task_of("a", 0, 3, "new");
  mg_ww_publish(w, &t);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "fake.lua:1: syntax error");
  assert_false(mg_ww_read_beat(w));
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, w->stopped);
  assert_int_equal(mg_ww_depth(w).pending, 1);
  mg_ww_close(w);

  mg_ww none = {0};
  uv_loop_init(&none.loop);
  none.options = mg_options_new();
  none.broker = mg_memory_broker_new();
  mg_worker_config config = {
      .backend = &mg_memory_backend, .options = none.options, .shared = none.broker, .program = "/no/such/mguard", .script = "x", .executors = 1};
  mg_error e;
  assert_int_equal(mg_worker_start(&none.worker, &none.loop, &config, &e), MG_FATAL);
  uv_run(&none.loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&none.loop), 0);
  mg_options_free(none.options);
  mg_memory_broker_free(none.broker);
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "__executor") == 0) return fake_executor(atoi(argv[2]), atoi(argv[3]));
  if (!mg_ww_begin()) return 1;
  alarm(300);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(runs_what_it_is_given, mg_fake_log_fresh),
      cmocka_unit_test_setup(tells_before_it_begins, mg_fake_log_fresh),
      cmocka_unit_test_setup(other_files_are_refused, mg_fake_log_fresh),
      cmocka_unit_test_setup(what_it_cannot_run, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_run_that_is_over, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_late_end_spares_the_resumed, mg_fake_log_fresh),
      cmocka_unit_test_setup(tasks_nobody_waits_for, mg_fake_log_fresh),
      cmocka_unit_test_setup(what_somebody_had_before, mg_fake_log_fresh),
      cmocka_unit_test_setup(quarantine, mg_fake_log_fresh),
      cmocka_unit_test_setup(draining, mg_fake_log_fresh),
      cmocka_unit_test_setup(draining_ends, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_second_stop_ends_at_once, mg_fake_log_fresh),
      cmocka_unit_test_setup(stopping_at_any_moment, mg_fake_log_fresh),
      cmocka_unit_test_setup(failing_executors, mg_fake_log_fresh),
      cmocka_unit_test_setup(leases_that_go, mg_fake_log_fresh),
      cmocka_unit_test_setup(a_script_that_does_not_load, mg_fake_log_fresh),
  };
  return cmocka_run_group_tests_name("worker", tests, NULL, mg_ww_end);
}
