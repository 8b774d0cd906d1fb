/* The pool over the real executor: implementations that misbehave in every way cost their own case alone. The executors are this test itself, started again. */
#include "base/clock.h"
#include "execute/executor.h"
#include "execute/pool.h"
#include "tests/brokers/brokers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CASES 60

typedef struct world {
  uv_loop_t loop;
  uv_timer_t deadline;
  mg_pool *pool;
  bool ready, closed, late, there;
  char fault[512];
  uint8_t fingerprint[32];
  mg_buf bytes;
  mg_result r;
} world;

static char self[4096], folder[MG_TEST_PATH_BYTES];

static const char *const FILES[][2] = {
    {"checks.lua", "local mg = require 'mguard'\n"
                   "return mg.checks { name = 'bad', generate = function(g) g:label('case') return g.case end,\n"
                   "  properties = { mg.property { 'double', check = function(out, n) return out == 2 * n end } },\n"
                   "  relations = { mg.relation { 'twice', transform = function(g, n) return n end, expect = 'equal' } },\n"
                   "  implementations = { good = mg.lua 'good.lua', bad = mg.lua 'bad.lua',\n"
                   "    python = mg.exec { '/usr/bin/python3', 'kept.py' }, once = mg.exec { '/usr/bin/python3', 'once.py', once = true } } }\n"},
    {"good.lua", "return function(n) return 2 * n end\n"},
    {"bad.lua", "local bad = {\n"
                "  [3] = function() os.execute('kill -SEGV $PPID') while true do end end,\n"
                "  [5] = function() os.exit(0) end,\n"
                "  [7] = function() while true do end end,\n"
                "  [9] = function() return (('a'):rep(200)):find(('.-'):rep(30) .. 'b') end,\n"
                "  [11] = function() local t, k = {}, ('x'):rep(1000) while true do t[#t + 1] = k:rep(50) .. #t end end,\n"
                "  [13] = function(n) table.sort = nil getmetatable('').__index = nil tostring = nil pairs = nil return 2 * n end,\n"
                "  [15] = function() coroutine.wrap(function() while true do end end)() end,\n"
                "  [17] = function() xpcall(error, function() while true do end end) end,\n"
                "  [19] = function(n) setmetatable({}, { __gc = function() while true do end end }) collectgarbage() return 2 * n end,\n"
                "  [21] = function() error('boom') end,\n"
                "  [23] = function() return 1 end,\n"
                "  [25] = function() while true do pcall(error) end end,\n"
                "  [27] = function() os.execute('kill -KILL $PPID') while true do end end,\n"
                "  [29] = function() error(setmetatable({}, { __tostring = function() while true do end end })) end,\n"
                "}\n"
                "return function(n) local f = bad[n] if f then return f(n) end return 2 * n end\n"},
    {"kept.py", "import json, os, signal, sys, time\n"
                "for line in sys.stdin:\n"
                "  n = json.loads(line)[0]\n"
                "  if n == 3: os.kill(os.getpid(), signal.SIGSEGV)\n"
                "  if n == 5: sys.exit(3)\n"
                "  if n == 7: time.sleep(1000)\n"
                "  if n == 9: print('this is no JSON', flush=True); continue\n"
                "  if n == 11: os.close(1); time.sleep(1000)\n"
                "  if n == 13: sys.stdout.write('1\\n2\\n'); sys.stdout.flush(); continue\n"
                "  if n == 15: sys.stdout.buffer.write(b'\\xff\\x00\\n'); sys.stdout.flush(); continue\n"
                "  print(json.dumps({'result': 2 * n}), flush=True)\n"
                "  if n == 17: os.kill(os.getpid(), signal.SIGSEGV)\n"},
    {"once.py", "import json, sys\n"
                "n = json.load(sys.stdin)[0]\n"
                "if n == 3: sys.exit(3)\n"
                "print(json.dumps(2 * n))\n"},
};

static void on_ready(void *owner, const char *fault, const uint8_t fingerprint[32]) {
  world *w = owner;
  w->ready = true;
  if (fault != NULL) {
    snprintf(w->fault, sizeof w->fault, "%s", fault);
  } else {
    memcpy(w->fingerprint, fingerprint, 32);
  }
}

static void on_finished(void *owner, void *task_owner, const mg_result *r) {
  world *w = owner;
  mg_result copy = *r;
  mg_error e;
  (void)task_owner;
  snprintf(copy.worker, sizeof copy.worker, "test");
  mg_buf_clear(&w->bytes);
  mg_result_encode(&w->bytes, &copy);
  mg_result_fini(&w->r);
  assert_int_equal(mg_result_decode(&w->r, mg_buf_slice(&w->bytes), &e), MG_OK);
  w->there = true;
}

static void on_closed(void *owner) { ((world *)owner)->closed = true; }
static void on_late(uv_timer_t *t) { ((world *)t->data)->late = true; }

#define RUN_UNTIL(w, condition)                                                                                                                                \
  do {                                                                                                                                                         \
    while (!(condition) && !(w)->late) uv_run(&(w)->loop, UV_RUN_ONCE);                                                                                        \
    assert_true(condition);                                                                                                                                    \
  } while (0)

static world *open_world(const char *name, int executors) {
  world *w = calloc(1, sizeof *w);
  char path[MG_TEST_PATH_BYTES + 16];
  mg_error e;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  uv_loop_init(&w->loop);
  uv_timer_init(&w->loop, &w->deadline);
  w->deadline.data = w;
  uv_timer_start(&w->deadline, on_late, 60000, 0);
  uv_unref((uv_handle_t *)&w->deadline);
  mg_pool_config config = {
      .program = self, .script = path, .executors = executors, .load_timeout_ms = 20000, .events = {on_ready, on_finished, NULL}, .owner = w};
  assert_int_equal(mg_pool_new(&w->pool, &w->loop, &config, &e), MG_OK);
  RUN_UNTIL(w, w->ready);
  return w;
}

static void close_world(world *w) {
  mg_pool_close(w->pool, on_closed);
  RUN_UNTIL(w, w->closed);
  uv_close((uv_handle_t *)&w->deadline, NULL);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
  mg_result_fini(&w->r);
  mg_buf_fini(&w->bytes);
  free(w);
}

static const mg_result *run(world *w, const char *baseline, const char *candidate, uint32_t count, uint32_t memory_mb) {
  mg_task t = {.run = "run", .id = "t", .epoch = 1, .attempt = 1, .count = count, .seed = 7, .memory_mb = memory_mb, .violation_cap = 100};
  mg_buf bytes = {0};
  mg_error e;
  t.case_timeout_ms = memory_mb > 256 ? 3000 : 600; /* programs have to start, too */
  snprintf(t.baseline, sizeof t.baseline, "%s", baseline);
  snprintf(t.candidate, sizeof t.candidate, "%s", candidate);
  memcpy(t.fingerprint, w->fingerprint, sizeof t.fingerprint);
  mg_task_encode(&bytes, &t);
  w->there = false;
  assert_int_equal(mg_pool_submit(w->pool, &t, mg_buf_slice(&bytes), w, &e), MG_OK);
  mg_buf_fini(&bytes);
  RUN_UNTIL(w, w->there);
  if (w->r.fault.len > 0) print_error("fault: %.*s\n", (int)w->r.fault.len, (const char *)w->r.fault.data);
  return &w->r;
}

static const char *message_of(const mg_result *r, uint32_t index, mg_role role) {
  static char text[300];
  for (size_t i = 0; i < r->violation_count; i++) {
    const mg_violation *v = &r->violations[i];
    if (v->index != index || v->role != role) continue;
    snprintf(text, sizeof text, ": %.*s", (int)v->message.len, (const char *)v->message.data);
    return text;
  }
  return "";
}

static void expect(const mg_result *r, const char *const *odd, mg_role role) {
  assert_int_equal(r->fault.len, 0);
  assert_int_equal(r->refused.len, 0);
  for (uint32_t i = 0; i < r->count; i++) {
    const char *got = mg_outcome_name((mg_outcome)(role == MG_BASELINE ? r->outcomes[i] & 15 : r->outcomes[i] >> 4));
    const char *want = odd != NULL && i < 32 && odd[i] != NULL ? odd[i] : "pass";
    if (strcmp(got, want) != 0) print_error("case %u %s: %s instead of %s%s\n", i, mg_role_name(role), got, want, message_of(r, i, role));
  }
  for (uint32_t i = 0; i < r->count; i++) {
    const char *got = mg_outcome_name((mg_outcome)(role == MG_BASELINE ? r->outcomes[i] & 15 : r->outcomes[i] >> 4));
    assert_string_equal(got, odd != NULL && i < 32 && odd[i] != NULL ? odd[i] : "pass");
  }
}

static bool says(const mg_result *r, uint32_t index, mg_role role, const char *text) {
  for (size_t i = 0; i < r->violation_count; i++) {
    const mg_violation *v = &r->violations[i];
    if (v->index == index && v->role == role && memmem(v->message.data, v->message.len, text, strlen(text)) != NULL) return true;
  }
  return false;
}

static const char *const BAD[32] = {[3] = "crash",    [5] = "crash",    [7] = "timeout", [9] = "timeout", [11] = "error",   [15] = "timeout",
                                    [17] = "timeout", [19] = "timeout", [21] = "error",  [23] = "fail",   [25] = "timeout", [27] = "crash"};

static void lua_that_misbehaves(void **state) {
  (void)state;
  world *w = open_world("checks.lua", 1);
  assert_string_equal(w->fault, "");
  const mg_result *r = run(w, "good", "bad", CASES, 16);
  assert_int_equal(r->count, CASES);
  expect(r, NULL, MG_BASELINE);
  const char *const *odd = BAD;
  const char *seen[32];
  memcpy(seen, odd, sizeof seen);
  seen[29] = r->outcomes[29] >> 4 == MG_TIMED_OUT ? "timeout" : "error"; /* whether its message is made is the executor's to say */
  expect(r, seen, MG_CANDIDATE);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their handlers exit instead */
  assert_true(says(r, 3, MG_CANDIDATE, "killed by signal 11 (SIGSEGV)"));
#endif
  assert_true(says(r, 5, MG_CANDIDATE, "exited with status 0"));
  assert_true(says(r, 9, MG_CANDIDATE, "no answer within 600 ms"));
  assert_true(says(r, 27, MG_CANDIDATE, "killed by signal 9 (SIGKILL)"));
  assert_int_equal(r->label_count, 1);
  assert_int_equal(r->labels[0].count, CASES); /* no case is labelled twice, however often its executor died */
  r = run(w, "bad", "good", 14, 16);           /* the same on the other side */
  expect(r, seen, MG_BASELINE);
  expect(r, NULL, MG_CANDIDATE);
  assert_int_equal(r->labels[0].count, 14);
  r = run(w, "", "bad", 14, 16);
  expect(r, seen, MG_CANDIDATE);
  assert_int_equal(r->outcomes[0] & 15, MG_ABSENT);
  assert_int_equal(r->labels[0].count, 14);
  close_world(w);
}

static void programs_that_misbehave(void **state) {
  (void)state;
  static const char *const kept[32] = {[3] = "crash", [5] = "crash", [7] = "timeout", [9] = "error", [11] = "crash", [13] = "error", [15] = "error"};
  static const char *const once[32] = {[3] = "crash"};
  world *w = open_world("checks.lua", 1);
  const mg_result *r = run(w, "good", "python", CASES, 512);
  expect(r, NULL, MG_BASELINE);
  /* A death after the answer is the next call's to find: of the same case (the relation's), or of nobody. */
  const char *seen[32];
  memcpy(seen, kept, sizeof seen);
  seen[17] = r->outcomes[17] >> 4 == MG_PASS ? "pass" : "crash";
  expect(r, seen, MG_CANDIDATE);
  assert_true(says(r, 3, MG_CANDIDATE, "killed by signal 11 (SIGSEGV)"));
  assert_true(says(r, 5, MG_CANDIDATE, "exited with status 3"));
  assert_int_equal(mg_pool_restarts(w->pool), 0); /* the executor itself was never in danger */
  r = run(w, "good", "once", 8, 512);
  expect(r, once, MG_CANDIDATE);
  close_world(w);
}

static void a_digest_for_a_run_without_deaths(void **state) {
  (void)state;
  world *w = open_world("checks.lua", 2);
  const mg_result *r = run(w, "good", "good", CASES, 64);
  assert_true(r->has_digest);
  assert_true(r->digest.low != 0 && r->busy_ns > 0);
  r = run(w, "good", "nobody", 3, 64);
  assert_int_equal(r->count, 0);
  assert_true(memmem(r->refused.data, r->refused.len, "nobody", 6) != NULL);
  r = run(w, "good", "good", 3, 64);
  expect(r, NULL, MG_CANDIDATE);
  close_world(w);
  w = open_world("missing.lua", 1);
  assert_true(strstr(w->fault, "missing.lua") != NULL);
  close_world(w);
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "__executor") == 0) return mg_executor_main(atoi(argv[2]), atoi(argv[3]));
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0 || !mg_test_folder(folder)) return 1;
  for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
    char path[MG_TEST_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/%s", folder, FILES[i][0]);
    FILE *f = fopen(path, "w");
    if (f == NULL || fputs(FILES[i][1], f) < 0 || fclose(f) != 0) return 1;
  }
  alarm(240);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lua_that_misbehaves),
      cmocka_unit_test(programs_that_misbehave),
      cmocka_unit_test(a_digest_for_a_run_without_deaths),
  };
  return cmocka_run_group_tests_name("pool_real", tests, NULL, NULL);
}
