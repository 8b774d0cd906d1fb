/* link_bench.h - one link on a loop, and the other side of the broker: the memory backend. For the thread of the test. */
#ifndef MG_TEST_LINK_BENCH_H
#define MG_TEST_LINK_BENCH_H

#include "dispatch/link.h"
#include "tests/dispatch/faulty_backend.h"

typedef struct mg_link_bench {
  mg_memory_broker *broker;
  mg_backend *other;
  mg_options *options;
  uv_loop_t loop;
  uv_timer_t timer;
  mg_link *link;
  mg_link_config config; /* to be completed between open and start; options, identity and broker stand in it */
  bool stopped;          /* set by the test's own handler of events, on MG_EV_STOPPED */
} mg_link_bench;

/* The other side is the coordinator of run r1 where the link is a worker's, and the other way round. */
void mg_link_bench_open(mg_link_bench *b, bool worker);
void mg_link_bench_start(mg_link_bench *b);
/* Stops the link, if it has not stopped, within limit_ms, and frees all. */
void mg_link_bench_close(mg_link_bench *b, mg_ms limit_ms);

#endif
