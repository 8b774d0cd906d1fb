#include "dispatch/inputs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { EVERY = 1024 };

typedef struct mg_mark { /* where a case's search may begin */
  off_t offset;
  uint64_t line; /* lines before it */
} mg_mark;

struct mg_inputs {
  FILE *file;
  char *path;
  mg_mark *marks;
  size_t mark_count, mark_cap;
  uint64_t next; /* the case that the next line that is not blank holds */
  uint64_t line; /* lines read */
  off_t offset;
  char *text;
  size_t cap;
};

static bool blank(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0') return false;
  }
  return true;
}

/* The next line that is not blank; false at the end. */
static bool read_line(mg_inputs *in, size_t *len) {
  for (;;) {
    ssize_t n = getline(&in->text, &in->cap, in->file);
    if (n <= 0) return false;
    in->offset += n;
    in->line++;
    *len = (size_t)n;
    if (!blank(in->text, *len)) return true;
  }
}

static bool add_mark(mg_inputs *in, mg_mark mark) {
  if (in->mark_count == in->mark_cap) {
    size_t cap = in->mark_cap == 0 ? 64 : 2 * in->mark_cap;
    mg_mark *grown = realloc(in->marks, cap * sizeof *grown);
    if (grown == NULL) return false;
    in->marks = grown;
    in->mark_cap = cap;
  }
  in->marks[in->mark_count++] = mark;
  return true;
}

static mg_err go_to(mg_inputs *in, const mg_mark *mark, uint64_t case_number, mg_error *e) {
  if (fseeko(in->file, mark->offset, SEEK_SET) != 0) return mg_fail_errno(e, MG_ARG, errno, "%s cannot be read", in->path);
  in->offset = mark->offset;
  in->line = mark->line;
  in->next = case_number;
  return MG_OK;
}

void mg_inputs_free(mg_inputs *in) {
  if (in == NULL) return;
  if (in->file != NULL) (void)fclose(in->file);
  free(in->path);
  free(in->marks);
  free(in->text);
  free(in);
}

mg_err mg_inputs_open(mg_inputs **out, const char *path, uint64_t cases, mg_error *e) {
  mg_inputs *in = calloc(1, sizeof *in);
  mg_err err = MG_OK;
  *out = NULL;
  if (in == NULL || (in->path = strdup(path)) == NULL) {
    err = mg_fail(e, MG_NOMEM, "no memory for the cases of %s", path);
    goto out;
  }
  in->file = fopen(path, "re");
  if (in->file == NULL) {
    err = mg_fail_errno(e, MG_ARG, errno, "%s cannot be read", path);
    goto out;
  }
  size_t len;
  do {
    if (in->next % EVERY == 0 && !add_mark(in, (mg_mark){in->offset, in->line})) {
      err = mg_fail(e, MG_NOMEM, "no memory for the cases of %s", path);
      goto out;
    }
    if (!read_line(in, &len)) break;
  } while (++in->next < cases);
  if (in->next < cases) {
    err = mg_fail(e, MG_ARG, "%s holds %" PRIu64 " cases, not the %" PRIu64 " of the plan", path, in->next, cases);
    goto out;
  }
  err = go_to(in, &in->marks[0], 0, e);
out:
  if (err == MG_OK)
    *out = in;
  else
    mg_inputs_free(in);
  return err;
}

mg_err mg_inputs_read(mg_inputs *in, uint64_t case_number, const char **line, size_t *len, uint64_t *number, mg_error *e) {
  if (case_number < in->next || case_number / EVERY > in->next / EVERY) {
    uint64_t mark = case_number / EVERY;
    if (mark >= in->mark_count) return mg_fail(e, MG_ARG, "%s has no case %" PRIu64, in->path, case_number);
    mg_err err = go_to(in, &in->marks[mark], mark * EVERY, e);
    if (err != MG_OK) return err;
  }
  while (in->next <= case_number) {
    if (!read_line(in, len)) {
      in->next = UINT64_MAX; /* the next call begins at a mark */
      return mg_fail(e, MG_ARG, "%s ended before case %" PRIu64 ": it was changed while the run read it", in->path, case_number);
    }
    in->next++;
  }
  while (*len > 0 && (in->text[*len - 1] == '\n' || in->text[*len - 1] == '\r')) --*len;
  *line = in->text;
  *number = in->line;
  return MG_OK;
}
