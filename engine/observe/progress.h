/* progress.h - how far a run is, for people: a bar in place on a terminal, a line every few seconds elsewhere. Main thread.
 *
 * Everything else that is written to the same descriptor while a bar stands goes through mg_progress_say. */
#ifndef MG_OBSERVE_PROGRESS_H
#define MG_OBSERVE_PROGRESS_H

#include "base/err.h"
#include "judge/run.h"

typedef enum mg_progress_style {
  MG_PROGRESS_AUTO = 0, /* a bar where fd is a terminal that knows how, else lines */
  MG_PROGRESS_LINES,
  MG_PROGRESS_QUIET
} mg_progress_style;

typedef struct mg_progress mg_progress;

mg_progress *mg_progress_new(int fd, mg_progress_style style); /* NULL where memory ended; NULL is quiet below */
void mg_progress_free(mg_progress *p);

/* Call as often as you like, ten times a second is plenty. */
void mg_progress_update(mg_progress *p, const mg_run_state *s);
/* A line of its own, above the bar. */
void mg_progress_say(mg_progress *p, const char *text);
/* Takes the bar away, so that what comes next begins on an empty line. */
void mg_progress_end(mg_progress *p);

/* "1,234,567". */
void mg_count_text(char *out, size_t size, uint64_t n);
/* "0:05", "1:02:03", "5 days". */
void mg_duration_text(char *out, size_t size, double seconds);

/* The bar for that many columns, without control characters; at most width columns. Pure. */
void mg_progress_bar(char *out, size_t size, const mg_run_state *s, int width);
/* The same as a sentence. */
void mg_progress_line(char *out, size_t size, const mg_run_state *s);

#endif
