/* pool_internal.h - what pool*.c share. Inside execute/ only. Thread: the loop's. */
#ifndef MG_EXECUTE_POOL_INTERNAL_H
#define MG_EXECUTE_POOL_INTERNAL_H

#include "base/clock.h"
#include "execute/pool.h"
#include "execute/pool_job.h"
#include "execute/pool_proc.h"

#define MG_POOL_GAP_MS 500 /* of the loop: longer ones are not counted against a case */

typedef enum mg_seat_state {
  MG_SEAT_DOWN = 0, /* no process; another is started at restart_at */
  MG_SEAT_STARTING, /* loads the script */
  MG_SEAT_IDLE,
  MG_SEAT_BUSY,  /* runs its bundle */
  MG_SEAT_LOCKED /* no process, and none will be started */
} mg_seat_state;

/* A place for one executor process. */
typedef struct mg_seat {
  mg_pool *pool;
  mg_proc *proc;
  mg_seat_state state;
  mg_bundle *bundle;
  mg_ms restart_at;
  char said[512]; /* what it said was wrong before it died, or what it was killed for; "" */

  /* The watchdog's view of the running phase. */
  uint64_t seen_seq;
  mg_ms since;        /* when the phase was first seen, moved on by gaps */
  bool overlapped;    /* a gap fell into it: running out of time now proves nothing */
  mg_ms signalled_at; /* 0: not yet */
  bool killed;
  mg_death_kind kill_kind;
  uint64_t hung_seq;
} mg_seat;

struct mg_pool {
  mg_pool_config config; /* owns its texts */
  uv_loop_t *loop;
  mg_seat *seats;
  mg_job *waiting, *last_waiting; /* in order of their turn */
  size_t waiting_count;

  uv_timer_t watch;
  uv_signal_t child_died;
  int open_handles; /* of the pool itself and its processes */
  bool signal_ok;   /* child_died is a handle */
  bool watching;
  uint64_t watch_ms; /* period */
  mg_ms last_tick;

  bool told_ready, up_once, closing, failing;
  mg_ms close_by;
  void (*closed)(void *owner);
  uint8_t fingerprint[32];
  uint32_t restarts;
  int deaths_in_row; /* without anything done between them */
  int runs_in_row;   /* of these, RUNs that ended with no case to blame */
  double case_ns;    /* moving mean */
};

/* --- pool_queue.c --- */
void mg_pool_put_first(mg_pool *p, mg_job *j);
void mg_pool_dispatch(mg_pool *p); /* gives idle executors what waits */

/* Has the watchdog look every period_ms, or oftener. */
void mg_pool_watch(mg_pool *p, uint64_t period_ms);
void mg_pool_watch_begin(mg_seat *s); /* a RUN or a start begins */
void mg_pool_on_tick(uv_timer_t *t);
/* By the watchdog: it is time to start this seat's process. */
void mg_pool_start_seat(mg_seat *s);

#endif
