/* findings.h - what an examination for `mguard doctor` finds, as text. One examination at a time. */
#ifndef MG_TEST_FINDINGS_H
#define MG_TEST_FINDINGS_H

#include "dispatch/backend.h"

/* The test fails where the examination does, or where what is not ok says nothing of how to mend it. Forgets what was found before. */
void mg_test_examine(mg_backend *b, mg_ms until);
/* Whether the text is in the lines "level check: text" of what was found; and fails unless it is, or if it is. */
bool mg_test_found(const char *text);
void mg_test_expect_finding(const char *text);
void mg_test_expect_no_finding(const char *text);

#endif
