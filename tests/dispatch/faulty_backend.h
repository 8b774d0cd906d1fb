/* faulty_backend.h - the memory backend with a connection that can fail on demand. For tests. One set of faults a process; set from any thread. */
#ifndef MG_TESTS_DISPATCH_FAULTY_BACKEND_H
#define MG_TESTS_DISPATCH_FAULTY_BACKEND_H

#include "backends/memory/memory.h"
#include <stdatomic.h>

typedef struct faulty_control {
  atomic_bool down;          /* every call and every open gives MG_CONN */
  atomic_bool refuse_open;   /* open gives MG_FATAL */
  atomic_int lose_every;     /* each so many-th call fails; 0: none. By turns before and after it took effect */
  atomic_int again;          /* so many entries of publish_tasks and publish_results are told MG_AGAIN */
  atomic_int hang_ms;        /* calls that fetch or serve do not return for so long */
  atomic_uint calls, failed; /* counted */
  atomic_uint publishes;     /* calls of publish_tasks */
  atomic_uint opens;
  atomic_uint throttled;     /* what stats tells; 0: that it cannot */
} faulty_control;

extern faulty_control faulty;
extern const mg_backend_ops faulty_backend;
extern const mg_backend_ops resuming_backend; /* with MG_CAP_RESUMES: the handle is kept over outages */
extern const mg_backend_ops plain_backend; /* the same without MG_CAP_RECLAIM */
extern const mg_backend_ops unordered_backend; /* the same, with MG_CAP_UNORDERED */
void faulty_reset(void);

#endif
