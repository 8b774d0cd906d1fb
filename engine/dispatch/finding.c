#include "dispatch/backend.h"

#include <stdarg.h>
#include <stdio.h>

void mg_finding_tell(const mg_findings *f, mg_finding_level level, const char *check, const char *mend, const char *format, ...) {
  char text[512];
  va_list ap;
  va_start(ap, format);
  (void)vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  f->sink(f->owner, &(mg_finding){level, check, text, mend});
}
