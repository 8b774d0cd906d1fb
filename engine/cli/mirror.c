#include "cli/mirror.h"

#include "cli/cli.h"
#include "execute/spawn.h"
#include "judge/goal.h"
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct mg_mirror {
  pid_t pid;
  char folder[64], report[80];
};

/* Whether the mirror is told of it as well. */
static bool handed_on(const mg_flag *f) {
  static const char *const own[] = {"backend", "queue-config", "report-json"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    if (strcmp(f->name, own[i]) == 0) return false;
  }
  return f->override != NULL || strcmp(f->name, "drain-timeout") == 0;
}

static mg_err start(mg_mirror *m, const mg_args *a, const mg_command *c, const char *queue, mg_error *e) {
  char names[MG_MAX_FLAGS][40], *argv[2 * MG_MAX_FLAGS + 10];
  const char *const first[] = {mg_program_path(), "run", a->positional[0], "--queue-config", queue, "--report-json", m->report, "--no-journal", "--quiet"};
  int n = 0;
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) argv[n++] = (char *)(uintptr_t)first[i];
  for (int i = 0; c->flags[i].name != NULL; i++) {
    if (a->values[i] == NULL || !handed_on(&c->flags[i])) continue;
    (void)snprintf(names[i], sizeof names[i], "--%s", c->flags[i].name);
    argv[n++] = names[i];
    if (c->flags[i].value != NULL) argv[n++] = (char *)(uintptr_t)a->values[i];
  }
  argv[n] = NULL;
  const mg_spawn how = {.argv = argv, .fds = {-1, -1, STDERR_FILENO, -1, -1}};
  return mg_spawn_start(&how, &m->pid, e);
}

mg_err mg_mirror_start(mg_mirror **out, const mg_args *a, const mg_command *c, mg_error *e) {
  *out = NULL;
  const char *queue = mg_args_get(a, c, "mirror");
  if (queue == NULL) return MG_OK;
  static const char *const alone[] = {"resume", "plan-power"};
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
    if (mg_args_get(a, c, alone[i]) != NULL) return mg_fail(e, MG_ARG, "--mirror goes with a whole run, not with --%s", alone[i]);
  }
  mg_mirror *m = calloc(1, sizeof *m);
  if (m == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  (void)strcpy(m->folder, "/tmp/mguard-mirror-XXXXXX");
  mg_err err = mkdtemp(m->folder) != NULL ? MG_OK : mg_fail_errno(e, MG_FATAL, errno, "no folder can be made below /tmp");
  (void)snprintf(m->report, sizeof m->report, "%s/report.json", m->folder);
  if (err == MG_OK && (err = start(m, a, c, queue, e)) != MG_OK) (void)rmdir(m->folder);
  if (err == MG_OK) *out = m;
  else free(m);
  return err;
}

static const char *text(const json_t *object, const char *key) {
  const char *t = json_string_value(json_object_get(object, key));
  return t != NULL ? t : "?";
}

int mg_mirror_end(mg_mirror *m, const char *digest, int code, bool quiet) {
  if (m == NULL) return code;
  int status = 0;
  pid_t done = 0;
  if (digest == NULL) (void)kill(m->pid, SIGTERM);
  else if (!quiet && (done = waitpid(m->pid, &status, WNOHANG)) == 0) (void)fprintf(stderr, "the run is over, its mirror goes on\n");
  while (done == 0 && (done = waitpid(m->pid, &status, 0)) < 0 && errno == EINTR) done = 0;
  json_error_t ignored;
  json_t *report = digest != NULL ? json_load_file(m->report, 0, &ignored) : NULL;
  (void)unlink(m->report);
  (void)rmdir(m->folder);
  free(m);
  if (digest == NULL) return code;
  bool decided = code >= MG_ADOPT && code <= MG_INCONCLUSIVE;
  if (report == NULL || !WIFEXITED(status) || WEXITSTATUS(status) > MG_INVALID) {
    char how[80];
    mg_spawn_status_text(status, how, sizeof how);
    (void)mg_complain("run", 0, "the mirror has no outcomes to compare: it %s", how);
    json_decref(report);
    return decided ? MG_EXIT_FAILURE : code;
  }
  const char *there = text(report, "outcome_digest"), *backend = text(json_object_get(report, "delivery"), "backend");
  bool same = strcmp(there, digest) == 0;
  if (!same) (void)mg_complain("run", 0, "the mirror on %s has other outcomes (%s): digest %s, here %s", backend, text(report, "verdict"), there, digest);
  else if (!quiet)
    (void)fprintf(stderr, "mirror on %s: the same outcomes, %s, %.1f s\n", backend, text(report, "verdict"), json_number_value(json_object_get(report, "seconds")));
  json_decref(report);
  return same || !decided ? code : MG_INVALID;
}
