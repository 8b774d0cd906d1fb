/* newest.h - the newest word of each sender, or about each subject, until it expires: beats, controls, quarantines, of brokers that do not keep them so.
 *
 * One thread, or a lock of the owner's. Zero-initialised is empty. */
#ifndef MG_NET_NEWEST_H
#define MG_NET_NEWEST_H

#include "dispatch/backend.h"

typedef struct mg_newest_item {
  char *subject;
  uint8_t *body;
  size_t len;
  mg_ms expires;
} mg_newest_item;

typedef struct mg_newest {
  mg_newest_item *items;
  size_t count, cap;
} mg_newest;

/* Replaces what is known under the subject; *fresh (may be NULL): nothing was. false where memory ended: it is lost like one the network lost. */
bool mg_newest_put(mg_newest *n, const char *subject, mg_slice body, mg_ms expires, bool *fresh);
/* What is known under the subject and has not expired; NULL where nothing is. */
const mg_newest_item *mg_newest_find(const mg_newest *n, const char *subject, mg_ms now);
void mg_newest_remove(mg_newest *n, const char *subject);
void mg_newest_expire(mg_newest *n, mg_ms now);
/* Appends those that have not expired: as beats (from is the subject) or as controls (it is ""). */
mg_err mg_newest_give(mg_newest *n, bool beats, mg_batch *out, mg_error *e);
void mg_newest_fini(mg_newest *n);

#endif
