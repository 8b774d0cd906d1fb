#include "judge/stats/numeric.h"

#include <float.h>
#include <math.h>

void mg_gauss(double nodes[MG_GAUSS_POINTS], double weights[MG_GAUSS_POINTS]) {
  const int n = MG_GAUSS_POINTS;
  for (int i = 0; i < n / 2; i++) {
    double x = cos(M_PI * (i + .75) / (n + .5)), slope = 1;
    for (int step = 0; step < 8; step++) {
      double p = 1, before = 0;
      for (int j = 0; j < n; j++) {
        double next = ((2 * j + 1) * x * p - j * before) / (j + 1);
        before = p;
        p = next;
      }
      slope = n * (x * p - before) / (x * x - 1);
      x -= p / slope;
      if (fabs(p / slope) < 1e-16) break;
    }
    nodes[i] = -x;
    nodes[n - 1 - i] = x;
    weights[i] = weights[n - 1 - i] = 2 / ((1 - x * x) * slope * slope);
  }
}

double mg_integrate(mg_function f, const void *context, double from, double to, int panels) {
  double nodes[MG_GAUSS_POINTS], weights[MG_GAUSS_POINTS], half = (to - from) / panels / 2, sum = 0;
  if (!(to > from)) return 0;
  mg_gauss(nodes, weights);
  for (int panel = 0; panel < panels; panel++) {
    double centre = from + (2 * panel + 1) * half;
    for (int i = 0; i < MG_GAUSS_POINTS; i++) sum += weights[i] * f(centre + half * nodes[i], context);
  }
  return sum * half;
}

double mg_root(mg_function f, const void *context, double low, double high, double x_error) {
  double a = low, b = high, fa = f(a, context), fb = f(b, context), t = .5;
  if (fa == 0) return a;
  if (fb == 0) return b;
  if ((fa > 0) == (fb > 0)) return fabs(fa) < fabs(fb) ? a : b;
  double c = a, fc = fa;
  for (int i = 0; i < 200; i++) {
    double x = a + t * (b - a), fx = f(x, context);
    if ((fx > 0) == (fa > 0)) {
      c = a;
      fc = fa;
    } else {
      c = b;
      fc = fb;
      b = a;
      fb = fa;
    }
    a = x;
    fa = fx;
    double best = fabs(fa) < fabs(fb) ? a : b;
    double least = 2 * DBL_EPSILON * fabs(best) + x_error / 2, share = least / fabs(b - a);
    if (fa == 0 || share > .5 || b == a) return best;
    /* Inverse quadratic interpolation only where the three points lie well for it. */
    double xi = (a - b) / (c - b), phi = (fa - fb) / (fc - fb);
    if (phi * phi < xi && (1 - phi) * (1 - phi) < 1 - xi)
      t = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb);
    else
      t = .5;
    t = fmin(1 - share, fmax(share, t));
  }
  return fabs(fa) < fabs(fb) ? a : b;
}
