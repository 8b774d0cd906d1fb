/* catalog.h - every method of stats/ by name, with named arguments and named results: what `mguard stats` and mg.stats call.
 *
 * A method says what it takes; mg_method_run checks it, fills in the defaults and gives messages for people. Any thread. */
#ifndef MG_JUDGE_STATS_CATALOG_H
#define MG_JUDGE_STATS_CATALOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mg_param_kind {
  MG_PARAM_END = 0,
  MG_PARAM_COUNT,  /* a whole number from 0 to 2^53 */
  MG_PARAM_NUMBER, /* within low .. high */
  MG_PARAM_LIST,   /* numbers within low .. high */
  MG_PARAM_WORD    /* one of `words` */
} mg_param_kind;

typedef struct mg_param {
  const char *name;
  mg_param_kind kind;
  double low, high, otherwise; /* otherwise NAN: it must be given (a list then too; a list with another otherwise may be absent) */
  const char *words;           /* "holm hochberg bh by", the first is the default */
} mg_param;

typedef struct mg_given { /* one argument; which field counts is the parameter's kind */
  bool given;
  double number;
  const double *list;
  size_t count;
  int word; /* its place in words */
} mg_given;

#define MG_MAX_PARAMS 10
#define MG_MAX_FOUND 12

typedef struct mg_found {
  const char *name;
  double number;
  double *list; /* owned by the answer; NULL: the result is number */
  size_t count;
} mg_found;

typedef struct mg_answer {
  mg_found found[MG_MAX_FOUND];
  int count;
} mg_answer;

typedef struct mg_method {
  const char *name;  /* words joined by _ */
  const char *about; /* one line */
  mg_param params[MG_MAX_PARAMS];
  mg_err (*run)(const mg_given *in, mg_answer *out, mg_error *e);
} mg_method;

const mg_method *mg_methods(size_t *count);
const mg_method *mg_method_find(const char *name); /* - and _ are alike; NULL: there is none */
int mg_method_param(const mg_method *m, const char *name); /* its place, -1 */
/* The place of a word in a parameter's words, -1. */
int mg_param_word(const mg_param *p, const char *word);
/* in has a place for each parameter. MG_ARG with a text that names the argument. Free the answer with mg_answer_fini, after failures too. */
mg_err mg_method_run(const mg_method *m, const mg_given in[MG_MAX_PARAMS], mg_answer *out, mg_error *e);
void mg_answer_fini(mg_answer *a);

/* For the methods themselves. */
void mg_answer_number(mg_answer *a, const char *name, double v);
double *mg_answer_list(mg_answer *a, const char *name, size_t count); /* NULL: memory ended */

/* The tables behind mg_methods. */
extern const mg_method mg_methods_of_rates[], mg_methods_of_runs[], mg_methods_of_values[];
extern const size_t mg_count_of_rates, mg_count_of_runs, mg_count_of_values;

#endif
