#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void one_line(char *text) {
  for (char *p = text; *p != '\0'; p++) {
    if (*p == '\n' || *p == '\r') *p = ' ';
  }
}

mg_err mg_fail(mg_error *e, mg_err code, const char *format, ...) {
  if (e == NULL) return code;
  va_list ap;
  va_start(ap, format);
  (void)vsnprintf(e->text, sizeof e->text, format, ap);
  va_end(ap);
  one_line(e->text);
  e->code = code;
  e->detail = 0;
  return code;
}

mg_err mg_fail_errno(mg_error *e, mg_err code, int errno_value, const char *format, ...) {
  if (e == NULL) return code;
  va_list ap;
  va_start(ap, format);
  int n = vsnprintf(e->text, sizeof e->text, format, ap);
  va_end(ap);
  if (n >= 0 && (size_t)n < sizeof e->text) {
    char why[128];
    /* strerror_r in its GNU form may leave the buffer alone and return a constant text. */
    const char *text = strerror_r(errno_value, why, sizeof why);
    (void)snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", text);
  }
  one_line(e->text);
  e->code = code;
  e->detail = errno_value;
  return code;
}

mg_err mg_fail_in(mg_error *e, const char *format, ...) {
  if (e == NULL) return MG_FATAL;
  char text[sizeof e->text];
  va_list ap;
  va_start(ap, format);
  int n = vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  if (n >= 0 && (size_t)n < sizeof text) {
    size_t room = sizeof text - (size_t)n;
    (void)snprintf(text + n, room, ": %.*s", (int)(room > 3 ? room - 3 : 0), e->text);
  }
  memcpy(e->text, text, sizeof text);
  one_line(e->text);
  return e->code;
}

const char *mg_err_name(mg_err code) {
  switch (code) {
    case MG_OK: return "ok";
    case MG_TIMEOUT: return "timeout";
    case MG_AGAIN: return "again";
    case MG_LOST: return "lost";
    case MG_CONN: return "connection";
    case MG_NOMEM: return "memory";
    case MG_ARG: return "argument";
    case MG_UNSUPPORTED: return "unsupported";
    case MG_FATAL: return "fatal";
  }
  return "unknown";
}
