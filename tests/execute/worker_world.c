#include "tests/execute/worker_world.h"

#include "base/clock.h"
#include "base/log.h"
#include "wire/frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const mg_codec codec = {.compress = true, .threshold_bytes = 512};

static void on_ready(void *owner, const char *fault) {
  mg_ww *w = owner;
  w->ready = true;
  if (fault != NULL) snprintf(w->fault, sizeof w->fault, "%s", fault);
}

static void on_stopped(void *owner, const char *failed) {
  mg_ww *w = owner;
  w->stopped = true;
  if (failed != NULL) snprintf(w->failed, sizeof w->failed, "%s", failed);
}

void mg_ww_ok(mg_err rc, const mg_error *e) {
  if (rc != MG_OK) print_error("%s\n", e->text);
  assert_int_equal(rc, MG_OK);
}

const mg_backend_ops *mg_ww_backend = &mg_memory_backend;

mg_ww *mg_ww_open(const char *script, int executors, mg_ms drain_ms) {
  mg_ww *w = calloc(1, sizeof *w);
  mg_error e;
  assert_non_null(w);
  uv_loop_init(&w->loop);
  w->broker = mg_memory_broker_new();
  w->options = mg_options_new();
  mg_options_set_real(w->options, "lease_seconds", 5);
  mg_options_set_real(w->options, "heartbeat_timeout", 1);
  mg_options_set_real(w->options, "heartbeat_interval", 0.1);
  mg_backend_config open = {.options = w->options, .identity = "coordinator", .run = "run", .wake_fd = -1, .shared = w->broker};
  mg_ww_ok(mg_memory_backend.open(&w->coordinator, &open, mg_now_ms() + 1000, &e), &e);
  mg_worker_config config = {.backend = mg_ww_backend,
                             .options = w->options,
                             .shared = w->broker,
                             .name = "worker-1",
                             .program = mg_fake_program(),
                             .script = script,
                             .executors = executors,
                             .poll_interval_ms = 200,
                             .drain_timeout_ms = drain_ms,
                             .retry_for_ms = MG_NEVER,
                             .ready = on_ready,
                             .stopped = on_stopped,
                             .owner = w};
  mg_ww_ok(mg_worker_start(&w->worker, &w->loop, &config, &e), &e);
  return w;
}

/* Lets the worker's loop run a little, then takes what it sent. */
void mg_ww_step(mg_ww *w) {
  mg_batch batch = {0};
  mg_error e;
  uv_run(&w->loop, UV_RUN_NOWAIT);
  mg_ww_ok(mg_memory_backend.fetch_results(w->coordinator, 100, mg_now_ms() + 2, &batch, &e), &e);
  for (size_t i = 0; i < batch.count; i++) {
    mg_buf scratch = {0};
    mg_slice body, parts[MG_RESULTS_MOST];
    mg_frame_fault fault;
    size_t count = 0;
    mg_ww_ok(mg_frame_open(&codec, batch.items[i].body, &scratch, &body, &fault, &e), &e);
    mg_ww_ok(mg_results_split(body, parts, &count, &e), &e);
    for (size_t k = 0; k < count; k++) {
      mg_ww_got *g = &w->got[w->got_count++];
      assert_true(w->got_count < MG_WW_MOST);
      mg_buf_put(&g->bytes, parts[k].data, parts[k].len);
      mg_ww_ok(mg_result_decode(&g->r, mg_buf_slice(&g->bytes), &e), &e);
      assert_string_equal(g->r.worker, "worker-1");
    }
    mg_buf_fini(&scratch);
    mg_settle s = {.lease = batch.items[i].lease};
    mg_ww_ok(mg_memory_backend.ack_results(w->coordinator, &s, 1, mg_now_ms() + 1000, &e), &e);
    mg_memory_backend.forget(w->coordinator, batch.items[i].lease);
  }
  mg_batch_clear(&batch);
}

bool mg_ww_read_beat(mg_ww *w) {
  mg_batch batch = {0};
  mg_error e;
  mg_frame_fault fault;
  mg_slice body;
  mg_ww_ok(mg_memory_backend.read_beats(w->coordinator, mg_now_ms() + 1000, &batch, &e), &e);
  bool any = batch.count > 0;
  if (any) {
    mg_beat_fini(&w->beat);
    mg_buf_clear(&w->beat_bytes);
    mg_buf_clear(&w->beat_frame);
    mg_buf_put(&w->beat_frame, batch.items[0].body.data, batch.items[0].body.len);
    mg_ww_ok(mg_frame_open(&codec, mg_buf_slice(&w->beat_frame), &w->beat_bytes, &body, &fault, &e), &e);
    mg_ww_ok(mg_beat_decode(&w->beat, body, &e), &e);
  }
  mg_batch_clear(&batch);
  return any;
}

void mg_ww_close(mg_ww *w) {
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

mg_task mg_ww_task_of(const char *id, uint64_t first, uint32_t count, const char *orders) {
  mg_task t = {
      .epoch = 1, .attempt = 1, .first = first, .count = count, .case_timeout_ms = 60000, .memory_mb = 100, .violation_cap = 5, .fingerprint = {1, 2, 3}};
  snprintf(t.run, sizeof t.run, "run");
  snprintf(t.id, sizeof t.id, "%s", id);
  snprintf(t.baseline, sizeof t.baseline, "old");
  snprintf(t.candidate, sizeof t.candidate, "%s", orders);
  return t;
}

void mg_ww_publish_body(mg_ww *w, const char *run, const char *id, mg_slice body) {
  mg_buf frame = {0};
  mg_error e;
  mg_ww_ok(mg_frame_seal(&codec, body, &frame, &e), &e);
  mg_publish p = {.run = run, .task = id, .attempt = 1, .body = mg_buf_slice(&frame)};
  mg_ww_ok(mg_memory_backend.publish_tasks(w->coordinator, &p, 1, mg_now_ms() + 1000, &e), &e);
  mg_buf_fini(&frame);
}

void mg_ww_publish(mg_ww *w, const mg_task *t) {
  mg_buf bytes = {0};
  mg_task_encode(&bytes, t);
  mg_ww_publish_body(w, t->run, t->id, mg_buf_slice(&bytes));
  mg_buf_fini(&bytes);
}

void mg_ww_say(mg_ww *w, const mg_control *c) {
  mg_buf bytes = {0}, frame = {0};
  mg_error e;
  mg_control_encode(&bytes, c);
  mg_ww_ok(mg_frame_seal(&codec, mg_buf_slice(&bytes), &frame, &e), &e);
  mg_ww_ok(mg_memory_backend.control(w->coordinator, c->subject, mg_buf_slice(&frame), 60000, mg_now_ms() + 1000, &e), &e);
  mg_buf_fini(&bytes);
  mg_buf_fini(&frame);
}

void mg_ww_control(mg_ww *w, mg_control_kind kind, const char *subject, uint32_t epoch) {
  mg_control c = {.kind = kind, .epoch = epoch};
  snprintf(c.subject, sizeof c.subject, "%s", subject);
  mg_ww_say(w, &c);
}

mg_depth mg_ww_depth(mg_ww *w) {
  mg_depth d;
  mg_error e;
  mg_ww_ok(mg_memory_backend.depth(w->coordinator, NULL, mg_now_ms() + 1000, &d, &e), &e);
  return d;
}

const mg_result *mg_ww_result_of(const mg_ww *w, const char *id) {
  for (size_t i = 0; i < w->got_count; i++) {
    if (strcmp(w->got[i].r.id, id) == 0) return &w->got[i].r;
  }
  return NULL;
}

bool mg_ww_beat_lists(mg_ww *w, const char *id, bool running, uint64_t case_number) {
  if (!mg_ww_read_beat(w)) return false;
  for (size_t i = 0; i < w->beat.task_count; i++) {
    const mg_beat_task *t = &w->beat.tasks[i];
    if (strcmp(t->id, id) == 0 && t->running == running && (!running || (t->case_number == case_number && t->role == MG_CANDIDATE))) return true;
  }
  return false;
}

int mg_ww_end(void **state) {
  (void)state;
  mg_log_close();
  return 0;
}

bool mg_ww_begin(void) {
  if (!mg_fake_log_begin()) return false;
  mg_log_open(&(mg_log_config){.people = getenv("V") ? MG_LOG_DEBUG : MG_LOG_OFF, .machines = MG_LOG_OFF}, NULL);
  return true;
}
