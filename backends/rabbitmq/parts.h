/* parts.h - the backend's own struct and what its files share. Owned by the link thread. */
#ifndef MG_RABBITMQ_PARTS_H
#define MG_RABBITMQ_PARTS_H

#include "backends/net/newest.h"
#include "backends/rabbitmq/conn.h"
#include "dispatch/backend.h"

enum { MG_RABBIT_TASKS = 1, MG_RABBIT_RESULTS, MG_RABBIT_NOTES, MG_RABBIT_ADMIN }; /* channels of the receiving connection */
enum { MG_RABBIT_CONFIRMED = 1, MG_RABBIT_PLAIN };                                 /* of the publishing one */

typedef enum mg_rabbit_state {
  MG_RABBIT_STASHED = 0, /* came, and nobody has fetched it yet */
  MG_RABBIT_HELD,
  MG_RABBIT_SETTLING, /* while an ack call looks for what can be acked together */
  MG_RABBIT_SETTLED,
  MG_RABBIT_FORGOTTEN /* its receipt is freed, the broker still counts it as held */
} mg_rabbit_state;

typedef struct mg_rabbit_feed mg_rabbit_feed;

struct mg_lease {
  mg_lease *previous, *next; /* of the feed, in order of delivery */
  mg_rabbit_feed *feed;
  mg_rabbit_state state;
  uint64_t epoch, tag;
  unsigned generation; /* of the consumers it came by */
  uint32_t attempt;
  bool again; /* the broker says that somebody had it */
  mg_ms came_ms;
  const char *run, *task;
  uint8_t *bytes; /* the body; kept while a task may have to be published again */
  size_t len;
  char texts[];
};

/* What one queue brings. Consumers are added so that the broker sends as much as was asked for, and no more: the sum of their prefetch counts is
 * what may be here unsettled. */
struct mg_rabbit_feed {
  uint16_t channel;
  uint32_t limit, lump; /* at most so many held; consumers grow by at least lump */
  char queue[256];
  uint64_t epoch;                 /* rises when the channel is lost: older receipts are void */
  unsigned generation;            /* rises when all consumers are cancelled */
  unsigned first_tag, consumers;  /* active: "f<first_tag>" ... */
  size_t capacity, out;           /* sum of their prefetch counts; what came by them and is unsettled */
  size_t held, stashed;           /* of this epoch */
  mg_lease *first, *last, *stash; /* stash: the first that is STASHED */
  mg_ms asked_ms;                 /* the last fetch */
  mg_ms ample_ms;                 /* since when more may come than is asked for; 0: not so */
  mg_ms moved_ms, look_ms;        /* when something came, or more was asked for; when to look whether it should have */
  bool overdue;                   /* something waits that should have come */
  bool closed;                    /* purged: is not declared again */
};

typedef struct mg_rabbit_out { /* a message to publish and have confirmed */
  const char *exchange, *key;
  const char *run, *task, *why; /* headers; NULL: none */
  const char *subject;          /* of a control; NULL: none */
  uint32_t attempt;
  mg_ms ttl_ms; /* 0: none */
  bool mandatory;
  bool ours; /* goes to what we declare: a return makes us declare it again */
  mg_slice body;
  mg_err err; /* out: MG_OK confirmed · MG_LOST no queue took it · MG_AGAIN refused or blocked · MG_TIMEOUT · MG_CONN · MG_ARG too large */
  bool confirmed, returned;
} mg_rabbit_out;

enum { MG_RABBIT_UNANSWERED = 1024, MG_RABBIT_UNANSWERED_MS = 60000 };

/* A message that was sent and whose call ended before the broker answered (an alarm, a slow disk). It may still be taken: who publishes the same again waits
 * for the answer instead of sending a second one. */
typedef struct mg_rabbit_unanswered {
  uint64_t tag, name[2];
  mg_ms since;
  bool answered, returned;
  mg_err answer;
} mg_rabbit_unanswered;

typedef struct mg_rabbit {
  mg_backend backend;
  mg_rabbit_settings settings;
  char *identity, *run; /* run NULL: a worker */
  int wake_fd;
  size_t turn; /* the host that answered last */
  mg_rabbit_conn *receiver, *publisher;
  bool declared;
  bool no_memory; /* a delivery could not be kept: the receiver must go, so that the broker brings it again */
  mg_rabbit_feed tasks, results;
  mg_newest notes;  /* a coordinator's beats, a worker's controls */
  mg_newest said;   /* a coordinator's controls, a worker's beat: said again to those who come later */
  mg_newest delays; /* a coordinator: the queues where tasks may wait for a delay, until those that were put there have left */
  bool say_again;
  char notes_queue[256];
  uint64_t next_tag;                    /* of the next message on the confirmed channel */
  mg_rabbit_out *sending;               /* while a send waits: the messages, */
  size_t sending_count, confirmed, low; /* how many are confirmed, and the first that is not */
  uint64_t sending_tag;                 /* the tag of the first */
  mg_rabbit_unanswered *unanswered;     /* of the confirmed channel as it stands; room for MG_RABBIT_UNANSWERED */
  size_t unanswered_count;
  int publish_fault; /* the confirmed channel was shut with this code */
  int64_t largest;   /* bytes the broker takes; learnt from its refusal; 0 unknown */
  mg_batch gets;     /* what basic.get brought on the admin channel */
  uint64_t got_tag;
  mg_ms managed_ms;      /* when the management API was asked, */
  int64_t in_flight;     /* and what it said */
  mg_ms manage_after_ms; /* it did not answer: not asked before */
  uint64_t probe;        /* coordinator: the number of the last message to itself, */
  bool probe_out;        /* whether the connections still stand that took it, */
  bool probe_back;       /* and whether it came */
  mg_ms unblocked_ms;    /* when an alarm was last seen */
} mg_rabbit;

static inline mg_rabbit *mg_rabbit_of(mg_backend *b) { return (mg_rabbit *)(void *)b; /* the first member */ }

/* unanswered.c */
/* Remembers a message that was sent with this tag and not answered. */
void mg_rabbit_left_behind(mg_rabbit *r, const mg_rabbit_out *m, uint64_t tag);
/* The broker's answer to a tag, or to all up to it; a returned one counts as not taken. */
void mg_rabbit_late_answer(mg_rabbit *r, uint64_t tag, bool multiple, mg_err err);
void mg_rabbit_late_return(mg_rabbit *r, uint64_t tag);
/* The message was sent before: MG_OK it was taken, MG_TIMEOUT not answered yet; MG_LOST: it was not, or was refused, and is to be sent. */
mg_err mg_rabbit_sent_before(mg_rabbit *r, const mg_rabbit_out *m);

/* topology.c: connects and declares what is missing. MG_OK: both connections stand, and the queues do. */
mg_err mg_rabbit_ready(mg_rabbit *r, mg_ms until, mg_error *e);
void mg_rabbit_drop(mg_rabbit *r, mg_rabbit_conn *c); /* it failed: receipts of the receiver become void */
/* The receiver answered an ask with err: drops it where the connection is gone, and gives err. */
mg_err mg_rabbit_after(mg_rabbit *r, mg_err err);
mg_err mg_rabbit_admin(mg_rabbit *r, mg_ms until, mg_error *e); /* the admin channel is open */
void mg_rabbit_results_queue(const mg_rabbit *r, const char *run, char out[256]);
void mg_rabbit_dead_queue(const mg_rabbit *r, char out[256]);
/* The queue whose tasks go back after at least delay_ms, declared. */
mg_err mg_rabbit_retry_queue(mg_rabbit *r, mg_ms delay_ms, mg_ms until, char out[256], mg_error *e);
mg_err mg_rabbit_declare_results(mg_rabbit *r, const char *queue, mg_ms until, mg_error *e);
/* Ready messages of a queue; -1 where it is not there. */
mg_err mg_rabbit_count(mg_rabbit *r, const char *queue, mg_ms until, int64_t *out, mg_error *e);
mg_err mg_rabbit_check_names(const char *run, const char *task, mg_error *e);

/* management.c: messages that workers hold; -1 where no management_url is given, or nothing answers there. */
int64_t mg_rabbit_in_flight(mg_rabbit *r);
mg_err mg_rabbit_stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e);
/* One GET under api/; management_url must be given. */
struct json_t;
mg_err mg_rabbit_manage(const mg_rabbit *r, const char *path, mg_ms until, struct json_t **out, mg_error *e);
void mg_rabbit_put_queue_path(mg_buf *out, const mg_rabbit *r, const char *queue);

/* examine.c */
mg_err mg_rabbit_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e);

/* feed.c */
void mg_rabbit_feed_init(mg_rabbit_feed *f, uint16_t channel, const char *queue, uint32_t limit, uint32_t lump);
void mg_rabbit_feed_take_in(mg_rabbit *r, mg_rabbit_feed *f, const mg_rabbit_news *news);
void mg_rabbit_feed_lost(mg_rabbit_feed *f);               /* the channel is gone */
void mg_rabbit_feed_cancelled(mg_rabbit_feed *f);          /* the consumers are, by the broker */
void mg_rabbit_feed_rest(mg_rabbit *r, mg_rabbit_feed *f); /* gives back what nobody asks for */
void mg_rabbit_feed_fini(mg_rabbit_feed *f);
mg_err mg_rabbit_feed_fetch(mg_rabbit *r, mg_rabbit_feed *f, size_t max, mg_ms until, mg_batch *out, mg_error *e);
void mg_rabbit_forget(mg_rabbit *r, mg_lease *l);
bool mg_rabbit_is_held(const mg_lease *l, const mg_rabbit_feed *f);
/* Acks those items whose err is MG_OK, together where they are the oldest; each must be held. */
void mg_rabbit_feed_ack(mg_rabbit *r, mg_rabbit_feed *f, mg_settle *items, size_t count);
void mg_rabbit_feed_requeue(mg_rabbit *r, mg_lease *l);

/* publish.c */
void mg_rabbit_on_publisher(void *owner, const mg_rabbit_news *news);
/* Each has its err; MG_OK, or what all of them suffered. Fills e where any failed. */
mg_err mg_rabbit_send(mg_rabbit *r, mg_rabbit_out *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_rabbit_publish_tasks(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_rabbit_publish_results(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_rabbit_publish_dead(mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e);
void mg_rabbit_put_plain(mg_rabbit *r, const char *exchange, const char *key, const char *from, mg_slice body, mg_ms ttl_ms); /* where the channel is open */
/* Sends and does not wait for an answer. */
mg_err mg_rabbit_throw(mg_rabbit *r, const char *exchange, const char *key, const char *from, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);

/* notes.c */
void mg_rabbit_note_take_in(mg_rabbit *r, const mg_rabbit_news *news);
void mg_rabbit_tell_delay(mg_rabbit *r, const char *queue, mg_ms ttl_ms); /* to coordinators: tasks wait there; sent with what follows */
/* Ready messages in all queues where tasks wait for a delay, as far as coordinators were told. */
mg_err mg_rabbit_count_delayed(mg_rabbit *r, mg_ms until, int64_t *out, mg_error *e);
mg_err mg_rabbit_hello(mg_rabbit *r, mg_ms until, mg_error *e); /* a coordinator is there: workers beat at once */
mg_err mg_rabbit_say_again(mg_rabbit *r, mg_ms until, mg_error *e);
mg_err mg_rabbit_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_rabbit_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_rabbit_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e);
mg_err mg_rabbit_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);

/* dead.c */
/* Takes the run's messages out of a queue of tasks. */
mg_err mg_rabbit_purge_tasks(mg_rabbit *r, const char *queue, const char *run, mg_ms until, size_t *removed, mg_error *e);
mg_err mg_rabbit_list_dead(mg_backend *b, const char *run, size_t max, mg_ms until, mg_batch *out, mg_error *e);
mg_err mg_rabbit_redrive(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);
mg_err mg_rabbit_purge_dead(mg_backend *b, const char *run, const char *const *tasks, size_t count, mg_ms until, size_t *moved, mg_error *e);

/* settle.c */
mg_err mg_rabbit_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_rabbit_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_rabbit_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);
mg_err mg_rabbit_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e);

#endif
