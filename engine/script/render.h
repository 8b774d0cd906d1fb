/* render.h - texts for people that the Lua side makes: a report's summary, the files of a new task, configurations. Thread: the state's. */
#ifndef MG_SCRIPT_RENDER_H
#define MG_SCRIPT_RENDER_H

#include "base/buf.h"
#include "script/state.h"

/* require("mguard.report.summary").text(report, {width, color}) appended to out. */
mg_err mg_render_summary(mg_script *s, mg_slice report_json, int width, bool color, mg_buf *out, mg_error *e);

/* The files of require("mguard.scaffold") one after the other; ends with the first error of each. backend "memory": no queue. The stack is emptied. */
typedef mg_err mg_render_file(void *owner, const char *file, mg_slice text, mg_error *e);
mg_err mg_render_scaffold(mg_script *s, const char *name, const char *backend, mg_render_file *each, void *owner, mg_error *e);

/* require("mguard.translate")[function](source, backend): JSON and, a line each, what is to be said about it. function is "to" or "export"; backend may be NULL. */
mg_err mg_render_translated(const char *function, const char *source, const char *backend, mg_buf *json, mg_buf *notes, mg_error *e);

#endif
