#include "tests/brokers/ways.h"

#include "tests/brokers/brokers.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct beside {
  const mg_test_ways *ways;
  char *program;
} beside;

static int run_beside(int i, void *owner) {
  const beside *b = owner;
  char *argv[] = {b->program, b->ways->only != NULL ? (char *)(uintptr_t)b->ways->only[i] : NULL, NULL};
  return b->ways->run(i, argv[1] != NULL ? 2 : 1, argv);
}

int mg_test_ways_run(const mg_test_ways *w, int argc, char **argv) {
  for (int i = 0; i < w->count && argc > 1; i++) {
    if (strcmp(w->names[i], argv[1]) == 0) return w->run(i, argc - 1, argv + 1);
  }
  return mg_test_beside(w->title, w->names, w->count, run_beside, &(beside){w, argv[0]}, w->limit_s);
}

mg_options *mg_test_options_new(mg_test_option_list *l) {
  mg_options *o = mg_options_new();
  if (o == NULL || l->count == sizeof l->items / sizeof *l->items) abort();
  l->items[l->count++] = o;
  return o;
}

void mg_test_options_end(mg_test_option_list *l) {
  while (l->count > 0) mg_options_free(l->items[--l->count]);
}
