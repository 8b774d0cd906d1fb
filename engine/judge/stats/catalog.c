#include "judge/stats/catalog.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MOST_METHODS 64

static mg_method all[MOST_METHODS];
static size_t all_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add(const mg_method *methods, size_t count) {
  for (size_t i = 0; i < count && all_count < MOST_METHODS; i++) all[all_count++] = methods[i];
}

static void gather(void) {
  add(mg_methods_of_rates, mg_count_of_rates);
  add(mg_methods_of_runs, mg_count_of_runs);
  add(mg_methods_of_values, mg_count_of_values);
}

const mg_method *mg_methods(size_t *count) {
  (void)pthread_once(&once, gather);
  *count = all_count;
  return all;
}

static bool same_name(const char *a, const char *b) {
  for (; *a != '\0' && *b != '\0'; a++, b++) {
    if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) return false;
  }
  return *a == *b;
}

const mg_method *mg_method_find(const char *name) {
  size_t n;
  const mg_method *m = mg_methods(&n);
  for (size_t i = 0; i < n; i++) {
    if (same_name(m[i].name, name)) return &m[i];
  }
  return NULL;
}

int mg_method_param(const mg_method *m, const char *name) {
  for (int i = 0; i < MG_MAX_PARAMS && m->params[i].kind != MG_PARAM_END; i++) {
    if (same_name(m->params[i].name, name)) return i;
  }
  return -1;
}

int mg_param_word(const mg_param *p, const char *word) {
  size_t len = strlen(word);
  const char *at = p->words;
  for (int i = 0; at != NULL && *at != '\0'; i++) {
    size_t n = strcspn(at, " ");
    if (n == len && memcmp(at, word, n) == 0) return i;
    at += n + (at[n] == ' ');
  }
  return -1;
}

static bool number_ok(const mg_param *p, double v) {
  if (p->kind == MG_PARAM_COUNT) return v >= 0 && v <= 9007199254740992.0 && v == floor(v);
  return v >= p->low && v <= p->high;
}

static mg_err refuse(const mg_param *p, double v, mg_error *e) {
  if (p->kind == MG_PARAM_COUNT) return mg_fail(e, MG_ARG, "%s must be a whole number from 0 to 2^53, got %.15g", p->name, v);
  if (isinf(p->high) && isinf(p->low)) return mg_fail(e, MG_ARG, "%s must be a number, got %.15g", p->name, v);
  if (isinf(p->high)) return mg_fail(e, MG_ARG, "%s must be a number from %.15g on, got %.15g", p->name, p->low, v);
  return mg_fail(e, MG_ARG, "%s must be a number from %.15g to %.15g, got %.15g", p->name, p->low, p->high, v);
}

mg_err mg_method_run(const mg_method *m, const mg_given in[MG_MAX_PARAMS], mg_answer *out, mg_error *e) {
  mg_given full[MG_MAX_PARAMS];
  *out = (mg_answer){.count = 0};
  for (int i = 0; i < MG_MAX_PARAMS && m->params[i].kind != MG_PARAM_END; i++) {
    const mg_param *p = &m->params[i];
    full[i] = in[i];
    if (!in[i].given) {
      if (p->kind != MG_PARAM_WORD && isnan(p->otherwise)) return mg_fail(e, MG_ARG, "%s: %s is missing", m->name, p->name);
      full[i] = (mg_given){.number = p->otherwise};
    } else if (p->kind == MG_PARAM_LIST) {
      for (size_t k = 0; k < in[i].count; k++) {
        if (!number_ok(p, in[i].list[k])) return refuse(p, in[i].list[k], e);
      }
    } else if (p->kind != MG_PARAM_WORD && !number_ok(p, in[i].number)) {
      return refuse(p, in[i].number, e);
    }
  }
  return m->run(full, out, e);
}

void mg_answer_fini(mg_answer *a) {
  for (int i = 0; i < a->count; i++) free(a->found[i].list);
  a->count = 0;
}

void mg_answer_number(mg_answer *a, const char *name, double v) {
  if (a->count < MG_MAX_FOUND) a->found[a->count++] = (mg_found){.name = name, .number = v};
}

double *mg_answer_list(mg_answer *a, const char *name, size_t count) {
  double *list = a->count < MG_MAX_FOUND ? calloc(count > 0 ? count : 1, sizeof *list) : NULL;
  if (list != NULL) a->found[a->count++] = (mg_found){.name = name, .list = list, .count = count};
  return list;
}
