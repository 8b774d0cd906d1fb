#include "dispatch/outcomes_csv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_CASES = 4096 };

struct mg_outcomes_csv {
  char *path, *partial;
  int fd;
  const mg_clause *clauses;
  int clause_count;
  int sorted[MG_MAX_CLAUSES + 1]; /* bit numbers in byte order of their names */
  size_t mask_bytes, entry_bytes;
  uint64_t cases; /* the highest case that was put, and one */
  mg_buf scratch;
};

static char *joined(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  char *text = malloc(n + m + 1);
  if (text == NULL) return NULL;
  memcpy(text, a, n);
  memcpy(text + n, b, m + 1);
  return text;
}

static int open_unlinked(const char *path) {
  char *name = joined(path, ".XXXXXX");
  if (name == NULL) {
    errno = ENOMEM;
    return -1;
  }
  int fd = mkostemp(name, O_CLOEXEC);
  if (fd >= 0) (void)unlink(name);
  int why = errno;
  free(name);
  errno = why;
  return fd;
}

static void sort_clauses(mg_outcomes_csv *o) {
  for (int i = 0; i < o->clause_count; i++) {
    int at = i;
    for (; at > 0 && strcmp(o->clauses[o->sorted[at - 1]].name, o->clauses[i].name) > 0; at--) o->sorted[at] = o->sorted[at - 1];
    o->sorted[at] = i;
  }
}

mg_err mg_outcomes_csv_open(mg_outcomes_csv **out, const char *path, const mg_clause *clauses, int clause_count, mg_error *e) {
  mg_outcomes_csv *o = calloc(1, sizeof *o);
  mg_err err = MG_OK;
  *out = NULL;
  if (o == NULL) return mg_fail(e, MG_NOMEM, "no memory for the outcomes of %s", path);
  o->clauses = clauses;
  o->clause_count = clause_count;
  o->mask_bytes = ((size_t)clause_count + 7) / 8;
  o->entry_bytes = 1 + 2 * o->mask_bytes;
  sort_clauses(o);
  o->path = strdup(path);
  o->partial = joined(path, ".part");
  o->fd = open_unlinked(path);
  if (o->path == NULL || o->partial == NULL)
    err = mg_fail(e, MG_NOMEM, "no memory for the outcomes of %s", path);
  else if (o->fd < 0)
    err = mg_fail_errno(e, MG_ARG, errno, "outcomes cannot be written to %s", path);
  if (err == MG_OK)
    *out = o;
  else
    mg_outcomes_csv_free(o);
  return err;
}

void mg_outcomes_csv_free(mg_outcomes_csv *o) {
  if (o == NULL) return;
  if (o->fd >= 0) (void)close(o->fd);
  free(o->path);
  free(o->partial);
  mg_buf_fini(&o->scratch);
  free(o);
}

mg_err mg_outcomes_csv_put(mg_outcomes_csv *o, uint64_t first, uint32_t count, const uint8_t *outcomes, const mg_failed *failed, size_t failed_count,
                           mg_error *e) {
  size_t bytes = count * o->entry_bytes;
  mg_buf_clear(&o->scratch);
  if (!mg_buf_reserve(&o->scratch, bytes)) return mg_fail(e, MG_NOMEM, "no memory for the outcomes of %u cases", count);
  uint8_t *at = o->scratch.data;
  memset(at, 0, bytes);
  /* Inverted: a hole in the file reads as 0, which no pair of outcomes is then. */
  for (uint32_t i = 0; i < count; i++) at[i * o->entry_bytes] = (uint8_t)~outcomes[i];
  for (size_t k = 0; k < failed_count; k++) {
    if (failed[k].index >= count) continue;
    uint8_t *mask = at + failed[k].index * o->entry_bytes + 1 + (size_t)failed[k].role * o->mask_bytes;
    for (size_t b = 0; b < o->mask_bytes; b++) mask[b] = (uint8_t)(failed[k].mask >> (8 * b));
  }
  for (size_t done = 0; done < bytes;) {
    ssize_t n = pwrite(o->fd, at + done, bytes - done, (off_t)(first * o->entry_bytes + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return mg_fail_errno(e, MG_FATAL, errno, "outcomes of %s cannot be kept", o->path);
    done += (size_t)n;
  }
  if (first + count > o->cases) o->cases = first + count;
  return MG_OK;
}

static void put_names(FILE *f, const mg_outcomes_csv *o, mg_clause_mask mask) {
  bool quote = false, more = false;
  for (int i = 0; i < o->clause_count && !quote; i++) quote = (mask >> i & 1) != 0 && strpbrk(o->clauses[i].name, ",\"\r\n") != NULL;
  if (quote) (void)fputc('"', f);
  for (int i = 0; i < o->clause_count; i++) {
    if ((mask >> o->sorted[i] & 1) == 0) continue;
    if (more) (void)fputc(';', f);
    more = true;
    for (const char *c = o->clauses[o->sorted[i]].name; *c != '\0'; c++) {
      if (quote && *c == '"') (void)fputc('"', f);
      (void)fputc(*c, f);
    }
  }
  if (quote) (void)fputc('"', f);
}

static void put_row(FILE *f, const mg_outcomes_csv *o, uint64_t c, mg_role role, mg_outcome outcome, const uint8_t *bytes) {
  mg_clause_mask mask = 0;
  for (size_t b = 0; b < o->mask_bytes; b++) mask |= (mg_clause_mask)bytes[b] << (8 * b);
  (void)fprintf(f, "%" PRIu64 ",%s,%s,", c, mg_role_name(role), mg_outcome_name(outcome));
  put_names(f, o, mask);
  (void)fputc('\n', f);
}

static bool put_rows(FILE *f, mg_outcomes_csv *o) {
  (void)fputs("case,role,outcome,failed\n", f);
  mg_buf_clear(&o->scratch);
  if (!mg_buf_reserve(&o->scratch, CHUNK_CASES * o->entry_bytes)) {
    errno = ENOMEM;
    return false;
  }
  for (uint64_t c = 0; c < o->cases;) {
    ssize_t n = pread(o->fd, o->scratch.data, CHUNK_CASES * o->entry_bytes, (off_t)(c * o->entry_bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || (size_t)n < o->entry_bytes) return n >= 0;
    for (size_t i = 0; i < (size_t)n / o->entry_bytes && c < o->cases; i++, c++) {
      const uint8_t *at = o->scratch.data + i * o->entry_bytes;
      uint8_t both = (uint8_t)~at[0];
      if (both == 0xff) continue;
      if ((both & 15) != MG_ABSENT) put_row(f, o, c, MG_BASELINE, (mg_outcome)(both & 15), at + 1);
      put_row(f, o, c, MG_CANDIDATE, (mg_outcome)(both >> 4), at + 1 + o->mask_bytes);
    }
  }
  return ferror(f) == 0;
}

void mg_outcomes_csv_limit(mg_outcomes_csv *o, uint64_t cases) {
  if (o->cases > cases) o->cases = cases;
}

mg_err mg_outcomes_csv_write(mg_outcomes_csv *o, mg_error *e) {
  FILE *f = fopen(o->partial, "we");
  if (f == NULL) return mg_fail_errno(e, MG_ARG, errno, "outcomes cannot be written to %s", o->path);
  bool whole = put_rows(f, o);
  int why = errno;
  if (fclose(f) != 0 && whole) {
    whole = false;
    why = errno;
  }
  if (whole && rename(o->partial, o->path) != 0) {
    whole = false;
    why = errno;
  }
  if (whole) return MG_OK;
  (void)unlink(o->partial);
  return mg_fail_errno(e, MG_FATAL, why, "outcomes cannot be written to %s", o->path);
}
