/* stop.h - when a run may end: at fixed prefixes of the case order, from the counts over that prefix alone.
 *
 * The lengths are fixed by the plan (every 64 cases, above 6,400 every 1 %, and the end; group: its own looks), so the
 * decision depends on neither speed nor the number of workers. The rule is asked with the four counts of the first
 * `prefix` cases and answers with a decision and the interval it rests on:
 * - fixed: Tango's interval, once, at the end. Before that there is no look.
 * - anytime: the betting sequence (stats/anytime.h). Not for clustered cases.
 * - group: Tango's interval at each look's boundary (a repeated confidence interval, Jennison & Turnbull 1989).
 * - sprt: Wald's test on the discordant pairs decides: theta1 adopts, theta0 rejects. A test has no interval, so the one
 *   given is the any-time sequence's, which holds however the run was stopped.
 * The state is constant after mg_stop_init and may be read by any thread; nothing is allocated. */
#ifndef MG_JUDGE_STOP_H
#define MG_JUDGE_STOP_H

#include "judge/stats/paired.h"
#include "judge/stats/sequential.h"

typedef enum mg_stop_kind { MG_STOP_FIXED = 0, MG_STOP_ANYTIME, MG_STOP_GROUP, MG_STOP_SPRT } mg_stop_kind;

typedef struct mg_stop_plan {
  mg_stop_kind kind;
  uint64_t max;          /* cases planned, or anytime{max}; at least 1 */
  double alpha;          /* two-sided error over the whole run; sprt: of wrongly accepting theta1 */
  double low, high;      /* adopt means low < delta < high: noninferiority(m) is -m and INFINITY, equivalence(m) -m and m */
  int looks;             /* group: 1 to MG_MAX_LOOKS, equally spaced, at most max */
  mg_spending spending;  /* group */
  double theta0, theta1; /* sprt: shares of discordant pairs won by the candidate */
  double beta;           /* sprt: of wrongly accepting theta0 */
} mg_stop_plan;

typedef enum mg_stop_word {
  MG_GO_ON = 0,
  MG_STOP_ADOPT,
  MG_STOP_REJECT,
  MG_STOP_END /* the last look has passed without a decision */
} mg_stop_word;

typedef struct mg_stop_answer {
  mg_stop_word word;
  mg_interval interval; /* of delta, at 1 - alpha over all looks together */
  double level;         /* of this look's interval by itself: above 1 - alpha under group, else 1 - alpha */
} mg_stop_answer;

typedef struct mg_stop {
  mg_stop_plan plan;
  mg_sprt sprt;
  double z[MG_MAX_LOOKS]; /* group */
} mg_stop;

const char *mg_stop_name(mg_stop_kind k); /* "fixed", "anytime", "group", "sprt" */

/* MG_ARG with a text for people where the plan is contradictory. */
mg_err mg_stop_init(mg_stop *s, const mg_stop_plan *plan, mg_error *e);

/* The first look after `prefix` cases; 0 where there is none left. */
uint64_t mg_stop_next(const mg_stop *s, uint64_t prefix);

/* Pairs are those among the first `prefix` cases that count. MG_GO_ON with [-1, 1] where prefix is no look. */
mg_stop_answer mg_stop_look(const mg_stop *s, uint64_t prefix, const mg_pairs *pairs);

#endif
