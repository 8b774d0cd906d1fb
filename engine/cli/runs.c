/* runs.c - `mguard runs`: the runs that have a journal here, and away with old ones. */
#include "cli/runs.h"

#include "cli/cli.h"
#include "cli/console.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 86400000 };

static const mg_flag flags[] = {MG_STATE_DIR_FLAG,
                                {"prune", NULL, "remove the journals of runs that ended", NULL},
                                {"older-than", "DAYS", "with --prune: those begun so long ago (default 7)", NULL},
                                {"all", NULL, "with --prune: also those that could be resumed", NULL},
                                {"json", NULL, "one JSON object on standard output", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"runs",
                                   "",
                                   "Lists the runs that have a journal on this machine, and removes old ones.",
                                   "States: running; broken off (its coordinator was killed), interrupted and failed can be resumed; ended has a verdict;\n"
                                   "empty and damaged cannot be read. A run without a journal is not listed: short ones on one machine leave none.",
                                   flags,
                                   0,
                                   0};

/* --- one run --- */

const char *mg_standing_name(mg_run_standing s) {
  static const char *const names[] = {"running", "broken off", "interrupted", "failed", "ended", "empty", "damaged"};
  return names[s];
}

static mg_err read_facts(mg_run_entry *r, mg_buf *state) {
  mg_runfile *f = r->file;
  mg_err err = mg_recording_fact(f, "state", state, &r->why);
  if (err == MG_OK) err = mg_recording_fact(f, "name", &r->name, &r->why);
  if (err == MG_OK) err = mg_recording_fact(f, "backend", &r->backend, &r->why);
  if (err == MG_OK) err = mg_recording_fact(f, "verdict", &r->verdict, &r->why);
  if (err == MG_OK) err = mg_recording_fact(f, "plan", &r->plan, &r->why);
  if (err == MG_OK) err = mg_recording_fact(f, "report", &r->report, &r->why);
  if (err == MG_OK) err = mg_recording_number(f, "started_ms", &r->started_ms, &r->why);
  if (err == MG_OK) err = mg_recording_number(f, "cases", &r->planned, &r->why);
  if (err == MG_OK) err = mg_recording_number(f, "epoch", &r->epoch, &r->why);
  return err == MG_OK ? mg_runfile_cases(f, &r->recorded, &r->why) : err;
}

void mg_run_entry_read(mg_run_entry *r) {
  mg_buf state = {0};
  bool held = mg_runfile_held(r->dir, r->run);
  mg_err err = mg_runfile_open(&r->file, r->dir, r->run, false, &r->why);
  if (err == MG_OK) err = read_facts(r, &state);
  const char *s = err == MG_OK ? (const char *)state.data : "";
  r->standing = err == MG_LOST                  ? MG_STANDS_EMPTY
                : err != MG_OK                  ? MG_STANDS_DAMAGED
                : held                          ? MG_STANDS_RUNNING
                : strcmp(s, "ended") == 0       ? MG_STANDS_ENDED
                : strcmp(s, "interrupted") == 0 ? MG_STANDS_INTERRUPTED
                : strcmp(s, "failed") == 0      ? MG_STANDS_FAILED
                                                : MG_STANDS_BROKEN;
  if (err != MG_OK) {
    mg_runfile_close(r->file);
    r->file = NULL;
  }
  mg_buf_fini(&state);
}

void mg_run_entry_fini(mg_run_entry *r) {
  mg_runfile_close(r->file);
  mg_buf_fini(&r->name);
  mg_buf_fini(&r->backend);
  mg_buf_fini(&r->verdict);
  mg_buf_fini(&r->plan);
  mg_buf_fini(&r->report);
}

mg_err mg_run_find(const char *dir, const char *name, char out[MG_RUN_ID_BYTES], mg_error *e) {
  char **runs;
  size_t count;
  bool latest = strcmp(name, "latest") == 0, found = false;
  if (!latest && !mg_ident_ok(name, MG_RUN_ID_BYTES - 1, "")) return mg_fail(e, MG_ARG, "%s is no name of a run; mguard runs lists them", name);
  mg_err err = mg_runfile_list(dir, &runs, &count, e);
  for (size_t i = count; i-- > 0;) {
    if (!found && (latest || strcmp(runs[i], name) == 0)) found = snprintf(out, MG_RUN_ID_BYTES, "%s", runs[i]) < MG_RUN_ID_BYTES;
    free(runs[i]);
  }
  free(runs);
  return err != MG_OK || found ? err
                               : mg_fail(e, MG_ARG, "there is no journal of run %s in %s; --state-dir names the folder, mguard runs lists the runs", name, dir);
}

/* --- all of them --- */

static const char *said(const mg_buf *b) { return b->len > 0 ? (const char *)b->data : ""; }

static json_t *json_of(const mg_run_entry *r) {
  char started[32] = "";
  if (r->file != NULL) mg_wall_text(r->started_ms, started, sizeof started);
  return json_pack("{s:o?, s:s, s:o?, s:o?, s:s, s:I, s:I, s:I, s:o?, s:o?}", "run", mg_json_plain(r->run), "state", mg_standing_name(r->standing), "verdict",
                   r->standing == MG_STANDS_ENDED ? mg_json_plain(said(&r->verdict)) : json_null(), "why",
                   r->file == NULL ? mg_json_plain(r->why.text) : json_null(), "started", started, "planned", (json_int_t)r->planned, "recorded",
                   (json_int_t)r->recorded, "resumes", (json_int_t)(r->epoch > 1 ? r->epoch - 1 : 0), "backend", mg_json_plain(said(&r->backend)), "name",
                   mg_json_plain(said(&r->name)));
}

static void print(const mg_run_entry *r, bool first) {
  char started[32] = "-", cases[64] = "-", name[256];
  if (first) (void)printf("%-21s %-12s %-12s %-20s %-24s %-9s %s\n", "RUN", "STATE", "VERDICT", "STARTED", "CASES", "BACKEND", "PLAN");
  if (r->file != NULL) {
    mg_wall_text(r->started_ms, started, sizeof started);
    (void)snprintf(cases, sizeof cases, "%" PRIu64 " of %" PRId64, r->recorded, r->planned);
  }
  size_t len = strlen(said(&r->name));
  mg_console_plain(name, said(&r->name), len < sizeof name ? len : sizeof name - 1);
  (void)printf("%-21s %-12s %-12s %-20s %-24s %-9s %s\n", r->run, mg_standing_name(r->standing), r->standing == MG_STANDS_ENDED ? said(&r->verdict) : "-",
               started, cases, r->file != NULL ? said(&r->backend) : "-", r->file != NULL ? name : r->why.text);
}

static bool to_go(const mg_run_entry *r, bool all, int64_t before_ms) {
  if (r->standing == MG_STANDS_RUNNING) return false;
  if (r->standing == MG_STANDS_EMPTY) return true;
  return r->standing == MG_STANDS_ENDED ? r->started_ms < before_ms : all && r->started_ms < before_ms;
}

int mg_cli_runs(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  double days;
  if (!mg_args_number(&a, &command, "older-than", 0, 36500, 7, &days)) return MG_EXIT_USAGE;
  const char *dir = mg_args_get(&a, &command, "state-dir");
  bool prune = mg_args_get(&a, &command, "prune") != NULL, all = mg_args_get(&a, &command, "all") != NULL, json = mg_args_get(&a, &command, "json") != NULL;
  if (dir == NULL) dir = MG_STATE_DIR;
  char **runs;
  size_t count, removed = 0, shown = 0;
  mg_error e;
  mg_err err = mg_runfile_list(dir, &runs, &count, &e);
  json_t *list = json_array();
  code = 0;
  for (size_t i = 0; i < count; i++) {
    mg_run_entry r = {.dir = dir, .run = runs[i]};
    mg_run_entry_read(&r);
    bool goes = prune && to_go(&r, all, mg_wall_ms() - (int64_t)(days * DAY_MS));
    if (json && goes == prune)
      (void)json_array_append_new(list, json_of(&r));
    else if (!json && goes == prune)
      print(&r, shown++ == 0);
    mg_run_entry_fini(&r);
    if (goes && mg_runfile_remove(dir, runs[i], &e) != MG_OK)
      code = mg_complain("runs", MG_EXIT_FAILURE, "%s", e.text);
    else
      removed += goes;
    free(runs[i]);
  }
  free(runs);
  if (err != MG_OK) code = mg_complain("runs", MG_EXIT_USAGE, "%s", e.text);
  mg_console console = {.command = &command};
  if (json && err == MG_OK) return mg_console_print(&console, json_pack("{s:s, s:o, s:I}", "folder", dir, "runs", list, "removed", (json_int_t)removed)) + code;
  json_decref(list);
  if (err == MG_OK && prune)
    (void)printf("%zu journal%s removed\n", removed, removed == 1 ? "" : "s");
  else if (err == MG_OK && shown == 0)
    (void)printf("no run has a journal in %s\n", dir);
  return code;
}
