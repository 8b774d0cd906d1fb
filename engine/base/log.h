/* log.h - events for people and machines: a name, a text, key=value fields. One log a process. Any thread.
 *
 * People read one line an event on stderr; machines one JSON object a line in a file or on stdout. Names and fields are
 * those of docs/operations/logging.md. Never log a payload or a secret: fields are names, numbers and reasons. */
#ifndef MG_BASE_LOG_H
#define MG_BASE_LOG_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mg_log_level { MG_LOG_DEBUG, MG_LOG_INFO, MG_LOG_WARN, MG_LOG_ERROR, MG_LOG_OFF } mg_log_level;

typedef struct mg_log_config {
  mg_log_level people;   /* lines on stderr from this level up */
  mg_log_level machines; /* JSON lines from this level up; MG_LOG_OFF: none */
  const char *file;      /* JSON lines are appended here (made with mode 0640); NULL: stdout */
  bool gathers;          /* JSON lines below a warning may wait for mg_log_flush: the owner calls it several times a second */
} mg_log_config;

/* Before this call: people MG_LOG_INFO, machines MG_LOG_OFF. Replaces what was set before; on failure nothing changes.
 */
mg_err mg_log_open(const mg_log_config *config, mg_error *e);
/* Opens the file by its name again (SIGHUP after a rotation); not from a signal handler. On failure the old one is
 * kept. */
mg_err mg_log_reopen(mg_error *e);
void mg_log_flush(void); /* writes what was gathered */
void mg_log_close(void); /* back to what holds before mg_log_open */

typedef struct mg_log_field {
  const char *key;
  enum { MG_FIELD_TEXT, MG_FIELD_INT, MG_FIELD_REAL, MG_FIELD_BOOL } kind;
  const char *text; /* NULL: null */
  int64_t integer;
  double real; /* not finite: null */
} mg_log_field;

#define MG_LT(k, v)                                                                                                    \
  { .key = (k), .kind = MG_FIELD_TEXT, .text = (v) }
#define MG_LI(k, v)                                                                                                    \
  { .key = (k), .kind = MG_FIELD_INT, .integer = (int64_t)(v) }
#define MG_LR(k, v)                                                                                                    \
  { .key = (k), .kind = MG_FIELD_REAL, .real = (v) }
#define MG_LB(k, v)                                                                                                    \
  { .key = (k), .kind = MG_FIELD_BOOL, .integer = (v) ? 1 : 0 }
/* The two arguments before the text: MG_FIELDS(MG_LT("task_id", id), MG_LI("attempt_count", 2)), or MG_NO_FIELDS. */
#define MG_FIELDS(...)                                                                                                 \
  (const mg_log_field[]){__VA_ARGS__}, sizeof((const mg_log_field[]){__VA_ARGS__}) / sizeof(mg_log_field)
#define MG_NO_FIELDS NULL, 0

/* mg_log(MG_LOG_WARN, "queue_requeued", MG_FIELDS(MG_LT("task_id", id)), "task %s goes to another worker", id); event
 * is [a-z_]+. A warning or an error that says what was said within the last second, event and text, is held back: false; the next one
 * that passes has a field "suppressed" of how many were. */
bool mg_log(mg_log_level level, const char *event, const mg_log_field *fields, size_t count, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Events that may repeat often: one each every_ms passes, with a field "suppressed" of those since the last. One limit
 * a place, static and zero-initialised; used under the log's lock. */
typedef struct mg_log_limit {
  mg_ms next;
  uint64_t suppressed;
} mg_log_limit;
void mg_log_rarely(mg_log_limit *limit, mg_ms every_ms, mg_log_level level, const char *event,
                   const mg_log_field *fields, size_t count, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* Would an event of this level be written anywhere? For fields that cost something to make. */
bool mg_log_wants(mg_log_level level);

/* Appends a JSON string as the log writes it, with its quotes: what is no UTF-8 becomes U+FFFD. */
void mg_log_json_text(mg_buf *out, const char *text);

#endif
