#include "base/philox.h"

uint64_t mg_philox_below_wide(mg_philox *p, uint64_t range) {
  __extension__ typedef unsigned __int128 wide;
  wide m = (wide)mg_philox_next64(p) * range;
  if ((uint64_t)m < range) {
    uint64_t least = (uint64_t)-range % range;
    while ((uint64_t)m < least) m = (wide)mg_philox_next64(p) * range;
  }
  return (uint64_t)(m >> 64);
}

void mg_philox_shuffle(mg_philox *p, uint32_t *indices, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) indices[i] = i;
  for (uint32_t i = count; i > 1; i--) {
    uint32_t j = (uint32_t)mg_philox_below(p, i);
    uint32_t kept = indices[i - 1];
    indices[i - 1] = indices[j];
    indices[j] = kept;
  }
}
