#include "judge/stats/ranks.h"

#include "judge/stats/distributions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_BELOW 50

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Doubles in their order as integers, so that halving ends at the exact value in 64 steps. */
static uint64_t ordinal_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double of_ordinal(uint64_t o) {
  uint64_t bits = o >> 63 ? o & ~(UINT64_C(1) << 63) : ~o;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* A set of values that is known by how many of them are <= v. */
typedef struct implied_set {
  const double *x, *y; /* sorted */
  size_t nx, ny;       /* ny = 0: averages (x_i + x_j)/2 with i <= j; else differences y_j - x_i */
} implied_set;

static double count_up_to(const implied_set *s, double v) {
  double count = 0;
  if (s->ny == 0) {
    size_t end = s->nx; /* x[i] + x[j] <= 2v for j < end */
    for (size_t i = 0; i < s->nx; i++) {
      while (end > i && (s->x[i] + s->x[end - 1]) / 2 > v) end--;
      if (end <= i) break;
      count += (double)(end - i);
    }
  } else {
    size_t end = 0;
    for (size_t i = 0; i < s->nx; i++) {
      while (end < s->ny && s->y[end] - s->x[i] <= v) end++;
      count += (double)end;
    }
  }
  return count;
}

/* The k-th smallest, k = 1 .. size. */
static double order_statistic(const implied_set *s, double k) {
  double least = s->ny ? s->y[0] - s->x[s->nx - 1] : s->x[0];
  double most = s->ny ? s->y[s->ny - 1] - s->x[0] : s->x[s->nx - 1];
  uint64_t low = ordinal_of(least), high = ordinal_of(most);
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (count_up_to(s, of_ordinal(middle)) >= k)
      high = middle;
    else
      low = middle + 1;
  }
  return of_ordinal(low);
}

static double set_size(const implied_set *s) {
  double n = (double)s->nx;
  return s->ny ? n * (double)s->ny : n * (n + 1) / 2;
}

static double set_median(const implied_set *s) {
  double size = set_size(s), low = floor((size + 1) / 2), high = ceil((size + 1) / 2);
  double first = order_statistic(s, low);
  return low == high ? first : (first + order_statistic(s, high)) / 2;
}

/* Ends: the k-th smallest and the k-th largest, k from the statistic's distribution. */
static mg_interval set_interval(const implied_set *s, double k) {
  k = fmax(1, fmin(k, floor((set_size(s) + 1) / 2)));
  return (mg_interval){order_statistic(s, k), order_statistic(s, set_size(s) + 1 - k)};
}

/* shares[v] = P(V = v) of the signed rank statistic for n < EXACT_BELOW, v = 0 .. n(n+1)/2. */
static void signed_rank_shares(int n, double *shares) {
  int top = n * (n + 1) / 2;
  for (int v = 1; v <= top; v++) shares[v] = 0;
  shares[0] = 1;
  for (int rank = 1; rank <= n; rank++)
    for (int v = rank * (rank + 1) / 2; v >= 0; v--) shares[v] = (shares[v] + (v >= rank ? shares[v - rank] : 0)) / 2;
}

/* P(W = w) of Mann-Whitney for m, n < EXACT_BELOW, w = 0 .. mn, into shares. Peels off the largest value: with chance
 * m/(m+n) it is one of the m and lies above all n. scratch holds (m + 1)(mn + 1). */
static void mann_whitney_shares(int m, int n, double *scratch) {
  int width = m * n + 1;
  for (int i = 0; i < (m + 1) * width; i++) scratch[i] = 0;
  for (int i = 0; i <= m; i++) scratch[i * width] = 1;
  for (int j = 1; j <= n; j++)
    for (int i = 1; i <= m; i++) {
      double *here = scratch + i * width, *fewer = scratch + (i - 1) * width;
      for (int w = i * j; w >= 0; w--) here[w] = (i * (w >= j ? fewer[w - j] : 0) + j * (w <= i * (j - 1) ? here[w] : 0)) / (i + j);
    }
}

/* Two-sided p of a symmetric discrete statistic, and the k of its interval: the smallest quantile of alpha/2, at least 1. */
static double shares_p(const double *shares, int top, int v) {
  double below = 0, above = 0;
  for (int i = 0; i <= top; i++) {
    if (i <= v) below += shares[i];
    if (i >= v) above += shares[i];
  }
  return fmin(1, 2 * fmin(below, above));
}

static double shares_rank(const double *shares, int top, double tail) {
  double sum = 0;
  for (int i = 0; i <= top; i++)
    if ((sum += shares[i]) >= tail * (1 - 1e-12)) return fmax(1, i);
  return top;
}

/* With the statistic's mean and standard deviation, and 1/2 for continuity towards the mean. */
static double normal_p(double statistic, double mean, double sd) {
  double miss = statistic - mean;
  if (sd == 0) return 1;
  miss = miss > 0 ? fmax(0, miss - .5) : fmin(0, miss + .5);
  return fmin(1, 2 * mg_normal_sf(fabs(miss) / sd));
}

static int by_size(const void *a, const void *b) {
  double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
  return (x > y) - (x < y);
}

mg_err mg_signed_rank_ratio(const double *baseline, const double *candidate, size_t n, double level, mg_rank_test *out, mg_error *e) {
  *out = (mg_rank_test){0, 1, NAN, {0, INFINITY}, true};
  double z = mg_normal_z(level), shares[EXACT_BELOW * (EXACT_BELOW + 1) / 2 + 1];
  if (isnan(z)) return mg_fail(e, MG_ARG, "the level is %g, it must be between 0 and 1", level);
  if (n == 0) return MG_OK;
  double *d = malloc(n * sizeof *d);
  if (!d) return mg_fail(e, MG_NOMEM, "no memory to rank %zu pairs", n);
  for (size_t i = 0; i < n; i++) {
    d[i] = log(candidate[i] / baseline[i]);
    if (baseline[i] > 0 && candidate[i] > 0 && isfinite(d[i])) continue;
    free(d);
    return mg_fail(e, MG_ARG, "pair %zu has the times %g and %g, both must be above 0", i + 1, baseline[i], candidate[i]);
  }
  qsort(d, n, sizeof *d, by_size);
  size_t zeros = 0, used;
  double tie_sum = 0, v = 0;
  while (zeros < n && d[zeros] == 0) zeros++;
  used = n - zeros;
  for (size_t i = zeros, next; i < n; i = next) {
    for (next = i + 1; next < n && fabs(d[next]) == fabs(d[i]);) next++;
    double ties = (double)(next - i), rank = (double)(i - zeros) + (ties + 1) / 2;
    for (size_t j = i; j < next; j++)
      if (d[j] > 0) v += rank;
    tie_sum += ties * ties * ties - ties;
  }
  double m = (double)used, k, all = (double)n;
  out->statistic = v;
  out->exact = n < EXACT_BELOW && zeros == 0 && tie_sum == 0;
  if (out->exact) {
    signed_rank_shares((int)n, shares);
    out->p = shares_p(shares, (int)(n * (n + 1) / 2), (int)v);
    k = shares_rank(shares, (int)(n * (n + 1) / 2), (1 - level) / 2);
  } else {
    out->p = normal_p(v, m * (m + 1) / 4, sqrt(fmax(0, m * (m + 1) * (2 * m + 1) / 24 - tie_sum / 48)));
    k = floor(all * (all + 1) / 4 - z * sqrt(all * (all + 1) * (2 * all + 1) / 24));
  }
  qsort(d, n, sizeof *d, by_value);
  implied_set averages = {d, NULL, n, 0};
  mg_interval logs = set_interval(&averages, k);
  out->estimate = exp(set_median(&averages));
  out->interval = (mg_interval){exp(logs.low), exp(logs.high)};
  free(d);
  return MG_OK;
}

/* Pairs in which the second is larger, halves for ties; *tie_sum gets sum of t^3 - t over groups of equal values. */
static double larger_pairs(const double *x, size_t nx, const double *y, size_t ny, double *tie_sum) {
  size_t i = 0, j = 0;
  double w = 0;
  *tie_sum = 0;
  while (i < nx || j < ny) {
    double v = j >= ny || (i < nx && x[i] < y[j]) ? x[i] : y[j];
    size_t tied_x = 0, tied_y = 0;
    while (i + tied_x < nx && x[i + tied_x] == v) tied_x++;
    while (j + tied_y < ny && y[j + tied_y] == v) tied_y++;
    double t = (double)(tied_x + tied_y);
    w += (double)tied_y * ((double)i + (double)tied_x / 2);
    *tie_sum += t * t * t - t;
    i += tied_x;
    j += tied_y;
  }
  return w;
}

mg_err mg_mann_whitney(const double *first, size_t n1, const double *second, size_t n2, double level, mg_rank_test *out, mg_error *e) {
  *out = (mg_rank_test){0, 1, NAN, {-INFINITY, INFINITY}, true};
  double z = mg_normal_z(level), *x = NULL, *shares = NULL, tie_sum, k;
  if (isnan(z)) return mg_fail(e, MG_ARG, "the level is %g, it must be between 0 and 1", level);
  if (n1 == 0 || n2 == 0) return MG_OK;
  bool small = n1 < EXACT_BELOW && n2 < EXACT_BELOW;
  x = malloc((n1 + n2) * sizeof *x);
  if (small) shares = malloc((n1 + 1) * (n1 * n2 + 1) * sizeof *shares);
  mg_err err = MG_OK;
  if (!x || (small && !shares)) {
    err = mg_fail(e, MG_NOMEM, "no memory to rank %zu and %zu values", n1, n2);
    goto out;
  }
  double *y = x + n1;
  memcpy(x, first, n1 * sizeof *x);
  memcpy(y, second, n2 * sizeof *y);
  for (size_t i = 0; i < n1 + n2; i++)
    if (!isfinite(x[i])) {
      err = mg_fail(e, MG_ARG, "value %zu of the %s sample is %g", i < n1 ? i + 1 : i - n1 + 1, i < n1 ? "first" : "second", x[i]);
      goto out;
    }
  qsort(x, n1, sizeof *x, by_value);
  qsort(y, n2, sizeof *y, by_value);
  double m = (double)n1, n = (double)n2, N = m + n, mean = m * n / 2;
  out->statistic = larger_pairs(x, n1, y, n2, &tie_sum);
  out->exact = small && tie_sum == 0;
  if (out->exact) {
    mann_whitney_shares((int)n1, (int)n2, shares);
    const double *row = shares + n1 * (n1 * n2 + 1);
    out->p = shares_p(row, (int)(n1 * n2), (int)out->statistic);
    k = shares_rank(row, (int)(n1 * n2), (1 - level) / 2);
  } else {
    double variance = m * n / 12 * (N + 1 - tie_sum / (N * fmax(1, N - 1)));
    out->p = normal_p(out->statistic, mean, sqrt(fmax(0, variance)));
    k = floor(mean - z * sqrt(m * n * (N + 1) / 12));
  }
  implied_set differences = {x, y, n1, n2};
  out->interval = set_interval(&differences, k);
  out->estimate = set_median(&differences);
out:
  free(shares);
  free(x);
  return err;
}
