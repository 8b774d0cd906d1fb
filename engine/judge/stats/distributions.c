/* distributions.c - see distributions.h for where the formulas come from. */
#include "judge/stats/distributions.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#define LN_SQRT_2PI 0.918938533204672741780329736405617640

double mg_normal_pdf(double x) { return exp(-.5 * x * x - LN_SQRT_2PI); }

double mg_normal_cdf(double x) { return .5 * erfc(-x * M_SQRT1_2); }

double mg_normal_sf(double x) { return .5 * erfc(x * M_SQRT1_2); }

/* Upper quantile for a tail q in (0, .5]. Newton on the logarithm of the tail keeps its footing down to DBL_MIN. */
static double normal_upper(double q) {
  double t = sqrt(-2 * log(q));
  double x = t - (2.515517 + t * (.802853 + t * .010328)) / (1 + t * (1.432788 + t * (.189269 + t * .001308)));
  for (int i = 0; i < 4; i++) {
    double step = (mg_normal_sf(x) - q) / mg_normal_pdf(x);
    x += step / (1 - .5 * x * step);
    if (fabs(step) < 1e-15 * (1 + x)) break;
  }
  return x;
}

double mg_normal_quantile(double p) {
  if (!(p >= 0 && p <= 1)) return NAN;
  if (p == 0) return -INFINITY;
  if (p == 1) return INFINITY;
  if (p == .5) return 0;
  return p < .5 ? -normal_upper(p) : normal_upper(1 - p);
}

double mg_normal_z(double level) { return level > 0 && level < 1 ? -mg_normal_quantile((1 - level) / 2) : NAN; }

/* ln(gamma(x + 1)) - Stirling's formula for it, x > 0. */
static double stirling_error(double x) {
  if (x < 16) {
    int sign;
    return lgamma_r(x + 1, &sign) - (x + .5) * log(x) + x - LN_SQRT_2PI;
  }
  double s = 1 / (x * x);
  return (1. / 12 - s * (1. / 360 - s * (1. / 1260 - s * (1. / 1680 - s * (1. / 1188 - s * 691. / 360360))))) / x;
}

/* x ln(x/m) + m - x, which is tiny against its terms where x is near m. */
static double deviance(double x, double m) {
  if (x == 0) return m;
  if (fabs(x - m) < .2 * (x + m)) {
    double v = (x - m) / (x + m), sum = (x - m) * v, power = 2 * x * v;
    for (int j = 3; j < 60; j += 2) {
      power *= v * v;
      double next = sum + power / j;
      if (next == sum) break;
      sum = next;
    }
    return sum;
  }
  return x * log(x / m) + m - x;
}

/* gamma(n+1)/(gamma(a+1) gamma(b+1)) x^a y^b with n = a + b, x + y = 1: the binomial mass, for real a and b too. */
static double binomial_mass(double a, double b, double x, double y) {
  double n = a + b;
  if (a == 0) return b == 0 ? 1 : exp(y > .5 ? b * log1p(-x) : b * log(y));
  if (b == 0) return exp(x > .5 ? a * log1p(-y) : a * log(x));
  if (x <= 0 || y <= 0) return 0;
  double e = stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) - deviance(b, n * y);
  return exp(e - LN_SQRT_2PI) * sqrt(n / a / b);
}

/* x^a y^b / B(a, b). */
static double beta_weight(double a, double b, double x, double y) { return binomial_mass(a, b, x, y) * (a / (a + b)) * b; }

/* The continued fraction 1/(1 + d1/(1 + d2/(1 + ...))) of DLMF 8.17.22, two of its steps at a time. Contracted so, and
 * written with lambda = a - (a+b)x, no step subtracts nearly equal numbers left of the mean, where it is used. */
static double beta_fraction(double a, double b, double x, double y) {
  const double tiny = 1e-300;
  int limit = (int)fmin(4e6, 2000 + 20 * sqrt(a + b));
  double lambda = y < .5 ? (a + b) * y - b : a - (a + b) * x;
  double f = (lambda + 1) / (a + 1), c = f = fabs(f) < tiny ? tiny : f, d = 0;
  for (int m = 1; m <= limit; m++) {
    double edge = a + 2 * m, cross = m * (b - m) * x / (edge - 1);
    double numerator = (a + m - 1) / (edge - 2) * ((a + b + m - 1) / (edge - 1)) * x * (cross / edge);
    double term = ((a + m) / (edge + 1) * (lambda + 1 + m * (1 + y)) + m + cross) / edge;
    d = term + numerator * d;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    c = term + numerator / c;
    c = fabs(c) < tiny ? tiny : c;
    f *= c * d;
    if (fabs(c * d - 1) < 4 * DBL_EPSILON) break;
  }
  return 1 / f;
}

/* Both tails at once, x + y = 1 given apart so that neither loses digits. */
static void beta_tails(double a, double b, double x, double y, double *lower, double *upper) {
  if (x <= 0 || y <= 0) {
    *lower = x <= 0 ? 0 : 1;
    *upper = 1 - *lower;
    return;
  }
  double weight = beta_weight(a, b, x, y);
  if (x * (a + b + 2) < a + 1) {
    *lower = fmin(1, weight * beta_fraction(a, b, x, y) / a);
    *upper = 1 - *lower;
  } else {
    *upper = fmin(1, weight * beta_fraction(b, a, y, x) / b);
    *lower = 1 - *upper;
  }
}

static bool beta_arguments(double a, double b, double x) { return a > 0 && b > 0 && isfinite(a + b) && !isnan(x); }

double mg_beta_pdf(double a, double b, double x) {
  if (!beta_arguments(a, b, x)) return NAN;
  if (x < 0 || x > 1) return 0;
  if (x == 0) return a < 1 ? INFINITY : a == 1 ? b : 0;
  if (x == 1) return b < 1 ? INFINITY : b == 1 ? a : 0;
  return beta_weight(a, b, x, 1 - x) / x / (1 - x);
}

double mg_beta_cdf(double a, double b, double x) {
  if (!beta_arguments(a, b, x)) return NAN;
  double lower, upper;
  beta_tails(a, b, x, 1 - x, &lower, &upper);
  return lower;
}

double mg_beta_sf(double a, double b, double x) {
  if (!beta_arguments(a, b, x)) return NAN;
  double lower, upper;
  beta_tails(a, b, x, 1 - x, &lower, &upper);
  return upper;
}

double mg_beta_quantile(double a, double b, double p) {
  if (!beta_arguments(a, b, p) || p < 0 || p > 1) return NAN;
  if (p == 0 || p == 1) return p;
  /* In u = logit x both tails are log-concave, so Newton on the log of one tail cannot cycle; the bracket catches the
   * first step, which may be wild where the start lies in the flat part. */
  bool low_tail = p <= .5;
  double target = log(low_tail ? p : 1 - p);
  double u = log(a / b) + mg_normal_quantile(p) * sqrt(1 / a + 1 / b), left = -745, right = 745;
  u = fmax(-700, fmin(700, u));
  for (int i = 0; i < 200; i++) {
    double x = 1 / (1 + exp(-u)), y = 1 / (1 + exp(u)), lower, upper;
    beta_tails(a, b, x, y, &lower, &upper);
    double tail = low_tail ? lower : upper, miss = tail > 0 ? log(tail) - target : -INFINITY;
    if (miss == 0) break;
    if ((miss > 0) == low_tail)
      right = u;
    else
      left = u;
    double slope = beta_weight(a, b, x, y) / tail;
    double next = isfinite(miss) && slope > 0 ? u - (low_tail ? miss : -miss) / slope : NAN;
    if (!(next > left && next < right)) next = left + (right - left) / 2;
    if (fabs(next - u) < 1e-15 * (1 + fabs(u)) || fabs(miss) < 1e-15) break;
    u = next;
  }
  return u < 0 ? exp(u) / (1 + exp(u)) : 1 / (1 + exp(-u));
}

static bool binomial_arguments(double n, double p) { return n >= 0 && isfinite(n) && p >= 0 && p <= 1; }

double mg_binomial_pmf(double k, double n, double p) {
  if (!binomial_arguments(n, p) || isnan(k)) return NAN;
  if (k < 0 || k > n || k != floor(k)) return 0;
  return binomial_mass(k, n - k, p, 1 - p);
}

double mg_binomial_cdf(double k, double n, double p) {
  if (!binomial_arguments(n, p) || isnan(k)) return NAN;
  k = floor(k);
  if (k < 0) return 0;
  return k >= n ? 1 : mg_beta_sf(k + 1, n - k, p);
}

double mg_binomial_sf(double k, double n, double p) {
  if (!binomial_arguments(n, p) || isnan(k)) return NAN;
  k = floor(k);
  if (k < 0) return 1;
  return k >= n ? 0 : mg_beta_cdf(k + 1, n - k, p);
}

double mg_student_sf(double t, double df) {
  if (!(df > 0) || isnan(t)) return NAN;
  if (isinf(t)) return t > 0 ? 0 : 1;
  if (isinf(df)) return mg_normal_sf(t);
  double square = t * t, lower, upper;
  beta_tails(df / 2, .5, df / (df + square), square / (df + square), &lower, &upper);
  return t >= 0 ? lower / 2 : 1 - lower / 2;
}

double mg_student_cdf(double t, double df) { return mg_student_sf(-t, df); }

double mg_student_quantile(double p, double df) {
  if (!(df > 0) || !(p >= 0 && p <= 1)) return NAN;
  if (p == 0) return -INFINITY;
  if (p == 1) return INFINITY;
  if (isinf(df)) return mg_normal_quantile(p);
  double tail = p < .5 ? p : 1 - p, t;
  /* Whichever of x = v/(v+t^2) and 1-x is the small one is the one solved for. */
  if (tail < .25) {
    double x = mg_beta_quantile(df / 2, .5, 2 * tail);
    t = sqrt(df * (1 - x) / x);
  } else {
    double y = mg_beta_quantile(.5, df / 2, 1 - 2 * tail);
    t = sqrt(df * y / (1 - y));
  }
  return p < .5 ? -t : t;
}
