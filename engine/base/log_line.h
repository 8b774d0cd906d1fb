/* log_line.h - how an event looks: a line for people, a JSON object for machines. Inside log*.c alone; keeps nothing but the last second's text. */
#ifndef MG_BASE_LOG_LINE_H
#define MG_BASE_LOG_LINE_H

#include "base/buf.h"
#include "base/log.h"

typedef struct mg_log_said {
  int64_t wall_ms;
  const char *level, *event, *text; /* text "": none */
  const mg_log_field *fields;
  size_t field_count;
  uint64_t suppressed; /* 0: no field of it */
} mg_log_said;

/* Append one line. One thread at a time. */
void mg_log_put_people(mg_buf *out, const mg_log_said *s);
void mg_log_put_machines(mg_buf *out, const mg_log_said *s);

#endif
