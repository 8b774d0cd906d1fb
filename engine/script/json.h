/* json.h - exact JSON of case data over jansson: integers and floats kept apart, floats with 17 digits, keys sorted.
 *
 * What JSON cannot carry is refused by name and path: NaN, Inf, bytes that are not UTF-8, keys that are not text, nil inside lists. Thread: any; a tape has one owner. */
#ifndef MG_SCRIPT_JSON_H
#define MG_SCRIPT_JSON_H

#include "script/value.h"

/* all = true: an array of all top-level values; else the first one. Appends to out; pretty adds line breaks. MG_ARG with what and where. */
mg_err mg_json_write(const mg_tape *t, bool all, bool pretty, mg_buf *out, mg_error *e);

/* A parsed document; strings on the tape borrow from it. */
typedef struct mg_json mg_json;
/* Appends the value of text to the tape. MG_ARG: "line 3 column 4: ..."; integers beyond int64 are refused by name. Free *doc after the tape's last use. */
mg_err mg_json_read(mg_slice text, mg_tape *t, mg_json **doc, mg_error *e);
void mg_json_free(mg_json *doc);

#endif
