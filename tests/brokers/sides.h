/* sides.h - both sides of a queue for fault tests on any backend: calls are repeated while the broker is away (MG_CONN, MG_TIMEOUT), any
 * other failure fails the test. Tasks are "t0", "t1", ... of the run "run", their body is their name. Inside cmocka tests; one thread. */
#ifndef MG_TESTS_SIDES_H
#define MG_TESTS_SIDES_H

#include "dispatch/backend.h"

struct CMUnitTest;

enum { MG_SIDES_MOST = 2000 };

typedef struct mg_sides {
  const mg_backend_ops *ops;
  mg_options *options; /* owned */
  mg_backend *coordinator, *worker;
} mg_sides;

bool mg_test_full(void); /* MGUARD_CHECK is "full" */
mg_ms mg_sides_soon(void); /* the deadline of a call */
void mg_sides_slow(mg_ms call_ms); /* a call may take so long, 5 s unless told, and all of a wait six times that */

mg_backend *mg_sides_open_one(const mg_backend_ops *ops, mg_options *o, const char *identity, const char *run);
mg_sides mg_sides_open(const mg_backend_ops *ops, mg_options *o);
void mg_sides_close(mg_sides *s);

/* Whether to try again: false on MG_OK; fails past end or on an error that is no absence. */
bool mg_sides_away(mg_err err, const mg_error *e, mg_ms end);

/* n from t<first> on. try: once; each entry must say what the call says. */
mg_err mg_sides_try_publish(mg_backend *b, int first, int n, bool results, mg_error *e);
void mg_sides_publish(mg_backend *b, int first, int n, bool results);
mg_err mg_sides_try_fetch(mg_backend *b, size_t max, mg_ms wait_ms, mg_batch *out, mg_error *e);
/* What comes within wait_ms is added; how much it is. */
size_t mg_sides_fetch_once(mg_backend *b, mg_ms wait_ms, mg_batch *out);
/* Until the batch holds want. */
void mg_sides_fetch(mg_backend *b, size_t want, mg_batch *out);
void mg_sides_fetch_results(mg_backend *b, size_t want, mg_batch *out);

typedef mg_err mg_sides_call(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
/* All of the batch; how many were MG_OK, the others must be MG_LOST. */
size_t mg_sides_settle(mg_backend *b, mg_sides_call *call, const mg_batch *batch);
/* Each of t0 .. t<n-1>, whole and once, and nothing else. */
void mg_sides_expect_each_once(const mg_batch *batch, int n);
void mg_sides_forget(mg_backend *b, mg_batch *batch);
mg_depth mg_sides_depth(mg_backend *b);
/* What a worker's link does while executors are busy. */
void mg_sides_keep_alive(mg_backend *b, mg_ms ms);
/* Until nothing waits any more; the worker is kept alive meanwhile. */
void mg_sides_expect_empty(mg_backend *coordinator, mg_backend *worker);

/* Tasks go round while `hurt` does something to the broker: what was published before and after comes, is settled, and nothing is left. */
void mg_sides_go_round(mg_sides *s, void (*hurt)(void *broker), void *broker);

/* Runs each test in a process of its own beside the others, or the one of this name here. What main is to return. */
int mg_sides_group(const char *title, const struct CMUnitTest *tests, int count, const char *only, int limit_s);

#endif
