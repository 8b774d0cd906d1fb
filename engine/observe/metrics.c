#include "observe/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct series {
  char values[MG_METRIC_LABELS][MG_LABEL_VALUE_BYTES];
  double value;
  mg_timing timing;
} series;

struct mg_metric {
  mg_metrics *owner;
  mg_metric *next;
  mg_metric_info info;
  int label_count;
  series *series;
  size_t count, cap;
};

struct mg_metrics {
  mg_metric *first, **last;
  mg_metric *dropped;
  double dropped_count;
};

mg_metrics *mg_metrics_new(void) {
  mg_metrics *m = calloc(1, sizeof *m);
  if (m == NULL) return NULL;
  m->last = &m->first;
  mg_metric_info info = {MG_COUNTER, "metamorphic_metrics_dropped_total", "Values dropped because a metric had all the label values it may have.", {NULL}, 1};
  m->dropped = mg_metrics_add(m, &info);
  if (m->dropped != NULL) {
    mg_metric_set(m->dropped, 0);
    return m;
  }
  mg_metrics_free(m);
  return NULL;
}

void mg_metrics_free(mg_metrics *m) {
  if (m == NULL) return;
  for (mg_metric *x = m->first, *next; x != NULL; x = next) {
    next = x->next;
    free(x->series);
    free(x);
  }
  free(m);
}

/* ---- declaring ---- */

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static bool good_name(const char *name) {
  if (name == NULL || !letter(name[0])) return false;
  for (const char *c = name; *c != '\0'; c++) {
    if (!letter(*c) && !(*c >= '0' && *c <= '9')) return false;
  }
  return true;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), k = strlen(end);
  return n >= k && strcmp(text + n - k, end) == 0;
}

/* The rules of `promtool check metrics`, so that a wrong name is found by the first test and not by the first scrape. */
static bool acceptable(const mg_metrics *m, const mg_metric_info *i) {
  if (!good_name(i->name) || i->help == NULL || i->help[0] == '\0') return false;
  if ((i->kind == MG_COUNTER) != ends_with(i->name, "_total")) return false;
  if (i->kind == MG_HISTOGRAM && !ends_with(i->name, "_seconds")) return false; /* mg_timing counts in seconds */
  for (int k = 0; k < MG_METRIC_LABELS && i->labels[k] != NULL; k++) {
    if (!good_name(i->labels[k]) || strncmp(i->labels[k], "__", 2) == 0) return false;
    if (i->kind == MG_HISTOGRAM && strcmp(i->labels[k], "le") == 0) return false;
  }
  for (const mg_metric *x = m->first; x != NULL; x = x->next) {
    if (strcmp(x->info.name, i->name) == 0) return false;
  }
  return true;
}

mg_metric *mg_metrics_add(mg_metrics *m, const mg_metric_info *info) {
  if (m == NULL || !acceptable(m, info)) return NULL;
  mg_metric *x = calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->owner = m;
  x->info = *info;
  if (x->info.max_series == 0) x->info.max_series = 1;
  while (x->label_count < MG_METRIC_LABELS && info->labels[x->label_count] != NULL) x->label_count++;
  *m->last = x;
  m->last = &x->next;
  return x;
}

/* ---- setting ---- */

static void drop(mg_metrics *m) { m->dropped->series[0].value = ++m->dropped_count; }

static series *find(mg_metric *x, va_list values) {
  const char *wanted[MG_METRIC_LABELS];
  for (int k = 0; k < x->label_count; k++) wanted[k] = va_arg(values, const char *);
  for (size_t i = 0; i < x->count; i++) {
    bool same = true;
    for (int k = 0; k < x->label_count && same; k++) same = strncmp(x->series[i].values[k], wanted[k], MG_LABEL_VALUE_BYTES - 1) == 0;
    if (same) return &x->series[i];
  }
  if (x->count == x->info.max_series) {
    drop(x->owner);
    return NULL;
  }
  if (x->count == x->cap) {
    size_t cap = x->cap == 0 ? 1 : 2 * x->cap;
    series *more = realloc(x->series, cap * sizeof *more);
    if (more == NULL) return NULL;
    x->series = more;
    x->cap = cap;
  }
  series *s = &x->series[x->count++];
  *s = (series){.value = 0};
  for (int k = 0; k < x->label_count; k++) strncpy(s->values[k], wanted[k], MG_LABEL_VALUE_BYTES - 1);
  return s;
}

void mg_metric_set(mg_metric *x, double value, ...) {
  if (x == NULL || !isfinite(value) || x->info.kind == MG_HISTOGRAM) return;
  va_list values;
  va_start(values, value);
  series *s = find(x, values);
  va_end(values);
  if (s != NULL && (x->info.kind == MG_GAUGE || value > s->value)) s->value = value;
}

void mg_metric_timing(mg_metric *x, const mg_timing *t, ...) {
  if (x == NULL || x->info.kind != MG_HISTOGRAM) return;
  va_list values;
  va_start(values, t);
  series *s = find(x, values);
  va_end(values);
  if (s != NULL) s->timing = *t;
}

void mg_metric_clear(mg_metric *x) {
  if (x != NULL) x->count = 0;
}

/* ---- rendering ---- */

static void put_escaped(mg_buf *out, const char *text, bool quotes) {
  for (const char *c = text; *c != '\0'; c++) {
    if (*c == '\\')
      mg_buf_puts(out, "\\\\");
    else if (*c == '\n')
      mg_buf_puts(out, "\\n");
    else if (*c == '"' && quotes)
      mg_buf_puts(out, "\\\"");
    else
      mg_buf_put(out, c, 1);
  }
}

/* {role="candidate",le="0.5"}; nothing where there is none. */
static void put_labels(mg_buf *out, const mg_metric *x, const series *s, const char *le) {
  if (x->label_count == 0 && le == NULL) return;
  for (int k = 0; k < x->label_count; k++) {
    mg_buf_putf(out, "%s%s=\"", k == 0 ? "{" : ",", x->info.labels[k]);
    put_escaped(out, s->values[k], true);
    mg_buf_puts(out, "\"");
  }
  if (le != NULL) mg_buf_putf(out, "%sle=\"%s\"", x->label_count == 0 ? "{" : ",", le);
  mg_buf_puts(out, "}");
}

static void put_value(mg_buf *out, double v) {
  if (v == floor(v) && fabs(v) < 9007199254740992.0)
    mg_buf_putf(out, " %.0f\n", v);
  else
    mg_buf_putf(out, " %.9g\n", v);
}

static void put_histogram(mg_buf *out, const mg_metric *x, const series *s) {
  uint64_t sum = 0;
  char le[32];
  for (int i = 0; i < MG_TIMING_BUCKETS; i++) {
    sum += s->timing.counts[i];
    (void)snprintf(le, sizeof le, "%g", mg_timing_bounds[i]);
    mg_buf_putf(out, "%s_bucket", x->info.name);
    put_labels(out, x, s, le);
    mg_buf_putf(out, " %" PRIu64 "\n", sum);
  }
  sum += s->timing.counts[MG_TIMING_BUCKETS];
  mg_buf_putf(out, "%s_bucket", x->info.name);
  put_labels(out, x, s, "+Inf");
  mg_buf_putf(out, " %" PRIu64 "\n%s_sum", sum, x->info.name);
  put_labels(out, x, s, NULL);
  put_value(out, s->timing.sum_seconds);
  mg_buf_putf(out, "%s_count", x->info.name);
  put_labels(out, x, s, NULL);
  mg_buf_putf(out, " %" PRIu64 "\n", sum);
}

void mg_metrics_render(const mg_metrics *m, mg_buf *out) {
  static const char *const kinds[] = {"counter", "gauge", "histogram"};
  for (const mg_metric *x = m->first; x != NULL; x = x->next) {
    if (x->count == 0) continue;
    mg_buf_putf(out, "# HELP %s ", x->info.name);
    put_escaped(out, x->info.help, false);
    mg_buf_putf(out, "\n# TYPE %s %s\n", x->info.name, kinds[x->info.kind]);
    for (size_t i = 0; i < x->count; i++) {
      if (x->info.kind == MG_HISTOGRAM) {
        put_histogram(out, x, &x->series[i]);
        continue;
      }
      mg_buf_puts(out, x->info.name);
      put_labels(out, x, &x->series[i], NULL);
      put_value(out, x->series[i].value);
    }
  }
}
