/* run_fixture.h - one run of the coordinator over the memory backend with fake workers, and what it must come to. For tests.
 *
 * A fixture is set up, changed at will, run (which always ends, by a watchdog if need be), looked at, torn down. */
#ifndef MG_TESTS_DISPATCH_RUN_FIXTURE_H
#define MG_TESTS_DISPATCH_RUN_FIXTURE_H

#include "dispatch/coordinator.h"
#include "tests/dispatch/fake_worker.h"

#define FIXTURE_WORKERS 8
#define FIXTURE_WATCHDOG_MS 30000

typedef struct run_fixture {
  mg_plan plan;
  mg_options *options;
  fake_world world;
  const char *outcomes_path;
  mg_ms drain_ms;
  const mg_keyring *keys;
  const mg_backend_ops *backend;       /* memory */
  void (*tick)(struct run_fixture *f); /* each 5 ms of the run; NULL */
  void *mine;

  /* While it runs. */
  uv_loop_t loop;
  mg_coordinator *coordinator;
  fake_worker *workers[FIXTURE_WORKERS];
  int worker_count; /* started at the beginning: w0, w1, ... */
  int replaced;
  uint32_t executors;
  mg_ms begun_ms;

  /* Afterwards. */
  bool ended, hung;
  char failed[600];
  mg_run_state state;
  mg_tally tally;
  mg_judgement judgement;
  mg_stored_violation violations[64]; /* without texts */
  size_t violation_count;
  mg_different different[64];
  mg_worker_seen seen[64];
  mg_label_count labels[8];
  char notes[4096], events[1 << 16];
  mg_ms took_ms;
  mg_depth left; /* what remains of the run on the broker */
} run_fixture;

void fixture_init(run_fixture *f, uint64_t cases);
void fixture_run(run_fixture *f);
void fixture_fini(run_fixture *f);
void fixture_replace_the_gone(run_fixture *f);               /* those who vanished, as a process manager would */
fake_worker *fixture_hire(run_fixture *f, const char *name); /* one more worker, during the run */

/* Every case counted once as fake_outcome says, digest and tally, nothing lost, nothing left behind. */
void fixture_expect_whole(const run_fixture *f);
size_t fixture_events(const run_fixture *f, const char *event); /* how many there were */

#endif
