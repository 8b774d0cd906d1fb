/* near.h - comparing numbers "to the digits shown", for tests of the statistics. Header only. */
#ifndef MG_TESTS_JUDGE_NEAR_H
#define MG_TESTS_JUDGE_NEAR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static inline void near_check(double actual, double expected, double tolerance, const char *what, const char *file, int line) {
  if (isinf(expected) ? actual == expected : fabs(actual - expected) <= tolerance) return;
  print_error("%s is %.15g, expected %.15g (within %g)\n", what, actual, expected, tolerance);
  _fail(file, line);
}

/* expected was printed with so many decimals: one unit of the last is allowed, as some sources cut. */
#define assert_digits(actual, expected, decimals) near_check(actual, expected, pow(10, -(decimals)), #actual, __FILE__, __LINE__)
#define assert_relative(actual, expected, tolerance) near_check(actual, expected, (tolerance)*fabs(expected), #actual, __FILE__, __LINE__)
#define assert_interval(interval, low_end, high_end, decimals)                                                                                                 \
  do {                                                                                                                                                         \
    mg_interval near_interval = interval;                                                                                                                      \
    near_check(near_interval.low, low_end, pow(10, -(decimals)), "low end of " #interval, __FILE__, __LINE__);                                                 \
    near_check(near_interval.high, high_end, pow(10, -(decimals)), "high end of " #interval, __FILE__, __LINE__);                                              \
  } while (0)
#define assert_nan(actual) near_check(isnan(actual), 1, 0, "isnan(" #actual ")", __FILE__, __LINE__)

/* A run that hangs ends by SIGALRM. */
#define run_all(tests) (alarm(120), cmocka_run_group_tests(tests, NULL, NULL))

#endif
