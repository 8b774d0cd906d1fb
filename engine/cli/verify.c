/* verify.c - `mguard verify RUN`: is every case recorded once, is the digest right, and is nothing left on the broker? */
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/runs.h"
#include "dispatch/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_EVERY_MS = 100, FOUND = 1 };

static const mg_flag flags[] = {MG_STATE_DIR_FLAG, MG_CONSOLE_FLAGS, {NULL, NULL, NULL, NULL}};

static const mg_command command = {
    "verify",
    "RUN",
    "Counts a run's journal anew, and what the run left on its broker.",
    "RUN may be latest. Without --backend the broker is that of the run's own plan and options. Exit code 0: every case is recorded once, nothing is lost,\n"
    "unexpected or left, and the digest is that of the report; 1: something is, or the run has not ended; 4 and 5 as everywhere.",
    flags,
    1,
    1};

typedef struct findings {
  mg_run_entry *r;
  mg_audit audit;
  int64_t residue; /* -1: the broker could not be asked */
  bool digest_known, digest_right, ended;
  uint64_t unrun; /* by the report, of an ended run */
} findings;

/* --- the report against the records --- */

static mg_err compare_digest(findings *f, json_t *report, mg_error *e) {
  const char *names[MG_MAX_CLAUSES];
  int count = 0;
  size_t i;
  json_t *clause, *clauses = json_object_get(report, "clauses");
  const char *said = json_string_value(json_object_get(report, "outcome_digest"));
  char hex[33];
  mg_digest sum;
  json_array_foreach(clauses, i, clause) {
    const char *name = json_string_value(json_object_get(clause, "name"));
    if (i > 0 && name != NULL && count < MG_MAX_CLAUSES) names[count++] = name;
  }
  if (said == NULL) return MG_OK;
  /* A rule that ended the run leaves out what lies behind its last look; there is more recorded than counted then. */
  uint64_t limit = f->audit.missing < f->unrun ? f->audit.planned - f->unrun : f->audit.planned;
  mg_err err = mg_audit_digest(&f->audit, f->r->file, names, count, json_is_string(json_object_get(report, "baseline")), limit, &sum, e);
  if (err != MG_OK) return err;
  mg_digest_hex(&sum, hex);
  f->digest_known = true;
  f->digest_right = strcmp(hex, said) == 0;
  return MG_OK;
}

static mg_err read_journal(findings *f, mg_error *e) {
  mg_run_entry *r = f->r;
  f->audit = (mg_audit){.run = r->run, .planned = (uint64_t)r->planned};
  mg_err err = mg_audit_read(&f->audit, r->file, e);
  f->ended = r->standing == MG_STANDS_ENDED;
  if (err != MG_OK || !f->ended) return err;
  json_t *report = json_loadb((const char *)r->report.data, r->report.len > 0 ? r->report.len - 1 : 0, 0, NULL);
  if (report == NULL) return mg_fail(e, MG_FATAL, "the report in the journal cannot be read");
  f->unrun = (uint64_t)json_integer_value(json_object_get(json_object_get(json_object_get(report, "outcomes"), "candidate"), "unrun"));
  err = compare_digest(f, report, e);
  json_decref(report);
  return err;
}

/* --- the broker --- */

static int64_t left_there(mg_console *c, const char *run, mg_error *e) {
  mg_ms until = mg_console_until(c);
  for (;;) { /* workers that have just heard of the end may still settle */
    mg_depth d = {-1, -1, -1, -1, -1};
    if (c->ops->depth(c->backend, run, mg_console_until(c), &d, e) != MG_OK) return -1;
    int64_t n = (d.pending > 0 ? d.pending : 0) + (d.in_flight > 0 ? d.in_flight : 0) + (d.results > 0 ? d.results : 0);
    if (n == 0 || mg_now_ms() >= until) return n;
    (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
  }
}

/* -1 to go on, else the exit code after a message. */
static int read_broker(findings *f, mg_console *c, mg_args *a) {
  bool given = mg_args_get(a, &command, "backend") != NULL || mg_args_get(a, &command, "queue-config") != NULL;
  mg_error e;
  mg_buf kept = {0};
  int code = -1;
  if (!given && strcmp((const char *)f->r->backend.data, "memory") == 0) return -1; /* it went with its process */
  if (!given && mg_runfile_get(f->r->file, "flags", &kept, &e) == MG_OK) mg_recording_add_flags(mg_buf_slice(&kept), a, &command);
  f->residue = -1;
  code = mg_console_open(c, &command, a, given ? NULL : (const char *)f->r->plan.data, 0);
  if (code < 0) {
    f->residue = left_there(c, f->r->run, &e);
    if (f->residue < 0) code = mg_console_fail(c, &e);
  }
  mg_buf_fini(&kept);
  return code;
}

/* --- all of it --- */

static bool clean(const findings *f) {
  const mg_audit *a = &f->audit;
  return f->ended && a->missing <= f->unrun && a->lost == 0 && a->duplicated == 0 && a->unexpected == 0 && f->residue == 0 &&
         (!f->digest_known || f->digest_right);
}

static void line(const char *what, uint64_t n, const char *more) { (void)printf("%-12s %" PRIu64 "%s%s\n", what, n, *more != '\0' ? "   " : "", more); }

static void print(const findings *f) {
  const mg_audit *a = &f->audit;
  uint64_t unrun = f->ended ? (a->missing < f->unrun ? a->missing : f->unrun) : 0;
  line("planned", a->planned, "");
  line("recorded", a->recorded, "");
  line("unrun", unrun, unrun > 0 ? "the run ended before them" : "");
  line("outstanding", a->missing - unrun, a->missing == unrun ? "" : f->ended ? "the report does not tell of them" : "the run has not ended");
  line("lost", a->lost, "");
  if (a->crashed > 0) line("crashed", a->crashed, "given up while the candidate ran: failures of the candidate");
  line("duplicated", a->duplicated, "");
  line("unexpected", a->unexpected, "");
  line("dropped", a->dropped, "deliveries of what was recorded before");
  line("recovered", a->recovered, "cases of tasks that were handed out again");
  line("resumed", f->r->epoch > 1 ? (uint64_t)f->r->epoch - 1 : 0, "times");
  if (f->residue < 0)
    (void)printf("%-12s unknown\n", "residue");
  else
    line("residue", (uint64_t)f->residue, f->residue > 0 ? "messages on the broker" : "");
  if (f->digest_known) (void)printf("%-12s %s\n", "digest", f->digest_right ? "that of the report" : "NOT that of the report");
  (void)printf("%s\n", clean(f) ? "nothing is lost, nothing counted twice" : f->ended ? "NOT as it should be" : "not ended");
}

static int print_json(const findings *f, const mg_console *c) {
  const mg_audit *a = &f->audit;
  return mg_console_print(c, json_pack("{s:o?, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "run", mg_json_plain(f->r->run),
                                       "state", mg_standing_name(f->r->standing), "clean", clean(f), "planned", (json_int_t)a->planned, "recorded",
                                       (json_int_t)a->recorded, "missing", (json_int_t)a->missing, "unrun", (json_int_t)f->unrun, "lost", (json_int_t)a->lost,
                                       "crashed", (json_int_t)a->crashed, "duplicated", (json_int_t)a->duplicated, "unexpected", (json_int_t)a->unexpected,
                                       "dropped", (json_int_t)a->dropped, "recovered", (json_int_t)a->recovered, "resumed",
                                       (json_int_t)(f->r->epoch > 1 ? f->r->epoch - 1 : 0), "residue", f->residue < 0 ? json_null() : json_integer(f->residue),
                                       "digest_right", f->digest_known ? json_boolean(f->digest_right) : json_null()));
}

int mg_cli_verify(int argc, char **argv) {
  mg_args a;
  mg_error e;
  char run[MG_RUN_ID_BYTES];
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  const char *dir = mg_args_get(&a, &command, "state-dir");
  if (dir == NULL) dir = MG_STATE_DIR;
  mg_console console = {.command = &command};
  mg_err err = mg_run_find(dir, a.positional[0], run, &e);
  if (err != MG_OK) return mg_console_fail(&console, &e);
  mg_run_entry r = {.dir = dir, .run = run};
  findings f = {.r = &r};
  mg_run_entry_read(&r);
  if (r.file == NULL)
    code = mg_console_fail(&console, &r.why);
  else if (read_journal(&f, &e) != MG_OK)
    code = mg_console_fail(&console, &e);
  else {
    code = read_broker(&f, &console, &a);
    bool json = mg_args_get(&a, &command, "json") != NULL;
    if (!json) print(&f);
    int printed = json ? print_json(&f, &console) : 0;
    if (code < 0) code = printed != 0 ? printed : clean(&f) ? 0 : FOUND;
  }
  mg_console_close(&console);
  mg_run_entry_fini(&r);
  return code;
}
