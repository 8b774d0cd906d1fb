/* top_view.h - what `mguard top` shows, as lines of text. Pure. */
#ifndef MG_CLI_TOP_VIEW_H
#define MG_CLI_TOP_VIEW_H

#include "base/buf.h"
#include <jansson.h>
#include <stdbool.h>

typedef struct mg_top_screen {
  int width, height; /* columns, lines */
  bool colour;
  const char *note;  /* for the last line; NULL: none */
} mg_top_screen;

/* Appends at most height lines of at most width columns, each ended by "\n". Of a run: the state of its live page (docs/operations/live.md). */
void mg_top_run(mg_buf *out, const json_t *state, const mg_top_screen *screen);
/* Of a queue: the object of `mguard status --json`. */
void mg_top_queue(mg_buf *out, const json_t *status, const mg_top_screen *screen);

#endif
