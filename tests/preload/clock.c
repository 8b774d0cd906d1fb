/* clock.c - preloaded into a program, moves its wall clock by CLOCK_SKEW_S seconds, and by those that stand in the file CLOCK_SKEW_FILE at
 * each call: whoever writes there makes the clock jump. The file is two native integers of 8 bytes: seconds, and how often the clock was
 * read, which the program counts up. Monotonic clocks and waits stay as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *out);
int gettimeofday(struct timeval *restrict out, void *restrict zone);
time_t time(time_t *out);

static long fixed_s;
static int64_t *shared; /* seconds, reads */

__attribute__((constructor)) static void look(void) {
  const char *text = getenv("CLOCK_SKEW_S"), *file = getenv("CLOCK_SKEW_FILE");
  if (text != NULL) fixed_s = strtol(text, NULL, 10);
  int fd = file != NULL ? open(file, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *at = mmap(NULL, 2 * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) shared = at;
  (void)close(fd);
}

static long skew_s(void) {
  if (shared == NULL) return fixed_s;
  (void)__atomic_fetch_add(shared + 1, 1, __ATOMIC_RELAXED);
  return fixed_s + (long)__atomic_load_n(shared, __ATOMIC_RELAXED);
}

static int real(clockid_t id, struct timespec *out) {
  static int (*next)(clockid_t, struct timespec *);
  if (next == NULL) *(void **)(&next) = dlsym(RTLD_NEXT, "clock_gettime");
  return next(id, out);
}

int clock_gettime(clockid_t id, struct timespec *out) {
  int rc = real(id, out);
  if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) out->tv_sec += skew_s();
  return rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}
