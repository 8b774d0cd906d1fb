#include "judge/stats/sum.h"

#include <math.h>
#include <string.h>

#define LOWEST 1074                   /* the smallest double is 2^-1074 */
#define CARRY_EVERY (UINT64_C(1) << 30) /* a limb takes that many pieces of 32 bits with room to spare */

/* Every limb but the last into [0, 2^32); the last keeps the sign. */
static void carry(mg_sum *s) {
  for (int i = 0; i + 1 < MG_SUM_LIMBS; i++) {
    int64_t over = s->limbs[i] >> 32; /* arithmetic: towards minus infinity */
    s->limbs[i] -= over * (INT64_C(1) << 32);
    s->limbs[i + 1] += over;
  }
  s->pending = 0;
}

void mg_sum_add(mg_sum *s, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  int exponent = (int)(bits >> 52 & 0x7ff);
  uint64_t mantissa = bits & ((UINT64_C(1) << 52) - 1);
  if (exponent > 0) {
    mantissa |= UINT64_C(1) << 52;
    exponent--;
  }
  int limb = exponent / 32, shift = exponent % 32; /* value = mantissa 2^(exponent - LOWEST) */
  uint64_t low = mantissa << shift, high = shift > 0 ? mantissa >> (64 - shift) : 0;
  int64_t pieces[3] = {(int64_t)(low & UINT32_MAX), (int64_t)(low >> 32), (int64_t)high};
  for (int i = 0; i < 3 && limb + i < MG_SUM_LIMBS; i++) s->limbs[limb + i] += bits >> 63 ? -pieces[i] : pieces[i];
  if (++s->pending >= CARRY_EVERY) carry(s);
}

void mg_sum_square(mg_sum *s, double value) {
  double square = value * value;
  mg_sum_add(s, square);
  mg_sum_add(s, fma(value, value, -square));
}

void mg_sum_merge(mg_sum *s, const mg_sum *more) {
  mg_sum other = *more;
  if (s->pending > 0) carry(s);
  carry(&other);
  for (int i = 0; i < MG_SUM_LIMBS; i++) s->limbs[i] += other.limbs[i];
  s->pending = 1;
}

/* The size as limbs in [0, 2^32), and whether it was negative. */
static bool magnitude(const mg_sum *s, mg_sum *out) {
  *out = *s;
  carry(out);
  if (out->limbs[MG_SUM_LIMBS - 1] >= 0) return false;
  for (int i = 0; i < MG_SUM_LIMBS; i++) out->limbs[i] = -out->limbs[i];
  carry(out);
  return true;
}

long double mg_sum_value(const mg_sum *s) {
  mg_sum m;
  bool negative = magnitude(s, &m);
  long double v = 0;
  for (int i = MG_SUM_LIMBS - 1; i >= 0; i--) {
    if (m.limbs[i] != 0) v += ldexpl((long double)m.limbs[i], 32 * i - LOWEST);
  }
  return negative ? -v : v;
}

int mg_sum_pack(const mg_sum *s, bool *negative, int *first, uint32_t out[MG_SUM_LIMBS]) {
  mg_sum m;
  *negative = magnitude(s, &m);
  int low = 0, high = MG_SUM_LIMBS;
  while (high > 0 && m.limbs[high - 1] == 0) high--;
  while (low < high && m.limbs[low] == 0) low++;
  *first = low;
  for (int i = low; i < high; i++) out[i - low] = (uint32_t)m.limbs[i];
  return high - low;
}

bool mg_sum_unpack(mg_sum *s, bool negative, int first, const uint32_t *limbs, int count) {
  if (first < 0 || count < 0 || first + count > MG_SUM_LIMBS) return false;
  if (s->pending > 0) carry(s);
  for (int i = 0; i < count; i++) s->limbs[first + i] += negative ? -(int64_t)limbs[i] : (int64_t)limbs[i];
  s->pending = 1;
  return true;
}
