#include "cli/top_view.h"

#include "cli/console.h"
#include "observe/progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 1200, NAME_LEAST = 16, NAME_MOST = 40, LOG_LEAST = 4 };

typedef enum colour { PLAIN, BOLD, DIM, GREEN, YELLOW, RED } colour;

typedef struct frame {
  mg_buf *out;
  const mg_top_screen *screen;
  int left; /* lines */
} frame;

/* ---- lines ---- */

static void line(frame *f, colour c, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Cut at the width; a character counts as one column. */
static void line(frame *f, colour c, const char *format, ...) {
  static const char *const codes[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};
  char raw[LINE_BYTES], clean[LINE_BYTES];
  va_list ap;
  if (f->left <= 0) return;
  f->left--;
  va_start(ap, format);
  (void)vsnprintf(raw, sizeof raw, format, ap);
  va_end(ap);
  mg_console_plain(clean, raw, strlen(raw));
  size_t len = 0;
  for (int columns = 0; clean[len] != '\0' && columns < f->screen->width; columns++) {
    len++;
    while (((unsigned char)clean[len] & 0xc0) == 0x80) len++;
  }
  while (len > 0 && clean[len - 1] == ' ') len--;
  bool coloured = f->screen->colour && c != PLAIN;
  if (coloured) mg_buf_puts(f->out, codes[c]);
  mg_buf_put(f->out, clean, len);
  mg_buf_puts(f->out, coloured ? "\033[0m\n" : "\n");
}

static void rest(frame *f) {
  bool noted = f->screen->note != NULL;
  while (f->left > (noted ? 1 : 0)) line(f, PLAIN, "%s", "");
  if (noted) line(f, DIM, "%s", f->screen->note);
}

/* ---- values ---- */

static const char *text(const json_t *o, const char *key) {
  const char *t = json_string_value(json_object_get(o, key));
  return t != NULL ? t : "";
}
static uint64_t whole(const json_t *o, const char *key) { return (uint64_t)json_integer_value(json_object_get(o, key)); }
static bool known(const json_t *o, const char *key) { return json_is_number(json_object_get(o, key)); }
static double real(const json_t *o, const char *key) { return known(o, key) ? json_number_value(json_object_get(o, key)) : NAN; }

typedef struct words {
  char t[40];
} words;

static words counted(uint64_t n) {
  words w = {""};
  mg_count_text(w.t, sizeof w.t, n);
  return w;
}

/* "?" where the broker does not tell. */
static words count_of(const json_t *o, const char *key) { return known(o, key) ? counted(whole(o, key)) : (words){"?"}; }

static words duration(const json_t *o, const char *key) {
  words w = {"-"};
  if (known(o, key)) mg_duration_text(w.t, sizeof w.t, real(o, key));
  return w;
}

static words ago(const json_t *o, const char *key) {
  words w = {"-"};
  if (known(o, key)) (void)snprintf(w.t, sizeof w.t, "%.1f s", real(o, key));
  return w;
}

static words percent(double share, bool sign) {
  words w = {"-"};
  if (isfinite(share)) (void)snprintf(w.t, sizeof w.t, sign && fabs(share) >= 0.00005 ? "%+.2f %%" : "%.2f %%", fabs(share) < 0.00005 ? 0 : 100 * share);
  return w;
}

static colour colour_of(const char *state) {
  static const struct {
    const char *state;
    colour c;
  } known_states[] = {{"adopt", GREEN},    {"live", GREEN},         {"reject", RED},          {"failed", RED},     {"error", RED},          {"lost", YELLOW},
                      {"refused", YELLOW}, {"quarantined", YELLOW}, {"inconclusive", YELLOW}, {"invalid", YELLOW}, {"interrupted", YELLOW}, {"warn", YELLOW}};
  for (size_t i = 0; i < sizeof known_states / sizeof *known_states; i++) {
    if (strcmp(state, known_states[i].state) == 0) return known_states[i].c;
  }
  return PLAIN;
}

/* ---- a run ---- */

static void put_bar(frame *f, const json_t *s) {
  char bar[LINE_BYTES], tail[160];
  uint64_t planned = whole(s, "planned"), done = whole(s, "counted");
  double share = planned > 0 ? (double)done / (double)planned : 0;
  int n = snprintf(tail, sizeof tail, " %3d %%  %s of %s cases", (int)(100 * share), counted(done).t, counted(planned).t);
  int cells = f->screen->width - n - 2;
  if (cells > 100) cells = 100;
  if (cells < 5) {
    line(f, PLAIN, "%s", tail + 1);
    return;
  }
  int full = (int)(share * cells);
  memset(bar, '-', (size_t)cells);
  memset(bar, '=', (size_t)full);
  if (full > 0 && full < cells) bar[full - 1] = '>';
  bar[cells] = '\0';
  line(f, PLAIN, "[%s]%s", bar, tail);
}

static double goal_line(const json_t *goal) {
  const char *kind = text(goal, "kind");
  if (strcmp(kind, "absolute") == 0) return real(goal, "min_pass_rate");
  return strcmp(kind, "superiority") == 0 ? real(goal, "margin") : -real(goal, "margin");
}

/* The interval on a line of numbers that stays while it narrows: the goal '!' (both of them for equivalence), nothing '0', the interval [==*==]. */
static void put_gauge(frame *f, const json_t *s) {
  const json_t *e = json_object_get(s, "estimate"), *goal = json_object_get(s, "goal");
  double wanted = goal_line(goal), low = real(e, "low"), high = real(e, "high"), at = real(e, "estimate");
  bool rate = strcmp(text(goal, "kind"), "absolute") == 0, two_sided = strcmp(text(goal, "kind"), "equivalence") == 0;
  double reach = fmax(fabs(wanted), 0.001), from = rate ? fmax(0, 2 * wanted - 1 - 0.01) : -3 * reach, to = rate ? 1 : 3 * reach;
  words left = percent(from, !rate), right = percent(to, !rate);
  int cells = f->screen->width - (int)strlen(left.t) - (int)strlen(right.t) - 4;
  char gauge[LINE_BYTES / 2];
  if (cells > 120) cells = 120;
  if (cells < 20 || !json_is_object(e) || !isfinite(wanted)) return;
#define CELL(v) ((int)fmin(cells - 1, fmax(0, ((v)-from) / (to - from) * (cells - 1) + 0.5)))
  memset(gauge, '.', (size_t)cells);
  for (int i = CELL(low); i <= CELL(high); i++) gauge[i] = '=';
  gauge[CELL(low)] = low < from ? '<' : '[';
  gauge[CELL(high)] = high > to ? '>' : ']';
  if (!rate) gauge[CELL(0)] = '0';
  gauge[CELL(wanted)] = '!';
  if (two_sided) gauge[CELL(-wanted)] = '!';
  gauge[CELL(at)] = '*';
#undef CELL
  gauge[cells] = '\0';
  line(f, PLAIN, "  %s %s %s", left.t, gauge, right.t);
}

typedef struct failed {
  char t[300];
} failed;

/* "fail 19, crash 2": what there is of it. */
static failed failures(const json_t *outcomes) {
  static const char *const names[] = {"fail", "error", "timeout", "crash", "discard", "lost"};
  failed w = {""};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t len = strlen(w.t);
    if (whole(outcomes, names[i]) == 0) continue;
    (void)snprintf(w.t + len, sizeof w.t - len, "%s%s %s", len > 0 ? ", " : "", names[i], count_of(outcomes, names[i]).t);
  }
  return w;
}

static void put_rates(frame *f, const json_t *s) {
  const json_t *roles = json_object_get(s, "roles"), *e = json_object_get(s, "estimate"), *goal = json_object_get(s, "goal");
  bool rate_goal = strcmp(text(goal, "kind"), "absolute") == 0;
  for (size_t i = 0; i < json_array_size(roles); i++) {
    const json_t *r = json_array_get(roles, i), *rate = json_object_get(r, "rate"), *o = json_object_get(r, "outcomes");
    words a = percent(real(rate, "estimate"), false), b = percent(real(rate, "low"), false), c = percent(real(rate, "high"), false);
    line(f, PLAIN, "%-9s %-12.12s %9s [%s, %s]  %s", text(r, "role"), text(r, "name"), a.t, b.t, c.t, failures(o).t);
  }
  if (rate_goal) {
    line(f, BOLD, "%-22s %9s is wanted; %g %% interval", "the pass rate", percent(real(goal, "min_pass_rate"), false).t, 100 * real(s, "level"));
  } else {
    words a = percent(real(e, "estimate"), true), b = percent(real(e, "low"), true), c = percent(real(e, "high"), true);
    line(f, BOLD, "%-22s %9s [%s, %s]  %g %%; goal %s (%s, %s)", "difference", a.t, b.t, c.t, 100 * real(s, "level"), percent(goal_line(goal), true).t,
         text(goal, "kind"), text(s, "method"));
  }
  put_gauge(f, s);
}

static int name_width(const frame *f) {
  int w = f->screen->width - 78;
  return w < NAME_LEAST ? NAME_LEAST : w > NAME_MOST ? NAME_MOST : w;
}

static void more(frame *f, size_t left, const char *what) {
  if (left > 0) line(f, DIM, "  and %zu more %s", left, what);
}

static void put_workers(frame *f, const json_t *list, int most) {
  size_t n = json_array_size(list), shown = 0;
  int wide = name_width(f);
  line(f, DIM, "%-*s %-11s %7s %4s %4s %9s  %s", wide, "WORKER", "STATE", "BEAT", "EXEC", "HELD", "CASES", "AT");
  if (n == 0) line(f, DIM, "no worker has beaten yet");
  for (; shown < n && (int)shown < (n > (size_t)most ? most - 1 : most); shown++) {
    const json_t *w = json_array_get(list, shown);
    char at[200] = "";
    if (text(w, "task")[0] != '\0') (void)snprintf(at, sizeof at, "case %" PRIu64 " %s, task %s", whole(w, "case"), text(w, "role"), text(w, "task"));
    line(f, colour_of(text(w, "state")), "%-*.*s %-11s %7s %4" PRIu64 " %4" PRIu64 " %9s  %s", wide, wide, text(w, "name"), text(w, "state"),
         ago(w, "last_beat_seconds").t, whole(w, "executors"), whole(w, "held_tasks"), counted(whole(w, "cases_done")).t, at);
  }
  more(f, n - shown, "workers");
}

static void put_log(frame *f, const json_t *s) {
  const json_t *log = json_object_get(s, "log");
  int room = f->left - (f->screen->note != NULL ? 1 : 0) - 1;
  size_t n = json_array_size(log);
  if (room < 1 || n == 0) return;
  line(f, DIM, "LOG");
  for (size_t i = n > (size_t)room ? n - (size_t)room : 0; i < n; i++) {
    const json_t *l = json_array_get(log, i);
    const char *when = text(l, "time");
    line(f, colour_of(text(l, "level")), "%.8s %-18s %s", strlen(when) > 11 ? when + 11 : when, text(l, "event"), text(l, "text"));
  }
}

void mg_top_run(mg_buf *out, const json_t *s, const mg_top_screen *screen) {
  frame f = {out, screen, screen->height};
  const json_t *reasons = json_object_get(s, "reasons");
  const char *word = text(s, "verdict")[0] != '\0' ? text(s, "verdict") : text(s, "state");
  line(&f, colour_of(word) == PLAIN ? BOLD : colour_of(word), "mguard  %s: %s   run %s, %s%s", text(s, "plan"), word, text(s, "run"), text(s, "backend"),
       json_is_false(json_object_get(s, "connected")) && strcmp(word, "running") == 0 ? "   NO CONNECTION TO THE BROKER" : "");
  put_bar(&f, s);
  if (known(s, "counted")) {
    line(&f, PLAIN, "%s cases/s  left %s  elapsed %s  batch %s  in flight %s cases", counted((uint64_t)(real(s, "cases_per_second") + 0.5)).t,
         duration(s, "seconds_left").t, duration(s, "seconds").t, count_of(s, "batch_cases").t, count_of(s, "inflight_cases").t);
    bool trouble = whole(s, "requeued_tasks") + whole(s, "dead_letters") > 0;
    line(&f, trouble ? YELLOW : PLAIN, "workers %s  pending %s tasks  requeued %s  dead letters %s  hedged %s  repeats %s  reconnects %s",
         count_of(s, "active_workers").t, count_of(s, "pending_tasks").t, count_of(s, "requeued_tasks").t, count_of(s, "dead_letters").t,
         count_of(s, "hedged_tasks").t, count_of(s, "repeats_dropped").t, count_of(s, "reconnects").t);
  }
  for (size_t i = 0; i < json_array_size(reasons) && i < 2; i++) line(&f, PLAIN, "- %s", json_string_value(json_array_get(reasons, i)));
  if (known(s, "counted")) {
    line(&f, PLAIN, "%s", "");
    put_rates(&f, s);
    line(&f, PLAIN, "%s", "");
    int most = f.left - LOG_LEAST - 3;
    put_workers(&f, json_object_get(s, "workers"), most < 2 ? 2 : most);
    line(&f, PLAIN, "%s", "");
  }
  put_log(&f, s);
  rest(&f);
}

/* ---- a queue ---- */

static void put_depth(frame *f, const char *name, const json_t *d, const char *state) {
  bool dead = known(d, "dead") && whole(d, "dead") > 0;
  line(f, dead ? YELLOW : PLAIN, "%-21.21s %9s %9s %6s %8s %8s  %s", name, count_of(d, "pending").t, count_of(d, "in_flight").t, count_of(d, "dead").t,
       count_of(d, "results").t, ago(d, "oldest_seconds").t, state);
}

/* The task of a worker that runs, or none. */
static const json_t *running_of(const json_t *tasks) {
  for (size_t i = 0; i < json_array_size(tasks); i++) {
    if (json_is_true(json_object_get(json_array_get(tasks, i), "running"))) return json_array_get(tasks, i);
  }
  return NULL;
}

static void put_queue_workers(frame *f, const json_t *list, int most) {
  size_t n = json_array_size(list), shown = 0;
  int wide = name_width(f);
  line(f, DIM, "%-*s %-11s %7s %4s %4s %9s  %s", wide, "WORKER", "STATE", "BEAT", "EXEC", "HELD", "CASES", "AT");
  if (n == 0) line(f, DIM, "no worker was heard yet");
  for (; shown < n && (int)shown < (n > (size_t)most ? most - 1 : most); shown++) {
    const json_t *w = json_array_get(list, shown), *tasks = json_object_get(w, "tasks"), *t = running_of(tasks);
    char at[200] = "", executors[32];
    if (t != NULL) (void)snprintf(at, sizeof at, "case %" PRIu64 " of %s", whole(t, "case"), text(t, "run"));
    (void)snprintf(executors, sizeof executors, "%" PRIu64 "/%" PRIu64, whole(w, "executors_up"), whole(w, "executors"));
    line(f, colour_of(text(w, "state")), "%-*.*s %-11s %7s %4s %4zu %9s  %s", wide, wide, text(w, "name"), text(w, "state"), ago(w, "last_beat_seconds").t,
         executors, json_array_size(tasks), counted(whole(w, "cases_done")).t, at);
  }
  more(f, n - shown, "workers");
}

void mg_top_queue(mg_buf *out, const json_t *s, const mg_top_screen *screen) {
  frame f = {out, screen, screen->height};
  const json_t *runs = json_object_get(s, "runs"), *workers = json_object_get(s, "workers");
  size_t n = json_array_size(runs), shown = 0;
  line(&f, BOLD, "mguard  %s, queue %s", text(s, "backend"), text(s, "queue"));
  line(&f, PLAIN, "%s", "");
  line(&f, DIM, "%-21s %9s %9s %6s %8s %8s  %s", "RUN", "PENDING", "IN FLIGHT", "DEAD", "RESULTS", "OLDEST", "STATE");
  int most = f.left / 2 - 4;
  if (most < 1) most = 1;
  for (; shown < n && (int)shown < most; shown++) {
    const json_t *r = json_array_get(runs, shown);
    put_depth(&f, text(r, "run"), r, text(r, "state"));
  }
  more(&f, n - shown, "runs");
  put_depth(&f, "whole queue", s, "");
  line(&f, PLAIN, "%s", "");
  most = f.left - 3;
  put_queue_workers(&f, workers, most < 1 ? 1 : most);
  if (whole(s, "unreadable_beats") > 0)
    line(&f, YELLOW, "%s beats could not be read (MGUARD_SIGNING_KEY, or another version of mguard)", count_of(s, "unreadable_beats").t);
  rest(&f);
}
