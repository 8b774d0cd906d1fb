/* philox.h - Philox4x32-10, the counter-based generator of every random number a case sees (Salmon et al., SC 2011).
 *
 * key = (seed low, seed high), counter = (block, stream, case low, case high): case i is made anywhere without the
 * cases before it. Stream 0 generates a case, stream 1 + r belongs to relation r. Words are taken from a block in
 * order. Any thread; a stream has one owner. Here as inline functions, for this is the generator's hot path. What is
 * drawn must never change: recorded seeds would mean other cases. */
#ifndef MG_BASE_PHILOX_H
#define MG_BASE_PHILOX_H

#include <stddef.h>
#include <stdint.h>

typedef struct mg_philox {
  uint32_t key[2], counter[4]; /* counter of the next block */
  uint32_t words[4];           /* the current block */
  uint32_t used;               /* words of it that were taken; 4: none is left */
} mg_philox;

/* One block: ten rounds over counter under key. out may not overlap counter. */
static inline void mg_philox_block(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/* seed: the bits of the plan's int64. */
static inline void mg_philox_init(mg_philox *p, uint64_t seed, uint32_t stream, uint64_t case_number) {
  p->key[0] = (uint32_t)seed;
  p->key[1] = (uint32_t)(seed >> 32);
  p->counter[0] = 0;
  p->counter[1] = stream;
  p->counter[2] = (uint32_t)case_number;
  p->counter[3] = (uint32_t)(case_number >> 32);
  p->used = 4;
}

static inline uint32_t mg_philox_next32(mg_philox *p) {
  if (p->used == 4) {
    mg_philox_block(p->key, p->counter, p->words);
    p->counter[0]++; /* 2^34 words a stream, then it repeats */
    p->used = 0;
  }
  return p->words[p->used++];
}

/* Two words, the low one first. */
static inline uint64_t mg_philox_next64(mg_philox *p) {
  uint64_t low = mg_philox_next32(p);
  return low | (uint64_t)mg_philox_next32(p) << 32;
}

/* In [0, 1): the high 53 bits of a next64. */
static inline double mg_philox_double(mg_philox *p) {
  return (double)(mg_philox_next64(p) >> 11) * 0x1p-53;
}

/* Uniform in 0 .. range-1 for ranges of 2^32 and more, by next64; out of the hot path. */
uint64_t mg_philox_below_wide(mg_philox *p, uint64_t range);

/* Uniform in 0 .. range-1 after Lemire, without bias; range 0 means 2^64. One word a try below 2^32, two from there on.
 */
static inline uint64_t mg_philox_below(mg_philox *p, uint64_t range) {
  if (range == 0) return mg_philox_next64(p);
  if (range > UINT32_MAX) return mg_philox_below_wide(p, range);
  uint32_t s = (uint32_t)range;
  uint64_t m = (uint64_t)mg_philox_next32(p) * s;
  if ((uint32_t)m < s) {
    uint32_t least = (uint32_t)-s % s;
    while ((uint32_t)m < least) m = (uint64_t)mg_philox_next32(p) * s;
  }
  return m >> 32;
}

/* Uniform in low .. high, both included; low <= high. */
static inline int64_t mg_philox_between(mg_philox *p, int64_t low, int64_t high) {
  uint64_t range = (uint64_t)high - (uint64_t)low + 1; /* 0 for all of int64, as below() means it */
  return (int64_t)((uint64_t)low + mg_philox_below(p, range));
}

#endif
