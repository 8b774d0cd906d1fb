#include "dispatch/violations.h"

#include <stdlib.h>
#include <string.h>

static mg_clause_mask bit_of(int clause) { return (mg_clause_mask)1 << clause; }

void mg_violations_init(mg_violations *s, const mg_clause *clauses, int clause_count, size_t cap) {
  *s = (mg_violations){.clauses = clauses, .clause_count = clause_count, .cap = cap < 1 ? 1 : cap};
  for (int i = 0; i < clause_count; i++) {
    if (clauses[i].mode == MG_MODE_HARD) s->hard |= bit_of(i);
    if (clauses[i].mode == MG_MODE_ABSOLUTE) s->absolute |= bit_of(i);
  }
}

static void drop_texts(mg_stored_violation *v) {
  free(v->message);
  free(v->input);
  free(v->output);
  free(v->input2);
  free(v->output2);
}

void mg_violations_fini(mg_violations *s) {
  for (int r = 0; r < MG_ROLES; r++) {
    for (int c = 0; c <= MG_MAX_CLAUSES; c++) {
      for (size_t i = 0; i < s->count[r][c]; i++) drop_texts(&s->kept[r][c][i].v);
      free(s->kept[r][c]);
      s->kept[r][c] = NULL;
      s->count[r][c] = 0;
    }
  }
}

static bool before(bool shared, uint64_t case_number, const mg_stored_violation *v) { return shared != v->shared ? !shared : case_number < v->case_number; }

static char *copy(mg_slice text) {
  if (text.data == NULL) return NULL;
  char *out = malloc(text.len + 1);
  if (out == NULL) return NULL;
  memcpy(out, text.data, text.len);
  out[text.len] = '\0';
  return out;
}

static void add_texts(mg_stored_violation *v, uint32_t index, const mg_violation *texts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (texts[i].index != index || texts[i].role != v->role || texts[i].clause != v->clause) continue;
    v->message = copy(texts[i].message);
    v->input = copy(texts[i].input);
    v->output = copy(texts[i].output);
    v->input2 = copy(texts[i].input2);
    v->output2 = copy(texts[i].output2);
    return;
  }
}

static void keep(mg_violations *s, const mg_first *first, mg_role role, int clause, uint32_t index, const mg_violation *texts, size_t text_count) {
  size_t n = s->count[role][clause];
  mg_kept *list = s->kept[role][clause];
  bool shared = (first->masks[role == MG_CANDIDATE ? MG_BASELINE : MG_CANDIDATE] & bit_of(clause)) != 0;
  if (n == s->cap && !before(shared, first->case_number, &list[n - 1].v)) return;
  if (n < s->cap) {
    mg_kept *grown = realloc(list, (n + 1) * sizeof *grown);
    if (grown == NULL) return;
    s->kept[role][clause] = list = grown;
    s->count[role][clause] = n + 1;
  } else {
    drop_texts(&list[--n].v);
  }
  size_t at = n;
  while (at > 0 && before(shared, first->case_number, &list[at - 1].v)) at--;
  memmove(list + at + 1, list + at, (n - at) * sizeof *list);
  list[at] = (mg_kept){.first = *first, .v = {.case_number = first->case_number, .role = role, .clause = clause, .shared = shared, .reproduced = -1}};
  add_texts(&list[at].v, index, texts, text_count);
}

void mg_violations_add(mg_violations *s, const mg_first *first, uint32_t index, const mg_violation *texts, size_t text_count) {
  for (int r = 0; r < MG_ROLES; r++) {
    for (mg_clause_mask left = first->masks[r]; left != 0; left &= left - 1) {
      int clause = __builtin_ctzll(left);
      if (clause < s->clause_count) keep(s, first, (mg_role)r, clause, index, texts, text_count);
    }
  }
}

mg_clause_mask mg_violations_deciding(const mg_violations *s, const mg_first *first) {
  mg_clause_mask candidate = first->masks[MG_CANDIDATE];
  return (candidate & s->absolute) | (candidate & s->hard & ~first->masks[MG_BASELINE]);
}

bool mg_violation_decides(const mg_violations *s, const mg_stored_violation *v) {
  if (v->role != MG_CANDIDATE) return false;
  return (s->absolute & bit_of(v->clause)) != 0 || ((s->hard & bit_of(v->clause)) != 0 && !v->shared);
}

void mg_violations_repeated(mg_violations *s, uint64_t case_number, mg_clause_mask again) {
  for (int c = 0; c < s->clause_count; c++) {
    for (size_t i = 0; i < s->count[MG_CANDIDATE][c]; i++) {
      mg_stored_violation *v = &s->kept[MG_CANDIDATE][c][i].v;
      if (v->case_number == case_number) v->reproduced = (again & bit_of(c)) != 0;
    }
  }
}

void mg_violations_tell(const mg_violations *s, uint32_t reproduced[MG_MAX_CLAUSES + 1], uint32_t vanished[MG_MAX_CLAUSES + 1]) {
  memset(reproduced, 0, (MG_MAX_CLAUSES + 1) * sizeof *reproduced);
  memset(vanished, 0, (MG_MAX_CLAUSES + 1) * sizeof *vanished);
  for (int c = 0; c < s->clause_count; c++) {
    for (size_t i = 0; i < s->count[MG_CANDIDATE][c]; i++) {
      const mg_stored_violation *v = &s->kept[MG_CANDIDATE][c][i].v;
      if (!mg_violation_decides(s, v)) continue;
      reproduced[c] += v->reproduced == 1;
      vanished[c] += v->reproduced == 0;
    }
  }
}

void mg_violations_beyond(const mg_violations *s, uint64_t from, uint32_t reproduced[MG_MAX_CLAUSES + 1]) {
  memset(reproduced, 0, (MG_MAX_CLAUSES + 1) * sizeof *reproduced);
  for (int c = 0; c < s->clause_count; c++) {
    for (size_t i = 0; i < s->count[MG_CANDIDATE][c]; i++) {
      const mg_stored_violation *v = &s->kept[MG_CANDIDATE][c][i].v;
      reproduced[c] += v->case_number >= from && v->reproduced == 1 && mg_violation_decides(s, v);
    }
  }
}

static int by_case(const void *a, const void *b) {
  uint64_t x = ((const mg_stored_violation *)a)->case_number, y = ((const mg_stored_violation *)b)->case_number;
  return (x > y) - (x < y);
}

mg_stored_violation *mg_violations_list(const mg_violations *s, size_t *count) {
  size_t n = 0;
  for (int r = 0; r < MG_ROLES; r++) {
    for (int c = 0; c < s->clause_count; c++) n += s->count[r][c];
  }
  *count = 0;
  mg_stored_violation *list = n == 0 ? NULL : malloc(n * sizeof *list);
  if (list == NULL) return NULL;
  for (int c = 0; c < s->clause_count; c++) {
    for (int r = MG_ROLES - 1; r >= 0; r--) { /* the candidate's first */
      size_t from = *count;
      for (size_t i = 0; i < s->count[r][c]; i++) list[(*count)++] = s->kept[r][c][i].v;
      if (*count > from) qsort(list + from, *count - from, sizeof *list, by_case);
    }
  }
  return list;
}
