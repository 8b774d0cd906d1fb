/* ways.h - the contract over several ways to reach a broker: one way alone, by its name, or all of them beside each other. One thread. */
#ifndef MG_TESTS_WAYS_H
#define MG_TESTS_WAYS_H

#include "base/options.h"
#include <stddef.h>

typedef struct mg_test_ways {
  const char *title;
  const char *const *names;
  const char *const *only; /* of each way the one case that it runs, or NULL; NULL: every way runs all */
  int count;
  int (*run)(int i, int argc, char **argv); /* of mg_contract_run */
  int limit_s;
} mg_test_ways;

/* Arguments: [name of a way, [case]]. Those without a name run in processes of their own, since the cases mostly wait. How many failed. */
int mg_test_ways_run(const mg_test_ways *w, int argc, char **argv);

/* The options of each side that a case opens; they must outlive it. Zero-initialised is empty. */
typedef struct mg_test_option_list {
  mg_options *items[64];
  size_t count;
} mg_test_option_list;
mg_options *mg_test_options_new(mg_test_option_list *l); /* never NULL */
void mg_test_options_end(mg_test_option_list *l);

#endif
