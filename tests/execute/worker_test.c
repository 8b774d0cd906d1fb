/* The worker over the real link and the memory backend; the executors are fake_executor.c, this test itself. The test plays the coordinator. */
#include "execute/worker.h"

#include "backends/memory/memory.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/execute/fake_executor.h"
#include "wire/frame.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 2000
#define PATIENCE_MS 20000

typedef struct got {
  mg_buf bytes;
  mg_result r;
} got;

typedef struct world {
  uv_loop_t loop;
  mg_memory_broker *broker;
  mg_backend *coordinator;
  mg_options *options;
  mg_worker *worker;
  bool ready, stopped;
  char fault[256], failed[256];
  got got[MOST];
  size_t got_count;
  mg_beat beat; /* the newest */
  mg_buf beat_bytes, beat_frame;
} world;

static char self[4096], folder[64], log_path[128];
static const mg_codec codec = {.compress = true, .threshold_bytes = 512};

/* --- the world ----------------------------------------------------------------------------------------------------------- */

static void on_ready(void *owner, const char *fault) {
  world *w = owner;
  w->ready = true;
  if (fault != NULL) snprintf(w->fault, sizeof w->fault, "%s", fault);
}

static void on_stopped(void *owner, const char *failed) {
  world *w = owner;
  w->stopped = true;
  if (failed != NULL) snprintf(w->failed, sizeof w->failed, "%s", failed);
}

static void ok(mg_err rc, const mg_error *e) {
  if (rc != MG_OK) print_error("%s\n", e->text);
  assert_int_equal(rc, MG_OK);
}

static world *open_world(const char *script, int executors, mg_ms drain_ms) {
  world *w = calloc(1, sizeof *w);
  mg_error e;
  assert_non_null(w);
  uv_loop_init(&w->loop);
  w->broker = mg_memory_broker_new();
  w->options = mg_options_new();
  mg_options_set_real(w->options, "lease_seconds", 5);
  mg_options_set_real(w->options, "heartbeat_timeout", 1);
  mg_options_set_real(w->options, "heartbeat_interval", 0.1);
  mg_backend_config open = {.options = w->options, .identity = "coordinator", .run = "run", .wake_fd = -1, .shared = w->broker};
  ok(mg_memory_backend.open(&w->coordinator, &open, mg_now_ms() + 1000, &e), &e);
  mg_worker_config config = {.backend = &mg_memory_backend,
                             .options = w->options,
                             .shared = w->broker,
                             .name = "worker-1",
                             .program = self,
                             .script = script,
                             .executors = executors,
                             .poll_interval_ms = 200,
                             .drain_timeout_ms = drain_ms,
                             .retry_for_ms = MG_NEVER,
                             .ready = on_ready,
                             .stopped = on_stopped,
                             .owner = w};
  ok(mg_worker_start(&w->worker, &w->loop, &config, &e), &e);
  return w;
}

/* Lets the worker's loop run a little, then takes what it sent. */
static void step(world *w) {
  mg_batch batch = {0};
  mg_error e;
  uv_run(&w->loop, UV_RUN_NOWAIT);
  ok(mg_memory_backend.fetch_results(w->coordinator, 100, mg_now_ms() + 2, &batch, &e), &e);
  for (size_t i = 0; i < batch.count; i++) {
    got *g = &w->got[w->got_count++];
    mg_buf scratch = {0};
    mg_slice body;
    mg_frame_fault fault;
    assert_true(w->got_count < MOST);
    ok(mg_frame_open(&codec, batch.items[i].body, &scratch, &body, &fault, &e), &e);
    mg_buf_put(&g->bytes, body.data, body.len);
    ok(mg_result_decode(&g->r, mg_buf_slice(&g->bytes), &e), &e);
    assert_string_equal(g->r.worker, "worker-1");
    mg_buf_fini(&scratch);
    mg_settle s = {.lease = batch.items[i].lease};
    ok(mg_memory_backend.ack_results(w->coordinator, &s, 1, mg_now_ms() + 1000, &e), &e);
    mg_memory_backend.forget(w->coordinator, batch.items[i].lease);
  }
  mg_batch_clear(&batch);
}

static bool read_beat(world *w) {
  mg_batch batch = {0};
  mg_error e;
  mg_frame_fault fault;
  mg_slice body;
  ok(mg_memory_backend.read_beats(w->coordinator, mg_now_ms() + 1000, &batch, &e), &e);
  bool any = batch.count > 0;
  if (any) {
    mg_beat_fini(&w->beat);
    mg_buf_clear(&w->beat_bytes);
    mg_buf_clear(&w->beat_frame);
    mg_buf_put(&w->beat_frame, batch.items[0].body.data, batch.items[0].body.len);
    ok(mg_frame_open(&codec, mg_buf_slice(&w->beat_frame), &w->beat_bytes, &body, &fault, &e), &e);
    ok(mg_beat_decode(&w->beat, body, &e), &e);
  }
  mg_batch_clear(&batch);
  return any;
}

#define RUN_UNTIL(w, condition)                                                                                                                                \
  do {                                                                                                                                                         \
    mg_ms until_ = mg_now_ms() + PATIENCE_MS;                                                                                                                  \
    while (!(condition) && mg_now_ms() < until_) step(w);                                                                                                      \
    assert_true(condition);                                                                                                                                    \
  } while (0)

static void close_world(world *w) {
  if (!w->stopped) {
    mg_worker_stop(w->worker, true);
    RUN_UNTIL(w, w->stopped);
  }
  while (uv_run(&w->loop, UV_RUN_NOWAIT) != 0) continue;
  assert_int_equal(uv_loop_close(&w->loop), 0);
  mg_memory_backend.close(w->coordinator);
  mg_memory_broker_free(w->broker);
  mg_options_free(w->options);
  for (size_t i = 0; i < w->got_count; i++) {
    mg_result_fini(&w->got[i].r);
    mg_buf_fini(&w->got[i].bytes);
  }
  mg_beat_fini(&w->beat);
  mg_buf_fini(&w->beat_bytes);
  mg_buf_fini(&w->beat_frame);
  free(w);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

static mg_task task_of(const char *id, uint64_t first, uint32_t count, const char *orders) {
  mg_task t = {
      .epoch = 1, .attempt = 1, .first = first, .count = count, .case_timeout_ms = 60000, .memory_mb = 100, .violation_cap = 5, .fingerprint = {1, 2, 3}};
  snprintf(t.run, sizeof t.run, "run");
  snprintf(t.id, sizeof t.id, "%s", id);
  snprintf(t.baseline, sizeof t.baseline, "old");
  snprintf(t.candidate, sizeof t.candidate, "%s", orders);
  return t;
}

static void publish_body(world *w, const char *run, const char *id, mg_slice body) {
  mg_buf frame = {0};
  mg_error e;
  ok(mg_frame_seal(&codec, body, &frame, &e), &e);
  mg_publish p = {.run = run, .task = id, .attempt = 1, .body = mg_buf_slice(&frame)};
  ok(mg_memory_backend.publish_tasks(w->coordinator, &p, 1, mg_now_ms() + 1000, &e), &e);
  mg_buf_fini(&frame);
}

static void publish(world *w, const mg_task *t) {
  mg_buf bytes = {0};
  mg_task_encode(&bytes, t);
  publish_body(w, t->run, t->id, mg_buf_slice(&bytes));
  mg_buf_fini(&bytes);
}

static void control(world *w, mg_control_kind kind, const char *subject) {
  mg_control c = {.kind = kind};
  mg_buf bytes = {0}, frame = {0};
  mg_error e;
  snprintf(c.subject, sizeof c.subject, "%s", subject);
  mg_control_encode(&bytes, &c);
  ok(mg_frame_seal(&codec, mg_buf_slice(&bytes), &frame, &e), &e);
  ok(mg_memory_backend.control(w->coordinator, subject, mg_buf_slice(&frame), 60000, mg_now_ms() + 1000, &e), &e);
  mg_buf_fini(&bytes);
  mg_buf_fini(&frame);
}

static mg_depth depth(world *w) {
  mg_depth d;
  mg_error e;
  ok(mg_memory_backend.depth(w->coordinator, NULL, mg_now_ms() + 1000, &d, &e), &e);
  return d;
}

static const mg_result *result_of(const world *w, const char *id) {
  for (size_t i = 0; i < w->got_count; i++) {
    if (strcmp(w->got[i].r.id, id) == 0) return &w->got[i].r;
  }
  return NULL;
}

static bool beat_lists(world *w, const char *id, bool running, uint64_t case_number) {
  if (!read_beat(w)) return false;
  for (size_t i = 0; i < w->beat.task_count; i++) {
    const mg_beat_task *t = &w->beat.tasks[i];
    if (strcmp(t->id, id) == 0 && t->running == running && (!running || (t->case_number == case_number && t->role == MG_CANDIDATE))) return true;
  }
  return false;
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

static void runs_what_it_is_given(void **state) {
  (void)state;
  world *w = open_world("/ok", 2, 5000);
  char id[16];
  for (int i = 0; i < 300; i++) {
    snprintf(id, sizeof id, "t%d", i);
    mg_task t = task_of(id, (uint64_t)i * 5, 5, i == 7 ? "segv@36:c" : "new");
    publish(w, &t);
  }
  RUN_UNTIL(w, w->got_count == 300 && depth(w).in_flight == 0);
  assert_int_equal(depth(w).pending, 0);
  for (int i = 0; i < 300; i++) {
    snprintf(id, sizeof id, "t%d", i);
    const mg_result *r = result_of(w, id);
    assert_non_null(r);
    assert_int_equal(r->count, 5);
    assert_int_equal(r->epoch, 1);
  }
  assert_int_equal(result_of(w, "t7")->outcomes[1] >> 4, MG_CRASH);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 0));
  assert_int_equal(s.cases_done, 1500);
  assert_int_equal(s.tasks_done, 300);
  assert_int_equal(s.restarts, 1);
  assert_true(s.connected);
  assert_string_equal(mg_worker_name(w->worker), "worker-1");
  RUN_UNTIL(w, read_beat(w) && w->beat.cases_done == 1500 && w->beat.task_count == 0);
  assert_int_equal(w->beat.executors, 2);
  assert_int_equal(w->beat.fingerprint[2], 3);
  assert_false(w->beat.draining);
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, w->stopped);
  assert_string_equal(w->failed, "");
  assert_true(read_beat(w));
  assert_true(w->beat.leaving);
  assert_int_equal(lines_with("teardown"), 2);
  close_world(w);
}

/* Whatever a task with care does, the broker knows before that this worker has begun it. */
static void tells_before_it_begins(void **state) {
  (void)state;
  world *w = open_world("/ok", 2, 5000);
  RUN_UNTIL(w, w->ready);
  for (int i = 0; i < 2; i++) {
    mg_task t = task_of(i == 0 ? "a" : "b", 1000, 1, "long@1000:b");
    t.care = i == 0 ? MG_CARE_TELL : MG_CARE_ALONE;
    publish(w, &t);
    RUN_UNTIL(w, lines_with("1000 baseline") == i + 1);
    assert_true(read_beat(w) && w->beat.task_count == 1 && w->beat.tasks[0].running && w->beat.tasks[0].case_number == 1000);
    RUN_UNTIL(w, result_of(w, t.id) != NULL && depth(w).in_flight == 0);
  }
  close_world(w);
}

static void other_files_are_refused(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 5000);
  mg_task t = task_of("a", 0, 3, "new"), u = task_of("b", 0, 3, "new");
  t.fingerprint[0] = 9;
  mg_ms start = mg_now_ms();
  publish(w, &t);
  RUN_UNTIL(w, w->got_count == 1);
  const mg_result *r = result_of(w, "a");
  assert_int_equal(r->count, 0);
  char *text = strndup((const char *)r->refused.data, r->refused.len);
  assert_string_equal(text, "files differ: the run's fingerprint is 0902030000000000000000000000000000000000000000000000000000000000, worker worker-1 has "
                            "0102030000000000000000000000000000000000000000000000000000000000");
  free(text);
  assert_int_equal(r->worker_fingerprint[0], 1);
  RUN_UNTIL(w, depth(w).in_flight == 0);
  assert_int_equal(depth(w).pending, 1);
  snprintf(u.run, sizeof u.run, "other"); /* another run is served meanwhile, and that one let alone */
  snprintf(t.id, sizeof t.id, "a2");
  publish(w, &t);
  publish(w, &u);
  RUN_UNTIL(w, lines_with("0 candidate") == 1);
  assert_true(w->got_count < 4);
  RUN_UNTIL(w, w->got_count >= 2); /* refused again */
  assert_true(mg_now_ms() - start >= 1000);
  RUN_UNTIL(w, w->got_count >= 4); /* two seconds later */
  assert_true(mg_now_ms() - start >= 3000);
  assert_int_equal(lines_with("candidate"), 3);
  close_world(w);
}

static void what_it_cannot_run(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 5000);
  publish_body(w, "run", "junk", mg_slice_of("\x01 this is no task"));
  mg_task t = task_of("a", 0, 3, "refuse"), u = task_of("c", 0, 3, "new");
  publish(w, &t);
  snprintf(u.run, sizeof u.run, "other");
  publish(w, &u);
  RUN_UNTIL(w, w->got_count == 1 && depth(w).dead == 1 && depth(w).in_flight == 0);
  assert_int_equal(depth(w).pending, 1);
  assert_memory_equal(result_of(w, "a")->refused.data, "no such implementation", 22);
  assert_int_equal(lines_with("candidate"), 3);
  close_world(w);
}

static void a_run_that_is_over(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 5000);
  mg_task t = task_of("a", 0, 3, "hang@1:c"), u = task_of("b", 10, 3, "new");
  publish(w, &t);
  RUN_UNTIL(w, beat_lists(w, "a", true, 1));
  for (int i = 0; i < 10; i++) {
    snprintf(u.id, sizeof u.id, "b%d", i);
    publish(w, &u);
  }
  control(w, MG_RUN_CANCELLED, "run");
  RUN_UNTIL(w, depth(w).pending == 0 && depth(w).in_flight == 0);
  assert_int_equal(w->got_count, 0);
  assert_int_equal(lines_with("10 candidate"), 0);
  mg_task v = task_of("c", 20, 3, "new"); /* resumed: the epoch is higher */
  v.epoch = 2;
  publish(w, &v);
  RUN_UNTIL(w, w->got_count == 1);
  assert_int_equal(result_of(w, "c")->count, 3);
  control(w, MG_RUN_CLOSED, "run"); /* and ends for good */
  mg_task x = task_of("d", 30, 3, "new");
  x.epoch = 2;
  for (mg_ms until = mg_now_ms() + 1500; mg_now_ms() < until;) step(w); /* it is heard within a second */
  publish(w, &x);
  RUN_UNTIL(w, depth(w).pending == 0 && depth(w).in_flight == 0);
  assert_int_equal(w->got_count, 1);
  close_world(w);

  w = open_world("/ok", 1, 5000); /* a worker that met the run only after its end */
  RUN_UNTIL(w, w->ready);
  control(w, MG_RUN_CANCELLED, "run");
  for (mg_ms until = mg_now_ms() + 1500; mg_now_ms() < until;) step(w);
  publish(w, &u);
  RUN_UNTIL(w, depth(w).pending == 0 && depth(w).in_flight == 0);
  assert_int_equal(w->got_count, 0);
  publish(w, &v);
  RUN_UNTIL(w, w->got_count == 1);
  close_world(w);
}

static void quarantine(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 5000);
  RUN_UNTIL(w, w->ready);
  control(w, MG_QUARANTINE, "worker-1");
  mg_task t = task_of("a", 0, 3, "new");
  mg_worker_stats s;
  /* It is heard within a second; then nothing is fetched, while it goes on beating. */
  for (mg_ms until = mg_now_ms() + 1500; mg_now_ms() < until;) step(w);
  publish(w, &t);
  assert_true(read_beat(w));
  uint64_t counter = w->beat.counter;
  for (mg_ms until = mg_now_ms() + 500; mg_now_ms() < until;) step(w);
  assert_int_equal(depth(w).pending, 1);
  assert_true(read_beat(w) && w->beat.counter > counter);
  mg_worker_read(w->worker, &s);
  assert_int_equal(s.held, 0);
  control(w, MG_PARDON, "worker-1");
  RUN_UNTIL(w, w->got_count == 1);
  close_world(w);
}

static void draining(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 10000);
  mg_task t = task_of("a", 0, 40, ""), u = task_of("b", 100, 3, "new");
  /* 40 cases: the slow ones leave time to stop in the middle */
  snprintf(t.candidate, sizeof t.candidate, "slow@1:c,slow@2:c,slow@3:c,slow@4:c,slow@5:c,slow@6:c,slow@7:c,slow@8:c,slow@9:c,long@10:c");
  publish(w, &t);
  RUN_UNTIL(w, lines_with("2 candidate") > 0);
  publish(w, &u);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 2));
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, w->stopped);
  step(w);
  assert_int_equal(w->got_count, 1);
  assert_int_equal(lines_with("100 candidate"), 0); /* what had not begun went back */
  assert_int_equal(result_of(w, "a")->count, 40);
  assert_int_equal(depth(w).in_flight, 0);
  assert_int_equal(depth(w).pending, 1);
  assert_true(read_beat(w) && w->beat.leaving && w->beat.draining);
  close_world(w);
}

static void draining_ends(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 300);
  mg_task t = task_of("a", 0, 3, "hang@1:c");
  publish(w, &t);
  RUN_UNTIL(w, lines_with("1 candidate") > 0);
  mg_ms start = mg_now_ms();
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, read_beat(w) && w->beat.draining);
  RUN_UNTIL(w, w->stopped);
  assert_true(mg_now_ms() - start >= 300 && mg_now_ms() - start < 15000);
  assert_int_equal(depth(w).pending, 1);
  assert_int_equal(depth(w).in_flight, 0);
  assert_int_equal(w->got_count, 0);
  close_world(w);
}

static void a_second_stop_ends_at_once(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 60000);
  mg_task t = task_of("a", 0, 3, "hang@1:c");
  publish(w, &t);
  RUN_UNTIL(w, lines_with("1 candidate") > 0);
  mg_ms start = mg_now_ms();
  mg_worker_stop(w->worker, false);
  step(w);
  mg_worker_stop(w->worker, true);
  RUN_UNTIL(w, w->stopped);
  assert_true(mg_now_ms() - start < 15000);
  assert_int_equal(depth(w).pending, 1);
  close_world(w);
}

static void stopping_at_any_moment(void **state) {
  (void)state;
  unsigned seed = (unsigned)mg_now_ns();
  print_message("seed %u\n", seed);
  srand(seed);
  for (int round = 0; round < 25; round++) {
    world *w = open_world("/ok", 2, 10000);
    char id[16];
    for (int i = 0; i < 200; i++) {
      snprintf(id, sizeof id, "t%d", i);
      mg_task t = task_of(id, (uint64_t)i * 2, 2, i % 50 == 9 ? "segv@18:b,segv@118:c,slow@219:c" : "new");
      publish(w, &t);
    }
    int steps = rand() % 60;
    for (int i = 0; i < steps; i++) step(w);
    mg_worker_stop(w->worker, false);
    RUN_UNTIL(w, w->stopped);
    for (int i = 0; i < 5; i++) step(w);
    assert_int_equal(depth(w).in_flight, 0);
    assert_int_equal(depth(w).pending + (int64_t)w->got_count, 200); /* no task is lost, none is done twice */
    close_world(w);
  }
}

static void failing_executors(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 5000);
  mg_task t = task_of("a", 0, 3, "load@1:g");
  publish(w, &t);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.restarts >= 5) && depth(w).in_flight == 0 && depth(w).pending == 1);
  mg_worker_read(w->worker, &s);
  uint32_t restarts = s.restarts;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.restarts > restarts)); /* after a pause it tries again, one task at a time */
  mg_error e;
  size_t removed = 0;
  ok(mg_memory_backend.purge_run(w->coordinator, "run", mg_now_ms() + 1000, &removed, &e), &e);
  mg_task u = task_of("b", 10, 3, "new");
  publish(w, &u);
  RUN_UNTIL(w, result_of(w, "b") != NULL); /* and gets well */
  close_world(w);
}

static void leases_that_go(void **state) {
  (void)state;
  world *w = open_world("/ok", 1, 5000);
  mg_task t = task_of("a", 0, 3, "once@1:c"), u = task_of("b", 10, 3, "new");
  t.case_timeout_ms = 2000; /* long enough for the lease to go while it hangs */
  publish(w, &t);
  publish(w, &u);
  RUN_UNTIL(w, beat_lists(w, "a", true, 1) && beat_lists(w, "b", false, 0));
  mg_batch back = {0};
  mg_error e;
  ok(mg_memory_backend.reclaim(w->coordinator, "run", "worker-1", NULL, 0, mg_now_ms() + 1000, &back, &e), &e);
  assert_int_equal(back.count, 2);
  mg_batch_clear(&back);
  RUN_UNTIL(w, w->got_count == 1); /* what had begun is told all the same */
  assert_string_equal(w->got[0].r.id, "a");
  assert_int_equal(w->got[0].r.outcomes[1] >> 4, MG_TIMED_OUT);
  mg_worker_stats s;
  RUN_UNTIL(w, (mg_worker_read(w->worker, &s), s.held == 0));
  assert_int_equal(lines_with("10 candidate"), 0); /* what had not was let go */
  close_world(w);
}

static void a_script_that_does_not_load(void **state) {
  (void)state;
  world *w = open_world("fault", 1, 5000);
  mg_task t = task_of("a", 0, 3, "new");
  publish(w, &t);
  RUN_UNTIL(w, w->ready);
  assert_string_equal(w->fault, "fake.lua:1: syntax error");
  assert_false(read_beat(w));
  mg_worker_stop(w->worker, false);
  RUN_UNTIL(w, w->stopped);
  assert_int_equal(depth(w).pending, 1);
  close_world(w);

  world none = {0};
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
  mg_log_close();
  return rmdir(folder);
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "__executor") == 0) return fake_executor(atoi(argv[2]), atoi(argv[3]));
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  snprintf(folder, sizeof folder, "/tmp/mguard-worker-XXXXXX");
  if (n <= 0 || mkdtemp(folder) == NULL) return 1;
  alarm(300);
  mg_log_open(&(mg_log_config){.people = getenv("V") ? MG_LOG_DEBUG : MG_LOG_OFF, .machines = MG_LOG_OFF}, NULL);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(runs_what_it_is_given, fresh_log),
      cmocka_unit_test_setup(tells_before_it_begins, fresh_log),
      cmocka_unit_test_setup(other_files_are_refused, fresh_log),
      cmocka_unit_test_setup(what_it_cannot_run, fresh_log),
      cmocka_unit_test_setup(a_run_that_is_over, fresh_log),
      cmocka_unit_test_setup(quarantine, fresh_log),
      cmocka_unit_test_setup(draining, fresh_log),
      cmocka_unit_test_setup(draining_ends, fresh_log),
      cmocka_unit_test_setup(a_second_stop_ends_at_once, fresh_log),
      cmocka_unit_test_setup(stopping_at_any_moment, fresh_log),
      cmocka_unit_test_setup(failing_executors, fresh_log),
      cmocka_unit_test_setup(leases_that_go, fresh_log),
      cmocka_unit_test_setup(a_script_that_does_not_load, fresh_log),
  };
  return cmocka_run_group_tests_name("worker", tests, NULL, remove_folder);
}
