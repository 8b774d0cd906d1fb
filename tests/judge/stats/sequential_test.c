#include "judge/stats/sequential.h"
#include "judge/stats/anytime.h"
#include "judge/stats/distributions.h"
#include "base/philox.h"
#include "tests/judge/near.h"

static void constants(void **state) {
  (void)state;
  static const struct {
    int looks;
    double pocock, obf;
  } rows[] = {{2, 2.17827209, 1.97743096}, {3, 2.28947806, 2.00403558}, {5, 2.41317622, 2.04007317}};
  for (size_t i = 0; i < LENGTH(rows); i++) {
    assert_digits(mg_pocock_constant(rows[i].looks, .05), rows[i].pocock, 8);
    assert_digits(mg_obrien_fleming_constant(rows[i].looks, .05), rows[i].obf, 8);
  }
  assert_digits(mg_pocock_constant(1, .05), 1.9599639845, 9);
  assert_nan(mg_pocock_constant(0, .05));
  assert_nan(mg_obrien_fleming_constant(MG_MAX_LOOKS + 1, .05));
}

static void spending(void **state) {
  (void)state;
  static const double obf[] = {4.876885, 3.357012, 2.680280, 2.289817, 2.031032};
  static const double pocock[] = {2.437977, 2.426814, 2.410194, 2.396645, 2.385985};
  double t[] = {.2, .4, .6, .8, 1}, z[5];
  assert_int_equal(mg_group_boundaries(MG_SPEND_OBF, .025, t, 5, z, NULL), MG_OK);
  for (int k = 0; k < 5; k++) assert_digits(z[k], obf[k], 6);
  assert_digits(mg_group_error(t, z, 5), .05, 9);
  assert_int_equal(mg_group_boundaries(MG_SPEND_POCOCK, .025, t, 5, z, NULL), MG_OK);
  for (int k = 0; k < 5; k++) assert_digits(z[k], pocock[k], 6);
  assert_digits(mg_spent(MG_SPEND_POCOCK, .025, .5), .025 * log(1 + (M_E - 1) / 2), 14);
  assert_digits(mg_spent(MG_SPEND_OBF, .025, .25), 2 - 2 * mg_normal_cdf(2.241402727604947 / .5), 12);
  assert_true(mg_spent(MG_SPEND_OBF, .025, 0) == 0 && mg_spent(MG_SPEND_OBF, .025, 2) == .025);
}

static void many_and_uneven_looks(void **state) {
  (void)state;
  double t[MG_MAX_LOOKS], z[MG_MAX_LOOKS], uneven[] = {.1, .101, .5, .999, 1};
  for (int k = 0; k < MG_MAX_LOOKS; k++) t[k] = (k + 1.) / MG_MAX_LOOKS;
  for (int how = MG_SPEND_OBF; how <= MG_SPEND_POCOCK; how++) {
    assert_int_equal(mg_group_boundaries((mg_spending)how, .025, t, MG_MAX_LOOKS, z, NULL), MG_OK);
    assert_digits(mg_group_error(t, z, MG_MAX_LOOKS), .05, 8);
    assert_int_equal(mg_group_boundaries((mg_spending)how, .025, uneven, 5, z, NULL), MG_OK);
    assert_digits(mg_group_error(uneven, z, 5), .05, 8);
  }
  /* So early that O'Brien and Fleming would spend less than 1e-15: no stopping there. */
  mg_group_boundaries(MG_SPEND_OBF, .025, t, MG_MAX_LOOKS, z, NULL);
  assert_true(z[0] == INFINITY && isfinite(z[MG_MAX_LOOKS / 5]));
}

/* The recursion against a plain simulation of the walk. */
static void error_agrees_with_simulation(void **state) {
  (void)state;
  double t[] = {.15, .5, .6, 1}, z[] = {2.3, 2.1, 2.4, 2.05};
  mg_philox random;
  mg_philox_init(&random, 20250101, 0, 0);
  int hits = 0, runs = 200000;
  print_message("seed 20250101\n");
  for (int r = 0; r < runs; r++) {
    double s = 0, before = 0;
    for (int k = 0; k < 4; k++) {
      s += mg_normal_quantile(mg_philox_double(&random) + 0x1p-54) * sqrt(t[k] - before);
      before = t[k];
      if (fabs(s) <= z[k] * sqrt(t[k])) continue;
      hits++;
      break;
    }
  }
  double p = mg_group_error(t, z, 4);
  near_check((double)hits / runs, p, 4 * sqrt(p / runs), "share that crossed", __FILE__, __LINE__);
}

static void refuses(void **state) {
  (void)state;
  double falling[] = {.5, .4, 1}, close[] = {.5, .5001}, beyond[] = {.5, 1.1}, z[3];
  mg_error e = {0};
  assert_int_equal(mg_group_boundaries(MG_SPEND_OBF, .025, falling, 3, z, &e), MG_ARG);
  assert_non_null(strstr(e.text, "3 looks"));
  assert_int_equal(mg_group_boundaries(MG_SPEND_OBF, .025, close, 2, z, NULL), MG_ARG);
  assert_int_equal(mg_group_boundaries(MG_SPEND_OBF, .025, beyond, 2, z, NULL), MG_ARG);
  assert_int_equal(mg_group_boundaries(MG_SPEND_OBF, .6, beyond, 1, z, NULL), MG_ARG);
  assert_int_equal(mg_group_boundaries(MG_SPEND_OBF, .025, beyond, 0, z, NULL), MG_ARG);
  assert_int_equal(mg_group_boundaries(MG_SPEND_OBF, .025, beyond, MG_MAX_LOOKS + 1, z, NULL), MG_ARG);
  assert_nan(mg_group_error(falling, z, 3));
}

static void sprt(void **state) {
  (void)state;
  mg_sprt s;
  assert_int_equal(mg_sprt_init(&s, .5, .75, .05, .2, NULL), MG_OK);
  assert_digits(s.accept, 2.7725887222, 10);
  assert_digits(s.refuse, -1.5581446180, 10);
  assert_digits(mg_sprt_ratio(&s, 0, 1), .4054651081, 10);
  assert_digits(mg_sprt_ratio(&s, 1, 0), -.6931471806, 10);
  assert_digits(mg_sprt_ratio(&s, 3, 7), 7 * .4054651081 - 3 * .6931471806, 8);
  mg_error e = {0};
  assert_int_equal(mg_sprt_init(&s, .75, .5, .05, .2, &e), MG_ARG);
  assert_non_null(strstr(e.text, "theta0"));
  assert_int_equal(mg_sprt_init(&s, .5, .75, .5, .5, NULL), MG_ARG);
}

static void betting_sequence(void **state) {
  (void)state;
  mg_pairs p = {36, 2, 12, 0}, clean = {300, 0, 0, 100}, eight = {392, 0, 8, 0};
  assert_digits(mg_anytime_log_e(&p, 0), 2.5079556315, 10);
  assert_digits(mg_anytime_log_e(&p, -.02), 3.0658897458, 10);
  assert_digits(mg_anytime_log_e(&clean, -.02), 5.5133243231, 10);
  assert_interval(mg_anytime(&p, .95), -.0402660373, .4367551002, 10);
  assert_interval(mg_anytime(&clean, .95), -.0149259507, .0149259507, 10);
  assert_interval(mg_anytime(&eight, .95), -.0006975350, .0517820110, 10);
  assert_true(mg_anytime_log_e(&(mg_pairs){297, 0, 0, 0}, -.02) < log(40));
  assert_true(mg_anytime_log_e(&(mg_pairs){298, 0, 0, 0}, -.02) >= log(40));
}

/* The stake as it is defined: one pair after the other, in any order. */
static void stake_by_stake(void **state) {
  (void)state;
  static const int order[] = {0, 1, 1, -1, 0, 1, 0, 0, -1, 1, 1, 0};
  double D = -.1, sum = 0;
  for (int j = 0; j < 10; j++) {
    double stake = 1;
    for (size_t i = 0; i < LENGTH(order); i++) stake *= 1 + .95 * pow(2, -j / 2.) / (1 + D) * (order[i] - D);
    sum += stake / 10;
  }
  assert_digits(mg_anytime_log_e(&(mg_pairs){5, 2, 5, 0}, D), log(sum), 12);
}

static void sequence_edges(void **state) {
  (void)state;
  assert_interval(mg_anytime(&(mg_pairs){0, 0, 0, 0}, .95), -1, 1, 15);
  mg_interval up = mg_anytime(&(mg_pairs){0, 0, 10, 0}, .95), down = mg_anytime(&(mg_pairs){0, 10, 0, 0}, .95);
  assert_true(up.high == 1 && down.low == -1 && up.low > .05);
  assert_digits(up.low, -down.high, 14);
  mg_pairs big = {900000000, 50000000, 1000, 0};
  mg_interval i = mg_anytime(&big, .95), tango = mg_tango(&big, .95);
  assert_true(i.low < tango.low && i.high > tango.high && i.high - i.low < .01);
  assert_true(mg_anytime_log_e(&big, -1) == INFINITY && mg_anytime_log_e(&big, 1) == -INFINITY);
  assert_nan(mg_anytime(&big, 1).low);
  /* It falls as D rises, or halving would find nothing. */
  double before = INFINITY;
  for (double D = -.99; D < 1; D += .01) {
    double now = mg_anytime_log_e(&(mg_pairs){36, 2, 12, 0}, D);
    assert_true(now <= before);
    before = now;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(constants),      cmocka_unit_test(spending), cmocka_unit_test(many_and_uneven_looks), cmocka_unit_test(error_agrees_with_simulation),
      cmocka_unit_test(refuses),        cmocka_unit_test(sprt),     cmocka_unit_test(betting_sequence),      cmocka_unit_test(stake_by_stake),
      cmocka_unit_test(sequence_edges),
  };
  return run_all(tests);
}
