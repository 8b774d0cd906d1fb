/* check.c - `mguard check PLAN`: everything loads, a few cases run twice; what is wrong or slow is said before a real run. */
#include "base/clock.h"
#include "cli/args.h"
#include "cli/case_task.h"
#include "cli/cli.h"
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CASES 20

static const mg_flag flags[] = {{"seed", "N", "another seed than the plan's", "seed"},
                                {"baseline", "NAME|FILE", "another implementation as baseline", "baseline"},
                                {"candidate", "NAME|FILE", "another implementation as candidate", "candidate"},
                                {"timeout-ms", "N", "time limit of one role of a case", "timeout_ms"},
                                {"memory-mb", "N", "memory limit of an implementation", "memory_mb"},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"check", "PLAN",
                                   "Loads the plan, its checks and implementations, runs the first 20 cases twice in fresh states, and says what is wrong or slow.",
                                   "Exit code: 0 nothing is wrong, 3 something is, 4 the plan cannot be used, 5 an internal failure.",
                                   flags, 1, 1};

typedef struct findings {
  int wrong;
  uint32_t cases;
} findings;

static void wrong(findings *f, const char *text) {
  f->wrong++;
  (void)printf("  wrong: %s\n", text);
}

static mg_outcome outcome(const mg_result *r, uint32_t i, mg_role role) {
  return (mg_outcome)(role == MG_BASELINE ? r->outcomes[i] & 15 : r->outcomes[i] >> 4);
}

static void count_outcomes(const mg_plan *p, const mg_result *r, mg_role role, findings *f) {
  const char *name = role == MG_BASELINE ? p->baseline : p->candidate;
  if (name == NULL) return;
  uint32_t counts[16] = {0};
  for (uint32_t i = 0; i < r->count; i++) counts[outcome(r, i, role)]++;
  (void)printf("  %-9s %s:", mg_role_name(role), name);
  for (int o = 0; o < MG_OUTCOMES; o++) {
    if (counts[o] > 0) (void)printf(" %u %s", counts[o], mg_outcome_name((mg_outcome)o));
  }
  (void)printf("\n");
  char text[200];
  if (role == MG_BASELINE && counts[MG_PASS] + counts[MG_DISCARD] < r->count) {
    (void)snprintf(text, sizeof text, "the baseline fails %u of %u cases: are the clauses right?", r->count - counts[MG_PASS] - counts[MG_DISCARD], r->count);
    wrong(f, text);
  }
  if (role == MG_CANDIDATE && counts[MG_DISCARD] * 2 > r->count) {
    (void)snprintf(text, sizeof text, "the generator discards %u of %u cases: make it draw valid cases directly", counts[MG_DISCARD], r->count);
    wrong(f, text);
  }
}

/* How often each clause was looked at, from an EXPLAIN result. */
static void count_clauses(const mg_plan *p, const mg_result *r, findings *f) {
  uint32_t applied[MG_MAX_CLAUSES + 1] = {0}, failed[MG_MAX_CLAUSES + 1] = {0}, discarded = 0;
  for (uint32_t i = 0; i < r->count; i++) discarded += outcome(r, i, MG_CANDIDATE) == MG_DISCARD;
  for (size_t i = 0; i < r->violation_count; i++) {
    const mg_violation *v = &r->violations[i];
    if (v->role != MG_CANDIDATE || v->clause > MG_MAX_CLAUSES) continue;
    bool away = v->message.len == 14 && memcmp(v->message.data, "does not apply", 14) == 0;
    applied[v->clause] += !away;
  }
  for (size_t i = 0; i < r->failed_count; i++) {
    if (r->failed[i].role != MG_CANDIDATE) continue;
    for (int c = 0; c < p->clause_count; c++) failed[c] += (uint32_t)(r->failed[i].mask >> c & 1);
  }
  for (int c = 1; c < p->clause_count; c++) {
    (void)printf("  %-9s %s: applied to %u of %u cases, the candidate violates %u\n", p->clauses[c].kind, p->clauses[c].name, applied[c],
                 r->count - discarded, failed[c]);
    if (applied[c] == 0 && discarded < r->count) {
      char text[MG_NAME_MAX + 64];
      (void)snprintf(text, sizeof text, "\"%.100s\" applied to no case: is its `given` too narrow?", p->clauses[c].name);
      wrong(f, text);
    }
  }
}

/* Metrics that have no value in any result, or raise, from an EXPLAIN result: in a run they would only be missing. */
static void check_metrics(const mg_plan *p, const mg_result *r, findings *f) {
  static const char none[] = "no value";
  for (int m = 0; m < p->view_count; m++) {
    uint32_t asked = 0, missing = 0;
    mg_slice why = {NULL, 0};
    for (size_t i = 0; i < r->violation_count; i++) {
      const mg_violation *v = &r->violations[i];
      if (v->clause != MG_EXPLAINED_METRIC + m) continue;
      asked++;
      if (v->message.len < sizeof none - 1 || memcmp(v->message.data, none, sizeof none - 1) != 0) continue;
      missing++;
      if (why.len == 0 && v->message.len > sizeof none + 1) why = (mg_slice){v->message.data + sizeof none + 1, v->message.len - sizeof none - 1};
    }
    if (missing == 0 || (missing < asked && why.len == 0)) continue;
    char text[MG_NAME_MAX + 400];
    (void)snprintf(text, sizeof text, "metric \"%.100s\" has no value in %u of %u results%s%.*s", p->views[m].name, missing, asked, why.len > 0 ? ": " : "",
                   why.len < 300 ? (int)why.len : 300, why.len > 0 ? (const char *)why.data : "");
    wrong(f, text);
  }
}

static uint64_t mask_of(const mg_result *r, uint32_t index, mg_role role) {
  for (size_t i = 0; i < r->failed_count; i++) {
    if (r->failed[i].index == index && r->failed[i].role == role) return r->failed[i].mask;
  }
  return 0;
}

typedef struct first_pass { /* of the first of the two runs; the session keeps one result only */
  mg_outcome outcomes[MG_ROLES][CASES];
  uint64_t masks[MG_ROLES][CASES];
} first_pass;

static void keep(first_pass *k, const mg_result *r) {
  for (uint32_t i = 0; i < r->count && i < CASES; i++) {
    for (int role = 0; role < MG_ROLES; role++) {
      k->outcomes[role][i] = outcome(r, i, (mg_role)role);
      k->masks[role][i] = mask_of(r, i, (mg_role)role);
    }
  }
}

static void compare(const first_pass *k, const mg_result *r, findings *f) {
  for (uint32_t i = 0; i < r->count && i < CASES; i++) {
    for (int role = 0; role < MG_ROLES; role++) {
      mg_outcome again = outcome(r, i, (mg_role)role);
      if (k->outcomes[role][i] == again && k->masks[role][i] == mask_of(r, i, (mg_role)role)) continue;
      char text[200];
      (void)snprintf(text, sizeof text, "case %u does not repeat: %s, then %s for the %s; it depends on more than its arguments", i,
                     mg_outcome_name(k->outcomes[role][i]), mg_outcome_name(again), mg_role_name((mg_role)role));
      wrong(f, text);
    }
  }
}

static void show_first_violation(const mg_plan *p, const mg_result *r, const char *script) {
  for (size_t i = 0; i < r->violation_count; i++) {
    const mg_violation *v = &r->violations[i];
    if (v->role != MG_CANDIDATE || v->clause >= p->clause_count) continue;
    bool listed = false; /* EXPLAIN lists clauses that hold, too */
    for (size_t k = 0; k < r->failed_count; k++) {
      listed = listed || (r->failed[k].index == v->index && r->failed[k].role == v->role && (r->failed[k].mask >> v->clause & 1));
    }
    if (!listed) continue;
    (void)printf("  first violation: case %llu, \"%s\"; mguard replay %s --case %llu\n", (unsigned long long)v->case_number,
                 p->clauses[v->clause].name, script, (unsigned long long)v->case_number);
    return;
  }
}

static void show_time(const mg_plan *p, int64_t elapsed_ms, uint32_t cases) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  int executors = p->workers > 0 ? p->workers : cores > 0 ? (int)cores : 1;
  double each = (double)elapsed_ms / (double)cases;
  double whole = each * (double)p->cases / 1000 / executors;
  (void)printf("  %u cases took %lld ms; %llu cases on %d executors take about %.0f s%s\n", cases, (long long)elapsed_ms,
               (unsigned long long)p->cases, executors, whole < 1 ? 1 : whole, whole > 3600 ? ": more than an hour, use workers (mguard worker --help)" : "");
}

static mg_err run_all(mg_plan *p, const char *script, mg_session *s, findings *f, mg_error *e) {
  mg_buf payload = {0};
  mg_task t;
  const mg_result *r = NULL;
  first_pass first;
  f->cases = p->cases < CASES ? (uint32_t)p->cases : CASES;
  mg_err err = mg_case_task(p, MG_TASK_COUNT, 0, f->cases, &t, &payload, e);
  mg_ms start = mg_now_ms();
  if (err == MG_OK) err = mg_session_run(s, &t, &r, e);
  mg_ms elapsed = mg_now_ms() - start;
  if (err == MG_OK && r->fault.len > 0) err = mg_fail(e, MG_ARG, "%.*s", (int)r->fault.len, (const char *)r->fault.data);
  if (err == MG_OK && r->refused.len > 0) err = mg_fail(e, MG_ARG, "%.*s", (int)r->refused.len, (const char *)r->refused.data);
  if (err == MG_OK) {
    count_outcomes(p, r, MG_BASELINE, f);
    count_outcomes(p, r, MG_CANDIDATE, f);
    show_first_violation(p, r, script);
    show_time(p, elapsed, f->cases);
    keep(&first, r);
    t.kind = MG_TASK_EXPLAIN;
    err = mg_session_run(s, &t, &r, e);
  }
  if (err == MG_OK) {
    count_clauses(p, r, f);
    check_metrics(p, r, f);
    compare(&first, r, f);
  }
  mg_buf_fini(&payload);
  return err;
}

int mg_cli_check(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  const char *script = a.positional[0];
  mg_error e;
  mg_buf overrides = {0};
  mg_plan *plan = NULL;
  mg_session *session = NULL;
  findings f = {0, 0};
  mg_args_overrides(&a, &command, &overrides);
  mg_err err = mg_plan_load(&plan, script, overrides.data, overrides.len, &e);
  if (err == MG_OK && !plan->is_plan) err = mg_fail(&e, MG_ARG, "%s returns checks, not a plan: check the plan that uses them", script);
  if (err == MG_OK) err = mg_session_open(&session, script, mg_buf_slice(&overrides), true, &e);
  if (err == MG_OK) {
    (void)printf("%s: %s, %llu cases of seed %lld\n", script, plan->name, (unsigned long long)plan->cases, (long long)plan->seed);
    err = run_all(plan, script, session, &f, &e);
  }
  if (err != MG_OK) {
    code = mg_complain("check", err == MG_ARG ? MG_EXIT_USAGE : MG_EXIT_FAILURE, "%s", e.text);
  } else if (f.wrong > 0) {
    (void)printf("%d thing%s to look at\n", f.wrong, f.wrong == 1 ? "" : "s");
    code = 3;
  } else {
    (void)printf("nothing is wrong\n");
    code = 0;
  }
  mg_session_close(session);
  mg_plan_free(plan);
  mg_buf_fini(&overrides);
  return code;
}
