/* replay.c - `mguard replay REPORT|PLAN --case N`: one case again, every clause shown. */
#include "cli/args.h"
#include "cli/case_task.h"
#include "cli/cli.h"
#include "cli/session.h"
#include "script/plan.h"

#include <errno.h>
#include <jansson.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const mg_flag flags[] = {{"case", "N", "number of the case", NULL},
                                {"seed", "N", "another seed than the plan's or the report's", "seed"},
                                {"baseline", "NAME|FILE", "another implementation as baseline", "baseline"},
                                {"candidate", "NAME|FILE", "another implementation as candidate", "candidate"},
                                {"timeout-ms", "N", "time limit of one role of the case", "timeout_ms"},
                                {"memory-mb", "N", "memory limit of an implementation", "memory_mb"},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"replay", "REPORT|PLAN",
                                   "Runs one case again and shows its input, outputs and every clause for both roles.",
                                   "REPORT is the JSON report of a run: it names the plan, the seed and the implementations.\n"
                                   "Exit code: 0 the candidate holds every clause, 1 it does not, 4 and 5 as everywhere.",
                                   flags, 1, 1};

/* ---- what the report says ---- */

static void pack_text(msgpack_packer *pk, const char *text) {
  msgpack_pack_str(pk, strlen(text));
  msgpack_pack_str_body(pk, text, strlen(text));
}

/* The settings of the report's run as overrides, those of the command line above them. */
static void settings_of(const json_t *report, const mg_args *a, mg_buf *out) {
  static const struct {
    const char *flag, *override, *group, *key;
  } rows[] = {{"seed", "seed", NULL, "seed"},
              {"baseline", "baseline", "given", "baseline"},
              {"candidate", "candidate", "given", "candidate"},
              {"timeout-ms", "timeout_ms", "limits", "case_timeout_ms"},
              {"memory-mb", "memory_mb", "limits", "memory_mb"}};
  enum { ROWS = sizeof rows / sizeof rows[0] };
  char texts[ROWS][4096]; /* a name, a number or a file's path */
  size_t count = 0;
  for (size_t i = 0; i < ROWS; i++) {
    const char *given = mg_args_get(a, &command, rows[i].flag);
    const json_t *from = rows[i].group != NULL ? json_object_get(report, rows[i].group) : report;
    const json_t *v = json_object_get(from, rows[i].key);
    if (v == NULL) v = json_object_get(report, rows[i].key);
    texts[i][0] = '\0';
    if (given != NULL) (void)snprintf(texts[i], sizeof texts[i], "%s", given);
    else if (json_is_string(v)) (void)snprintf(texts[i], sizeof texts[i], "%s", json_string_value(v));
    else if (json_is_integer(v)) (void)snprintf(texts[i], sizeof texts[i], "%lld", (long long)json_integer_value(v));
    count += texts[i][0] != '\0';
  }
  if (count == 0) return;
  msgpack_packer pk;
  msgpack_packer_init(&pk, out, mg_buf_sink);
  msgpack_pack_map(&pk, count);
  for (size_t i = 0; i < ROWS; i++) {
    if (texts[i][0] == '\0') continue;
    pack_text(&pk, rows[i].override);
    pack_text(&pk, texts[i]);
  }
}

/* NULL where the file is no report (a plan, or a built-in task, then). */
static json_t *open_report(const char *path, mg_error *e) {
  if (strncmp(path, "task:", 5) == 0) return NULL;
  FILE *f = fopen(path, "re");
  if (f == NULL) {
    (void)mg_fail_errno(e, MG_ARG, errno, "cannot open %s", path);
    return NULL;
  }
  int c;
  do c = fgetc(f);
  while (c == ' ' || c == '\n' || c == '\t' || c == '\r');
  json_t *report = NULL;
  if (c == '{') {
    rewind(f);
    json_error_t je;
    report = json_loadf(f, 0, &je);
    if (report == NULL) (void)mg_fail(e, MG_ARG, "%s is no report: line %d: %s", path, je.line, je.text);
    else if (!json_is_string(json_object_get(report, "script"))) {
      (void)mg_fail(e, MG_ARG, "%s is no report of mguard: it names no script", path);
      json_decref(report);
      report = NULL;
    }
  }
  (void)fclose(f);
  return report;
}

/* ---- what is shown ---- */

static void show_text(const char *label, mg_slice text) {
  if (text.len > 0) (void)printf("    %-8s %.*s\n", label, (int)text.len, (const char *)text.data);
}

static bool slice_is(mg_slice s, const char *text) { return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0; }

static void show_role(const mg_plan *p, const mg_result *r, mg_role role, const char *name) {
  mg_outcome o = (mg_outcome)(role == MG_BASELINE ? r->outcomes[0] & 15 : r->outcomes[0] >> 4);
  if (o == MG_ABSENT) return;
  (void)printf("\n%s %s: %s\n", mg_role_name(role), name, mg_outcome_name(o));
  bool output_shown = false;
  for (size_t i = 0; i < r->violation_count; i++) {
    const mg_violation *v = &r->violations[i];
    if (v->role != role) continue;
    if (!output_shown && v->output.len > 0) {
      show_text("output", v->output);
      output_shown = true;
    }
    if (v->clause >= MG_EXPLAINED_METRIC) {
      int metric = v->clause - MG_EXPLAINED_METRIC;
      (void)printf("  metric %s: %.*s\n", metric < p->view_count ? p->views[metric].name : "?", (int)v->message.len, (const char *)v->message.data);
      continue;
    }
    bool holds = slice_is(v->message, "holds"), away = slice_is(v->message, "does not apply") || slice_is(v->message, "not reached");
    const char *clause = v->clause < p->clause_count ? p->clauses[v->clause].name : "?";
    (void)printf("  %-6s %s%s%.*s\n", holds ? "ok" : away ? "-" : "FAILED", clause, holds || v->message.len == 0 ? "" : ": ",
                 holds ? 0 : (int)v->message.len, (const char *)v->message.data);
    if (!holds && !away) {
      show_text("input 2", v->input2);
      show_text("output 2", v->output2);
    }
  }
}

static int show(const mg_plan *p, const mg_task *t, uint64_t case_number, const mg_result *r) {
  if (r->fault.len > 0) return mg_complain("replay", MG_EXIT_USAGE, "%.*s", (int)r->fault.len, (const char *)r->fault.data);
  if (r->refused.len > 0) return mg_complain("replay", MG_EXIT_USAGE, "%.*s", (int)r->refused.len, (const char *)r->refused.data);
  if (r->count != 1) return mg_complain("replay", MG_EXIT_FAILURE, "the executor gave no outcome");
  (void)printf("case %llu of seed %lld\n", (unsigned long long)case_number, (long long)p->seed);
  mg_outcome candidate = (mg_outcome)(r->outcomes[0] >> 4);
  if (candidate == MG_DISCARD) {
    (void)printf("  the generator discards this case\n");
    return 0;
  }
  for (size_t i = 0; i < r->violation_count; i++) {
    if (r->violations[i].input.len == 0) continue;
    show_text("input", r->violations[i].input);
    break;
  }
  show_role(p, r, MG_BASELINE, t->baseline);
  show_role(p, r, MG_CANDIDATE, t->candidate);
  return candidate == MG_PASS ? 0 : 1;
}

int mg_cli_replay(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  const char *number = mg_args_get(&a, &command, "case");
  char *end = NULL;
  errno = 0;
  uint64_t case_number = number != NULL ? strtoull(number, &end, 10) : 0;
  if (number == NULL || *number < '0' || *number > '9' || *end != '\0' || errno != 0) {
    return mg_complain("replay", MG_EXIT_USAGE, "--case must be the number of a case, 0 or more, got %s", number != NULL ? number : "nothing");
  }
  mg_error e = {MG_OK, 0, ""};
  mg_buf overrides = {0}, payload = {0};
  mg_plan *plan = NULL;
  mg_session *session = NULL;
  const char *script = a.positional[0];
  json_t *report = open_report(script, &e);
  mg_err err = e.code;
  if (report != NULL) script = json_string_value(json_object_get(report, "script"));
  if (err == MG_OK) {
    settings_of(report, &a, &overrides);
    err = mg_plan_load(&plan, script, overrides.data, overrides.len, &e);
  }
  if (err == MG_OK && !plan->is_plan) err = mg_fail(&e, MG_ARG, "%s is no plan: replay needs to know the implementations", script);
  mg_task t;
  if (err == MG_OK) err = mg_case_task(plan, MG_TASK_EXPLAIN, case_number, 1, &t, &payload, &e);
  const mg_result *r = NULL;
  if (err == MG_OK) err = mg_session_open(&session, script, mg_buf_slice(&overrides), true, &e);
  if (err == MG_OK) err = mg_session_run(session, &t, &r, &e);
  code = err == MG_OK ? show(plan, &t, case_number, r) : mg_complain("replay", err == MG_ARG ? MG_EXIT_USAGE : MG_EXIT_FAILURE, "%s", e.text);
  mg_session_close(session);
  mg_plan_free(plan);
  mg_buf_fini(&overrides);
  mg_buf_fini(&payload);
  json_decref(report);
  return code;
}
