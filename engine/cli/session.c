#include "cli/session.h"

#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mg_session {
  uv_loop_t loop;
  mg_pool *pool;
  bool loop_ready, answered, closed;
  char fault[512];
  mg_buf kept; /* the result, encoded: the pool's own is gone after its callback */
  mg_result result;
};

static void on_ready(void *owner, const char *fault, const uint8_t fingerprint[32]) {
  (void)fingerprint;
  mg_session *s = owner;
  if (fault != NULL) (void)snprintf(s->fault, sizeof s->fault, "%s", fault);
  s->answered = true;
  uv_stop(&s->loop);
}

static void on_finished(void *owner, void *task_owner, const mg_result *r) {
  (void)task_owner;
  mg_session *s = owner;
  mg_buf_clear(&s->kept);
  mg_result named = *r; /* borrows r's arrays */
  (void)snprintf(named.worker, sizeof named.worker, "local");
  mg_result_encode(&s->kept, &named);
  s->answered = true;
  uv_stop(&s->loop);
}

static void on_failing(void *owner, const char *cause) {
  mg_session *s = owner;
  (void)snprintf(s->fault, sizeof s->fault, "%s", cause);
  s->answered = true;
  uv_stop(&s->loop);
}

static void on_closed(void *owner) {
  mg_session *s = owner;
  s->closed = true;
  uv_stop(&s->loop);
}

/* Every wait ends: the pool bounds loading and each case. */
static void wait_for(mg_session *s, const bool *flag) {
  while (!*flag && uv_run(&s->loop, UV_RUN_DEFAULT) != 0) {
  }
}

mg_err mg_session_open(mg_session **out, const char *script, mg_slice overrides, bool show_output, mg_error *e) {
  *out = NULL;
  mg_session *s = calloc(1, sizeof *s);
  if (s == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  mg_err err = uv_loop_init(&s->loop) == 0 ? MG_OK : mg_fail(e, MG_FATAL, "no event loop can be made");
  s->loop_ready = err == MG_OK;
  if (err == MG_OK) {
    mg_pool_config c = {.program = mg_program_path(),
                        .script = script,
                        .overrides = overrides,
                        .executors = 1,
                        .load_timeout_ms = 30000,
                        .show_output = show_output,
                        .events = {on_ready, on_finished, on_failing},
                        .owner = s};
    err = mg_pool_new(&s->pool, &s->loop, &c, e);
  }
  if (err == MG_OK) {
    wait_for(s, &s->answered);
    if (s->fault[0] != '\0') err = mg_fail(e, MG_ARG, "%s", s->fault);
  }
  if (err != MG_OK) mg_session_close(s);
  else *out = s;
  return err;
}

mg_err mg_session_run(mg_session *s, const mg_task *t, const mg_result **r, mg_error *e) {
  mg_buf bytes = {0};
  mg_task_encode(&bytes, t);
  s->answered = false;
  s->fault[0] = '\0';
  mg_result_fini(&s->result);
  mg_err err = bytes.failed ? mg_fail(e, MG_NOMEM, "memory ended") : mg_pool_submit(s->pool, t, mg_buf_slice(&bytes), s, e);
  mg_buf_fini(&bytes);
  if (err != MG_OK) return err;
  wait_for(s, &s->answered);
  if (s->fault[0] != '\0') return mg_fail(e, MG_FATAL, "%s", s->fault);
  err = mg_result_decode(&s->result, mg_buf_slice(&s->kept), e);
  *r = &s->result;
  return err;
}

void mg_session_close(mg_session *s) {
  if (s == NULL) return;
  if (s->pool != NULL) {
    mg_pool_close(s->pool, on_closed);
    wait_for(s, &s->closed);
  }
  if (s->loop_ready) {
    while (uv_run(&s->loop, UV_RUN_NOWAIT) != 0) {
    }
    (void)uv_loop_close(&s->loop);
  }
  mg_result_fini(&s->result);
  mg_buf_fini(&s->kept);
  free(s);
}
