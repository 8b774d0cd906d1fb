#include "dispatch/case_set.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS = 64, PAGE = 64 * WORDS };

struct mg_case_page {
  uint32_t count;
  uint64_t words[WORDS];
};

static mg_case_page full_page; /* stands for every page that is full; never written to */

void mg_case_set_fini(mg_case_set *s) {
  for (size_t i = 0; i < s->page_count; i++) {
    if (s->pages[i] != &full_page) free(s->pages[i]);
  }
  free(s->pages);
  *s = (mg_case_set){0};
}

static const mg_case_page *page_of(const mg_case_set *s, uint64_t c) {
  uint64_t at = c / PAGE;
  if (at < s->base) return &full_page;
  return at - s->base < s->page_count ? s->pages[at - s->base] : NULL;
}

bool mg_case_set_has(const mg_case_set *s, uint64_t c) {
  const mg_case_page *p = page_of(s, c);
  if (p == NULL || p == &full_page) return p != NULL;
  return (p->words[c % PAGE / 64] >> (c % 64) & 1) != 0;
}

/* The bits from .. to - 1 of a word. */
static uint64_t span(unsigned from, unsigned to) {
  uint64_t below = to == 64 ? UINT64_MAX : ((uint64_t)1 << to) - 1;
  return below & ~(((uint64_t)1 << from) - 1);
}

static bool reach(mg_case_set *s, uint64_t page) {
  size_t needed = (size_t)(page - s->base) + 1;
  if (needed > s->page_cap) {
    size_t cap = s->page_cap == 0 ? 16 : s->page_cap;
    while (cap < needed) cap *= 2;
    mg_case_page **grown = realloc(s->pages, cap * sizeof *grown);
    if (grown == NULL) return false;
    s->pages = grown;
    s->page_cap = cap;
  }
  while (s->page_count < needed) s->pages[s->page_count++] = NULL;
  return true;
}

/* Pages that are full at the front are told by the base alone. */
static void advance(mg_case_set *s) {
  size_t full = 0;
  while (full < s->page_count && s->pages[full] == &full_page) full++;
  if (full > 0) {
    memmove(s->pages, s->pages + full, (s->page_count - full) * sizeof *s->pages);
    s->page_count -= full;
    s->base += full;
  }
  uint64_t f = s->base * PAGE;
  if (f < s->frontier) f = s->frontier;
  const mg_case_page *p = page_of(s, f);
  while (p != NULL && p != &full_page) {
    uint64_t missing = ~p->words[f % PAGE / 64] & span((unsigned)(f % 64), 64);
    if (missing != 0) {
      f = f - f % 64 + (uint64_t)__builtin_ctzll(missing);
      break;
    }
    f = f - f % 64 + 64;
    if (f % PAGE == 0) p = page_of(s, f);
  }
  s->frontier = f;
}

static bool add_in_page(mg_case_set *s, uint64_t first, unsigned count, uint64_t *added) {
  if (page_of(s, first) == &full_page) return true;
  if (!reach(s, first / PAGE)) return false;
  mg_case_page **slot = &s->pages[first / PAGE - s->base];
  if (*slot == NULL && count == PAGE) {
    *slot = &full_page;
    *added += PAGE;
    return true;
  }
  if (*slot == NULL && (*slot = calloc(1, sizeof **slot)) == NULL) return false;
  mg_case_page *p = *slot;
  unsigned at = (unsigned)(first % PAGE), end = at + count;
  uint32_t before = p->count;
  while (at < end) {
    unsigned to = at / 64 * 64 + 64 < end ? 64 : end - at / 64 * 64;
    uint64_t bits = span(at % 64, to);
    p->count += (uint32_t)__builtin_popcountll(bits & ~p->words[at / 64]);
    p->words[at / 64] |= bits;
    at = at / 64 * 64 + to;
  }
  *added += p->count - before;
  if (p->count == PAGE) {
    free(p);
    *slot = &full_page;
  }
  return true;
}

bool mg_case_set_add(mg_case_set *s, uint64_t first, uint64_t count, uint64_t *added) {
  uint64_t before = *added, at = first, left = count;
  bool whole = true;
  while (left > 0 && whole) {
    uint64_t room = PAGE - at % PAGE;
    unsigned n = (unsigned)(left < room ? left : room);
    whole = add_in_page(s, at, n, added);
    at += n;
    left -= n;
  }
  s->count += *added - before;
  if (first <= s->frontier) advance(s);
  return whole;
}

uint64_t mg_case_set_within(const mg_case_set *s, uint64_t first, uint64_t count) {
  uint64_t n = 0, at = first, end = first + count;
  while (at < end) {
    const mg_case_page *p = page_of(s, at);
    uint64_t stop = at - at % PAGE + PAGE < end ? at - at % PAGE + PAGE : end;
    if (p == &full_page) n += stop - at;
    if (p == NULL || p == &full_page) {
      at = stop;
      continue;
    }
    while (at < stop) {
      uint64_t word_end = at - at % 64 + 64 < stop ? at - at % 64 + 64 : stop;
      unsigned to = (unsigned)(word_end - (at - at % 64));
      n += (uint64_t)__builtin_popcountll(p->words[at % PAGE / 64] & span((unsigned)(at % 64), to));
      at = word_end;
    }
  }
  return n;
}

bool mg_case_set_gap(const mg_case_set *s, uint64_t from, uint64_t end, uint64_t *first, uint64_t *count) {
  uint64_t at = from < s->frontier ? s->frontier : from;
  while (at < end && mg_case_set_has(s, at)) {
    at = page_of(s, at) == &full_page ? at - at % PAGE + PAGE : at + 1;
  }
  if (at >= end) return false;
  *first = at;
  while (at < end && !mg_case_set_has(s, at)) {
    at = page_of(s, at) == NULL ? at - at % PAGE + PAGE : at + 1;
  }
  *count = (at < end ? at : end) - *first;
  return true;
}
