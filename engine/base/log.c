#include "base/log.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/log_line.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The levels are read without the lock, so that an event nobody wants costs two loads. */
static _Atomic mg_log_level people_level = MG_LOG_INFO;
static _Atomic mg_log_level machine_level = MG_LOG_OFF;

/* Guards all below and every mg_log_limit. A leaf: nothing else is locked while it is held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int machine_fd = STDOUT_FILENO;
static char *machine_file; /* NULL: stdout */
static mg_buf line, unwritten; /* memory is kept from event to event */
static bool gathers;
enum { GATHER_BYTES = 64 << 10 };

/* What was said lately, so that it is not said again at once. Few different things repeat at a time: the oldest entry makes room. */
enum { REPEAT_MS = 1000, REPEATS = 64 };
typedef struct repeat {
  uint64_t what; /* hash of level, event and text; 0: free */
  mg_log_limit limit;
} repeat;
static repeat repeats[REPEATS];

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

bool mg_log_wants(mg_log_level level) {
  return level < MG_LOG_OFF && (level >= people_level || level >= machine_level);
}

static mg_err open_file(const char *file, int *fd, mg_error *e) {
  *fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (*fd < 0) return mg_fail_errno(e, MG_ARG, errno, "log file %s cannot be opened for writing", file);
  return MG_OK;
}

static void write_all(int fd, const mg_buf *b) {
  if (b->failed) return;
  for (size_t at = 0; at < b->len;) {
    ssize_t n = write(fd, b->data + at, b->len - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return; /* a full disk or a closed pipe must not end a run */
    at += (size_t)n;
  }
}

/* What machines were told and is not written yet. With the lock held. */
static void flush(void) {
  write_all(machine_fd, &unwritten);
  mg_buf_clear(&unwritten);
}

/* With the lock held. file is taken over. */
static void replace(int fd, char *file) {
  flush();
  if (machine_file != NULL) {
    (void)close(machine_fd);
    free(machine_file);
  }
  machine_fd = fd;
  machine_file = file;
}

mg_err mg_log_open(const mg_log_config *config, mg_error *e) {
  int fd = STDOUT_FILENO;
  char *file = NULL;
  if (config->file != NULL && config->machines < MG_LOG_OFF) {
    file = strdup(config->file);
    if (file == NULL) return mg_fail(e, MG_NOMEM, "no memory left for the log");
    mg_err err = open_file(file, &fd, e);
    if (err != MG_OK) {
      free(file);
      return err;
    }
  }
  (void)pthread_mutex_lock(&lock);
  replace(fd, file);
  people_level = config->people;
  machine_level = config->machines;
  gathers = config->gathers;
  (void)pthread_mutex_unlock(&lock);
  return MG_OK;
}

mg_err mg_log_reopen(mg_error *e) {
  mg_err err = MG_OK;
  (void)pthread_mutex_lock(&lock);
  if (machine_file != NULL) {
    int fd;
    err = open_file(machine_file, &fd, e);
    if (err == MG_OK) {
      flush();
      (void)close(machine_fd);
      machine_fd = fd;
    }
  }
  (void)pthread_mutex_unlock(&lock);
  return err;
}

void mg_log_flush(void) {
  (void)pthread_mutex_lock(&lock);
  if (unwritten.len > 0) flush();
  (void)pthread_mutex_unlock(&lock);
}

void mg_log_close(void) {
  (void)pthread_mutex_lock(&lock);
  people_level = MG_LOG_INFO;
  machine_level = MG_LOG_OFF;
  replace(STDOUT_FILENO, NULL);
  gathers = false;
  mg_buf_fini(&line);
  mg_buf_fini(&unwritten);
  (void)pthread_mutex_unlock(&lock);
}

/* With the lock held, so that times in the file never go back and lines never mix. */
static void emit(mg_log_level level, const mg_log_said *said) {
  if (level >= people_level) {
    mg_buf_clear(&line);
    mg_log_put_people(&line, said);
    write_all(STDERR_FILENO, &line);
  }
  if (level < machine_level) return;
  mg_log_put_machines(&unwritten, said);
  if (!gathers || level >= MG_LOG_WARN || unwritten.len >= GATHER_BYTES || unwritten.failed) flush();
}

/* With the lock held: may it be said now? suppressed counts those since the last that was. */
static bool passes(mg_log_limit *limit, mg_ms every_ms, uint64_t *suppressed) {
  mg_ms now = mg_now_ms();
  if (now < limit->next) {
    limit->suppressed++;
    return false;
  }
  *suppressed = limit->suppressed;
  *limit = (mg_log_limit){.next = now + every_ms};
  return true;
}

static mg_log_limit *limit_of(mg_log_level level, const char *event, const char *text) {
  uint64_t low, of_event, high;
  mg_xxh3_128(event, strlen(event), &of_event, &high);
  mg_xxh3_128(text, strlen(text), &low, &high);
  uint64_t what = (low ^ of_event * (31 + 2 * (uint64_t)level)) | 1;
  repeat *oldest = &repeats[0];
  for (size_t i = 0; i < REPEATS; i++) {
    if (repeats[i].what == what) return &repeats[i].limit;
    if (repeats[i].limit.next < oldest->limit.next) oldest = &repeats[i];
  }
  *oldest = (repeat){.what = what};
  return &oldest->limit;
}

static bool log_args(mg_log_limit *limit, mg_ms every_ms, mg_log_level level, const char *event,
                     const mg_log_field *fields, size_t count, const char *format, va_list ap) {
  bool wanted = mg_log_wants(level), repeats_count = limit == NULL && level >= MG_LOG_WARN;
  if (!wanted && !repeats_count) return true;
  char made[1024];
  const char *text = made;
  if (strcmp(format, "%s") == 0) /* most have their text already */
    text = va_arg(ap, const char *);
  else
    (void)vsnprintf(made, sizeof made, format, ap);
  if (text == NULL) text = "";
  uint64_t suppressed = 0;
  bool pass = true;
  (void)pthread_mutex_lock(&lock);
  if (limit != NULL) pass = passes(limit, every_ms, &suppressed);
  if (repeats_count) pass = passes(limit_of(level, event, text), REPEAT_MS, &suppressed);
  if (pass && wanted) emit(level, &(mg_log_said){mg_wall_ms(), level_names[level], event, text, fields, count, suppressed});
  (void)pthread_mutex_unlock(&lock);
  return pass;
}

bool mg_log(mg_log_level level, const char *event, const mg_log_field *fields, size_t count, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  bool said = log_args(NULL, 0, level, event, fields, count, format, ap);
  va_end(ap);
  return said;
}

void mg_log_rarely(mg_log_limit *limit, mg_ms every_ms, mg_log_level level, const char *event,
                   const mg_log_field *fields, size_t count, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  (void)log_args(limit, every_ms, level, event, fields, count, format, ap);
  va_end(ap);
}
