/* What an executor left in its slot, and what its death means. */
#include "execute/pool_job.h"

#include <stdio.h>

static bool outcome_ok(uint8_t o) { return o <= MG_DISCARD || o == MG_ABSENT; }

static bool has_baseline(const mg_job *j) { return j->task.baseline[0] != '\0'; }

/* A case that is resumed with its other role has one outcome from the RUN before: 1 + that role, else 0. */
static unsigned half_before(const mg_bundle *b, uint32_t index) { return index == b->resume ? b->jobs[0]->half : 0; }

static uint8_t outcome_at(const mg_bundle *b, const mg_slot *s, const mg_job *j, mg_role role, uint32_t index) {
  if (role == MG_BASELINE && !has_baseline(j)) return MG_ABSENT;
  return half_before(b, index) == 1u + role ? j->half_outcome : s->outcomes[role][index];
}

/* Whether a record of case index is to be taken; running: its outcomes do not stand yet, but (half: 1 + a role) for one. */
static bool wanted(const mg_bundle *b, const mg_record *r, bool running, unsigned half, bool labels) {
  unsigned before = half_before(b, r->index);
  switch (r->kind) {
  case MG_RECORD_FAILED:
  case MG_RECORD_VIOLATION:
  case MG_RECORD_VALUES:
    if (before == 1u + r->role) return false;
    return !running || half == 1u + r->role;
  case MG_RECORD_LABEL: return before == 0 && (!running || labels);
  default: return true;
  }
}

/* Takes the outcomes below done and the records that go with them. labels: also those of the running case. */
static mg_err take(mg_bundle *b, const mg_slot *s, uint32_t done, unsigned half, bool labels, mg_error *e) {
  mg_err rc = MG_OK;
  uint32_t used = atomic_load_explicit(&s->arena_used, memory_order_acquire);
  if (used > MG_SLOT_ARENA_BYTES) rc = mg_fail(e, MG_ARG, "the executor's records are out of bounds");
  mg_slice rest = {s->arena, rc == MG_OK ? used : 0};
  mg_record r;
  while (mg_record_next(&rest, &r)) {
    uint32_t base = 0;
    mg_job *j = mg_bundle_job_at(b, r.index, &base);
    if (r.kind == MG_RECORD_TIME) {
      if (j == NULL) j = b->jobs[b->count - 1]; /* of the time after the last case */
    } else if (j == NULL || r.index > done || !wanted(b, &r, r.index == done, half, labels)) {
      continue;
    }
    mg_job_take(j, &r, r.index - base);
  }
  if (rest.len > 0) rc = mg_fail(e, MG_ARG, "the executor's records cannot be read");

  for (int i = 0; i < b->count; i++) {
    mg_job *j = b->jobs[i];
    while (b->base[i] + j->done < done && j->done < j->task.count) {
      uint32_t index = b->base[i] + j->done;
      uint8_t baseline = outcome_at(b, s, j, MG_BASELINE, index), candidate = outcome_at(b, s, j, MG_CANDIDATE, index);
      if (!outcome_ok(baseline) || !outcome_ok(candidate)) {
        rc = mg_fail(e, MG_ARG, "the executor's outcomes cannot be read");
        if (!outcome_ok(baseline)) baseline = MG_CRASH;
        if (!outcome_ok(candidate)) candidate = MG_CRASH;
      }
      j->outcomes[j->done++] = (uint8_t)(baseline | candidate << 4);
    }
  }
  if (done > b->collected) b->collected = done;
  return rc;
}

mg_err mg_bundle_collect(mg_bundle *b, const mg_slot *s, mg_error *e) {
  uint32_t done = atomic_load_explicit(&s->done, memory_order_acquire);
  if (done > b->cases || done < b->collected) return mg_fail(e, MG_ARG, "the executor's count of cases is out of bounds");
  mg_err rc = take(b, s, done, 0, false, e);
  if (done > b->resume) b->jobs[0]->half = 0;
  return rc;
}

/* half: 1 + the other role, where its outcome stands in the slot. */
static void blame(mg_bundle *b, const mg_slot *s, const mg_death *d, mg_job *j, mg_role role, uint32_t index, unsigned half) {
  mg_outcome o = d->kind == MG_DEATH_HUNG ? MG_TIMED_OUT : MG_CRASH;
  mg_job_fail(j, j->done, role, MG_COMPLETES);
  if (j->completes_count[role] < j->task.violation_cap) {
    char message[128];
    if (d->kind == MG_DEATH_HUNG) {
      (void)snprintf(message, sizeof message, "no answer within %u ms", j->task.case_timeout_ms);
    } else {
      (void)snprintf(message, sizeof message, "%s", d->how);
    }
    mg_record r = {.kind = MG_RECORD_VIOLATION, .role = role, .case_number = atomic_load(&s->case_number), .text = mg_slice_of(message)};
    mg_job_take(j, &r, j->done);
  }
  mg_role other = role == MG_BASELINE ? MG_CANDIDATE : MG_BASELINE;
  if (has_baseline(j) && half != 1u + other && half_before(b, index) != 1u + other) {
    j->half = (uint8_t)(1 + role);
    j->half_outcome = (uint8_t)o;
    return;
  }
  unsigned both[MG_ROLES];
  both[role] = o;
  both[other] = outcome_at(b, s, j, other, index);
  if (!outcome_ok((uint8_t)both[other])) both[other] = MG_CRASH;
  j->outcomes[j->done++] = (uint8_t)(both[MG_BASELINE] | both[MG_CANDIDATE] << 4);
  b->collected = index + 1;
  j->half = 0;
}

bool mg_bundle_bury(mg_bundle *b, const mg_slot *s, const mg_death *d) {
  uint32_t done = atomic_load_explicit(&s->done, memory_order_acquire);
  uint32_t phase = atomic_load(&s->phase), index = atomic_load(&s->index);
  unsigned half = atomic_load_explicit(&s->half_done, memory_order_acquire);
  if (done > b->cases || done < b->collected) return false; /* overwritten by whatever went wrong: run it all again */
  bool at_case = index == done && done < b->cases && (phase == MG_PHASE_GENERATE || phase == MG_PHASE_BASELINE || phase == MG_PHASE_CANDIDATE);
  mg_death_kind kind = d->kind;
  if (kind == MG_DEATH_HUNG && atomic_load(&s->seq) != d->hung_seq) kind = MG_DEATH_INNOCENT; /* it had gone on before the signal came */
  mg_job *j = at_case ? mg_bundle_job_at(b, done, NULL) : NULL;
  /* One role stands and the other runs. */
  bool going_on = (half == 1 + MG_BASELINE && phase == MG_PHASE_CANDIDATE) || (half == 1 + MG_CANDIDATE && phase == MG_PHASE_BASELINE);
  if (!at_case || !going_on || !has_baseline(j) || half_before(b, done) != 0) half = 0;
  /* The case ends here, or goes on with its other role: its labels are counted now. Else it is generated again. */
  bool keep = at_case && (half != 0 || (kind != MG_DEATH_INNOCENT && phase != MG_PHASE_GENERATE));
  (void)take(b, s, done, half, keep, NULL);
  if (done > b->resume) b->jobs[0]->half = 0;
  if (!at_case) return false;

  j->last_case = atomic_load(&s->case_number);
  if (j->fault.len > 0) return true; /* it said so, and died on its way out */
  if (kind == MG_DEATH_INNOCENT) {
    if (half != 0) {
      j->half = (uint8_t)half;
      j->half_outcome = s->outcomes[half - 1][done];
    }
    return false;
  }
  if (phase == MG_PHASE_GENERATE) {
    mg_buf_putf(&j->fault, "%s: the generator or a transform ", d->script);
    if (kind == MG_DEATH_HUNG) {
      mg_buf_putf(&j->fault, "did not end within %u ms", j->task.case_timeout_ms);
    } else {
      mg_buf_putf(&j->fault, "broke the executor (%s)", d->how);
    }
    mg_buf_putf(&j->fault, " at case %llu", (unsigned long long)j->last_case);
    return true;
  }
  blame(b, s, d, j, phase == MG_PHASE_BASELINE ? MG_BASELINE : MG_CANDIDATE, done, half);
  return true;
}
