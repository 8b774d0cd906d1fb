#include "tests/execute/pool_world.h"

#include "tests/execute/fake_executor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>


/* --- the world ----------------------------------------------------------------------------------------------------------- */

void mg_pw_ready(void *owner, const char *fault, const uint8_t fingerprint[32]) {
  mg_pw *w = owner;
  assert_false(w->ready);
  w->ready = true;
  if (fault != NULL) {
    snprintf(w->fault, sizeof w->fault, "%s", fault);
  } else {
    memcpy(w->fingerprint, fingerprint, 32);
  }
}

void mg_pw_finished(void *owner, void *task_owner, const mg_result *r) {
  mg_pw *w = owner;
  mg_pw_ending *e = task_owner;
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
  mg_pw *w = owner;
  w->failing++;
  snprintf(w->cause, sizeof w->cause, "%s", cause);
}

void mg_pw_dropped(void *owner, void *task_owner) {
  mg_pw *w = owner;
  (void)task_owner;
  w->dropped++;
}

static void on_closed(void *owner) { ((mg_pw *)owner)->closed = true; }
static void on_late(uv_timer_t *t) { ((mg_pw *)t->data)->late = true; }

mg_pw *mg_pw_open(const char *script, int executors) { return mg_pw_open_with(script, executors, NULL); }

mg_pw *mg_pw_open_with(const char *script, int executors, void (*announce)(void *owner, void *task_owner)) {
  mg_pw *w = calloc(1, sizeof *w);
  mg_error e;
  assert_non_null(w);
  uv_loop_init(&w->loop);
  uv_timer_init(&w->loop, &w->deadline);
  w->deadline.data = w;
  uv_timer_start(&w->deadline, on_late, 20000, 0);
  uv_unref((uv_handle_t *)&w->deadline);
  mg_pool_config config = {
      .program = mg_fake_program(), .script = script, .executors = executors, .load_timeout_ms = 1000, .events = {.ready = mg_pw_ready, .finished = mg_pw_finished, .failing = on_failing, .announce = announce}, .owner = w};
  mg_err rc = mg_pool_new(&w->pool, &w->loop, &config, &e);
  if (rc != MG_OK) print_error("%s\n", e.text);
  assert_int_equal(rc, MG_OK);
  return w;
}

void mg_pw_close(mg_pw *w) {
  mg_pool_close(w->pool, on_closed);
  RUN_UNTIL(w, w->closed);
  uv_close((uv_handle_t *)&w->deadline, NULL);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
  assert_int_equal(errno, ECHILD);
  for (int i = 0; i < MG_PW_TASKS; i++) {
    assert_true(w->endings[i].times <= 1);
    mg_result_fini(&w->endings[i].r);
    mg_buf_fini(&w->endings[i].bytes);
  }
  free(w);
}

mg_task mg_pw_task_of(const char *id, uint64_t first, uint32_t count, const char *orders) {
  mg_task t = {.epoch = 1, .attempt = 1, .first = first, .count = count, .case_timeout_ms = 300, .memory_mb = 100, .violation_cap = 5};
  snprintf(t.run, sizeof t.run, "run");
  snprintf(t.id, sizeof t.id, "%s", id);
  snprintf(t.baseline, sizeof t.baseline, "old");
  snprintf(t.candidate, sizeof t.candidate, "%s", orders);
  return t;
}

mg_pw_ending *mg_pw_submit(mg_pw *w, int place, const mg_task *t) {
  mg_buf bytes = {0};
  mg_error e;
  mg_task_encode(&bytes, t);
  mg_err rc = mg_pool_submit(w->pool, t, mg_buf_slice(&bytes), &w->endings[place], &e);
  if (rc != MG_OK) print_error("%s\n", e.text);
  assert_int_equal(rc, MG_OK);
  mg_buf_fini(&bytes);
  return &w->endings[place];
}

mg_pw_ending *mg_pw_run_one(mg_pw *w, uint64_t first, uint32_t count, const char *orders) {
  mg_task t = mg_pw_task_of("t", first, count, orders);
  mg_pw_ending *e = mg_pw_submit(w, 0, &t);
  RUN_UNTIL(w, e->there);
  return e;
}

void mg_pw_forget(mg_pw_ending *e) {
  mg_result_fini(&e->r);
  mg_buf_fini(&e->bytes);
  *e = (mg_pw_ending){0};
}

/* --- what is expected ---------------------------------------------------------------------------------------------------- */

static mg_outcome usual(uint64_t c, mg_role role) { return (role == MG_BASELINE ? c % 10 == 3 : c % 7 == 0) ? MG_FAIL : MG_PASS; }

mg_clause_mask mg_pw_mask_of(const mg_result *r, uint32_t index, mg_role role) {
  for (size_t i = 0; i < r->failed_count; i++) {
    if (r->failed[i].index == index && r->failed[i].role == role) return r->failed[i].mask;
  }
  return 0;
}

int mg_pw_violations_of(const mg_result *r, uint32_t index, mg_role role, const mg_violation **out) {
  int n = 0;
  for (size_t i = 0; i < r->violation_count; i++) {
    if (r->violations[i].index != index || r->violations[i].role != role) continue;
    if (out != NULL) *out = &r->violations[i];
    n++;
  }
  return n;
}

void mg_pw_expect_cases(const mg_result *r, uint64_t first, const mg_pw_oddity *odd, size_t odd_count, bool baseline) {
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
      assert_int_equal(mg_pw_mask_of(r, i, (mg_role)role), mask);
      const mg_violation *v = NULL;
      assert_int_equal(mg_pw_violations_of(r, i, (mg_role)role, &v), violations);
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

int mg_pw_begin(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "__executor") == 0) return 1 + fake_executor(atoi(argv[2]), atoi(argv[3]));
  if (!mg_fake_log_begin()) return 2;
  alarm(240);
  return 0;
}
