/* slot.h - what an executor and its parent share in memory (a memfd mapped by both).
 *
 * The executor writes, the parent reads; the parent writes kill_seq alone, and puts done, index, case_number,
 * arena_used and half_done right just before each RUN. Whatever stands below `done` and `arena_used` is complete, so that a crash or a
 * hang costs one case. Order of the executor's writes: arena bytes, arena_used, outcomes, done (release); the parent reads done first (acquire).
 *
 * Socket frames (both ways): u32 length (little endian, of what follows), u8 type, body.
 *   parent  -> executor  SETUP     MessagePack [script path, overrides as MessagePack bin or nil]
 *                        RUN       u32 resume_index, u8 half, u8 its outcome, u32 task count, then for each: u32 length, encoded mg_task
 *                                  (half: 0, or 1 + the role of case resume_index whose outcome stands)
 *   executor -> parent   READY     32 bytes fingerprint, u32 preflight cases done
 *                        FAULT     text: the script cannot be loaded or its checks are at fault; the executor then exits 4
 *                        REFUSED   text: nothing of this RUN can be run here (an implementation that the script does not declare); the executor waits on
 *                        DONE      u32 cases done in all (may stop short of the whole where the arena is full: the parent asks again with resume_index)
 * A closed socket asks the executor to run teardown and leave; what is not gone after a second is killed.
 * An index counts through all cases of all tasks of one RUN, 0 first. */
#ifndef MG_EXECUTE_SLOT_H
#define MG_EXECUTE_SLOT_H

#include "base/err.h"
#include "judge/outcome.h"
#include <stdatomic.h>
#include <stdint.h>

#define MG_SLOT_CASES 65536u            /* most cases of one RUN */
#define MG_SLOT_ARENA_BYTES (4u << 20)  /* records of failures */
#define MG_SLOT_RECORD_MAX (256u << 10) /* the executor stops short when less than this is left */
#define MG_SLOT_COUNTS_MAX (8u << 10)   /* violations leave that much: what is counted of the case comes after them */

typedef enum mg_frame_type { MG_FRAME_SETUP = 1, MG_FRAME_RUN, MG_FRAME_READY, MG_FRAME_FAULT, MG_FRAME_DONE, MG_FRAME_REFUSED } mg_frame_type;

typedef enum mg_phase {
  MG_PHASE_IDLE = 0, /* waits for a command: no clock runs */
  MG_PHASE_LOAD,     /* loading scripts, setup() */
  MG_PHASE_GENERATE, /* generator and transforms: a hang or crash here is a fault of the checks */
  MG_PHASE_BASELINE, /* all calls of the role, with their clauses */
  MG_PHASE_CANDIDATE
} mg_phase;

/* Arena records: MessagePack arrays one after another. The first element tells which:
 *   [0, index, role, mask]                                                         failed clauses of a role
 *   [1, index, case, role, clause, message, input, output, input2, output2]        a violation, texts as str
 *   [2, index, name]                                                               a label
 *   [3, index, text]                                                               a fault of the checks; the run of tasks ends at index
 *   [4, index, baseline_ns, candidate_ns]                                          executor time since the last such record
 *   [5, index, low, high]                                                          digest of the whole task that ended with index; none where it was resumed
 *   [6, index, role, keeps, values]                                                what was measured of a role: doubles as they stand in memory (NAN: none),
 *                                                                                  and a mask of those whose pairs are kept
 *   [7, index, cluster or nil, group]                                              where the case belongs: hash of its cluster, name of its group ("": none) */
typedef struct mg_slot {
  _Atomic uint64_t seq; /* rises at every change of phase */
  _Atomic uint32_t phase;
  _Atomic uint32_t index;
  _Atomic uint64_t case_number;
  _Atomic uint64_t kill_seq;        /* the parent asks that phase to end: SIGUSR1 is void unless seq equals it */
  _Atomic int32_t groups[MG_ROLES]; /* process groups of kept children, 0 where none: the parent kills them with the executor */
  _Atomic uint32_t done;            /* cases whose outcomes stand */
  _Atomic uint32_t arena_used;
  _Atomic uint32_t half_done; /* 1 + a role: outcomes[role][index] of the running case stands, the other is still to come */
  uint8_t outcomes[MG_ROLES][MG_SLOT_CASES];
  uint8_t arena[MG_SLOT_ARENA_BYTES];
} mg_slot;

/* Parent: a new slot and its descriptor (CLOEXEC). Executor: maps fd. MG_FATAL with errno otherwise. */
mg_err mg_slot_create(mg_slot **out, int *fd, mg_error *e);
mg_err mg_slot_map(mg_slot **out, int fd, mg_error *e);
void mg_slot_unmap(mg_slot *s);

#endif
