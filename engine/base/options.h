/* options.h - flat settings, "connection.host" -> text, number or truth. Filled once from the validated configuration
 * (lua/mguard/config.lua knows every key, its type, range and default), read by backends. Any thread once filled. */
#ifndef MG_BASE_OPTIONS_H
#define MG_BASE_OPTIONS_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mg_options mg_options;

mg_options *mg_options_new(void); /* NULL where memory ended */
void mg_options_free(mg_options *o);

/* Later settings of a key replace earlier ones. false where memory ended. */
bool mg_options_set_text(mg_options *o, const char *key, const char *value);
bool mg_options_set_int(mg_options *o, const char *key, int64_t value);
bool mg_options_set_real(mg_options *o, const char *key, double value);
bool mg_options_set_bool(mg_options *o, const char *key, bool value);

bool mg_options_has(const mg_options *o, const char *key);
/* The value, or otherwise where the key is absent or of another type (an int reads as a real too). Text stays owned by
 * o. */
const char *mg_options_text(const mg_options *o, const char *key, const char *otherwise);
int64_t mg_options_int(const mg_options *o, const char *key, int64_t otherwise);
double mg_options_real(const mg_options *o, const char *key, double otherwise);
bool mg_options_bool(const mg_options *o, const char *key, bool otherwise);

/* Entry i in order of first setting as text ("true", "12", "0.5"); false past the end. For passing on (a librdkafka
 * table, a worker's command line). value may be cut to size. */
bool mg_options_at(const mg_options *o, size_t i, const char **key, char *value, size_t size);

#endif
