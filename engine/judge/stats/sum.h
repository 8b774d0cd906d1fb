/* sum.h - an exact sum of doubles: the same to the last bit in whatever order they came and however parts were merged.
 *
 * A fixed-point number as wide as the doubles' range (Kulisch). Without it the last digits of a mean, and with them a
 * report, would depend on which worker was fast. 560 bytes; zeroed is empty. Values up to 1e150 in size (so that squares
 * fit too); up to 2^60 of them. Pure, any thread. */
#ifndef MG_JUDGE_STATS_SUM_H
#define MG_JUDGE_STATS_SUM_H

#include <stdbool.h>
#include <stdint.h>

#define MG_SUM_LIMBS 68

typedef struct mg_sum {
  int64_t limbs[MG_SUM_LIMBS]; /* of 32 bits, the lowest first: limb i counts 2^(32 i - 1074); may hold carries */
  uint64_t pending;            /* additions since the carries were last taken on */
} mg_sum;

void mg_sum_add(mg_sum *s, double value);    /* finite */
void mg_sum_square(mg_sum *s, double value); /* adds value * value, exactly */
void mg_sum_merge(mg_sum *s, const mg_sum *more);
long double mg_sum_value(const mg_sum *s);

/* For sending: sign and size. *first is the lowest limb that is not 0, out gets the limbs from there on; returns how many (0: the sum is 0). */
int mg_sum_pack(const mg_sum *s, bool *negative, int *first, uint32_t out[MG_SUM_LIMBS]);
/* Adds what was packed. false where it does not fit. */
bool mg_sum_unpack(mg_sum *s, bool negative, int first, const uint32_t *limbs, int count);

#endif
