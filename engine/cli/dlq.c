/* dlq.c - `mguard dlq list|show|redrive|purge`: tasks that were given up, why, and what to do with them. */
#include "base/ident.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "script/value.h"
#include "wire/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 10000, INPUT_BYTES = 2000, DUMP_BYTES = 256 };

static const mg_flag flags[] = {MG_CONSOLE_FLAGS,
                                {"plan", "FILE", "plan or checks whose queue is meant", NULL},
                                {"run", "RUN", "dead letters of this run alone; redrive and purge need it", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"dlq",
                                   "list|show|redrive|purge [TASK...]",
                                   "Dead letters: tasks that no worker could run or read.",
                                   "list      which there are: run, task, attempts, cases, reason\n"
                                   "show      all that is known of them, with the inputs they carry\n"
                                   "redrive   puts those of --run back on the queue, while that run is under way or can be taken up again\n"
                                   "purge     removes those of --run\n"
                                   "Without TASK all of them are meant. Nothing is asked.",
                                   flags,
                                   1,
                                   100000};

typedef struct letters {
  mg_console console;
  mg_batch batch;
  const char *run;          /* --run, or NULL */
  const char *const *tasks; /* those named */
  size_t task_count;
} letters;

static bool meant(const letters *l, const mg_delivery *d) {
  if (l->task_count == 0) return true;
  for (size_t i = 0; i < l->task_count; i++) {
    if (strcmp(l->tasks[i], d->task) == 0) return true;
  }
  return false;
}

static int fetch(letters *l) {
  mg_console *c = &l->console;
  mg_error e;
  if (c->ops->list_dead(c->backend, l->run, LIST_MAX, mg_console_until(c), &l->batch, &e) != MG_OK) return mg_console_fail(c, &e);
  size_t kept = 0;
  for (size_t i = 0; i < l->batch.count; i++) {
    if (meant(l, &l->batch.items[i])) l->batch.items[kept++] = l->batch.items[i];
  }
  l->batch.count = kept;
  return -1;
}

static const char *reason(const mg_delivery *d) { return d->why != NULL && d->why[0] != '\0' ? d->why : "no reason was given"; }

/* Plain text of any length, to free; "" where memory ended. */
static char *plain(const char *text) {
  size_t len = strlen(text);
  char *out = malloc(len + 1);
  if (out != NULL) mg_console_plain(out, text, len);
  return out;
}

static void put(const char *format, const char *text) {
  char *out = plain(text);
  (void)printf(format, out != NULL ? out : "?"); /* format is one of this file's */
  free(out);
}

/* ---- list ---- */

static json_t *as_json(letters *l, const mg_delivery *d) {
  mg_task t;
  mg_error e;
  json_t *o = json_pack("{s:o?, s:o?, s:I, s:o?}", "run", mg_json_plain(d->run), "task", mg_json_plain(d->task), "attempts", (json_int_t)d->attempt, "reason",
                        mg_json_plain(reason(d)));
  if (mg_console_task(&l->console, d->body, &t, &e) == MG_OK) {
    (void)json_object_set_new(o, "first_case", json_integer((json_int_t)mg_task_first_case(&t)));
    (void)json_object_set_new(o, "cases", json_integer(t.count));
  } else {
    (void)json_object_set_new(o, "unreadable", mg_json_plain(e.text));
  }
  return o;
}

static int list(letters *l) {
  mg_console *c = &l->console;
  if (c->json) {
    json_t *items = json_array();
    for (size_t i = 0; i < l->batch.count; i++) (void)json_array_append_new(items, as_json(l, &l->batch.items[i]));
    return mg_console_print(c, json_pack("{s:o}", "dead_letters", items));
  }
  if (l->batch.count == 0) {
    (void)printf("no dead letters%s%s\n", l->run != NULL ? " of run " : "", l->run != NULL ? l->run : "");
    return 0;
  }
  (void)printf("%-22s %-10s %8s %18s  %s\n", "RUN", "TASK", "ATTEMPTS", "CASES", "REASON");
  for (size_t i = 0; i < l->batch.count; i++) {
    const mg_delivery *d = &l->batch.items[i];
    mg_task t;
    char cases[64] = "unreadable";
    if (mg_console_task(c, d->body, &t, NULL) == MG_OK) {
      uint64_t first = mg_task_first_case(&t);
      if (t.count == 1)
        (void)snprintf(cases, sizeof cases, "%" PRIu64, first);
      else if (t.kind == MG_TASK_COUNT)
        (void)snprintf(cases, sizeof cases, "%" PRIu64 "-%" PRIu64, first, first + t.count - 1);
      else
        (void)snprintf(cases, sizeof cases, "%" PRIu64 " and %u more", first, t.count - 1);
    }
    put("%-22s ", d->run);
    put("%-10s ", d->task);
    (void)printf("%8u %18s  ", d->attempt, cases);
    put("%s\n", reason(d));
  }
  if (l->batch.count == LIST_MAX) (void)printf("(the first %d; --run and TASK choose)\n", LIST_MAX);
  return 0;
}

/* ---- show ---- */

static void hex(char *out, const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* The arguments of each case that carries any, as text; (json_t *) into array, or printed where array is NULL. */
static void inputs(const mg_task *t, json_t *array) {
  mg_reader r = mg_reader_over(t->payload);
  size_t n = t->payload.len > 0 ? mg_read_array(&r, t->count, t->count, 3, "payload") : 0;
  for (size_t i = 0; i < n && mg_reader_ok(&r); i++) {
    (void)mg_read_array(&r, 2, 2, 1, "payload");
    uint64_t number = mg_read_uint(&r, 0, UINT64_MAX, "payload");
    if (mg_read_nil(&r)) continue;
    mg_slice args = mg_read_bin(&r, "payload");
    mg_tape tape = {0};
    mg_buf text = {0};
    if (mg_tape_unpack(&tape, args, true, NULL) == MG_OK)
      mg_tape_show(&tape, INPUT_BYTES, &text);
    else
      mg_buf_puts(&text, "arguments that cannot be read");
    mg_buf_put(&text, "", 1);
    if (!text.failed && array != NULL) {
      json_t *o = json_pack("{s:I, s:o?}", "case", (json_int_t)number, "arguments", mg_json_plain((const char *)text.data));
      (void)json_array_append_new(array, o);
    } else if (!text.failed) {
      (void)printf("  case %" PRIu64 ": ", number);
      put("%s\n", (const char *)text.data);
    }
    mg_tape_fini(&tape);
    mg_buf_fini(&text);
  }
}

static void show_one(letters *l, const mg_delivery *d) {
  mg_task t;
  mg_error e;
  char text[2 * DUMP_BYTES + 1];
  put("task %s", d->task);
  put(" of run %s\n", d->run);
  (void)printf("  attempts     %u\n", d->attempt);
  put("  reason       %s\n", reason(d));
  (void)printf("  message      %zu bytes\n", d->body.len);
  if (mg_console_task(&l->console, d->body, &t, &e) != MG_OK) {
    put("  unreadable   %s\n", e.text);
    hex(text, d->body.data, d->body.len < DUMP_BYTES ? d->body.len : DUMP_BYTES);
    (void)printf("  begins with  %s\n", text);
    return;
  }
  uint64_t first = mg_task_first_case(&t);
  hex(text, t.fingerprint, sizeof t.fingerprint);
  (void)printf("  cases        %u from case %" PRIu64 "%s\n", t.count, first, t.kind == MG_TASK_REPEAT ? ", run again" : "");
  (void)printf("  seed         %" PRId64 "\n", (int64_t)t.seed);
  if (t.baseline[0] != '\0') put("  baseline     %s\n", t.baseline);
  put("  candidate    %s\n", t.candidate);
  (void)printf("  limits       %u ms a role of a case, %u MB\n", t.case_timeout_ms, t.memory_mb);
  (void)printf("  fingerprint  %s\n", text);
  inputs(&t, NULL);
  (void)printf("  mguard replay PLAN --seed %" PRId64 " --case %" PRIu64 " runs its first case here\n", (int64_t)t.seed, first);
}

static json_t *show_json(letters *l, const mg_delivery *d) {
  json_t *o = as_json(l, d);
  mg_task t;
  char text[2 * DUMP_BYTES + 1];
  (void)json_object_set_new(o, "message_bytes", json_integer((json_int_t)d->body.len));
  if (mg_console_task(&l->console, d->body, &t, NULL) != MG_OK) {
    hex(text, d->body.data, d->body.len < DUMP_BYTES ? d->body.len : DUMP_BYTES);
    (void)json_object_set_new(o, "begins_with", json_string(text));
    return o;
  }
  json_t *args = json_array();
  hex(text, t.fingerprint, sizeof t.fingerprint);
  inputs(&t, args);
  (void)json_object_set_new(o, "epoch", json_integer(t.epoch));
  (void)json_object_set_new(o, "seed", json_integer((json_int_t)t.seed));
  (void)json_object_set_new(o, "baseline", t.baseline[0] != '\0' ? mg_json_plain(t.baseline) : json_null());
  (void)json_object_set_new(o, "candidate", mg_json_plain(t.candidate));
  (void)json_object_set_new(o, "case_timeout_ms", json_integer(t.case_timeout_ms));
  (void)json_object_set_new(o, "memory_mb", json_integer(t.memory_mb));
  (void)json_object_set_new(o, "fingerprint", json_string(text));
  (void)json_object_set_new(o, "inputs", args);
  return o;
}

static int show(letters *l) {
  mg_console *c = &l->console;
  if (l->batch.count == 0) return mg_complain("dlq", MG_EXIT_USAGE, "there is no such dead letter; mguard dlq list shows which there are");
  if (!c->json) {
    for (size_t i = 0; i < l->batch.count; i++) show_one(l, &l->batch.items[i]);
    return 0;
  }
  json_t *items = json_array();
  for (size_t i = 0; i < l->batch.count; i++) (void)json_array_append_new(items, show_json(l, &l->batch.items[i]));
  return mg_console_print(c, json_pack("{s:o}", "dead_letters", items));
}

/* ---- redrive, purge ---- */

/* Each run with dead letters once, as "RUN (N), ..." */
static void name_runs(const mg_batch *b, char *out, size_t size) {
  size_t at = 0;
  out[0] = '\0';
  for (size_t i = 0; i < b->count && at < size; i++) {
    size_t n = 0;
    bool before = false;
    for (size_t k = 0; k < b->count; k++) {
      if (strcmp(b->items[k].run, b->items[i].run) != 0) continue;
      before = before || k < i;
      n++;
    }
    if (!before) at += (size_t)snprintf(out + at, size - at, "%s%.64s (%zu)", at > 0 ? ", " : "", b->items[i].run, n);
  }
}

static int need_run(letters *l, const char *action) {
  char runs[400], safe[400];
  if (l->run != NULL) return -1;
  int code = fetch(l);
  if (code >= 0) return code;
  name_runs(&l->batch, runs, sizeof runs);
  mg_console_plain(safe, runs, strlen(runs));
  if (safe[0] == '\0') return mg_complain("dlq", MG_EXIT_USAGE, "%s needs --run RUN, and there are no dead letters", action);
  return mg_complain("dlq", MG_EXIT_USAGE, "%s needs --run RUN; runs with dead letters: %s", action, safe);
}

/* A run that is over would leave its tasks to nobody: their results would count nowhere. */
static int need_live(letters *l) {
  mg_console *c = &l->console;
  mg_endings ends;
  mg_depth d;
  mg_error e;
  if (mg_console_endings(c, &ends, &e) != MG_OK) return mg_console_fail(c, &e);
  mg_control_kind ended = mg_endings_of(&ends, l->run);
  mg_endings_fini(&ends);
  if (ended != 0) {
    return mg_complain("dlq", MG_EXIT_USAGE, "run %s %s, so nobody would count the results; take it up again first, or purge", l->run,
                       ended == MG_RUN_CANCELLED ? "was interrupted" : "has ended");
  }
  if (c->ops->depth(c->backend, l->run, mg_console_until(c), &d, &e) != MG_OK) return mg_console_fail(c, &e);
  if (d.pending == 0 && d.in_flight == 0 && d.results == 0) { /* a broker that does not tell gets the benefit of the doubt */
    return mg_complain("dlq", MG_EXIT_USAGE, "run %s has no task and no result on the queue: it has ended or never was, and nobody would count the results",
                       l->run);
  }
  return -1;
}

static int move(letters *l, bool redrive) {
  mg_console *c = &l->console;
  const char *const *tasks = l->task_count > 0 ? l->tasks : NULL;
  mg_error e = {0};
  size_t moved = 0;
  int code = need_run(l, redrive ? "redrive" : "purge");
  if (code < 0 && redrive) code = need_live(l);
  if (code >= 0) return code;
  mg_err err = (redrive ? c->ops->redrive : c->ops->purge_dead)(c->backend, l->run, tasks, l->task_count, mg_console_until(c), &moved, &e);
  if (err != MG_OK) return mg_console_fail(c, &e);
  if (c->json) return mg_console_print(c, json_pack("{s:o?, s:I}", "run", mg_json_plain(l->run), redrive ? "redriven" : "purged", (json_int_t)moved));
  (void)printf("%zu dead letter%s of run %s %s\n", moved, moved == 1 ? "" : "s", l->run, redrive ? "back on the queue" : "removed");
  return moved < l->task_count ? mg_complain("dlq", MG_EXIT_USAGE, "%zu of the tasks named are no dead letters of the run", l->task_count - moved) : 0;
}

int mg_cli_dlq(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  static const char *const actions[] = {"list", "show", "redrive", "purge"};
  int action = 0;
  while (action < 4 && strcmp(a.positional[0], actions[action]) != 0) action++;
  if (action == 4) return mg_complain("dlq", MG_EXIT_USAGE, "\"%s\" is none of list, show, redrive, purge", a.positional[0]);
  letters l = {.run = mg_args_get(&a, &command, "run"), .tasks = a.positional + 1, .task_count = (size_t)a.positional_count - 1};
  if (l.run != NULL && !mg_ident_ok(l.run, MG_RUN_MAX, NULL)) return mg_complain("dlq", MG_EXIT_USAGE, "--run is no id of a run");
  code = mg_console_open(&l.console, &command, &a, mg_args_get(&a, &command, "plan"), MG_CAP_LIST_DEAD);
  if (code < 0 && action < 2) code = fetch(&l);
  if (code < 0) code = action == 0 ? list(&l) : action == 1 ? show(&l) : move(&l, action == 2);
  mg_batch_clear(&l.batch);
  mg_console_close(&l.console);
  return code;
}
