/* checks.h - checks loaded into a lua_State: references to their functions, and what the engine must know of each clause.
 *
 * Thread: the state's. Freed with mg_checks_free before the state. */
#ifndef MG_SCRIPT_CHECKS_H
#define MG_SCRIPT_CHECKS_H

#include "judge/tally.h"
#include "script/state.h"
#include "base/buf.h"

typedef enum mg_expect { MG_EXPECT_EQUAL = 0, MG_EXPECT_NOT_EQUAL, MG_EXPECT_PROPERTIES, MG_EXPECT_FUNCTION } mg_expect;

typedef struct mg_check {
  bool relation;
  mg_expect expect;
  /* Registry references; LUA_NOREF where there is none. */
  int check;     /* property: check; relation: expect where it is a function */
  int transform; /* relation */
  int given;
} mg_check;

#define MG_MAX_METRICS 16

typedef struct mg_metric_check {
  int value;  /* reference of the function */
  bool keeps; /* pairs of it are kept */
} mg_metric_check;

typedef struct mg_checks {
  mg_script *script;
  int spec;     /* reference of the spec */
  int generate; /* LUA_NOREF: cases come from a file */
  int equal;    /* reference of the function */
  bool equal_is_core; /* it is mguard.core's deep equality: the engine compares without a call */
  int64_t size;
  mg_clause clauses[MG_MAX_CLAUSES + 1]; /* 0 is completes; texts belong to the state */
  mg_check checks[MG_MAX_CLAUSES + 1];   /* by the same number; 0 is empty */
  int count;                             /* with completes */
  mg_metric_check metrics[MG_MAX_METRICS];
  int metric_count;
  int cluster, group; /* LUA_NOREF: none */
  bool has_setup, has_teardown;
  uint8_t fingerprint[32];
  const char *parts; /* what it is made of: label, tab, hash, a line each */
} mg_checks;

/* Runs the script file in s (mguard.script.open) and reads the spec. overrides: MessagePack map, empty for none. MG_ARG with file and line. */
mg_err mg_checks_load(mg_checks *c, mg_script *s, const char *path, mg_slice overrides, mg_error *e);

/* Calls setup or teardown, if there is one. */
mg_err mg_checks_hook(const mg_checks *c, const char *name, mg_error *e);

/* Pushes the implementation's spec table (kind, path, call, argv ...); MG_ARG names those there are where it is unknown. */
mg_err mg_checks_implementation(const mg_checks *c, const char *name, mg_error *e);

#endif
