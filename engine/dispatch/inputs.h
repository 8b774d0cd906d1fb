/* inputs.h - the lines of a JSON-lines file by case number. Lines of white space alone are no cases. One owner.
 *
 * The file is read by line; the place of every 1024th case is kept, so that a case asked for again is found without reading from the start. */
#ifndef MG_DISPATCH_INPUTS_H
#define MG_DISPATCH_INPUTS_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mg_inputs mg_inputs;

/* Reads the file once. MG_ARG where it cannot be read or holds fewer than cases. */
mg_err mg_inputs_open(mg_inputs **out, const char *path, uint64_t cases, mg_error *e);
void mg_inputs_free(mg_inputs *in);
/* The line of a case without its end, valid until the next call; *number is its line in the file, from 1. MG_ARG where the file has changed meanwhile. */
mg_err mg_inputs_read(mg_inputs *in, uint64_t case_number, const char **line, size_t *len, uint64_t *number, mg_error *e);

#endif
