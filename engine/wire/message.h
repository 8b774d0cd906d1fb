/* message.h - what travels: tasks, results, beats, controls. MessagePack arrays, version byte first; encode and decode are
 * each other's inverse. Decoded structs borrow from the bytes they were decoded from. Any thread.
 *
 * Every decode checks type, range and length of every field, refuses depth above 64 and trailing bytes, and allocates
 * only what the input's own length justifies. A message carries no code. Refusals are MG_ARG; MG_UNSUPPORTED for a newer version. */
#ifndef MG_WIRE_MESSAGE_H
#define MG_WIRE_MESSAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "judge/measures.h"
#include "judge/outcome.h"
#include <stdbool.h>

#define MG_WIRE_VERSION 1
#define MG_RUN_MAX 64       /* longest run id in bytes: [A-Za-z0-9_-]+ */
#define MG_TASK_MAX 48      /* longest task id, the same letters and '.' */
#define MG_NAME_MAX 128     /* longest name of an implementation, clause or worker */
#define MG_TASK_CASES 65536 /* most cases in one task */

typedef enum mg_task_kind {
  MG_TASK_COUNT = 0,  /* outcomes count */
  MG_TASK_REPEAT = 1, /* run again in fresh lua_States to see whether the outcome repeats; counts nowhere */
  MG_TASK_EXPLAIN = 2 /* as REPEAT, and every clause is recorded as a violation is, message "holds" or "does not apply", and every metric, message its value or "no value": for replay */
} mg_task_kind;

/* What a worker owes a task that was with a worker that vanished. It is begun only once a beat that names it as begun is on the broker: so, should this
 * worker vanish too, it is known whether it had begun it. */
typedef enum mg_care {
  MG_CARE_NONE = 0,
  MG_CARE_TELL = 1, /* the beat first */
  MG_CARE_ALONE = 2 /* and no other task runs in its worker meanwhile: its next loss gives it up, and must be its own doing */
} mg_care;

/* Bits of mg_task.measure, the order of their columns. */
enum { MG_MEASURE_LATENCY = 1, MG_MEASURE_CPU = 2, MG_MEASURE_MEMORY = 4, MG_MEASURE_ALL = 7 };

typedef struct mg_task {
  char run[MG_RUN_MAX + 1];
  uint32_t epoch; /* of the coordinator: rises with each resume */
  char id[MG_TASK_MAX + 1];
  uint32_t attempt; /* 1 the first time */
  mg_care care;
  mg_task_kind kind;
  uint64_t first;   /* case number; ignored where payload is there */
  uint32_t count;   /* 1 .. MG_TASK_CASES */
  mg_slice payload; /* empty: cases first .. first+count-1, generated; else MessagePack [[case, args], ...] of count entries,
                       args nil (generate) or bin (MessagePack array of the arguments); opaque to all but the executor */
  uint64_t seed;    /* bits of the plan's int64 */
  uint8_t fingerprint[32];
  char baseline[MG_NAME_MAX + 1]; /* "" where the plan has none */
  char candidate[MG_NAME_MAX + 1];
  uint32_t case_timeout_ms, memory_mb; /* 0: the worker's default */
  uint32_t violation_cap;
  uint8_t trace[16];
  uint8_t measure; /* MG_MEASURE_*: what is measured of each call besides the checks' own metrics; not sent where 0 */
} mg_task;

void mg_task_encode(mg_buf *out, const mg_task *t);
mg_err mg_task_decode(mg_task *t, mg_slice bytes, mg_error *e); /* payload borrows from bytes */

/* Failed clauses of one role of the task's i-th case; only those that failed any. */
typedef struct mg_failed {
  uint32_t index;
  mg_role role;
  mg_clause_mask mask;
} mg_failed;

#define MG_EXPLAINED_METRIC (MG_MAX_CLAUSES + 1)
#define MG_EXPLAINED_MOST (MG_MAX_CLAUSES + 16)

/* A stored violation, for people: values as Lua-like text (mguard.core.show), empty slices where there is none. */
typedef struct mg_violation {
  uint32_t index; /* in the task */
  uint64_t case_number;
  mg_role role;
  uint8_t clause; /* bit number in mg_clause_mask; from MG_EXPLAINED_METRIC on a metric, which EXPLAIN alone gives */
  mg_slice message, input, output, input2, output2;
} mg_violation;

typedef struct mg_label {
  mg_slice name;
  uint64_t count;
} mg_label;

/* Outcomes of the first `count` cases of a task. outcomes[i] = baseline | candidate << 4 (mg_outcome each). Encoded as runs. */
typedef struct mg_result {
  char run[MG_RUN_MAX + 1];
  uint32_t epoch;
  char id[MG_TASK_MAX + 1];
  uint32_t attempt;
  char worker[MG_NAME_MAX + 1];
  uint32_t count;
  uint8_t *outcomes; /* count bytes, owned */
  mg_failed *failed; /* ascending index, owned */
  size_t failed_count;
  mg_violation *violations; /* owned array, texts borrowed */
  size_t violation_count;
  mg_label *labels; /* owned array, names borrowed */
  size_t label_count;
  bool has_digest; /* sum over all count cases; absent after a crash: the coordinator then computes it */
  mg_digest digest;
  uint64_t busy_ns;               /* executor time */
  uint64_t role_ns[MG_ROLES];     /* executor time by role, 0 where not measured */
  mg_slice fault;                 /* not empty: the checks are at fault (generator or transform raised or hung), with file:line */
  mg_slice refused;               /* not empty: this worker cannot run the task (other files, implementation unknown), count = 0 */
  uint8_t worker_fingerprint[32]; /* with refused */
  mg_measures *measures;          /* NULL: nothing was measured, and nothing is sent. Owned where it was decoded, else borrowed */
} mg_result;

void mg_result_encode(mg_buf *out, const mg_result *r);
mg_err mg_result_decode(mg_result *r, mg_slice bytes, mg_error *e); /* mg_result_fini afterwards, on failure too */
void mg_result_fini(mg_result *r);

/* Several encoded results of one run in one message; a single one travels by itself. */
#define MG_RESULTS_MOST 256
void mg_results_encode(mg_buf *out, const mg_slice *parts, size_t count);
/* The encoded results, each as it was given, borrowed from bytes; a message that is one result is its own only part. Looks at the envelope alone: each part is
 * still to be decoded. */
mg_err mg_results_split(mg_slice bytes, mg_slice parts[MG_RESULTS_MOST], size_t *count, mg_error *e);

typedef struct mg_beat_task {
  char run[MG_RUN_MAX + 1];
  char id[MG_TASK_MAX + 1];
  uint32_t attempt;
  bool running;         /* an executor has begun it */
  uint64_t case_number; /* running: the case the executor is at */
  mg_role role;         /* running: the role of it that runs */
} mg_beat_task;

/* A worker's sign of life. counter rises by one each beat; no clock is sent. */
typedef struct mg_beat {
  char worker[MG_NAME_MAX + 1]; /* host-pid-random */
  uint64_t counter;
  uint32_t executors, executors_up, restarts;
  uint8_t fingerprint[32];
  bool draining;
  bool leaving;     /* the last beat: everything is settled */
  bool quarantined; /* it gets no tasks, by the word of some coordinator, which may be gone */
  uint64_t cases_done;
  mg_beat_task *tasks; /* owned */
  size_t task_count;
} mg_beat;

void mg_beat_encode(mg_buf *out, const mg_beat *b);
mg_err mg_beat_decode(mg_beat *b, mg_slice bytes, mg_error *e);
void mg_beat_fini(mg_beat *b);

typedef enum mg_control_kind { MG_RUN_CLOSED = 1, MG_RUN_CANCELLED = 2, MG_QUARANTINE = 3, MG_PARDON = 4, MG_TASKS_DROPPED = 5 } mg_control_kind;

#define MG_CONTROL_TASKS 64 /* most tasks that one control names */

typedef struct mg_control {
  mg_control_kind kind;
  char subject[MG_NAME_MAX + 1]; /* the run, or the worker for quarantine and pardon */
  uint32_t epoch;                /* MG_RUN_CLOSED, MG_RUN_CANCELLED: the last whose tasks are meant, so that one that is late does not end a resumed run; 0: not known */
  /* MG_TASKS_DROPPED: tasks of the run that nobody waits for any more, the last ones that there were. Whoever gets one settles it unrun. */
  uint32_t task_count;
  char tasks[MG_CONTROL_TASKS][MG_TASK_MAX + 1];
} mg_control;

void mg_control_encode(mg_buf *out, const mg_control *c);
mg_err mg_control_decode(mg_control *c, mg_slice bytes, mg_error *e);

#endif
