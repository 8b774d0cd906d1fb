/* record.h - what a journal says, one thing a record, in the order it happened. Any thread; a record borrows its bytes.
 *
 * Replayed from the first to the last, the records bring a coordinator back to where it was. Results stand in them as they came over the wire. A record
 * is one byte of kind, then its numbers (7 bits a byte, lowest first), then its bytes. */
#ifndef MG_JOURNAL_RECORD_H
#define MG_JOURNAL_RECORD_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mg_record_kind {
  MG_RECORD_TASK = 1,    /* a task is out, or out again: epoch, seq, first, count, attempt, losses */
  MG_RECORD_GONE = 2,    /* it is not, and not because all its cases are counted: seq */
  MG_RECORD_RESULT = 3,  /* seq, first; ranges: the cases that were counted for the first time; body: the result's message */
  MG_RECORD_REPEAT = 4,  /* cases that ran again; ranges: theirs, in the order of the message; body: the result's message */
  MG_RECORD_LOST = 5,    /* first, count, flag: the candidate ran whenever a holder vanished */
  MG_RECORD_NOTE = 6,    /* body: a sentence for the report */
  MG_RECORD_COUNTS = 7,  /* counts, replacing earlier ones */
  MG_RECORD_CLEARED = 8, /* every task that is out was taken back */
  MG_RECORD_KINDS
} mg_record_kind;

enum { MG_RECORD_COUNTERS = 16 };

typedef struct mg_case_range {
  uint64_t first, count;
} mg_case_range;

typedef struct mg_record {
  mg_record_kind kind;
  uint32_t epoch, attempt, losses;
  uint64_t seq, first, count;
  bool flag;
  const mg_case_range *ranges; /* as decoded: valid until the next decode with the same reader */
  size_t range_count;
  uint64_t counts[MG_RECORD_COUNTERS];
  size_t count_count;
  mg_slice body;
} mg_record;

/* Appends the record with its length before it. */
void mg_record_put(mg_buf *out, const mg_record *r);

typedef struct mg_record_reader { /* zeroed but for rest */
  mg_slice rest;
  mg_case_range *ranges;
  size_t range_cap;
} mg_record_reader;

/* The next record of rest: 1; 0 at its end; -1 where the bytes are no record. */
int mg_record_take(mg_record_reader *in, mg_record *out);
void mg_record_reader_fini(mg_record_reader *in);

#endif
