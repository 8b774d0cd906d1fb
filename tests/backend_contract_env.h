/* backend_contract_env.h - what the cases of the contract suite share. Inside the suite only. */
#ifndef MG_TESTS_BACKEND_CONTRACT_ENV_H
#define MG_TESTS_BACKEND_CONTRACT_ENV_H

#include "tests/backend_contract.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct mg_env {
  const mg_contract *c;
  const mg_backend_ops *ops;
  char queue[64], run[48], other_run[48], worker_name[48], other_name[48];
  mg_backend *coordinator, *worker;
  mg_backend *open[8]; /* closed by the teardown, however the case ends */
  int wake_fd;         /* an eventfd for the cases that use it */
} mg_env;

typedef mg_err (*mg_settle_call)(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);

/* Skips the case, with a printed reason, where a capability is missing. */
void mg_need(const mg_env *v, uint32_t capability, const char *what);
/* Skips where the call says that it is not supported; fails on any other error. */
void mg_may_lack(const mg_env *v, mg_err err, const mg_error *e, const char *what);
void mg_ok(mg_err err, const mg_error *e); /* fails with the text of e */

mg_backend *mg_env_open(mg_env *v, const char *identity, const char *run, int wake_fd);
void mg_env_close(mg_env *v, mg_backend *b);

mg_ms mg_soon(const mg_env *v); /* now + patience */
/* Publishes n tasks "t<first>" ... of the run; each body says run, task and attempt. */
void mg_publish_some(mg_env *v, const char *run, int first, int n, uint32_t attempt);
void mg_publish_body(mg_env *v, const char *task, mg_slice body);
/* Fetches until the batch holds want tasks; fails where patience ends. */
void mg_fetch_some(mg_env *v, mg_backend *b, mg_batch *out, size_t want, mg_ms lease_ms);
void mg_fetch_results(mg_env *v, mg_backend *b, mg_batch *out, size_t want);
/* Nothing is to be had for quiet_ms. */
void mg_expect_no_task(mg_env *v, mg_backend *b);
void mg_expect_no_result(mg_env *v, mg_backend *b);
/* Settles every item of the batch; all must succeed. */
void mg_settle_all(mg_env *v, mg_backend *b, mg_settle_call call, const mg_batch *batch, mg_ms ms);
/* Settles one; returns its own error. */
mg_err mg_settle_one(mg_env *v, mg_backend *b, mg_settle_call call, mg_lease *lease, mg_ms ms);
void mg_forget_all(mg_backend *b, mg_batch *batch); /* receipts and batch */

/* The item whose body is that of the task; NULL where there is none. */
const mg_delivery *mg_find_item(const mg_batch *batch, const char *run, int task, uint32_t attempt);
/* Names match, where the broker tells them, and the body is that of the task. */
void mg_expect_item(const mg_delivery *d, const char *run, int task, uint32_t attempt);
void mg_publish_result_of(mg_env *v, mg_backend *b, const char *run, int first, int n);
mg_depth mg_depth_of(mg_env *v, const char *run);
mg_task_state mg_state_of(mg_env *v, int task, uint32_t attempt);

typedef struct mg_contract_case {
  const char *name;
  void (*run)(mg_env *v);
} mg_contract_case;
extern const mg_contract_case mg_contract_tasks[], mg_contract_leases[], mg_contract_results[],
    mg_contract_upkeep[]; /* each ends by {0} */

#endif
