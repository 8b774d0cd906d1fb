#include "judge/tally.h"

static bool counts(mg_outcome o) { return o != MG_DISCARD && o != MG_CASE_LOST && o != MG_UNRUN; }

static void add_pair(mg_pairs *p, bool baseline, bool candidate, uint64_t count) {
  if (baseline && candidate)
    p->both += count;
  else if (baseline)
    p->base_only += count;
  else if (candidate)
    p->cand_only += count;
  else
    p->neither += count;
}

static void add_clauses(mg_tally *t, mg_clause_mask baseline, mg_clause_mask candidate) {
  for (mg_clause_mask left = baseline | candidate; left != 0; left &= left - 1) {
    mg_clause_count *c = &t->clauses[__builtin_ctzll(left)];
    mg_clause_mask bit = left & -left;
    if ((baseline & bit) == 0)
      c->candidate_only++;
    else if ((candidate & bit) == 0)
      c->baseline_only++;
    else
      c->both++;
  }
}

void mg_tally_add_run(mg_tally *t, mg_outcome baseline, mg_outcome candidate, uint64_t count) {
  t->cases += count;
  t->outcomes[MG_CANDIDATE][candidate] += count;
  if (baseline == MG_ABSENT) return;
  t->outcomes[MG_BASELINE][baseline] += count;
  if (counts(baseline) && counts(candidate)) add_pair(&t->pairs, baseline == MG_PASS, candidate == MG_PASS, count);
}

void mg_tally_add(mg_tally *t, mg_outcome baseline, mg_outcome candidate, mg_clause_mask baseline_failed, mg_clause_mask candidate_failed) {
  mg_tally_add_run(t, baseline, candidate, 1);
  bool pair = counts(candidate) && (baseline == MG_ABSENT || counts(baseline));
  if (pair && (baseline_failed | candidate_failed) != 0) {
    add_clauses(t, baseline == MG_ABSENT ? 0 : baseline_failed, candidate_failed);
  }
}

void mg_tally_merge(mg_tally *t, const mg_tally *more) {
  t->cases += more->cases;
  for (int r = 0; r < MG_ROLES; r++) {
    for (int o = 0; o < MG_OUTCOMES; o++) t->outcomes[r][o] += more->outcomes[r][o];
  }
  t->pairs.both += more->pairs.both;
  t->pairs.base_only += more->pairs.base_only;
  t->pairs.cand_only += more->pairs.cand_only;
  t->pairs.neither += more->pairs.neither;
  for (int i = 0; i <= MG_MAX_CLAUSES; i++) {
    t->clauses[i].both += more->clauses[i].both;
    t->clauses[i].baseline_only += more->clauses[i].baseline_only;
    t->clauses[i].candidate_only += more->clauses[i].candidate_only;
  }
}
