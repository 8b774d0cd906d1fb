#include "judge/metric.h"

#include "judge/stats/distributions.h"
#include "judge/stats/quantiles.h"
#include "judge/stats/ranks.h"
#include "judge/stats/unpaired.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *mg_view_kind_name(mg_view_kind k) {
  static const char *const names[] = {"mean", "quantile", "ratio"};
  return k >= 0 && (size_t)k < sizeof names / sizeof *names ? names[k] : "unknown";
}

static mg_side_summary summary_of(const mg_column *c, mg_role role) {
  const mg_sketch *s = &c->sketch[role];
  if (s->count == 0) return (mg_side_summary){NAN, NAN, NAN, NAN, NAN, NAN};
  const mg_sum *sum = role == MG_BASELINE ? &c->baseline : &c->candidate;
  return (mg_side_summary){(double)(mg_sum_value(sum) / (long double)s->count), mg_sketch_quantile(s, .5), mg_sketch_quantile(s, .95), mg_sketch_quantile(s, .99),
                           s->least, s->greatest};
}

static void judge_mean(const mg_column *c, bool has_baseline, double level, mg_view_result *out) {
  long double n = (long double)c->n, sum = mg_sum_value(has_baseline ? &c->difference : &c->candidate);
  out->method = "student";
  out->used = c->n;
  out->interval = (mg_interval){-INFINITY, INFINITY};
  out->estimate = c->n == 0 ? NAN : (double)(sum / n);
  if (c->n < 2) return;
  long double variance = (mg_sum_value(&c->squares) - sum * sum / n) / (n - 1);
  double reach = variance <= 0 ? 0 : mg_student_quantile((1 + level) / 2, (double)(n - 1)) * (double)sqrtl(variance / n);
  out->interval = (mg_interval){out->estimate - reach, out->estimate + reach};
}

static int by_at(const void *a, const void *b) {
  uint64_t x = ((const mg_kept_pair *)a)->at, y = ((const mg_kept_pair *)b)->at;
  return (x > y) - (x < y);
}

/* The kept pairs above 0, in the order of their hashes: the same in every run. */
static mg_err kept_values(const mg_column *c, double **baseline, double **candidate, size_t *n, mg_error *e) {
  mg_kept_pair *sorted = malloc((c->kept_count + 1) * sizeof *sorted);
  *baseline = malloc((c->kept_count + 1) * sizeof **baseline);
  *candidate = malloc((c->kept_count + 1) * sizeof **candidate);
  *n = 0;
  if (sorted == NULL || *baseline == NULL || *candidate == NULL) {
    free(sorted);
    return mg_fail(e, MG_NOMEM, "no memory for %zu pairs of a metric", c->kept_count);
  }
  for (size_t i = 0; i < c->kept_count; i++) sorted[i] = c->kept[i];
  qsort(sorted, c->kept_count, sizeof *sorted, by_at);
  for (size_t i = 0; i < c->kept_count; i++) {
    if (!(sorted[i].baseline > 0 && sorted[i].candidate > 0)) continue;
    (*baseline)[*n] = sorted[i].baseline;
    (*candidate)[(*n)++] = sorted[i].candidate;
  }
  free(sorted);
  return MG_OK;
}

static mg_err judge_ratio(const mg_view *v, const mg_column *c, double level, uint64_t seed, mg_view_result *out, mg_error *e) {
  double *baseline = NULL, *candidate = NULL;
  size_t n = 0;
  mg_err err = kept_values(c, &baseline, &candidate, &n, e);
  out->method = v->kind == MG_VIEW_QUANTILE ? "bootstrap" : "signed-rank";
  out->estimate = NAN;
  out->interval = (mg_interval){0, INFINITY};
  out->used = n;
  if (err == MG_OK && n >= 2 && v->kind == MG_VIEW_QUANTILE)
    err = mg_quantile_ratio(baseline, candidate, n, v->quantile, level, 0, seed, &out->estimate, &out->interval, e);
  mg_rank_test t;
  if (err == MG_OK && n >= 2 && v->kind == MG_VIEW_RATIO && (err = mg_signed_rank_ratio(baseline, candidate, n, level, &t, e)) == MG_OK) {
    out->estimate = t.estimate;
    out->interval = t.interval;
  }
  free(baseline);
  free(candidate);
  return err;
}

/* Where the candidate is at the limit of being `worse` by so much. */
static double bound_of(const mg_view *v, double worse) {
  double none = v->kind == MG_VIEW_MEAN ? 0 : 1;
  return v->higher ? none - worse : none + worse;
}

static mg_side side_of(const mg_view *v, mg_interval i, double bound) {
  if (v->higher) return i.low > bound ? MG_RIGHT : i.high < bound ? MG_WRONG : MG_ACROSS;
  return i.high < bound ? MG_RIGHT : i.low > bound ? MG_WRONG : MG_ACROSS;
}

mg_err mg_view_judge(const mg_view *v, const mg_column *c, bool has_baseline, double level, uint64_t seed, mg_view_result *out, mg_error *e) {
  mg_err err = MG_OK;
  *out = (mg_view_result){.n = c->n, .missing = c->missing, .holds = MG_ACROSS};
  out->side[MG_BASELINE] = summary_of(c, MG_BASELINE);
  out->side[MG_CANDIDATE] = summary_of(c, MG_CANDIDATE);
  if (v->kind == MG_VIEW_MEAN || !has_baseline)
    judge_mean(c, has_baseline, level, out);
  else
    err = judge_ratio(v, c, level, seed, out, e);
  if (err != MG_OK || !has_baseline) return err;
  if (!isnan(v->margin)) out->holds = side_of(v, out->interval, bound_of(v, v->margin));
  if (!isnan(v->limit)) out->alert = side_of(v, out->interval, bound_of(v, v->limit)) == MG_WRONG;
  return MG_OK;
}

/* --- words --- */

/* How many pairs would decide, were the spread as it is: the interval shrinks with the root of their number. 0: none would. */
static uint64_t deciding_pairs(const mg_view *v, const mg_view_result *r, double bound) {
  bool mean = v->kind == MG_VIEW_MEAN;
  double at = mean ? r->estimate : log(r->estimate), to = mean ? bound : log(bound), low = mean ? r->interval.low : log(r->interval.low),
         high = mean ? r->interval.high : log(r->interval.high);
  double reach = to < at ? at - low : high - at, away = fabs(at - to);
  if (!(away > 0) || !isfinite(reach) || !isfinite(away)) return 0;
  double n = ceil((double)r->used * (reach / away) * (reach / away));
  if (!(n < 1e12)) return 0;
  return n > (double)r->used ? (uint64_t)n : r->used + 1;
}

void mg_view_say(const mg_view *v, const mg_view_result *r, double level, bool endpoint, char *out, size_t size) {
  double bound = bound_of(v, endpoint ? v->margin : v->limit);
  char what[80], more[120] = "", gone[80] = "";
  if (v->kind == MG_VIEW_MEAN)
    (void)snprintf(what, sizeof what, "difference of the means");
  else if (v->kind == MG_VIEW_QUANTILE)
    (void)snprintf(what, sizeof what, "ratio of the %g %% quantiles", 100 * v->quantile);
  else
    (void)snprintf(what, sizeof what, "ratio");
  const char *sign = v->kind == MG_VIEW_MEAN ? "+" : "";
  if (endpoint && r->holds == MG_ACROSS) {
    uint64_t n = deciding_pairs(v, r, bound);
    if (n > MG_MEASURE_KEPT && v->kind != MG_VIEW_MEAN)
      (void)snprintf(more, sizeof more, "; at this spread it takes %" PRIu64 " pairs, and ratios stand on %d at the most", n, MG_MEASURE_KEPT);
    else if (n > 0)
      (void)snprintf(more, sizeof more, "; at this spread %" PRIu64 " pairs would decide", n);
    else
      (void)snprintf(more, sizeof more, "; at these values no number of pairs would decide");
  }
  if (r->missing > 0) (void)snprintf(gone, sizeof gone, " (%" PRIu64 "%s have no value on a side)", r->missing, r->n > 0 ? " more" : "");
  if (r->used == 0) {
    (void)snprintf(out, size, "%.64s: no pair has %s on both sides, so it cannot be judged%s; mguard check says what is wrong with it", v->name,
                   r->n > 0 ? "a value above 0, as a ratio needs," : "a value", gone);
    return;
  }
  const char *where = endpoint ? r->holds == MG_RIGHT ? "lies on the right side of" : r->holds == MG_WRONG ? "lies on the wrong side of" : "contains" : "lies wholly beyond";
  char low[32], high[32], at[32], estimate[32];
  (void)snprintf(estimate, sizeof estimate, sign[0] != '\0' ? "%+.4g" : "%.4g", r->estimate);
  (void)snprintf(low, sizeof low, sign[0] != '\0' ? "%+.4g" : "%.4g", r->interval.low);
  (void)snprintf(high, sizeof high, sign[0] != '\0' ? "%+.4g" : "%.4g", r->interval.high);
  (void)snprintf(at, sizeof at, sign[0] != '\0' ? "%+.6g" : "%.6g", bound);
  (void)snprintf(out, size, "%.64s: the %s, candidate to baseline, is %s over %" PRIu64 " pairs%s; its %.6g %% interval, %s to %s, %s the limit of %s%s", v->name, what,
                 estimate, r->used, gone, 100 * level, low, high, where, at, more);
}

/* --- groups --- */

double mg_group_rate(const mg_group *g) { return (double)(g->pairs.both + g->pairs.cand_only) / (double)mg_pairs_total(&g->pairs); }

static mg_two_rates rates_of(const mg_pairs *a, const mg_pairs *b) {
  return (mg_two_rates){a->both + a->cand_only, mg_pairs_total(a), b->both + b->cand_only, mg_pairs_total(b)};
}

void mg_fairness_judge(const mg_measures *m, double level, double limit, mg_fairness *out) {
  *out = (mg_fairness){.gap = NAN, .interval = {NAN, NAN}};
  int count = m != NULL ? m->group_count : 0;
  out->groups = count;
  if (count < 2 || m->ungrouped > 0) return;
  double one = 1 - (1 - level) / (count * (count - 1) / 2);
  out->gap = -1;
  out->interval = (mg_interval){0, 0};
  for (int i = 0; i < count; i++) {
    for (int k = i + 1; k < count; k++) {
      mg_two_rates r = rates_of(&m->groups[i].pairs, &m->groups[k].pairs);
      double gap = (double)r.passes1 / (double)r.n1 - (double)r.passes2 / (double)r.n2;
      mg_interval d = mg_newcombe_unpaired(&r, one);
      if (fabs(gap) > out->gap) {
        out->gap = fabs(gap);
        out->best = gap >= 0 ? i : k;
        out->worst = gap >= 0 ? k : i;
      }
      /* No gap is larger than the largest: each lower end bounds it from below, the farthest end from above. */
      out->interval.low = fmax(out->interval.low, gap >= 0 ? d.low : -d.high);
      out->interval.high = fmax(out->interval.high, fmax(fabs(d.low), fabs(d.high)));
    }
  }
  out->alert = !isnan(limit) && out->interval.low > limit;
}
