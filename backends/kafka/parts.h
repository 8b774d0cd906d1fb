/* parts.h - the backend's own struct and what its files share. Owned by the link thread; librdkafka's callbacks run inside its polls, there. */
#ifndef MG_KAFKA_PARTS_H
#define MG_KAFKA_PARTS_H

#include "backends/kafka/settings.h"
#include "backends/net/newest.h"
#include "dispatch/backend.h"

enum { MG_KAFKA_LEAVE_MS = 5000 /* for leaving the group in order */ };
enum { MG_KAFKA_NOTES_PARTITION = 0, MG_KAFKA_WINDOW = 16384 /* offsets of a partition between the oldest unsettled and the newest fetched */ };

/* Which offsets of a partition are settled. */
typedef struct mg_kafka_marks {
  int64_t low;                       /* the first that is not; -1: nothing was fetched yet */
  int64_t next;                      /* one past the newest fetched */
  int64_t committed;                 /* the low that the broker has, as far as is known */
  uint8_t done[MG_KAFKA_WINDOW / 8]; /* bit offset % MG_KAFKA_WINDOW, of low <= offset < next */
} mg_kafka_marks;

typedef struct mg_kafka_partition { /* of the topic of tasks */
  int32_t number;
  bool assigned;
  bool full;           /* paused until its oldest task is settled */
  bool leaving;        /* paused until what is held of it is settled; then another member gets it */
  size_t held;         /* receipts that are out and not settled */
  int64_t given;       /* the newest offset that went out, -1: none */
  uint32_t generation; /* rises with each assignment and loss: receipts of an older one are void */
  int64_t stored;      /* the low that librdkafka was given to commit */
  int64_t fresh;       /* from here on nobody had a message before us */
  mg_kafka_marks marks;
} mg_kafka_partition;

typedef struct mg_kafka_heard { /* of a partition of tasks, whoever has it, by the beats */
  mg_ms at;                     /* 0: nobody said that it was its */
  mg_ms silent_ms;              /* after it nobody may be there any more */
} mg_kafka_heard;

struct mg_lease {
  mg_lease *previous, *next; /* of the backend's list */
  bool result, settled;
  bool again;          /* tasks alone, as the next ones: somebody may have had it */
  mg_ms due_ms;        /* not given before; a delay begins when a worker reads the message, so that nobody's clock is compared with another's */
  size_t partition;    /* place in partitions; tasks alone */
  uint32_t generation; /* of it */
  int64_t offset;
  uint32_t attempt, given_back; /* tasks: what is needed to produce it again */
  const char *run, *task;
  mg_slice body;
  char texts[];
};

typedef struct mg_kafka {
  mg_backend backend;
  mg_kafka_settings settings;
  char *identity, *run; /* run NULL: a worker, or one who looks */
  int wake_fd, ready[2];
  rd_kafka_t *producer, *group, *reader; /* group: made when tasks are fetched or counted; joined when they are fetched */
  bool joined, paused, closing;
  bool parting;                             /* joined, and on its way out of the group until it fetches again */
  mg_ms back_ms, part_by;                   /* since when it is to be out, 0: it is not; when leaving has taken too long */
  bool left;                                /* the group, or not yet in it, by its last word */
  bool given;                               /* the group has given partitions, be it none, since it was joined */
  rd_kafka_topic_partition_list_t *leaving; /* the group wants them for others, and waits for us until leave_by; or NULL */
  mg_ms leave_by;
  mg_lease **waiting; /* tasks that came while none were wanted, or are to be delayed; a fetch gives them */
  size_t waiting_count, waiting_cap;
  mg_ms fetched_ms;   /* when tasks were last asked for */
  mg_ms committed_ms; /* results */
  mg_kafka_partition *partitions;
  size_t partition_count;
  int32_t task_partitions, result_partitions; /* of the topics, by the broker */
  int32_t turn;                               /* the partition of the next task to publish */
  mg_kafka_heard *heard;                      /* of each partition of tasks; NULL in workers */
  int32_t results_partition;                  /* of our run */
  mg_kafka_marks results;
  rd_kafka_message_t **stash; /* results read while notes were looked for, and the other way round: none is dropped */
  size_t stash_count, stash_cap;
  mg_newest notes, said; /* said: our own, for those who come later */
  bool say_again;
  mg_lease *leases;
  uint64_t throttled;
  bool down;      /* no broker answers */
  mg_err trouble; /* by the error callback: MG_OK, MG_CONN, MG_FATAL */
  char why[300];
} mg_kafka;

static inline mg_kafka *mg_kafka_of(mg_backend *b) { return (mg_kafka *)b; /* backend is the first member */ }

/* kafka.c */
/* MG_CONN or MG_FATAL with what librdkafka told last, where it is in trouble. */
mg_err mg_kafka_trouble(mg_kafka *k, mg_error *e);
/* An error of librdkafka as ours, with what was tried. */
mg_err mg_kafka_fault(mg_kafka *k, rd_kafka_resp_err_t code, const char *what, mg_error *e);
rd_kafka_t *mg_kafka_handle(mg_kafka *k, mg_kafka_role role, const char *group, mg_error *e);
/* Some seconds at most: what librdkafka has not ended by then ends by itself. count: at most 3; NULL ones are passed over. */
void mg_kafka_destroy(rd_kafka_t *const *items, size_t count);
/* Waits until a handle has something, end, or wake_fd: false for that. */
bool mg_kafka_wait(mg_kafka *k, mg_ms end);
bool mg_kafka_awake(const mg_kafka *k); /* wake_fd is readable */
/* Calls poll with the callbacks of the producer; serves reader and group too. */
mg_err mg_kafka_serve(mg_kafka *k, mg_error *e);
mg_err mg_kafka_check_name(const char *what, const char *name, mg_error *e);

/* topics.c */
/* Makes the topics that are missing, and learns how many partitions they have. */
mg_err mg_kafka_topics(mg_kafka *k, mg_ms until, mg_error *e);
int32_t mg_kafka_results_partition(const mg_kafka *k, const char *run);
/* End (time -1) or beginning (-2) of partitions [0, count) of the topic. */
mg_err mg_kafka_offsets(mg_kafka *k, const char *topic, int32_t first, int32_t count, int64_t time, int64_t *out, mg_ms until, mg_error *e);
/* Fills in what the group of rk has committed; below 0 where nothing. */
mg_err mg_kafka_committed_offsets(mg_kafka *k, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, mg_ms until, mg_error *e);

/* marks.c */
void mg_kafka_mark_fetched(mg_kafka_marks *m, int64_t offset);
bool mg_kafka_mark_done(mg_kafka_marks *m, int64_t offset); /* false: it was already */
bool mg_kafka_marks_full(const mg_kafka_marks *m);

/* produce.c */
typedef struct mg_kafka_out {
  const char *topic;
  int32_t partition;                          /* -1: any */
  const char *key;                            /* NULL: none */
  const char *kind, *run, *task, *from, *why; /* headers; NULL: none */
  const char *has;                            /* beats: the partitions of tasks that are the worker's */
  uint32_t attempt, given_back;
  mg_ms ttl_ms, delay_ms; /* 0: none */
  bool tombstone;         /* no body at all */
  bool again;             /* somebody had it */
  mg_slice body;
  mg_err err; /* out */
} mg_kafka_out;
/* All are delivered, or refused one by one; MG_CONN where the brokers did not answer in time. */
mg_err mg_kafka_produce(mg_kafka *k, mg_kafka_out *items, size_t count, mg_ms until, mg_error *e);
/* The partition of the next task, in turn. Those of workers that have fallen silent are passed over while there are others; again: what was lost goes where
 * somebody was heard of, if that is anywhere. */
int32_t mg_kafka_next_partition(mg_kafka *k, bool again);
void mg_kafka_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *owner); /* delivery reports */
mg_err mg_kafka_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_kafka_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
/* A header as text, NULL where it is not there. */
const char *mg_kafka_header(const rd_kafka_message_t *m, const char *name);

/* group.c */
/* The callbacks: rebalance, commit, statistics. */
void mg_kafka_rebalanced(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *owner);
void mg_kafka_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *owner);
int mg_kafka_told(rd_kafka_t *rk, char *json, size_t len, void *owner);
/* Ends the hand-over of partitions that others are to get, where nothing of them is held any more or its time is over; now: in any case. */
void mg_kafka_hand_over(mg_kafka *k, bool now);
mg_kafka_partition *mg_kafka_partition_of(mg_kafka *k, int32_t number); /* NULL where memory ended; moves the others */
void mg_kafka_pause_all(mg_kafka *k, bool on);
/* A partition whose oldest task is not settled for long gives no more: what is settled behind it must be remembered one by one. */
void mg_kafka_hold_back(mg_kafka *k, mg_kafka_partition *p, bool on);
void mg_kafka_offer(mg_kafka *k);              /* what is settled, to be committed soon */
bool mg_kafka_is_committed(const mg_kafka *k); /* all of that */
/* Waits some seconds for the answer; rd_kafka_commit would wait as long as librdkafka looks for the group's coordinator. */
rd_kafka_resp_err_t mg_kafka_commit_and_wait(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list);

/* tasks.c */
void mg_kafka_drop_waiting(mg_kafka *k); /* those of partitions that are not ours, or not for long */
/* Where partitions go to others: a delayed task of them in front of others that were given would have those run again, since only the contiguous beginning of
 * a partition is committed. It is produced again, behind them. */
void mg_kafka_put_behind(mg_kafka *k);
mg_err mg_kafka_fetch_tasks(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e);
mg_err mg_kafka_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_kafka_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_kafka_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_kafka_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
void mg_kafka_step_back(mg_backend *b);
/* Polls the group without taking tasks: rebalances are served, and it does not seem dead. */
void mg_kafka_rest(mg_kafka *k);
mg_lease *mg_kafka_lease_new(mg_kafka *k, const rd_kafka_message_t *m, bool result);
void mg_kafka_lease_free(mg_kafka *k, mg_lease *l);

/* reader.c */
mg_err mg_kafka_reader_open(mg_kafka *k, mg_ms until, mg_error *e);
mg_err mg_kafka_read(mg_kafka *k, mg_error *e); /* takes in notes; results are kept for fetch_results */
void mg_kafka_commit_results(mg_kafka *k, bool wait);
mg_err mg_kafka_fetch_results(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_kafka_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_kafka_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_kafka_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_kafka_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_kafka_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);

/* dead.c */
mg_err mg_kafka_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_kafka_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_kafka_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
mg_err mg_kafka_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
/* "run\ntask", what one dead letter is known by; false where it does not fit. */
bool mg_kafka_dead_key(char *out, size_t cap, const char *run, const char *task);

/* depth.c */
mg_err mg_kafka_depth(mg_backend *b, const char *run, mg_ms until, mg_depth *out, mg_error *e);
mg_err mg_kafka_stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e);

/* examine.c */
mg_err mg_kafka_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e);

#endif
