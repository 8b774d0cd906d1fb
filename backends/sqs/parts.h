/* parts.h - the backend's own struct and what its files share. Owned by the link thread. */
#ifndef MG_SQS_PARTS_H
#define MG_SQS_PARTS_H

#include "backends/sqs/call.h"
#include "backends/sqs/envelope.h"
#include "dispatch/backend.h"

enum { MG_SQS_BATCH = 10, MG_SQS_POLLS = 8 };

typedef struct mg_sqs_feed mg_sqs_feed;

typedef enum mg_sqs_state { MG_SQS_STASHED = 0, MG_SQS_HELD, MG_SQS_SETTLED } mg_sqs_state;

struct mg_lease {
  mg_lease *previous, *next; /* of the feed, in order of arrival */
  mg_sqs_feed *feed;
  mg_sqs_state state;
  mg_ms came_ms, ends_ms; /* the visibility timeout, by our clock from the arrival */
  unsigned receives;      /* how often SQS has handed it out, this time included */
  const char *receipt;
  const char *text; /* of the message, as it came; what the lease is for is read from it again */
  size_t len;
  char bytes[];
};

typedef struct mg_sqs_ask { /* for messages */
  unsigned max;
  int visible_s;
  char attempt[33]; /* its id on a FIFO queue: the same again brings what an answer that was lost brought; else "" */
  mg_ms expires;    /* of one to be made again: then its messages are visible anyway */
} mg_sqs_ask;

typedef struct mg_sqs_poll { /* a ReceiveMessage under way */
  mg_sqs_exchange *x;
  mg_sqs_ask ask;
} mg_sqs_poll;

/* What one queue brings: receive calls are kept open across the backend's calls, since one that is broken off may lose its messages until their
 * visibility timeout ends. What came and nobody asks for is given back. */
struct mg_sqs_feed {
  char queue[MG_SQS_URL_BYTES]; /* "" : not known yet */
  bool closed;                  /* purged: is not asked any more */
  mg_sqs_poll polls[MG_SQS_POLLS];
  size_t open, width; /* calls under way; how many may be, by what the last ones brought */
  mg_sqs_ask again[MG_SQS_POLLS]; /* those whose answer was lost */
  size_t again_count;
  mg_lease *first, *last;
  size_t held, stashed;
  mg_ms next_poll; /* not before: short polls keep a distance, failures a longer one */
  mg_ms asked_ms;  /* the last fetch */
  mg_ms empty_ms;  /* since when polls come back empty; 0: they do not */
  unsigned failures, pause;
  mg_err fault; /* of the last poll */
  mg_error why;
};

typedef struct mg_sqs_note { /* the newest of a sender or about a subject */
  char kind, *subject;
  uint8_t *body;
  size_t len;
  int64_t serial, sent_ms; /* sent: by the service's clock, 0 where it does not say */
  mg_ms expires;
} mg_sqs_note;

typedef struct mg_sqs_notes {
  mg_sqs_note *items;
  size_t count, cap;
} mg_sqs_notes;

typedef struct mg_sqs_peer { /* a run that is coordinated somewhere: beats go to it */
  char run[MG_SQS_FIELD_BYTES];
  mg_ms expires;
  bool greeted;   /* our last beat went to it */
  bool announced; /* by its coordinator, on the board */
} mg_sqs_peer;

typedef struct mg_sqs_receipt { /* of a message that is to be deleted, soon */
  char *queue, *receipt;
} mg_sqs_receipt;

typedef struct mg_sqs_out { /* a message to send */
  const char *queue;
  size_t at, len; /* its text in `texts` */
  uint32_t delay_s;
  bool fifo;
  char id[33];   /* deduplication and group of a FIFO queue */
  uint64_t name; /* of the task, whichever send it is; 0: none */
  mg_err err;    /* out: MG_OK · MG_AGAIN · MG_CONN · MG_LOST no such queue · MG_ARG, MG_FATAL */
} mg_sqs_out;

enum { MG_SQS_PEERS = 64, MG_SQS_TRASH = 64, MG_SQS_SENT = 4096 };

typedef struct mg_sqs {
  mg_backend backend;
  mg_sqs_settings settings;
  mg_sqs_client client;
  char *identity, *run; /* run NULL: a worker */
  int wake_fd;
  size_t max_message, max_batch; /* bytes */
  char arn_head[200];            /* "arn:aws:sqs:REGION:ACCOUNT:" */
  char dead[MG_SQS_URL_BYTES], board[MG_SQS_URL_BYTES];
  bool dead_is_ours;      /* may be made where it is missing */
  unsigned redrive_after; /* maxReceiveCount of the queue's redrive policy; 0: none */
  mg_sqs_feed tasks, results;
  mg_sqs_notes notes; /* a coordinator's beats, a worker's controls */
  mg_sqs_peer peers[MG_SQS_PEERS];
  size_t peer_count;
  mg_sqs_receipt trash[MG_SQS_TRASH];
  size_t trash_count;
  mg_ms trash_ms;
  mg_sqs_exchange *board_x; /* a look at the board under way */
  mg_ms board_next, announce_next;
  unsigned board_failures;
  bool board_seen; /* it answered once */
  bool board_said; /* that there is none was said */
  mg_buf beat;     /* the last, for coordinators that come */
  mg_ms beat_ttl_ms, beat_expires;
  int64_t serial, instance; /* of this object: tells it from others of the same name, as a coordinator from the one that it resumes */
  mg_buf texts, scratch;
  uint64_t sent[MG_SQS_SENT]; /* tasks that went out to a FIFO queue, a ring: the same one again is another send */
  size_t sent_at;
  mg_ms inflight_next; /* when to look again whether the queue is full of messages in flight */
  bool inflight_full;
} mg_sqs;

static inline mg_sqs *mg_sqs_of(mg_backend *b) { return (mg_sqs *)(void *)b; /* the first member */ }

/* topology.c: the queues. */
mg_err mg_sqs_look_at_queue(mg_sqs *s, mg_ms until, mg_error *e); /* limits, redrive policy */
/* Makes a queue beside the tasks' where it is missing; url gets it. */
mg_err mg_sqs_make_queue(mg_sqs *s, const char *name, bool fifo, mg_ms until, char url[MG_SQS_URL_BYTES], mg_error *e);
void mg_sqs_results_queue(const mg_sqs *s, const char *run, char out[MG_SQS_URL_BYTES]);
mg_err mg_sqs_check_names(const char *run, const char *task, mg_error *e);
mg_err mg_sqs_count(mg_sqs *s, const char *queue, mg_ms until, int64_t *pending, int64_t *in_flight, mg_error *e);

/* feed.c */
void mg_sqs_feed_init(mg_sqs_feed *f, const char *queue);
mg_err mg_sqs_feed_fetch(mg_sqs *s, mg_sqs_feed *f, size_t max, mg_ms lease_ms, mg_ms until, mg_batch *out, mg_error *e);
void mg_sqs_feed_take(mg_sqs *s, mg_sqs_feed *f);                                                       /* what polls have brought */
mg_err mg_sqs_feed_poll(mg_sqs *s, mg_sqs_feed *f, size_t max, mg_ms lease_ms, bool wait, mg_ms until); /* opens polls that are missing */
void mg_sqs_feed_rest(mg_sqs *s, mg_sqs_feed *f, mg_ms until, bool all);                                /* gives back what nobody asks for */
void mg_sqs_feed_fini(mg_sqs *s, mg_sqs_feed *f);
void mg_sqs_lease_free(mg_lease *l);
bool mg_sqs_is_held(const mg_lease *l, const mg_sqs_feed *f);

/* send.c */
/* Puts the text of a message into texts and fills *out; what is too large is put elsewhere or refused (MG_ARG, e). */
mg_err mg_sqs_pack(mg_sqs *s, mg_sqs_out *out, const char *queue, bool fifo, mg_sqs_envelope *v, mg_slice body, mg_ms until, mg_error *e);
/* Sends them, in calls of ten and below the limit of bytes. Each has its err; MG_OK, MG_CONN or MG_FATAL for all. */
mg_err mg_sqs_send(mg_sqs *s, mg_sqs_out *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_sqs_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_sqs_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_sqs_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
/* To the dead letters, whose queue is made where it is missing. */
mg_err mg_sqs_send_dead(mg_sqs *s, mg_sqs_out *items, size_t count, mg_ms until, mg_error *e);

/* settle.c */
typedef struct mg_sqs_change { /* of a received message */
  const char *queue, *receipt;
  int visible_s; /* -1: delete */
  mg_err err;    /* out: MG_OK · MG_LOST · MG_AGAIN ... */
} mg_sqs_change;
/* All must be of one kind (delete, or not). MG_OK, MG_CONN or MG_FATAL for all. */
mg_err mg_sqs_change_all(mg_sqs *s, mg_sqs_change *items, size_t count, mg_ms until, mg_error *e);
void mg_sqs_discard(mg_sqs *s, const char *queue, const char *receipt); /* deletes it, some time */
void mg_sqs_empty_trash(mg_sqs *s, mg_ms until);
mg_err mg_sqs_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_sqs_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_sqs_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_sqs_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_sqs_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);

/* notes.c: beats, controls, who is there. */
void mg_sqs_notes_fini(mg_sqs_notes *n);
int64_t mg_sqs_instance(void); /* a number for this object */
void mg_sqs_take_beat(mg_sqs *s, const mg_sqs_envelope *v, mg_slice body, int64_t sent_ms);
void mg_sqs_peer_seen(mg_sqs *s, const char *run, mg_ms for_ms, bool announced);
bool mg_sqs_peer_announced(const mg_sqs *s, const char *run);
void mg_sqs_upkeep(mg_sqs *s, mg_ms until); /* board, announcements, trash: what is due */
mg_err mg_sqs_announce(mg_sqs *s, bool over, mg_ms until, mg_error *e);
/* MG_FATAL where another run uses the results queue that the configuration names. */
mg_err mg_sqs_check_alone(mg_sqs *s, mg_ms until, mg_error *e);
mg_err mg_sqs_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_sqs_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_sqs_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_sqs_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);

/* dead.c */
mg_err mg_sqs_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_sqs_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
mg_err mg_sqs_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);

/* examine.c: what may lose tasks, refuse them, or let others in. */
mg_err mg_sqs_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e);

/* spill.c: bodies that no message holds. */
mg_err mg_sqs_spill(mg_sqs *s, mg_sqs_envelope *v, mg_slice body, mg_ms until, mg_error *e);        /* MG_ARG where none is configured */
mg_err mg_sqs_unspill(mg_sqs *s, const mg_sqs_envelope *v, mg_ms until, mg_buf *body, mg_error *e); /* MG_LOST: it is gone or spoilt */
void mg_sqs_drop_object(mg_sqs *s, const mg_sqs_envelope *v, mg_ms until);

#endif
