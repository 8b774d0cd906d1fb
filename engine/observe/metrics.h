/* metrics.h - a small registry of counters, gauges and histograms, and their Prometheus text. One owner, its thread alone.
 *
 * Metrics are declared once, set from snapshots as often as one likes, and rendered. Label values are bounded: a metric holds at most its max_series sets of
 * them, what comes beyond is dropped and counted in metamorphic_metrics_dropped_total. */
#ifndef MG_OBSERVE_METRICS_H
#define MG_OBSERVE_METRICS_H

#include "base/buf.h"
#include "base/timing.h"
#include <stdbool.h>
#include <stddef.h>

enum { MG_METRIC_LABELS = 3, MG_LABEL_VALUE_BYTES = 160 };

typedef enum mg_metric_kind { MG_COUNTER, MG_GAUGE, MG_HISTOGRAM } mg_metric_kind;

typedef struct mg_metric_info { /* texts are borrowed while the registry lives */
  mg_metric_kind kind;
  const char *name;                     /* with its unit; counters end with _total */
  const char *help;                     /* one line */
  const char *labels[MG_METRIC_LABELS]; /* names; NULL from the first that is not there */
  size_t max_series;                    /* 0: 1 */
} mg_metric_info;

typedef struct mg_metrics mg_metrics;
typedef struct mg_metric mg_metric; /* belongs to its registry; NULL below does nothing */

mg_metrics *mg_metrics_new(void); /* NULL where memory ended */
void mg_metrics_free(mg_metrics *m);

/* NULL where memory ended, or where name, help or a label's name is not as Prometheus wants it, or the name is taken. */
mg_metric *mg_metrics_add(mg_metrics *m, const mg_metric_info *info);

/* Sets the series of these label values, as many as the metric has labels, in their order. A counter keeps the highest value it was given. Values that are
 * not finite are ignored. */
void mg_metric_set(mg_metric *x, double value, ...);
/* Replaces the series' histogram. */
void mg_metric_timing(mg_metric *x, const mg_timing *t, ...);
/* Forgets all series: for gauges whose label values come and go. */
void mg_metric_clear(mg_metric *x);

/* Appends the text exposition format 0.0.4 of everything that was set, in the order of declaration. */
void mg_metrics_render(const mg_metrics *m, mg_buf *out);

#endif
