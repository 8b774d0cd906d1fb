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
