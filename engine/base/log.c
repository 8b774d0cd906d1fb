#include "base/log.h"

#include "base/buf.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
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

/* With the lock held. file is taken over. */
static void replace(int fd, char *file) {
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
      (void)close(machine_fd);
      machine_fd = fd;
    }
  }
  (void)pthread_mutex_unlock(&lock);
  return err;
}

void mg_log_close(void) {
  (void)pthread_mutex_lock(&lock);
  people_level = MG_LOG_INFO;
  machine_level = MG_LOG_OFF;
  replace(STDOUT_FILENO, NULL);
  (void)pthread_mutex_unlock(&lock);
}

/* Length of the well-formed UTF-8 sequence at s, 0 where there is none. */
static size_t utf8_length(const unsigned char *s) {
  if (s[0] < 0x80) return 1;
  size_t n = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : s[0] >= 0xE0 && s[0] <= 0xEF ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
  }
  if (n == 3 && ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))) return 0; /* overlong, surrogate */
  if (n == 4 && ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)))
    return 0; /* overlong, past U+10FFFF */
  return n;
}

/* Between double quotes. JSON: what is no UTF-8 becomes U+FFFD, for a file with one broken line is a broken file. For
 * people the byte is shown as \xNN, and no control byte reaches the terminal. */
static void put_quoted(mg_buf *out, const char *text, bool json) {
  mg_buf_puts(out, "\"");
  for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
    size_t n = utf8_length(s);
    if (n == 0) {
      if (json) mg_buf_puts(out, "\\ufffd");
      else mg_buf_putf(out, "\\x%02x", *s);
      n = 1;
    } else if (*s == '"' || *s == '\\') {
      mg_buf_putf(out, "\\%c", *s);
    } else if (*s == '\n' || *s == '\t' || *s == '\r') {
      mg_buf_puts(out, *s == '\n' ? "\\n" : *s == '\t' ? "\\t" : "\\r");
    } else if (*s < 0x20 || *s == 0x7F) {
      mg_buf_putf(out, json ? "\\u%04x" : "\\x%02x", *s);
    } else if (!json && n == 2 && s[0] == 0xC2 && s[1] < 0xA0) {
      mg_buf_putf(out, "\\x%02x", s[1]); /* C1: terminals act on them too */
    } else {
      mg_buf_put(out, s, n);
    }
    s += n;
  }
  mg_buf_puts(out, "\"");
}

static void put_value(mg_buf *out, const mg_log_field *f, bool json) {
  switch (f->kind) {
    case MG_FIELD_INT: mg_buf_putf(out, "%" PRId64, f->integer); return;
    case MG_FIELD_BOOL: mg_buf_puts(out, f->integer != 0 ? "true" : "false"); return;
    case MG_FIELD_REAL:
      if (isfinite(f->real)) mg_buf_putf(out, "%.9g", f->real);
      else mg_buf_puts(out, "null");
      return;
    case MG_FIELD_TEXT: break;
  }
  if (f->text == NULL) {
    mg_buf_puts(out, "null");
    return;
  }
  bool bare = !json && f->text[0] != '\0';
  for (const char *c = f->text; bare && *c != '\0'; c++) {
    bare = (unsigned char)*c > ' ' && (unsigned char)*c < 0x7F && *c != '"' && *c != '\\' && *c != '=';
  }
  if (bare) mg_buf_puts(out, f->text);
  else put_quoted(out, f->text, json);
}

void mg_log_json_text(mg_buf *out, const char *text) { put_quoted(out, text, true); }

/* The text without its quotes, control bytes shown. */
static void put_text(mg_buf *out, const char *text) {
  mg_buf quoted = {0};
  put_quoted(&quoted, text, false);
  for (size_t i = 1; i + 1 < quoted.len; i++) {
    /* Quotes and backslashes need no escape here. */
    if (quoted.data[i] == '\\' && (quoted.data[i + 1] == '"' || quoted.data[i + 1] == '\\')) i++;
    mg_buf_put(out, &quoted.data[i], 1);
  }
  if (quoted.failed) out->failed = true;
  mg_buf_fini(&quoted);
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

static void put_time(mg_buf *out, int64_t wall_ms) {
  char text[32];
  mg_wall_text(wall_ms, text, sizeof text);
  size_t length = strlen(text);
  if (length == 0) return;
  mg_buf_putf(out, "%.*s.%03dZ", (int)length - 1, text, (int)(wall_ms % 1000));
}

/* With the lock held, so that times in the file never go back and lines never mix. */
static void emit(mg_log_level level, const char *event, const mg_log_field *fields, size_t count, uint64_t suppressed,
                 const char *text) {
  mg_buf line = {0};
  int64_t now = mg_wall_ms();
  const mg_log_field held = MG_LI("suppressed", suppressed);
  if (level >= people_level) {
    put_time(&line, now);
    mg_buf_putf(&line, " %-5s %s", level_names[level], event);
    if (text[0] != '\0') {
      mg_buf_puts(&line, ": ");
      put_text(&line, text);
    }
    for (size_t i = 0; i < count + (suppressed > 0 ? 1 : 0); i++) {
      const mg_log_field *f = i < count ? &fields[i] : &held;
      mg_buf_putf(&line, " %s=", f->key);
      put_value(&line, f, false);
    }
    mg_buf_puts(&line, "\n");
    write_all(STDERR_FILENO, &line);
    mg_buf_clear(&line);
  }
  if (level >= machine_level) {
    mg_buf_puts(&line, "{\"time\":\"");
    put_time(&line, now);
    mg_buf_putf(&line, "\",\"level\":\"%s\",\"event\":\"%s\"", level_names[level], event);
    if (text[0] != '\0') {
      mg_buf_puts(&line, ",\"text\":");
      put_quoted(&line, text, true);
    }
    for (size_t i = 0; i < count + (suppressed > 0 ? 1 : 0); i++) {
      const mg_log_field *f = i < count ? &fields[i] : &held;
      mg_buf_puts(&line, ",");
      put_quoted(&line, f->key, true);
      mg_buf_puts(&line, ":");
      put_value(&line, f, true);
    }
    mg_buf_puts(&line, "}\n");
    write_all(machine_fd, &line);
  }
  mg_buf_fini(&line);
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
  char text[1024];
  (void)vsnprintf(text, sizeof text, format, ap);
  uint64_t suppressed = 0;
  bool pass = true;
  (void)pthread_mutex_lock(&lock);
  if (limit != NULL) pass = passes(limit, every_ms, &suppressed);
  if (repeats_count) pass = passes(limit_of(level, event, text), REPEAT_MS, &suppressed);
  if (pass && wanted) emit(level, event, fields, count, suppressed, text);
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
