/* fake_log.h - what the fake executors of a test program wrote of their doings (FAKE_LOG of fake_executor.h), and the program they are. One thread. */
#ifndef MG_TESTS_FAKE_LOG_H
#define MG_TESTS_FAKE_LOG_H

#include <stdbool.h>
#include <stdint.h>

bool mg_fake_log_begin(void);        /* a folder for the logs and marks of all tests, which goes at exit */
int mg_fake_log_fresh(void **state); /* cmocka's set-up of each test */
const char *mg_fake_program(void);   /* this program, which becomes an executor */

int mg_fake_lines_with(const char *word);
int mg_fake_begun(uint64_t case_number, const char *role); /* how often */

#endif
