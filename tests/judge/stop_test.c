#include "judge/stop.h"
#include "judge/stats/anytime.h"
#include "judge/stats/distributions.h"
#include "tests/judge/near.h"

static mg_stop_plan plan_of(mg_stop_kind kind, uint64_t max) {
  return (mg_stop_plan){.kind = kind, .max = max, .alpha = .05, .low = -.02, .high = INFINITY, .looks = 5, .theta0 = .5, .theta1 = .75, .beta = .2};
}

static mg_stop stop_of(mg_stop_kind kind, uint64_t max) {
  mg_stop s;
  mg_stop_plan plan = plan_of(kind, max);
  assert_int_equal(mg_stop_init(&s, &plan, NULL), MG_OK);
  return s;
}

static void looks_every_64_then_every_percent(void **state) {
  (void)state;
  mg_stop s = stop_of(MG_STOP_ANYTIME, 10000000);
  uint64_t at = 0, before = 0, count = 0;
  while ((at = mg_stop_next(&s, before))) {
    if (before < 6400)
      assert_int_equal(at - before, 64);
    else if (at < 10000000)
      assert_int_equal(at - before, before / 100);
    /* The same look from anywhere between. */
    assert_int_equal(mg_stop_next(&s, at - 1), at);
    assert_int_equal(mg_stop_next(&s, before + (at - before) / 2), at);
    before = at;
    count++;
  }
  assert_int_equal(before, 10000000);
  assert_true(count > 800 && count < 900);
  s = stop_of(MG_STOP_SPRT, 100);
  assert_int_equal(mg_stop_next(&s, 0), 64);
  assert_int_equal(mg_stop_next(&s, 64), 100);
  assert_int_equal(mg_stop_next(&s, 100), 0);
  assert_int_equal(mg_stop_next(&s, 200), 0);
}

static void looks_of_fixed_and_group(void **state) {
  (void)state;
  mg_stop s = stop_of(MG_STOP_FIXED, 1000);
  assert_int_equal(mg_stop_next(&s, 0), 1000);
  assert_int_equal(mg_stop_next(&s, 1000), 0);
  s = stop_of(MG_STOP_GROUP, 1003);
  static const uint64_t lengths[] = {201, 402, 602, 803, 1003};
  uint64_t at = 0;
  for (size_t i = 0; i < LENGTH(lengths); i++) assert_int_equal(at = mg_stop_next(&s, at), lengths[i]);
  assert_int_equal(mg_stop_next(&s, at), 0);
  s = stop_of(MG_STOP_GROUP, UINT64_C(1) << 62);
  assert_int_equal(mg_stop_next(&s, UINT64_C(1) << 61), UINT64_C(2767011611056432743));
}

static void fixed_looks_once(void **state) {
  (void)state;
  mg_stop s = stop_of(MG_STOP_FIXED, 400);
  mg_pairs good = {400, 0, 0, 0}, bad = {300, 60, 0, 40}, open = {380, 10, 6, 4};
  mg_stop_answer a = mg_stop_look(&s, 200, &good);
  assert_true(a.word == MG_GO_ON && a.interval.low == -1 && a.interval.high == 1);
  assert_int_equal(mg_stop_look(&s, 400, &good).word, MG_STOP_ADOPT);
  assert_int_equal(mg_stop_look(&s, 400, &bad).word, MG_STOP_REJECT);
  a = mg_stop_look(&s, 400, &open);
  assert_int_equal(a.word, MG_STOP_END);
  assert_interval(a.interval, mg_tango(&open, .95).low, mg_tango(&open, .95).high, 14);
}

static void anytime_stops_when_the_sequence_clears(void **state) {
  (void)state;
  mg_stop s = stop_of(MG_STOP_ANYTIME, 1000);
  for (uint64_t at = 0; (at = mg_stop_next(&s, at));) { /* a clean candidate clears .02 at 298, so at the look at 320 */
    mg_pairs p = {at, 0, 0, 0};
    mg_stop_answer a = mg_stop_look(&s, at, &p);
    assert_int_equal(a.word, at < 298 ? MG_GO_ON : MG_STOP_ADOPT);
    assert_interval(a.interval, mg_anytime(&p, .95).low, mg_anytime(&p, .95).high, 14);
    assert_digits(a.level, .95, 14);
  }
  assert_int_equal(mg_stop_look(&s, 300, &(mg_pairs){300, 0, 0, 0}).word, MG_GO_ON); /* no look there */
  assert_int_equal(mg_stop_look(&s, 640, &(mg_pairs){300, 200, 40, 100}).word, MG_STOP_REJECT);
  assert_int_equal(mg_stop_look(&s, 1000, &(mg_pairs){950, 30, 20, 0}).word, MG_STOP_END);
}

static void group_uses_its_boundaries(void **state) {
  (void)state;
  mg_stop s = stop_of(MG_STOP_GROUP, 1000);
  static const double z[] = {4.876885, 3.357012, 2.680280, 2.289817, 2.031032};
  for (int k = 0; k < 5; k++) {
    uint64_t n = 200 * (uint64_t)(k + 1);
    mg_pairs p = {n - 12, 4, 8, 0};
    mg_stop_answer a = mg_stop_look(&s, n, &p);
    mg_interval t = mg_tango_z(&p, z[k]);
    assert_interval(a.interval, t.low, t.high, 6);
    assert_digits(a.level, 1 - 2 * mg_normal_sf(z[k]), 7);
    assert_int_equal(a.word, t.low > -.02 ? MG_STOP_ADOPT : k == 4 ? MG_STOP_END : MG_GO_ON);
  }
  assert_int_equal(mg_stop_look(&s, 600, &(mg_pairs){500, 60, 10, 30}).word, MG_STOP_REJECT);
  /* 50 looks: the first may spend nothing and says nothing. */
  mg_stop_plan many = plan_of(MG_STOP_GROUP, 1000);
  many.looks = 50;
  assert_int_equal(mg_stop_init(&s, &many, NULL), MG_OK);
  mg_stop_answer a = mg_stop_look(&s, 20, &(mg_pairs){0, 0, 20, 0});
  assert_true(a.word == MG_GO_ON && a.level == 1 && a.interval.low == -1);
}

static void sprt_decides_on_discordant_pairs(void **state) {
  (void)state;
  mg_stop s = stop_of(MG_STOP_SPRT, 640);
  assert_int_equal(mg_stop_look(&s, 64, &(mg_pairs){57, 0, 7, 0}).word, MG_STOP_ADOPT); /* 7 x .405 = 2.84 > 2.77 */
  assert_int_equal(mg_stop_look(&s, 64, &(mg_pairs){58, 0, 6, 0}).word, MG_GO_ON);
  assert_int_equal(mg_stop_look(&s, 64, &(mg_pairs){61, 3, 0, 0}).word, MG_STOP_REJECT); /* -3 x .693 < -1.56 */
  mg_pairs level = {600, 20, 35, 0};
  mg_stop_answer a = mg_stop_look(&s, 640, &level);
  assert_int_equal(a.word, MG_STOP_END); /* .33 */
  assert_interval(a.interval, mg_anytime(&level, .95).low, mg_anytime(&level, .95).high, 14);
}

static void equivalence_needs_both_sides(void **state) {
  (void)state;
  mg_stop_plan plan = plan_of(MG_STOP_FIXED, 1000);
  plan.high = .02;
  mg_stop s;
  assert_int_equal(mg_stop_init(&s, &plan, NULL), MG_OK);
  assert_int_equal(mg_stop_look(&s, 1000, &(mg_pairs){1000, 0, 0, 0}).word, MG_STOP_ADOPT);
  assert_int_equal(mg_stop_look(&s, 1000, &(mg_pairs){980, 0, 20, 0}).word, MG_STOP_END);
  assert_int_equal(mg_stop_look(&s, 1000, &(mg_pairs){900, 0, 100, 0}).word, MG_STOP_REJECT);
}

static void refuses_contradictions(void **state) {
  (void)state;
  mg_stop s;
  mg_error e = {0};
  mg_stop_plan p = plan_of(MG_STOP_FIXED, 0);
  assert_int_equal(mg_stop_init(&s, &p, &e), MG_ARG);
  p = plan_of(MG_STOP_ANYTIME, 10);
  p.alpha = 0;
  assert_int_equal(mg_stop_init(&s, &p, &e), MG_ARG);
  assert_non_null(strstr(e.text, "alpha"));
  p = plan_of(MG_STOP_GROUP, 4);
  assert_int_equal(mg_stop_init(&s, &p, &e), MG_ARG); /* 5 looks at 4 cases */
  assert_non_null(strstr(e.text, "5 looks"));
  p = plan_of(MG_STOP_GROUP, 5);
  assert_int_equal(mg_stop_init(&s, &p, NULL), MG_OK);
  p.looks = 1;
  assert_int_equal(mg_stop_init(&s, &p, NULL), MG_OK);
  assert_digits(s.z[0], 1.9599639845, 9);
  p.looks = 0;
  assert_int_equal(mg_stop_init(&s, &p, NULL), MG_ARG);
  p = plan_of(MG_STOP_SPRT, 10);
  p.theta1 = .4;
  assert_int_equal(mg_stop_init(&s, &p, &e), MG_ARG);
  p = plan_of(MG_STOP_FIXED, 10);
  p.high = -.02;
  assert_int_equal(mg_stop_init(&s, &p, &e), MG_ARG);
  assert_string_equal(mg_stop_name(MG_STOP_GROUP), "group");
  assert_string_equal(mg_stop_name((mg_stop_kind)9), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(looks_every_64_then_every_percent),      cmocka_unit_test(looks_of_fixed_and_group),  cmocka_unit_test(fixed_looks_once),
      cmocka_unit_test(anytime_stops_when_the_sequence_clears), cmocka_unit_test(group_uses_its_boundaries), cmocka_unit_test(sprt_decides_on_discordant_pairs),
      cmocka_unit_test(equivalence_needs_both_sides),           cmocka_unit_test(refuses_contradictions),
  };
  return run_all(tests);
}
