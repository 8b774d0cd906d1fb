/* worker_world.h - a worker over the real link and the memory backend; its executors are fake_executor.c, the test itself, which plays the coordinator too.
 * For worker_test.c. */
#ifndef MG_TESTS_WORKER_WORLD_H
#define MG_TESTS_WORKER_WORLD_H

#include "tests/execute/fake_log.h"
#include "backends/memory/memory.h"
#include "execute/worker.h"
#include "wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MG_WW_PATIENCE_MS = 20000 };
#define MG_WW_MOST 2000

typedef struct mg_ww_got {
  mg_buf bytes;
  mg_result r;
} mg_ww_got;

typedef struct mg_ww {
  uv_loop_t loop;
  mg_memory_broker *broker;
  mg_backend *coordinator;
  mg_options *options;
  mg_worker *worker;
  bool ready, stopped;
  char fault[256], failed[256];
  mg_ww_got got[MG_WW_MOST];
  size_t got_count;
  mg_beat beat; /* the newest */
  mg_buf beat_bytes, beat_frame;
} mg_ww;

extern const mg_backend_ops *mg_ww_backend; /* of the workers of the worlds that are opened */

bool mg_ww_begin(void);            /* a folder for the log of what the executors ran */
int mg_ww_end(void **state);       /* cmocka's teardown of the group */
mg_ww *mg_ww_open(const char *script, int executors, mg_ms drain_ms);
void mg_ww_ok(mg_err rc, const mg_error *e);
void mg_ww_step(mg_ww *w);
bool mg_ww_read_beat(mg_ww *w);
void mg_ww_close(mg_ww *w);
mg_task mg_ww_task_of(const char *id, uint64_t first, uint32_t count, const char *orders);
void mg_ww_publish_body(mg_ww *w, const char *run, const char *id, mg_slice body);
void mg_ww_publish(mg_ww *w, const mg_task *t);
void mg_ww_say(mg_ww *w, const mg_control *c);
void mg_ww_control(mg_ww *w, mg_control_kind kind, const char *subject, uint32_t epoch);
mg_depth mg_ww_depth(mg_ww *w);
const mg_result *mg_ww_result_of(const mg_ww *w, const char *id);
bool mg_ww_beat_lists(mg_ww *w, const char *id, bool running, uint64_t case_number);

#define RUN_UNTIL(w, condition)                                                                                                                                \
  do {                                                                                                                                                         \
    mg_ms until_ = mg_now_ms() + MG_WW_PATIENCE_MS;                                                                                                            \
    while (!(condition) && mg_now_ms() < until_) mg_ww_step(w);                                                                                                \
    assert_true(condition);                                                                                                                                    \
  } while (0)

#endif
