#include "tests/brokers/findings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static char findings[12000];

static void note(void *owner, const mg_finding *f) {
  static const char *const levels[] = {"ok", "warn", "fail"};
  size_t at = strlen(findings);
  (void)owner;
  int len = snprintf(findings + at, sizeof findings - at, "%s %s: %s\n", levels[f->level], f->check, f->text);
  if (len < 0 || (size_t)len >= sizeof findings - at) fail_msg("more findings than %zu bytes hold", sizeof findings);
  if (f->level != MG_FINDING_OK) assert_non_null(f->mend);
}

void mg_test_examine(mg_backend *b, mg_ms until) {
  mg_error e = {0};
  findings[0] = '\0';
  if (b->ops->examine(b, note, NULL, until, &e) != MG_OK) fail_msg("%s", e.text);
}

bool mg_test_found(const char *text) { return strstr(findings, text) != NULL; }

void mg_test_expect_finding(const char *text) {
  if (!mg_test_found(text)) fail_msg("not found: \"%s\", but\n%s", text, findings);
}

void mg_test_expect_no_finding(const char *text) {
  if (mg_test_found(text)) fail_msg("found: \"%s\" in\n%s", text, findings);
}
