/* coordinator_internal.h - the coordinator's insides, shared by coordinator*.c alone. All of it belongs to the loop's thread.
 *
 * A run goes: RUNNING (cut, send, count) -> REPEATING (all is counted; some cases run again) -> CLOSING (nothing counts any more; the link empties) -> OVER.
 * DRAINING stands in for the first two once the run is to stop early but politely. */
#ifndef MG_DISPATCH_COORDINATOR_INTERNAL_H
#define MG_DISPATCH_COORDINATOR_INTERNAL_H

#include "dispatch/batching.h"
#include "dispatch/breaker.h"
#include "dispatch/case_set.h"
#include "dispatch/coordinator.h"
#include "dispatch/inputs.h"
#include "dispatch/ledger.h"
#include "dispatch/link.h"
#include "dispatch/outcomes_csv.h"
#include "dispatch/violations.h"
#include "journal/journal.h"

enum {
  MG_SAMPLE_CASES = 20,    /* run twice in every run */
  MG_FLAKY_CASES = 100000, /* most cases in a plan's own sample */
  MG_NOTES_MAX = 64,
  MG_VALUES_MAX = 8192, /* measured pairs in one result */
  MG_RATE_SAMPLES = 12,
  MG_PAYLOAD_MAX = 1 << 20 /* bytes of shipped inputs in one task */
};

typedef enum mg_run_phase { MG_PHASE_RUNNING = 0, MG_PHASE_REPEATING, MG_PHASE_DRAINING, MG_PHASE_CLOSING, MG_PHASE_OVER } mg_run_phase;

typedef enum mg_again { MG_AGAIN_WAITING = 0, MG_AGAIN_OUT, MG_AGAIN_DONE, MG_AGAIN_GIVEN_UP } mg_again;

typedef struct mg_repeat { /* a case to be run again */
  mg_first first;
  mg_again state;
  uint32_t wanted, done; /* times to run it, and how often that was; once it differs it is not run any more */
  bool sampled;          /* for being in a sample, not for what came of it */
  bool differs;
} mg_repeat;

/* What was counted of a stretch of cases. */
typedef struct mg_part {
  uint64_t end; /* the first case behind it */
  mg_tally tally;
  mg_digest digest;
  uint64_t labels[MG_MAX_LABELS]; /* by place in label_names */
  mg_measures *measures;          /* owned; NULL: nothing was measured */
} mg_part;

typedef struct mg_lost_range {
  uint64_t first, count;
  bool candidate_ran; /* whenever a holder vanished: counts as the candidate's failure */
} mg_lost_range;

struct mg_coordinator {
  mg_coordinator_config config;
  mg_plan *plan;
  char run[MG_RUN_MAX + 1], identity[MG_NAME_MAX + 1];
  uint32_t epoch;
  uv_loop_t *loop;
  uv_timer_t timer;
  mg_link *link;
  uint32_t capabilities;
  bool can_bury;
  mg_run_phase phase;

  /* Settings, ms. */
  mg_ms lease_ms, check_ms, silence_ms, beat_ms, no_worker_ms, global_ms;
  bool enable_requeue;
  uint32_t max_requeue;

  /* Times. */
  mg_ms started_ms, ended_ms, last_tick_ms, next_check_ms, drain_by, close_by, able_ms, outage_ms, beats_ms, next_lua_ms, next_rate_ms;
  mg_ms taken_ms; /* when the task was published that, of those some worker had, was published last */
  mg_ms idle_ms;  /* since when workers that may work were there, none had a task of whatever run, and no answer came */
  bool connected, was_connected;

  /* Cases. */
  uint64_t planned, next_case;
  mg_case_set counted;
  mg_part total;                    /* under a stopping rule up to the last look alone */
  mg_tally lost_tally, final_tally; /* lost cases that are settled; final: all, with lost and unrun */
  mg_digester *digester;
  mg_violations violations;
  mg_lost_range *lost;
  size_t lost_count, lost_cap;
  mg_first sample[MG_SAMPLE_CASES];
  bool sampled[MG_SAMPLE_CASES];
  size_t sample_count;
  mg_first *flaky; /* the plan's own sample: cases whose hash lies below flaky_below */
  size_t flaky_count, flaky_cap;
  uint64_t flaky_below;
  /* Under a stopping rule: what lies beyond the last look, one part a look. There are some 100 looks up to 6,400 cases and
   * 232 for each factor of ten above, so this stays small however far ahead results come. */
  mg_part *parts;
  size_t part_count, part_cap;
  uint64_t looked;       /* length of the prefix that total holds */
  bool stopped;          /* the rule has ended the run, after `looked` cases */
  mg_stop_answer answer; /* of the last look */
  mg_inputs *inputs;
  mg_outcomes_csv *csv;

  /* Tasks. */
  mg_ledger ledger;
  mg_batching batching;
  mg_breaker breaker;
  mg_repeat *repeats; /* by case */
  size_t repeat_count, repeat_cap, repeats_out;
  bool paused;            /* fail_fast: a violation is being run again */
  uint32_t answering;     /* workers that answered without ever having beaten */
  const char **cancelled; /* ids to take back, gathered during a turn */
  size_t cancel_count, cancel_cap;
  mg_control gone; /* without MG_CAP_RECLAIM: the last tasks that workers were told to drop, oldest first */
  bool suspecting;    /* everybody is silent: the link is asked for a sign first */
  bool link_answered;
  bool unsent; /* some entry could not be given to the link */
  bool swept;  /* entries may be satisfied by answers of others */

  /* For the report. */
  uint64_t dispatched_cases, tasks_published, tasks_done, requeued_tasks, requeued_cases, repeats_dropped, dead_lettered, bad_messages, hedges, workers_lost,
      workers_recovered;
  mg_timing task_seconds, case_seconds;
  mg_stored_violation *listed;
  size_t listed_count;
  mg_different *different;
  size_t different_count;
  uint64_t repeated_cases;
  char *label_names[MG_MAX_LABELS];
  int label_count;
  mg_ms dropped_ms; /* the second whose dropped messages are told, and how many were */
  uint32_t dropped;
  char *notes[MG_NOTES_MAX];
  size_t note_count;
  char *fault, *no_worker, *failed;
  bool interrupted, timed_out;
  struct {
    mg_ms at;
    uint64_t counted;
  } rate[MG_RATE_SAMPLES];
  size_t rate_at;

  mg_buf message, payload, scratch;

  /* The journal. */
  mg_journal *journal;   /* the owner's; NULL: none */
  bool replaying;        /* what happens is what stands in it */
  uv_async_t durable;    /* the writer's sign */
  int handles;           /* timer and async that are not closed */
  mg_slice arriving;     /* the message of the result that is being counted */
  uint64_t arriving_seq;
  uint64_t last_put;     /* number of the last record */
  struct mg_settle_later {
    uint64_t number, token;
  } *later;              /* results to be settled once their record is durable: a ring, oldest first */
  size_t later_at, later_count, later_cap;
  struct mg_known {
    mg_first again;
    size_t order;
    bool used;
  } *known;              /* cases that ran again under an earlier coordinator, by case, then in their order */
  size_t known_count, known_cap;
  mg_ms next_counts_ms;
  mg_record counts;      /* as written last */
  bool told_given_up, resumed /* and nothing was sent since */;
  uint32_t reconnects;   /* of earlier coordinators */
};

/* --- coordinator.c --- */
void mg_coord_event(mg_coordinator *c, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* With level and fields. */
typedef enum mg_saying { MG_SAY_EVENT, MG_SAY_NOTE /* for the report too */, MG_SAY_ROUTINE } mg_saying;
void mg_coord_log(mg_coordinator *c, mg_saying kind, mg_log_level level, const char *event, const mg_log_field *fields, size_t count, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
/* A sentence for the report too, each once. */
void mg_coord_note(mg_coordinator *c, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* One more message that is of no use: counts it; may it be told? They may come in any number. */
bool mg_coord_bad(mg_coordinator *c);
bool mg_coord_live(const mg_coordinator *c); /* does anything count still? */
/* What is out under this name, or NULL. */
mg_entry_out *mg_coord_entry(const mg_coordinator *c, uint32_t epoch, uint64_t seq);

/* --- coordinator_send.c --- */
void mg_coord_dispatch(mg_coordinator *c); /* cuts and sends as much as may be out; begins what comes when all is counted */
void mg_coord_send(mg_coordinator *c, mg_entry_out *e);
void mg_coord_published(mg_coordinator *c, uint64_t token, mg_err err, const char *text);
/* Its holder vanished: begun says whether it counts as an attempt; elsewhere: the broker has handed it out again by itself, and its new holder lives. */
void mg_coord_vanished(mg_coordinator *c, mg_entry_out *e, bool begun, bool elsewhere, const char *why);
void mg_coord_count_requeue(mg_coordinator *c, const char *id, uint32_t cases, uint32_t attempt, const char *why);
/* It is no longer where it should be, through nobody's fault: the same attempt again, or without MG_CAP_RECLAIM a message of its own. */
void mg_coord_again(mg_coordinator *c, mg_entry_out *e, const char *why);
/* The broker no longer has it, and nobody answered: again, but not for ever. */
void mg_coord_missing(mg_coordinator *c, mg_entry_out *e);
void mg_coord_give_up(mg_coordinator *c, mg_entry_out *e, const char *why, bool bury);
void mg_coord_lose_range(mg_coordinator *c, uint64_t first, uint64_t count, bool candidate_ran);
void mg_coord_hedge(mg_coordinator *c, mg_ms now);
void mg_coord_copy(mg_coordinator *c, mg_entry_out *e);
/* What of the entry is not counted goes on in entries of its own; the entry itself is gone. at: a case to run alone, or none. */
void mg_coord_split(mg_coordinator *c, mg_entry_out *e, bool alone, uint64_t at);
void mg_coord_rest(mg_coordinator *c, mg_entry_out *e);
void mg_coord_cancel(mg_coordinator *c, const mg_entry_out *e); /* nobody waits for it any more: it is taken back, or dropped by whoever gets it */
void mg_coord_flush_cancels(mg_coordinator *c);
void mg_coord_sweep(mg_coordinator *c); /* entries whose cases were all counted by others */
uint32_t mg_coord_executors(const mg_coordinator *c);

/* --- coordinator_trace.c --- */
void mg_coord_trace_begin(mg_coordinator *c, mg_entry_out *e); /* before it is sent; decides once whether it is traced */
void mg_coord_trace_published(mg_coordinator *c, const mg_entry_out *e, const char *error);
void mg_coord_trace_end(mg_coordinator *c, mg_entry_out *e, const char *worker, const char *error); /* before it leaves the ledger */
void mg_coord_trace_over(mg_coordinator *c);                                                        /* the run ends: what is still out */

/* --- coordinator_prefix.c --- */
bool mg_coord_sequential(const mg_coordinator *c);
/* Where results of cases from `first` on are counted; tasks do not cross a look. NULL where memory ended. */
mg_part *mg_coord_part(mg_coordinator *c, uint64_t first);
/* How many cases from `first` on one task may hold: up to the next look. */
uint64_t mg_coord_room(const mg_coordinator *c, uint64_t first);
void mg_coord_look(mg_coordinator *c); /* at every prefix that is complete; may begin the repeats */
void mg_coord_merge_parts(mg_coordinator *c);
uint64_t mg_coord_counted(const mg_coordinator *c); /* cases with a result, in the parts too */

/* --- coordinator_count.c --- */
void mg_coord_result(mg_coordinator *c, uint64_t token, mg_slice body);
int mg_coord_label(mg_coordinator *c, mg_slice name); /* its place in label_names, -1 where there are too many */
/* Counts what a record of the journal holds. MG_FATAL, MG_ARG: it cannot be right, e says what it holds. */
/* The masks of the result's case i, which is first + i; *at goes past them. */
mg_first mg_coord_case_of(const mg_result *r, uint64_t first, uint32_t i, size_t *at);
mg_err mg_coord_recount(mg_coordinator *c, const mg_record *record, mg_error *e);

/* --- coordinator_watch.c --- */
void mg_coord_beat(mg_coordinator *c, const mg_link_event *ev);
void mg_coord_reclaimed(mg_coordinator *c, const mg_link_event *ev);
void mg_coord_reclaim_done(mg_coordinator *c, const mg_link_event *ev);
void mg_coord_probed(mg_coordinator *c, const mg_link_event *ev);
void mg_coord_depth(mg_coordinator *c, const mg_link_event *ev);
void mg_coord_silence(mg_coordinator *c); /* after beats were read */
void mg_coord_check(mg_coordinator *c, mg_ms now);
void mg_coord_restart_timers(mg_coordinator *c, mg_ms now);
void mg_coord_take_back(mg_coordinator *c);                    /* draining: what no worker has fetched */
void mg_coord_taken(mg_coordinator *c, const mg_entry_out *e); /* some worker has or had it */

/* --- coordinator_repeat.c --- */
void mg_coord_keep_flaky(mg_coordinator *c, const mg_first *first); /* where the case belongs to the plan's sample */
mg_reruns mg_coord_flaky(const mg_coordinator *c);
void mg_coord_begin_repeats(mg_coordinator *c);
void mg_coord_fail_fast(mg_coordinator *c, const mg_first *first);
void mg_coord_repeated(mg_coordinator *c, const mg_entry_out *e, const mg_result *r);
void mg_coord_repeats_lost(mg_coordinator *c, const mg_entry_out *e, uint32_t from);

void mg_coord_resume_repeats(mg_coordinator *c); /* fail_fast: those that a replayed violation asked for */

/* --- coordinator_journal.c --- nothing is written while replaying, or without a journal */
void mg_coord_journal_open(mg_coordinator *c);
void mg_coord_write_task(mg_coordinator *c, mg_entry_out *e);
void mg_coord_write_gone(mg_coordinator *c, const mg_entry_out *e);
/* Of c->arriving, whose cases are first .. first + count - 1: those not counted yet, which they are about to be. */
void mg_coord_write_result(mg_coordinator *c, uint64_t first, uint32_t count);
void mg_coord_write_repeat(mg_coordinator *c, const uint64_t *cases, uint32_t count);
void mg_coord_write_lost(mg_coordinator *c, const mg_lost_range *lost);
void mg_coord_write_note(mg_coordinator *c, const char *text);
void mg_coord_write_counts(mg_coordinator *c, mg_ms now);
/* The result's message may go once all that was written so far is durable; at once without a journal. */
void mg_coord_settle(mg_coordinator *c, uint64_t token);
bool mg_coord_behind(const mg_coordinator *c); /* the disk is so slow that no more should be asked for */
/* At the end: all of it is durable, or c->failed says why not. */
void mg_coord_journal_end(mg_coordinator *c);
/* May what the run left on the broker be wanted by one that resumes it? */
bool mg_coord_resumable(const mg_coordinator *c);

/* --- coordinator_resume.c --- */
mg_err mg_coord_replay(mg_coordinator *c, mg_error *e);
/* The next outcome of the case's runs under an earlier coordinator that was not asked for yet. */
bool mg_coord_known_repeat(mg_coordinator *c, uint64_t case_number, mg_first *out);

/* --- coordinator_end.c --- */
void mg_coord_over(mg_coordinator *c);                     /* judge what there is */
void mg_coord_fail(mg_coordinator *c, const char *failed); /* there is nothing to judge */
void mg_coord_fault(mg_coordinator *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Lost cases below `before` that no late result replaced are counted as such. */
void mg_coord_settle_lost(mg_coordinator *c, uint64_t before);
void mg_coord_finish(mg_coordinator *c); /* the link is done */

/* Tokens of the link: an entry's seq, and these. */
#define MG_TOKEN_DEAD ((uint64_t)1 << 63)
#define MG_TOKEN_LEASES ((uint64_t)1 << 62)
#define MG_TOKEN_CANCEL ((uint64_t)1 << 61)
#define MG_TOKEN_DRAIN ((uint64_t)1 << 60)
#define MG_TOKEN_WORKER ((uint64_t)1 << 59) /* | index */

#endif
