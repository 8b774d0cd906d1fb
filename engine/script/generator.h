/* generator.h - g, what generate and transform functions draw from: int float bool choice string bytes list shuffle weighted label discard, g.case, g.size.
 *
 * One generator a lua_State; its draws are those of case and stream alone (philox.h). Thread: the state's. */
#ifndef MG_SCRIPT_GENERATOR_H
#define MG_SCRIPT_GENERATOR_H

#include "base/philox.h"
#include <stdbool.h>

struct lua_State;
#define MG_CASE_LABELS 64 /* different labels of one case */

typedef struct mg_generator {
  mg_philox random;
  uint64_t case_number;
  int64_t size;        /* g.size */
  bool discarded;      /* g:discard() was called for this case */
  struct lua_State *L; /* holds the label texts */
  int labels_ref;      /* registry: the table of this case's labels, [name] = true */
  int label_count;
} mg_generator;

/* Pushes g. gen must outlive the state. May raise (memory). */
void mg_generator_push(struct lua_State *L, mg_generator *gen, int64_t size);
/* Before generate (stream 0) or transform (stream 1 + relation). Forgets discard and labels where stream is 0. */
void mg_generator_begin(mg_generator *gen, uint64_t seed, uint64_t case_number, uint32_t stream);

#endif
