/* Stands before the C library's clock_gettime, which libmguard.a and the libraries under it then call here. */
#include "tests/wall_clock.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_long ahead_s;

void mg_test_wall_ahead(long seconds) { atomic_store(&ahead_s, seconds); }

int clock_gettime(clockid_t id, struct timespec *out) {
  int rc = (int)syscall(SYS_clock_gettime, id, out);
  if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) out->tv_sec += atomic_load(&ahead_s);
  return rc;
}
