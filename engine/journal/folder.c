/* The folder the journals stand in: which are there, which are written to, away with one. */
#include "journal/runfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static bool file_of(char *out, size_t size, const char *dir, const char *run, const char *end) {
  int n = snprintf(out, size, "%s/%s%s", dir, run, end);
  return n > 0 && (size_t)n < size;
}

/* A descriptor with the lock, -1 where another has it, -2 where there is no file. */
static int try_lock(const char *dir, const char *run) {
  char path[4096];
  int fd = file_of(path, sizeof path, dir, run, ".db") ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return -2;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  (void)close(fd);
  return -1;
}

bool mg_runfile_held(const char *dir, const char *run) {
  int fd = try_lock(dir, run);
  if (fd >= 0) (void)close(fd);
  return fd == -1;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

mg_err mg_runfile_list(const char *dir, char ***runs, size_t *count, mg_error *e) {
  *runs = NULL;
  *count = 0;
  DIR *d = opendir(dir);
  if (d == NULL) return errno == ENOENT ? MG_OK : mg_fail_errno(e, MG_ARG, errno, "the folder %s cannot be read", dir);
  size_t cap = 0;
  mg_err err = MG_OK;
  for (struct dirent *at; err == MG_OK && (at = readdir(d)) != NULL;) {
    size_t len = strlen(at->d_name);
    if (len <= 3 || strcmp(at->d_name + len - 3, ".db") != 0) continue;
    if (*count == cap) {
      cap = cap == 0 ? 16 : 2 * cap;
      char **grown = realloc(*runs, cap * sizeof *grown);
      if (grown == NULL) err = mg_fail(e, MG_NOMEM, "memory ended");
      if (grown != NULL) *runs = grown;
    }
    char *name = err == MG_OK ? strndup(at->d_name, len - 3) : NULL;
    if (name != NULL) (*runs)[(*count)++] = name;
  }
  (void)closedir(d);
  if (*count > 0) qsort(*runs, *count, sizeof **runs, by_name);
  return err;
}

mg_err mg_runfile_remove(const char *dir, const char *run, mg_error *e) {
  static const char *const ends[] = {"-wal", "-shm", ".db"};
  char path[4096], base[256];
  int fd = try_lock(dir, run);
  if (fd == -1) return mg_fail(e, MG_AGAIN, "run %s is under way", run);
  mg_err err = MG_OK;
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    (void)snprintf(base, sizeof base, "%.200s%s", run, ends[i][0] == '-' ? ".db" : "");
    if (!file_of(path, sizeof path, dir, base, ends[i])) return mg_fail(e, MG_ARG, "the name of run %s is too long", run);
    if (unlink(path) != 0 && errno != ENOENT) err = mg_fail_errno(e, MG_ARG, errno, "%s cannot be removed", path);
  }
  if (fd >= 0) (void)close(fd);
  return err;
}
