/* json_text.h - any C string as a JSON string. Any thread. */
#ifndef MG_OBSERVE_JSON_TEXT_H
#define MG_OBSERVE_JSON_TEXT_H

#include <jansson.h>

/* Texts of tested programs may hold any bytes: what is no UTF-8 is written as \xNN. NULL becomes null. */
json_t *mg_json_text(const char *s);

#endif
