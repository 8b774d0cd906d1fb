#include "tests/dispatch/run_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void fixture_init(run_fixture *f, uint64_t cases) {
  static const mg_clause clauses[] = {{"completes", "implicit", MG_MODE_HARD}, {"sorted", "property", MG_MODE_HARD}, {"cheap", "relation", MG_MODE_SOFT}};
  memset(f, 0, sizeof *f);
  f->plan = (mg_plan){.is_plan = true,
                      .path = "plan.lua",
                      .dir = ".",
                      .name = "fake",
                      .baseline = "v1",
                      .candidate = "v2",
                      .cases = cases,
                      .seed = 42,
                      .clause_count = 3,
                      .case_timeout_ms = 2000,
                      .memory_mb = 64,
                      .violation_cap = 5,
                      .max_discard = 0.5,
                      .goal = {.kind = MG_NONINFERIORITY, .margin = 0.05, .alpha = 0.05}};
  memcpy(f->plan.clauses, clauses, sizeof clauses);
  f->options = mg_options_new();
  mg_options_set_int(f->options, "batch_size", 50);
  mg_options_set_real(f->options, "lease_seconds", 5);
  mg_options_set_real(f->options, "heartbeat_timeout", 0.6);
  mg_options_set_real(f->options, "heartbeat_interval", 0.2);
  mg_options_set_real(f->options, "heartbeat_check_interval", 0.05);
  f->world =
      (fake_world){.broker = mg_memory_broker_new(), .has_baseline = true, .cases = cases, .lease_ms = 5000, .beat_ms = 40, .late_ms = 300, .slow_ms = 300, .busy_us = 10000};
  f->world.runs = calloc(cases, sizeof *f->world.runs);
  f->world.repeats = calloc(cases, sizeof *f->world.repeats);
  f->backend = &mg_memory_backend;
  f->worker_count = 2;
  f->executors = 2;
  f->drain_ms = 3000;
}

void fixture_fini(run_fixture *f) {
  mg_memory_broker_free(f->world.broker);
  free(f->world.runs);
  free(f->world.repeats);
  mg_options_free(f->options);
}

static void on_log(void *owner, const mg_coordinator_event *ev) {
  run_fixture *f = owner;
  size_t n = strlen(f->events);
  if (!ev->routine) (void)snprintf(f->events + n, sizeof f->events - n, "%s: %s\n", ev->event, ev->text);
}

static void on_ended(void *owner, const char *failed) {
  run_fixture *f = owner;
  f->ended = true;
  (void)snprintf(f->failed, sizeof f->failed, "%s", failed == NULL ? "" : failed);
  uv_stop(&f->loop);
}

static void on_fixture_tick(uv_timer_t *t) {
  run_fixture *f = t->data;
  if (mg_now_ms() - f->begun_ms > FIXTURE_WATCHDOG_MS) {
    f->hung = true;
    uv_stop(&f->loop);
  } else if (f->tick != NULL) {
    f->tick(f);
  }
}

void fixture_replace_the_gone(run_fixture *f) {
  char name[16];
  for (int i = 0; i < FIXTURE_WORKERS; i++) {
    if (f->workers[i] == NULL || !fake_worker_gone(f->workers[i])) continue;
    fake_worker_stop(f->workers[i]);
    (void)snprintf(name, sizeof name, "r%d", f->replaced++);
    f->workers[i] = fake_worker_start(&f->world, name, f->executors);
  }
}

fake_worker *fixture_hire(run_fixture *f, const char *name) {
  for (int i = 0; i < FIXTURE_WORKERS; i++) {
    if (f->workers[i] == NULL) return f->workers[i] = fake_worker_start(&f->world, name, f->executors);
  }
  return NULL;
}

/* Copies what ends with the coordinator. */
static void look(run_fixture *f) {
  mg_coordinator_read(f->coordinator, &f->state);
  mg_coordinator_judge(f->coordinator, &f->judgement);
  const mg_run_state *s = &f->state;
  f->tally = *s->tally;
  for (f->violation_count = 0; f->violation_count < s->violation_count && f->violation_count < 64; f->violation_count++) {
    f->violations[f->violation_count] = s->violations[f->violation_count];
  }
  for (size_t i = 0; i < s->different_count && i < 64; i++) f->different[i] = s->different[i];
  for (size_t i = 0; i < s->worker_count && i < 64; i++) f->seen[i] = s->workers[i];
  for (size_t i = 0; i < s->note_count; i++) {
    size_t n = strlen(f->notes);
    (void)snprintf(f->notes + n, sizeof f->notes - n, "%s\n", s->notes[i]);
  }
}

void fixture_run(run_fixture *f) {
  mg_error e = {0};
  uv_timer_t timer;
  char name[16];
  assert_int_equal(uv_loop_init(&f->loop), 0);
  f->begun_ms = mg_now_ms();
  mg_coordinator_config config = {.plan = &f->plan,
                                  .run = "run-1",
                                  .backend = f->backend,
                                  .options = f->options,
                                  .shared = f->world.broker,
                                  .keys = f->keys,
                                  .outcomes_path = f->outcomes_path,
                                  .drain_timeout_ms = f->drain_ms,
                                  .log = on_log,
                                  .ended = on_ended,
                                  .owner = f};
  if (mg_coordinator_start(&f->coordinator, &f->loop, &config, &e) != MG_OK) fail_msg("%s", e.text);
  for (int i = 0; i < f->worker_count; i++) {
    (void)snprintf(name, sizeof name, "w%d", i);
    assert_non_null(fixture_hire(f, name));
  }
  (void)uv_timer_init(&f->loop, &timer);
  timer.data = f;
  (void)uv_timer_start(&timer, on_fixture_tick, 5, 5);
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  f->took_ms = mg_now_ms() - f->begun_ms;
  look(f);
  for (int i = 0; i < FIXTURE_WORKERS; i++) fake_worker_stop(f->workers[i]);
  mg_coordinator_free(f->coordinator);
  uv_close((uv_handle_t *)&timer, NULL);
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&f->loop), 0);
  mg_backend *b;
  mg_backend_config open = {.identity = "looker", .wake_fd = -1, .shared = f->world.broker};
  assert_int_equal(mg_memory_backend.open(&b, &open, mg_now_ms() + 1000, NULL), MG_OK);
  assert_int_equal(mg_memory_backend.depth(b, "run-1", mg_now_ms() + 1000, &f->left, NULL), MG_OK);
  mg_memory_backend.close(b);
  if (f->hung) fail_msg("the run did not end within %d ms; events:\n%s", FIXTURE_WATCHDOG_MS, f->events);
}

void fixture_expect_whole(const run_fixture *f) {
  const char *names[] = {"sorted", "cheap"};
  mg_tally tally = {0};
  mg_digest sum = {0};
  mg_digester *d = mg_digester_new(names, 2);
  for (uint64_t i = 0; i < f->plan.cases; i++) {
    mg_outcome out[MG_ROLES];
    mg_clause_mask masks[MG_ROLES];
    fake_outcome(i, out, masks);
    if (!f->world.has_baseline) out[0] = MG_ABSENT, masks[0] = 0;
    mg_tally_add(&tally, out[0], out[1], masks[0], masks[1]);
    for (int r = 0; r < MG_ROLES; r++) mg_digester_add(d, &sum, i, (mg_role)r, out[r], masks[r]);
  }
  mg_digester_free(d);
  if (f->failed[0] != '\0') fail_msg("failed: %s", f->failed);
  assert_memory_equal(&f->tally, &tally, sizeof tally);
  assert_true(f->state.digest.low == sum.low && f->state.digest.high == sum.high);
  assert_int_equal(f->left.pending + f->left.in_flight + f->left.results, 0);
}

size_t fixture_events(const run_fixture *f, const char *event) {
  size_t n = 0, len = strlen(event);
  for (const char *at = f->events; (at = strstr(at, event)) != NULL; at += len) {
    if ((at == f->events || at[-1] == '\n') && at[len] == ':') n++;
  }
  return n;
}
