/* goal.h - from counts to a verdict with its reasons. Pure; any thread. */
#ifndef MG_JUDGE_GOAL_H
#define MG_JUDGE_GOAL_H

#include "base/buf.h"
#include "judge/metric.h"
#include "judge/stats/multiple.h"
#include "judge/stop.h"
#include "judge/tally.h"

typedef enum mg_goal_kind { MG_NONINFERIORITY = 0, MG_SUPERIORITY, MG_EQUIVALENCE, MG_ABSOLUTE } mg_goal_kind;

/* How the interval is computed: of the difference over all planned pairs, of a pass rate. */
typedef enum mg_difference_kind { MG_BY_TANGO = 0, MG_BY_NEWCOMBE, MG_BY_BOOTSTRAP, MG_BY_BCA, MG_BY_BAYES, MG_BY_ROBUST, MG_BY_CLUSTERS, MG_DIFFERENCE_KINDS } mg_difference_kind;
typedef enum mg_rate_kind { MG_BY_WILSON = 0, MG_BY_CLOPPER_PEARSON, MG_RATE_KINDS } mg_rate_kind;

/* "tango", "newcombe-paired", "bootstrap", "bootstrap-bca", "bayes", "robust", "cluster-bootstrap" (the last two where cases come in clusters); "wilson",
 * "clopper-pearson". */
const char *mg_difference_name(mg_difference_kind k);
const char *mg_rate_name(mg_rate_kind k);

typedef struct mg_goal {
  mg_goal_kind kind;
  double margin;        /* a difference of pass rates */
  double min_pass_rate; /* MG_ABSOLUTE, the goal of a plan without a baseline; else what an adopt needs besides, 0: nothing */
  double alpha;         /* two-sided: the interval's level is 1 - alpha */
  mg_difference_kind difference_by;
  mg_rate_kind rate_by;
} mg_goal;

const char *mg_goal_name(mg_goal_kind k); /* "noninferiority", ... */

/* Also the process exit codes. */
typedef enum mg_verdict { MG_ADOPT = 0, MG_REJECT = 1, MG_INCONCLUSIVE = 2, MG_INVALID = 3 } mg_verdict;
const char *mg_verdict_name(mg_verdict v);

#define MG_MAX_REASONS 48
#define MG_MAX_ALERTS (MG_MAX_COLUMNS + 1)

typedef struct mg_judgement {
  mg_verdict verdict;
  char reasons[MG_MAX_REASONS][320]; /* sentences, the deciding one first */
  int reason_count;
  bool has_difference;
  double estimate;                     /* candidate - baseline pass rate over the pairs */
  mg_interval difference;
  double level;       /* of the difference's interval */
  const char *method; /* the plan's ("tango" for a bootstrap that knows nothing); under a stopping rule its own: "anytime", "group" */
  double rate[MG_ROLES];               /* pass rates over the pairs (no baseline: over what was run), NaN where nothing counted */
  mg_interval rate_interval[MG_ROLES]; /* as the plan says */
  /* Each clause by itself: the one-sided exact p of the candidate violating it more often, and that corrected over the relations (regressed: it is
   * at most alpha). NAN where there is none: no baseline, early stopping; no correction, no relation. */
  double clause_p[MG_MAX_CLAUSES + 1], clause_adjusted[MG_MAX_CLAUSES + 1];
  bool regressed[MG_MAX_CLAUSES + 1];
  mg_view_result views[MG_MAX_COLUMNS]; /* by the plan's views */
  mg_fairness fairness;
  char alerts[MG_MAX_ALERTS][512]; /* sentences; they change no verdict */
  int alert_count;
  size_t clusters; /* 0: the plan has none */
  double design_effect;
  double risk_ratio; /* of the pass rates, candidate to baseline, with Tang's interval; NAN under early stopping and for clusters */
  mg_interval risk_interval;
} mg_judgement;

typedef struct mg_cover_want { /* a label and the share of the cases it must reach */
  const char *label;
  double share;
} mg_cover_want;

/* What stands besides the counts. */
typedef struct mg_facts {
  const mg_clause *clauses;
  int clause_count;
  bool has_baseline;
  uint64_t planned;
  double max_discard; /* share of counted cases above which the run is invalid */
  /* For each clause: candidate violations that count as hard (not shared, or absolute) and were run again: how many reproduced, how many did not, how
   * many could not be run again. A hard clause rejects once one reproduced. */
  const uint32_t *reproduced, *vanished;
  const char *fault;           /* the checks are at fault: invalid, the text says where; NULL */
  const char *no_worker;       /* no worker could serve the run: invalid; NULL */
  uint64_t repeat_different;   /* of the cases that were run twice */
  uint32_t flaky_reruns;       /* 0: any of these makes the run invalid; else the share flaky_limit of flaky_cases is borne */
  uint64_t flaky_cases, flaky_different;
  double flaky_limit;
  bool interrupted, timed_out; /* the user stopped it; global_timeout */
  const mg_cover_want *cover; /* cover_count of them, with the cases that bear each label */
  const uint64_t *labelled;
  int cover_count;
  const mg_correction *correction; /* over the relations; NULL: none */
  const mg_stop *stop;         /* the rule that may end the run early; NULL: fixed */
  bool stopped;                /* it did, after `looked` cases, with `answer`: what is unrun then is no fault */
  uint64_t looked;
  mg_stop_answer answer;
  const mg_measures *measures; /* NULL: nothing was measured */
  const mg_view *views;        /* view_count of them */
  int view_count;
  bool clustered;
  double fairness_limit; /* NAN: none */
  uint64_t seed;         /* of what is drawn to judge */
  const uint32_t *beyond; /* for each clause: reproduced violations of cases from `looked` on, which are in no count; NULL: none */
} mg_facts;

/* Zeroed alpha, max and the goal's limits are filled in from goal and cases. MG_ARG with a text for people. */
mg_err mg_goal_stop(mg_stop *out, const mg_stop_plan *rule, const mg_goal *g, uint64_t cases, mg_error *e);

/* Cases that can bear a label: all that ran and were not discarded. */
uint64_t mg_goal_generated(const mg_tally *t);

/* Order: a reproduced hard violation rejects; then invalid (fault, nothing counted, discards, labels not reached, lost, unrun by interrupt); then the goal. */
void mg_judge(mg_judgement *out, const mg_tally *t, const mg_goal *g, const mg_facts *f);

#endif
