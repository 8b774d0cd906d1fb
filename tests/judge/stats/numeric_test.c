#include "judge/stats/numeric.h"
#include "tests/judge/near.h"

typedef struct probe {
  double power;
  int *calls;
} probe;

static double power_of(double x, const void *context) {
  const probe *p = context;
  if (p->calls) ++*p->calls;
  return pow(x, p->power);
}

/* 20 points are exact for polynomials up to degree 39. */
static void quadrature(void **state) {
  (void)state;
  for (int degree = 0; degree < 40; degree++) {
    probe p = {degree, NULL};
    assert_relative(mg_integrate(power_of, &p, 0, 2, 1), pow(2, degree + 1) / (degree + 1), 1e-12);
    assert_relative(mg_integrate(power_of, &p, 0, 2, 3), pow(2, degree + 1) / (degree + 1), 1e-12);
  }
  probe p = {1, NULL};
  assert_true(mg_integrate(power_of, &p, 2, 2, 4) == 0 && mg_integrate(power_of, &p, 3, 2, 4) == 0);
  double nodes[MG_GAUSS_POINTS], weights[MG_GAUSS_POINTS], sum = 0;
  mg_gauss(nodes, weights);
  for (int i = 0; i < MG_GAUSS_POINTS; i++) {
    sum += weights[i];
    assert_true(nodes[i] == -nodes[MG_GAUSS_POINTS - 1 - i] && (i == 0 || nodes[i] > nodes[i - 1]));
  }
  assert_digits(sum, 2, 13);
}

static double hill(double x, const void *context) {
  const probe *p = context;
  ++*p->calls;
  return exp(p->power * x) - 2;
}

static void roots(void **state) {
  (void)state;
  static const double steepness[] = {.1, 1, -3, 40};
  for (size_t i = 0; i < LENGTH(steepness); i++) {
    int calls = 0;
    probe p = {steepness[i], &calls};
    assert_relative(mg_root(hill, &p, -10, 10, 0), log(2) / steepness[i], 1e-14);
    assert_true(calls < 60); /* halving alone would take as many */
  }
  int calls = 0;
  probe p = {1, &calls};
  assert_digits(mg_root(hill, &p, 0, 1, 1e-6), log(2), 6);
  assert_true(calls <= 9);
  assert_true(mg_root(power_of, &(probe){3, NULL}, 0, 1, 0) == 0 && mg_root(power_of, &(probe){3, NULL}, -1, 0, 0) == 0);
  assert_true(mg_root(hill, &p, 1, 2, 0) == 1 && mg_root(hill, &p, -2, -1, 0) == -1); /* no change of sign */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(quadrature), cmocka_unit_test(roots)};
  return run_all(tests);
}
