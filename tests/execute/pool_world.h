/* pool_world.h - a pool over fake_executor.c, whose processes are the test itself, and what is expected of its results. For pool*_test.c. */
#ifndef MG_TESTS_POOL_WORLD_H
#define MG_TESTS_POOL_WORLD_H

#include "tests/execute/fake_log.h"
#include "base/clock.h"
#include "execute/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MG_PW_TASKS 600

typedef struct mg_pw_ending {
  mg_buf bytes;
  mg_result r;
  bool there;
  int times;
} mg_pw_ending;

typedef struct mg_pw {
  uv_loop_t loop;
  uv_timer_t deadline;
  mg_pool *pool;
  bool ready, closed, late;
  char fault[512], cause[700];
  uint8_t fingerprint[32];
  int failing, finished, dropped;
  mg_pw_ending endings[MG_PW_TASKS];
} mg_pw;

#define RUN_UNTIL(w, condition)                                                                                                                                \
  do {                                                                                                                                                         \
    while (!(condition) && !(w)->late) uv_run(&(w)->loop, UV_RUN_ONCE);                                                                                        \
    assert_true(condition);                                                                                                                                    \
  } while (0)

typedef struct mg_pw_oddity {
  uint64_t case_number;
  mg_role role;
  mg_outcome outcome;
  const char *message; /* NULL: none is kept */
} mg_pw_oddity;

/* main of each test: 1 + exit code where it is to end at once (an executor, or no folder). */
int mg_pw_begin(int argc, char **argv);

mg_pw *mg_pw_open(const char *script, int executors);
mg_pw *mg_pw_open_with(const char *script, int executors, void (*announce)(void *owner, void *task_owner));
void mg_pw_close(mg_pw *w); /* fails where a zombie or a handle is left */
mg_task mg_pw_task_of(const char *id, uint64_t first, uint32_t count, const char *orders);
mg_pw_ending *mg_pw_submit(mg_pw *w, int place, const mg_task *t);
mg_pw_ending *mg_pw_run_one(mg_pw *w, uint64_t first, uint32_t count, const char *orders);
void mg_pw_forget(mg_pw_ending *e);
mg_clause_mask mg_pw_mask_of(const mg_result *r, uint32_t index, mg_role role);
int mg_pw_violations_of(const mg_result *r, uint32_t index, mg_role role, const mg_violation **out);
/* All cases are as usual but the odd ones, with their records, and no record twice. */
void mg_pw_expect_cases(const mg_result *r, uint64_t first, const mg_pw_oddity *odd, size_t odd_count, bool baseline);
/* Events of the pool. */
void mg_pw_ready(void *owner, const char *fault, const uint8_t fingerprint[32]);
void mg_pw_finished(void *owner, void *task_owner, const mg_result *r);
void mg_pw_dropped(void *owner, void *task_owner);

#endif
