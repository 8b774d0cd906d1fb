#define XXH_INLINE_ALL
#include "judge/outcome.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* The packed case number takes at most 10 bytes with the array's head; it is written right before the cached tail, so
 * that a term is one hash over adjoining bytes and nothing is copied. */
#define HEAD_BYTES 16
#define CACHE_SLOTS 4096
#define CACHE_FULL (CACHE_SLOTS / 2)

static const char *const outcome_names[] = {"pass", "fail", "error", "timeout", "crash", "discard", "lost", "unrun"};

const char *mg_outcome_name(mg_outcome o) {
  if ((unsigned)o < MG_OUTCOMES) return outcome_names[o];
  return o == MG_ABSENT ? "absent" : "unknown";
}

const char *mg_role_name(mg_role r) { return r == MG_BASELINE ? "baseline" : "candidate"; }

typedef struct mg_tail { /* MessagePack of role, outcome and clause names, with room for the head before it */
  mg_clause_mask mask;
  uint8_t role, outcome;
  size_t len;
  uint8_t *bytes; /* HEAD_BYTES + len */
} mg_tail;

struct mg_digester {
  int count; /* clauses with completes */
  char **names;
  int *sorted;                          /* bit numbers in byte order of their names */
  mg_tail plain[MG_ROLES][MG_OUTCOMES]; /* no clause failed */
  mg_tail *slots;                       /* CACHE_SLOTS, open addressing; bytes NULL: free */
  size_t used;
};

static size_t put_text(uint8_t *out, const char *text) {
  size_t n = strlen(text), at = 0;
  if (n < 32) {
    if (out != NULL) out[0] = (uint8_t)(0xa0 | n);
    at = 1;
  } else if (n < 256) {
    if (out != NULL) out[0] = 0xd9, out[1] = (uint8_t)n;
    at = 2;
  } else {
    if (n > 0xffff) n = 0xffff;
    if (out != NULL) out[0] = 0xda, out[1] = (uint8_t)(n >> 8), out[2] = (uint8_t)n;
    at = 3;
  }
  if (out != NULL) memcpy(out + at, text, n);
  return at + n;
}

static size_t put_count(uint8_t *out, const mg_digester *d, mg_clause_mask mask) {
  int failed = 0;
  for (int i = 0; i < d->count; i++) failed += (int)(mask >> i & 1);
  if (failed < 16) {
    if (out != NULL) out[0] = (uint8_t)(0x90 | failed);
    return 1;
  }
  if (out != NULL) out[0] = 0xdc, out[1] = 0, out[2] = (uint8_t)failed;
  return 3;
}

/* Writes the tail to out, or only measures it where out is NULL. */
static size_t put_tail(const mg_digester *d, uint8_t *out, mg_role role, mg_outcome outcome, mg_clause_mask mask) {
  size_t n = put_text(out, mg_role_name(role));
  n += put_text(out == NULL ? NULL : out + n, mg_outcome_name(outcome));
  n += put_count(out == NULL ? NULL : out + n, d, mask);
  for (int i = 0; i < d->count; i++) {
    if ((mask >> d->sorted[i] & 1) != 0) n += put_text(out == NULL ? NULL : out + n, d->names[d->sorted[i]]);
  }
  return n;
}

static bool fill_tail(const mg_digester *d, mg_tail *t, mg_role role, mg_outcome outcome, mg_clause_mask mask) {
  size_t len = put_tail(d, NULL, role, outcome, mask);
  uint8_t *bytes = malloc(HEAD_BYTES + len);
  if (bytes == NULL) return false;
  memset(bytes, 0, HEAD_BYTES);
  put_tail(d, bytes + HEAD_BYTES, role, outcome, mask);
  *t = (mg_tail){.mask = mask, .role = (uint8_t)role, .outcome = (uint8_t)outcome, .len = len, .bytes = bytes};
  return true;
}

static void sort_names(mg_digester *d) {
  for (int i = 0; i < d->count; i++) {
    int at = i;
    while (at > 0 && strcmp(d->names[d->sorted[at - 1]], d->names[i]) > 0) {
      d->sorted[at] = d->sorted[at - 1];
      at--;
    }
    d->sorted[at] = i;
  }
}

mg_digester *mg_digester_new(const char *const *clause_names, int clauses) {
  if (clauses < 0 || clauses > MG_MAX_CLAUSES) return NULL;
  mg_digester *d = calloc(1, sizeof *d);
  if (d == NULL) return NULL;
  d->names = calloc((size_t)clauses + 1, sizeof *d->names);
  d->sorted = calloc((size_t)clauses + 1, sizeof *d->sorted);
  d->slots = calloc(CACHE_SLOTS, sizeof *d->slots);
  if (d->names == NULL || d->sorted == NULL || d->slots == NULL) goto fail;
  for (d->count = 0; d->count <= clauses; d->count++) {
    d->names[d->count] = strdup(d->count == 0 ? "completes" : clause_names[d->count - 1]);
    if (d->names[d->count] == NULL) goto fail;
  }
  sort_names(d);
  for (int r = 0; r < MG_ROLES; r++) {
    for (int o = 0; o < MG_OUTCOMES; o++) {
      if (!fill_tail(d, &d->plain[r][o], (mg_role)r, (mg_outcome)o, 0)) goto fail;
    }
  }
  return d;
fail:
  mg_digester_free(d);
  return NULL;
}

void mg_digester_free(mg_digester *d) {
  if (d == NULL) return;
  for (int i = 0; d->names != NULL && i < d->count; i++) free(d->names[i]);
  for (int r = 0; r < MG_ROLES; r++) {
    for (int o = 0; o < MG_OUTCOMES; o++) free(d->plain[r][o].bytes);
  }
  for (size_t i = 0; d->slots != NULL && i < CACHE_SLOTS; i++) free(d->slots[i].bytes);
  free(d->names);
  free(d->sorted);
  free(d->slots);
  free(d);
}

/* The head ends where the tail begins; its length. */
static size_t put_head(uint8_t *end, uint64_t n) {
  size_t digits = n < 0x80 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000u ? 4 : 8;
  for (size_t i = 0; i < digits; i++) end[-1 - (ptrdiff_t)i] = (uint8_t)(n >> (8 * i));
  uint8_t *head = end - digits - 1;
  *head = digits == 0 ? (uint8_t)n : digits == 1 ? 0xcc : digits == 2 ? 0xcd : digits == 4 ? 0xce : 0xcf;
  head[-1] = 0x94;
  return digits + 2;
}

static void add_term(mg_digest *sum, mg_tail *t, uint64_t case_number) {
  size_t head = put_head(t->bytes + HEAD_BYTES, case_number);
  XXH128_hash_t h = XXH3_128bits(t->bytes + HEAD_BYTES - head, head + t->len);
  sum->low += h.low64;
  sum->high += h.high64 + (sum->low < h.low64);
}

/* The cached tail; NULL where the cache is full or memory ended. */
static mg_tail *find_tail(mg_digester *d, mg_role role, mg_outcome outcome, mg_clause_mask mask) {
  uint64_t key = (mask ^ (uint64_t)role << 60 ^ (uint64_t)outcome << 56) * 0x9e3779b97f4a7c15u;
  size_t at = (size_t)(key >> 52) % CACHE_SLOTS;
  while (d->slots[at].bytes != NULL) {
    mg_tail *t = &d->slots[at];
    if (t->mask == mask && t->role == (uint8_t)role && t->outcome == (uint8_t)outcome) return t;
    at = (at + 1) % CACHE_SLOTS;
  }
  if (d->used >= CACHE_FULL || !fill_tail(d, &d->slots[at], role, outcome, mask)) return NULL;
  d->used++;
  return &d->slots[at];
}

/* The same term piece by piece: slower, needs no memory. */
static void add_slowly(const mg_digester *d, mg_digest *sum, uint64_t case_number, mg_role role, mg_outcome outcome, mg_clause_mask mask) {
  XXH3_state_t state;
  uint8_t piece[3 + 0xffff]; /* the longest name */
  XXH3_128bits_reset(&state);
  size_t head = put_head(piece + HEAD_BYTES, case_number);
  XXH3_128bits_update(&state, piece + HEAD_BYTES - head, head);
  XXH3_128bits_update(&state, piece, put_text(piece, mg_role_name(role)));
  XXH3_128bits_update(&state, piece, put_text(piece, mg_outcome_name(outcome)));
  XXH3_128bits_update(&state, piece, put_count(piece, d, mask));
  for (int i = 0; i < d->count; i++) {
    if ((mask >> d->sorted[i] & 1) == 0) continue;
    XXH3_128bits_update(&state, piece, put_text(piece, d->names[d->sorted[i]]));
  }
  XXH128_hash_t h = XXH3_128bits_digest(&state);
  mg_digest_add(sum, &(mg_digest){h.low64, h.high64});
}

void mg_digester_add(mg_digester *d, mg_digest *sum, uint64_t case_number, mg_role role, mg_outcome outcome, mg_clause_mask failed) {
  if ((unsigned)outcome >= MG_OUTCOMES) return;
  if (d->count < 64) failed &= ((mg_clause_mask)1 << d->count) - 1;
  mg_tail *t = failed == 0 ? &d->plain[role][outcome] : find_tail(d, role, outcome, failed);
  if (t != NULL) {
    add_term(sum, t, case_number);
  } else {
    add_slowly(d, sum, case_number, role, outcome, failed);
  }
}

void mg_digest_add(mg_digest *sum, const mg_digest *more) {
  uint64_t low = sum->low + more->low;
  sum->high += more->high + (low < more->low);
  sum->low = low;
}

void mg_digest_hex(const mg_digest *sum, char out[33]) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 0; i < 16; i++) {
    out[i] = digits[sum->high >> (60 - 4 * i) & 15];
    out[16 + i] = digits[sum->low >> (60 - 4 * i) & 15];
  }
  out[32] = '\0';
}
