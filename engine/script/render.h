/* render.h - a report as text for people, made by the Lua side from the report's JSON. Thread: the state's. */
#ifndef MG_SCRIPT_RENDER_H
#define MG_SCRIPT_RENDER_H

#include "base/buf.h"
#include "script/state.h"

/* require("mguard.report.summary").text(report, {width, color}) appended to out. */
mg_err mg_render_summary(mg_script *s, mg_slice report_json, int width, bool color, mg_buf *out, mg_error *e);

#endif
