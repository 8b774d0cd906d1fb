#include "base/clock.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

int64_t mg_now_ns(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

mg_ms mg_now_ms(void) {
  return mg_now_ns() / 1000000;
}

int64_t mg_wall_ms(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void mg_wall_text(int64_t wall_ms, char *out, size_t size) {
  if (size == 0) return;
  int64_t seconds = wall_ms / 1000;
  if (wall_ms % 1000 < 0) seconds--;
  time_t t = (time_t)seconds;
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) out[0] = '\0';
}

int mg_until_ms(mg_ms until) {
  if (until == MG_NEVER) return -1;
  mg_ms now = mg_now_ms();
  if (until <= now) return 0;
  /* now is never negative, so the difference cannot overflow. */
  mg_ms left = until - now;
  return left > INT_MAX ? INT_MAX : (int)left;
}
