/* The live page: one HTML text without outside resources. Its numbers stand in the text, so that it needs no script: without one the browser loads it again
 * every 2 seconds; with one, <main> is taken from a fresh copy every second, and what is shown keeps standing when the run has gone. */
#include "observe/live.h"
#include "observe/progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char HEAD[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n"
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5f6b7a;--line:#dfe3e8;--blue:#2266c8;--band:#2266c833;--green:#1a7f4b;"
    "--red:#c2372e;--amber:#9a6700}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181e;--card:#1d232b;--ink:#e6eaf0;--soft:#9aa6b5;--line:#323a45;--blue:#6ea8fe;--band:#6ea8fe33;"
    "--green:#4cc38a;--red:#ff7b72;--amber:#e0a93b}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,sans-serif}"
    "main,.gone{max-width:68rem;margin:0 auto;padding:1rem}h1{font-size:1.35rem;margin:0;overflow-wrap:anywhere}h2{font-size:.95rem;margin:0 0 .6rem}"
    "header{display:flex;flex-wrap:wrap;gap:.3rem 1rem;align-items:baseline;margin-bottom:.8rem}.soft{color:var(--soft)}"
    ".badge{border:1px solid;border-radius:1rem;padding:0 .7rem;font-weight:600}.adopt{color:var(--green)}.reject,.failed{color:var(--red)}"
    ".inconclusive,.invalid,.interrupted,.lost,.quarantined,.refused,.warn{color:var(--amber)}.running{color:var(--blue)}.error{color:var(--red)}\n"
    "section{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.9rem 1rem;margin-bottom:.8rem;overflow-x:auto}"
    ".bar{height:.7rem;border-radius:.35rem;background:var(--line);overflow:hidden;margin:.5rem 0}.bar i{display:block;height:100%;background:var(--blue)}"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(6.3rem,1fr));gap:.7rem .6rem;margin:0}dt{color:var(--soft);font-size:.82rem}"
    "dd{margin:0;font-size:1.25rem;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th{text-align:left;font-weight:500;color:var(--soft);font-size:.82rem}"
    "th,td{padding:.2rem .9rem .2rem 0;border-bottom:1px solid var(--line);white-space:nowrap}tr:last-child td{border-bottom:0}.n{text-align:right}"
    "td.t{white-space:normal;overflow-wrap:anywhere;width:99%}svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:12px}"
    ".reasons{margin:.6rem 0 0;padding-left:1.1rem}\n"
    ".gone{display:none;color:var(--amber);padding-bottom:0}.gone.on{display:block}\n</style>\n";

static const char SCRIPT[] =
    "<script>\n(function(){var me=Math.random().toString(36).slice(2),busy=false;function look(){if(busy||document.hidden)return;busy=true;"
    "fetch('/?w='+me+location.search.replace('?','&'),{cache:'no-store'}).then(function(r){return r.text()}).then(function(t){"
    "var d=new DOMParser().parseFromString(t,'text/html'),m=d.querySelector('main');if(!m)throw 0;"
    "document.querySelector('main').replaceWith(m);document.title=d.title;"
    "document.getElementById('gone').className='gone'}).catch(function(){document.getElementById('gone').className='gone on'})"
    ".then(function(){busy=false})}setInterval(look,1000);document.addEventListener('visibilitychange',look)})();\n</script>\n";

/* ---- pieces ---- */

static void esc(mg_buf *out, const char *text) {
  for (const char *c = text != NULL ? text : ""; *c != '\0'; c++) {
    switch (*c) {
    case '&': mg_buf_puts(out, "&amp;"); break;
    case '<': mg_buf_puts(out, "&lt;"); break;
    case '>': mg_buf_puts(out, "&gt;"); break;
    case '"': mg_buf_puts(out, "&quot;"); break;
    default: mg_buf_put(out, c, 1);
    }
  }
}

static const char *text(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }
static uint64_t whole(const json_t *o, const char *key) { return (uint64_t)json_integer_value(json_object_get(o, key)); }
static bool known(const json_t *o, const char *key) { return json_is_number(json_object_get(o, key)); }
static double real(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  return json_is_number(v) ? json_number_value(v) : NAN;
}

static void put_count(mg_buf *out, uint64_t n) {
  char t[40];
  mg_count_text(t, sizeof t, n);
  mg_buf_puts(out, t);
}

/* Percentage with a sign where it is a difference; "0.0 %" has none. */
static void put_percent(mg_buf *out, double share, bool sign) {
  if (!isfinite(share)) {
    mg_buf_puts(out, "–");
    return;
  }
  mg_buf_putf(out, sign && fabs(share) >= 0.00005 ? "%+.2f %%" : "%.2f %%", fabs(share) < 0.00005 ? 0 : 100 * share);
}

static void tile_open(mg_buf *out, const char *id, const char *name) { mg_buf_putf(out, "<div><dt>%s</dt><dd id=\"%s\">", name, id); }
static void tile_close(mg_buf *out) { mg_buf_puts(out, "</dd></div>\n"); }

static void tile(mg_buf *out, const char *id, const char *name, uint64_t n) {
  tile_open(out, id, name);
  put_count(out, n);
  tile_close(out);
}

/* ---- sections ---- */

static const char *state_word(const json_t *s) { return text(s, "verdict") != NULL ? text(s, "verdict") : text(s, "state"); }

static void header(mg_buf *out, const json_t *s) {
  const char *word = state_word(s);
  mg_buf_puts(out, "<header><h1>");
  esc(out, text(s, "plan"));
  mg_buf_putf(out, "</h1><span class=\"badge %s\" id=\"state\">%s</span><span class=\"soft\">run <span id=\"run\">", word, word);
  esc(out, text(s, "run"));
  mg_buf_puts(out, "</span>, ");
  esc(out, text(s, "backend"));
  if (known(s, "counted") && json_is_false(json_object_get(s, "connected")) && strcmp(text(s, "state"), "running") == 0)
    mg_buf_puts(out, " <b class=\"error\">no connection to the broker</b>");
  mg_buf_puts(out, "</span></header>\n");
}

static void progress(mg_buf *out, const json_t *s) {
  uint64_t planned = whole(s, "planned"), counted = whole(s, "counted");
  double share = planned > 0 ? (double)counted / (double)planned : 0;
  char duration[40];
  mg_buf_puts(out, "<section><h2><span id=\"counted\">");
  put_count(out, counted);
  mg_buf_puts(out, "</span> of <span id=\"planned\">");
  put_count(out, planned);
  mg_buf_putf(out, "</span> cases, %d %%</h2><div class=\"bar\"><i style=\"width:%.2f%%\"></i></div>\n<dl>\n", (int)(100 * share), 100 * share);
  tile_open(out, "rate", "Cases a second");
  put_count(out, (uint64_t)(isfinite(real(s, "cases_per_second")) ? real(s, "cases_per_second") + 0.5 : 0));
  tile_close(out);
  tile_open(out, "left", "Time left");
  mg_duration_text(duration, sizeof duration, known(s, "seconds_left") ? real(s, "seconds_left") : 0);
  mg_buf_puts(out, known(s, "seconds_left") && counted < planned ? duration : "–");
  tile_close(out);
  tile_open(out, "elapsed", "Elapsed");
  mg_duration_text(duration, sizeof duration, known(s, "seconds") ? real(s, "seconds") : 0);
  mg_buf_puts(out, duration);
  tile_close(out);
  tile(out, "pending", "Pending tasks", whole(s, "pending_tasks"));
  tile(out, "inflight", "Cases in flight", whole(s, "inflight_cases"));
  tile(out, "workers", "Workers", whole(s, "active_workers"));
  tile(out, "requeued", "Requeued tasks", whole(s, "requeued_tasks"));
  tile(out, "dead", "Dead letters", whole(s, "dead_letters"));
  mg_buf_puts(out, "</dl>");
  const json_t *reasons = json_object_get(s, "reasons");
  if (json_array_size(reasons) > 0) {
    mg_buf_puts(out, "<ul class=\"reasons\">");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
      mg_buf_puts(out, "<li>");
      esc(out, json_string_value(json_array_get(reasons, i)));
      mg_buf_puts(out, "</li>");
    }
    mg_buf_puts(out, "</ul>");
  }
  mg_buf_puts(out, "</section>\n");
}

static double at(const json_t *point, size_t i) { return json_number_value(json_array_get(point, i)); }

enum { CHART_W = 900, CHART_H = 200, PLOT_L = 58, PLOT_R = 890, PLOT_T = 10, PLOT_B = 175 };

typedef struct scale {
  double cases, low, high;
} scale;

static double x_of(const scale *c, double cases) { return PLOT_L + (PLOT_R - PLOT_L) * (c->cases > 0 ? cases / c->cases : 0); }
static double y_of(const scale *c, double v) {
  double y = PLOT_B - (PLOT_B - PLOT_T) * (v - c->low) / (c->high - c->low);
  return y < PLOT_T ? PLOT_T : y > PLOT_B ? PLOT_B : y;
}

static void level_line(mg_buf *out, const scale *c, double v, const char *style, const char *words, bool sign) {
  if (!isfinite(v) || v < c->low || v > c->high) return;
  mg_buf_putf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" style=\"%s\"/>", PLOT_L, PLOT_R, y_of(c, v), y_of(c, v), style);
  mg_buf_putf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", PLOT_L - 5, y_of(c, v) + 4);
  put_percent(out, v, sign);
  mg_buf_putf(out, "</text>");
  if (words[0] != '\0') mg_buf_putf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", PLOT_R, y_of(c, v) - 4, words);
}

/* The range of what stands from the second quarter on, and of the goal: the first points are as wide as can be. */
static scale scale_of(const json_t *s, double goal, bool rate) {
  const json_t *h = json_object_get(s, "history"), *e = json_object_get(s, "estimate");
  scale c = {.cases = (double)whole(s, "counted"), .low = fmin(real(e, "low"), goal), .high = fmax(real(e, "high"), goal)};
  if (!rate) c.low = fmin(c.low, -goal), c.high = fmax(c.high, -goal);
  for (size_t i = 0; i < json_array_size(h); i++) {
    const json_t *p = json_array_get(h, i);
    if (at(p, 0) < c.cases / 8) continue;
    c.low = fmin(c.low, at(p, 2));
    c.high = fmax(c.high, at(p, 3));
  }
  double margin = fmax((c.high - c.low) * 0.08, 1e-6);
  c.low -= margin;
  c.high += margin;
  return c;
}

static void chart(mg_buf *out, const json_t *s) {
  const json_t *h = json_object_get(s, "history"), *e = json_object_get(s, "estimate"), *goal = json_object_get(s, "goal");
  const char *kind = text(goal, "kind");
  bool rate = strcmp(kind, "absolute") == 0;
  double wanted = rate ? real(goal, "min_pass_rate") : strcmp(kind, "superiority") == 0 ? real(goal, "margin") : -real(goal, "margin");
  mg_buf_putf(out, "<section><h2>%s: <span id=\"estimate\">", rate ? "The candidate's pass rate" : "Candidate less baseline, pass rate");
  if (!json_is_object(e)) {
    mg_buf_puts(out, "–</span></h2></section>\n");
    return;
  }
  put_percent(out, real(e, "estimate"), !rate);
  mg_buf_putf(out, "</span> <span class=\"soft\">%g %% interval <span id=\"interval\">", 100 * real(s, "level"));
  put_percent(out, real(e, "low"), !rate);
  mg_buf_puts(out, " to ");
  put_percent(out, real(e, "high"), !rate);
  mg_buf_putf(out, "</span> (%s)</span></h2>\n", text(s, "method"));
  size_t n = json_array_size(h);
  if (n > 1) {
    scale c = scale_of(s, wanted, rate);
    mg_buf_putf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"the interval over the cases counted\">", CHART_W, CHART_H);
    if (!rate) level_line(out, &c, 0, "stroke:var(--soft);stroke-width:1", "", true);
    level_line(out, &c, wanted, "stroke:var(--red);stroke-width:1;stroke-dasharray:5 4", "goal", !rate);
    if (strcmp(kind, "equivalence") == 0) level_line(out, &c, -wanted, "stroke:var(--red);stroke-width:1;stroke-dasharray:5 4", "", true);
    mg_buf_puts(out, "<polygon style=\"fill:var(--band)\" points=\"");
    for (size_t i = 0; i < n; i++) mg_buf_putf(out, "%.1f,%.1f ", x_of(&c, at(json_array_get(h, i), 0)), y_of(&c, at(json_array_get(h, i), 3)));
    for (size_t i = n; i-- > 0;) mg_buf_putf(out, "%.1f,%.1f ", x_of(&c, at(json_array_get(h, i), 0)), y_of(&c, at(json_array_get(h, i), 2)));
    mg_buf_puts(out, "\"/><polyline style=\"fill:none;stroke:var(--blue);stroke-width:2\" points=\"");
    for (size_t i = 0; i < n; i++) mg_buf_putf(out, "%.1f,%.1f ", x_of(&c, at(json_array_get(h, i), 0)), y_of(&c, at(json_array_get(h, i), 1)));
    mg_buf_putf(out, "\"/><line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" style=\"stroke:var(--line)\"/>", PLOT_L, PLOT_R, PLOT_B, PLOT_B);
    mg_buf_putf(out, "<text x=\"%d\" y=\"%d\">0</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">", PLOT_L, PLOT_B + 16, PLOT_R, PLOT_B + 16);
    put_count(out, whole(s, "counted"));
    mg_buf_puts(out, " cases</text></svg>");
  }
  mg_buf_puts(out, "</section>\n");
}

static void roles(mg_buf *out, const json_t *s) {
  const json_t *list = json_object_get(s, "roles");
  static const char *const bad[] = {"fail", "error", "timeout", "crash", "discard", "lost"};
  mg_buf_puts(
      out,
      "<section><h2>Pass rates</h2><table id=\"rates\"><tr><th></th><th></th><th class=\"n\">rate</th><th class=\"n\">interval</th><th class=\"n\">pass</th>");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) mg_buf_putf(out, "<th class=\"n\">%s</th>", bad[i]);
  mg_buf_puts(out, "</tr>\n");
  for (size_t r = 0; r < json_array_size(list); r++) {
    const json_t *j = json_array_get(list, r), *o = json_object_get(j, "outcomes"), *rate = json_object_get(j, "rate");
    mg_buf_putf(out, "<tr><td>%s</td><td>", text(j, "role"));
    esc(out, text(j, "name"));
    mg_buf_puts(out, "</td><td class=\"n\">");
    put_percent(out, real(rate, "estimate"), false);
    mg_buf_puts(out, "</td><td class=\"n soft\">");
    put_percent(out, real(rate, "low"), false);
    mg_buf_puts(out, " – ");
    put_percent(out, real(rate, "high"), false);
    mg_buf_puts(out, "</td><td class=\"n\">");
    put_count(out, whole(o, "pass"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
      mg_buf_putf(out, "</td><td class=\"n%s\">", whole(o, bad[i]) > 0 ? " warn" : "");
      put_count(out, whole(o, bad[i]));
    }
    mg_buf_puts(out, "</td></tr>\n");
  }
  mg_buf_puts(out, "</table></section>\n");
}

static void clauses(mg_buf *out, const json_t *s) {
  const json_t *list = json_object_get(s, "clauses");
  bool two = json_array_size(json_object_get(s, "roles")) > 1;
  mg_buf_putf(out, "<section><h2>Violations</h2><table id=\"clauses\"><tr><th>clause</th><th></th>%s<th class=\"n\">%s</th></tr>\n",
              two ? "<th class=\"n\">both</th><th class=\"n\">baseline only</th>" : "", two ? "candidate only" : "cases");
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *j = json_array_get(list, i);
    mg_buf_puts(out, "<tr><td>");
    esc(out, text(j, "name"));
    mg_buf_putf(out, "</td><td class=\"soft\">%s</td>", json_is_true(json_object_get(j, "hard")) ? "hard" : "soft");
    if (two) {
      mg_buf_puts(out, "<td class=\"n\">");
      put_count(out, whole(j, "both"));
      mg_buf_puts(out, "</td><td class=\"n\">");
      put_count(out, whole(j, "baseline_only"));
      mg_buf_puts(out, "</td>");
    }
    mg_buf_putf(out, "<td class=\"n%s\">", whole(j, "candidate_only") > 0 ? " error" : "");
    put_count(out, whole(j, "candidate_only"));
    mg_buf_puts(out, "</td></tr>\n");
  }
  mg_buf_puts(out, "</table></section>\n");
}

static void workers(mg_buf *out, const json_t *s) {
  const json_t *list = json_object_get(s, "workers");
  size_t n = json_array_size(list);
  mg_buf_puts(out, "<section><h2>Workers</h2>");
  if (n == 0) {
    mg_buf_puts(out, "<p class=\"soft\">No worker has beaten yet.</p></section>\n");
    return;
  }
  mg_buf_puts(
      out,
      "<table id=\"worker-list\"><tr><th>worker</th><th>state</th><th class=\"n\">last beat</th><th class=\"n\">executors</th><th class=\"n\">tasks held</th>"
      "<th class=\"n\">cases done</th><th>at</th></tr>\n");
  for (size_t i = 0; i < n; i++) {
    const json_t *w = json_array_get(list, i);
    mg_buf_puts(out, "<tr><td>");
    esc(out, text(w, "name"));
    mg_buf_putf(out, "</td><td class=\"%s\">%s</td><td class=\"n\">", text(w, "state"), text(w, "state"));
    if (known(w, "last_beat_seconds")) mg_buf_putf(out, "%.1f s", real(w, "last_beat_seconds"));
    mg_buf_putf(out, "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">", whole(w, "executors"), whole(w, "held_tasks"));
    put_count(out, whole(w, "cases_done"));
    mg_buf_puts(out, "</td><td class=\"soft\">");
    if (text(w, "task") != NULL) {
      mg_buf_puts(out, "task ");
      esc(out, text(w, "task"));
      mg_buf_putf(out, ", case %" PRIu64 ", %s", whole(w, "case"), text(w, "role"));
    }
    mg_buf_puts(out, "</td></tr>\n");
  }
  mg_buf_puts(out, "</table></section>\n");
}

static void log_tail(mg_buf *out, const json_t *s) {
  const json_t *list = json_object_get(s, "log");
  size_t n = json_array_size(list);
  if (n == 0) return;
  mg_buf_puts(out, "<section><h2>Log</h2><table id=\"log\">\n");
  for (size_t i = n; i-- > 0;) { /* the newest first */
    const json_t *j = json_array_get(list, i);
    const char *when = text(j, "time");
    mg_buf_putf(out, "<tr><td class=\"soft\">%.8s</td><td class=\"%s\">", strlen(when) > 11 ? when + 11 : when, text(j, "level"));
    esc(out, text(j, "event"));
    mg_buf_puts(out, "</td><td class=\"t\">");
    esc(out, text(j, "text"));
    mg_buf_puts(out, "</td></tr>\n");
  }
  mg_buf_puts(out, "</table></section>\n");
}

void mg_live_page(mg_buf *out, const json_t *s) {
  uint64_t planned = whole(s, "planned");
  mg_buf_puts(out, HEAD);
  mg_buf_putf(out, "<title>%d %% ", planned > 0 ? (int)(100 * (double)whole(s, "counted") / (double)planned) : 0);
  esc(out, text(s, "plan"));
  mg_buf_putf(out,
              ": %s – mguard</title></head><body>\n<p class=\"gone\" id=\"gone\" role=\"status\">The run has ended or cannot be reached: these are the last "
              "numbers.</p>\n<main>",
              state_word(s));
  header(out, s);
  progress(out, s);
  if (known(s, "counted")) {
    chart(out, s);
    roles(out, s);
    clauses(out, s);
    workers(out, s);
  }
  log_tail(out, s);
  mg_buf_puts(out, "</main>\n");
  mg_buf_puts(out, SCRIPT);
  mg_buf_puts(out, "</body></html>\n");
}
