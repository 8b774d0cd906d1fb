/* backend_contract.h - the cases every backend must pass (engine/dispatch/backend.h), and the harness it brings to
 * them.
 *
 * A test program fills an mg_contract and calls mg_contract_run from main. Each case gets a queue of its own name, a
 * coordinator's side with a run and a worker's side. What a capability bit says a broker cannot do is skipped with its
 * reason, and counted. Thread: main; one case has a second. */
#ifndef MG_TESTS_BACKEND_CONTRACT_H
#define MG_TESTS_BACKEND_CONTRACT_H

#include "dispatch/backend.h"

typedef struct mg_contract {
  const mg_backend_ops *ops;
  void *owner;
  /* Sets options and shared of config for a queue of this name; what it allocates lives until end. */
  void (*fill)(void *owner, const char *queue, mg_backend_config *config);
  void (*end)(void *owner, const char *queue); /* after the case, all backends closed; NULL: nothing to do */
  bool (*reset)(void *owner);                  /* cuts all connections; for brokers with MG_CAP_RESUMES */
  mg_ms lease_ms;                              /* a short lease or delay this broker can keep */
  mg_ms quiet_ms;                              /* how long to watch that nothing comes */
  mg_ms patience_ms;                           /* how long to wait for what must come */
  mg_ms slack_ms;                              /* how far past its deadline a call may run */
  mg_ms wake_ms;                               /* how long after wake_fd became readable a call may run */
  size_t large_bytes;                          /* of the large body */
  bool ordered;                                /* one worker gets a run's tasks in the order they were published */
  bool pending_counts_held; /* depth cannot tell what waits from what a worker holds (Kafka) */
  bool late_ack_may_settle; /* broker without reclaim: an ended receipt may still settle the task (SQS says so) */
  bool delayed_counts_as_held; /* depth: a task given back with a delay is in flight until then, not pending */
} mg_contract;

/* Runs all cases, or those whose name contains argv[1]. Returns the number that failed: main's exit code. */
int mg_contract_run(const mg_contract *c, int argc, char **argv);

#endif
