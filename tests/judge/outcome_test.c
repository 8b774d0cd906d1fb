/* Terms and sums against values computed with python3's xxhash and msgpack. */
#include "judge/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char long_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static mg_digester *many_names(void) {
  static char z[129], numbered[20][16];
  const char *names[25] = {"sorted", "permute", long_a, z, "permute2"};
  memset(z, 'z', 128);
  for (int i = 0; i < 20; i++) {
    (void)snprintf(numbered[i], sizeof numbered[i], "c%02d", i);
    names[5 + i] = numbered[i];
  }
  return mg_digester_new(names, 25);
}

static const struct {
  uint64_t case_number;
  mg_role role;
  mg_outcome outcome;
  mg_clause_mask mask;
  const char *term;
} rows[] = {
    {0, MG_BASELINE, MG_PASS, 0, "003fbd78880f0ae660dd992060d13faf"},
    {127, MG_CANDIDATE, MG_PASS, 0, "bec88bda1810e95159b48811d99ba71c"},
    {128, MG_CANDIDATE, MG_FAIL, 0x2, "6e7402a408717802b8ec7bca85900070"},
    {255, MG_CANDIDATE, MG_FAIL, 0x6, "42fe8a8781f05c402db3268e42753e15"},
    {256, MG_BASELINE, MG_ERROR, 0x1, "85674085b52bbc6e6480e43bbaafee72"},
    {65535, MG_BASELINE, MG_TIMED_OUT, 0x9, "087de33fc4ae1280de2dabeb477d655c"},
    {65536, MG_CANDIDATE, MG_CRASH, 0x11, "9c6da7273d6483069d59bfd66a46bb91"},
    {4294967295u, MG_CANDIDATE, MG_DISCARD, 0, "eb81c744691d741f36f422fdfbbde208"},
    {4294967296u, MG_CANDIDATE, MG_CASE_LOST, 0, "c22092c0deb4587e996279889e5296fa"},
    {9007199254740992u, MG_BASELINE, MG_UNRUN, 0, "71baf356f35f224476628bfa786c2f6e"},
    {UINT64_MAX, MG_CANDIDATE, MG_FAIL, 0x3ffffff, "b81c9b8c510ae2635aae3d8f2962eede"},
};
#define ROWS (sizeof rows / sizeof rows[0])

static void terms(void **state) {
  (void)state;
  mg_digester *d = many_names();
  assert_non_null(d);
  mg_digest all = {0};
  for (int round = 0; round < 2; round++) { /* the second from the cache */
    for (size_t i = 0; i < ROWS; i++) {
      mg_digest one = {0};
      char hex[33];
      mg_digester_add(d, &one, rows[i].case_number, rows[i].role, rows[i].outcome, rows[i].mask);
      mg_digest_hex(&one, hex);
      assert_string_equal(hex, rows[i].term);
      if (round == 0) mg_digest_add(&all, &one);
    }
  }
  char hex[33];
  mg_digest_hex(&all, hex);
  assert_string_equal(hex, "72478a536dfbebb622a17998aac5cbfd");
  mg_digester_free(d);
}

/* More masks than the cache holds: what is not cached must give the same terms. */
static void beyond_the_cache(void **state) {
  (void)state;
  mg_digester *full = many_names();
  mg_digester *fresh = many_names();
  for (mg_clause_mask m = 1; m < 6000; m++) {
    mg_digest a = {0}, b = {0};
    mg_digester_add(full, &a, m * 77, MG_CANDIDATE, MG_FAIL, m);
    if (m % 500 == 0) {
      mg_digester_free(fresh);
      fresh = many_names();
    }
    mg_digester_add(fresh, &b, m * 77, MG_CANDIDATE, MG_FAIL, m);
    assert_true(a.low == b.low && a.high == b.high);
  }
  mg_digester_free(full);
  mg_digester_free(fresh);
}

static void ignored(void **state) {
  (void)state;
  const char *names[] = {"sorted"};
  mg_digester *d = mg_digester_new(names, 1);
  mg_digest none = {0}, known = {0}, more = {0};
  mg_digester_add(d, &none, 1, MG_BASELINE, MG_ABSENT, 0);
  assert_true(none.low == 0 && none.high == 0);
  mg_digester_add(d, &known, 1, MG_CANDIDATE, MG_FAIL, 2);
  mg_digester_add(d, &more, 1, MG_CANDIDATE, MG_FAIL, 2 | 1ull << 40);
  assert_true(known.low == more.low && known.high == more.high);
  mg_digester_free(d);
  assert_null(mg_digester_new(names, -1));
  assert_null(mg_digester_new(names, MG_MAX_CLAUSES + 1));
}

static void carries(void **state) {
  (void)state;
  mg_digest a = {UINT64_MAX, 1}, b = {1, UINT64_MAX};
  mg_digest_add(&a, &b);
  assert_true(a.low == 0 && a.high == 1);
}

static void words(void **state) {
  (void)state;
  static const char *const names[] = {"pass", "fail", "error", "timeout", "crash", "discard", "lost", "unrun"};
  for (int i = 0; i < MG_OUTCOMES; i++) assert_string_equal(mg_outcome_name((mg_outcome)i), names[i]);
  assert_string_equal(mg_outcome_name(MG_ABSENT), "absent");
  assert_string_equal(mg_role_name(MG_BASELINE), "baseline");
  assert_string_equal(mg_role_name(MG_CANDIDATE), "candidate");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(terms), cmocka_unit_test(beyond_the_cache), cmocka_unit_test(ignored), cmocka_unit_test(carries), cmocka_unit_test(words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
