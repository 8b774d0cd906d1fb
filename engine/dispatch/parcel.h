/* parcel.h - what passes between the loop's thread and the link thread: records in an array, their bytes in one arena.
 *
 * A parcel is filled by one thread, handed over whole by swapping it under the link's lock, and emptied by the other; its memory is kept and goes back
 * with the next swap, so that a steady flow allocates nothing. Texts and bodies are named by their place in the arena (0: none), since it moves as it
 * grows. */
#ifndef MG_DISPATCH_PARCEL_H
#define MG_DISPATCH_PARCEL_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mg_item {
  int kind; /* mg_job_kind, or mg_link_event_kind */
  mg_err err;
  uint64_t token;
  uint32_t attempt;
  int state;
  bool flag, done;
  bool alone;             /* a result that goes in a message of its own: with others it was refused */
  mg_ms ms;               /* a delay, a time to live, or a stamp */
  mg_ms due;              /* not before */
  size_t run, task, text; /* places of NUL-terminated texts */
  size_t body, body_len;  /* place of bytes */
  size_t count;           /* entries in body, where it is a list */
} mg_item;

typedef struct mg_parcel {
  mg_item *items;
  size_t count, cap;
  mg_buf bytes;
  size_t last_run; /* the run named last: most items name the same */
  mg_ms stamp;     /* up: when beats were last read */
} mg_parcel;

void mg_parcel_fini(mg_parcel *p);
void mg_parcel_clear(mg_parcel *p); /* keeps the memory, unless it has grown beyond what a steady flow needs */

/* A new zeroed record; NULL where memory ended. Valid until the next one. */
mg_item *mg_parcel_new(mg_parcel *p, int kind);
/* Copy text or bytes into the arena and give their place; 0 for NULL or where memory ended. */
size_t mg_parcel_text(mg_parcel *p, const char *text);
size_t mg_parcel_run(mg_parcel *p, const char *run);
size_t mg_parcel_body(mg_parcel *p, const void *data, size_t len);

const char *mg_parcel_text_at(const mg_parcel *p, size_t place); /* NULL for 0 */
mg_slice mg_parcel_body_of(const mg_parcel *p, const mg_item *i);

/* Copies the record with what it refers to. false where memory ended. */
bool mg_parcel_copy(mg_parcel *to, const mg_parcel *from, const mg_item *i);
/* Everything of from to the end of to; from is then empty. Swaps where to is empty. */
bool mg_parcel_move(mg_parcel *to, mg_parcel *from);

#endif
