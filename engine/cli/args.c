#include "cli/args.h"

#include <getopt.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mg_command_help(const mg_command *c) {
  (void)printf("mguard %s%s%s [options]\n\n%s\n", c->name, c->arguments[0] != '\0' ? " " : "", c->arguments, c->summary);
  if (c->details != NULL) (void)printf("\n%s\n", c->details);
  (void)printf("\nOptions:\n");
  for (const mg_flag *f = c->flags; f->name != NULL; f++) {
    char left[64];
    (void)snprintf(left, sizeof left, "--%s%s%s", f->name, f->value != NULL ? " " : "", f->value != NULL ? f->value : "");
    (void)printf("  %-28s %s\n", left, f->help);
  }
  (void)printf("  %-28s %s\n", "--help", "this text");
}

static int find(const mg_command *c, const char *flag) {
  for (int i = 0; c->flags[i].name != NULL; i++) {
    if (strcmp(c->flags[i].name, flag) == 0) return i;
  }
  return -1;
}

static int complain(const mg_command *c, const char *what, const char *which) {
  (void)fprintf(stderr, "mguard %s: %s%s; mguard %s --help lists the options\n", c->name, what, which, c->name);
  return 4;
}

int mg_args_parse(mg_args *out, const mg_command *c, int argc, char **argv) {
  struct option options[MG_MAX_FLAGS + 2];
  memset(out, 0, sizeof *out);
  memset(options, 0, sizeof options);
  int n = 0;
  for (; n < MG_MAX_FLAGS && c->flags[n].name != NULL; n++) {
    options[n] = (struct option){c->flags[n].name, c->flags[n].value != NULL ? required_argument : no_argument, NULL, 256 + n};
  }
  options[n] = (struct option){"help", no_argument, NULL, 'h'};
  opterr = 0;
  optind = 1;
  int got;
  while ((got = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (got == 'h') {
      mg_command_help(c);
      return 0;
    }
    if (got == ':') return complain(c, argv[optind - 1], " needs a value");
    if (got == '?') return complain(c, "unknown option ", argv[optind - 1]);
    out->values[got - 256] = optarg != NULL ? optarg : "";
  }
  out->positional = (const char **)(uintptr_t)(argv + optind);
  out->positional_count = argc - optind;
  if (out->positional_count < c->min_positional) return complain(c, "missing: ", c->arguments);
  if (out->positional_count > c->max_positional) return complain(c, "one argument too many: ", out->positional[c->max_positional]);
  return -1;
}

const char *mg_args_get(const mg_args *a, const mg_command *c, const char *flag) {
  int i = find(c, flag);
  return i >= 0 ? a->values[i] : NULL;
}

bool mg_args_number(const mg_args *a, const mg_command *c, const char *flag, double low, double high, double otherwise, double *out) {
  const char *text = mg_args_get(a, c, flag);
  *out = otherwise;
  if (text == NULL) return true;
  char *end;
  double v = strtod(text, &end);
  if (*text != '\0' && *end == '\0' && v >= low && v <= high) {
    *out = v;
    return true;
  }
  (void)fprintf(stderr, "mguard %s: --%s must be a number from %.15g to %.15g, got %s\n", c->name, flag, low, high, text);
  return false;
}

mg_err mg_args_port(const mg_args *a, const mg_command *c, const char *flag, const char *const *needing, int *out, mg_error *e) {
  const char *text = mg_args_get(a, c, flag);
  *out = -1;
  if (text == NULL) {
    while (*needing != NULL && mg_args_get(a, c, *needing) == NULL) needing++;
    return *needing == NULL ? MG_OK : mg_fail(e, MG_ARG, "--%s says how, but not on which port: give --%s too", *needing, flag);
  }
  char *end;
  long port = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || port < 0 || port > 65535)
    return mg_fail(e, MG_ARG, "--%s must be a whole number from 0 to 65535, got %s", flag, text);
  *out = (int)port;
  return MG_OK;
}

void mg_args_overrides(const mg_args *a, const mg_command *c, mg_buf *out) {
  size_t count = 0;
  for (int i = 0; c->flags[i].name != NULL; i++) count += c->flags[i].override != NULL && a->values[i] != NULL;
  if (count == 0) return;
  msgpack_packer pk;
  msgpack_packer_init(&pk, out, mg_buf_sink);
  msgpack_pack_map(&pk, count);
  for (int i = 0; c->flags[i].name != NULL; i++) {
    const mg_flag *f = &c->flags[i];
    if (f->override == NULL || a->values[i] == NULL) continue;
    msgpack_pack_str(&pk, strlen(f->override));
    msgpack_pack_str_body(&pk, f->override, strlen(f->override));
    if (f->value == NULL) {
      msgpack_pack_true(&pk);
    } else {
      msgpack_pack_str(&pk, strlen(a->values[i]));
      msgpack_pack_str_body(&pk, a->values[i], strlen(a->values[i]));
    }
  }
}
