/* case_set.h - which cases are counted: a frontier below which all are, and a bitmap in pages above it.
 *
 * Pages that are full or not begun take no memory, so it is the span of what is out that costs, never the number of cases. One owner. */
#ifndef MG_DISPATCH_CASE_SET_H
#define MG_DISPATCH_CASE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mg_case_page mg_case_page;

typedef struct mg_case_set { /* zero-initialised is empty */
  uint64_t count;            /* cases in the set */
  uint64_t base;             /* number of the first page: all cases of the pages before it are in the set */
  mg_case_page **pages;      /* NULL: none of its cases */
  size_t page_count, page_cap;
  uint64_t frontier; /* the lowest case that is not in the set */
} mg_case_set;

void mg_case_set_fini(mg_case_set *s);
bool mg_case_set_has(const mg_case_set *s, uint64_t c);
/* Adds first .. first + count - 1; *added counts those that were new. false where memory ended: some may have been added. */
bool mg_case_set_add(mg_case_set *s, uint64_t first, uint64_t count, uint64_t *added);
/* How many of first .. first + count - 1 are in the set. */
uint64_t mg_case_set_within(const mg_case_set *s, uint64_t first, uint64_t count);
/* The first run of cases in from .. end - 1 that are not in the set; false where there is none. */
bool mg_case_set_gap(const mg_case_set *s, uint64_t from, uint64_t end, uint64_t *first, uint64_t *count);

#endif
