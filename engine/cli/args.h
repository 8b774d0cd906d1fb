/* args.h - the command line: one table of flags a subcommand gives both the parser and its help. Main thread. */
#ifndef MG_CLI_ARGS_H
#define MG_CLI_ARGS_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_MAX_FLAGS 48

typedef struct mg_flag {
  const char *name;  /* "cases", without dashes */
  const char *value; /* "N": takes a value; NULL: a switch */
  const char *help;
  const char *override; /* key of the plan's overrides it sets; NULL: none */
} mg_flag;

typedef struct mg_command {
  const char *name;      /* "run" */
  const char *arguments; /* "PLAN" */
  const char *summary;
  const char *details;   /* more help; NULL */
  const mg_flag *flags;  /* ends with a NULL name; --help is always there */
  int min_positional, max_positional;
} mg_command;

typedef struct mg_args {
  const char *values[MG_MAX_FLAGS]; /* by flag; "" for a switch that is set; NULL where absent */
  const char **positional;          /* points into argv */
  int positional_count;
} mg_args;

/* argv[0] is the subcommand. Returns -1 to go on, else the exit code: 0 after --help, 4 after a message for a wrong command line. */
int mg_args_parse(mg_args *out, const mg_command *c, int argc, char **argv);
const char *mg_args_get(const mg_args *a, const mg_command *c, const char *flag); /* NULL where absent */
/* The flag's value as a number within low .. high, otherwise where absent; a message and false where it is none. */
bool mg_args_number(const mg_args *a, const mg_command *c, const char *flag, double low, double high, double otherwise, double *out);
/* A port: -1 where the flag is absent. MG_ARG names the flag, also where one of those that need it (ends with NULL) stands without it. */
mg_err mg_args_port(const mg_args *a, const mg_command *c, const char *flag, const char *const *needing, int *out, mg_error *e);
/* MessagePack map of the flags that are overrides; nothing is appended where none is set. */
void mg_args_overrides(const mg_args *a, const mg_command *c, mg_buf *out);
void mg_command_help(const mg_command *c);

#endif
