/* The methods about runs: looking early, several questions at once, how many cases. */
#include "judge/stats/anytime.h"
#include "judge/stats/catalog.h"
#include "judge/stats/multiple.h"
#include "judge/stats/power.h"
#include "judge/stats/sampling.h"
#include "judge/stats/sequential.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(n) {n, MG_PARAM_COUNT, 0, 0, NAN, NULL}
#define SHARE(n) {n, MG_PARAM_NUMBER, 0, 1, NAN, NULL}
#define SHARE_OR(n, d) {n, MG_PARAM_NUMBER, 0, 1, d, NULL}
#define LEVEL {"level", MG_PARAM_NUMBER, 1e-9, 1 - 1e-12, .95, NULL}
#define ALPHA {"alpha", MG_PARAM_NUMBER, 1e-12, .5, .05, NULL}
#define PAIRS COUNT("both"), COUNT("baseline_only"), COUNT("candidate_only"), COUNT("neither")
#define LIMITS {"low", MG_PARAM_NUMBER, -1, 1, -INFINITY, NULL}, {"high", MG_PARAM_NUMBER, -1, 1, INFINITY, NULL}
#define SPENDING {"spending", MG_PARAM_WORD, 0, 0, 0, "obf pocock"}
#define LOOKS {"looks", MG_PARAM_NUMBER, 1, MG_MAX_LOOKS, NAN, NULL}

static uint64_t whole(const mg_given *g) { return (uint64_t)g->number; }

static mg_pairs pairs_of(const mg_given *in) { return (mg_pairs){whole(&in[0]), whole(&in[1]), whole(&in[2]), whole(&in[3])}; }

/* --- looking early --- */

static mg_err anytime(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  mg_interval i = mg_anytime(&p, in[4].number);
  (void)e;
  mg_answer_number(out, "estimate", mg_pairs_delta(&p));
  mg_answer_number(out, "low", i.low);
  mg_answer_number(out, "high", i.high);
  return MG_OK;
}

static mg_err anytime_evidence(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  (void)e;
  mg_answer_number(out, "log_e", mg_anytime_log_e(&p, in[4].number));
  return MG_OK;
}

static mg_err group_boundaries(const mg_given *in, mg_answer *out, mg_error *e) {
  double equal[MG_MAX_LOOKS];
  bool listed = in[1].count > 0;
  int looks = listed ? (int)(in[1].count < MG_MAX_LOOKS + 1 ? in[1].count : MG_MAX_LOOKS + 1) : (int)in[0].number;
  if (looks < 1 || looks > MG_MAX_LOOKS) return mg_fail(e, MG_ARG, "there must be 1 to %d looks: give looks, or their shares as t", MG_MAX_LOOKS);
  for (int k = 0; k < looks && !listed; k++) equal[k] = (k + 1) / (double)looks;
  double *z = mg_answer_list(out, "z", (size_t)looks);
  if (z == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  return mg_group_boundaries((mg_spending)in[2].word, in[3].number / 2, listed ? in[1].list : equal, looks, z, e);
}

static mg_err group_error(const mg_given *in, mg_answer *out, mg_error *e) {
  if (in[0].count != in[1].count || in[0].count < 1 || in[0].count > MG_MAX_LOOKS)
    return mg_fail(e, MG_ARG, "t and z must have a number for each of 1 to %d looks, they have %zu and %zu", MG_MAX_LOOKS, in[0].count, in[1].count);
  mg_answer_number(out, "error", mg_group_error(in[0].list, in[1].list, (int)in[0].count));
  return MG_OK;
}

static mg_err group_constants(const mg_given *in, mg_answer *out, mg_error *e) {
  (void)e;
  mg_answer_number(out, "pocock", mg_pocock_constant((int)in[0].number, in[1].number));
  mg_answer_number(out, "obrien_fleming", mg_obrien_fleming_constant((int)in[0].number, in[1].number));
  return MG_OK;
}

static mg_err spent(const mg_given *in, mg_answer *out, mg_error *e) {
  (void)e;
  mg_answer_number(out, "error", mg_spent((mg_spending)in[2].word, in[1].number / 2, in[0].number));
  return MG_OK;
}

static mg_err sprt(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_sprt s;
  mg_err err = mg_sprt_init(&s, in[2].number, in[3].number, in[4].number, in[5].number, e);
  if (err != MG_OK) return err;
  mg_answer_number(out, "ratio", mg_sprt_ratio(&s, whole(&in[0]), whole(&in[1])));
  mg_answer_number(out, "accept", s.accept);
  mg_answer_number(out, "refuse", s.refuse);
  return MG_OK;
}

/* --- several questions --- */

static mg_err adjust(const mg_given *in, mg_answer *out, mg_error *e) {
  double *p = mg_answer_list(out, "adjusted", in[0].count);
  if (p == NULL) return mg_fail(e, MG_NOMEM, "no memory for %zu p values", in[0].count);
  if (in[0].count == 0) return MG_OK;
  return mg_adjust((mg_correction)in[1].word, in[0].list, p, in[0].count, e);
}

/* --- how many cases --- */

static mg_err n_mcnemar(const mg_given *in, mg_answer *out, mg_error *e) {
  (void)e;
  mg_answer_number(out, "n", mg_n_mcnemar(in[0].number, in[1].number, in[2].number, in[3].number));
  return MG_OK;
}

static mg_err n_unpaired(const mg_given *in, mg_answer *out, mg_error *e) {
  (void)e;
  mg_answer_number(out, "n", mg_n_unpaired(in[0].number, in[1].number, in[2].number, in[3].number));
  return MG_OK;
}

static mg_err n_noninferiority(const mg_given *in, mg_answer *out, mg_error *e) {
  (void)e;
  mg_answer_number(out, "n", mg_n_noninferiority(in[0].number, in[1].number, in[2].number, in[3].number, in[4].number));
  return MG_OK;
}

static mg_err n_tango(const mg_given *in, mg_answer *out, mg_error *e) {
  uint64_t n = mg_n_tango(in[0].number, in[1].number, in[2].number, in[3].number, in[4].number, in[5].number);
  if (n == 0) return mg_fail(e, MG_ARG, "no number of cases up to 1e9 does it");
  mg_answer_number(out, "n", (double)n);
  mg_answer_number(out, "power", mg_power_tango(n, in[0].number, in[1].number, in[2].number, in[3].number, in[4].number));
  return MG_OK;
}

static mg_err n_clean(const mg_given *in, mg_answer *out, mg_error *e) {
  if (!(in[0].number > 0)) return mg_fail(e, MG_ARG, "margin must be above 0");
  mg_answer_number(out, "n", (double)mg_n_clean(in[0].number, in[1].number));
  return MG_OK;
}

static mg_err n_to_decide(const mg_given *in, mg_answer *out, mg_error *e) {
  mg_pairs p = pairs_of(in);
  uint64_t n = mg_n_to_decide(&p, in[4].number, in[5].number, in[6].number, in[7].number);
  if (n == 0) return mg_fail(e, MG_ARG, "no number of cases would decide at these rates");
  mg_answer_number(out, "n", (double)n);
  return MG_OK;
}

static mg_err power_mcnemar(const mg_given *in, mg_answer *out, mg_error *e) {
  (void)e;
  mg_answer_number(out, "exact", mg_power_mcnemar(whole(&in[0]), in[1].number, in[2].number, in[3].number, false));
  mg_answer_number(out, "midp", mg_power_mcnemar(whole(&in[0]), in[1].number, in[2].number, in[3].number, true));
  return MG_OK;
}

static mg_err power_tango(const mg_given *in, mg_answer *out, mg_error *e) {
  (void)e;
  mg_answer_number(out, "power", mg_power_tango(whole(&in[0]), in[1].number, in[2].number, in[3].number, in[4].number, in[5].number));
  return MG_OK;
}

/* --- rare things --- */

static mg_err flaky_bound(const mg_given *in, mg_answer *out, mg_error *e) {
  if (in[1].number > in[0].number) return mg_fail(e, MG_ARG, "differing must not be more than reruns");
  mg_answer_number(out, "bound", mg_flaky_bound_seen(whole(&in[1]), whole(&in[0]), in[2].number));
  return MG_OK;
}

static mg_err cover(const mg_given *in, mg_answer *out, mg_error *e) {
  if (in[0].number > in[1].number) return mg_fail(e, MG_ARG, "labelled must not be more than n");
  mg_cover c = mg_cover_check(whole(&in[0]), whole(&in[1]), in[2].number);
  mg_answer_number(out, "reached", c == MG_COVER_REACHED);
  mg_answer_number(out, "missed", c == MG_COVER_MISSED);
  return MG_OK;
}

#define CHANCES SHARE("p_baseline_only"), SHARE("p_candidate_only")
#define POWER SHARE_OR("power", .8)

const mg_method mg_methods_of_runs[] = {
    {"anytime", "difference of paired rates by the sequence that holds at every moment at once", {PAIRS, LEVEL}, anytime},
    {"anytime_evidence", "ln of the stake won against: the difference is at most margin",
     {PAIRS, {"margin", MG_PARAM_NUMBER, -1, 1, NAN, NULL}}, anytime_evidence},
    {"group_boundaries", "z at each look by Lan and DeMets; looks are equal parts, or the shares t",
     {{"looks", MG_PARAM_NUMBER, 0, MG_MAX_LOOKS, 0, NULL}, {"t", MG_PARAM_LIST, 0, 1, 0, NULL}, SPENDING, ALPHA}, group_boundaries},
    {"group_constants", "the constants of Pocock and of O'Brien and Fleming for equal looks", {LOOKS, ALPHA}, group_constants},
    {"group_error", "the two-sided error of boundaries z at shares t", {{"t", MG_PARAM_LIST, 0, 1, NAN, NULL}, {"z", MG_PARAM_LIST, 0, INFINITY, NAN, NULL}},
     group_error},
    {"spent", "error spent on one side until the share t of the cases", {SHARE("t"), ALPHA, SPENDING}, spent},
    {"sprt", "Wald's log likelihood ratio for theta1 against theta0, with its two limits",
     {COUNT("baseline_only"), COUNT("candidate_only"), SHARE_OR("theta0", .5), SHARE_OR("theta1", .75), ALPHA, SHARE_OR("beta", .2)}, sprt},
    {"adjust", "p values corrected for being several",
     {{"p", MG_PARAM_LIST, 0, 1, NAN, NULL}, {"how", MG_PARAM_WORD, 0, 0, 0, "holm hochberg bh by"}}, adjust},
    {"n_tango", "cases after which Tango's interval lies within low .. high with that chance, exact", {CHANCES, LIMITS, ALPHA, POWER}, n_tango},
    {"n_clean", "cases that clear the margin where none differs", {SHARE("margin"), ALPHA}, n_clean},
    {"n_to_decide", "cases that would decide, had they the shares of these", {PAIRS, LIMITS, ALPHA, SHARE_OR("power", .5)}, n_to_decide},
    {"n_mcnemar", "pairs to see a difference, by formula", {CHANCES, ALPHA, POWER}, n_mcnemar},
    {"n_unpaired", "cases of each of two samples, by formula", {SHARE("rate1"), SHARE("rate2"), ALPHA, POWER}, n_unpaired},
    {"n_noninferiority", "pairs to show noninferiority, by Wald's formula",
     {{"delta", MG_PARAM_NUMBER, -1, 1, 0, NULL}, SHARE("discordant"), SHARE("margin"), ALPHA, POWER}, n_noninferiority},
    {"power_tango", "chance that Tango's interval of n pairs lies within low .. high, exact", {COUNT("n"), CHANCES, LIMITS, ALPHA}, power_tango},
    {"power_mcnemar", "chance that McNemar's test of n pairs claims a difference, exact", {COUNT("n"), CHANCES, ALPHA}, power_mcnemar},
    {"flaky_bound", "largest rate of differing that fits these reruns",
     {COUNT("reruns"), {"differing", MG_PARAM_NUMBER, 0, 9007199254740992.0, 0, NULL}, LEVEL}, flaky_bound},
    {"cover", "whether a label certainly reaches, or certainly misses, its share", {COUNT("labelled"), COUNT("n"), SHARE("share")}, cover},
};
const size_t mg_count_of_runs = sizeof mg_methods_of_runs / sizeof *mg_methods_of_runs;
