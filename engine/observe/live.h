/* live.h - a run while it goes: /state.json, and / as a page for people, on a port of its own (http.h). Main thread.
 *
 * The state is one JSON object, described in docs/operations/live.md; the page and `mguard top` are drawn from it. Texts hold any bytes a plan or worker
 * chose: they are escaped where they are shown. */
#ifndef MG_OBSERVE_LIVE_H
#define MG_OBSERVE_LIVE_H

#include "base/log.h"
#include "observe/report.h"
#include <jansson.h>

typedef struct mg_live mg_live;

typedef struct mg_live_config { /* borrowed while it lives */
  const char *host;             /* NULL: 127.0.0.1; "*": every address of this machine */
  int port;                     /* 0: a free one */
  const char *token;            /* who shows it may look; NULL: everybody who reaches the port; copied */
  const mg_plan *plan;
  const char *run, *backend;
} mg_live_config;

mg_err mg_live_start(mg_live **out, const mg_live_config *config, mg_error *e);
int mg_live_port(const mg_live *l);

/* A line of the log's tail. l NULL is fine, here and below. */
void mg_live_say(mg_live *l, mg_log_level level, const char *event, const char *text);
/* Call as often as you like: the state is made at most twice a second, and seldom where nobody looks. s NULL: the run has not begun. */
void mg_live_update(mg_live *l, const mg_run_state *s);
/* The last state: a verdict, or why there is none. */
void mg_live_over(mg_live *l, const mg_report *r, const char *failed);
/* Whoever watched until now has a moment to see the last state. */
void mg_live_stop(mg_live *l);

/* live_page.c: the page of a state, as HTML. */
void mg_live_page(mg_buf *out, const json_t *state);

#endif
