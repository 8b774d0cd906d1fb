#include "cli/recording.h"

#include "base/hash.h"
#include "cli/runs.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FACTS = 24 };

/* --- facts --- */

typedef struct fact_list {
  mg_fact facts[FACTS];
  char numbers[FACTS][24];
  size_t count;
} fact_list;

static void add(fact_list *l, const char *key, mg_slice value) { l->facts[l->count++] = (mg_fact){key, value}; }

static void add_text(fact_list *l, const char *key, const char *text) { add(l, key, mg_slice_of(text != NULL ? text : "")); }

static void add_number(fact_list *l, const char *key, int64_t n) {
  char *at = l->numbers[l->count];
  (void)snprintf(at, sizeof l->numbers[0], "%" PRId64, n);
  add_text(l, key, at);
}

mg_err mg_recording_fact(mg_runfile *f, const char *key, mg_buf *out, mg_error *e) {
  mg_buf_clear(out);
  mg_err err = mg_runfile_get(f, key, out, e);
  mg_buf_put(out, "", 1);
  return err == MG_OK && out->failed ? mg_fail(e, MG_NOMEM, "memory ended") : err;
}

mg_err mg_recording_number(mg_runfile *f, const char *key, int64_t *out, mg_error *e) {
  mg_buf text = {0};
  mg_err err = mg_recording_fact(f, key, &text, e);
  if (err == MG_OK) *out = strtoll((const char *)text.data, NULL, 10);
  mg_buf_fini(&text);
  return err;
}

/* --- what a run is made of --- */

static bool hash_file(const char *path, char hex[2 * MG_SHA256_BYTES + 1]) {
  uint8_t sum[MG_SHA256_BYTES], bytes[65536];
  FILE *f = fopen(path, "rbe");
  mg_sha256 *h = f != NULL ? mg_sha256_new() : NULL;
  if (h != NULL) {
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;) mg_sha256_add(h, bytes, n);
  }
  bool ok = h != NULL && ferror(f) == 0 && mg_sha256_end(h, sum);
  if (f != NULL) (void)fclose(f);
  if (ok) mg_hex(sum, sizeof sum, hex);
  return ok;
}

static void put_part(mg_buf *out, const char *path) {
  char hex[2 * MG_SHA256_BYTES + 1];
  const char *slash = path == NULL ? NULL : strrchr(path, '/');
  if (path != NULL && hash_file(path, hex)) mg_buf_putf(out, "the file %s\t%s\n", slash != NULL ? slash + 1 : path, hex);
}

/* The fingerprint's parts are what workers must have alike; goals and inputs stand in files that they need not have. */
static void parts_of(const mg_plan *p, mg_buf *out) {
  mg_buf_puts(out, p->parts != NULL ? p->parts : "");
  put_part(out, p->path);
  put_part(out, p->inputs);
  mg_buf_put(out, "", 1);
}

/* Does a line of `parts` begin with these bytes? */
static bool has(const char *parts, const char *begin, size_t len) {
  for (const char *at = parts, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
    if (strncmp(at, begin, len) == 0) return true;
  }
  return false;
}

static void say(mg_buf *out, const char *format, const char *label, size_t len) {
  mg_buf_puts(out, out->len > 0 ? ", " : "");
  mg_buf_putf(out, format, (int)len, label);
}

static void compare_parts(const char *before, const char *now, mg_buf *out) {
  for (const char *at = before, *end; *at != '\0' && (end = strchr(at, '\n')) != NULL; at = end + 1) {
    size_t len = strcspn(at, "\t");
    if (has(now, at, (size_t)(end - at) + 1)) continue;
    say(out, has(now, at, len + 1) ? "%.*s has changed" : "%.*s is gone", at, len);
  }
  for (const char *at = now, *end; *at != '\0' && (end = strchr(at, '\n')) != NULL; at = end + 1) {
    size_t len = strcspn(at, "\t");
    if (!has(before, at, len + 1)) say(out, "%.*s is new", at, len);
  }
}

static mg_err compare_text(mg_runfile *f, const char *key, const char *what, const char *now, mg_buf *out, mg_error *e) {
  mg_buf before = {0};
  mg_err err = mg_recording_fact(f, key, &before, e);
  if (err == MG_OK && strcmp((const char *)before.data, now) != 0) {
    mg_buf_puts(out, out->len > 0 ? ", " : "");
    mg_buf_putf(out, "the %s was %s and is now %s", what, before.len > 1 ? (const char *)before.data : "none", now[0] != '\0' ? now : "none");
  }
  mg_buf_fini(&before);
  return err;
}

static mg_err compare_number(mg_runfile *f, const char *key, const char *what, int64_t now, mg_buf *out, mg_error *e) {
  char text[24];
  (void)snprintf(text, sizeof text, "%" PRId64, now);
  return compare_text(f, key, what, text, out, e);
}

mg_err mg_recording_compare(mg_recording *r, const mg_plan *p, mg_error *e) {
  mg_buf changed = {0}, now = {0}, before = {0};
  if (r->file == NULL) return MG_OK;
  parts_of(p, &now);
  mg_err err = mg_recording_fact(r->file, "parts", &before, e);
  if (err == MG_OK && now.failed) err = mg_fail(e, MG_NOMEM, "memory ended");
  if (err == MG_OK) compare_parts((const char *)before.data, (const char *)now.data, &changed);
  if (err == MG_OK) err = compare_number(r->file, "seed", "seed", p->seed, &changed, e);
  if (err == MG_OK) err = compare_number(r->file, "cases", "number of cases", (int64_t)p->cases, &changed, e);
  if (err == MG_OK) err = compare_text(r->file, "baseline", "baseline", p->baseline != NULL ? p->baseline : "", &changed, e);
  if (err == MG_OK) err = compare_text(r->file, "candidate", "candidate", p->candidate != NULL ? p->candidate : "", &changed, e);
  if (err == MG_OK) err = compare_number(r->file, "timeout_ms", "time limit in ms", p->case_timeout_ms, &changed, e);
  if (err == MG_OK) err = compare_number(r->file, "memory_mb", "memory limit in MB", p->memory_mb, &changed, e);
  char hex[65];
  mg_hex(p->fingerprint, sizeof p->fingerprint, hex);
  if (err == MG_OK && changed.len == 0) err = compare_text(r->file, "fingerprint", "fingerprint of the scripts", hex, &changed, e);
  mg_buf_put(&changed, "", 1);
  if (err == MG_OK && changed.len > 1) {
    err = mg_fail(e, MG_ARG, "run %s cannot be resumed with something else than it was begun with: %s", r->run, (const char *)changed.data);
  }
  mg_buf_fini(&changed);
  mg_buf_fini(&now);
  mg_buf_fini(&before);
  return err;
}

/* --- flags --- */

static bool is_text_config(const mg_flag *f, const char *value) { return strcmp(f->name, "queue-config") == 0 && value[strspn(value, " \t\r\n")] == '{'; }

/* What decides over the run and its queue; the rest is said anew each time. */
static void pack_flags(mg_recording *r, const mg_args *a, const mg_command *command) {
  mg_buf_clear(&r->flags);
  for (int i = 0; command->flags[i].name != NULL; i++) {
    const mg_flag *f = &command->flags[i];
    if (f->override == NULL || a->values[i] == NULL) continue;
    if (is_text_config(f, a->values[i])) {
      r->config_given = true;
      continue;
    }
    char *real = strcmp(f->name, "queue-config") == 0 ? realpath(a->values[i], NULL) : NULL; /* wherever it is resumed */
    const char *value = real != NULL ? real : a->values[i];
    mg_buf_put(&r->flags, f->name, strlen(f->name) + 1);
    mg_buf_put(&r->flags, value, strlen(value) + 1);
    free(real);
  }
}

void mg_recording_add_flags(mg_slice flags, mg_args *a, const mg_command *command) {
  const char *at = (const char *)flags.data, *end = at + flags.len;
  while (at < end) {
    const char *name = at, *value = name + strlen(name) + 1;
    if (value >= end) return;
    for (int i = 0; command->flags[i].name != NULL; i++) {
      if (strcmp(command->flags[i].name, name) == 0 && a->values[i] == NULL) a->values[i] = value;
    }
    at = value + strlen(value) + 1;
  }
}

/* --- which run --- */

static mg_err find_latest(mg_recording *r, mg_error *e) {
  char **runs;
  size_t count, found = 0;
  mg_err err = mg_runfile_list(r->dir, &runs, &count, e);
  for (size_t i = count; i-- > 0;) {
    mg_run_entry entry = {.dir = r->dir, .run = runs[i]};
    if (found == 0) mg_run_entry_read(&entry);
    bool may = entry.standing == MG_STANDS_BROKEN || entry.standing == MG_STANDS_INTERRUPTED || entry.standing == MG_STANDS_FAILED;
    if (found == 0 && may && strlen(runs[i]) < sizeof r->run) found = strlen(strcpy(r->run, runs[i]));
    mg_run_entry_fini(&entry);
    free(runs[i]);
  }
  free(runs);
  return err != MG_OK || found > 0 ? err : mg_fail(e, MG_ARG, "there is no run to be resumed in %s; mguard runs lists them", r->dir);
}

/* As it was given where that still leads there, so that the report is the same. */
static mg_err find_script(mg_recording *r, mg_error *e) {
  mg_buf plan = {0};
  mg_err err = mg_recording_fact(r->file, "plan", &plan, e);
  if (err == MG_OK) err = mg_recording_fact(r->file, "given", &r->script, e);
  char *real = err == MG_OK ? realpath((const char *)r->script.data, NULL) : NULL;
  if (err == MG_OK && (real == NULL || strcmp(real, (const char *)plan.data) != 0)) err = mg_recording_fact(r->file, "plan", &r->script, e);
  free(real);
  mg_buf_fini(&plan);
  return err;
}

static mg_err open_file(mg_recording *r, mg_error *e) {
  mg_buf state = {0}, verdict = {0};
  int64_t epoch = 0;
  mg_err err = mg_runfile_open(&r->file, r->dir, r->run, true, e);
  if (err == MG_OK) err = mg_recording_fact(r->file, "state", &state, e);
  if (err == MG_OK) err = mg_recording_fact(r->file, "verdict", &verdict, e);
  if (err == MG_OK && strcmp((const char *)state.data, "ended") == 0) {
    err =
        mg_fail(e, MG_ARG, "run %s has ended (%s): there is nothing to resume; mguard report %s shows its report", r->run, (const char *)verdict.data, r->run);
  }
  if (err == MG_OK) err = find_script(r, e);
  if (err == MG_OK) err = mg_runfile_get(r->file, "flags", &r->flags, e);
  if (err == MG_OK) err = mg_recording_number(r->file, "started_ms", &r->started_ms, e);
  if (err == MG_OK) err = mg_recording_number(r->file, "epoch", &epoch, e);
  r->epoch = (uint32_t)epoch + 1;
  mg_buf_fini(&state);
  mg_buf_fini(&verdict);
  return err;
}

mg_err mg_recording_open(mg_recording *r, mg_args *a, const mg_command *command, mg_error *e) {
  const char *dir = mg_args_get(a, command, "state-dir"), *resume = mg_args_get(a, command, "resume");
  *r = (mg_recording){.dir = dir != NULL ? dir : MG_STATE_DIR, .dir_given = dir != NULL, .started_ms = mg_wall_ms(), .epoch = 1};
  r->off = mg_args_get(a, command, "no-journal") != NULL || mg_args_get(a, command, "plan-power") != NULL;
  mg_run_id_make(r->started_ms, r->run);
  if (resume == NULL) return MG_OK;
  if (r->off) return mg_fail(e, MG_ARG, "--resume needs the journal that --no-journal and --plan-power do without");
  mg_err err = MG_OK;
  if (strcmp(resume, "latest") == 0)
    err = find_latest(r, e);
  else if (!mg_ident_ok(resume, sizeof r->run - 1, ""))
    err = mg_fail(e, MG_ARG, "%s is no name of a run; mguard runs lists them", resume);
  else
    (void)strcpy(r->run, resume);
  if (err == MG_OK) err = open_file(r, e);
  if (err == MG_OK) mg_recording_add_flags(mg_buf_slice(&r->flags), a, command);
  return err;
}

const char *mg_recording_script(const mg_recording *r) { return r->script.len > 1 ? (const char *)r->script.data : NULL; }

/* --- life --- */

static mg_err begin_new(mg_recording *r, const mg_plan *p, const char *backend, mg_ms begin_after_ms, mg_error *e) {
  fact_list l = {.count = 0};
  char hex[65];
  mg_buf parts = {0};
  char *real = realpath(p->path, NULL);
  mg_hex(p->fingerprint, sizeof p->fingerprint, hex);
  parts_of(p, &parts);
  add_text(&l, "run", r->run);
  add_text(&l, "version", MG_VERSION);
  add_text(&l, "plan", real != NULL ? real : p->path);
  add_text(&l, "given", p->path);
  add(&l, "flags", mg_buf_slice(&r->flags));
  add_text(&l, "name", p->name);
  add_text(&l, "backend", backend);
  add_text(&l, "baseline", p->baseline);
  add_text(&l, "candidate", p->candidate);
  add_number(&l, "cases", (int64_t)p->cases);
  add_number(&l, "seed", p->seed);
  add_number(&l, "timeout_ms", p->case_timeout_ms);
  add_number(&l, "memory_mb", p->memory_mb);
  add_text(&l, "fingerprint", hex);
  add_text(&l, "parts", parts.failed ? "" : (const char *)parts.data);
  add_number(&l, "started_ms", r->started_ms);
  add_number(&l, "epoch", 1);
  add_text(&l, "state", "running");
  mg_journal_config config = {.dir = r->dir, .run = r->run, .facts = l.facts, .fact_count = l.count, .begin_after_ms = begin_after_ms};
  mg_err err = mg_journal_start(&r->journal, &config, e);
  mg_buf_fini(&parts);
  free(real);
  return err;
}

mg_err mg_recording_begin(mg_recording *r, const mg_plan *p, const mg_args *a, const mg_command *command, const char *backend, mg_ms begin_after_ms,
                          mg_error *e) {
  if (r->off) return MG_OK;
  pack_flags(r, a, command);
  if (r->file == NULL) return begin_new(r, p, backend, begin_after_ms, e);
  mg_runfile *file = r->file;
  fact_list l = {.count = 0};
  r->file = NULL;
  mg_err err = mg_journal_resume(&r->journal, file, e);
  if (err != MG_OK) return err;
  add_number(&l, "epoch", r->epoch); /* before any task bears it */
  add_text(&l, "state", "running");
  add_text(&l, "backend", backend);
  return mg_journal_set(r->journal, l.facts, l.count, e);
}

const char *mg_recording_path(const mg_recording *r) { return r->journal != NULL && !r->goes ? mg_journal_path(r->journal) : NULL; }

/* The default folder stands in somebody's work tree, which version control need not see. */
static void ignore_folder(const mg_recording *r) {
  if (r->dir_given || mg_recording_path(r) == NULL) return;
  int fd = open("./.mguard/.gitignore", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (write(fd, "*\n", 2) != 2) (void)unlink("./.mguard/.gitignore");
  (void)close(fd);
}

mg_err mg_recording_end(mg_recording *r, const char *state, const char *why, const char *verdict, int exit_code, mg_slice report, mg_error *e) {
  fact_list l = {.count = 0};
  r->goes = r->nothing && r->epoch == 1 && strcmp(state, "ended") != 0;
  ignore_folder(r);
  if (r->journal == NULL || r->goes) return MG_OK;
  add_text(&l, "state", state);
  add_text(&l, "why", why);
  add_text(&l, "verdict", verdict);
  add_number(&l, "exit_code", exit_code);
  add(&l, "report", report);
  return mg_journal_set(r->journal, l.facts, l.count, e);
}

void mg_recording_hint(const mg_recording *r) {
  if (mg_recording_path(r) == NULL) return;
  (void)fprintf(stderr, "mguard run: resume with: mguard run --resume %s%s%s%s\n", r->run, r->dir_given ? " --state-dir " : "", r->dir_given ? r->dir : "",
                r->config_given ? " --queue-config ... (as before: JSON text is not kept)" : "");
}

void mg_recording_close(mg_recording *r) {
  bool remove_it = r->goes && r->journal != NULL && mg_journal_path(r->journal) != NULL;
  mg_journal_free(r->journal);
  if (remove_it) (void)mg_runfile_remove(r->dir, r->run, NULL);
  mg_runfile_close(r->file);
  mg_buf_fini(&r->script);
  mg_buf_fini(&r->flags);
  *r = (mg_recording){0};
}
