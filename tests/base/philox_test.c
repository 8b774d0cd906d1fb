/* Reference values of Philox4x32-10 and of everything drawn from it: published ones for the block, computed apart for
 * the draws. */
#include "base/philox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

__extension__ typedef unsigned __int128 wide;

static void block_gives_the_published_words(void **state) {
  (void)state;
  static const struct {
    uint32_t key[2], counter[4], words[4];
  } rows[] = {
      {{0, 0}, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u}, {~0u, ~0u, ~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{42, 0}, {0, 0, 0, 0}, {0x9ceaf053, 0x77f5493b, 0x12bf50ad, 0x5742b3d7}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint32_t words[4];
    mg_philox_block(rows[i].key, rows[i].counter, words);
    assert_memory_equal(words, rows[i].words, sizeof words);
  }
}

static void stream_is_made_of_blocks(void **state) {
  (void)state;
  const uint64_t seed = 0x0123456789abcdefu, number = 0xfedcba9876543210u;
  const uint32_t key[2] = {0x89abcdef, 0x01234567};
  mg_philox p;
  mg_philox_init(&p, seed, 3, number);
  for (uint32_t block = 0; block < 5; block++) {
    const uint32_t counter[4] = {block, 3, 0x76543210, 0xfedcba98};
    uint32_t words[4];
    mg_philox_block(key, counter, words);
    for (int i = 0; i < 4; i++) assert_int_equal(mg_philox_next32(&p), words[i]);
  }
}

static void draws_are_the_reference_draws(void **state) {
  (void)state;
  mg_philox p;
  mg_philox_init(&p, 42, 0, 0);
  assert_true(mg_philox_double(&p) == .46858651833910492);

  mg_philox_init(&p, 42, 0, 0);
  assert_true(mg_philox_next64(&p) == 0x77f5493b9ceaf053u);

  static const uint64_t dice[] = {3, 2, 0, 2, 5, 1, 3, 2};
  mg_philox_init(&p, 42, 0, 0);
  for (size_t i = 0; i < sizeof dice / sizeof *dice; i++) assert_int_equal(mg_philox_below(&p, 6), dice[i]);

  mg_philox_init(&p, 42, 0, 0);
  assert_int_equal(mg_philox_below(&p, 3000000000u), 1405759554u); /* one rejection: the second word counts */
  assert_int_equal(p.used, 2);
  assert_int_equal(mg_philox_below(&p, 3000000000u), 2963155952u); /* two rejections */
  assert_int_equal(p.used, 1);                                     /* 2 + 3 words are a block and one more */
}

static void wide_ranges_use_two_words(void **state) {
  (void)state;
  mg_philox p, q;
  mg_philox_init(&p, 7, 0, 1);
  mg_philox_init(&q, 7, 0, 1);
  /* 2^32 divides 2^64: no rejection, the high word is the answer. */
  for (int i = 0; i < 100; i++) assert_true(mg_philox_below(&p, 1ull << 32) == mg_philox_next64(&q) >> 32);
  assert_true(mg_philox_below(&p, 0) == mg_philox_next64(&q));

  const uint64_t range = (1ull << 63) + 1; /* nearly every second try is rejected */
  int rejected = 0;
  for (int i = 0; i < 200; i++) {
    uint64_t value = mg_philox_below(&p, range);
    assert_true(value < range);
    wide m;
    for (;; rejected++) {
      m = (wide)mg_philox_next64(&q) * range;
      if ((uint64_t)m >= (uint64_t)-range % range) break;
    }
    assert_true(value == (uint64_t)(m >> 64));
  }
  assert_true(rejected > 100);
}

static void between_keeps_its_bounds(void **state) {
  (void)state;
  mg_philox p;
  mg_philox_init(&p, (uint64_t)-1, 0, 0);
  bool seen[5] = {false};
  for (int i = 0; i < 200; i++) {
    int64_t value = mg_philox_between(&p, -2, 2);
    assert_in_range(value + 2, 0, 4);
    seen[value + 2] = true;
  }
  for (int i = 0; i < 5; i++) assert_true(seen[i]);
  assert_true(mg_philox_between(&p, INT64_MIN, INT64_MIN) == INT64_MIN);
  assert_true(mg_philox_between(&p, INT64_MAX, INT64_MAX) == INT64_MAX);
  bool low = false, high = false;
  for (int i = 0; i < 64; i++) {
    int64_t value = mg_philox_between(&p, INT64_MIN, INT64_MAX);
    low = low || value < INT64_MIN / 2;
    high = high || value > INT64_MAX / 2;
  }
  assert_true(low && high);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(block_gives_the_published_words), cmocka_unit_test(stream_is_made_of_blocks),
      cmocka_unit_test(draws_are_the_reference_draws),   cmocka_unit_test(wide_ranges_use_two_words),
      cmocka_unit_test(between_keeps_its_bounds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
