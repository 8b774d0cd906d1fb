/* ledger.h - the tasks that are out: what each holds, how often it was handed out, who has it. Owned by the coordinator, its thread alone.
 *
 * Life of an entry: made (sending) -> published -> named by beats -> answered, and gone. Where its holder vanished it is sent again under the same id
 * with attempt + 1, or its cases go on in smaller entries of their own. A copy (hedge) is an entry of its own over the same cases.
 *
 * What was answered is remembered for a while, so that a second answer can be told from the first. */
#ifndef MG_DISPATCH_LEDGER_H
#define MG_DISPATCH_LEDGER_H

#include "base/clock.h"
#include "judge/outcome.h"
#include "wire/message.h"

typedef struct mg_entry_out {
  uint64_t seq; /* the id is "epoch.seq" */
  uint32_t epoch; /* of the coordinator that made it */
  mg_task_kind kind;
  uint64_t first; /* kind COUNT: cases first .. first + count - 1 */
  uint32_t count;
  uint64_t *list; /* kind REPEAT: count case numbers, owned */
  uint32_t attempt;
  uint32_t losses;         /* holders that had begun it and vanished; what decides over splitting and giving up */
  uint32_t vanishes;       /* holders that vanished, begun or not: from the first on it is handed out with care */
  uint32_t unbegun;        /* of these, in a row, such as had not begun it */
  mg_care care;            /* with which it is out */
  uint32_t missing;        /* times the broker no longer had it, and nobody answered */
  uint32_t deaths;         /* times it was found among the dead letters without our doing */
  uint64_t original, copy; /* seq of the entry this is a copy of, and of the copy of this; 0: none */
  bool published;
  bool off_queue;                           /* the broker no longer has it, but a live worker still names it */
  bool suspect;                             /* a probe did not find it; a second one that does not decides */
  bool begun;                               /* the last beat that named it said that an executor is at it */
  bool refused;                             /* some worker gave it back */
  uint32_t noted_attempt, noted_losses;     /* as the journal has it; attempt 0: it does not */
  bool candidate_ran;                       /* every attempt that was lost was lost while the candidate ran */
  uint64_t at_case;                         /* begun: the case */
  bool candidate_at;                        /* begun: it is the candidate that runs */
  uint64_t beat;                            /* the holder's counter when it was named last, or seen to hold it */
  int holder;                               /* the worker that named it last; -1: nobody yet */
  int answerer;                             /* the worker whose answer settled it; -1: none */
  mg_ms sent_ms;                            /* published last */
  mg_ms first_ms;                           /* published first */
  int64_t traced_ns, published_ns;          /* traced: when it began, and when it was handed to the queue last (mg_now_ns); 0: not traced */
  mg_ms sign_ms;                            /* last sign of it: published, named by a beat, found by a probe */
  struct mg_entry_out *chain, *next, *prev; /* the ledger's own */
} mg_entry_out;

typedef struct mg_answered { /* of an entry that is gone */
  uint64_t seq, first;
  uint32_t epoch, count;
  int answerer; /* -1: it was not settled by an answer */
  bool compare; /* digest is that of one whole answer */
  mg_digest digest;
} mg_answered;

typedef struct mg_ledger {
  mg_entry_out **buckets;
  size_t bucket_count, count;
  mg_entry_out *oldest, *newest; /* in the order they were made */
  mg_entry_out *spare;           /* freed entries, chained */
  uint64_t next_seq;
  uint32_t epoch;        /* of entries that are made */
  uint64_t cases;        /* of all entries of kind COUNT, copies not counted */
  mg_answered *answered; /* a ring, place seq % size */
} mg_ledger;

bool mg_ledger_init(mg_ledger *l);
void mg_ledger_fini(mg_ledger *l);

/* A new entry with holder -1 and attempt 1; list (NULL for a range) is taken over. NULL where memory ended. */
mg_entry_out *mg_ledger_add(mg_ledger *l, mg_task_kind kind, uint64_t first, uint32_t count, uint64_t *list);
/* One of an earlier coordinator's. */
mg_entry_out *mg_ledger_restore(mg_ledger *l, uint32_t epoch, uint64_t seq, uint64_t first, uint32_t count);
mg_entry_out *mg_ledger_find(const mg_ledger *l, uint64_t seq);
/* Makes e a copy of original. */
void mg_ledger_pair(mg_ledger *l, mg_entry_out *e, mg_entry_out *original);
/* Takes it out and forgets it; whoever was its copy or original stands alone. */
void mg_ledger_remove(mg_ledger *l, mg_entry_out *e);
/* The same, remembering what it was answered with. */
void mg_ledger_answer(mg_ledger *l, mg_entry_out *e, const mg_digest *digest);
const mg_answered *mg_ledger_answered(const mg_ledger *l, uint32_t epoch, uint64_t seq); /* NULL: never, or long ago */

void mg_task_id_make(char out[MG_TASK_MAX + 1], uint32_t epoch, uint64_t seq);
bool mg_task_id_parse(const char *id, uint32_t *epoch, uint64_t *seq);

#endif
