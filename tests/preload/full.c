/* full.c - preloaded into a program: while the file named by FULL_WHEN is there, nothing can be written to files of a journal (*.db, *.db-wal), as on a full disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);

static int is_full(int fd) {
  char link[64], path[4096];
  const char *when = getenv("FULL_WHEN");
  if (when == NULL || access(when, F_OK) != 0) return 0;
  (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = '\0';
  return strstr(path, ".db") != NULL;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  if (next == NULL) *(void **)(&next) = dlsym(RTLD_NEXT, "pwrite64");
  if (!is_full(fd)) return next(fd, data, len, at);
  errno = ENOSPC;
  return -1;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { return pwrite64(fd, data, len, at); }
