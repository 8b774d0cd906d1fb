/* random.h - the resampling generator of stats/: a Weyl sequence through a 64-bit mixer (Steele et al. 2014,
 * "Fast splittable pseudorandom number generators"). The generator of cases is base/philox; this one only picks
 * resamples, where a stream per call with a small state is enough. Owned by its caller, one thread at a time. */
#ifndef MG_JUDGE_STATS_RANDOM_H
#define MG_JUDGE_STATS_RANDOM_H

#include <stdint.h>

typedef struct mg_random {
  uint64_t state;
} mg_random;

static inline uint64_t mg_random_next(mg_random *r) {
  uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Uniform in [0, bound), bound >= 1 and far below 2^64: the bias of the product's high word is bound/2^64. */
static inline uint64_t mg_random_below(mg_random *r, uint64_t bound) {
  uint64_t x = mg_random_next(r), low = (x & 0xffffffffu) * (bound & 0xffffffffu);
  uint64_t a = (x >> 32) * (bound & 0xffffffffu), b = (x & 0xffffffffu) * (bound >> 32);
  uint64_t carry = ((low >> 32) + (a & 0xffffffffu) + (b & 0xffffffffu)) >> 32;
  return (x >> 32) * (bound >> 32) + (a >> 32) + (b >> 32) + carry;
}

/* Uniform in [0, 1), 53 bits. */
static inline double mg_random_unit(mg_random *r) {
  return (double)(mg_random_next(r) >> 11) * 0x1p-53;
}

#endif
