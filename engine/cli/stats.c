/* stats.c - `mguard stats METHOD NAME=VALUE ...`: one method of the engine's statistics over numbers. */
#include "cli/args.h"
#include "cli/cli.h"
#include "judge/stats/catalog.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const mg_flag flags[] = {{"json", NULL, "one JSON object on standard output", NULL}, {NULL, NULL, NULL, NULL}};

static const mg_command command = {"stats",
                                   "[METHOD [NAME=VALUE]...]",
                                   "Computes one statistical method: its name, then its arguments; lists are separated by commas.",
                                   "Without arguments it lists the methods, with a method alone what that takes. Examples:\n"
                                   "  mguard stats tango both=53 baseline_only=8 candidate_only=16 neither=9 level=.95\n"
                                   "  mguard stats adjust p=.01,.02,.03 how=holm",
                                   flags,
                                   0,
                                   1 + MG_MAX_PARAMS};

static int list_methods(void) {
  size_t n;
  const mg_method *m = mg_methods(&n);
  for (size_t i = 0; i < n; i++) (void)printf("%-18s %s\n", m[i].name, m[i].about);
  return 0;
}

static int describe(const mg_method *m) {
  (void)printf("%s: %s\n", m->name, m->about);
  for (int i = 0; i < MG_MAX_PARAMS && m->params[i].kind != MG_PARAM_END; i++) {
    const mg_param *p = &m->params[i];
    (void)printf("  %-16s ", p->name);
    switch (p->kind) {
    case MG_PARAM_COUNT: (void)printf("a whole number"); break;
    case MG_PARAM_LIST: (void)printf("numbers separated by commas"); break;
    case MG_PARAM_WORD: (void)printf("one of %s (the first)", p->words); break;
    default: (void)printf("a number"); break;
    }
    if (p->kind != MG_PARAM_WORD && p->kind != MG_PARAM_LIST && isfinite(p->otherwise)) (void)printf(" (%.6g)", p->otherwise);
    if (p->kind != MG_PARAM_WORD && !isnan(p->otherwise) && !(isfinite(p->otherwise) && p->kind != MG_PARAM_LIST)) (void)printf(" (may be left out)");
    (void)printf("\n");
  }
  return 0;
}

static bool number_of(const char *text, size_t len, double *out) {
  char copy[64], *end;
  if (len == 0 || len >= sizeof copy) return false;
  memcpy(copy, text, len);
  copy[len] = '\0';
  *out = strtod(copy, &end);
  return *end == '\0' && !isnan(*out);
}

/* The list is the caller's to free through in[].list. */
static int read_value(const mg_method *m, int at, const char *value, mg_given *g) {
  const mg_param *p = &m->params[at];
  g->given = true;
  if (p->kind == MG_PARAM_WORD) {
    g->word = mg_param_word(p, value);
    return g->word >= 0 ? 0 : mg_complain("stats", MG_EXIT_USAGE, "%s must be one of %s, got %s", p->name, p->words, value);
  }
  if (p->kind != MG_PARAM_LIST) {
    if (number_of(value, strlen(value), &g->number)) return 0;
    return mg_complain("stats", MG_EXIT_USAGE, "%s must be a number, got \"%s\"", p->name, value);
  }
  size_t most = 1;
  for (const char *c = value; *c != '\0'; c++) most += *c == ',';
  double *list = calloc(most, sizeof *list);
  if (list == NULL) return mg_complain("stats", MG_EXIT_FAILURE, "no memory for %zu numbers", most);
  g->list = list;
  for (const char *c = value; *value != '\0';) {
    size_t len = strcspn(c, ",");
    if (!number_of(c, len, &list[g->count])) return mg_complain("stats", MG_EXIT_USAGE, "%s must be numbers separated by commas, got \"%.*s\"", p->name, (int)len, c);
    g->count++;
    if (c[len] == '\0') break;
    c += len + 1;
  }
  return 0;
}

static int read_arguments(const mg_method *m, const mg_args *a, mg_given *in) {
  for (int i = 1; i < a->positional_count; i++) {
    const char *word = a->positional[i], *equals = strchr(word, '=');
    char name[64] = "";
    if (equals != NULL && (size_t)(equals - word) < sizeof name) memcpy(name, word, (size_t)(equals - word));
    int at = equals == NULL ? -1 : mg_method_param(m, name);
    if (at < 0)
      return mg_complain("stats", MG_EXIT_USAGE, "\"%s\" is no argument of %s; mguard stats %s lists them, written NAME=VALUE", word, m->name, m->name);
    if (in[at].given) return mg_complain("stats", MG_EXIT_USAGE, "%s is given twice", m->params[at].name);
    int code = read_value(m, at, equals + 1, &in[at]);
    if (code != 0) return code;
  }
  return 0;
}

static json_t *json_number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static int print_json(const mg_answer *a) {
  json_t *j = json_object();
  for (int i = 0; i < a->count; i++) {
    const mg_found *f = &a->found[i];
    json_t *list = f->list != NULL ? json_array() : NULL;
    for (size_t k = 0; k < f->count && list != NULL; k++) json_array_append_new(list, json_number(f->list[k]));
    json_object_set_new(j, f->name, list != NULL ? list : json_number(f->number));
  }
  int err = json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
  json_decref(j);
  (void)putchar('\n');
  return err == 0 ? 0 : mg_complain("stats", MG_EXIT_FAILURE, "the answer cannot be written");
}

static int print(const mg_answer *a) {
  for (int i = 0; i < a->count; i++) {
    const mg_found *f = &a->found[i];
    (void)printf("%-14s", f->name);
    if (f->list == NULL) (void)printf(" %.12g", f->number);
    for (size_t k = 0; k < f->count; k++) (void)printf(" %.12g", f->list[k]);
    (void)putchar('\n');
  }
  return 0;
}

int mg_cli_stats(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  if (a.positional_count == 0) return list_methods();
  const mg_method *m = mg_method_find(a.positional[0]);
  if (m == NULL) return mg_complain("stats", MG_EXIT_USAGE, "there is no method \"%s\"; mguard stats lists them", a.positional[0]);
  if (a.positional_count == 1) return describe(m);
  mg_given in[MG_MAX_PARAMS] = {{0}};
  mg_answer answer = {.count = 0};
  mg_error e;
  code = read_arguments(m, &a, in);
  if (code == 0 && mg_method_run(m, in, &answer, &e) != MG_OK) code = mg_complain("stats", MG_EXIT_USAGE, "%s", e.text);
  else if (code == 0) code = mg_args_get(&a, &command, "json") != NULL ? print_json(&answer) : print(&answer);
  mg_answer_fini(&answer);
  for (int i = 0; i < MG_MAX_PARAMS; i++) free((void *)(uintptr_t)in[i].list);
  return code;
}
