/* link.h - the I/O thread between a libuv loop and a backend.
 *
 * The thread owns the backend: opens it, reconnects with jittered back-off, runs the calls. Two bounded queues join it to the loop's thread: jobs go down,
 * events come up. A job is never lost: on MG_CONN it is tried again after the reconnect (leases of the old connection settle as MG_LOST,
 * unless the broker has MG_CAP_RESUMES: then nothing is dropped, and what is held goes on as long as its lease). Main may be
 * slow or stand still: beats and lease extensions go on as long as mg_link_tick was called within tick_limit_ms.
 *
 * Jobs are taken together and become one call of the backend each kind; a wake-up may stand for many. Memory is kept from turn to turn.
 *
 * Worker order: publish results, then settle what they answered; extend at a third of the lease; beat; read controls; fetch if slots are free.
 * Coordinator order: publish tasks; settle results; fetch results; read beats; reclaim, probe, depth when asked. */
#ifndef MG_DISPATCH_LINK_H
#define MG_DISPATCH_LINK_H

#include "base/timing.h"
#include "dispatch/backend.h"
#include "wire/frame.h"
#include "wire/message.h"
#include <uv.h>

typedef struct mg_link mg_link;

typedef enum mg_link_event_kind {
  MG_EV_CONNECTED,    /* text: what was reached; after a gap: reconnects counts it */
  MG_EV_DISCONNECTED, /* text: why */
  MG_EV_FAILED,       /* text: cannot be mended, or retry_for_ms is over; the link does nothing more */
  MG_EV_TASK,         /* worker: a task whose frame opened; body is the encoded mg_task, token its receipt, again as in mg_delivery */
  MG_EV_BAD_MESSAGE,  /* text: a message that could not be read was dead-lettered or given back; for the log and the counter */
  MG_EV_CONTROL,      /* control */
  MG_EV_BEATEN,       /* worker: a beat that was given with send_now is on the broker; token: what mg_link_set_beat returned for it, or for a later one */
  MG_EV_SETTLED,      /* worker: the result is published and the task settled; token, err (MG_LOST: the lease had gone, the result may still count) */
  MG_EV_LEASE_LOST,   /* worker: token's task is no longer ours; run on or drop it, the result may still count */
  MG_EV_RESULT,       /* coordinator: body is the encoded mg_result; settle it by mg_link_settle_result(token) once recorded */
  MG_EV_BEAT,         /* coordinator: body is the encoded mg_beat, from; stamped with at_ms on arrival */
  MG_EV_PUBLISHED,    /* coordinator: token's task is on the queue, or err and text say why not */
  MG_EV_RECLAIMED,    /* coordinator: task id in text, attempt, from = the worker that held it; one event a task */
  MG_EV_RECLAIM_DONE, /* coordinator: the reclaim with this token is over */
  MG_EV_PROBED,       /* coordinator: task id in text, state */
  MG_EV_DEPTH,        /* depth */
  MG_EV_TROUBLE,      /* text: the broker refused a call that will be tried again (it is out of memory, loading, busy) */
  MG_EV_STOPPED       /* after mg_link_stop: everything given was done, or given up at its deadline */
} mg_link_event_kind;

typedef struct mg_link_event {
  mg_link_event_kind kind;
  mg_err err;
  uint64_t token;
  const char *text, *from;
  uint32_t attempt;
  mg_slice body;
  mg_ms at_ms;
  mg_task_state state;
  bool again;
  mg_depth depth;
  mg_control control;
} mg_link_event;

/* What went over a link, counted since its start, and what the broker told last. For metrics. */
typedef struct mg_link_stats {
  mg_timing publish_seconds;                                                   /* calls that publish tasks (coordinator) or results (worker) */
  mg_timing fetch_seconds;                                                     /* fetches that brought something, their wait included */
  uint64_t published, fetched;                                                 /* tasks and results of those calls; several results may share a message */
  uint64_t sent_plain_bytes, sent_bytes, received_bytes, received_plain_bytes; /* of all frames: plain is before compression */
  uint64_t extended, extend_lost;                                              /* leases */
  uint64_t throttled;                                                          /* calls and messages that the broker refused for now */
  mg_depth depth;                                                              /* coordinator: the whole queue; -1 where not known */
  mg_broker_stats broker;
} mg_link_stats;

typedef struct mg_link_config {
  const mg_backend_ops *backend;
  mg_backend_config open; /* wake_fd is the link's own; strings and options borrowed while it lives */
  mg_codec codec;
  bool worker; /* which of the two loops */
  mg_ms lease_ms, beat_every_ms, beat_ttl_ms, poll_ms, check_every_ms /* coordinator: beats and reclaim */, retry_for_ms, tick_limit_ms;
  mg_ms stats_every_ms;                                /* how often the broker is asked about itself; 0: never */
  mg_ms max_task_ms;                                   /* worker: never extend a lease beyond this; 0: no limit */
  void (*event)(void *owner, const mg_link_event *ev); /* on the loop's thread; valid during the call */
  void (*drained)(void *owner);                        /* after the events that stood there were handed over; may be NULL */
  void *owner;
} mg_link_config;

mg_err mg_link_start(mg_link **out, uv_loop_t *loop, const mg_link_config *config, mg_error *e);
void mg_link_tick(mg_link *l); /* main says that it lives; call at least each second */

/* Worker side (loop thread). A token names a held task: it is given in MG_EV_TASK and free after MG_EV_SETTLED. */
void mg_link_want(mg_link *l, size_t tasks);                                                                 /* how many more may be fetched now */
void mg_link_step_back(mg_link *l, bool on);                                                                 /* nothing is wanted since nothing could be run: others are to have it all */
void mg_link_skip_run(mg_link *l, const char *run, mg_ms for_ms);                                            /* do not claim that run for a while */
mg_err mg_link_finish(mg_link *l, uint64_t token, const char *run, mg_slice result /* encoded mg_result */); /* publish, then ack */
mg_err mg_link_give_back(mg_link *l, uint64_t token, mg_ms delay_ms, mg_slice result /* empty, or a refusal to publish */, const char *run);
mg_err mg_link_dead_letter(mg_link *l, uint64_t token, const char *why);
/* Encoded mg_beat with counter 0: the link counts. Returns a number that rises with each call. */
uint64_t mg_link_set_beat(mg_link *l, mg_slice beat, bool send_now);

/* Coordinator side. */
mg_err mg_link_publish(mg_link *l, uint64_t token, const char *run, const char *task, uint32_t attempt, mg_slice body /* encoded mg_task */);
/* The task straight to the dead letters: nobody holds it. Ends in MG_EV_PUBLISHED too; MG_UNSUPPORTED where the backend cannot. */
mg_err mg_link_publish_dead(mg_link *l, uint64_t token, const char *run, const char *task, uint32_t attempt, mg_slice body, const char *why);
void mg_link_settle_result(mg_link *l, uint64_t token);
void mg_link_reclaim(mg_link *l, uint64_t token, const char *run, const char *worker, const char *const *tasks, size_t count);
void mg_link_probe(mg_link *l, const char *run, const char *const *tasks, const uint32_t *attempts, size_t count);
void mg_link_control(mg_link *l, const mg_control *c, mg_ms ttl_ms);
void mg_link_quarantine(mg_link *l, const char *worker, bool on, mg_ms ttl_ms);
void mg_link_ask_depth(mg_link *l, const char *run);
void mg_link_purge_run(mg_link *l, const char *run);

/* When the beats were last read, of those reads whose events were handed over; 0 before the first. Silence is measured up to here. */
mg_ms mg_link_beats_ms(const mg_link *l);

size_t mg_link_backlog(const mg_link *l); /* jobs given and not done */
uint32_t mg_link_reconnects(const mg_link *l);
uint64_t mg_link_beats_sent(const mg_link *l); /* worker */
void mg_link_read_stats(mg_link *l, mg_link_stats *out);

/* Does what was given, by until at the latest, then MG_EV_STOPPED; free it after that, from outside the event. */
void mg_link_stop(mg_link *l, mg_ms until);
void mg_link_free(mg_link *l);

#endif
