/* ident.h - names of runs and workers. Any thread. */
#ifndef MG_BASE_IDENT_H
#define MG_BASE_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_RUN_ID_BYTES 21 /* "20261125-101112-3fa9" and its NUL */

/* Start time (UTC) and four random hex digits. */
void mg_run_id_make(int64_t wall_ms, char out[MG_RUN_ID_BYTES]);

/* "host-pid-random", at most size - 1 bytes and 128; letters of the host name that an id may not have become '-'. size
 * is at least 48. */
void mg_worker_name_make(char *out, size_t size);

/* 1 .. max bytes, each of A-Z a-z 0-9 _ - or of also; does not begin with '.' or '-'. These go into keys, paths and
 * command lines as they are. */
bool mg_ident_ok(const char *id, size_t max, const char *also);
/* The same of len bytes that need no NUL at the end. */
bool mg_ident_ok_bytes(const uint8_t *id, size_t len, size_t max, const char *also);

#endif
