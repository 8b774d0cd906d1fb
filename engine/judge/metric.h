/* metric.h - what the measures say: of each metric how candidate and baseline compare, with an interval; of groups how far they lie apart.
 *
 * A view asks one thing of one column: the difference of the means (Student, over all pairs), the ratio of a quantile (paired bootstrap) or the middle of
 * the ratios within the pairs (signed ranks); the last two over the pairs that are kept. Pure but for memory; any thread. */
#ifndef MG_JUDGE_METRIC_H
#define MG_JUDGE_METRIC_H

#include "judge/measures.h"
#include "judge/stats/paired.h"

typedef enum mg_view_kind { MG_VIEW_MEAN = 0, MG_VIEW_QUANTILE, MG_VIEW_RATIO } mg_view_kind;
const char *mg_view_kind_name(mg_view_kind k); /* "mean", "quantile", "ratio" */

typedef struct mg_view {
  const char *name;
  int column;
  mg_view_kind kind;
  double quantile; /* MG_VIEW_QUANTILE */
  bool higher;     /* more is better */
  double margin;   /* how much worse the candidate may be: a difference of means, else a share. NAN: it decides nothing */
  double limit;    /* the same, beyond which there is an alert. NAN: none */
} mg_view;

typedef enum mg_side { MG_RIGHT = 0, MG_WRONG, MG_ACROSS } mg_side;

typedef struct mg_side_summary { /* of one role's values in all pairs */
  double mean, p50, p95, p99, least, greatest;
} mg_side_summary;

typedef struct mg_view_result {
  uint64_t n, missing; /* pairs with both values, and without */
  uint64_t used;       /* pairs that the estimate stands on: all n, or those kept whose values are above 0 */
  mg_side_summary side[MG_ROLES]; /* NAN where there is none */
  double estimate;     /* difference or ratio, candidate to baseline; without a baseline the candidate's mean */
  mg_interval interval;
  const char *method;  /* "student", "bootstrap", "signed-rank" */
  mg_side holds;       /* against the margin */
  bool alert;          /* the whole interval lies beyond the limit */
} mg_view_result;

mg_err mg_view_judge(const mg_view *v, const mg_column *c, bool has_baseline, double level, uint64_t seed, mg_view_result *out, mg_error *e);
/* A sentence on a view that has a margin (endpoint) or an alert, or that nothing can be said of. */
void mg_view_say(const mg_view *v, const mg_view_result *r, double level, bool endpoint, char *out, size_t size);

/* The candidate's pass rate in a group. */
double mg_group_rate(const mg_group *g);

/* The gap between the best and the worst group of cases, by the candidate's pass rate. */
typedef struct mg_fairness {
  int groups;         /* below 2 there is no gap and the rest is NAN */
  int best, worst;    /* places in measures->groups */
  double gap;
  mg_interval interval; /* Newcombe's between all groups at once: the level is corrected for the number of comparisons */
  bool alert;         /* the lower end is above the limit */
} mg_fairness;
void mg_fairness_judge(const mg_measures *m, double level, double limit, mg_fairness *out);

#endif
