#include "judge/goal.h"

#include "judge/stats/anytime.h"
#include "judge/stats/relative.h"
#include "judge/stats/sampling.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER_DECIDES UINT64_C(0)
#define MOST_PAIRS UINT64_C(1000000000000)

const char *mg_goal_name(mg_goal_kind k) {
  switch (k) {
  case MG_NONINFERIORITY: return "noninferiority";
  case MG_SUPERIORITY: return "superiority";
  case MG_EQUIVALENCE: return "equivalence";
  case MG_ABSOLUTE: return "absolute";
  }
  return "unknown";
}

const char *mg_verdict_name(mg_verdict v) {
  switch (v) {
  case MG_ADOPT: return "adopt";
  case MG_REJECT: return "reject";
  case MG_INCONCLUSIVE: return "inconclusive";
  case MG_INVALID: return "invalid";
  }
  return "unknown";
}

const char *mg_difference_name(mg_difference_kind k) {
  static const char *const names[MG_DIFFERENCE_KINDS] = {"tango", "newcombe-paired", "bootstrap", "bootstrap-bca", "bayes", "robust", "cluster-bootstrap"};
  return k >= 0 && k < MG_DIFFERENCE_KINDS ? names[k] : "unknown";
}

const char *mg_rate_name(mg_rate_kind k) { return k == MG_BY_CLOPPER_PEARSON ? "clopper-pearson" : "wilson"; }

/* --- words --- */

typedef struct mg_words {
  char text[40];
} mg_words;

static mg_words count_words(uint64_t n) {
  char digits[24];
  int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
  mg_words w;
  size_t at = 0;
  for (int i = 0; i < len; i++) {
    if (i > 0 && (len - i) % 3 == 0) w.text[at++] = ',';
    w.text[at++] = digits[i];
  }
  w.text[at] = '\0';
  return w;
}

static mg_words percent_words(double share, int decimals, bool sign) {
  mg_words w;
  double v = 100 * share;
  if (fabs(v) < 0.5 * pow(10, -decimals)) v = 0; /* no "-0.0" */
  (void)snprintf(w.text, sizeof w.text, sign && v != 0 ? "%+.*f %%" : "%.*f %%", decimals, v);
  return w;
}

/* A margin or a level, as short as it can be said. */
static mg_words short_percent(double share, bool sign) {
  mg_words w;
  (void)snprintf(w.text, sizeof w.text, sign && share != 0 ? "%+.6g %%" : "%.6g %%", 100 * share);
  return w;
}

static int decimals_for(uint64_t n) { return n <= 20000 ? 1 : n <= 1000000 ? 2 : 3; }

static bool hides(double value, double bound, int decimals) { return value != bound && fabs(100 * (value - bound)) < 0.5 * pow(10, -decimals); }

/* As many decimals as it takes to tell the ends of an interval from the bounds it is compared with, and from nothing. */
static int decimals_apart(int decimals, mg_interval i, const double *bounds, int count) {
  for (; decimals < 6; decimals++) {
    bool hidden = hides(i.low, 0, decimals) || hides(i.high, 0, decimals);
    for (int k = 0; k < count; k++) hidden = hidden || hides(i.low, bounds[k], decimals) || hides(i.high, bounds[k], decimals);
    if (!hidden) break;
  }
  return decimals;
}

/* A pass rate; never 100 % where a single case failed. */
static mg_words rate_words(double rate, uint64_t n) {
  int decimals = decimals_for(n);
  while (decimals < 6 && (hides(rate, 1, decimals) || hides(rate, 0, decimals))) decimals++;
  return percent_words(rate, decimals, false);
}

__attribute__((format(printf, 2, 3))) static void add_reason(mg_judgement *j, const char *format, ...) {
  if (j->reason_count >= MG_MAX_REASONS) return;
  va_list ap;
  va_start(ap, format);
  (void)vsnprintf(j->reasons[j->reason_count++], sizeof j->reasons[0], format, ap);
  va_end(ap);
}

/* --- the goal --- */

static mg_side side_of(const mg_goal *g, mg_interval i) {
  double m = g->margin;
  switch (g->kind) {
  case MG_SUPERIORITY: return i.low > m ? MG_RIGHT : i.high < m ? MG_WRONG : MG_ACROSS;
  case MG_EQUIVALENCE:
    if (i.low > -m && i.high < m) return MG_RIGHT;
    return i.high < -m || i.low > m ? MG_WRONG : MG_ACROSS;
  case MG_ABSOLUTE: return i.low >= g->min_pass_rate ? MG_RIGHT : i.high < g->min_pass_rate ? MG_WRONG : MG_ACROSS;
  case MG_NONINFERIORITY: break;
  }
  return i.low > -m ? MG_RIGHT : i.high < -m ? MG_WRONG : MG_ACROSS;
}

/* A rate of 1 lies below no interval: there "every case passed" is the goal, word for word. */
static mg_side side_of_rate(const mg_goal *g, uint64_t passes, uint64_t n, mg_interval i) {
  if (g->min_pass_rate >= 1) return passes == n ? MG_RIGHT : MG_WRONG;
  return side_of(g, i);
}

static uint64_t scaled(uint64_t part, uint64_t n, uint64_t to) { return (uint64_t)((double)part / (double)n * (double)to + 0.5); }

/* Without discordant pairs a bootstrap gives Tango's interval, and says so. */
static mg_interval difference_by(const mg_pairs *p, const mg_goal *g, const char **method) {
  double level = 1 - g->alpha;
  mg_interval i;
  bool knows = true;
  switch (g->difference_by) {
  case MG_BY_NEWCOMBE: i = mg_newcombe_paired(p, level); break;
  case MG_BY_BOOTSTRAP: knows = mg_bootstrap(p, level, &i); break;
  case MG_BY_BCA: knows = mg_bootstrap_bca(p, level, &i, NULL, NULL); break;
  case MG_BY_BAYES: i = mg_bayes_paired(p, level); break;
  default: i = mg_tango(p, level); break;
  }
  *method = mg_difference_name(knows ? g->difference_by : MG_BY_TANGO);
  return i;
}

static mg_interval rate_by(uint64_t passes, uint64_t n, const mg_goal *g) {
  return g->rate_by == MG_BY_CLOPPER_PEARSON ? mg_clopper_pearson(passes, n, 1 - g->alpha) : mg_wilson(passes, n, 1 - g->alpha);
}

/* The interval that so many pairs would have: the rule's own, as it stands at its last look. For a forecast: where n is large Tango's is as good as the
 * bootstraps' and Bayes', and its cost does not grow. */
static mg_interval forecast(const mg_pairs *p, const mg_goal *g, const mg_stop *stop) {
  if (stop == NULL) return g->difference_by == MG_BY_NEWCOMBE ? mg_newcombe_paired(p, 1 - g->alpha) : mg_tango(p, 1 - g->alpha);
  if (stop->plan.kind == MG_STOP_GROUP) return mg_tango_z(p, stop->z[stop->plan.looks - 1]);
  return mg_anytime(p, 1 - stop->plan.alpha);
}

typedef struct mg_sample {
  const mg_goal *goal;
  const mg_stop *stop;
  bool paired;
  mg_pairs pairs;     /* paired */
  bool clustered;     /* paired: the interval shrinks with the root of n, whatever the clusters are */
  double estimate;
  mg_interval interval;
  uint64_t passes, n; /* not paired */
} mg_sample;

static bool decided_at(const mg_sample *s, uint64_t n) {
  if (!s->paired) {
    uint64_t passes = scaled(s->passes, s->n, n);
    return side_of(s->goal, mg_wilson(passes > n ? n : passes, n, 1 - s->goal->alpha)) != MG_ACROSS;
  }
  uint64_t now = mg_pairs_total(&s->pairs);
  if (s->clustered && s->pairs.base_only + s->pairs.cand_only == 0 && s->interval.high < 1) { /* z^2/(n + z^2), n being the clusters; more of the same size */
    double squared = s->interval.high * (double)now / (1 - s->interval.high), reach = squared / ((double)n + squared);
    return side_of(s->goal, (mg_interval){-reach, reach}) != MG_ACROSS;
  }
  if (s->clustered) {
    double shrink = sqrt((double)now / (double)n);
    mg_interval i = {s->estimate - shrink * (s->estimate - s->interval.low), s->estimate + shrink * (s->interval.high - s->estimate)};
    return side_of(s->goal, i) != MG_ACROSS;
  }
  mg_pairs p = {.base_only = scaled(s->pairs.base_only, now, n), .cand_only = scaled(s->pairs.cand_only, now, n), .neither = scaled(s->pairs.neither, now, n)};
  uint64_t rest = p.base_only + p.cand_only + p.neither;
  p.both = rest < n ? n - rest : 0;
  return side_of(s->goal, forecast(&p, s->goal, s->stop)) != MG_ACROSS;
}

/* The n that would decide at the same rates; NEVER_DECIDES where 10^12 would not. */
static uint64_t deciding_n(const mg_sample *s, uint64_t now) {
  uint64_t low = now, high = now;
  if (decided_at(s, now)) return now + 1; /* by the forecast, but not by the interval that was asked */
  while (!decided_at(s, high)) {
    if (high >= MOST_PAIRS) return NEVER_DECIDES;
    low = high;
    high *= 2;
  }
  while (high - low > 1 && high - low > high / 2000) {
    uint64_t middle = low + (high - low) / 2;
    if (decided_at(s, middle))
      high = middle;
    else
      low = middle;
  }
  if (high < 10000) return high;
  uint64_t unit = 1; /* three digits are all that such a forecast is worth */
  while (high / unit >= 1000) unit *= 10;
  return (high + unit - 1) / unit * unit;
}

static void say_what_would_decide(char *out, size_t size, const mg_sample *s, uint64_t now, const char *things) {
  uint64_t n = deciding_n(s, now);
  if (n == NEVER_DECIDES)
    (void)snprintf(out, size, "; at these rates no number of %s would decide", things);
  else
    (void)snprintf(out, size, "; at these rates %s %s would decide", count_words(n).text, things);
}

static mg_side side_of_word(mg_stop_word w) { return w == MG_STOP_ADOPT ? MG_RIGHT : w == MG_STOP_REJECT ? MG_WRONG : MG_ACROSS; }

/* " after 640 of 10,000 cases", or nothing. */
static void say_after(char *out, size_t size, const mg_facts *f) {
  out[0] = '\0';
  if (f->stopped) (void)snprintf(out, size, " after %s of %s cases", count_words(f->looked).text, count_words(f->planned).text);
}

/* Wald's test answers a question about the cases that differ, in words of its own. */
static mg_verdict judge_discordant(mg_judgement *j, const mg_tally *t, const mg_facts *f) {
  const mg_stop_plan *p = &f->stop->plan;
  mg_side side = side_of_word(f->answer.word);
  char after[100];
  say_after(after, sizeof after, f);
  char decides[60] = "has not decided";
  if (side != MG_ACROSS) (void)snprintf(decides, sizeof decides, "decides for %s", short_percent(side == MG_RIGHT ? p->theta1 : p->theta0, false).text);
  add_reason(j, "candidate wins %s of the %s cases that differ%s; the sequential test of %s against %s %s, with alpha %.6g and beta %.6g",
             count_words(t->pairs.cand_only).text, count_words(t->pairs.cand_only + t->pairs.base_only).text, after, short_percent(p->theta1, false).text,
             short_percent(p->theta0, false).text, decides, p->alpha, p->beta);
  return side == MG_RIGHT ? MG_ADOPT : side == MG_WRONG ? MG_REJECT : MG_INCONCLUSIVE;
}

static mg_verdict judge_pairs(mg_judgement *j, const mg_tally *t, const mg_goal *g, const mg_facts *f) {
  uint64_t n = mg_pairs_total(&t->pairs);
  mg_interval i = j->difference;
  mg_side side = f->stopped ? side_of_word(f->answer.word) : side_of(g, i);
  double bounds[2] = {g->kind == MG_SUPERIORITY ? g->margin : -g->margin, g->margin};
  int d = decimals_apart(decimals_for(n), i, bounds, g->kind == MG_EQUIVALENCE ? 2 : 1);
  mg_words at = short_percent(bounds[0], true);
  char where[120], more[120] = "", after[100], method[40] = "";
  if (g->kind == MG_EQUIVALENCE) {
    (void)snprintf(where, sizeof where, "%s the margins of %s and %s",
                   side == MG_RIGHT   ? "lies within"
                   : side == MG_WRONG ? "lies outside"
                                      : "crosses",
                   at.text, short_percent(bounds[1], true).text);
  } else {
    (void)snprintf(where, sizeof where, "%s the margin of %s", side == MG_RIGHT ? "lies above" : side == MG_WRONG ? "lies below" : "contains", at.text);
  }
  mg_sample s = {.goal = g, .stop = f->stop, .paired = true, .pairs = t->pairs, .clustered = f->clustered, .estimate = j->estimate, .interval = i};
  if (side == MG_ACROSS) say_what_would_decide(more, sizeof more, &s, n, "pairs");
  say_after(after, sizeof after, f);
  if (strcmp(j->method, "tango") != 0) (void)snprintf(method, sizeof method, " (%s)", j->method);
  add_reason(j, "candidate passes %s of %s pairs%s, baseline %s; the %s interval of the difference%s, %s to %s, %s%s", rate_words(j->rate[MG_CANDIDATE], n).text,
             count_words(n).text, after, rate_words(j->rate[MG_BASELINE], n).text, short_percent(j->level, false).text, method, percent_words(i.low, d, true).text,
             percent_words(i.high, d, true).text, where, more);
  return side == MG_RIGHT ? MG_ADOPT : side == MG_WRONG ? MG_REJECT : MG_INCONCLUSIVE;
}

static mg_verdict judge_rate(mg_judgement *j, uint64_t passes, uint64_t n, const mg_goal *g) {
  mg_interval i = j->rate_interval[MG_CANDIDATE];
  mg_side side = side_of_rate(g, passes, n, i);
  if (g->min_pass_rate >= 1) {
    add_reason(j, "candidate passes %s of %s cases; the goal is every one", count_words(passes).text, count_words(n).text);
    return side == MG_RIGHT ? MG_ADOPT : MG_REJECT;
  }
  int d = decimals_apart(decimals_for(n), i, &g->min_pass_rate, 1);
  char more[120] = "", method[40] = "";
  if (g->rate_by != MG_BY_WILSON) (void)snprintf(method, sizeof method, " (%s)", mg_rate_name(g->rate_by));
  mg_sample s = {.goal = g, .passes = passes, .n = n};
  if (side == MG_ACROSS) say_what_would_decide(more, sizeof more, &s, n, "cases");
  add_reason(j, "candidate passes %s of %s cases; the %s interval%s, %s to %s, %s the wanted pass rate of %s%s", rate_words(j->rate[MG_CANDIDATE], n).text,
             count_words(n).text, short_percent(1 - g->alpha, false).text, method, percent_words(i.low, d, false).text, percent_words(i.high, d, false).text,
             side == MG_RIGHT   ? "does not fall below"
             : side == MG_WRONG ? "lies below"
                                : "contains",
             short_percent(g->min_pass_rate, false).text, more);
  return side == MG_RIGHT ? MG_ADOPT : side == MG_WRONG ? MG_REJECT : MG_INCONCLUSIVE;
}

mg_err mg_goal_stop(mg_stop *out, const mg_stop_plan *rule, const mg_goal *g, uint64_t cases, mg_error *e) {
  mg_stop_plan p = *rule;
  if (p.max == 0 || p.max > cases) p.max = cases;
  if (p.alpha == 0) p.alpha = g->alpha;
  p.low = g->kind == MG_SUPERIORITY ? g->margin : -g->margin;
  p.high = g->kind == MG_EQUIVALENCE ? g->margin : INFINITY;
  return mg_stop_init(out, &p, e);
}

/* --- what comes before the goal --- */

static uint64_t hard_violations(const mg_tally *t, const mg_facts *f, int clause) {
  const mg_clause_count *c = &t->clauses[clause];
  switch (f->clauses[clause].mode) {
  case MG_MODE_ABSOLUTE: return c->candidate_only + c->both;
  case MG_MODE_HARD: return c->candidate_only;
  case MG_MODE_SOFT: break;
  }
  return 0;
}

static bool say_reproduced(mg_judgement *j, const mg_tally *t, const mg_facts *f) {
  bool any = false;
  for (int i = 0; i < f->clause_count; i++) {
    uint64_t n = hard_violations(t, f, i);
    if (n == 0 && f->beyond != NULL && f->beyond[i] > 0) {
      any = true;
      add_reason(j, "candidate violates \"%s\" in a case beyond the %s that the goal was judged on, and did so again when it was run again", f->clauses[i].name,
                 count_words(f->looked).text);
    }
    if (n == 0 || f->reproduced[i] == 0) continue;
    any = true;
    bool shared = f->has_baseline && f->clauses[i].mode == MG_MODE_HARD;
    char gone[64] = "";
    if (f->vanished[i] > 0) (void)snprintf(gone, sizeof gone, ", and %u did not", f->vanished[i]);
    add_reason(j, "candidate violates \"%s\" in %s case%s%s; %u of those that were run again did so again%s", f->clauses[i].name, count_words(n).text,
               n == 1 ? "" : "s", shared ? n == 1 ? " where baseline does not" : ", in none of which baseline does" : "", f->reproduced[i], gone);
  }
  return any;
}

static bool say_not_reproduced(mg_judgement *j, const mg_tally *t, const mg_facts *f) {
  bool any = false;
  for (int i = 0; i < f->clause_count; i++) {
    uint64_t n = hard_violations(t, f, i);
    if (n == 0 || f->reproduced[i] > 0) continue;
    any = true;
    if (f->vanished[i] > 0) {
      add_reason(j, "candidate violated \"%s\" in %s case%s, but none of the %u that were run again did so again: its outcomes are not stable",
                 f->clauses[i].name, count_words(n).text, n == 1 ? "" : "s", f->vanished[i]);
    } else {
      add_reason(j, "candidate violated \"%s\" in %s case%s that could not be run again", f->clauses[i].name, count_words(n).text, n == 1 ? "" : "s");
    }
  }
  return any;
}

static bool say_unrun(mg_judgement *j, uint64_t unrun, const mg_facts *f) {
  if (unrun == 0) return false;
  const char *why = f->interrupted ? "the run was interrupted" : f->timed_out ? "global_timeout ended the run" : "the run ended early";
  add_reason(j, "%s with %s of %s cases not run", why, count_words(unrun).text, count_words(f->planned).text);
  return true;
}

uint64_t mg_goal_generated(const mg_tally *t) {
  const uint64_t *o = t->outcomes[MG_CANDIDATE];
  return t->cases - o[MG_DISCARD] - o[MG_CASE_LOST] - o[MG_UNRUN];
}

/* Labels that certainly miss their share (which makes a run invalid), or those of which too few cases can tell. */
static void say_cover(mg_judgement *j, const mg_tally *t, const mg_facts *f, mg_cover which) {
  uint64_t n = mg_goal_generated(t);
  for (int i = 0; i < f->cover_count; i++) {
    if (mg_cover_check(f->labelled[i], n, f->cover[i].share) != which) continue;
    mg_words share = short_percent(f->cover[i].share, false);
    if (which == MG_COVER_MISSED)
      add_reason(j, "label \"%.100s\" marks %s of %s cases, certainly fewer than the %s that cover asks for", f->cover[i].label,
                 count_words(f->labelled[i]).text, count_words(n).text, share.text);
    else
      add_reason(j, "label \"%.100s\" marks %s of %s cases: too few cases to be certain of the %s that cover asks for", f->cover[i].label,
                 count_words(f->labelled[i]).text, count_words(n).text, share.text);
  }
}

static bool say_invalid(mg_judgement *j, const mg_tally *t, const mg_facts *f, uint64_t counted) {
  int before = j->reason_count;
  const uint64_t *o = t->outcomes[MG_CANDIDATE];
  const uint64_t *ob = t->outcomes[f->has_baseline ? MG_BASELINE : MG_CANDIDATE];
  uint64_t discarded = o[MG_DISCARD] > ob[MG_DISCARD] ? o[MG_DISCARD] : ob[MG_DISCARD];
  uint64_t lost = o[MG_CASE_LOST] > ob[MG_CASE_LOST] ? o[MG_CASE_LOST] : ob[MG_CASE_LOST];
  uint64_t unrun = o[MG_UNRUN] > ob[MG_UNRUN] ? o[MG_UNRUN] : ob[MG_UNRUN];
  uint64_t ran = t->cases > lost + unrun ? t->cases - lost - unrun : 0;
  if (f->fault != NULL) add_reason(j, "the checks are at fault: %s", f->fault);
  if (f->no_worker != NULL) add_reason(j, "no worker could serve the run: %s", f->no_worker);
  if (!f->stopped) (void)say_unrun(j, unrun, f);
  if (lost > 0) add_reason(j, "%s of %s cases were lost on the way and have no outcome", count_words(lost).text, count_words(f->planned).text);
  if (ran > 0 && (double)discarded > f->max_discard * (double)ran) {
    add_reason(j, "the generator discarded %s of %s cases, more than the %s that the plan allows", count_words(discarded).text, count_words(ran).text,
               short_percent(f->max_discard, false).text);
  }
  say_cover(j, t, f, MG_COVER_MISSED);
  (void)say_not_reproduced(j, t, f);
  if (f->flaky_reruns > 0) {
    if ((double)f->flaky_different > f->flaky_limit * (double)f->flaky_cases) {
      add_reason(j, "%s of %s cases that were run up to %u times again came out differently, more than the %s that flaky allows; of all cases up to %s do, at 95 %%",
                 count_words(f->flaky_different).text, count_words(f->flaky_cases).text, f->flaky_reruns, short_percent(f->flaky_limit, false).text,
                 percent_words(mg_flaky_bound_seen(f->flaky_different, f->flaky_cases, 0.95), 2, false).text);
    }
  } else if (f->repeat_different > 0) {
    add_reason(j, "%s of the cases that were run twice came out differently the second time", count_words(f->repeat_different).text);
  }
  if (counted == 0) add_reason(j, "no case counts, so there is nothing to judge");
  if (f->clustered && counted > 0 && f->measures != NULL && f->measures->too_many_clusters)
    add_reason(j, "there are more than %u clusters: nearly every case is one of its own, so leave cluster out", MG_MAX_CLUSTERS);
  else if (f->clustered && counted > 0 && j->clusters < 2)
    add_reason(j, "all cases are of one cluster, and one says nothing about how clusters differ");
  return j->reason_count > before;
}

/* Below 2 clusters, or beyond what is counted: [-1, 1], and say_invalid tells why. */
static void difference_by_clusters(mg_judgement *j, const mg_goal *g, const mg_facts *f) {
  size_t n = f->measures != NULL && !f->measures->too_many_clusters ? f->measures->cluster_count : 0;
  mg_cluster *list = calloc(n + 1, sizeof *list);
  mg_clustered c = {.interval = {-1, 1}, .design_effect = NAN};
  mg_error ignored;
  j->method = mg_difference_name(g->difference_by);
  for (size_t i = 0; i < n && list != NULL; i++) list[i] = f->measures->clusters[i].counts;
  bool known = list != NULL && n >= 2 &&
               (g->difference_by == MG_BY_CLUSTERS ? mg_cluster_bootstrap(list, n, j->level, 0, f->seed, &c, &ignored) == MG_OK : mg_cluster_robust(list, n, j->level, &c));
  j->difference = known ? mg_cluster_verdict(list, n, j->level, c.interval) : (mg_interval){-1, 1};
  free(list);
  j->design_effect = known ? c.design_effect : NAN;
  j->clusters = n;
}

static void fill_rates(mg_judgement *j, const mg_tally *t, const mg_goal *g, const mg_facts *f, uint64_t passes, uint64_t n) {
  for (int r = 0; r < MG_ROLES; r++) {
    j->rate[r] = NAN;
    j->rate_interval[r] = (mg_interval){NAN, NAN};
  }
  if (n == 0) return;
  j->rate[MG_CANDIDATE] = (double)passes / (double)n;
  j->rate_interval[MG_CANDIDATE] = rate_by(passes, n, g);
  if (!f->has_baseline) return;
  uint64_t baseline = t->pairs.both + t->pairs.base_only;
  j->rate[MG_BASELINE] = (double)baseline / (double)n;
  j->rate_interval[MG_BASELINE] = rate_by(baseline, n, g);
  j->has_difference = true;
  j->risk_ratio = NAN;
  j->risk_interval = (mg_interval){NAN, NAN};
  j->estimate = mg_pairs_delta(&t->pairs);
  j->level = 1 - (f->stop == NULL ? g->alpha : f->stop->plan.alpha);
  if (f->stopped) {
    j->difference = f->answer.interval;
    j->method = f->stop->plan.kind == MG_STOP_GROUP ? "group" : "anytime";
  } else if (f->stop != NULL) { /* ended between looks: what holds at any moment */
    j->difference = mg_anytime(&t->pairs, j->level);
    j->method = "anytime";
  } else if (f->clustered) {
    difference_by_clusters(j, g, f);
  } else {
    j->difference = difference_by(&t->pairs, g, &j->method);
    j->risk_ratio = j->rate[MG_CANDIDATE] / j->rate[MG_BASELINE];
    j->risk_interval = mg_tang(&t->pairs, j->level);
  }
}

static void fill_clauses(mg_judgement *j, const mg_tally *t, const mg_goal *g, const mg_facts *f) {
  double p[MG_MAX_CLAUSES + 1];
  size_t n = 0;
  mg_error ignored;
  for (int i = 0; i < f->clause_count; i++) {
    const mg_clause_count *c = &t->clauses[i];
    bool known = f->has_baseline && f->stop == NULL && !f->clustered;
    j->clause_p[i] = known ? mg_mcnemar_worse(c->candidate_only, c->baseline_only) : NAN;
    j->clause_adjusted[i] = NAN;
    if (known && strcmp(f->clauses[i].kind, "relation") == 0) p[n++] = j->clause_p[i];
  }
  if (f->correction == NULL || mg_adjust(*f->correction, p, p, n, &ignored) != MG_OK) return;
  for (int i = f->clause_count - 1; i >= 0 && n > 0; i--) {
    if (strcmp(f->clauses[i].kind, "relation") != 0) continue;
    j->clause_adjusted[i] = p[--n];
    j->regressed[i] = j->clause_adjusted[i] <= g->alpha;
  }
}

/* --- metrics --- */

/* Fills views, fairness and alerts. */
static void fill_measures(mg_judgement *j, const mg_goal *g, const mg_facts *f) {
  static const mg_column empty;
  double level = 1 - g->alpha;
  for (int i = 0; i < f->view_count; i++) {
    const mg_view *v = &f->views[i];
    const mg_column *c = f->measures != NULL && v->column < f->measures->count ? &f->measures->columns[v->column] : &empty;
    mg_error e;
    if (mg_view_judge(v, c, f->has_baseline, level, f->seed, &j->views[i], &e) != MG_OK) j->views[i].holds = MG_ACROSS;
    if (j->views[i].alert) mg_view_say(v, &j->views[i], level, false, j->alerts[j->alert_count++], sizeof j->alerts[0]);
  }
  mg_fairness_judge(f->measures, level, f->fairness_limit, &j->fairness);
  if (!j->fairness.alert) return;
  const mg_group *groups = f->measures->groups;
  (void)snprintf(j->alerts[j->alert_count++], sizeof j->alerts[0],
                 "fairness: candidate passes %s of group %.64s and %s of group %.64s; the %s interval of the widest gap, %s to %s, lies wholly beyond the limit of %s",
                 percent_words(mg_group_rate(&groups[j->fairness.best]), 1, false).text, groups[j->fairness.best].name,
                 percent_words(mg_group_rate(&groups[j->fairness.worst]), 1, false).text, groups[j->fairness.worst].name, short_percent(level, false).text,
                 percent_words(j->fairness.interval.low, 1, false).text, percent_words(j->fairness.interval.high, 1, false).text,
                 short_percent(f->fairness_limit, false).text);
}

static void swap_reasons(mg_judgement *j, int a, int b) {
  char held[sizeof j->reasons[0]];
  memcpy(held, j->reasons[a], sizeof held);
  memcpy(j->reasons[a], j->reasons[b], sizeof held);
  memcpy(j->reasons[b], held, sizeof held);
}

/* Both must hold for an adopt, one that does not is enough to reject. */
static mg_verdict both(mg_verdict a, mg_verdict b) {
  return a == MG_REJECT || b == MG_REJECT ? MG_REJECT : a == MG_INCONCLUSIVE || b == MG_INCONCLUSIVE ? MG_INCONCLUSIVE : MG_ADOPT;
}

/* The difference, and the pass rate that the candidate must have besides. What decided comes first. */
static mg_verdict judge_floor(mg_judgement *j, uint64_t passes, uint64_t n, const mg_goal *rate, mg_verdict by_difference) {
  int first = j->reason_count - 1;
  mg_verdict by_rate = judge_rate(j, passes, n, rate), all = both(by_difference, by_rate);
  if (by_difference != all && j->reason_count == first + 2) swap_reasons(j, first, first + 1);
  return all;
}

/* The goal and the endpoints together: all must hold for an adopt, one that does not is enough to reject. What decided comes first. */
static mg_verdict judge_endpoints(mg_judgement *j, const mg_goal *g, const mg_facts *f, int first, mg_verdict by_goal) {
  mg_verdict each[MG_MAX_COLUMNS + 1], all = by_goal;
  char names[200] = "pass rate";
  int n = 0;
  each[n++] = by_goal;
  for (int i = 0; i < f->view_count; i++) {
    if (isnan(f->views[i].margin) || j->reason_count >= MG_MAX_REASONS) continue;
    mg_verdict one = j->views[i].holds == MG_RIGHT ? MG_ADOPT : j->views[i].holds == MG_WRONG ? MG_REJECT : MG_INCONCLUSIVE;
    mg_view_say(&f->views[i], &j->views[i], 1 - g->alpha, true, j->reasons[j->reason_count++], sizeof j->reasons[0]);
    each[n++] = one;
    all = both(all, one);
  }
  if (n == 1) return by_goal;
  int deciding = 0;
  size_t used = 0;
  for (int i = 0, view = -1; i < n; i++) {
    while (i > 0 && isnan(f->views[++view].margin)) continue;
    if (each[i] != all) continue;
    const char *name = i == 0 ? "the pass rate" : f->views[view].name;
    if (used < sizeof names - 80) used += (size_t)snprintf(names + used, sizeof names - used, "%s%.64s", deciding > 0 ? ", " : "", name);
    for (int k = i; k > deciding; k--) swap_reasons(j, first + k, first + k - 1);
    deciding++;
  }
  add_reason(j, "an adopt needs the pass rate and %d endpoint%s together: %s %s", n - 1, n == 2 ? "" : "s", all == MG_ADOPT ? "all hold" : names,
             all == MG_ADOPT ? "" : deciding == 1 ? "decides" : "decide");
  char *last = j->reasons[j->reason_count - 1];
  if (all == MG_ADOPT && last[strlen(last) - 1] == ' ') last[strlen(last) - 1] = '\0';
  return all;
}

void mg_judge(mg_judgement *out, const mg_tally *t, const mg_goal *g, const mg_facts *f) {
  memset(out, 0, sizeof *out);
  const uint64_t *o = t->outcomes[MG_CANDIDATE];
  uint64_t n = f->has_baseline ? mg_pairs_total(&t->pairs) : t->cases - o[MG_DISCARD] - o[MG_CASE_LOST] - o[MG_UNRUN];
  uint64_t passes = f->has_baseline ? t->pairs.both + t->pairs.cand_only : o[MG_PASS];
  fill_rates(out, t, g, f, passes, n);
  fill_clauses(out, t, g, f);
  fill_measures(out, g, f);
  bool rejected = say_reproduced(out, t, f);
  bool invalid = say_invalid(out, t, f, n);
  mg_verdict by_goal = MG_INVALID;
  int first = out->reason_count;
  if (n > 0) {
    bool paired = f->has_baseline && g->kind != MG_ABSOLUTE;
    mg_goal rate = *g;
    rate.kind = MG_ABSOLUTE;
    if (!paired)
      by_goal = judge_rate(out, passes, n, &rate);
    else if (f->stopped && f->stop->plan.kind == MG_STOP_SPRT)
      by_goal = judge_discordant(out, t, f);
    else
      by_goal = judge_pairs(out, t, g, f);
    if (paired && g->min_pass_rate > 0) by_goal = judge_floor(out, passes, n, &rate, by_goal);
    by_goal = judge_endpoints(out, g, f, first, by_goal);
  }
  if (f->clustered && out->clusters >= 2 && out->clusters < MG_CLUSTERS_FEW)
    add_reason(out, "only %zu clusters: intervals from fewer than %d are rough", out->clusters, MG_CLUSTERS_FEW);
  for (int i = 0; i < f->view_count && n > 0 && f->has_baseline; i++) { /* endpoints have said so themselves */
    if (isnan(f->views[i].margin) && !isnan(f->views[i].limit) && out->views[i].used == 0 && out->reason_count < MG_MAX_REASONS)
      mg_view_say(&f->views[i], &out->views[i], 1 - g->alpha, false, out->reasons[out->reason_count++], sizeof out->reasons[0]);
  }
  if (f->fairness_limit > 0 && n > 0 && isnan(out->fairness.gap)) {
    if (f->measures != NULL && f->measures->ungrouped > 0)
      add_reason(out, "fairness is not judged: there are more than %d groups", MG_MAX_GROUPS);
    else
      add_reason(out, "fairness is not judged: %s", out->fairness.groups == 1 ? "all cases are of one group" : "no case is of a group");
  }
  say_cover(out, t, f, MG_COVER_OPEN);
  out->verdict = rejected ? MG_REJECT : invalid ? MG_INVALID : by_goal;
}
