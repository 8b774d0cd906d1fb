/* report.c - `mguard report RUN`: the report of a run again, from its journal. */
#include "cli/cli.h"
#include "cli/runs.h"
#include "observe/report.h"
#include "script/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const mg_flag flags[] = {MG_STATE_DIR_FLAG,
                                {"report-json", "FILE", "write the report as JSON", NULL},
                                {"json", NULL, "the JSON report on standard output, in place of the summary", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"report",
                                   "RUN",
                                   "Shows the report of a run again, from its journal.",
                                   "RUN may be latest. A run that has not ended has no report, one that was interrupted has that of its interruption.",
                                   flags,
                                   1,
                                   1};

mg_err mg_show_summary(mg_script *s, mg_slice report, mg_error *e) {
  struct winsize size = {0};
  bool terminal = isatty(STDOUT_FILENO) == 1;
  int width = terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 100;
  mg_buf text = {0};
  mg_err err = mg_render_summary(s, report, width, terminal && getenv("NO_COLOR") == NULL, &text, e);
  if (err == MG_OK) {
    (void)fwrite(text.data, 1, text.len, stdout);
    if (fflush(stdout) != 0) err = mg_fail(e, MG_FATAL, "the summary cannot be written to standard output");
  }
  mg_buf_fini(&text);
  return err;
}

static int say(const mg_error *e) { return mg_complain("report", e->code == MG_FATAL || e->code == MG_NOMEM ? MG_EXIT_FAILURE : MG_EXIT_USAGE, "%s", e->text); }

static mg_err show(mg_slice report, mg_error *e) {
  mg_script *s = mg_script_new(0);
  mg_err err = s == NULL ? mg_fail(e, MG_NOMEM, "memory ended") : mg_show_summary(s, report, e);
  mg_script_free(s);
  return err;
}

int mg_cli_report(int argc, char **argv) {
  mg_args a;
  mg_error e;
  char run[MG_RUN_ID_BYTES];
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  const char *dir = mg_args_get(&a, &command, "state-dir"), *file = mg_args_get(&a, &command, "report-json");
  if (dir == NULL) dir = MG_STATE_DIR;
  if (mg_run_find(dir, a.positional[0], run, &e) != MG_OK) return say(&e);
  mg_run_entry r = {.dir = dir, .run = run};
  mg_run_entry_read(&r);
  mg_slice report = r.report.len > 1 ? (mg_slice){r.report.data, r.report.len - 1} : (mg_slice){0};
  mg_err err = MG_OK;
  if (r.file == NULL)
    err = mg_fail(&e, r.why.code, "%s", r.why.text);
  else if (report.len == 0 || r.standing == MG_STANDS_RUNNING || r.standing == MG_STANDS_BROKEN)
    err =
        mg_fail(&e, MG_ARG, "run %s has no report: it is %s with %" PRIu64 " of %" PRId64 " cases recorded%s%s", run, mg_standing_name(r.standing), r.recorded,
                r.planned, r.standing == MG_STANDS_RUNNING ? "" : "; go on with mguard run --resume ", r.standing == MG_STANDS_RUNNING ? "" : run);
  if (err == MG_OK && file != NULL) err = mg_report_write(file, report, &e);
  if (err == MG_OK && mg_args_get(&a, &command, "json") != NULL)
    (void)fwrite(report.data, 1, report.len, stdout);
  else if (err == MG_OK)
    err = show(report, &e);
  mg_run_entry_fini(&r);
  return err == MG_OK ? 0 : say(&e);
}
