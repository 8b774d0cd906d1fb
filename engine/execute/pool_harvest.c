/* What an executor left in its slot, and what its death means. */
#include "execute/pool_job.h"

#include <stdio.h>

static bool outcome_ok(uint8_t o) { return o <= MG_DISCARD || o == MG_ABSENT; }

static bool has_baseline(const mg_job *j) { return j->task.baseline[0] != '\0'; }

/* The case that is resumed with its candidate has its baseline's outcome from the RUN before. */
static bool is_resumed_case(const mg_bundle *b, uint32_t index) { return index == b->resume && b->jobs[0]->role == MG_CANDIDATE; }

static uint8_t baseline_of(const mg_bundle *b, const mg_slot *s, const mg_job *j, uint32_t index) {
  if (!has_baseline(j)) return MG_ABSENT;
  if (is_resumed_case(b, index)) return j->baseline_outcome;
  return s->outcomes[MG_BASELINE][index];
}

/* Whether a record of case index is to be taken; running: its outcomes do not stand yet. */
static bool wanted(const mg_bundle *b, const mg_record *r, bool running, bool baseline_done, bool labels) {
  bool before = is_resumed_case(b, r->index);
  switch (r->kind) {
  case MG_RECORD_FAILED:
  case MG_RECORD_VIOLATION:
    if (r->role == MG_BASELINE && before) return false;
    return !running || (r->role == MG_BASELINE && baseline_done);
  case MG_RECORD_LABEL: return !before && (!running || labels);
  default: return true;
  }
}

/* Takes the outcomes below done and the records that go with them. labels: also those of the running case. */
static mg_err take(mg_bundle *b, const mg_slot *s, uint32_t done, bool baseline_done, bool labels, mg_error *e) {
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
    } else if (j == NULL || r.index > done || !wanted(b, &r, r.index == done, baseline_done, labels)) {
      continue;
    }
    mg_job_take(j, &r, r.index - base);
  }
  if (rest.len > 0) rc = mg_fail(e, MG_ARG, "the executor's records cannot be read");

  for (int i = 0; i < b->count; i++) {
    mg_job *j = b->jobs[i];
    while (b->base[i] + j->done < done && j->done < j->task.count) {
      uint32_t index = b->base[i] + j->done;
      uint8_t baseline = baseline_of(b, s, j, index), candidate = s->outcomes[MG_CANDIDATE][index];
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
  mg_err rc = take(b, s, done, false, false, e);
  if (done > b->resume) b->jobs[0]->role = MG_BASELINE;
  return rc;
}

static void blame(mg_bundle *b, const mg_slot *s, const mg_death *d, mg_job *j, mg_role role, uint32_t index) {
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
  if (role == MG_BASELINE) {
    j->role = MG_CANDIDATE;
    j->baseline_outcome = (uint8_t)o;
    return;
  }
  uint8_t baseline = baseline_of(b, s, j, index);
  if (!outcome_ok(baseline)) baseline = MG_CRASH;
  j->outcomes[j->done++] = (uint8_t)(baseline | (unsigned)o << 4);
  b->collected = index + 1;
  j->role = MG_BASELINE;
}

bool mg_bundle_bury(mg_bundle *b, const mg_slot *s, const mg_death *d) {
  uint32_t done = atomic_load_explicit(&s->done, memory_order_acquire);
  uint32_t phase = atomic_load(&s->phase), index = atomic_load(&s->index);
  bool baseline_done = atomic_load_explicit(&s->baseline_done, memory_order_acquire) != 0;
  if (done > b->cases || done < b->collected) return false; /* overwritten by whatever went wrong: run it all again */
  bool at_case = index == done && done < b->cases && (phase == MG_PHASE_GENERATE || phase == MG_PHASE_BASELINE || phase == MG_PHASE_CANDIDATE);
  mg_death_kind kind = d->kind;
  if (kind == MG_DEATH_HUNG && atomic_load(&s->seq) != d->hung_seq) kind = MG_DEATH_INNOCENT; /* it had gone on before the signal came */
  mg_job *j = at_case ? mg_bundle_job_at(b, done, NULL) : NULL;
  baseline_done = at_case && phase == MG_PHASE_CANDIDATE && baseline_done && has_baseline(j) && !is_resumed_case(b, done);
  /* The case ends here, or goes on with its candidate: its labels are counted now. Else it is generated again. */
  bool keep = at_case && (baseline_done || (kind != MG_DEATH_INNOCENT && phase != MG_PHASE_GENERATE));
  (void)take(b, s, done, baseline_done, keep, NULL);
  if (done > b->resume) b->jobs[0]->role = MG_BASELINE;
  if (!at_case) return false;

  j->last_case = atomic_load(&s->case_number);
  if (j->fault.len > 0) return true; /* it said so, and died on its way out */
  if (kind == MG_DEATH_INNOCENT) {
    if (baseline_done) {
      j->role = MG_CANDIDATE;
      j->baseline_outcome = s->outcomes[MG_BASELINE][done];
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
  blame(b, s, d, j, phase == MG_PHASE_BASELINE ? MG_BASELINE : MG_CANDIDATE, done);
  return true;
}
