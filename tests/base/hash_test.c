/* Hashes against published values: FIPS 180-2, RFC 4231, the XXH3 of the reference implementation. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_hex(const void *data, size_t len, const char *hex) {
  char text[129];
  assert_true(len <= 64);
  mg_hex(data, len, text);
  assert_string_equal(text, hex);
}

static void sha256_is_that_of_fips(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  uint8_t out[MG_SHA256_BYTES];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_true(mg_sha256_of(mg_slice_of(rows[i][0]), out));
    assert_hex(out, sizeof out, rows[i][1]);
    mg_sha256 *h = mg_sha256_new(); /* byte by byte */
    for (const char *c = rows[i][0]; *c != '\0'; c++) mg_sha256_add(h, c, 1);
    mg_sha256_add(h, NULL, 0);
    assert_true(mg_sha256_end(h, out));
    assert_hex(out, sizeof out, rows[i][1]);
  }
  assert_false(mg_sha256_end(NULL, out));
  assert_hex(out, 4, "00000000");
}

static void hmac_is_that_of_rfc_4231(void **state) {
  (void)state;
  uint8_t out[MG_SHA256_BYTES], key[131];
  memset(key, 0x0b, sizeof key);
  const mg_slice hi = mg_slice_of("Hi There");
  assert_true(mg_hmac_sha256((mg_slice){key, 20}, &hi, 1, out));
  assert_hex(out, sizeof out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  const mg_slice pieces[] = {mg_slice_of("what do ya want "), {NULL, 0}, mg_slice_of("for nothing?")};
  assert_true(mg_hmac_sha256(mg_slice_of("Jefe"), pieces, 3, out));
  assert_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  memset(key, 0xaa, sizeof key);
  const mg_slice larger = mg_slice_of("Test Using Larger Than Block-Size Key - Hash Key First");
  assert_true(mg_hmac_sha256((mg_slice){key, 131}, &larger, 1, out));
  assert_hex(out, sizeof out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  assert_true(mg_hmac_sha256((mg_slice){NULL, 0}, NULL, 0, out));
  assert_hex(out, sizeof out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void xxh3_is_that_of_the_reference(void **state) {
  (void)state;
  uint64_t low, high;
  mg_xxh3_128("", 0, &low, &high);
  assert_true(high == 0x99aa06d3014798d8 && low == 0x6001c324468d497f);
  mg_xxh3_128("abc", 3, &low, &high);
  assert_true(high == 0x06b05ab6733a6185 && low == 0x78af5f94892f3950);
}

static void bytes_are_compared_whole(void **state) {
  (void)state;
  uint8_t a[40], b[40];
  memset(a, 7, sizeof a);
  memset(b, 7, sizeof b);
  assert_true(mg_same_bytes(a, b, sizeof a));
  for (size_t i = 0; i < sizeof b; i++) {
    b[i] ^= 0x80;
    assert_false(mg_same_bytes(a, b, sizeof a));
    assert_true(mg_same_bytes(a, b, i));
    b[i] ^= 0x80;
  }
}

static void random_bytes_differ(void **state) {
  (void)state;
  uint8_t a[64] = {0}, b[64] = {0};
  mg_random_bytes(a, sizeof a);
  mg_random_bytes(b, sizeof b);
  assert_memory_not_equal(a, b, sizeof a);
  size_t zeros = 0;
  for (size_t i = 0; i < sizeof a; i++) zeros += a[i] == 0;
  assert_true(zeros < 16);
  mg_random_bytes(a, 0);
  assert_true(mg_random64() != mg_random64());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sha256_is_that_of_fips),        cmocka_unit_test(hmac_is_that_of_rfc_4231),
      cmocka_unit_test(xxh3_is_that_of_the_reference), cmocka_unit_test(bytes_are_compared_whole),
      cmocka_unit_test(random_bytes_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
