/* clock.h - time. mg_ms counts from an arbitrary start and never goes back (CLOCK_MONOTONIC). Any thread. */
#ifndef MG_BASE_CLOCK_H
#define MG_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef int64_t mg_ms;
#define MG_NEVER INT64_MAX

mg_ms mg_now_ms(void);
int64_t mg_now_ns(void);
int64_t mg_wall_ms(void); /* since 1970, for people and logs only; never compared across machines */

/* "2026-11-25T10:11:12Z" into out (at least 21 bytes). */
void mg_wall_text(int64_t wall_ms, char *out, size_t size);

/* Milliseconds from now to until for poll(): 0 where it has passed, -1 for MG_NEVER, at most INT_MAX. */
int mg_until_ms(mg_ms until);

#endif
